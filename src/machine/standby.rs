//! Taking stock at the start, and leaving a daemon alone that somebody stopped.

use super::absence::Absence;
use super::event::{ConfigRead, Daemon, Outcome, Sight, Unit};
use super::intent::LOST;
use super::ladder::What;
use super::leaving::WHILE_STOPPED;
use super::restart::Cause;
use super::{InVain, Machine, Policy, Spurned, Start, State};

impl Machine {
    /// Once both the first reading and the first look are in: what is true, and what follows.
    pub(super) fn take_stock(&mut self) {
        let State::Starting {
            find: None,
            config: Some(_),
            sight: Some(_),
            ..
        } = &self.state
        else {
            return;
        };
        let State::Starting {
            config: Some(config),
            sight: Some(sight),
            found,
            ..
        } = std::mem::replace(&mut self.state, State::Watching)
        else {
            return;
        };
        self.know_config(&config, &sight);
        self.say_supervising(&sight);
        let undecided = self.settle_intent(&config, found);
        let absence = match sight.daemon {
            Daemon::Absent {
                process: None,
                traces,
                ..
            } => Some(self.absence(&sight, traces)),
            _ => None,
        };
        // What jailwarden itself stopped is started first.
        let interrupted = absence.is_some() && self.is_our_stop(sight.unit.as_ref());
        if self.pause.is_some() && !interrupted {
            if let Some(absence) = absence.filter(|_| self.saved.standby) {
                let unseen = || "it was stopped before jailwarden began".to_owned();
                let why = self.ended_in_stop(&absence).unwrap_or_else(unseen);
                self.state = State::Standby { why };
            }
            return self.enter_pause();
        }
        self.next_look = self.now;
        if let Some(left) = self.still_waits(&config, &sight) {
            if let ConfigRead::Read(reading) = config {
                self.note_reading(*reading);
            }
            return self.go_on_waiting(left);
        }
        if let Daemon::Absent {
            process: None,
            traces,
            ..
        } = sight.daemon
        {
            if let ConfigRead::Read(reading) = config {
                self.note_reading(*reading);
            }
            return self.found_absent(sight, traces);
        }
        let comes_up = match sight.daemon {
            Daemon::Answers { .. } => {
                self.saved.start.is_some() && self.not_alive().len() == self.expected().len()
            }
            _ => self.saved.start == Some(Start::Given),
        };
        if comes_up {
            if let ConfigRead::Read(reading) = config {
                self.note_reading(*reading);
            }
            return match self.failed_before(&sight).filter(|_| !undecided) {
                Some(pid) => self.restart(Cause::Interrupted, Some(pid)),
                None => self.await_start(sight),
            };
        }
        if let ConfigRead::Read(reading) = config {
            self.apply_reading(*reading);
        }
        if matches!(self.state, State::Watching) {
            self.assess(sight);
        }
    }

    /// The process of a start that came to nothing, if something was done about that: what comes next is another
    /// start, with that, and not to wait for this one anew.
    fn failed_before(&self, sight: &Sight) -> Option<u32> {
        let Daemon::Answers { pid, .. } = &sight.daemon else {
            return None;
        };
        let is_it = self.saved.start == Some(Start::Due) && self.saved.process == Some(*pid);
        let leaves = sight.unit.as_ref().is_some_and(Unit::is_being_stopped);
        (is_it && !leaves).then_some(*pid)
    }

    /// What came of something that was begun before jailwarden was killed is found out, or not.
    pub(super) fn found(&mut self, outcome: Outcome) {
        let unknown = match &outcome {
            Outcome::PutBack(Ok(_)) | Outcome::Aside(Ok(_)) | Outcome::Rollbacks(_) => None,
            Outcome::PutBack(Err(why)) | Outcome::Aside(Err(why)) => Some(why.as_str()),
            _ => Some(LOST),
        };
        let what = self.saved.intent.as_ref().map(|intent| intent.what.clone());
        // Whether a jail is disabled, the reading may tell.
        let what = what.filter(|what| !matches!(what, What::Disable(_)));
        if let (Some(what), Some(why)) = (what, unknown) {
            self.say_not_found_out(&what, why);
        }
        if let State::Starting { find, found, .. } = &mut self.state {
            *find = None;
            *found = Some(outcome);
        }
        self.take_stock();
    }

    fn found_absent(&mut self, sight: Sight, traces: bool) {
        self.forget_daemon();
        let absence = self.absence(&sight, traces);
        let ended = self.ended_in_stop(&absence);
        match absence {
            Absence::AtWork | Absence::Unpacked(_) => self.assess(sight),
            _ if self.is_our_stop(sight.unit.as_ref()) => {
                self.restart(Cause::Interrupted, None);
            }
            Absence::Deliberate(_) if sight.unit.is_none() && !self.saved.standby => {
                self.restart(Cause::NotRunning, None);
            }
            Absence::Deliberate(why) => self.stand_by(why),
            Absence::Failed(why) | Absence::Broken(why) => match ended {
                Some(why) => self.stand_by(why),
                None => self.restart(Cause::Down(why), None),
            },
        }
    }

    /// What the daemon runs is what it was last told, if that is remembered; else what is on
    /// disk, if that can be read; else what it lists.
    fn know_config(&mut self, config: &ConfigRead, sight: &Sight) {
        let as_before = matches!(config, ConfigRead::Read(reading)
            if self.saved.config == Some(reading.fingerprint));
        let is_another = match &sight.daemon {
            Daemon::Answers { pid, .. } => self.saved.process != Some(*pid),
            _ => false,
        };
        let ours = self.saved.start.is_some() || self.saved.stopping;
        if !as_before || is_another && !ours {
            self.forget_dead();
        }
        if is_another && !ours {
            self.to_stop.clear();
            self.spurned = Spurned::default();
        }
        if let ConfigRead::Read(reading) = config {
            self.rollbacks.clone_from(&reading.rollbacks);
            if self.guesses.is_empty() && self.in_vain.config != Some(reading.fingerprint) {
                self.in_vain = InVain::default();
            }
            if self.saved.accepted.is_none()
                && let Some(plan) = &reading.plan
            {
                self.accepted = plan.clone();
            }
        } else {
            self.disk.touch(self.now);
        }
    }

    /// Whether jailwarden itself may have left it stopped: never where somebody masked the unit.
    pub(super) fn is_our_stop(&self, unit: Option<&Unit>) -> bool {
        self.stopping && unit.is_none_or(|unit| !unit.is_masked())
    }

    pub(super) fn stand_by(&mut self, why: String) {
        self.abandon_incident();
        self.in_vain = InVain::default();
        self.stopping = false;
        self.client_restarts = false;
        self.being_stopped &= why.ends_with(WHILE_STOPPED);
        self.say_standby(&why);
        self.state = State::Standby { why };
        self.next_look = self.now + self.policy.interval;
    }

    pub(super) fn standby_seen(&mut self, sight: Sight) {
        self.next_look = self.now + self.policy.interval;
        match &sight.daemon {
            Daemon::Answers { .. } => {
                self.disk.distrust(self.now);
                self.watch();
                self.assess(sight);
            }
            Daemon::Silent { .. }
            | Daemon::Absent {
                process: Some(_), ..
            } => {
                self.watch();
                self.assess(sight);
            }
            Daemon::Absent {
                process: None,
                traces,
                ..
            } => match self.absence(&sight, *traces) {
                Absence::AtWork => self.next_look = self.now + Policy::SUSPECT_PACE,
                // It is the end of the stop that made jailwarden stand by.
                absence
                    if matches!(&self.state, State::Standby { why }
                        if self.ended_in_stop(&absence).as_ref() == Some(why)) => {}
                // Somebody started it: it is waited for no longer than for any other.
                Absence::Failed(why) | Absence::Broken(why) => {
                    self.being_stopped = false;
                    self.release_all();
                    self.restart(Cause::Down(why), None);
                }
                Absence::Unpacked(_) => {
                    self.being_stopped = false;
                    self.release_all();
                    self.watch();
                    self.assess(sight);
                }
                Absence::Deliberate(_) => {}
            },
        }
    }
}
