//! Giving up for a while: the budget, the waits, and what ends them.

use super::absence::Absence;
use super::event::{ActionId, ConfigRead, Daemon, Outcome, Sight};
use super::mend::why_not;
use super::restart::Cause;
use super::time::MonoTime;
use super::{Answer, Effect, Guesses, InVain, Machine, Policy, State};

/// Whose change it is that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// jailwarden took its guesses back; the fingerprint before it made them.
    Us {
        before: Option<u128>,
    },
    Others,
}

/// What was done on a guess is being taken back.
#[derive(Debug, Clone)]
pub(super) enum Undo {
    /// That it did not help goes to disk first, so that it is not done again.
    Saving(ActionId, Guesses),
    Removing(ActionId, Guesses),
}

impl Undo {
    pub(super) fn awaits(&self, id: ActionId) -> bool {
        let (Self::Saving(i, _) | Self::Removing(i, _)) = self;
        *i == id
    }
}

impl Machine {
    pub(super) fn budget_is_spent(&mut self) -> bool {
        self.forget_old_starts();
        self.starts.len() >= Policy::RESTART_BUDGET
    }

    /// How many starts count against the budget now.
    pub(super) fn recent_starts(&self) -> usize {
        let recent = |at: &&MonoTime| self.now.since(**at) < Policy::BUDGET_WINDOW;
        self.starts.iter().filter(recent).count()
    }

    fn forget_old_starts(&mut self) {
        let now = self.now;
        self.starts
            .retain(|at| now.since(*at) < Policy::BUDGET_WINDOW);
    }

    pub(super) fn give_up(&mut self, why: &str) {
        let in_incident = self.incident.as_mut().map_or(0, |incident| {
            incident.given_up += 1;
            incident.given_up - 1
        });
        // A daemon that comes back only to die again ends each incident: its starts are counted.
        self.forget_old_starts();
        let over_budget = self.starts.len().saturating_sub(Policy::RESTART_BUDGET);
        let attempt = in_incident.max(u32::try_from(over_budget).unwrap_or(u32::MAX));
        let wait = Policy::BACKOFF_START
            .saturating_mul(1 << attempt.min(10))
            .min(Policy::BACKOFF_LIMIT);
        // Hosts that fail together should not all start again in the same second.
        let jitter = wait / 10 * (self.seed % 8) / 8;
        let retry_at = self.now + wait + jitter;
        self.look = None;
        self.next_look = retry_at.min(self.now + self.policy.interval);
        self.say_gave_up(why, wait + jitter);
        self.fail_command(Answer::NotBack {
            why: why.to_owned(),
            suspect: None,
        });
        self.state = State::GaveUp {
            attempt,
            retry_at,
            read: None,
            undo: None,
            packages: false,
        };
        self.take_back_guesses();
    }

    /// What was done on a guess and did not help is not to blame: its jails shall run, and its
    /// files count, as soon as the cause is mended.
    fn take_back_guesses(&mut self) {
        if self.guesses.is_empty() {
            return;
        }
        let guesses = self.guesses.clone();
        let stood = guesses.jails.intersection(&self.rollbacks).cloned();
        self.in_vain.jails.extend(stood);
        self.in_vain.files |= !guesses.replaced.is_empty();
        self.in_vain.config = guesses.before;
        if let Some(incident) = &mut self.incident {
            incident
                .rolled_back
                .retain(|jail| !guesses.jails.contains(jail));
        }
        let id = self.save();
        self.saving = Some(id);
        if let State::GaveUp { undo, .. } = &mut self.state {
            *undo = Some(Undo::Saving(id, guesses));
        }
    }

    /// A step of the taking back has ended.
    pub(super) fn undo_done(&mut self, outcome: Outcome) {
        let State::GaveUp { undo, .. } = &mut self.state else {
            return;
        };
        match undo.take() {
            Some(Undo::Saving(_, guesses)) => {
                self.save_done(&outcome);
                let id = self.run(Effect::TakeBack {
                    jails: guesses.jails.iter().cloned().collect(),
                    replaced: guesses.replaced.clone(),
                    in_memory: guesses.in_memory,
                });
                if let State::GaveUp { undo, .. } = &mut self.state {
                    *undo = Some(Undo::Removing(id, guesses));
                }
            }
            Some(Undo::Removing(_, guesses)) => self.guesses_taken_back(&guesses, outcome),
            None => {}
        }
    }

    fn guesses_taken_back(&mut self, guesses: &Guesses, outcome: Outcome) {
        if !matches!(outcome, Outcome::Effect(Ok(()))) {
            return self.say_not_taken_back(guesses, &why_not(outcome));
        }
        self.guesses = Guesses::default();
        let mut told = guesses.clone();
        told.jails.retain(|jail| self.rollbacks.remove(jail));
        told.in_memory &= std::mem::take(&mut self.in_memory.stands);
        if !told.is_empty() {
            self.say_taken_back(&told);
        }
        // Our own change is no reason to try again at once.
        self.disk.begin();
        let id = self.run(Effect::ReadConfig { known: None });
        if let State::GaveUp { read, .. } = &mut self.state {
            *read = Some((
                id,
                By::Us {
                    before: guesses.before,
                },
            ));
        }
    }

    /// Something touched the config folder: perhaps only our own write, so its content decides.
    pub(super) fn read_given_up(&mut self) {
        let known = self.disk.begin();
        let id = self.run(Effect::ReadConfig { known });
        if let State::GaveUp { read, .. } = &mut self.state {
            *read = Some((id, By::Others));
        }
    }

    /// A config that somebody changed is tried at once; our own taking back is no reason to.
    pub(super) fn gave_up_read(&mut self, config: ConfigRead) {
        let State::GaveUp { read, .. } = &mut self.state else {
            return;
        };
        let (by_us, known) = match read.take() {
            Some((_, By::Us { before })) => (true, before),
            _ => (false, self.disk.reading.as_ref().map(|r| r.fingerprint)),
        };
        let differs = match &config {
            ConfigRead::Read(reading) => known.map_or(!by_us, |known| reading.fingerprint != known),
            ConfigRead::Unchanged | ConfigRead::Failed(_) => false,
        };
        self.take_reading(config);
        // Whoever, or whatever, changes it again and again waits as long as any other.
        self.forget_old_starts();
        let too_often = self.starts.len() >= 2 * Policy::RESTART_BUDGET;
        if differs && !by_us {
            self.hint_mends();
        }
        if !differs || too_often {
            return;
        }
        self.in_vain = InVain::default();
        if let State::GaveUp { retry_at, .. } = &mut self.state {
            *retry_at = self.now;
            self.next_look = self.now;
        }
    }

    /// Tries again once the time has come, unless the look shows that somebody started or stopped
    /// the daemon meanwhile, or that it protects at least in part.
    pub(super) fn gave_up_seen(&mut self, sight: Sight, new: bool) {
        let missing = self.not_alive();
        let protects = matches!(sight.daemon, Daemon::Answers { .. })
            && (missing.is_empty() || missing != self.expected());
        if new || protects {
            self.watch();
            return self.assess(sight);
        }
        if let Daemon::Absent {
            process: None,
            traces,
            ..
        } = sight.daemon
        {
            self.forget_daemon();
            let unit = sight.unit.as_ref();
            match unit.map(|_| self.absence(&sight, traces)) {
                Some(Absence::Deliberate(why)) if !self.is_our_stop(unit) => {
                    return self.stand_by(why);
                }
                // Not what our own stop left behind: a later stop is somebody else's.
                Some(Absence::Failed(_) | Absence::Broken(_) | Absence::Unpacked(_)) => {
                    self.stopping = false;
                }
                _ => {}
            }
        }
        let State::GaveUp {
            retry_at,
            read: None,
            undo: None,
            packages,
            ..
        } = &mut self.state
        else {
            // It would start with what is being taken back, or was not read yet.
            self.next_look = self.now + Policy::SUSPECT_PACE;
            return;
        };
        let retry_at = *retry_at;
        *packages = sight.packages && self.now.since(retry_at) < Policy::PACKAGES_LIMIT;
        let next = self.now + self.policy.interval;
        if *packages {
            self.next_look = next;
        } else if retry_at <= self.now {
            self.restart(Cause::Retry, self.daemon.pid);
        } else {
            self.next_look = retry_at.min(next);
        }
    }
}
