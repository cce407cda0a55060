//! A database that is damaged: it is moved aside between two runs of the daemon, and kept.
//!
//! A daemon that runs bans as before, but fails with each write: it loses the jail that it is told to load, its
//! filters go on for ever when they are told to stop, and it does not end by itself. A start moves away only what
//! it sees to be no database at once, and is refused for what it finds out later (`server/database.py`,
//! `server/filter.py`; measured with 1.0.2 and 1.1.1).

use std::path::PathBuf;

use super::ladder::{Rung, What};
use super::restart::Cause;
use super::{Machine, State};

impl Machine {
    /// Restarts a daemon that can take no change for it, where that loses nothing: its start must be safe, but
    /// for what hinders it now, or it protects nobody. Whether it is being restarted.
    pub(super) fn renew_database_if_due(&mut self) -> bool {
        let Some(why) = self.daemon.damaged.clone() else {
            return false;
        };
        let failing = self.disk.why_failing();
        let can_be_read = failing.is_none() || failing == self.hindrance.as_deref();
        let is_safe = can_be_read && self.refusal.is_none() && self.is_replaceable();
        let missing = self.not_alive();
        let protects_nobody = !missing.is_empty() && missing == self.expected();
        let costs_nothing = protects_nobody && !self.is_masked();
        if !(is_safe || costs_nothing) || self.budget_is_spent() {
            return false;
        }
        self.restart(Cause::Damaged(why), self.daemon.pid);
        true
    }

    /// No daemon runs: the one that was restarted for it gets another. Whether that was begun.
    pub(super) fn set_aside_if_damaged(&mut self) -> bool {
        let is_damaged =
            matches!(&self.state, State::Restarting(r) if matches!(r.cause, Cause::Damaged(_)));
        let aside = Rung::blamed(What::Aside);
        match self.worth_taking(aside).filter(|_| is_damaged) {
            Some(rung) => {
                self.take(&rung);
                true
            }
            None => false,
        }
    }

    /// It is out of the way.
    pub(super) fn was_set_aside(&mut self, moved: Option<PathBuf>, reason: &str) {
        if let Some(path) = moved {
            self.say_set_aside(path, reason);
        }
        if let State::Restarting(restart) = &mut self.state {
            // If it does not come back even so, there is something else.
            restart.cured = true;
        }
        self.proceed();
    }
}
