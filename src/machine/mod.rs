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
mod event;
mod give_up;
mod incident;
mod keep;
mod ladder;
mod memory;
mod mend;
mod pause;
mod plan;
mod policy;
mod protection;
pub mod report;
mod restart;
mod roll_back;
mod snapshot;
mod standby;
mod stop;
mod time;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use action::{Action, Effect, Signal};
pub use event::{
    ActionId, ActiveState, Ailment, Applied, Complaint, ConfigRead, Culprit, Cure, Daemon,
    Diagnosis, Event, ExitKind, Finding, Health, Motion, Observed, Operator, Outcome, PutBack,
    Reading, Sight, StopAnswer, Trial, Unit, Verdict,
};
pub use memory::Memory;
pub use mend::Mend;
pub use plan::{Change, Changes, JailPlan, Plan};
pub use policy::Policy;
pub use roll_back::Guesses;
pub use snapshot::Snapshot;
pub use time::MonoTime;
pub use words::Names;

use ailing::Ailing;
use assess::{Sign, Suspect};
use change::{Disk, Refusal, Reload, Spurned};
use give_up::By;
use incident::Incident;
use keep::Keeping;
use mend::{Mending, Wait};
use pause::Pause;
use protection::Protection;
use restart::Restart;

/// The supervisor's mind.
#[derive(Debug, Clone)]
pub struct Machine {
    policy: Policy,
    names: Names,
    seed: u32,
    now: MonoTime,
    last_id: u64,
    state: State,
    out: Vec<Action>,
    look: Option<ActionId>,
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
    /// Jails that could not be revived; they are tried again when something changes.
    lost: BTreeSet<String>,
    /// Jails that a rollback file of ours disables.
    rollbacks: BTreeSet<String>,
    refusal: Option<Refusal>,
    spurned: Spurned,
    /// The jails that a rollback disables, or did until lately.
    mends: BTreeMap<String, Mend>,
    waits: BTreeMap<String, Wait>,
    /// A pause that is asked for; it begins once nothing is under way.
    pause: Option<Pause>,
    guesses: Guesses,
    /// Fingerprint of the config that was last kept as good.
    good: Option<u128>,
    keeping: Keeping,
    /// Jails that see or do nothing, though they are alive.
    ailing: BTreeMap<String, Ailing>,
    daemon: Known,
    protection: Protection,
    /// For how long each jail has gone unprotected, without what still lasts.
    unprotected: BTreeMap<String, Duration>,
    incident: Option<Incident>,
    incidents: u32,
    /// When every jail that should run was last seen alive.
    last_fine: Option<MonoTime>,
    starts: VecDeque<MonoTime>,
    /// jailwarden has begun to stop the daemon and has not seen it back.
    stopping: bool,
    /// systemd was told that the first look is over.
    ready: bool,
    saved: Memory,
    saving: Option<ActionId>,
}

/// What was last seen of the daemon.
#[derive(Debug, Clone, Default)]
struct Known {
    pid: Option<u32>,
    listed: BTreeSet<String>,
    dead: BTreeSet<String>,
    ping: Option<std::time::Duration>,
    /// Somebody else started it, and that was not yet told.
    stranger: bool,
    /// All jails that should run were seen to, in this process.
    was_fine: bool,
    /// It was started while jailwarden looked on, and has not yet been seen fine with a config
    /// that is known: once it is, that config is proven to start.
    cold: bool,
    /// The config that it was started with, as far as is known: what was loaded since is not proven.
    started_with: Option<Plan>,
    first_seen: MonoTime,
}

/// What is being done.
#[derive(Debug, Clone)]
enum State {
    /// Taking stock: the first reading of the config and the first look at the daemon.
    Starting {
        read: ActionId,
        config: Option<ConfigRead>,
        sight: Option<Sight>,
    },
    /// Watching a daemon that answers.
    Watching,
    /// A sign of trouble is being watched.
    Suspect(Suspect),
    /// The config is being read and checked.
    Checking {
        read: ActionId,
        /// It is our own change that is read.
        ours: bool,
    },
    /// Settings are on their way into the daemon.
    Reloading(Reload),
    /// The daemon is being brought back.
    Restarting(Restart),
    /// A jail that a rollback disables is brought back, or back to its rollback.
    Mending(Mending),
    /// The daemon was stopped on purpose.
    Standby { why: String },
    /// A person paused jailwarden; whether it stood by before.
    Paused { stood_by: bool },
    /// Every way back has failed so far.
    GaveUp {
        attempt: u32,
        retry_at: MonoTime,
        /// The config is being read: if it differs, it is tried again at once.
        read: Option<(ActionId, By)>,
        /// What was disabled in vain is being taken back.
        undo: Option<(ActionId, Guesses)>,
    },
    /// jailwarden ends.
    Ended,
}

impl Machine {
    /// A machine that begins by taking stock. `seed` makes incident ids differ between runs.
    #[must_use]
    pub fn new(policy: Policy, names: Names, memory: Memory, seed: u32) -> (Self, Vec<Action>) {
        let mut machine = Self {
            policy,
            names,
            seed,
            now: MonoTime::START,
            last_id: 0,
            state: State::Ended,
            out: Vec::new(),
            look: None,
            next_look: MonoTime::START,
            disk: Disk::default(),
            accepted: memory.accepted.clone().unwrap_or_default(),
            proven: memory.proven.clone(),
            recent: memory.recent.clone(),
            held: memory.held.clone(),
            lost: BTreeSet::new(),
            rollbacks: BTreeSet::new(),
            refusal: None,
            spurned: Spurned::default(),
            mends: memory.mends.clone(),
            waits: BTreeMap::new(),
            pause: None,
            guesses: memory.guesses.clone(),
            good: memory.good,
            keeping: Keeping::default(),
            ailing: BTreeMap::new(),
            daemon: Known::default(),
            protection: Protection::default(),
            unprotected: memory.unprotected.clone(),
            incident: None,
            incidents: 0,
            last_fine: None,
            starts: VecDeque::new(),
            stopping: memory.stopping,
            ready: false,
            saved: memory,
            saving: None,
        };
        let read = machine.run(Effect::ReadConfig { known: None });
        machine.state = State::Starting {
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
        self.pause_if_asked();
        self.tick();
        self.keep_mends();
        self.account();
        self.keep_if_due();
        self.save_if_changed();
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
        let all = [look, settle, step, mend, pause, self.keep_deadline()];
        all.into_iter().flatten().min()
    }

    fn observe(&mut self, observed: Observed) {
        match observed {
            Observed::ConfigTouched => self.disk.touch(self.now),
            Observed::ConfigStale => {
                self.disk.distrust(self.now);
                self.hint_mends();
            }
            Observed::PackagesChanged => {
                self.disk.distrust(self.now);
                self.hint_mends_afresh();
            }
            Observed::SocketMoved => {
                if self.looks_in_this_state() && self.look.is_none() {
                    self.next_look = self.now;
                }
            }
            Observed::DaemonExited { pid } => self.daemon_exited(pid),
        }
    }

    fn daemon_exited(&mut self, pid: u32) {
        let leaving = matches!(&self.state, State::Restarting(r) if r.old == Some(pid));
        if self.daemon.pid != Some(pid) && !leaving {
            return;
        }
        self.forget_daemon();
        match self.state {
            State::Restarting(_) => self.restart_exited(),
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
                if !mending.writes() {
                    self.watch();
                }
                self.next_look = self.now;
            }
            State::Standby { .. } | State::Ended => {}
        }
    }

    fn forget_daemon(&mut self) {
        self.daemon = Known::default();
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
                undo: Some((i, _)), ..
            } if *i == id => self.guesses_taken_back(outcome),
            State::GaveUp {
                read: Some((i, _)), ..
            } if *i == id => {
                self.gave_up_read(config_of(outcome));
            }
            State::Mending(mending) if mending.awaits(id) => self.mend_done(outcome),
            State::Reloading(reload) if reload.awaits(id) => self.reload_done(outcome),
            State::Restarting(restart) if restart.awaits(id) => self.restart_done(outcome),
            _ if self.saving == Some(id) => self.save_done(&outcome),
            _ if self.is_keeping(id) => self.kept(outcome),
            _ => {}
        }
    }

    /// Routes a look's answer to whatever waits for it.
    fn seen(&mut self, mut sight: Sight) {
        let new = self.know(&sight);
        if new {
            self.forget_ailing();
        }
        self.note_health(std::mem::take(&mut sight.health));
        match &mut self.state {
            State::Starting { sight: slot, .. } => {
                *slot = Some(sight);
                // Not only once the config is read: that may take longer than systemd waits.
                if !std::mem::replace(&mut self.ready, true) {
                    self.out.push(Action::Ready);
                }
                self.take_stock();
            }
            State::Watching | State::Suspect(_) => self.assess(sight),
            State::Reloading(_) => self.reload_seen(&sight),
            State::Restarting(_) => self.restart_seen(sight),
            State::Standby { .. } => self.standby_seen(sight),
            State::GaveUp { .. } => self.gave_up_seen(sight, new),
            State::Paused { .. } => self.next_look = self.now + self.policy.interval,
            State::Checking { .. } | State::Mending(_) | State::Ended => {}
        }
    }

    /// Keeps what a look says of the daemon, and tells whether it is a process not seen before.
    /// A new process means that somebody started it with what was on disk then; one that answers
    /// again after a silence may have been told anything before it: the disk is read again.
    fn know(&mut self, sight: &Sight) -> bool {
        let before = self.daemon.ping.take();
        let (Daemon::Answers { pid, .. }
        | Daemon::Silent { pid: Some(pid), .. }
        | Daemon::Absent {
            process: Some(pid), ..
        }) = &sight.daemon
        else {
            return false;
        };
        let new = self.daemon.pid != Some(*pid);
        let first = matches!(self.state, State::Starting { .. });
        let others_doing = !first && !matches!(self.state, State::Restarting(_));
        if new {
            self.daemon = Known {
                pid: Some(*pid),
                stranger: others_doing,
                cold: !first,
                started_with: self.started_with(),
                first_seen: self.now,
                ..Known::default()
            };
            if others_doing {
                self.lost.clear();
                self.held.clear();
            }
        }
        if let Daemon::Answers {
            ping, listed, dead, ..
        } = &sight.daemon
        {
            if others_doing && (new || before.is_none()) {
                self.disk.distrust(self.now);
            }
            self.daemon.ping = Some(*ping);
            self.daemon.listed.clone_from(listed);
            self.daemon.dead.clone_from(dead);
        }
        new
    }

    /// The config that jailwarden has just started the daemon with, if it was read.
    fn started_with(&self) -> Option<Plan> {
        let ours = matches!(self.state, State::Restarting(_)) && self.disk.reading.is_some();
        ours.then(|| self.accepted.clone())
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

    fn looks_in_this_state(&self) -> bool {
        match &self.state {
            State::Starting { sight, .. } => sight.is_none(),
            State::Watching
            | State::Suspect(_)
            | State::Standby { .. }
            | State::Paused { .. }
            | State::GaveUp { .. } => true,
            State::Reloading(reload) => reload.looks(),
            State::Restarting(restart) => restart.looks(),
            State::Checking { .. } | State::Mending(_) | State::Ended => false,
        }
    }

    /// Whether a config change may be taken up now. A daemon that may be hung comes first; one
    /// that cannot be asked for want of a socket is not restarted before what waits is known.
    fn reads_in_this_state(&self) -> bool {
        match &self.state {
            State::Watching => self.daemon.ping.is_some(),
            State::GaveUp { read, undo, .. } => read.is_none() && undo.is_none(),
            State::Suspect(suspect) => {
                matches!(suspect.sign, Sign::Jails { .. } | Sign::Unaskable { .. })
            }
            _ => false,
        }
    }

    fn look_now(&mut self) {
        let effect = Effect::Look {
            expect: self.expected(),
        };
        self.look = Some(self.run(effect));
    }

    /// The jails that should be alive in the daemon now.
    fn expected(&self) -> BTreeSet<String> {
        let mut names = self.accepted.names();
        names.retain(|n| !self.held.contains(n) && !self.lost.contains(n));
        names
    }

    /// Of the jails that should be alive, those that the last answer showed not to be.
    fn not_alive(&self) -> BTreeSet<String> {
        let alive = |n: &String| self.daemon.listed.contains(n) && !self.daemon.dead.contains(n);
        self.expected().into_iter().filter(|n| !alive(n)).collect()
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

    fn memory(&self) -> Memory {
        Memory {
            standby: matches!(
                self.state,
                State::Standby { .. } | State::Paused { stood_by: true }
            ),
            stopping: self.stopping,
            held: self.held.clone(),
            accepted: Some(self.accepted.clone()),
            proven: self.proven.clone(),
            recent: self.recent.clone(),
            refused: self.refusal.as_ref().map(|r| r.fingerprint),
            mends: self.mends.clone(),
            guesses: self.guesses.clone(),
            good: self.good,
            unprotected: self.unprotected.clone(),
        }
    }

    fn save_if_changed(&mut self) {
        if matches!(self.state, State::Starting { .. } | State::Ended) {
            return;
        }
        if self.memory() != self.saved {
            self.saving = Some(self.save());
        }
    }

    fn save(&mut self) -> ActionId {
        self.saved = self.memory();
        self.run(Effect::Save(Box::new(self.saved.clone())))
    }

    fn save_done(&mut self, outcome: &Outcome) {
        self.saving = None;
        if let Outcome::Effect(Err(why)) = outcome {
            self.say_not_kept(why);
        }
    }

    fn shut_down(&mut self) {
        if matches!(self.state, State::Ended) {
            return;
        }
        self.say_ending();
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
