//! The supervisor's decisions, pure: `(state, event, now) -> (state, actions)`.
//!
//! Nothing here may use files, processes, sockets, clocks, randomness or async code; a test reads
//! the `use` lines. What is being done is always [`State`]; beside it stand only facts: what the
//! disk holds, what the daemon should run, what was last seen of it.

pub mod absence;
mod action;
mod ailing;
mod assess;
mod change;
mod comeback;
mod command;
mod cramped;
mod damaged;
mod disable;
mod disk;
mod event;
mod give_up;
mod held;
mod in_memory;
mod incident;
mod intent;
mod keep;
mod known;
mod ladder;
mod leaving;
mod look;
mod memory;
mod mend;
mod pause;
mod plan;
mod policy;
mod probation;
mod protection;
mod reload;
pub mod report;
mod restart;
mod revive;
mod roll_back;
mod snapshot;
mod standby;
mod start;
mod state;
mod stop;
mod successor;
mod time;
mod words;

#[cfg(test)]
mod tests;
// Apart, so that clippy takes it for tests.
#[cfg(all(fuzzing, not(test)))]
#[path = "tests/mod.rs"]
mod tests;
#[cfg(fuzzing)]
pub use tests::fuzz;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use action::{Action, Effect, Signal};
pub use ailing::Cures;
pub use change::Spurned;
pub use command::{Answer, Command, CommandId};
pub use event::{
    ActionId, ActiveState, Ailment, Applied, Complaint, ConfigRead, Culprit, Cure, Daemon,
    Diagnosis, Event, ExitKind, Finding, Health, Motion, Observed, Operator, Outcome, PutBack,
    Reading, Sight, StopAnswer, Trial, Unit, Verdict,
};
pub use give_up::GaveUp;
pub use in_memory::StandIn;
pub use incident::{End, IncidentView};
pub use intent::Intent;
pub use ladder::What;
pub use memory::{Memory, Start};
pub use mend::Mend;
pub use plan::{Change, Changes, Doubt, JailPlan, Plan};
pub use policy::Policy;
pub use revive::Revival;
pub use roll_back::{Guesses, InVain};
pub use snapshot::{Condition, JailView, STATES, Snapshot};
pub use time::MonoTime;
pub use words::Names;

use ailing::Ailing;
use change::Refusal;
use command::Commands;
use disk::Disk;
use in_memory::InMemory;
use incident::Incident;
use keep::Keeping;
use known::Known;
use memory::Unsaved;
use mend::Wait;
use pause::Pause;
use protection::Protection;
use revive::Revived;
use state::State;

/// The supervisor's mind.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are facts that do not exclude each other"
)]
pub struct Machine {
    policy: Policy,
    names: Names,
    seed: u32,
    now: MonoTime,
    last_id: u64,
    state: State,
    out: Vec<Action>,
    look: Option<ActionId>,
    look_began: MonoTime,
    /// The look asks systemd for the unit, also where the daemon answers.
    looks_at_unit: bool,
    next_look: MonoTime,
    disk: Disk,
    /// What the daemon should be running.
    accepted: Plan,
    /// What the daemon last came up with from a cold start.
    proven: Option<Plan>,
    /// Jails that changed since, the last one first.
    recent: Vec<String>,
    /// Jails that somebody stopped by hand.
    held: BTreeSet<String>,
    /// Digests of the commands that these had then, or that jailwarden itself has given them since.
    held_as: BTreeMap<String, u128>,
    /// Of these, the ones that a start which nobody asked for has brought back: they are stopped again.
    to_stop: BTreeSet<String>,
    /// Jails that could not be revived or healed; each is tried again after a rest, and at once when the config
    /// changes.
    lost: BTreeSet<String>,
    /// The jails that were loaded again, and how often.
    revived: BTreeMap<String, Revived>,
    /// Jails that a rollback file of ours disables.
    rollbacks: BTreeSet<String>,
    refusal: Option<Refusal>,
    spurned: Spurned,
    /// What the daemon may run otherwise than `accepted` says.
    doubt: Doubt,
    /// What keeps the daemon from taking anything, once that was told.
    hindrance: Option<String>,
    /// The jails that a rollback disables, or did until lately.
    mends: BTreeMap<String, Mend>,
    waits: BTreeMap<String, Wait>,
    /// A pause that is asked for; it begins once nothing is under way.
    pause: Option<Pause>,
    commands: Commands,
    guesses: Guesses,
    in_vain: InVain,
    /// The name of the files that were replaced last.
    put_back: Option<String>,
    /// Fingerprint of the config that was last kept as good.
    good: Option<u128>,
    keeping: Keeping,
    /// Jails that see or do nothing, though they are alive.
    ailing: BTreeMap<String, Ailing>,
    /// Until when a daemon that can open no more files, or not see a log, is not restarted for that again.
    relieved_until: MonoTime,
    daemon: Known,
    /// A process of the daemon was seen in this life of jailwarden.
    met: bool,
    in_memory: InMemory,
    protection: Protection,
    /// For how long each jail has gone unprotected, without what still lasts.
    unprotected: BTreeMap<String, Duration>,
    incident: Option<Incident>,
    incidents: u32,
    /// How often every way back had failed in an incident that another jailwarden left.
    gave_up_before: u32,
    /// When every jail that should run was last seen alive.
    last_fine: Option<MonoTime>,
    starts: VecDeque<MonoTime>,
    /// jailwarden has begun to stop the daemon and has not seen it back.
    stopping: bool,
    /// systemd was stopping the daemon for good when it was last seen.
    being_stopped: bool,
    /// It ended while a `fail2ban-client restart` was under way. Kept while systemd still ends the unit, since its
    /// `ExecStop=` stops the new server, too; gone with any other look that sees a daemon.
    client_restarts: bool,
    /// jailwarden had started the daemon when it was killed, and has not seen it since.
    awaited: bool,
    /// systemd was told that the first look is over.
    ready: bool,
    /// The state's name, and since when it has it.
    state_since: (&'static str, MonoTime),
    saved: Memory,
    saving: Option<ActionId>,
    unsaved: Option<Unsaved>,
}

impl Machine {
    /// A machine that begins by taking stock. `seed` makes incident ids differ between runs.
    #[must_use]
    pub fn new(policy: Policy, names: Names, memory: Memory, seed: u32) -> (Self, Vec<Action>) {
        Self::begin(MonoTime::START, policy, names, memory, seed)
    }

    fn begin(
        now: MonoTime,
        policy: Policy,
        names: Names,
        memory: Memory,
        seed: u32,
    ) -> (Self, Vec<Action>) {
        let mut memory = memory.carried();
        let mut machine = Self {
            policy,
            names,
            seed,
            now,
            last_id: 0,
            state: State::Ended,
            out: Vec::new(),
            look: None,
            look_began: now,
            looks_at_unit: false,
            next_look: now,
            disk: Disk::default(),
            accepted: memory.accepted.clone().unwrap_or_default(),
            proven: memory.proven.clone(),
            recent: memory.recent.clone(),
            held: memory.held.clone(),
            held_as: memory.held_as.clone(),
            to_stop: memory.to_stop.clone(),
            lost: memory.lost.clone(),
            revived: memory.revived(now),
            rollbacks: memory.rolled_back(),
            refusal: None,
            spurned: memory.spurned.clone(),
            doubt: memory.doubt.clone(),
            hindrance: None,
            mends: memory.mends.clone(),
            waits: BTreeMap::new(),
            pause: None,
            commands: Commands::default(),
            guesses: memory.guesses.clone(),
            in_vain: memory.in_vain.clone(),
            put_back: memory.put_back.clone(),
            good: memory.good,
            keeping: Keeping::default(),
            ailing: memory.ailing(now),
            relieved_until: memory.relieved_until(now),
            daemon: Known::default(),
            met: false,
            in_memory: InMemory::carried(memory.in_memory, memory.age, now),
            // When they were given is not known: the budget counts them as if it were now.
            starts: memory.starts().map(|()| now).collect(),
            protection: Protection::carried(&mut memory),
            unprotected: memory.unprotected.clone(),
            incident: None,
            incidents: 0,
            gave_up_before: memory.gave_up.times,
            last_fine: None,
            stopping: memory.stopping,
            being_stopped: memory.being_stopped,
            client_restarts: false,
            awaited: memory.start == Some(Start::Given),
            ready: false,
            state_since: ("starting", now),
            saved: memory,
            saving: None,
            unsaved: None,
        };
        let find = machine.saved.intent.as_ref().and_then(Intent::search);
        let find = find.map(|effect| machine.run(effect));
        let read = machine.run(Effect::ReadConfig { known: None });
        machine.state = State::Starting {
            find,
            found: None,
            read,
            config: None,
            sight: None,
        };
        machine.look_now();
        let actions = std::mem::take(&mut machine.out);
        (machine, actions)
    }

    /// Takes one event in and gives the actions that follow from it, in order. Total: a stale or
    /// doubled event changes nothing.
    pub fn handle_event(&mut self, now: MonoTime, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        match event {
            Event::Timeout => {}
            Event::Observed(observed) => self.observe(observed),
            Event::Done { id, outcome } => self.done(id, outcome),
            Event::Operator(operator) => self.operator(operator),
            Event::SettingsChanged(policy) => {
                self.policy = policy;
                self.next_look = self.next_look.min(self.now + policy.interval);
            }
            Event::Shutdown => self.shut_down(),
        }
        self.end_pause_if_due();
        self.obey();
        self.pause_if_asked();
        self.tick();
        self.keep_mends();
        self.account();
        self.keep_if_due();
        self.save_if_changed();
        self.note_state();
        std::mem::take(&mut self.out)
    }

    /// When `Event::Timeout` is due next, if at all.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<MonoTime> {
        let look = (self.look.is_none() && self.looks_in_this_state()).then_some(self.next_look);
        let settle = self
            .reads_in_this_state()
            .then(|| self.disk.due(&self.policy))
            .flatten();
        let step = match &self.state {
            State::Restarting(restart) => restart.deadline(),
            _ => None,
        };
        let mend = self.mend_deadline();
        let pause = self.pause_deadline();
        let command = self.commands.deadline();
        let all = [
            look,
            settle,
            step,
            mend,
            pause,
            command,
            self.keep_deadline(),
            self.rest_deadline(),
        ];
        all.into_iter().flatten().min()
    }

    fn observe(&mut self, observed: Observed) {
        match observed {
            Observed::ConfigTouched => {
                self.disk.touch(self.now);
                self.doubt_if_unread();
            }
            Observed::ConfigStale => {
                self.disk.distrust(self.now);
                self.hint_mends();
            }
            Observed::PackagesChanged => {
                self.disk.distrust(self.now);
                self.hint_mends_afresh();
            }
            Observed::SocketMoved => self.next_look = self.now,
            Observed::DaemonExited { pid } => self.daemon_exited(pid),
        }
    }

    fn daemon_exited(&mut self, pid: u32) {
        let leaving = matches!(&self.state, State::Restarting(r) if r.old == Some(pid));
        if self.daemon.pid != Some(pid) && !leaving {
            return;
        }
        let was_masked = self.is_masked();
        self.forget_daemon();
        match self.state {
            State::Restarting(_) => self.restart_exited(was_masked),
            State::Checking { .. } | State::Reloading(_) => {
                self.disk.touch(self.now);
                self.watch();
                self.look_now();
            }
            State::Watching | State::Suspect(_) | State::GaveUp { .. } | State::Paused { .. } => {
                self.look_now();
            }
            State::Starting { ref mut sight, .. } => {
                *sight = None;
                self.look_now();
            }
            State::Mending(ref mending) => {
                // A mere trial can be made later; what writes is ended first.
                if mending.may_be_left() {
                    self.watch();
                }
                self.next_look = self.now;
            }
            State::Standby { .. } | State::Ended => {}
        }
    }

    fn done(&mut self, id: ActionId, outcome: Outcome) {
        if self.look == Some(id) {
            self.look = None;
            if let Outcome::Seen(sight) = outcome {
                self.seen(sight);
            } else {
                self.next_look = self.now + Policy::SUSPECT_PACE;
            }
            return;
        }
        match &self.state {
            State::Starting { find: Some(i), .. } if *i == id => self.found(outcome),
            State::Starting { read, .. } if *read == id => {
                let read = config_of(outcome);
                if let State::Starting { config, .. } = &mut self.state {
                    *config = Some(read);
                }
                self.take_stock();
            }
            State::Checking { read, ours } if *read == id => {
                let ours = *ours;
                self.checked(config_of(outcome), ours);
            }
            State::GaveUp {
                undo: Some(undo), ..
            } if undo.awaits(id) => self.undo_done(outcome),
            State::GaveUp {
                read: Some((i, _)), ..
            } if *i == id => {
                self.gave_up_read(config_of(outcome));
            }
            State::Mending(mending) if mending.awaits(id) => self.mend_done(outcome),
            State::Reloading(reload) if reload.awaits(id) => self.reload_done(outcome),
            State::Restarting(restart) if restart.examining == Some(id) => self.examined(outcome),
            State::Restarting(restart) if restart.awaits(id) => self.restart_done(outcome),
            _ if self.saving == Some(id) => self.save_done(&outcome),
            _ if self.is_keeping(id) => self.kept(outcome),
            _ => {
                if let Some(jail) = self.freed_by(id) {
                    self.freed(&jail, outcome);
                }
            }
        }
    }

    /// Does whatever has become due.
    fn tick(&mut self) {
        let change_due = self
            .disk
            .due(&self.policy)
            .is_some_and(|due| due <= self.now);
        if change_due && self.reads_in_this_state() {
            match self.state {
                State::GaveUp { .. } => self.read_given_up(),
                _ => self.check(),
            }
        }
        self.mend_if_due();
        self.heal_if_due();
        self.end_rest_if_due();
        match &self.state {
            State::Restarting(restart) if restart.deadline().is_some_and(|d| d <= self.now) => {
                self.restart_overdue();
            }
            _ => {}
        }
        if self.look.is_none() && self.looks_in_this_state() && self.next_look <= self.now {
            self.look_now();
        }
    }

    fn watch(&mut self) {
        self.state = State::Watching;
        self.next_look = self.next_look.min(self.now + self.policy.interval);
    }

    fn run(&mut self, effect: Effect) -> ActionId {
        self.last_id += 1;
        let id = ActionId(self.last_id);
        self.out.push(Action::Run(id, effect));
        id
    }

    fn shut_down(&mut self) {
        if matches!(self.state, State::Ended) {
            return;
        }
        self.say_ending();
        self.save_at_end();
        self.state = State::Ended;
        self.look = None;
        self.out.push(Action::Exit);
    }
}

fn config_of(outcome: Outcome) -> ConfigRead {
    match outcome {
        Outcome::Config(read) => read,
        _ => ConfigRead::Failed("the check was lost on its way".into()),
    }
}
