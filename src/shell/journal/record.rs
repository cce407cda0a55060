//! One record, and its two forms: a datagram for journald, a sentence for people.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::shell::text::{cut, escape};

/// A line names no more jails than this, so that its end is never cut off for them.
const JAILS_SHOWN: usize = 8;

/// Parts the jails in the one `jail` field of an event; a section's name cannot hold it.
pub(super) const BETWEEN_JAILS: &str = "\n";

/// No value is longer than this, in bytes.
const MAX_VALUE: usize = 16 * 1024;
/// No datagram is longer than this: well under `net.core.wmem_default` (212,992), above which the
/// kernel refuses it with `EMSGSIZE`.
const MAX_DATAGRAM: usize = 128 * 1024;
/// journald ignores what comes after 1,024 fields (systemd 252, `ENTRY_FIELD_COUNT_MAX`), and it
/// adds some twenty of its own.
const MAX_FIELDS: usize = 512;

/// Fields that the sentence tells, or that tell a person nothing.
const TOLD: [&str; 12] = [
    "lost",
    "message_id",
    "state",
    "incident",
    "reason",
    "file",
    "line",
    "unit",
    "daemon_unit",
    "called",
    "service",
    "jail",
];

#[derive(Debug)]
pub(super) struct Record {
    /// A syslog priority, 0 to 7.
    pub(super) priority: u8,
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl From<&Event<'_>> for Record {
    fn from(event: &Event<'_>) -> Self {
        let mut record = Self {
            priority: priority(*event.metadata().level()),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut record);
        record
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

impl Record {
    /// The record that owns up to `count` records that were not written.
    pub(super) fn lost(count: u64, journald: bool) -> Self {
        let records = if count == 1 { "record" } else { "records" };
        let message = if journald {
            format!(
                "{count} {records} could not be written to the journal; they went to standard error as far as that took them"
            )
        } else {
            format!("{count} {records} could not be written to standard error and are lost")
        };
        Self {
            priority: 4,
            message,
            fields: vec![("lost", count.to_string())],
        }
    }

    /// The record as journald reads it (systemd, `docs/JOURNAL_NATIVE_PROTOCOL.md`).
    pub(super) fn datagram(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        push(&mut out, "MESSAGE", &self.sentence());
        push(&mut out, "PRIORITY", &self.priority.to_string());
        push(&mut out, "SYSLOG_IDENTIFIER", "jailwarden");
        let values = self
            .fields
            .iter()
            .flat_map(|(name, value)| values(name, value).map(move |value| (*name, value)));
        for (name, value) in values.take(MAX_FIELDS) {
            if out.len() > MAX_DATAGRAM - MAX_VALUE - 1024 {
                break;
            }
            push(&mut out, &journal_name(name), value);
        }
        out
    }

    /// The message, and before and after it the jails, the place and the reason, unless the message
    /// names them itself.
    pub(super) fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if let Some(jails) = self.get("jail") {
            let jails: Vec<_> = jails.split(BETWEEN_JAILS).collect();
            let (shown, more) = jails.split_at(jails.len().min(JAILS_SHOWN));
            if !shown.iter().all(|jail| self.message.contains(jail)) {
                let noun = if jails.len() == 1 { "jail" } else { "jails" };
                parts.push(format!("{noun} {}", shown.join(", ")));
                if !more.is_empty() {
                    parts.push(format!(" and {} more", more.len()));
                }
                parts.push(": ".into());
            }
        }
        parts.push(self.message.clone());
        if let Some(reason) = self.untold("reason") {
            parts.push(format!(": {reason}"));
        }
        if let Some(file) = self.untold("file") {
            let line = self.get("line").map(|line| format!(":{line}"));
            parts.push(format!(" ({file}{})", line.unwrap_or_default()));
        }
        let rest = self.fields.iter().filter(|(name, _)| !TOLD.contains(name));
        parts.extend(rest.map(|(name, value)| format!(" {name}={value}")));
        parts.concat()
    }

    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(field, _)| *field == name)?;
        Some(value)
    }

    fn untold(&self, name: &str) -> Option<&str> {
        self.get(name)
            .filter(|value| !self.message.contains(*value))
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, value.to_owned())),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match (field.name(), u8::try_from(value)) {
            ("priority", Ok(priority @ 0..=7)) => self.priority = priority,
            _ => self.record_debug(field, &value),
        }
    }
}

/// A field with several values is sent once for each, so that `journalctl JAILWARDEN_JAIL=web`
/// finds a record that is about more jails than that.
fn values<'a>(name: &str, value: &'a str) -> impl Iterator<Item = &'a str> {
    let parts = if name == "jail" { usize::MAX } else { 1 };
    value.splitn(parts, BETWEEN_JAILS)
}

/// journald takes upper-case letters, digits and underscores (`man 7 systemd.journal-fields`).
fn journal_name(name: &str) -> String {
    match name {
        "message_id" => "MESSAGE_ID".to_owned(),
        "unit" => "OBJECT_SYSTEMD_UNIT".to_owned(),
        other => {
            let upper = other.chars().map(|c| match c.to_ascii_uppercase() {
                c @ ('A'..='Z' | '0'..='9') => c,
                _ => '_',
            });
            "JAILWARDEN_".chars().chain(upper).collect()
        }
    }
}

/// `NAME=value`, or with the length before the value where that holds a newline.
///
/// A value holds no control character but newline and tab: journalctl shows any other as "[blob
/// data]", and a catalog entry that quotes the field would send it to the terminal as it is.
fn push(out: &mut Vec<u8>, name: &str, value: &str) {
    let value = cut(&escape(value, is_text), MAX_VALUE);
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

fn is_text(c: char) -> bool {
    c == '\n' || c == '\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message: &str, fields: &[(&'static str, &str)]) -> Record {
        Record {
            priority: 3,
            message: message.to_owned(),
            fields: fields.iter().map(|(n, v)| (*n, (*v).to_owned())).collect(),
        }
    }

    #[test]
    fn a_sentence_names_what_the_message_leaves_out() {
        let place = [("jail", "web"), ("file", "jail.d/web.conf"), ("line", "3")];
        for (message, fields, expected) in [
            ("it fails", &[][..], "it fails"),
            ("it fails", &place, "jail web: it fails (jail.d/web.conf:3)"),
            ("jail web fails", &place[..1], "jail web fails"),
            ("see jail.d/web.conf", &place[1..], "see jail.d/web.conf"),
            ("it fails", &[("jail", "a\nb")], "jails a, b: it fails"),
            (
                "it fails",
                &[("jail", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj")],
                "jails a, b, c, d, e, f, g, h and 2 more: it fails",
            ),
            ("it fails", &[("reason", "no log")], "it fails: no log"),
            (
                "no log, so it fails",
                &[("reason", "no log")],
                "no log, so it fails",
            ),
            (
                "it fails",
                &[("state", "healthy"), ("pid", "7")],
                "it fails pid=7",
            ),
        ] {
            assert_eq!(record(message, fields).sentence(), expected);
        }
    }

    #[test]
    fn names_are_what_journald_takes() {
        assert_eq!(journal_name("message_id"), "MESSAGE_ID");
        assert_eq!(journal_name("unit"), "OBJECT_SYSTEMD_UNIT");
        assert_eq!(journal_name("jail"), "JAILWARDEN_JAIL");
        assert_eq!(journal_name("exit.code"), "JAILWARDEN_EXIT_CODE");
    }

    #[test]
    fn a_datagram_is_bounded_whatever_goes_in() {
        let jails = vec!["j".repeat(300); 4000].join(BETWEEN_JAILS);
        let big = "x".repeat(1 << 20);
        let everything = record(&big, &[("reason", &big), ("file", &big), ("jail", &jails)]);
        assert!(everything.datagram().len() <= MAX_DATAGRAM);
        let many = vec!["j"; 4000].join(BETWEEN_JAILS);
        let datagram = record("", &[("jail", &many)]).datagram();
        let lines = datagram.split(|byte| *byte == b'\n').count();
        assert!(lines < 1024 - 64, "{lines} fields");
    }
}
