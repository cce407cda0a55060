//! Whether the daemon that is awaited comes back: what each look shows, and what follows when its time
//! is up.

use super::absence::{self, Absence};
use super::event::{Daemon, Diagnosis, Outcome, Sight};
use super::restart::Step;
use super::{Effect, Machine, Policy, State};

impl Machine {
    /// The process of the daemon has ended while a restart was under way.
    pub(super) fn restart_exited(&mut self) {
        let State::Restarting(restart) = &mut self.state else {
            return;
        };
        restart.old = None;
        match restart.step {
            Step::Resuming { .. } | Step::Diagnosing(_) | Step::Stopping(_) => self.before_start(),
            Step::ComingBack { .. } => self.next_look = self.now,
            _ => {}
        }
    }

    /// A look while the daemon is awaited.
    pub(super) fn restart_seen(&mut self, sight: Sight) {
        let State::Restarting(restart) = &mut self.state else {
            return;
        };
        let (resuming, until) = match restart.step {
            Step::Resuming { until, .. } => (true, until),
            Step::ComingBack { until } => (false, until),
            _ => return,
        };
        self.next_look = self.now + Policy::FAST_PACE;
        match sight.daemon {
            Daemon::Answers { pid, .. } => {
                if resuming {
                    self.disk.distrust(self.now);
                }
                if resuming || self.not_alive().is_empty() {
                    return self.back();
                }
                if let State::Restarting(restart) = &mut self.state {
                    restart.old = Some(pid);
                    restart.failure = "it answers, but not one of its jails runs".into();
                }
            }
            Daemon::Silent { pid, .. } => {
                restart.old = pid.or(restart.old);
                restart.failure = "it does not answer".into();
            }
            Daemon::Absent {
                process: Some(pid),
                why,
                ..
            } => {
                restart.old = Some(pid);
                restart.failure = why;
            }
            Daemon::Absent {
                process: None, why, ..
            } => {
                restart.old = None;
                restart.failure = why;
                self.forget_daemon();
                if let Some(unit) = sight.unit.filter(|_| !resuming) {
                    match absence::read(Some(&unit), false) {
                        Absence::Failed(why) => return self.not_back(&why),
                        Absence::Broken(why) => return self.give_up(&why),
                        Absence::Deliberate(why) => return self.stand_by(why),
                        Absence::AtWork | Absence::Unpacked(_) => {}
                    }
                }
            }
        }
        if self.now >= until {
            self.restart_overdue();
        }
    }

    /// The step's time is up.
    pub(super) fn restart_overdue(&mut self) {
        let State::Restarting(restart) = &self.state else {
            return;
        };
        let failure = restart.failure.clone();
        match restart.step.clone() {
            Step::Resuming { .. } => match restart.old {
                Some(pid) => self.diagnose(pid),
                None => self.before_start(),
            },
            Step::Stopping(stop) => self.stop_overdue(&stop),
            Step::ComingBack { .. } if self.not_alive().len() < self.expected().len() => {
                self.back();
            }
            Step::ComingBack { .. } => self.not_back(&failure),
            _ => {}
        }
    }

    /// Every jail that should run does, or at the deadline some do: the rest is for `assess`.
    fn back(&mut self) {
        self.look = None;
        self.watch();
        if self.disk.reading.is_none() {
            self.disk.touch(self.now);
        }
        self.assess_jails();
    }

    fn not_back(&mut self, why: &str) {
        self.look = None;
        if let State::Restarting(restart) = &mut self.state {
            why.clone_into(&mut restart.failure);
        }
        match self.idle_since_start() {
            Some(pid) => {
                let id = self.run(Effect::Diagnose { pid });
                self.step(Step::Examining(id));
            }
            None => match self.found_burning() {
                Some(words) => {
                    self.say_hung(&words);
                    self.prepare();
                }
                None => self.next_rung(),
            },
        }
    }

    /// What the process that was started last does instead of running its jails, if a jail's filter is what
    /// it is at.
    fn found_burning(&mut self) -> Option<String> {
        match &mut self.state {
            State::Restarting(restart) if restart.burning.is_some() => restart.examined.take(),
            _ => None,
        }
    }

    /// The process that was started and runs no jail, if it was not yet found out why. It may answer before its
    /// config is read, and after that was refused.
    fn idle_since_start(&self) -> Option<u32> {
        match &self.state {
            State::Restarting(restart)
                if restart.burning.is_none() && restart.examined.is_none() =>
            {
                restart.old
            }
            _ => None,
        }
    }

    /// Whether it is still being started, with much to load or on a slow machine, and has more time to
    /// be back: it is no fault of a jail that there are many.
    fn is_slow(&mut self) -> bool {
        let now = self.now;
        let State::Restarting(restart) = &mut self.state else {
            return false;
        };
        let Some((given, told)) = restart.given else {
            return false;
        };
        let waited = now.since(given);
        if waited >= self.policy.busy_limit.max(self.policy.comeback) {
            return false;
        }
        restart.given = Some((given, true));
        let until = now + Policy::SUSPECT_PACE;
        restart.step = Step::ComingBack { until };
        self.next_look = now;
        if !told {
            self.say_slow_start(waited);
        }
        true
    }

    /// It was started and hangs again: what is in a log may make each process do so.
    pub(super) fn examined(&mut self, outcome: Outcome) {
        let State::Restarting(restart) = &mut self.state else {
            return;
        };
        let diagnosis = match outcome {
            Outcome::Diagnosis(diagnosis) => diagnosis,
            _ => Diagnosis::default(),
        };
        restart.burning = diagnosis.burning;
        if diagnosis.busy && self.is_slow() {
            return;
        }
        let now = self.now;
        let State::Restarting(restart) = &mut self.state else {
            return;
        };
        // It may have come back meanwhile.
        restart.examined = Some(diagnosis.words);
        restart.step = Step::ComingBack { until: now };
        self.next_look = now;
    }
}
