//! The words for what is true, for people: on a terminal and on the page.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::{Condition, End, Finding, Incident, Jail, Status, Timestamp};
use crate::text::safe;

/// With more than so many jails, those that never lacked anything share a paragraph.
const ROWS: usize = 30;

/// How good or bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warn,
    Bad,
    Quiet,
}

/// The jails by what is to be known of them first.
pub(crate) fn ordered(status: &Status) -> Vec<&Jail> {
    let mut jails: Vec<_> = status.jails.iter().collect();
    jails.sort_by_key(|jail| rank(jail.condition));
    jails
}

/// The jails that share a paragraph, as there are many and they never lacked anything, and those that
/// have a row each.
pub(crate) fn folded(status: &Status) -> (Vec<&Jail>, Vec<&Jail>) {
    let is_folded = |jail: &&Jail| {
        status.jails.len() > ROWS
            && jail.condition == Condition::Protects
            && jail.unprotected.month <= 0.0
    };
    ordered(status).into_iter().partition(is_folded)
}

/// What is said of the former, before their names.
pub(crate) fn of_folded(jails: &[&Jail]) -> String {
    let banned: u64 = jails.iter().filter_map(|jail| jail.banned).sum();
    format!(
        "{} jails protect, and lacked nothing for 30 days; {banned} banned:",
        jails.len()
    )
}

fn rank(condition: Condition) -> u8 {
    match condition {
        Condition::Dead => 0,
        Condition::Lost => 1,
        Condition::Ailing => 2,
        Condition::RolledBack => 3,
        Condition::Waiting => 4,
        Condition::Unknown => 5,
        Condition::Held => 6,
        Condition::Protects => 7,
    }
}

/// What a jail does, in two or three words.
pub(crate) fn condition(condition: Condition) -> (Tone, &'static str) {
    match condition {
        Condition::Protects => (Tone::Good, "protects"),
        Condition::Unknown => (Tone::Warn, "not known"),
        Condition::Dead => (Tone::Bad, "dead"),
        Condition::Ailing => (Tone::Bad, "ailing"),
        Condition::Lost => (Tone::Bad, "lost"),
        Condition::Held => (Tone::Quiet, "stopped by hand"),
        Condition::RolledBack => (Tone::Warn, "rolled back"),
        Condition::Waiting => (Tone::Warn, "waits on disk"),
    }
}

/// How a person calls the jailwarden whose status it is.
pub(crate) fn called(status: &Status) -> String {
    safe(&crate::text::called(status.instance.as_deref()))
}

/// What keeps the jail from protecting, and what comes next.
pub(crate) fn reasons(jail: &Jail, status: &Status) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(rollback) = &jail.rollback {
        said.push(format!("since {}: {}", rollback.when, rollback.reason));
        said.push(match rollback.next_try {
            Some(at) => {
                let left = at.time().duration_since(status.at.time());
                let left = span(left.unwrap_or_default());
                format!("tried again in {left}, or at once when its config is mended")
            }
            None => format!(
                "waits for you: mend its config, or {} rollback undo {}",
                called(status),
                jail.name
            ),
        });
    } else if let Some(why) = &jail.why {
        said.push(why.clone());
    } else if jail.condition == Condition::Dead {
        said.extend(jail.listed.map(|listed| {
            if listed {
                "fail2ban lists it, but its threads are gone".to_owned()
            } else {
                "fail2ban does not list it".to_owned()
            }
        }));
    }
    said
}

/// A finding in a line: jail, file, line and fail2ban's words.
pub(crate) fn said(finding: &Finding) -> String {
    let mut said = String::new();
    if let Some(jail) = &finding.jail {
        let _ = write!(said, "{jail}: ");
    }
    if let Some(file) = &finding.file {
        said.push_str(&file.display().to_string());
        if let Some(line) = finding.line {
            let _ = write!(said, ":{line}");
        }
        said.push_str(": ");
    }
    said + &finding.words
}

/// How an incident ended, in words.
pub(crate) fn end(incident: &Incident) -> &'static str {
    match incident.end {
        Some(End::Protected) => "every jail that can protect does again",
        Some(End::StoodBy) => "somebody stopped fail2ban on purpose meanwhile",
        None => "goes on",
    }
}

/// A time for people, such as `2026-11-25 18:15 UTC`.
pub(crate) fn when(at: Timestamp) -> String {
    let text = humantime::format_rfc3339_seconds(at.time().max(SystemTime::UNIX_EPOCH)).to_string();
    let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
    let clock: String = clock.chars().take(5).collect();
    format!("{day} {clock} UTC")
}

/// A span in two units at most, such as `0.4s`, `12s`, `2m 5s`, `3h 2m`, `4d 1h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |big: u64, one: &str, small: u64, two: &str| match small {
        0 => format!("{big}{one}"),
        _ => format!("{big}{one} {small}{two}"),
    };
    match seconds {
        0..10 if span.subsec_millis() >= 100 => {
            format!("{seconds}.{}s", span.subsec_millis() / 100)
        }
        0..60 => format!("{seconds}s"),
        60..3600 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// A span in seconds, as the schema has it.
pub(crate) fn seconds(seconds: f64) -> String {
    span(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let said = |millis| span(Duration::from_millis(millis));
        assert_eq!(said(0), "0s");
        assert_eq!(said(440), "0.4s");
        assert_eq!(said(12_900), "12s");
        assert_eq!(said(125_000), "2m 5s");
        assert_eq!(said(7_200_000), "2h");
        assert_eq!(said(350_000_000), "4d 1h");
        assert_eq!(seconds(f64::NAN), "0s");
        assert_eq!(seconds(-1.0), "0s");
    }
}
