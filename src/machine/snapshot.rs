//! The machine's state in words, for `STATUS=` and for whoever asks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use super::assess::{Sign, Suspect};
use super::event::Finding;
use super::incident::IncidentView;
use super::time::MonoTime;
use super::words::{fault, names};
use super::{Machine, State};

/// What is true now, without a way to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state's name: `healthy`, `restarting`, …
    pub state: &'static str,
    /// Since when it is in that state.
    pub since: MonoTime,
    /// One line for a person.
    pub text: String,
    /// When what is waited for now must have come: the daemon, or the next try after giving up.
    pub deadline: Option<MonoTime>,
    /// How many jails should run.
    pub expected: usize,
    /// How many jails fail2ban listed at the last look, whether they should run or not; 0 when the daemon is
    /// not running or does not answer.
    pub listed: usize,
    /// How many of them were seen alive at the last look; 0 when the daemon is not running.
    pub alive: usize,
    /// The daemon's process, if it is known to live.
    pub pid: Option<u32>,
    /// When that process was seen first.
    pub first_seen: Option<MonoTime>,
    /// How long it took to answer the last ping; `None` if it did not.
    pub ping: Option<Duration>,
    /// Every jail that should run, or that something keeps from running.
    pub jails: BTreeMap<String, JailView>,
    /// For how long each jail has gone unprotected, over all that is remembered.
    pub unprotected: BTreeMap<String, Duration>,
    /// What fail2ban would refuse of what is on disk.
    pub findings: Vec<Finding>,
    /// fail2ban's database is in memory, by a file of ours.
    pub in_memory: bool,
    /// Why a person paused jailwarden, and when the pause ends by itself.
    pub pause: Option<(String, Option<MonoTime>)>,
    /// The incident under way.
    pub incident: Option<IncidentView>,
}

/// One jail as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailView {
    /// What it does, or what keeps it from that.
    pub condition: Condition,
    /// Whether fail2ban listed it at the last look; `None` when that did not answer.
    pub listed: Option<bool>,
    /// Why, where that is known.
    pub why: Option<String>,
    /// When it is tried again without its rollback.
    pub next_try: Option<MonoTime>,
}

/// What a jail does, or what keeps it from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// A rollback of ours disables it.
    RolledBack,
    /// It is new, and waits on disk, as fail2ban would refuse it.
    Waiting,
}

/// Every name that [`Snapshot::state`] can have.
pub const STATES: [&str; 14] = [
    "starting",
    "healthy",
    "degraded",
    "settling",
    "suspect",
    "checking",
    "reloading",
    "restarting",
    "rolling-back",
    "mending",
    "standby",
    "paused",
    "gave-up",
    "ended",
];

impl Machine {
    /// Why the daemon is being restarted, in a word; `None` where it is not.
    #[must_use]
    pub fn restart_cause(&self) -> Option<&'static str> {
        match &self.state {
            State::Restarting(restart) => Some(restart.cause.name()),
            _ => None,
        }
    }

    /// What is true now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let (alive, expected) = self.counts();
        Snapshot {
            state: self.state_name(),
            expected,
            listed: self.daemon.ping.map_or(0, |_| self.daemon.listed.len()),
            alive,
            unprotected: self.unprotected(),
            since: self.state_since.1,
            text: self.status_line(),
            deadline: self.deadline(),
            pid: self.daemon.pid,
            first_seen: self.daemon.pid.map(|_| self.daemon.first_seen),
            ping: self.daemon.ping,
            jails: self.jail_views(),
            findings: self
                .refusal
                .iter()
                .flat_map(|r| r.findings.clone())
                .collect(),
            in_memory: self.in_memory.stands,
            pause: self
                .pause
                .as_ref()
                .map(|pause| (pause.why.clone(), pause.until)),
            incident: self.incident_view(),
        }
    }

    /// One line for a person, as in `STATUS=`.
    #[must_use]
    pub fn status_line(&self) -> String {
        let (alive, expected) = self.counts();
        self.status_text(alive, expected)
    }

    /// How many jails were seen alive at the last look, of how many that should run.
    fn counts(&self) -> (usize, usize) {
        let expected = self.expected().len();
        let alive = match self.daemon.ping {
            Some(_) => expected - self.not_alive().len(),
            None => 0,
        };
        (alive, expected)
    }

    /// Notes since when the state has its name.
    pub(super) fn note_state(&mut self) {
        let name = self.state_name();
        if self.state_since.0 != name {
            self.state_since = (name, self.now);
        }
    }

    fn deadline(&self) -> Option<MonoTime> {
        match &self.state {
            State::Restarting(restart) => restart.comes_back_until().or_else(|| restart.deadline()),
            State::GaveUp { retry_at, .. } => Some(*retry_at),
            _ => None,
        }
    }

    fn jail_views(&self) -> BTreeMap<String, JailView> {
        let refused = self.refused_jails();
        let accepted = self.accepted.jails.keys();
        let all = accepted
            .chain(&self.held)
            .chain(&self.rollbacks)
            .chain(&refused);
        let view = |jail: &String| {
            let condition = self.condition(jail);
            let view = JailView {
                condition,
                listed: self.daemon.ping.map(|_| self.daemon.listed.contains(jail)),
                why: self.why(jail, condition),
                next_try: self.next_try(jail),
            };
            (jail.clone(), view)
        };
        all.map(view).collect()
    }

    fn condition(&self, jail: &str) -> Condition {
        if self.rollbacks.contains(jail) {
            return Condition::RolledBack;
        }
        let stopped = matches!(
            self.state,
            State::Standby { .. } | State::Paused { stood_by: Some(_) }
        );
        if self.held.contains(jail) || stopped {
            return Condition::Held;
        }
        if self.lost.contains(jail) {
            return Condition::Lost;
        }
        if !self.accepted.jails.contains_key(jail) {
            return Condition::Waiting;
        }
        match self.protects(jail) {
            Some(true) => Condition::Protects,
            Some(false) if self.ails(jail) => Condition::Ailing,
            Some(false) => Condition::Dead,
            None => Condition::Unknown,
        }
    }

    /// Why a jail does not run as it stands on disk.
    fn why(&self, jail: &str, condition: Condition) -> Option<String> {
        if condition == Condition::Ailing {
            return self.ailing.get(jail).map(|it| it.ailment.words.clone());
        }
        let mut findings = self.refusal.iter().flat_map(|r| &r.findings);
        let finding = findings.find(|f| f.jail.as_deref() == Some(jail))?;
        Some(fault(finding))
    }

    /// The digests that an `Apply` may name from now on.
    #[must_use]
    pub fn digests(&self) -> HashSet<u128> {
        let disk = self.disk.reading.as_ref().and_then(|r| r.plan.as_ref());
        let plans = [Some(&self.accepted), disk].into_iter().flatten();
        plans
            .flat_map(|plan| plan.jails.values().map(|j| j.digest).chain([plan.server]))
            .collect()
    }

    /// The state's name as it appears in the journal and in `STATUS=`.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match &self.state {
            State::Starting { .. } => "starting",
            State::Watching if self.disk.is_settling() => "settling",
            State::Watching if self.is_reduced() => "degraded",
            State::Watching => "healthy",
            State::Suspect(_) => "suspect",
            State::Checking { .. } => "checking",
            State::Reloading(_) => "reloading",
            State::Restarting(restart) if restart.is_rolling_back() => "rolling-back",
            State::Restarting(_) => "restarting",
            State::Mending(_) => "mending",
            State::Standby { .. } => "standby",
            State::Paused { .. } => "paused",
            State::GaveUp { .. } => "gave-up",
            State::Ended => "ended",
        }
    }

    fn paused_text(&self, alive: usize, expected: usize) -> String {
        let protects = match self.daemon.pid {
            Some(_) => format!("{alive} of {expected} jails protect"),
            None => "fail2ban is DOWN".to_owned(),
        };
        format!("paused{}: {protects}", self.pause_end())
    }

    fn is_reduced(&self) -> bool {
        let is_less = !self.rollbacks.is_empty() || self.in_memory.stands;
        self.refusal.is_some() || is_less || !self.lost.is_empty()
    }

    fn status_text(&self, alive: usize, expected: usize) -> String {
        let mut text = match &self.state {
            State::Starting { .. } => return "starting: taking a first look".to_owned(),
            State::Standby { why } => {
                return format!("standby: fail2ban is stopped on purpose ({why})");
            }
            State::GaveUp {
                attempt, packages, ..
            } => {
                let when = if *packages {
                    "packages are being installed, and it is tried again once that is done"
                } else {
                    "it is tried again by itself"
                };
                let times = attempt + 1;
                let what = match self.daemon.pid {
                    Some(_) => "fail2ban lives and protects nothing",
                    None => "fail2ban is DOWN",
                };
                format!("gave up: {what} (tried {times} times); {when}")
            }
            State::Ended => return "ended".to_owned(),
            State::Paused { .. } => self.paused_text(alive, expected),
            State::Suspect(Suspect {
                sign: Sign::AtWork { packages: true, .. },
                ..
            }) => "suspect: fail2ban is DOWN; packages are being installed, and it is not started \
                   before that is done"
                .to_owned(),
            State::Suspect(Suspect {
                sign: Sign::Leaving(leaving),
                ..
            }) if leaving.told => {
                "suspect: systemd stops fail2ban, which hangs before its end".to_owned()
            }
            _ => format!("{}: {alive} of {expected} jails protect", self.state_name()),
        };
        for (what, set) in [
            ("stopped by hand", &self.held),
            ("disabled by a rollback", &self.rollbacks),
            ("of these for a person to mend", &self.hopeless()),
            ("without protection", &self.lost),
            ("a faulty change waits for", &self.refused_jails()),
        ] {
            add(&mut text, what, set);
        }
        if self.refusal.is_some() && self.refused_jails().is_empty() {
            text.push_str("; a faulty change waits on disk");
        }
        if self.in_memory.stands {
            text.push_str("; the database is in memory, as its file could not be written");
        }
        text
    }
}

fn add(text: &mut String, what: &str, set: &BTreeSet<String>) {
    if !set.is_empty() {
        text.push_str("; ");
        text.push_str(what);
        text.push_str(": ");
        text.push_str(&names(set));
    }
}
