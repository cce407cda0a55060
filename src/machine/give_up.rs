//! Giving up for a while: the budget, the waits, and what ends them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::absence::Absence;
use super::event::{ActionId, ConfigRead, Daemon, Outcome, Sight};
use super::mend::{Mending, why_not};
use super::restart::Cause;
use super::time::MonoTime;
use super::{Answer, Effect, Guesses, InVain, Machine, Policy, State};

/// Whose change it is that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// jailwarden took its guesses back; the fingerprint before it made them.
    Us { before: Option<u128> },
    Others {
        /// What it needs may have come, though no byte of it differs.
        afresh: bool,
    },
}

/// How long it is waited for the next try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    attempt: u32,
    retry_at: MonoTime,
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

/// What outlives jailwarden of having given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GaveUp {
    /// How often every way back had failed in the incident under way.
    pub times: u32,
    /// For how long nothing was to be tried when this was written; none where something was.
    pub left: Option<Duration>,
}

impl GaveUp {
    /// What is left of it, `age` after it was written.
    pub(super) fn carried(self, age: Duration) -> Self {
        let most = Policy::BACKOFF_LIMIT + Policy::BACKOFF_LIMIT / 10;
        let left = self.left.map(|it| it.saturating_sub(age).min(most));
        Self { left, ..self }
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
        if let Some(incident) = &mut self.incident {
            incident.given_up = incident.given_up.saturating_add(1);
        }
        let attempt = self.attempt();
        let wait = Policy::BACKOFF_START
            .saturating_mul(1 << attempt.min(10))
            .min(Policy::BACKOFF_LIMIT);
        // Hosts that fail together should not all start again in the same second.
        let jitter = wait / 10 * (self.seed % 8) / 8;
        self.say_gave_up(why, wait + jitter);
        self.fail_command(Answer::NotBack {
            why: why.to_owned(),
            suspect: None,
        });
        self.wait_for_retry(attempt, wait + jitter);
    }

    /// The tries that came to nothing before this one.
    fn attempt(&mut self) -> u32 {
        let given_up = self.incident.as_ref().map_or(0, |it| it.given_up);
        // A daemon that comes back only to die again ends each incident: its starts are counted.
        self.forget_old_starts();
        let over_budget = self.starts.len().saturating_sub(Policy::RESTART_BUDGET);
        let over_budget = u32::try_from(over_budget).unwrap_or(u32::MAX);
        given_up.saturating_sub(1).max(over_budget)
    }

    fn wait_for_retry(&mut self, attempt: u32, wait: Duration) {
        let retry_at = self.now + wait;
        self.look = None;
        self.next_look = retry_at.min(self.now + self.policy.interval);
        self.state = State::GaveUp {
            attempt,
            retry_at,
            read: None,
            undo: None,
            packages: false,
        };
        self.take_back_guesses();
    }

    /// A mend in between has got further, or to its end: then it is waited on, but for what its own change brings.
    pub(super) fn wait_on(&mut self, backoff: Backoff) {
        let read = match &mut self.state {
            State::Mending(mending) => {
                mending.gave_up = Some(backoff);
                return;
            }
            State::Checking { read, .. } => Some((*read, By::Others { afresh: false })),
            _ => None,
        };
        let Backoff { attempt, retry_at } = backoff;
        self.next_look = self.next_look.min(retry_at);
        self.state = State::GaveUp {
            attempt,
            retry_at,
            read,
            undo: None,
            packages: false,
        };
    }

    /// What a jailwarden has to know that comes after this one.
    pub(super) fn having_given_up(&self) -> GaveUp {
        let before = self.gave_up_before;
        let left = match &self.state {
            State::GaveUp { retry_at, .. }
            | State::Mending(Mending {
                gave_up: Some(Backoff { retry_at, .. }),
                ..
            }) => Some(retry_at.since(self.now)),
            _ => None,
        };
        GaveUp {
            times: self.incident.as_ref().map_or(before, |it| it.given_up),
            left,
        }
    }

    /// For how long jailwarden would still wait if it had not been killed: as long as no config that it does not
    /// know, no other process, and no doing of anybody's is a reason to try at once.
    pub(super) fn still_waits(&self, config: &ConfigRead, sight: &Sight) -> Option<Duration> {
        let left = self.saved.gave_up.left?;
        let known = [self.saved.config, self.saved.in_vain.config];
        let is_known = match config {
            ConfigRead::Read(reading) => known.contains(&Some(reading.fingerprint)),
            ConfigRead::Unchanged | ConfigRead::Failed(_) => true,
        };
        let is_down = match &sight.daemon {
            Daemon::Answers { .. } => {
                self.daemon.pid == self.saved.process && self.not_alive() == self.expected()
            }
            Daemon::Silent { pid, .. }
            | Daemon::Absent {
                process: pid @ Some(_),
                ..
            } => pid.is_none() || *pid == self.saved.process,
            Daemon::Absent {
                process: None,
                traces,
                ..
            } => match self.absence(sight, *traces) {
                Absence::Failed(_) | Absence::Broken(_) => true,
                Absence::Deliberate(_) => {
                    sight.unit.is_none() && !self.saved.standby
                        || self.is_our_stop(sight.unit.as_ref())
                }
                Absence::AtWork | Absence::Unpacked(_) => false,
            },
        };
        (is_down && is_known).then_some(left)
    }

    /// Every way back had failed when jailwarden was killed.
    pub(super) fn go_on_waiting(&mut self, left: Duration) {
        self.open_incident();
        self.say_gave_up("nothing has changed since jailwarden last tried", left);
        let attempt = self.attempt();
        self.wait_for_retry(attempt, left);
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

    /// Whether this jail's rollback was taken back, and the config has not been read since.
    pub(super) fn is_taken_back(&self, jail: &str) -> bool {
        let read = self.disk.reading.as_ref();
        read.is_some_and(|it| it.rollbacks.contains(jail)) && !self.rollbacks.contains(jail)
    }

    /// Something touched the config folder: perhaps only our own write, so its content decides.
    pub(super) fn read_given_up(&mut self) {
        let known = self.disk.begin();
        let id = self.run(Effect::ReadConfig { known });
        if let State::GaveUp { read, .. } = &mut self.state {
            let afresh = known.is_none();
            *read = Some((id, By::Others { afresh }));
        }
    }

    /// A config that somebody changed is tried at once, and so it is where what it lacked has come or packages have
    /// changed; our own taking back is no reason to.
    pub(super) fn gave_up_read(&mut self, config: ConfigRead) {
        let State::GaveUp { read, .. } = &mut self.state else {
            return;
        };
        let last = self.disk.reading.as_ref().map(|r| r.fingerprint);
        let (by_us, known) = match read.take() {
            Some((_, By::Us { before })) => (true, before),
            Some((_, By::Others { afresh: true })) => (false, None),
            _ => (false, last),
        };
        let differs = match &config {
            ConfigRead::Read(reading) => known.map_or(!by_us, |known| reading.fingerprint != known),
            ConfigRead::Unchanged | ConfigRead::Failed(_) => false,
        };
        if !differs {
            self.hold_as_read(&config);
        }
        self.take_reading(config);
        let standing = self.rollbacks.clone();
        self.note_rollbacks(&standing);
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
        // To end it would be of no use, or it may protect though it cannot be asked.
        let is_unaskable = matches!(
            sight.daemon,
            Daemon::Absent {
                process: Some(_),
                ..
            }
        );
        let stays = self.daemon.pid.is_some()
            && (self.is_masked() || is_unaskable && !self.is_replaceable());
        let State::GaveUp {
            retry_at,
            read: None,
            undo: None,
            packages,
            attempt,
        } = &mut self.state
        else {
            // It would start with what is being taken back, or was not read yet.
            self.next_look = self.now + Policy::SUSPECT_PACE;
            return;
        };
        let (attempt, retry_at) = (*attempt, *retry_at);
        *packages = sight.packages && self.now.since(retry_at) < Policy::PACKAGES_LIMIT;
        let next = self.now + self.policy.interval;
        if *packages || stays {
            self.next_look = next;
        } else if retry_at <= self.now {
            // Whatever else was wrong then may be gone.
            let forgets = |each: u32| attempt % each == each - 1;
            if forgets(Policy::DISABLED_IN_VAIN) {
                self.in_vain.jails.clear();
            }
            self.in_vain.files &= !forgets(Policy::PUT_BACK_IN_VAIN);
            self.restart(Cause::Retry, self.daemon.pid);
        } else if !self.mend_given_up(Backoff { attempt, retry_at }) {
            self.next_look = retry_at.min(next);
        }
    }
}
