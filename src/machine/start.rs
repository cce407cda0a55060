//! The start itself: what it will be started with is read before it, and what was refused in that is rolled back.

use super::event::{ActionId, ConfigRead, Outcome};
use super::ladder::What;
use super::plan::Doubt;
use super::restart::{Cause, Step};
use super::{Effect, Machine, Policy, State};

/// A config that changes all the time is no reason never to start.
const MOST_MOVES: u32 = 3;

impl Machine {
    /// The old process is gone, or there was none.
    pub(super) fn before_start(&mut self) {
        if let State::Restarting(restart) = &mut self.state {
            restart.is_now(None);
        }
        self.prepare();
    }

    /// What must be known, and rolled back, before a socket or a process is touched.
    pub(super) fn prepare(&mut self) {
        self.note_restarted();
        if self.disk.is_read() {
            return self.roll_back_known_faults();
        }
        let known = self.disk.begin();
        let id = self.run(Effect::ReadConfig { known });
        self.step(Step::Reading(id));
    }

    pub(super) fn read_before_start(&mut self, config: ConfigRead) {
        self.take_others_reading(config);
        self.roll_back_known_faults();
    }

    /// Somebody may have mended meanwhile what a rollback disables.
    pub(super) fn take_others_reading(&mut self, config: ConfigRead) {
        let before = self.disk.reading.as_ref().map(|r| r.fingerprint);
        if let ConfigRead::Read(reading) = &config
            && before.is_some_and(|before| before != reading.fingerprint)
        {
            self.hint_mends();
        }
        self.take_reading(config);
    }

    /// What an admin stopped by hand stays stopped, though jailwarden has changed the config of it.
    pub(super) fn take_own_reading(&mut self, what: &What, config: ConfigRead) {
        if matches!(what, What::PutBack(_)) {
            self.hold_as_read(&config);
        }
        self.take_reading(config);
    }

    pub(super) fn take_reading(&mut self, config: ConfigRead) {
        if !matches!(config, ConfigRead::Failed(_)) {
            self.disk.failing = None;
        }
        match config {
            ConfigRead::Unchanged => {}
            ConfigRead::Failed(_) => self.disk.reading = None,
            ConfigRead::Read(reading) => {
                self.note_half_done(&reading.rollbacks);
                self.note_undone(&reading.rollbacks);
                self.rollbacks.clone_from(&reading.rollbacks);
                self.note_reading(*reading);
            }
        }
    }

    /// The rollbacks are on disk and read back; only now is a socket or a process touched.
    pub(super) fn proceed(&mut self) {
        let State::Restarting(restart) = &self.state else {
            return;
        };
        if restart.old.is_some() {
            self.save_then_stop();
        } else if self.in_memory.may_end(self.now) {
            self.end_in_memory();
        } else if !self.set_aside_if_damaged() {
            self.start();
        }
    }

    pub(super) fn start(&mut self) {
        if let Some(plan) = self.disk.reading.as_ref().and_then(|r| r.plan.clone()) {
            self.accepted = plan;
        }
        self.note_restarted_for_jails();
        self.to_stop.clone_from(&self.held);
        self.lost.clear();
        self.doubt = Doubt::default();
        self.forget_daemon();
        if !self.is_first_asked() {
            self.starts.push_back(self.now);
        }
        let reading = self.disk.reading.as_ref().map(|r| r.fingerprint);
        let known = reading.filter(|_| self.moves() < MOST_MOVES);
        // A jailwarden that comes after us has to know: it counts against the budget, and without
        // systemd there would be two.
        self.step(Step::Starting(ActionId::NONE));
        self.saving = Some(self.save());
        let start = self.run(Effect::Start { known });
        self.step(Step::Starting(start));
    }

    pub(super) fn started(&mut self, outcome: Outcome) {
        match outcome {
            // The command itself cannot be given: no config is to blame for that.
            Outcome::Effect(Err(why)) => return self.give_up(&why),
            Outcome::Forestalled(why) => return self.stand_by(why),
            Outcome::ConfigMoved => return self.read_what_moved(),
            // Mostly by systemd, which restarts what was killed.
            Outcome::Overtaken => self.doubt_start(),
            Outcome::Lost => return self.give_up("the start was lost on its way"),
            _ => {}
        }
        // From here on a stop is somebody else's.
        self.stopping = false;
        let until = self.now + self.policy.comeback;
        self.step(Step::ComingBack { until });
        if let State::Restarting(restart) = &mut self.state {
            restart.given = Some((self.now, false));
            restart.forget_exam();
        }
        // Each look takes processor time from the start.
        self.next_look = self.now + Policy::FAST_PACE;
    }

    /// Whoever started it may have done so before the config was as it was last read.
    fn doubt_start(&mut self) {
        if let State::Restarting(restart) = &self.state {
            self.doubt = Doubt::between(&restart.ran, &self.accepted);
        }
        if !self.doubt.is_empty() {
            self.disk.distrust(self.now);
        }
    }

    /// A change in the moment of the start is checked before it is started with.
    fn read_what_moved(&mut self) {
        if let State::Restarting(restart) = &mut self.state {
            restart.moves += 1;
        }
        if !self.is_first_asked() {
            self.starts.pop_back();
        }
        self.disk.begin();
        let id = self.run(Effect::ReadConfig { known: None });
        self.step(Step::Reading(id));
    }

    /// Whether it is the start that a person wants, which no budget counts.
    fn is_first_asked(&self) -> bool {
        matches!(&self.state, State::Restarting(r) if r.cause == Cause::Asked && r.rungs.is_none())
    }

    /// How often the config was another one when the start was given.
    fn moves(&self) -> u32 {
        match &self.state {
            State::Restarting(restart) => restart.moves,
            _ => 0,
        }
    }
}
