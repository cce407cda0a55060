//! What is true of the host, as programs read it: the schema of `jailwarden status --json`, of the
//! control API, and of the incidents that are kept.
//!
//! Within schema 1 keys are only added. Times are RFC 3339 in UTC, spans are seconds.

pub(crate) mod headline;
mod timestamp;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use timestamp::Timestamp;

/// The schema's version.
pub const SCHEMA: u32 = 1;

/// Everything that jailwarden knows of the host now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// jailwarden's version.
    pub version: String,
    /// Which instance it is, as in `jailwarden@second.service`; none for that of the host's own fail2ban.
    pub instance: Option<String>,
    /// When this was true.
    pub at: Timestamp,
    /// The supervisor's state: `healthy`, `degraded`, `restarting`, `gave-up`, …
    pub state: String,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// One line for a person, as in systemd's `STATUS=`.
    pub text: String,
    /// Whether the host is protected.
    pub protection: Protection,
    /// When what is waited for now must have come: the daemon's answer, or the next try.
    pub deadline: Option<Timestamp>,
    /// fail2ban's daemon.
    pub daemon: Daemon,
    /// Every jail that should run, or that something keeps from running, by name.
    pub jails: Vec<Jail>,
    /// What fail2ban would refuse of what is on disk; it waits there.
    pub findings: Vec<Finding>,
    /// The pause that a person asked for.
    pub pause: Option<Pause>,
    /// The incident under way.
    pub incident: Option<Incident>,
    /// The last incidents that ended, the last one first.
    pub incidents: Vec<Incident>,
    /// Since this jailwarden started.
    pub started: Timestamp,
}

/// Whether the host is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Every jail that should protect does.
    Full,
    /// Some do.
    Partial,
    /// None does.
    None,
    /// Nobody wants it now: fail2ban was stopped on purpose.
    Unwanted,
    /// That is being found out.
    Unknown,
}

/// fail2ban's daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Daemon {
    /// Its process, if it is known to live.
    pub pid: Option<u32>,
    /// When that process was seen first.
    pub first_seen: Option<Timestamp>,
    /// When that process was started.
    pub started: Option<Timestamp>,
    /// fail2ban's version, as that process says.
    pub version: Option<String>,
    /// Whether its database is in memory, since its file could not be written.
    #[serde(default)]
    pub in_memory: bool,
    /// How long it took to answer the last ping, in seconds; none if it did not.
    pub ping: Option<f64>,
    /// The unit that runs it.
    pub unit: Option<String>,
    /// Its socket.
    pub socket: PathBuf,
}

/// One jail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Jail {
    /// Its name.
    pub name: String,
    /// What it does, or what keeps it from that.
    pub condition: Condition,
    /// Whether fail2ban lists it, which alone says little: it goes on listing a jail whose threads are gone.
    /// None where fail2ban does not answer.
    pub listed: Option<bool>,
    /// Why, where that is known.
    pub why: Option<String>,
    /// How many addresses it bans now, as of the last look at that.
    pub banned: Option<u64>,
    /// When what was new in one of its log files was last read, by the files' access times, as of the
    /// last look at that. None where that cannot be told: on a file system that keeps none, before
    /// a read was seen on it, and of the systemd backend.
    pub last_read: Option<Timestamp>,
    /// The rollback that disables it.
    pub rollback: Option<Rollback>,
    /// For how long it went unprotected.
    pub unprotected: Unprotected,
}

/// What a jail does, or what keeps it from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It was seen alive at the last look.
    Protects,
    /// Whether it is alive is not known just now.
    Unknown,
    /// It should run, and is missing or without its threads; or the daemon is down.
    Dead,
    /// It is alive, and sees or does nothing.
    Ailing,
    /// It could not be revived or healed; it is tried again after a rest, and at once when the config changes.
    Lost,
    /// Somebody stopped it by hand, or stopped fail2ban.
    Held,
    /// A rollback of jailwarden's disables it.
    RolledBack,
    /// It is new, and waits on disk, as fail2ban would refuse it.
    Waiting,
}

/// A rollback that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rollback {
    /// The file that disables the jail.
    pub file: PathBuf,
    /// When it was written.
    pub when: String,
    /// Why.
    pub reason: String,
    /// When it is tried again by itself; none if it waits for a person.
    pub next_try: Option<Timestamp>,
}

/// Spans without protection, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unprotected {
    /// In the last 24 hours.
    pub day: f64,
    /// In the last 30 days.
    pub month: f64,
    /// Since jailwarden was installed, or its state was lost.
    pub total: f64,
}

/// One thing in the config that fail2ban would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// The jail that it takes down.
    pub jail: Option<String>,
    /// The file at fault.
    pub file: Option<PathBuf>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// fail2ban's own words.
    pub words: String,
    /// It keeps the whole daemon from starting.
    pub fatal: bool,
}

/// A pause that a person asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pause {
    /// Who, and why.
    pub why: String,
    /// When it ends by itself; it lasts until it is told to otherwise.
    pub until: Option<Timestamp>,
}

/// From the first sign that protection was lost to the proof that it is back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Incident {
    /// As in the journal's `JAILWARDEN_INCIDENT`.
    pub id: String,
    /// When protection was lost, as far as can be told.
    pub began: Timestamp,
    /// When it ended; none while it is under way.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub end: Option<End>,
    /// What was said of it first.
    pub what: String,
    /// For how long each jail went unprotected in it, in seconds.
    pub unprotected: BTreeMap<String, f64>,
    /// The jails that were disabled in its course.
    pub rolled_back: Vec<String>,
    /// How often every way back had failed.
    pub given_up: u32,
}

/// What is remembered of the last 30 days.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Since when jailwarden keeps watch here; what was before is not known.
    pub since: Timestamp,
    /// The incidents that ended, the last one first.
    pub incidents: Vec<Incident>,
    /// The hours in which a jail went unprotected, the last one at the end.
    pub hours: Vec<Hour>,
}

/// An hour of the clock in UTC in which a jail went unprotected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Hour {
    /// When it began.
    pub began: Timestamp,
    /// For how long the jail that lacked the most went unprotected in it, in seconds.
    pub longest: f64,
    /// How many jails went unprotected in it.
    pub jails: usize,
}

/// How an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Every jail that can protect does again.
    Protected,
    /// Somebody stopped fail2ban on purpose meanwhile.
    StoodBy,
}

/// One alert, as `alerts.command` gets it on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The host's name.
    pub host: String,
    /// Which instance tells it, as in `jailwarden@second.service`; none for that of the host's own fail2ban.
    pub instance: Option<String>,
    /// When.
    pub at: Timestamp,
    /// How loud: `alert`, `critical`, `error`, `warning`, `notice` or `info`.
    pub severity: String,
    /// What kind of thing happened, such as `rolled-back`.
    pub kind: String,
    /// The supervisor's state after it.
    pub state: String,
    /// The incident that it belongs to.
    pub incident: Option<String>,
    /// The jails concerned.
    pub jails: Vec<String>,
    /// The file at fault or written.
    pub file: Option<PathBuf>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// Why, in fail2ban's or systemd's own words where they gave any.
    pub reason: Option<String>,
    /// What happened, and what to do next.
    pub message: String,
    /// How many alerts before this one were left out, as there were too many.
    pub left_out: u64,
}

/// What happened, one thing after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Happening {
    /// Counts up by one from the start of this jailwarden.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The supervisor's state after it.
    pub state: String,
    /// The report's kind, such as `rolled-back`; none where only the state changed.
    pub kind: Option<String>,
    /// The incident that it belongs to.
    pub incident: Option<String>,
    /// The jails concerned.
    pub jails: Vec<String>,
    /// What happened, why, and what to do; the state's own line where only that changed.
    pub text: String,
}
