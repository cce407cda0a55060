//! A database that cannot be written: fail2ban runs with one in memory until it can be.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Outcome;
use super::intent::Intent;
use super::mend::why_not;
use super::restart::{Cause, Step};
use super::time::MonoTime;
use super::{Effect, Machine, Policy, State};

/// So often in a row the file must be found to be writable: a lock of an instant may come between.
const LOOKS: u32 = 2;

/// What is known of a database in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct InMemory {
    /// A file of ours has it there.
    pub(super) stands: bool,
    /// Somebody took that file away, and the daemon that runs has it there still.
    pub(super) ended: bool,
    /// In how many looks in a row its own file could be written.
    writable: u32,
    /// How often it has been put there, and until when it stays.
    pub(super) times: u32,
    until: MonoTime,
}

/// What outlives jailwarden of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StandIn {
    /// The daemon has it in memory.
    pub runs: bool,
    /// Its file was seen to be writable, so that the next start may be with that.
    pub writable: bool,
    /// How often it has been put there.
    pub times: u32,
    /// For how long it stayed there at least, when this was written.
    pub left: Duration,
}

impl InMemory {
    /// Goes on with what a jailwarden knew that ended `age` ago.
    pub(super) fn carried(before: StandIn, age: Duration, now: MonoTime) -> Self {
        Self {
            // Until the config is read.
            stands: before.runs,
            ended: false,
            writable: if before.writable { LOOKS } else { 0 },
            times: before.times,
            until: now + before.left.saturating_sub(age).min(Policy::MEND_LIMIT),
        }
    }

    /// What a jailwarden has to know that comes after this one.
    pub(super) fn stand_in(&self, now: MonoTime) -> StandIn {
        StandIn {
            runs: self.stands || self.ended,
            writable: self.writable >= LOOKS,
            times: self.times,
            left: self.until.since(now),
        }
    }

    /// A look found that the file can be written, or not.
    pub(super) fn saw(&mut self, writable: bool) {
        let looks = (self.writable + 1).min(LOOKS);
        self.writable = if writable { looks } else { 0 };
    }

    /// The config was read.
    pub(super) fn read(&mut self, stands: bool) {
        self.ended = !stands && (self.ended || self.stands);
        self.stands = stands;
    }

    /// Whether it can go back to its file at the next start.
    pub(super) fn may_end(&self, now: MonoTime) -> bool {
        self.stands && self.writable >= LOOKS && self.until <= now
    }

    /// It stays for a while: the longer, the more often it came to that.
    fn stay(&mut self, now: MonoTime) {
        let wait = Policy::BACKOFF_START.saturating_mul(4_u32.saturating_pow(self.times));
        self.times = self.times.saturating_add(1);
        self.until = now + wait.min(Policy::MEND_LIMIT);
        self.writable = 0;
    }
}

impl Machine {
    /// The database is kept in memory as intended.
    pub(super) fn note_in_memory(&mut self, intent: &Intent) {
        self.guess_in_memory(intent);
        self.in_memory.stay(self.now);
        if !std::mem::replace(&mut self.in_vain.in_memory, true) {
            // With a database that can be used, what was of no use before may be.
            self.in_vain.jails.clear();
            self.in_vain.files = false;
        }
        self.say_in_memory(&intent.reason);
        if let State::Restarting(restart) = &mut self.state {
            // If it does not come back even so, there is something else.
            restart.cured = true;
        }
    }

    /// Whether it is as intended is not known; if the daemon does not come back, it is taken back.
    pub(super) fn guess_in_memory(&mut self, intent: &Intent) {
        self.guesses.before = self.guesses.before.or(intent.before);
        self.guesses.in_memory = true;
    }

    /// The file was written, and fail2ban reads another database all the same.
    pub(super) fn is_in_memory_in_vain(&mut self) -> bool {
        let reading = self.disk.reading.as_ref();
        let overruled = reading.is_some_and(|it| !it.in_memory);
        if overruled {
            self.say_in_memory_failed(
                "something that fail2ban reads later sets dbfile all the same",
            );
        }
        overruled
    }

    /// Every jail protects, and the database can be in its file again: fail2ban is restarted for that, since
    /// it cannot change its database while it has jails, and a reload of all of them would lose each
    /// (`setDatabase` of `server/server.py`, 1.0.2). Bans of the meantime are forgotten, but what was logged
    /// within `findtime` is read again, from where the file says.
    pub(super) fn end_in_memory_if_due(&mut self) {
        if !self.in_memory.stands && self.in_memory.until + Policy::BUDGET_WINDOW <= self.now {
            self.in_memory.times = 0;
        }
        let due = self.in_memory.may_end(self.now) || self.in_memory.ended;
        let calm = self.incident.is_none()
            && self.refusal.is_none()
            // A restart would start them, if only for a moment.
            && self.held.is_empty()
            && self.is_replaceable()
            && self.disk.is_read();
        if due && calm && !self.budget_is_spent() {
            self.restart(Cause::Database, self.daemon.pid);
        }
    }

    /// No daemon runs: the file is taken away before the next one starts.
    pub(super) fn end_in_memory(&mut self) {
        let id = self.run(Effect::TakeBack {
            jails: Vec::new(),
            replaced: Vec::new(),
            in_memory: true,
        });
        self.step(Step::EndingInMemory(id));
    }

    pub(super) fn in_memory_ended(&mut self, outcome: Outcome) {
        if matches!(outcome, Outcome::Effect(Ok(()))) {
            self.in_memory.stands = false;
        } else {
            self.say_in_memory_stays(&why_not(outcome));
            self.in_memory.stay(self.now);
        }
        self.disk.begin();
        let read = self.run(Effect::ReadConfig { known: None });
        self.step(Step::Reading(read));
    }
}
