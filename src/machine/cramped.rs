//! A daemon that may open no more files: it answers as ever, and no jail of it can do anything.

use super::event::{Daemon, Sight};
use super::restart::Cause;
use super::successor::Successor;
use super::time::MonoTime;
use super::{Machine, Policy};

/// Since when it is so, and why.
#[derive(Debug, Clone)]
pub(super) struct Cramped {
    pub(super) since: MonoTime,
    /// When it was last seen to be.
    seen: MonoTime,
    why: String,
    /// That a restart did not help, or may not be, was told.
    told: bool,
}

impl Machine {
    /// Takes in what a look says of that.
    pub(super) fn note_cramped(&mut self, sight: &Sight) {
        match (&sight.health.cramped, &sight.daemon) {
            (Some(why), _) => {
                let cramped = self.daemon.cramped.get_or_insert_with(|| Cramped {
                    since: self.now,
                    seen: self.now,
                    why: String::new(),
                    told: false,
                });
                cramped.seen = self.now;
                cramped.why.clone_from(why);
            }
            (None, Daemon::Answers { .. }) => self.daemon.cramped = None,
            (None, _) => {}
        }
    }

    /// Whether it lasts.
    pub(super) fn is_cramped(&self) -> bool {
        let cramped = self.daemon.cramped.as_ref();
        cramped.is_some_and(|it| it.seen.since(it.since) >= Policy::CRAMPED_FOR)
    }

    /// Restarts a daemon for which it lasts, once an hour: another process has what it was started with, and
    /// no file open that this one forgot to close. Whether it is being restarted.
    pub(super) fn relieve_if_due(&mut self) -> bool {
        let Some(cramped) = self.daemon.cramped.clone() else {
            return false;
        };
        let is_known = self.disk.is_known() && self.daemon.successor != Successor::Unknown;
        if !self.is_cramped() || !is_known {
            return false;
        }
        let is_due = self.relieved_until <= self.now;
        if is_due && self.is_replaceable() {
            self.relieved_until = self.now + Policy::CURE_WINDOW;
            self.restart(Cause::Cramped(cramped.why), self.daemon.pid);
            return true;
        }
        if !cramped.told {
            self.open_incident_since(cramped.since);
            self.say_still_cramped(&cramped.why, is_due);
            self.lost.extend(self.expected());
            if let Some(cramped) = &mut self.daemon.cramped {
                cramped.told = true;
            }
        }
        false
    }
}
