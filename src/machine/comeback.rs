//! Whether the daemon that is awaited comes back: what each look shows, and what follows when its time
//! is up.

use super::absence::{self, Absence};
use super::assess::Sign;
use super::event::{Daemon, Diagnosis, Outcome, Sight, Unit};
use super::restart::Step;
use super::{Effect, Machine, Policy, State};

impl Machine {
    /// The process of the daemon has ended while a restart was under way.
    pub(super) fn restart_exited(&mut self, was_masked: bool) {
        let State::Restarting(restart) = &mut self.state else {
            return;
        };
        restart.is_now(None);
        match restart.step {
            // Whether somebody wanted that is for a look to say.
            Step::Resuming { .. } if was_masked => {
                self.watch();
                self.next_look = self.now;
            }
            Step::Resuming { .. } | Step::Diagnosing(_) | Step::Stopping(_) => self.before_start(),
            Step::ComingBack { .. } => self.next_look = self.now,
            // Nobody answers for a process that is gone.
            Step::Examining => self.look_if_back(),
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
        let is_gone = matches!(sight.daemon, Daemon::Absent { process: None, .. });
        if !is_gone && sight.unit.as_ref().is_some_and(Unit::is_being_stopped) {
            // Somebody stops it, or restarts it.
            self.watch();
            return self.assess(sight);
        }
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
                    restart.is_now(Some(pid));
                    restart.failure = "it answers, but not one of its jails runs".into();
                }
            }
            Daemon::Silent { pid, .. } => {
                restart.is_now(pid.or(restart.old));
                restart.failure = "it does not answer".into();
            }
            Daemon::Absent {
                process: Some(pid),
                why,
                ..
            } => {
                restart.is_now(Some(pid));
                restart.failure = why;
            }
            Daemon::Absent {
                process: None, why, ..
            } => {
                restart.is_now(None);
                restart.failure = why;
                self.forget_daemon();
                if let Some(unit) = sight.unit.filter(|_| !resuming) {
                    let absence = absence::read(Some(&unit), false);
                    if let Some(why) = self.ended_in_stop(&absence) {
                        return self.stand_by(why);
                    }
                    match absence {
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
        } else if !resuming && self.now + Policy::EXAM >= until && self.runs_no_jail() {
            self.examine();
        }
    }

    /// The step's time is up.
    pub(super) fn restart_overdue(&mut self) {
        let State::Restarting(restart) = &self.state else {
            return;
        };
        let failure = restart.failure.clone();
        match restart.step.clone() {
            // It could not be started again.
            Step::Resuming { .. } if restart.old.is_some() && self.is_masked() => {
                let told = true;
                self.say_silent(Policy::RESUME_GRACE, true, true, false);
                self.suspect(Sign::Silent { told }, Policy::SUSPECT_PACE);
            }
            Step::Resuming { .. } => match restart.old {
                Some(pid) => self.diagnose(pid),
                None => self.before_start(),
            },
            Step::Stopping(stop) => self.stop_overdue(&stop),
            Step::ComingBack { .. } if self.runs_no_jail() => self.not_back(&failure),
            Step::ComingBack { .. } => self.back(),
            _ => {}
        }
    }

    fn runs_no_jail(&self) -> bool {
        self.not_alive().len() == self.expected().len()
    }

    /// Every jail that should run does, or at the deadline some do: the rest is for `assess`.
    fn back(&mut self) {
        self.look = None;
        self.watch();
        if self.disk.reading.is_none() {
            self.disk.touch(self.now);
        }
        if self.is_refusal_refuted() {
            self.disk.distrust(self.now);
        }
        self.assess_jails();
    }

    /// It has come up with what was refused: something else than the config was at fault.
    fn is_refusal_refuted(&self) -> bool {
        let refusal = self.refusal.as_ref();
        refusal.is_some_and(|refusal| refusal.findings.iter().any(|f| f.fatal))
    }

    fn not_back(&mut self, why: &str) {
        self.look = None;
        let may_protect = self.daemon.ping.is_none() && self.is_barred();
        if self.daemon.pid.is_some() && (may_protect || self.is_masked()) {
            // It could not be started again.
            return self.give_up(why);
        }
        if let State::Restarting(restart) = &mut self.state {
            why.clone_into(&mut restart.failure);
        }
        self.examine();
        let State::Restarting(restart) = &mut self.state else {
            return;
        };
        if restart.examining.is_some() {
            restart.step = Step::Examining;
            return;
        }
        let is_busy = restart.examined.as_ref().is_some_and(|it| it.busy);
        if is_busy && self.is_slow() {
            return;
        }
        match self.found_burning() {
            Some(words) => {
                self.say_hung(&words);
                self.prepare();
            }
            None => self.next_rung(),
        }
    }

    /// Finds out what the process that was started last does instead of running its jails, unless that is
    /// known. It may answer before its config is read, and after that was refused.
    fn examine(&mut self) {
        let State::Restarting(restart) = &self.state else {
            return;
        };
        let is_known =
            restart.burning.is_some() || restart.examining.is_some() || restart.examined.is_some();
        if let Some(pid) = restart.old.filter(|_| !is_known) {
            let id = self.run(Effect::Diagnose { pid });
            if let State::Restarting(restart) = &mut self.state {
                restart.examining = Some(id);
            }
        }
    }

    /// What the process that was started last does instead of running its jails, if a jail's filter is what
    /// it is at.
    fn found_burning(&mut self) -> Option<String> {
        let State::Restarting(restart) = &mut self.state else {
            return None;
        };
        let burning = restart.examined.as_mut()?.burning.take()?;
        restart.burning = Some(burning);
        Some(restart.examined.take()?.words)
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
        restart.forget_exam();
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
        restart.examining = None;
        restart.examined = Some(diagnosis);
        if matches!(restart.step, Step::Examining) {
            self.look_if_back();
        }
    }

    /// Its time is up, but it may have come back meanwhile.
    fn look_if_back(&mut self) {
        self.step(Step::ComingBack { until: self.now });
        self.next_look = self.now;
    }
}
