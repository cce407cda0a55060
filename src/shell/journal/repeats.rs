//! No alert storms: a fact that holds on is counted, not said again and again, and so is what comes and goes
//! all day, such as a jail that dies each ten minutes and is brought back each time.

use std::path::PathBuf;
use std::time::Duration;

use crate::machine::report::{Kind, Report};

/// How long a fact that was said is only counted.
const QUIET: Duration = Duration::from_secs(60 * 60);
/// How many facts, and how many topics, are kept in mind.
const FACTS: usize = 64;
/// How often a topic is said freely; it may be said once more for each `PACE` that passes. So a jail that
/// flaps makes less than a hundred lines a day, whatever there is to be said of it each time.
const FREELY: u32 = 6;
/// The same of what a person does, who wants an answer each time.
const FREELY_OF_PERSONS: u32 = 10;
/// And of changes that were applied.
const FREELY_OF_CHANGES: u32 = 48;
/// See `FREELY`.
const PACE: Duration = Duration::from_secs(3 * 60 * 60);
/// How long a hushed report must hold before it is said after all.
const LASTS: Duration = Duration::from_secs(2 * 60);
/// And how long its topic must have been quiet, if it is of an incident; otherwise `PACE`.
const LATELY: Duration = Duration::from_secs(2 * 60 * 60);

/// What is to become of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new: say it.
    Say,
    /// Say it, and that it was true so many times more since it was last said.
    SayWithCount {
        /// How often it was hushed.
        times: u32,
        /// How long ago it was last said.
        within: Duration,
    },
    /// Say it, and that it was said so often of late that it is only counted from here on.
    SayLast {
        /// How often it was said.
        times: u32,
    },
    /// It was said lately: it is counted.
    Hush,
}

impl Verdict {
    /// `report` as it is to be said, or nothing.
    #[must_use]
    pub fn apply(self, mut report: Report) -> Option<Report> {
        match self {
            Self::Say => Some(report),
            Self::Hush => None,
            Self::SayWithCount { times, within } => {
                let minutes = within.as_secs() / 60;
                let time = if times == 1 { "time" } else { "times" };
                let more = format!(" ({times} {time} more in the last {minutes} min)");
                report.message.push_str(&more);
                Some(report)
            }
            Self::SayLast { times } => {
                let (hours, lasts) = (PACE.as_secs() / 3600, LASTS.as_secs() / 60);
                let more = format!(
                    " (said {times} times of late: while this comes and goes it is said each {hours} h, and more \
                     often only where it lasts for {lasts} min)"
                );
                report.message.push_str(&more);
                Some(report)
            }
        }
    }
}

/// What was said lately; see [`Repeats::admit`].
#[derive(Debug, Default)]
pub struct Repeats {
    said: Vec<Said>,
    topics: Vec<Topic>,
    /// What was hushed as its topic was said too often, and has not ended since, as far as is known.
    held: Vec<(Duration, Report)>,
    /// The last incident of which something was said: its end is said, too.
    spoken_of: Option<String>,
    /// The last incident of which something was hushed so.
    hushed_of: Option<String>,
    /// The same of the change that waits on disk.
    refusal_was_said: bool,
    refusal_was_hushed: bool,
}

/// What comes and goes: a kind of report about the same jails, or the same mistake in a config.
#[derive(Debug)]
struct Topic {
    of: Fact,
    /// When it may be said as often as one that was never said.
    fresh_at: Duration,
    last: Duration,
    hushed: u32,
}

#[derive(Debug)]
struct Said {
    fact: Fact,
    at: Duration,
    hushed: u32,
}

/// What makes two reports the same: neither the incident nor the wording.
#[derive(Debug, PartialEq, Eq)]
struct Fact {
    kind: Kind,
    jails: Vec<String>,
    file: Option<PathBuf>,
    line: Option<u32>,
    reason: Option<String>,
}

impl Repeats {
    /// Judges `report` at `now`, a duration since any fixed point.
    ///
    /// The same fact (kind, jails, file, line and reason) is said once an hour, as long as it holds
    /// on: once an incident is over every fact is news, and after a mend the same mistake is. The same topic (kind
    /// and jails; of mistakes the fact) is said six times, of what a person does ten times, and of changes that were
    /// applied 48 times, and then each three hours; see [`Self::lasting`] for what is hushed so. The end of an
    /// incident is said if anything of it was, and so it is with a change that is withdrawn. A fact that is news
    /// each time, as what answers a person is, is counted by its topic alone, or not at all. Of more than 64 facts
    /// the one said longest ago is forgotten, its count with it, and of more topics the oldest.
    pub fn admit(&mut self, report: &Report, now: Duration) -> Verdict {
        match report.kind {
            Kind::AllClear | Kind::Standby | Kind::BackByHand => {
                self.said.clear();
                self.held.retain(|(_, held)| held.incident.is_none());
            }
            Kind::ChangeWithdrawn => self.said.retain(|s| s.fact.kind != Kind::ChangeRefused),
            _ => {}
        }
        if is_of_changes(report.kind) {
            self.held.retain(|(_, held)| !is_of_changes(held.kind));
        }
        if report.kind == Kind::AllClear {
            let is_of = |incident: &Option<String>| *incident == report.incident;
            let is_hushed = is_of(&self.hushed_of) && !is_of(&self.spoken_of);
            return if is_hushed {
                Verdict::Hush
            } else {
                Verdict::Say
            };
        }
        if matches!(report.kind, Kind::ChangeApplied | Kind::ChangeWithdrawn) {
            let was_said = std::mem::take(&mut self.refusal_was_said);
            let was_hushed = std::mem::take(&mut self.refusal_was_hushed);
            if report.kind == Kind::ChangeWithdrawn && was_hushed && !was_said {
                return Verdict::Hush;
            }
        }
        let verdict = match self.admit_fact(report, now) {
            Verdict::Hush => Verdict::Hush,
            verdict => match self.admit_topic(report, now) {
                Verdict::Say => verdict,
                other => other,
            },
        };
        if verdict != Verdict::Hush {
            self.note_said(report);
        }
        verdict
    }

    /// What was hushed as its topic was said too often, and still holds: to be said now.
    pub fn lasting(&mut self, now: Duration) -> Vec<Report> {
        let mut lasting = Vec::new();
        let topics = &mut self.topics;
        self.held.retain(|(at, report)| {
            let of = Fact::topic(report);
            let Some(topic) = topics.iter_mut().find(|topic| topic.of == of) else {
                return false;
            };
            let within = now.saturating_sub(topic.last);
            let lately = report.incident.as_ref().map_or(PACE, |_| LATELY);
            if now.saturating_sub(*at) < LASTS || within < lately {
                return true;
            }
            topic.last = now;
            let times = std::mem::take(&mut topic.hushed).saturating_sub(1);
            let verdict = counted(times, within);
            lasting.extend(verdict.apply(report.clone()));
            false
        });
        for report in &lasting {
            self.note_said(report);
        }
        lasting
    }

    fn note_said(&mut self, report: &Report) {
        if report.incident.is_some() {
            self.spoken_of.clone_from(&report.incident);
        }
        self.refusal_was_said |= report.kind == Kind::ChangeRefused;
    }

    fn admit_fact(&mut self, report: &Report, now: Duration) -> Verdict {
        if is_always_news(report.kind) {
            return Verdict::Say;
        }
        let fact = Fact::of(report);
        let Some(at) = self.said.iter().position(|said| said.fact == fact) else {
            self.remember(fact, now);
            return Verdict::Say;
        };
        let said = &mut self.said[at];
        let within = now.saturating_sub(said.at);
        if within < QUIET {
            said.hushed = said.hushed.saturating_add(1);
            return Verdict::Hush;
        }
        let times = said.hushed;
        self.said.remove(at);
        self.remember(fact, now);
        counted(times, within)
    }

    fn admit_topic(&mut self, report: &Report, now: Duration) -> Verdict {
        let Some(freely) = freely(report.kind) else {
            return Verdict::Say;
        };
        let topic = self.topic(report, now);
        let most = PACE * (freely - 1);
        if topic.fresh_at.saturating_sub(now) > most {
            topic.hushed = topic.hushed.saturating_add(1);
            let of = Fact::topic(report);
            self.held.retain(|(_, held)| Fact::topic(held) != of);
            self.held.push((now, report.clone()));
            if report.incident.is_some() {
                self.hushed_of.clone_from(&report.incident);
            }
            self.refusal_was_hushed |= report.kind == Kind::ChangeRefused;
            return Verdict::Hush;
        }
        let within = now.saturating_sub(topic.last);
        topic.last = now;
        topic.fresh_at = topic.fresh_at.max(now) + PACE;
        let is_last = topic.fresh_at.saturating_sub(now) > most;
        match std::mem::take(&mut topic.hushed) {
            0 if is_last => Verdict::SayLast { times: freely },
            times => counted(times, within),
        }
    }

    fn topic(&mut self, report: &Report, now: Duration) -> &mut Topic {
        let of = Fact::topic(report);
        let at = self.topics.iter().position(|topic| topic.of == of);
        let at = at.unwrap_or_else(|| {
            if self.topics.len() == FACTS {
                self.topics.remove(0);
            }
            self.topics.push(Topic {
                of,
                fresh_at: now,
                last: now,
                hushed: 0,
            });
            self.topics.len() - 1
        });
        &mut self.topics[at]
    }

    /// The list stays in the order in which the facts were said.
    fn remember(&mut self, fact: Fact, at: Duration) {
        if self.said.len() == FACTS {
            self.said.remove(0);
        }
        self.said.push(Said {
            fact,
            at,
            hushed: 0,
        });
    }
}

impl Fact {
    fn of(report: &Report) -> Self {
        Self {
            kind: report.kind,
            jails: report.jails.clone(),
            file: report.file.clone(),
            line: report.line,
            reason: report.reason.clone(),
        }
    }

    /// What a report is about, whatever the reason is this time; another mistake in a config is another topic.
    fn topic(report: &Report) -> Self {
        let fact = Self::of(report);
        if report.kind == Kind::ChangeRefused {
            return fact;
        }
        Self {
            file: None,
            line: None,
            reason: None,
            ..fact
        }
    }
}

fn counted(times: u32, within: Duration) -> Verdict {
    match times {
        0 => Verdict::Say,
        times => Verdict::SayWithCount { times, within },
    }
}

/// How often it is said freely; none where there is no limit, as where somebody told jailwarden to do it.
fn freely(kind: Kind) -> Option<u32> {
    match kind {
        Kind::ChangeApplied => Some(FREELY_OF_CHANGES),
        Kind::ChangeRefused | Kind::Standby | Kind::BackByHand | Kind::JailHeld => {
            Some(FREELY_OF_PERSONS)
        }
        Kind::Paused | Kind::Resumed => None,
        _ => (!is_always_news(kind)).then_some(FREELY),
    }
}

fn is_of_changes(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ChangeApplied | Kind::ChangeRefused | Kind::ChangeWithdrawn
    )
}

/// Never counted as a repeated fact: whoever reloads the settings, starts or stops something wants an answer each
/// time. Some are limited by topic, see [`freely`].
fn is_always_news(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Supervising
            | Kind::AllClear
            | Kind::Ending
            | Kind::ChangeApplied
            | Kind::ChangeWithdrawn
            | Kind::RollbackUndone
            | Kind::Standby
            | Kind::BackByHand
            | Kind::JailHeld
            | Kind::SettingsReloaded
            | Kind::SettingsRefused
    )
}
