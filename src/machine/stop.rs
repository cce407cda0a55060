//! Stopping the daemon: asked over its socket, then SIGTERM, then SIGKILL through the pidfd.

use super::event::{ActionId, Motion, Outcome, StopAnswer};
use super::restart::{Cause, Step};
use super::time::MonoTime;
use super::{Answer, Effect, Machine, Policy, Signal, State};

/// How far a stop has got.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    began: MonoTime,
    at: At,
}

#[derive(Debug, Clone)]
enum At {
    /// `["stop"]` was sent.
    Asked(ActionId),
    /// It agreed, or was told by a signal, and has until then to be gone.
    Leaving {
        last: Option<ActionId>,
        killed: bool,
        until: MonoTime,
    },
    /// Its time is up; whether it is still getting on with its end is looked at.
    Sampling(ActionId),
}

impl Stop {
    pub(super) fn awaits(&self, id: ActionId) -> bool {
        match &self.at {
            At::Asked(i) | At::Sampling(i) => *i == id,
            At::Leaving { last, .. } => *last == Some(id),
        }
    }

    pub(super) fn deadline(&self) -> Option<MonoTime> {
        match &self.at {
            At::Leaving { until, .. } => Some(*until),
            At::Asked(_) | At::Sampling(_) => None,
        }
    }
}

impl Machine {
    pub(super) fn signal(&mut self, pid: u32, signal: Signal) -> ActionId {
        self.run(Effect::Signal { pid, signal })
    }

    /// A daemon that answers is asked; one that hangs, has no socket, or would not end, is sent SIGTERM.
    pub(super) fn begin_stop(&mut self) {
        let State::Restarting(restart) = &self.state else {
            return;
        };
        let Some(pid) = restart.old else {
            return self.before_start();
        };
        let began = self.now;
        let answers = self.daemon.pid == Some(pid) && self.daemon.ping.is_some();
        match restart.cause {
            // Asked with a damaged database, 1.0.2 never answers.
            Cause::Hung { .. } | Cause::Damaged(_) => {
                self.terminate(began, pid, Policy::HUNG_GRACE);
            }
            Cause::Unaskable(_) => self.terminate(began, pid, self.policy.stop_timeout),
            _ if answers => {
                let id = self.run(Effect::AskStop);
                self.step(Step::Stopping(Stop {
                    began,
                    at: At::Asked(id),
                }));
            }
            _ => self.terminate(began, pid, Policy::HUNG_GRACE),
        }
    }

    fn terminate(&mut self, began: MonoTime, pid: u32, patience: std::time::Duration) {
        let last = self.signal(pid, Signal::Terminate);
        self.leave(began, Some(last), false, patience);
    }

    fn leave(
        &mut self,
        began: MonoTime,
        last: Option<ActionId>,
        killed: bool,
        patience: std::time::Duration,
    ) {
        let until = self.now + patience;
        self.step(Step::Stopping(Stop {
            began,
            at: At::Leaving {
                last,
                killed,
                until,
            },
        }));
    }

    pub(super) fn stop_done(&mut self, stop: Stop, outcome: Outcome) {
        let State::Restarting(restart) = &self.state else {
            return;
        };
        let Some(pid) = restart.old else {
            return self.before_start();
        };
        match (stop.at, outcome) {
            (At::Asked(_), Outcome::StopAsked(StopAnswer::Agreed)) => {
                self.leave(stop.began, None, false, Policy::HUNG_GRACE);
            }
            (At::Asked(_), Outcome::StopAsked(StopAnswer::Refused(words))) => {
                if restart.cause == Cause::Asked {
                    return self.stay(&words);
                }
                self.say_stop_refused(&words);
                self.terminate(stop.began, pid, self.policy.stop_timeout);
            }
            (At::Asked(_), _) => self.terminate(stop.began, pid, Policy::HUNG_GRACE),
            // It may have ended just before; if not, the next step follows in time.
            (At::Leaving { killed: true, .. }, Outcome::Effect(Err(why))) => self.give_up(&why),
            (At::Leaving { .. }, _) => {}
            (At::Sampling(_), Outcome::Motion(Motion::Progressing))
                if self.now.since(stop.began) < self.policy.stop_timeout =>
            {
                self.leave(stop.began, None, false, Policy::HUNG_GRACE);
            }
            (At::Sampling(_), _) => {
                let last = self.signal(pid, Signal::Kill);
                self.leave(stop.began, Some(last), true, Policy::HUNG_GRACE);
            }
        }
    }

    /// It refused to stop, and nobody needs it to: it is left as it is.
    fn stay(&mut self, words: &str) {
        self.stopping = false;
        self.watch();
        self.next_look = self.now;
        self.fail_command(Answer::Refused {
            why: format!("fail2ban refused to stop: {words}"),
            findings: Vec::new(),
        });
    }

    pub(super) fn stop_overdue(&mut self, stop: &Stop) {
        let State::Restarting(restart) = &self.state else {
            return;
        };
        let Some(pid) = restart.old else {
            return self.before_start();
        };
        match stop.at {
            At::Leaving { killed: true, .. } => {
                let why = "its process does not end even after SIGKILL; the kernel holds it";
                self.fail_command(Answer::Unreachable {
                    why: why.to_owned(),
                });
                self.give_up(why);
            }
            At::Leaving { .. } => {
                let id = self.run(Effect::Sample { pid });
                self.step(Step::Stopping(Stop {
                    began: stop.began,
                    at: At::Sampling(id),
                }));
            }
            At::Asked(_) | At::Sampling(_) => {}
        }
    }
}
