//! What else there is to know: the daemon, the supervisor, what waits, the pause, the incidents.

use std::fmt::Write as _;

use crate::cli::paint::{self, Line, Tone, piece};
use crate::status::headline::left;
use crate::status::words::{called, said, when};
use crate::status::{Daemon, Incident, Status, Timestamp};
use crate::text::safe;

/// The column of labels.
const LABEL: usize = 12;
/// How many findings are shown.
const FINDINGS: usize = 10;
/// How many past incidents are shown.
const INCIDENTS: usize = 5;

/// The daemon and the supervisor, what waits, the pause and the incident under way.
pub(in crate::cli) fn facts(status: &Status, width: usize) -> Vec<Line> {
    let mut facts = Facts {
        lines: Vec::new(),
        width,
    };
    facts.add("fail2ban", Tone::Plain, &daemon(status));
    facts.add("jailwarden", Tone::Plain, &supervisor(status));
    for finding in status.findings.iter().take(FINDINGS) {
        facts.add("waits", Tone::Warn, &said(finding));
    }
    if let Some(more) = status
        .findings
        .len()
        .checked_sub(FINDINGS)
        .filter(|more| *more > 0)
    {
        facts.add(
            "",
            Tone::Warn,
            &format!("and {more} more; see: {} check", called(status)),
        );
    }
    if let Some(pause) = &status.pause {
        let until = match pause.until {
            Some(until) => format!("until {} ({} left)", when(until), ahead(until, status.at)),
            None => format!("until {} resume", called(status)),
        };
        facts.add("paused", Tone::Warn, &format!("{until}: {}", pause.why));
    }
    if let Some(incident) = &status.incident {
        let age = paint::span(incident.began.age(status.at));
        let mut said = format!("for {age}: {}", incident.what);
        for (jail, seconds) in &incident.unprotected {
            let span = paint::seconds(*seconds);
            let _ = write!(said, "; {jail} unprotected for {span}");
        }
        facts.add("incident", Tone::Bad, &said);
    }
    facts.lines
}

struct Facts {
    lines: Vec<Line>,
    width: usize,
}

impl Facts {
    fn add(&mut self, label: &str, tone: Tone, text: &str) {
        let mut label = label;
        for text in paint::wrap(&safe(text), self.width.saturating_sub(LABEL)) {
            let label = std::mem::take(&mut label);
            self.lines.push(vec![
                piece(tone, paint::pad(label, LABEL)),
                piece(Tone::Plain, text),
            ]);
        }
    }
}

fn daemon(status: &Status) -> String {
    let Daemon {
        pid,
        first_seen,
        started,
        version,
        ping,
        unit,
        ..
    } = &status.daemon;
    let Some(pid) = pid else {
        return "is not running".to_owned();
    };
    let mut said = match version {
        Some(version) => format!("{version}, pid {pid}"),
        None => format!("pid {pid}"),
    };
    let age = |at: &Timestamp| paint::span(at.age(status.at));
    let _ = match (started, first_seen) {
        (Some(started), _) => write!(said, ", up {}", age(started)),
        (None, Some(seen)) => write!(said, ", seen for {}", age(seen)),
        (None, None) => Ok(()),
    };
    let _ = match ping {
        Some(ping) => write!(said, ", answers in {:.1} ms", ping * 1000.0),
        None => write!(said, ", does not answer"),
    };
    if let Some(unit) = unit {
        let _ = write!(said, ", {unit}");
    }
    said
}

fn supervisor(status: &Status) -> String {
    let in_state = paint::span(status.since.age(status.at));
    let running = paint::span(status.started.age(status.at));
    let left = left(status).unwrap_or_default();
    format!(
        "{} for {in_state}{left}; version {}, runs for {running}",
        status.state, status.version
    )
}

/// The last incidents, a line each.
pub(in crate::cli) fn last_incidents(status: &Status, width: usize) -> Vec<Line> {
    let shown = status.incidents.iter().take(INCIDENTS);
    let lines: Vec<Line> = shown.map(|incident| in_a_line(incident, width)).collect();
    if lines.is_empty() {
        return lines;
    }
    let called = called(status);
    let title = vec![piece(
        Tone::Dim,
        format!("  LAST INCIDENTS          TOOK     WHAT (all: {called} incidents)"),
    )];
    [title].into_iter().chain(lines).collect()
}

fn in_a_line(incident: &Incident, width: usize) -> Line {
    let took = incident.ended.map_or("goes on".to_owned(), |ended| {
        paint::span(incident.began.age(ended))
    });
    let head = format!("  {:<22}  {took:<8} ", when(incident.began));
    let what = paint::cut(
        &safe(&incident.what),
        width.saturating_sub(paint::width(&head)),
    );
    vec![piece(Tone::Plain, head), piece(Tone::Plain, what)]
}

fn ahead(at: Timestamp, now: Timestamp) -> String {
    let left = at.time().duration_since(now.time());
    paint::span(left.unwrap_or_default())
}
