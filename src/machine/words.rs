//! The words for people: each report says what, why, and what to do.

mod config;
mod daemon;
mod database;
mod hangs;
mod jail;
mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::event::Finding;
use super::report::{Kind, Report};
use super::{Action, Machine};

/// More names than this are counted, not listed.
const NAMES_SHOWN: usize = 8;

/// What the words need to know of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// How a person calls jailwarden, to be followed by a command.
    pub called: String,
    /// How a person calls the client of this fail2ban, to be followed by a command.
    pub client: String,
    /// fail2ban's config folder.
    pub config_dir: PathBuf,
    /// The file that keeps fail2ban's database in memory, where it stands.
    pub in_memory: PathBuf,
    /// The unit that runs fail2ban, if one does.
    pub unit: Option<String>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            called: "jailwarden".to_owned(),
            client: "fail2ban-client".to_owned(),
            config_dir: PathBuf::new(),
            in_memory: PathBuf::new(),
            unit: None,
        }
    }
}

impl Machine {
    pub(super) fn say(&mut self, report: Report) {
        self.note_incident(&report);
        self.out.push(Action::Report(report));
    }

    pub(super) fn report(&self, kind: Kind, message: impl Into<String>) -> Report {
        Report {
            kind,
            state: self.state_name(),
            incident: self.incident.as_ref().map(|i| i.id.clone()),
            jails: Vec::new(),
            file: None,
            line: None,
            reason: None,
            message: message.into(),
        }
    }
}

/// `FILE:LINE: jail NAME: WORDS`, as far as known.
pub(super) fn fault(finding: &Finding) -> String {
    let mut text = String::new();
    if let Some(file) = &finding.file {
        let _ = write!(text, "{}:", file.display());
        if let Some(line) = finding.line {
            let _ = write!(text, "{line}:");
        }
        text.push(' ');
    }
    if let Some(jail) = &finding.jail {
        let _ = write!(text, "jail {jail}: ");
    }
    text.push_str(finding.words.trim_end_matches('.'));
    text
}

/// A few names in full, more as a number.
pub(super) fn names(set: &BTreeSet<String>) -> String {
    let shown: Vec<_> = set.iter().take(NAMES_SHOWN).map(String::as_str).collect();
    match set.len().saturating_sub(NAMES_SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

pub(super) fn jails(count: usize) -> String {
    format!("{count} jail{}", if count == 1 { "" } else { "s" })
}

pub(super) fn protecting(count: usize) -> String {
    format!(
        "{} protect{}",
        jails(count),
        if count == 1 { "s" } else { "" }
    )
}

/// `a, z 0.9 s, m 12.0 s`: the longest first.
pub(super) fn spans(spans: &BTreeMap<String, Duration>) -> String {
    let mut by_span: BTreeMap<Duration, BTreeSet<String>> = BTreeMap::new();
    for (jail, span) in spans {
        let tenths = (span.as_secs_f64() * 10.0).round() / 10.0;
        let tenths = Duration::from_secs_f64(tenths);
        by_span.entry(tenths).or_default().insert(jail.clone());
    }
    let groups = by_span.iter().rev();
    let groups = groups.map(|(span, jails)| format!("{} {}", names(jails), seconds(*span)));
    groups.collect::<Vec<_>>().join(", ")
}

pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
