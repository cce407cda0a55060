//! The machine's state in words, for `STATUS=` and for whoever asks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use super::assess::{Sign, Suspect};
use super::words::names;
use super::{Machine, State};

/// What is true now, without a way to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state's name: `healthy`, `restarting`, …
    pub state: &'static str,
    /// One line for a person.
    pub text: String,
    /// How many jails should run.
    pub expected: usize,
    /// How many of them were seen alive at the last look; 0 when the daemon is not running.
    pub alive: usize,
    /// The daemon's process, if it is known to live.
    pub pid: Option<u32>,
    /// For how long each jail has gone unprotected, over all that is remembered.
    pub unprotected: BTreeMap<String, Duration>,
}

impl Machine {
    /// What is true now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let expected = self.expected().len();
        let alive = if self.daemon.ping.is_some() {
            expected - self.not_alive().len()
        } else {
            0
        };
        Snapshot {
            state: self.state_name(),
            text: self.status_text(alive, expected),
            expected,
            alive,
            pid: self.daemon.pid,
            unprotected: self.unprotected(),
        }
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
    pub(super) fn state_name(&self) -> &'static str {
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
        self.refusal.is_some() || !self.rollbacks.is_empty() || !self.lost.is_empty()
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
                format!("gave up: fail2ban is DOWN (tried {times} times); {when}")
            }
            State::Ended => return "ended".to_owned(),
            State::Paused { .. } => self.paused_text(alive, expected),
            State::Suspect(Suspect {
                sign: Sign::AtWork { packages: true },
                ..
            }) => "suspect: fail2ban is DOWN; packages are being installed, and it is not started \
                   before that is done"
                .to_owned(),
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
