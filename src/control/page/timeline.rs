//! The past, drawn: hours or days as bars, and below them the incidents where they were.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{Markup, html};

use crate::status::words::{seconds, when};
use crate::status::{Incident, Past, Status, Timestamp};
use crate::text::counted;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// What one bar takes of the width, with the gap after it.
const STEP: u32 = 24;
const GAP: u32 = 4;
const HEIGHT: u32 = 40;
/// The row of incidents below the bars.
const MARKS: u32 = 46;
const MARK_HEIGHT: u32 = 6;

/// A stretch of the past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// What a bar is, for one and in general.
    unit: &'static str,
    /// In seconds.
    unit_span: u64,
    bars: u32,
}

pub(super) const STRETCHES: [Stretch; 2] = [
    Stretch {
        id: "day",
        name: "Last 24 hours",
        unit: "hour",
        unit_span: HOUR,
        bars: 24,
    },
    Stretch {
        id: "month",
        name: "Last 30 days",
        unit: "day",
        unit_span: DAY,
        bars: 30,
    },
];

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bar {
    began: u64,
    /// For how long a jail went unprotected, in seconds.
    lost: f64,
    jails: usize,
    known: bool,
}

impl Bar {
    /// How much of the bar is filled, so that ten seconds are seen beside a whole day.
    fn filled(&self) -> u32 {
        match self.lost {
            lost if lost <= 0.0 => 0,
            ..60.0 => HEIGHT / 4,
            ..600.0 => HEIGHT / 2,
            ..3600.0 => HEIGHT * 3 / 4,
            _ => HEIGHT,
        }
    }

    fn words(&self) -> String {
        let at = when(time(self.began));
        match (self.known, self.lost > 0.0) {
            (_, true) => format!(
                "{at}: unprotected for {}, in {}",
                seconds(self.lost),
                counted(self.jails, "jail")
            ),
            (true, false) => format!("{at}: every jail that should protect did"),
            (false, false) => format!("{at}: not known"),
        }
    }
}

impl Stretch {
    /// When the first bar begins, in seconds since 1970.
    fn start(&self, now: u64) -> u64 {
        let last = now - now % self.unit_span;
        last.saturating_sub(u64::from(self.bars - 1) * self.unit_span)
    }

    fn bars(&self, now: u64, past: &Past) -> Vec<Bar> {
        let (start, since) = (self.start(now), secs(past.since));
        let mut bars: Vec<Bar> = (0..u64::from(self.bars))
            .map(|at| start + at * self.unit_span)
            .map(|began| Bar {
                began,
                lost: 0.0,
                jails: 0,
                known: began + self.unit_span > since,
            })
            .collect();
        for hour in &past.hours {
            let index = secs(hour.began)
                .checked_sub(start)
                .map(|from| from / self.unit_span);
            let index = index.and_then(|index| usize::try_from(index).ok());
            if let Some(bar) = index.and_then(|index| bars.get_mut(index)) {
                bar.lost += hour.longest;
                bar.jails = bar.jails.max(hour.jails);
            }
        }
        bars
    }

    /// Where an incident is drawn, and how wide; none where it is not in this stretch.
    fn mark(&self, now: u64, incident: &Incident) -> Option<(f64, f64)> {
        let begin = self.start(now);
        let ended = incident.ended.map_or(now, secs);
        let left = secs(incident.began).max(begin);
        if ended < begin || left > now {
            return None;
        }
        let scale = f64::from(STEP) / as_f64(self.unit_span);
        let width = as_f64(ended.saturating_sub(left)) * scale;
        let width = width.max(4.0);
        let last = f64::from(self.bars * STEP - GAP) - width;
        Some(((as_f64(left - begin) * scale).min(last), width))
    }

    /// The picture, with the same in words.
    pub(super) fn draw(&self, status: &Status, past: &Past) -> Markup {
        let now = secs(status.at);
        let bars = self.bars(now, past);
        let all = status.incident.iter().chain(&past.incidents);
        let marks: Vec<_> = all.filter_map(|it| self.mark(now, it)).collect();
        let words = self.words(&bars, marks.len());
        let width = self.bars * STEP - GAP;
        let (title, words_id) = (format!("{}-title", self.id), format!("{}-words", self.id));
        html! {
            figure id=(self.id) {
                figcaption {
                    strong id=(title) { (self.name) }
                    " "
                    span id=(words_id) { (words) }
                }
                svg.timeline role="img" aria-labelledby=(title) aria-describedby=(words_id)
                    viewBox=(format!("0 0 {width} {}", MARKS + MARK_HEIGHT)) preserveAspectRatio="none" {
                    @for (bar, x) in bars.iter().zip((0..).step_by(STEP as usize)) {
                        g aria-hidden="true" {
                            title { (bar.words()) }
                            rect.(if bar.known { "known" } else { "unknown" }) x=(x) y="0"
                                width=(STEP - GAP) height=(HEIGHT) {}
                            @if bar.filled() > 0 {
                                rect.lost x=(x) y=(HEIGHT - bar.filled())
                                    width=(STEP - GAP) height=(bar.filled()) {}
                            }
                        }
                    }
                    @for (x, width) in &marks {
                        rect.incident x=(format!("{x:.1}")) y=(MARKS) width=(format!("{width:.1}"))
                            height=(MARK_HEIGHT) {}
                    }
                }
                p.scale aria-hidden="true" {
                    span { (when(time(bars.first().map_or(now, |bar| bar.began)))) }
                    span { "now" }
                }
            }
        }
    }

    fn words(&self, bars: &[Bar], incidents: usize) -> String {
        let incidents = match incidents {
            0 => "no incident".to_owned(),
            some => counted(some, "incident"),
        };
        let lost: Vec<&Bar> = bars.iter().filter(|bar| bar.lost > 0.0).collect();
        let worst = lost.iter().map(|bar| bar.lost).fold(0.0, f64::max);
        let lost = match lost.len() {
            0 => "no jail went unprotected".to_owned(),
            one_or_more => format!(
                "a jail went unprotected in {}, for {} at most",
                counted(one_or_more, self.unit),
                seconds(worst)
            ),
        };
        let unknown = bars.iter().filter(|bar| !bar.known && bar.lost <= 0.0);
        let unknown = match unknown.count() {
            0 => String::new(),
            some => format!("; nothing is known of {}", counted(some, self.unit)),
        };
        format!("{incidents}; {lost}{unknown}")
    }
}

fn secs(at: Timestamp) -> u64 {
    let since = at.time().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn time(secs: u64) -> Timestamp {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(secs));
    Timestamp::from(at.unwrap_or(SystemTime::UNIX_EPOCH))
}

fn as_f64(secs: u64) -> f64 {
    Duration::from_secs(secs).as_secs_f64()
}
