//! The verdict on a look: fine, or a sign of trouble that must last before anything is done.

use std::collections::BTreeSet;
use std::time::Duration;

use super::absence::{self, Absence, CLIENT_FAILED};
use super::ailing::Ailing;
use super::event::{Daemon, Motion, Sight, Unit};
use super::known::{StartedWith, Stranger};
use super::leaving::Leaving;
use super::restart::Cause;
use super::successor::Successor;
use super::time::MonoTime;
use super::{Guesses, InVain, Known, Machine, Policy, State};

/// A sign of trouble, watched since its first sight.
#[derive(Debug, Clone)]
pub(super) struct Suspect {
    pub(super) since: MonoTime,
    pub(super) sign: Sign,
}

/// What is suspected.
#[derive(Debug, Clone)]
pub(super) enum Sign {
    /// It does not answer; whether that it stays silent was told.
    Silent { told: bool },
    /// These jails are dead or missing; in how many looks in a row.
    Jails { jails: BTreeSet<String>, looks: u32 },
    /// It lives but has no socket to be asked at.
    Unaskable,
    /// It is away, and systemd has something under way, or whoever installs packages.
    /// Whether that it takes long was told.
    AtWork { packages: bool, told: bool },
    /// It does not answer, and systemd stops it.
    Leaving(Leaving),
}

/// Why a daemon counts as down on which systemd is at work.
const JOB_LASTS: &str = "systemd has had a job on its unit for ten minutes (systemctl list-jobs)";

/// The pause before the next look at what is waited for until a limit: ever longer, and over by then.
fn pace(waited: Duration, limit: Duration) -> Duration {
    let pace = (waited / 10).clamp(Policy::FAST_PACE, Policy::SUSPECT_PACE);
    match limit.checked_sub(waited) {
        Some(left) if !left.is_zero() => pace.min(left),
        _ => pace,
    }
}

impl Machine {
    /// Judges a look at a daemon that should be running.
    pub(super) fn assess(&mut self, sight: Sight) {
        if self.pause.is_some() {
            return self.enter_pause();
        }
        let leaving = sight.unit.as_ref().is_some_and(Unit::is_being_stopped);
        let is_there = !matches!(sight.daemon, Daemon::Absent { process: None, .. });
        if is_there && !leaving && self.relieve_if_due() {
            return;
        }
        match sight.daemon {
            Daemon::Answers { .. } if self.renew_database_if_due() => {}
            Daemon::Answers { .. } => self.assess_jails(),
            Daemon::Silent { pid, .. } if leaving => {
                self.assess_leaving(pid.or(self.daemon.pid), &sight);
            }
            Daemon::Absent {
                process: Some(pid), ..
            } if leaving => self.assess_leaving(Some(pid), &sight),
            Daemon::Silent { pid, motion } => {
                let pid = pid.or(self.daemon.pid);
                let at_work = sight
                    .unit
                    .is_some_and(|u| absence::read(Some(&u), false) == Absence::AtWork && u.job);
                self.assess_silence(pid, motion, at_work);
            }
            Daemon::Absent {
                process: Some(pid),
                why,
                ..
            } => self.assess_unaskable(pid, &why),
            Daemon::Absent {
                process: None,
                traces,
                ..
            } => {
                self.forget_daemon();
                let absence = self.absence(&sight, traces);
                // Whoever has it stopped may end it by a signal.
                if let Some(why) = self.ended_in_stop(&absence) {
                    return self.stand_by(why);
                }
                match absence {
                    Absence::AtWork => {
                        if let Some(why) = sight.unit.as_ref().and_then(absence::crash) {
                            self.note_crash(&why);
                        }
                        self.assess_at_work(&sight, false);
                    }
                    Absence::Unpacked(why) => {
                        self.note_unpacked(&why);
                        self.assess_at_work(&sight, true);
                    }
                    Absence::Deliberate(_) if self.is_our_stop(sight.unit.as_ref()) => {
                        self.restart(Cause::Interrupted, None);
                    }
                    // Without a unit, what was never there looks as what was stopped.
                    Absence::Deliberate(_) if sight.unit.is_none() && !self.met => {
                        self.restart(Cause::NotRunning, None);
                    }
                    Absence::Deliberate(why) => self.stand_by(why),
                    Absence::Failed(why) | Absence::Broken(why) => {
                        self.restart(Cause::Down(why), None);
                    }
                }
            }
        }
    }

    pub(super) fn assess_jails(&mut self) {
        self.stopping = false;
        match self.daemon.stranger.take() {
            Some(Stranger::Systemd) if self.incident.is_none() => {
                self.open_incident();
                self.say_revived();
            }
            Some(_) => self.say_back_by_hand(),
            None => {}
        }
        let Known { listed, dead, .. } = &self.daemon;
        let idle = |n: &String| !listed.contains(n) || dead.contains(n);
        let to_stop = &self.to_stop;
        self.held.retain(|n| idle(n) || to_stop.contains(n));
        let ailing = &self.ailing;
        let ails = |n: &String| ailing.get(n).is_some_and(Ailing::is_ill);
        let cramped = self.is_cramped();
        self.lost.retain(|n| idle(n) || ails(n) || cramped);
        if self.stop_again_if_due() {
            return;
        }
        let missing = self.not_alive();
        if missing.is_empty() {
            self.forget_what_is_not_back();
            if self.disk.is_read() {
                self.hindrance = None;
            }
            self.last_fine = Some(self.now);
            self.prove_start();
            // What runs without them does not fail of them.
            let rollbacks = &self.rollbacks;
            self.recent.retain(|jail| !rollbacks.contains(jail));
            self.note_alive();
            self.state = State::Watching;
            self.next_look = self.now + self.policy.interval;
            self.guesses = Guesses::default();
            self.in_vain = InVain::default();
            if !self.is_healing() && !self.is_cramped() {
                self.close_incident();
            }
            return self.end_in_memory_if_due();
        }
        let looks = match &self.state {
            State::Suspect(Suspect {
                sign: Sign::Jails { jails, looks },
                ..
            }) if *jails == missing => looks + 1,
            _ => 1,
        };
        // A process that has just been started gets its time before its jails are called dead.
        let young =
            self.daemon.cold && self.now.since(self.daemon.first_seen) < self.policy.comeback;
        let spared = self.now < self.daemon.spared_until;
        if young {
            self.suspect(
                Sign::Jails {
                    jails: missing,
                    looks: 0,
                },
                Policy::FAST_PACE,
            );
        } else if looks >= Policy::DEAD_LOOKS && self.disk.is_known() && !spared {
            self.judge_missing(missing, looks);
        } else {
            let pace = if spared {
                self.daemon.spared_until.since(self.now)
            } else {
                Policy::SUSPECT_PACE.saturating_sub(self.now.since(self.look_began))
            };
            let sign = Sign::Jails {
                jails: missing,
                looks,
            };
            self.suspect(sign, pace);
        }
    }

    /// A daemon that came up cold is fine: what it was started with is proven, and no other change.
    fn prove_start(&mut self) {
        if !self.daemon.cold {
            return;
        }
        let StartedWith::Read(plan) = self.daemon.started_with.clone() else {
            return;
        };
        self.daemon.cold = false;
        let accepted = &self.accepted.jails;
        self.recent
            .retain(|jail| plan.jails.get(jail) != accepted.get(jail));
        self.proven = Some(plan);
    }

    /// `at_work` says that systemd has a job under way that makes its process come or go: that may take until the
    /// limit.
    fn assess_silence(&mut self, pid: Option<u32>, motion: Motion, at_work: bool) {
        let (told, waited) = match &self.state {
            State::Suspect(Suspect {
                sign: Sign::Silent { told },
                since,
            }) => (*told, self.now.since(*since)),
            _ => (false, Duration::ZERO),
        };
        let at_work = at_work && waited < Policy::JOB_LIMIT;
        let hangs = self.is_hung(motion) && !at_work;
        let stopped = motion == Motion::Stopped;
        // One that is masked is never ended, but may be told to go on.
        let may_be_moved = !self.is_masked() || stopped && !told && !self.budget_is_spent();
        match pid {
            Some(pid) if hangs && may_be_moved => self.restart(Cause::Hung { stopped }, Some(pid)),
            _ => {
                let limit = if at_work {
                    self.policy.stop_timeout
                } else {
                    self.policy.busy_limit
                };
                let tell = !told && waited >= limit;
                if tell {
                    self.open_incident();
                    self.say_silent(waited, pid.is_some(), hangs, at_work);
                }
                let told = told || tell;
                self.suspect(Sign::Silent { told }, self.until_hung());
            }
        }
    }

    /// The pause before the next look at a daemon that does not answer. Each look waits for an answer in vain: the
    /// last for which there is time begins so that it ends when the verdict is due, and none is begun so late that it
    /// would make that late.
    fn until_hung(&self) -> Duration {
        let verdict = self
            .daemon
            .busy_since
            .map(|since| since + self.policy.busy_limit);
        let Some(verdict) = verdict.filter(|at| *at > self.now) else {
            return Policy::SUSPECT_PACE;
        };
        let (left, look) = (verdict.since(self.now), self.policy.timeout);
        if left > 2 * look + Policy::SUSPECT_PACE {
            return Policy::SUSPECT_PACE;
        }
        let least = Policy::FAST_PACE.saturating_sub(self.now.since(self.look_began));
        left.saturating_sub(look).max(least)
    }

    /// Whether a daemon that does not answer, and does this, will not answer any more.
    fn is_hung(&self, motion: Motion) -> bool {
        let is_over = |since| self.now.since(since) >= self.policy.busy_limit;
        match motion {
            Motion::Stopped | Motion::Frozen => true,
            Motion::Busy => self.daemon.busy_since.is_some_and(is_over),
            Motion::Progressing => false,
        }
    }

    /// A look while something else is under way: only a hang is worth breaking that off.
    pub(super) fn glance(&mut self, sight: Sight) {
        self.next_look = self.now + self.policy.interval;
        if matches!(&self.state, State::Mending(mending) if !mending.may_be_left()) {
            return;
        }
        if let Daemon::Silent { motion, .. } = sight.daemon {
            self.next_look = self.now + Policy::SUSPECT_PACE;
            if self.is_hung(motion) {
                self.disk.distrust(self.now);
                self.watch();
                self.assess(sight);
            }
        }
    }

    /// The daemon protects, so it is restarted only when its start is known to be safe.
    fn assess_unaskable(&mut self, pid: u32, why: &str) {
        let waited = match &self.state {
            State::Suspect(Suspect {
                sign: Sign::Unaskable,
                since,
            }) => self.now.since(*since),
            _ => Duration::ZERO,
        };
        let enough = waited >= self.policy.comeback && self.disk.is_known();
        // It may be what makes the socket.
        let is_early = self.daemon.successor == Successor::Job && waited < self.policy.stop_timeout;
        if !enough || is_early {
            let pace = pace(waited, self.policy.comeback);
            self.suspect(Sign::Unaskable, pace);
        } else if self.is_replaceable() && self.is_safe_to_start() {
            self.restart(Cause::Unaskable(why.to_owned()), Some(pid));
        } else {
            if !std::mem::replace(&mut self.daemon.told_unaskable, true) {
                self.say_unaskable_waits(why);
            }
            self.suspect(Sign::Unaskable, self.policy.interval);
        }
    }

    /// It died, and systemd starts it again by itself.
    fn note_crash(&mut self, why: &str) {
        if self.incident.is_none() {
            self.open_incident();
            self.say_crashed(why);
        }
    }

    fn note_unpacked(&mut self, why: &str) {
        if self.incident.is_none() {
            self.open_incident();
            self.say_unpacked(why);
        }
    }

    fn assess_at_work(&mut self, sight: &Sight, packages: bool) {
        let (waited, told) = match &self.state {
            State::Suspect(Suspect {
                sign: Sign::AtWork { told, .. },
                since,
            }) => (self.now.since(*since), *told),
            _ => (Duration::ZERO, false),
        };
        let job = sight.unit.as_ref().is_some_and(|u| u.job);
        let limit = if packages {
            Policy::PACKAGES_LIMIT
        } else {
            self.policy.comeback
        };
        // Of an admin's stop it is waited for the end, however long that takes.
        let is_stuck = waited >= Policy::JOB_LIMIT && !self.being_stopped;
        if job && is_stuck && waited >= limit {
            // A start would wait for that job, too.
            self.open_incident();
            self.give_up(JOB_LASTS);
        } else if waited >= limit && !job {
            let why = if self.client_restarts {
                CLIENT_FAILED
            } else {
                "nobody else brings it back"
            };
            self.restart(Cause::Down(why.to_owned()), None);
        } else {
            let tell = !told && job && waited >= self.policy.stop_timeout;
            if tell {
                self.open_incident();
                self.say_job_lasts(waited);
            }
            let told = told || tell;
            let pace = pace(waited, limit);
            self.suspect(Sign::AtWork { packages, told }, pace);
        }
    }

    pub(super) fn suspect(&mut self, sign: Sign, pace: Duration) {
        let since = match &self.state {
            State::Suspect(s)
                if std::mem::discriminant(&s.sign) == std::mem::discriminant(&sign) =>
            {
                s.since
            }
            _ => self.now,
        };
        self.state = State::Suspect(Suspect { since, sign });
        self.next_look = self.now + pace;
    }

    /// Jails that should run have been dead for long enough: somebody stopped them by hand, or
    /// they need to be revived, first alone, then with the daemon, each once an incident.
    fn judge_missing(&mut self, mut missing: BTreeSet<String>, looks: u32) {
        let stopped = self.stopped_by_hand(&missing);
        if !stopped.is_empty() {
            missing.retain(|jail| !stopped.contains(jail));
            self.hold(stopped);
            if missing.is_empty() {
                return self.watch();
            }
        }
        self.open_incident();
        let revived = self.incident.as_ref().is_some_and(|i| i.revived);
        let restarted =
            self.incident.as_ref().is_some_and(|i| i.restarted) || self.was_restarted_for(&missing);
        let none_left = missing == self.expected();
        if missing.iter().all(|jail| self.failed_twice(jail)) {
            // Back to its rollback: no other jail pays for the trial.
            self.lost.extend(missing);
            self.watch();
            self.next_look = self.now;
        } else if !revived && self.rest(&missing) {
            self.watch();
            self.next_look = self.now;
        } else if !revived {
            if self.hindrance.is_none() {
                self.say_jails_dead(&missing, "they are loaded again, alone");
            }
            self.revive(&missing);
        } else if !restarted && none_left && !self.is_masked() {
            self.restart(Cause::DeadJails(missing), self.daemon.pid);
        } else if none_left {
            self.give_up("it answers, but not one of its jails runs");
        } else if !restarted && self.is_safe_to_start() && self.is_replaceable() {
            self.restart(Cause::DeadJails(missing), self.daemon.pid);
        } else if !restarted && self.is_safe_to_start() && self.is_soon_replaceable() {
            self.wait_to_restart_for(missing, looks);
        } else {
            self.rest_for_long(missing, restarted);
            self.watch();
            self.next_look = self.now;
        }
    }

    /// Nothing is known of the config on disk that would keep the daemon from coming back.
    pub(super) fn is_safe_to_start(&self) -> bool {
        self.refusal.is_none() && self.disk.why_failing().is_none()
    }
}
