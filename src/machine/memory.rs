//! What must survive jailwarden's own death.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ailing::{Ailing, Cures};
use super::change::Spurned;
use super::event::{ActionId, Outcome};
use super::give_up::GaveUp;
use super::in_memory::StandIn;
use super::intent::Intent;
use super::mend::Mend;
use super::plan::{Doubt, Plan};
use super::revive::{Revival, Revived};
use super::roll_back::{Guesses, InVain};
use super::time::MonoTime;
use super::{Effect, Machine, Policy, State};

/// The state file's content. All of it can be lost without harm to the host; with it jailwarden
/// knows after its own restart whose stop it was and which jails changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are facts that do not exclude each other"
)]
pub struct Memory {
    /// The daemon was stopped on purpose, by somebody else.
    pub standby: bool,
    /// jailwarden itself is stopping the daemon in order to start it again.
    pub stopping: bool,
    /// systemd was stopping the daemon for good when it was last seen: its end is no failure.
    pub being_stopped: bool,
    /// Jails that were stopped by hand.
    pub held: BTreeSet<String>,
    /// Digests of the commands that these had then.
    pub held_as: BTreeMap<String, u128>,
    /// Of these, the ones that run again, as the daemon was started anew, until they are stopped again.
    pub to_stop: BTreeSet<String>,
    /// What the daemon should be running.
    pub accepted: Option<Plan>,
    /// What it may run otherwise, as it is not known whether it took a change.
    pub doubt: Doubt,
    /// What the daemon last came up with from a cold start.
    pub proven: Option<Plan>,
    /// Jails that changed since, the last one first.
    pub recent: Vec<String>,
    /// Fingerprint of a config whose refusal was already reported.
    pub refused: Option<u128>,
    /// The daemon's process, as it was last known: another has its own chances.
    pub process: Option<u32>,
    /// What the daemon itself refused.
    pub spurned: Spurned,
    /// The jails that a rollback disables, or did until lately.
    pub mends: BTreeMap<String, Mend>,
    /// What was done to the config on a guess, and has not yet proven to help.
    pub guesses: Guesses,
    /// What was done on a guess and did not help.
    pub in_vain: InVain,
    /// What was about to be done to the config, and whose outcome is not known.
    pub intent: Option<Intent>,
    /// The name of the files that were replaced last, as it was told.
    pub put_back: Option<String>,
    /// How many starts count against the restart budget.
    pub starts: usize,
    /// The jails that were loaded again since they had died.
    pub revived: BTreeMap<String, Revival>,
    /// Jails that could not be revived, or rest until they are loaded again.
    pub lost: BTreeSet<String>,
    /// Fingerprint of the config as it was last read.
    pub config: Option<u128>,
    /// A start that has not yet proven that the config is one to start with.
    pub start: Option<Start>,
    /// Fingerprint of the config that was last kept as good.
    pub good: Option<u128>,
    /// The database in memory.
    pub in_memory: StandIn,
    /// What has failed so far, and when something is tried again.
    pub gave_up: GaveUp,
    /// The jails that were healed lately.
    pub cures: BTreeMap<String, Cures>,
    /// A daemon that could open no more files, or not see a log, was restarted for that; for how long it is not again.
    pub relieved: Option<Duration>,
    /// For how long each jail has gone unprotected so far.
    pub unprotected: BTreeMap<String, Duration>,
    /// The jails that did not protect when this was written, and for how long by then.
    pub dark: BTreeMap<String, Duration>,
    /// How long ago it was written: for as long nobody looked.
    #[serde(skip)]
    pub age: Duration,
    /// The host was booted since it was written.
    #[serde(skip)]
    pub booted: bool,
}

impl Memory {
    /// As it is true now. Another boot has other processes, and what kept fail2ban down may have gone with the
    /// one before.
    pub(super) fn carried(self) -> Self {
        let gave_up = self.gave_up.carried(self.age);
        if !self.booted {
            return Self { gave_up, ..self };
        }
        Self {
            process: None,
            // It has started all of them.
            held: BTreeSet::new(),
            to_stop: BTreeSet::new(),
            being_stopped: false,
            gave_up: GaveUp::default(),
            cures: BTreeMap::new(),
            relieved: None,
            booted: false,
            ..self
        }
    }

    /// The jails that were healed, and for which that counts.
    pub(super) fn ailing(&self, now: MonoTime) -> BTreeMap<String, Ailing> {
        let cures = self.cures.iter();
        let carried = |(jail, it): (&String, &Cures)| {
            Some((jail.clone(), Ailing::carried(*it, self.age, now)?))
        };
        cures.filter_map(carried).collect()
    }

    /// Until when a daemon that can open no more files is not restarted for that again.
    pub(super) fn relieved_until(&self, now: MonoTime) -> MonoTime {
        let left = self.relieved.unwrap_or_default();
        now + left.saturating_sub(self.age).min(Policy::CURE_WINDOW)
    }

    /// The jails that a rollback disables, as long as the config cannot be read.
    pub(super) fn rolled_back(&self) -> BTreeSet<String> {
        let stand = self.mends.iter().filter(|(_, mend)| !mend.on_probation);
        stand.map(|(jail, _)| jail.clone()).collect()
    }

    /// The starts that may still count against the restart budget.
    pub(super) fn starts(&self) -> impl Iterator<Item = ()> + use<> {
        let recent = self.age < Policy::BUDGET_WINDOW;
        let most = if recent {
            2 * Policy::RESTART_BUDGET
        } else {
            0
        };
        std::iter::repeat_n((), self.starts.min(most))
    }

    /// The jails that were loaded again, and rest or may still prove not to run for long.
    pub(super) fn revived(&self, now: MonoTime) -> BTreeMap<String, Revived> {
        let recent = self.age < Policy::PROBATION;
        let counts = self.revived.iter().filter(|(_, it)| it.rests || recent);
        let carried = counts.map(|(jail, it)| (jail.clone(), Revived::carried(*it, now)));
        carried.collect()
    }

    /// Whether it says the same; how long it has been dark and what is left of a wait change all the time, and
    /// that a start no longer counts is known without it.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        let same = self.dark.keys().eq(other.dark.keys());
        let mut alike = self.clone();
        alike.dark.clone_from(&other.dark);
        alike.starts = alike.starts.max(other.starts);
        same && alike.without_waits() == other.clone().without_waits()
    }

    /// Without what is left of each wait.
    pub(super) fn without_waits(mut self) -> Self {
        let waits = [
            Some(&mut self.in_memory.left),
            self.gave_up.left.as_mut(),
            self.relieved.as_mut(),
        ];
        let waits = waits.into_iter().flatten();
        let waits = waits.chain(self.cures.values_mut().map(|it| &mut it.left));
        waits.for_each(|left| *left = Duration::ZERO);
        self
    }
}

/// The memory could not be written.
#[derive(Debug, Clone)]
pub(super) struct Unsaved {
    /// Why, as it was told.
    why: String,
    /// When it is tried again.
    again: MonoTime,
}

/// How far a start of the daemon has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// jailwarden gave the command, and has not seen the daemon since.
    Given,
    /// It was seen, and not yet to run well.
    Seen,
    /// It came to nothing, and with what was done about that another is due.
    Due,
}

impl Machine {
    fn start_under_way(&self, given: bool) -> Option<Start> {
        if matches!(&self.state, State::Restarting(restart) if restart.is_due()) {
            Some(Start::Due)
        } else if given || self.awaited {
            Some(Start::Given)
        } else {
            self.daemon.cold.then_some(Start::Seen)
        }
    }

    /// As what is intended is saved, so is that nothing is being started, or that another start is due.
    pub(super) fn memory_with(&self, intent: &Intent) -> Memory {
        let failed =
            matches!(&self.state, State::Restarting(it) if it.rungs.is_some() && it.old.is_some());
        let start = if failed {
            Some(Start::Due)
        } else {
            self.start_under_way(false)
        };
        Memory {
            intent: Some(intent.clone()),
            start,
            ..self.memory()
        }
    }

    pub(super) fn memory(&self) -> Memory {
        Memory {
            standby: matches!(
                self.state,
                State::Standby { .. } | State::Paused { stood_by: Some(_) }
            ),
            stopping: self.stopping,
            being_stopped: self.being_stopped,
            held: self.held.clone(),
            held_as: self.held_as.clone(),
            to_stop: self.to_stop.clone(),
            accepted: Some(self.accepted.clone()),
            doubt: self.doubt.clone(),
            proven: self.proven.clone(),
            recent: self.recent.clone(),
            refused: self.refusal.as_ref().map(|r| r.fingerprint),
            process: self.daemon.pid.or(self.saved.process),
            spurned: self.spurned.clone(),
            mends: self.mends.clone(),
            guesses: self.guesses.clone(),
            in_vain: self.in_vain.clone(),
            intent: self.state.intent().cloned(),
            put_back: self.put_back.clone(),
            starts: self.recent_starts(),
            revived: self.revivals(),
            lost: self.lost.clone(),
            config: self.disk.reading.as_ref().map(|r| r.fingerprint),
            start: self.start_under_way(self.state.has_started()),
            good: self.good,
            in_memory: self.in_memory.stand_in(self.now),
            gave_up: self.having_given_up(),
            cures: self.cures(),
            relieved: Some(self.relieved_until.since(self.now)).filter(|left| !left.is_zero()),
            unprotected: self.unprotected.clone(),
            dark: self.dark(),
            age: Duration::ZERO,
            booted: false,
        }
    }

    pub(super) fn save_if_changed(&mut self) {
        if matches!(self.state, State::Starting { .. } | State::Ended) {
            return;
        }
        let again = self.unsaved.as_ref().map(|unsaved| unsaved.again);
        let same = self.memory().says_as(&self.saved);
        if !same || again.is_some_and(|again| again <= self.now) {
            self.saving = Some(self.save());
        }
    }

    /// Whoever ends jailwarden, and starts it again, wants it to try at once.
    pub(super) fn save_at_end(&mut self) {
        self.save_if_changed();
        let mut memory = self.memory();
        if memory.gave_up.left.take().is_some() {
            self.saving = Some(self.save_as(memory));
        }
    }

    pub(super) fn save(&mut self) -> ActionId {
        self.keep_mends();
        self.account();
        let memory = self.memory();
        self.save_as(memory)
    }

    pub(super) fn save_as(&mut self, memory: Memory) -> ActionId {
        self.saved = memory;
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.again = self.now + self.policy.interval;
        }
        self.run(Effect::Save(Box::new(self.saved.clone())))
    }

    pub(super) fn save_done(&mut self, outcome: &Outcome) {
        self.saving = None;
        let why = match outcome {
            Outcome::Effect(Ok(())) => {
                self.unsaved = None;
                return;
            }
            Outcome::Effect(Err(why)) => why.as_str(),
            _ => "it was lost on its way",
        };
        if self.unsaved.as_ref().is_none_or(|before| before.why != why) {
            self.say_not_kept(why);
        }
        self.unsaved = Some(Unsaved {
            why: why.to_owned(),
            again: self.now + self.policy.interval,
        });
    }
}
