//! A small model of a host: config files, a daemon with its faults, systemd with Debian's unit.
//! It executes the machine's effects in simulated time and checks what must hold at every step.

mod disk;
mod effects;
mod host;
mod rules;

use std::collections::BTreeMap;

use super::super::restart::{Cause, Restart};
use super::*;
use effects::brief;

/// What is wrong with a version of a jail's config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// The check finds it; the daemon does not start with it.
    Fatal,
    /// The check finds it; the daemon skips the jail.
    Skipped,
    /// The check misses it; a reload is refused, and the daemon does not start with it.
    Hidden,
    /// As `Hidden`, but the start leaves a daemon that answers and runs no jail.
    Phantom,
    /// Reloads well, and breaks the next cold start.
    ColdOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hang {
    Stopped,
    Frozen,
    Busy,
    /// systemd stops it, and it does not come to its end.
    Leaving,
}

#[derive(Debug, Clone)]
pub(super) struct Jail {
    pub(super) digest: u128,
    pub(super) alive: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) up_at: MonoTime,
    pub(super) jails: BTreeMap<String, Jail>,
    pub(super) hang: Option<Hang>,
    pub(super) socket: bool,
    pub(super) stopping: bool,
    /// Its database is in memory.
    pub(super) in_memory: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Then {
    /// An action ends; a connection that it had was to this process.
    Answer(ActionId, Box<Effect>, Option<u32>),
    /// The process ends: with this unit state after it, if it is still the same process.
    Die(u32, &'static str),
    /// systemd's own restart, or an admin's start.
    Spawn,
}

/// Files that a put-back replaced, and what it put there.
#[derive(Debug, Clone)]
pub(super) struct Replaced {
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) before: BTreeMap<String, u128>,
    pub(super) unreadable: bool,
    after: BTreeMap<String, u128>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fault that is there or not"
)]
#[derive(Clone)]
pub(super) struct World {
    pub(super) now: MonoTime,
    pub(super) machine: Machine,
    pub(super) has_unit: bool,
    // The disk.
    pub(super) files: BTreeMap<String, u128>,
    pub(super) faults: BTreeMap<u128, Fault>,
    pub(super) rollbacks: BTreeSet<String>,
    /// The files that were kept as good, and those that their put-back replaced.
    pub(super) good: Option<BTreeMap<String, u128>>,
    pub(super) replaced: Vec<Replaced>,
    pub(super) unreadable: bool,
    pub(super) disk_full: bool,
    pub(super) check_fails: bool,
    /// What surrounds fail2ban keeps it from starting, whatever its config.
    pub(super) surroundings: bool,
    /// The database cannot be written.
    pub(super) locked: bool,
    /// The database is damaged: a daemon loses the jail that it is told to load, and none starts with it.
    pub(super) damaged: bool,
    /// A file of jailwarden's has it in memory.
    pub(super) in_memory: bool,
    /// Nothing brings it back, and nothing says why.
    pub(super) doomed: bool,
    /// What a start that fails leaves behind is a daemon that answers and runs no jail.
    pub(super) lingers: bool,
    /// A daemon can open no more files.
    pub(super) cramped: bool,
    /// This jail reads nothing, whoever loads it.
    pub(super) blind: Option<&'static str>,
    /// When that was last looked at.
    looked_for_blind: MonoTime,
    /// Whether fail2ban's own words name the jail at fault.
    pub(super) blames: bool,
    fresh: u128,
    // The host.
    pub(super) process: Option<Process>,
    pub(super) next_pid: u32,
    pub(super) unit: Unit,
    /// The unit is masked.
    pub(super) masked: bool,
    /// Packages are being installed.
    pub(super) packages: bool,
    /// One of both was so at the last look.
    pub(super) barred: bool,
    /// This jail has no threads, whoever loads it.
    pub(super) frail: Option<&'static str>,
    /// The digest of a jail whose log holds a line that makes its filter run for ever.
    pub(super) burning: Option<u128>,
    pub(super) start_takes: Duration,
    pub(super) stop_takes: Duration,
    pub(super) memory: Memory,
    /// When that was written.
    pub(super) kept_at: MonoTime,
    /// The last save was lost: a disk that does not keep what is intended keeps nobody from recovering.
    pub(super) save_lost: bool,
    /// jailwarden cannot know which rollbacks stand, as an answer or what it intended was lost. What is written again
    /// then is the same.
    pub(super) unheard: bool,
    pub(super) later: Vec<(MonoTime, Then)>,
    // What is remembered to be checked.
    pub(super) shown: BTreeSet<u32>,
    pub(super) stopped_by_admin: bool,
    /// Jails that an admin stopped in the process that runs.
    pub(super) stopped_jails: BTreeSet<String>,
    /// Those of them of which jailwarden knew, until somebody wants them to run.
    pub(super) held: BTreeSet<String>,
    /// Jails whose config was changed since, of which jailwarden does not know yet.
    released: BTreeSet<String>,
    /// Jails stopped by hand of which jailwarden knew when somebody started fail2ban in vain, before its own first
    /// look: it cannot have seen that. Until it forgets that they were stopped.
    pub(super) unseen: BTreeSet<String>,
    /// systemd starts the daemon again by itself.
    revives: bool,
    /// The process that it has started so, and of which jailwarden may know that.
    revived: Option<u32>,
    /// The file that asks for a pause stands, with the time at which it ends.
    #[expect(clippy::option_option, reason = "a pause may have no end")]
    pub(super) paused: Option<Option<MonoTime>>,
    pub(super) changed_ever: BTreeSet<String>,
    /// When it gave up, if nobody has touched the config since.
    gave_up_at: Option<MonoTime>,
    /// Which save it was that stays.
    saved: ActionId,
    /// Somebody touched the config since the last start.
    untried: bool,
    /// Somebody touched the config since it was read for the first guess.
    touched_since_guess: bool,
    /// How often something was asked for or told, looks aside.
    pub(super) doings: u64,
    /// Nobody listens just now.
    deaf: bool,
    pub(in super::super) at_this_instant: (MonoTime, u32),
    pub(super) starts: Vec<MonoTime>,
    pub(super) reports: Vec<Report>,
    pub(super) log: Option<Vec<String>>,
}

impl World {
    /// A host on which jailwarden has taken stock.
    pub(super) fn new(jails: &[&str], has_unit: bool) -> Self {
        let mut world = Self::begin(jails, has_unit, 7);
        // What the daemon ran before jailwarden first looked is taken to be what is on disk.
        world.pass(secs(1));
        world
    }

    /// A host on which jailwarden starts; the daemon runs as this process.
    pub(super) fn begin(jails: &[&str], has_unit: bool, pid: u32) -> Self {
        let mut world = Self::begin_with(jails, has_unit, pid, Memory::default());
        world.changed_ever.clear();
        world
    }

    /// As [`Self::begin`], of a jailwarden that remembers this.
    pub(super) fn begin_with(jails: &[&str], has_unit: bool, pid: u32, memory: Memory) -> Self {
        let (machine, actions) = Machine::new(Policy::default(), names(), memory.clone(), 0);
        let mut world = Self {
            now: MonoTime::START,
            machine,
            has_unit,
            files: BTreeMap::new(),
            faults: BTreeMap::new(),
            rollbacks: BTreeSet::new(),
            good: None,
            replaced: Vec::new(),
            unreadable: false,
            disk_full: false,
            check_fails: false,
            surroundings: false,
            locked: false,
            damaged: false,
            in_memory: false,
            doomed: false,
            lingers: false,
            cramped: false,
            blind: None,
            looked_for_blind: MonoTime::START,
            blames: false,
            fresh: 0,
            process: None,
            next_pid: pid - 1,
            unit: unit_stopped(),
            masked: false,
            packages: false,
            barred: false,
            frail: None,
            burning: None,
            start_takes: ms(300),
            stop_takes: ms(500),
            memory,
            kept_at: MonoTime::START,
            save_lost: false,
            unheard: false,
            later: Vec::new(),
            shown: BTreeSet::new(),
            stopped_by_admin: false,
            stopped_jails: BTreeSet::new(),
            held: BTreeSet::new(),
            released: BTreeSet::new(),
            unseen: BTreeSet::new(),
            revives: false,
            revived: None,
            paused: None,
            changed_ever: BTreeSet::new(),
            gave_up_at: None,
            saved: ActionId::NONE,
            untried: false,
            touched_since_guess: false,
            doings: 0,
            deaf: true,
            at_this_instant: (MonoTime::START, 0),
            starts: Vec::new(),
            reports: Vec::new(),
            log: None,
        };
        for jail in jails {
            world.edit(jail, Fault::None);
        }
        world.deaf = false;
        world.spawn();
        world.take(actions);
        world
    }

    fn after(&mut self, wait: Duration, then: Then) {
        self.later.push((self.now + wait, then));
    }

    /// Lets time pass, jumping from one thing that happens to the next.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.due().is_some_and(|due| due <= end) {
            self.next();
        }
        self.now = end;
    }

    /// When something happens next.
    pub(super) fn due(&self) -> Option<MonoTime> {
        let work = self.later.iter().map(|(at, _)| *at).min();
        let due = self.machine.poll_timeout().into_iter().chain(work).min();
        let ended = matches!(self.machine.state, State::Ended);
        assert!(ended || due.is_some(), "stuck: {:?}", self.machine.state);
        due
    }

    /// Lets the next thing happen: work that is under way ends, else a deadline passes.
    pub(super) fn next(&mut self) {
        let Some(due) = self.due() else { return };
        self.now = self.now.max(due);
        match self.first_of_later() {
            Some(at) if self.later[at].0 <= self.now => {
                let (_, then) = self.later.remove(at);
                self.happens(then);
            }
            _ => self.tell(Event::Timeout),
        }
    }

    /// What happens first of all that is under way.
    pub(super) fn first_of_later(&self) -> Option<usize> {
        let all = self.later.iter().enumerate();
        Some(all.min_by_key(|(_, (at, _))| *at)?.0)
    }

    fn happens(&mut self, then: Then) {
        match then {
            Then::Answer(id, effect, peer) => {
                self.doings += u64::from(!matches!(*effect, Effect::Look { .. }));
                let outcome = self.execute(id, &effect, peer);
                self.note(|| format!("  {}: {}", word(&effect), brief(&outcome)));
                self.tell(done(id, outcome));
            }
            Then::Die(pid, how) => {
                self.doings += 1;
                if self.process.as_ref().is_some_and(|p| p.pid == pid) {
                    self.die(how);
                }
            }
            Then::Spawn => {
                self.doings += 1;
                if self.process.is_none()
                    && !self.masked
                    && (!self.has_unit || self.unit.job || self.unit == unit_restarting())
                {
                    self.restarts_by_itself();
                }
            }
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        if self.deaf {
            return;
        }
        if self.at_this_instant.0 == self.now {
            self.at_this_instant.1 += 1;
            assert!(
                self.at_this_instant.1 < 60,
                "spins in {:?}",
                self.machine.state
            );
        } else {
            self.at_this_instant = (self.now, 0);
        }
        if let Event::Done {
            outcome:
                Outcome::Config(ConfigRead::Read(_) | ConfigRead::Unchanged) | Outcome::Rollbacks(Ok(_)),
            ..
        } = &event
        {
            self.unheard = false;
        }
        let before = self.machine.held.clone();
        let actions = self.machine.handle_event(self.now, event);
        self.held.extend(&self.machine.held - &before);
        let held = &self.machine.held;
        self.released.retain(|jail| held.contains(jail));
        let held_as = &self.machine.held_as;
        self.unseen.retain(|jail| held_as.contains_key(jail));
        self.take(actions);
    }

    /// Another change ends the one before it, if that was given up.
    fn end_applies(&mut self) {
        let is_apply = |then: &Then| matches!(then, Then::Answer(_, effect, _) if matches!(**effect, Effect::Apply { .. }));
        self.later.retain(|(_, then)| !is_apply(then));
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run(id, effect) => {
                    self.doings += u64::from(!matches!(effect, Effect::Look { .. }));
                    self.check(&effect);
                    if !matches!(effect, Effect::Look { .. } | Effect::Save(_)) {
                        self.note(|| format!("> {}", word(&effect)));
                    }
                    match &effect {
                        Effect::Apply { .. } => self.end_applies(),
                        // What is about to be done is of what was just read.
                        Effect::Save(memory)
                            if memory.intent.is_some()
                                && memory.guesses.is_empty()
                                && self.is_first_rollback() =>
                        {
                            self.touched_since_guess = false;
                        }
                        // Without the guess it is another then, too.
                        Effect::Save(memory)
                            if memory.intent.as_ref().is_some_and(|it| !it.guess) =>
                        {
                            self.touched_since_guess = true;
                        }
                        _ => {}
                    }
                    let takes = self.takes(&effect);
                    let peer = self.process.as_ref().map(|p| p.pid);
                    self.after(takes, Then::Answer(id, Box::new(effect), peer));
                }
                Action::Report(report) => {
                    self.note(|| format!("! {:?}: {}", report.kind, report.message));
                    super::words::assert_explained(&report);
                    self.doings += 1;
                    if report.kind == Kind::GaveUp {
                        // What has not been started with yet is tried at once.
                        let guessed = !self.machine.guesses.is_empty();
                        let untried = self.untried || guessed && self.touched_since_guess;
                        // A jailwarden that goes on with the wait of another tells that anew.
                        let goes_on = self.gave_up_at.filter(|at| self.starts.last() <= Some(at));
                        self.gave_up_at = goes_on.or(Some(self.now)).filter(|_| !untried);
                    }
                    self.reports.push(report);
                }
                Action::Ready | Action::Exit | Action::Record(_) | Action::Answer(..) => {}
            }
        }
    }

    /// Nothing was done to the config in this incident yet.
    fn is_first_rollback(&self) -> bool {
        let incident = self.machine.incident.as_ref();
        incident.is_none_or(|it| it.before_rollbacks.is_none())
    }

    fn note(&mut self, words: impl FnOnce() -> String) {
        let at = self.now.since(MonoTime::START).as_secs_f64();
        if let Some(log) = &mut self.log {
            let words = words();
            if log.last().is_none_or(|last| last[9..] != words) {
                log.push(format!("{at:8.3} {words}"));
            }
        }
    }
}
