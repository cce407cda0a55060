//! Taking stock at the start, and leaving a daemon alone that somebody stopped.

use super::absence::{self, Absence};
use super::event::{ConfigRead, Daemon, Sight};
use super::plan::Plan;
use super::restart::Cause;
use super::{Action, Machine, Policy, State};

impl Machine {
    /// Once both the first reading and the first look are in: what is true, and what follows.
    pub(super) fn take_stock(&mut self) {
        let State::Starting {
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
            ..
        } = std::mem::replace(&mut self.state, State::Watching)
        else {
            return;
        };
        self.know_config(&config, &sight);
        self.out.push(Action::Ready);
        self.say_supervising(&sight);
        self.next_look = self.now;
        match &sight.daemon {
            Daemon::Absent {
                process: None,
                traces,
                ..
            } => {
                if let ConfigRead::Read(reading) = config {
                    self.note_reading(reading);
                }
                let standby = self.saved.standby;
                match absence::read(sight.unit.as_ref(), *traces) {
                    Absence::AtWork => self.assess(sight),
                    _ if self.stopping => self.restart(Cause::Interrupted, None),
                    Absence::Deliberate(_) if sight.unit.is_none() && !standby => {
                        self.restart(Cause::NotRunning, None);
                    }
                    Absence::Deliberate(why) => self.stand_by(why),
                    Absence::Failed(why) => self.restart(Cause::Down(why), None),
                }
            }
            _ => {
                if let ConfigRead::Read(reading) = config {
                    self.apply_reading(reading);
                }
                if matches!(self.state, State::Watching) {
                    self.assess(sight);
                }
            }
        }
    }

    /// What the daemon runs is what it was last told, if that is remembered; else what is on
    /// disk, if that can be read; else what it lists.
    fn know_config(&mut self, config: &ConfigRead, sight: &Sight) {
        if let ConfigRead::Read(reading) = config {
            self.rollbacks.clone_from(&reading.rollbacks);
            if self.saved.accepted.is_none()
                && let Some(plan) = &reading.plan
            {
                self.accepted = plan.clone();
            }
        } else {
            self.disk.touch(self.now);
        }
        if self.accepted.jails.is_empty()
            && let Daemon::Answers { listed, .. } = &sight.daemon
        {
            self.accepted = Plan::of_names(listed);
        }
    }

    pub(super) fn stand_by(&mut self, why: String) {
        self.incident = None;
        self.stopping = false;
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
            } => match absence::read(sight.unit.as_ref(), *traces) {
                Absence::AtWork => self.next_look = self.now + Policy::SUSPECT_PACE,
                Absence::Failed(why) => self.restart(Cause::Down(why), None),
                Absence::Deliberate(_) => {}
            },
        }
    }
}
