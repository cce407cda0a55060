//! A look at the daemon: what is asked, and for whom its answer is.

use super::event::{ActiveState, Daemon, Sight, Unit};
use super::{Action, Effect, Machine, Policy, State};

impl Machine {
    pub(super) fn look_now(&mut self) {
        self.looks_at_unit = self.must_look_at_unit();
        let effect = Effect::Look {
            expect: self.expected(),
            unit: self.looks_at_unit,
        };
        self.look = Some(self.run(effect));
        self.look_began = self.now;
    }

    /// Takes a look's answer in.
    pub(super) fn seen(&mut self, sight: Sight) {
        let awaited = self.awaited;
        self.disk.packages = sight.packages;
        // Before the config is read, it is not known which file is meant.
        let answers = matches!(sight.daemon, Daemon::Answers { .. });
        if answers && !matches!(self.state, State::Starting { .. }) {
            self.in_memory.saw(sight.health.writable);
        }
        let new = self.know(&sight);
        let comes_up = new && awaited;
        if new {
            self.forget_ailing();
        }
        self.note_cramped(&sight);
        self.note_leaving(&sight);
        let gone = matches!(sight.daemon, Daemon::Absent { process: None, .. });
        let ending = |unit: &Unit| unit.active == ActiveState::Deactivating && !unit.job;
        let gone = gone || sight.unit.as_ref().is_some_and(ending);
        self.client_restarts = gone && (self.client_restarts || sight.health.client_restarts);
        self.note_successor(&sight);
        self.note_health(&sight.health);
        let disabled = sight.unit.as_ref().map(|unit| unit.disabled);
        self.route(sight, new, comes_up);
        if self.client_restarts {
            // A stop that an admin asks for is to be seen.
            self.next_look = self.next_look.min(self.now + Policy::FAST_PACE);
        }
        if let Some(incident) = &mut self.incident {
            incident.was_disabled = incident.was_disabled.or(disabled);
        }
    }

    /// Hands a look's answer to whatever waits for it.
    fn route(&mut self, sight: Sight, new: bool, comes_up: bool) {
        match &mut self.state {
            State::Starting { sight: slot, .. } => {
                *slot = Some(sight);
                // Not only once the config is read: that may take longer than systemd waits.
                if !std::mem::replace(&mut self.ready, true) {
                    self.out.push(Action::Ready);
                }
                self.take_stock();
            }
            State::Watching | State::Suspect(_) if comes_up && self.pause.is_none() => {
                self.await_start(sight);
            }
            State::Watching | State::Suspect(_) => self.assess(sight),
            State::Reloading(reload) if reload.is_proving() => self.reload_seen(&sight),
            State::Restarting(_) => self.restart_seen(sight),
            State::Standby { .. } => self.standby_seen(sight),
            State::GaveUp { .. } => self.gave_up_seen(sight, new),
            State::Paused { .. } => self.paused_seen(&sight),
            State::Checking { .. } | State::Mending(_) | State::Reloading(_) => self.glance(sight),
            State::Ended => {}
        }
    }
}
