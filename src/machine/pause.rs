//! A person's pause: from then on jailwarden only watches, until it is told to go on or time is up.

use std::time::Duration;

use super::absence::Absence;
use super::event::{Daemon, Operator, Sight};
use super::time::MonoTime;
use super::{Effect, Machine, State};

/// A pause that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pause {
    /// When it ends by itself.
    pub(super) until: Option<MonoTime>,
    /// Who wants it, and why.
    pub(super) why: String,
}

impl Machine {
    pub(super) fn operator(&mut self, operator: Operator) {
        match operator {
            Operator::Pause { left, why } => {
                let until = left.map(|left| self.now + left);
                self.pause = Some(Pause { until, why });
                if matches!(self.state, State::Paused { .. }) {
                    self.say_paused();
                }
            }
            Operator::Do(id, command) => self.command(id, command),
            Operator::Resume => self.resume("jailwarden was told to go on"),
        }
    }

    /// A pause begins once what is under way is done: a daemon that jailwarden has stopped is
    /// started first.
    pub(super) fn pause_if_asked(&mut self) {
        let at_rest = match &self.state {
            State::Watching
            | State::Suspect(_)
            | State::Checking { .. }
            | State::Standby { .. } => true,
            State::Mending(mending) => !mending.writes(),
            State::GaveUp { undo, .. } => undo.is_none(),
            _ => false,
        };
        if at_rest && self.pause.is_some() {
            self.enter_pause();
        }
    }

    pub(super) fn enter_pause(&mut self) {
        let stood_by = match std::mem::replace(&mut self.state, State::Watching) {
            State::Standby { why } => Some(why),
            _ => None,
        };
        self.state = State::Paused { stood_by };
        self.say_paused();
        self.next_look = self.now;
    }

    /// A stop during the pause is remembered as one: without a unit nothing tells it later from a daemon
    /// that was never there.
    pub(super) fn paused_seen(&mut self, sight: &Sight) {
        self.next_look = self.now + self.policy.interval;
        let Daemon::Absent {
            process: None,
            traces,
            ..
        } = sight.daemon
        else {
            self.state = State::Paused { stood_by: None };
            return;
        };
        if !self.met || self.is_our_stop(sight.unit.as_ref()) {
            return;
        }
        if let Absence::Deliberate(why) = self.absence(sight, traces)
            && let State::Paused { stood_by } = &mut self.state
        {
            stood_by.get_or_insert(why);
        }
    }

    pub(super) fn pause_deadline(&self) -> Option<MonoTime> {
        self.pause.as_ref()?.until
    }

    pub(super) fn end_pause_if_due(&mut self) {
        if self.pause_deadline().is_some_and(|until| until <= self.now) {
            self.run(Effect::EndPause);
            self.resume("its time is up");
        }
    }

    fn resume(&mut self, why: &str) {
        if self.pause.take().is_none() {
            return;
        }
        let State::Paused { stood_by } = &mut self.state else {
            return;
        };
        let stood_by = stood_by.take();
        self.watch();
        self.say_resumed(why);
        if let Some(why) = stood_by {
            self.stand_by(why);
        }
        self.disk.distrust(self.now);
        self.next_look = self.now;
    }

    /// How long the pause still lasts, if it ends by itself.
    pub(super) fn pause_left(&self) -> Option<Duration> {
        Some(self.pause_deadline()?.since(self.now))
    }
}
