//! A small model of a host: config files, a daemon with its faults, systemd with Debian's unit.
//! It executes the machine's effects in simulated time and checks what must hold at every step.

use std::collections::BTreeMap;

use super::super::restart::Cause;
use super::*;

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
}

#[derive(Debug, Clone)]
struct Jail {
    digest: u128,
    alive: bool,
}

#[derive(Debug, Clone)]
struct Process {
    pid: u32,
    up_at: MonoTime,
    jails: BTreeMap<String, Jail>,
    hang: Option<Hang>,
    socket: bool,
    stopping: bool,
}

#[derive(Debug)]
enum Then {
    /// An action ends; a connection that it had was to this process.
    Answer(ActionId, Box<Effect>, Option<u32>),
    /// The process ends: with this unit state after it, if it is still the same process.
    Die(u32, &'static str),
    /// systemd's own restart, or an admin's start.
    Spawn,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fault that is there or not"
)]
pub(super) struct World {
    pub(super) now: MonoTime,
    pub(super) machine: Machine,
    pub(super) has_unit: bool,
    // The disk.
    pub(super) files: BTreeMap<String, u128>,
    faults: BTreeMap<u128, Fault>,
    pub(super) rollbacks: BTreeSet<String>,
    /// The files that were kept as good, and those that their put-back replaced.
    good: Option<BTreeMap<String, u128>>,
    replaced: Option<(BTreeMap<String, u128>, bool)>,
    pub(super) unreadable: bool,
    pub(super) disk_full: bool,
    pub(super) check_fails: bool,
    fresh: u128,
    // The host.
    process: Option<Process>,
    next_pid: u32,
    unit: Unit,
    pub(super) start_takes: Duration,
    pub(super) stop_takes: Duration,
    pub(super) memory: Memory,
    later: Vec<(MonoTime, Then)>,
    // What is remembered to be checked.
    shown: BTreeSet<u32>,
    stopped_by_admin: bool,
    /// The file that asks for a pause stands.
    paused: bool,
    changed_ever: BTreeSet<String>,
    at_this_instant: (MonoTime, u32),
    pub(super) starts: Vec<MonoTime>,
    pub(super) reports: Vec<Report>,
    pub(super) log: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(jails: &[&str], has_unit: bool) -> Self {
        let (machine, actions) = Machine::new(Policy::default(), names(), Memory::default(), 0);
        let mut world = Self {
            now: MonoTime::START,
            machine,
            has_unit,
            files: BTreeMap::new(),
            faults: BTreeMap::new(),
            rollbacks: BTreeSet::new(),
            good: None,
            replaced: None,
            unreadable: false,
            disk_full: false,
            check_fails: false,
            fresh: 0,
            process: None,
            next_pid: 6,
            unit: unit_stopped(),
            start_takes: ms(300),
            stop_takes: ms(500),
            memory: Memory::default(),
            later: Vec::new(),
            shown: BTreeSet::new(),
            stopped_by_admin: false,
            paused: false,
            changed_ever: BTreeSet::new(),
            at_this_instant: (MonoTime::START, 0),
            starts: Vec::new(),
            reports: Vec::new(),
            log: None,
        };
        for jail in jails {
            world.edit(jail, Fault::None);
        }
        world.changed_ever.clear();
        world.spawn();
        world.take(actions);
        // What the daemon ran before jailwarden first looked is taken to be what is on disk.
        world.pass(secs(1));
        world
    }

    // ---- time

    fn after(&mut self, wait: Duration, then: Then) {
        self.later.push((self.now + wait, then));
    }

    /// Lets time pass, jumping from one thing that happens to the next.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let timer = self.machine.poll_timeout();
            let work = self.later.iter().map(|(at, _)| *at).min();
            let ended = matches!(self.machine.state, State::Ended);
            assert!(
                ended || timer.is_some() || work.is_some(),
                "stuck: {:?}",
                self.machine.state
            );
            let Some(next) = timer.into_iter().chain(work).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if work.is_some_and(|at| at <= self.now) {
                let at = self.later.iter().enumerate().min_by_key(|(_, (at, _))| *at);
                let (_, then) = self.later.remove(at.unwrap().0);
                self.happens(then);
            } else {
                self.tell(Event::Timeout);
            }
        }
    }

    fn happens(&mut self, then: Then) {
        match then {
            Then::Answer(id, effect, peer) => {
                let outcome = self.execute(id, &effect, peer);
                self.note(|| format!("  {}: {}", word(&effect), brief(&outcome)));
                self.tell(done(id, outcome));
            }
            Then::Die(pid, how) => {
                if self.process.as_ref().is_some_and(|p| p.pid == pid) {
                    self.die(how);
                }
            }
            Then::Spawn => {
                if self.process.is_none()
                    && (!self.has_unit || self.unit.job || self.unit == unit_restarting())
                {
                    self.spawn();
                }
            }
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
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
        let actions = self.machine.handle_event(self.now, event);
        self.take(actions);
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run(id, effect) => {
                    self.check(&effect);
                    if !matches!(effect, Effect::Look { .. } | Effect::Save(_)) {
                        self.note(|| format!("> {}", word(&effect)));
                    }
                    let takes = self.takes(&effect);
                    let peer = self.process.as_ref().map(|p| p.pid);
                    self.after(takes, Then::Answer(id, Box::new(effect), peer));
                }
                Action::Report(report) => {
                    self.note(|| format!("! {:?}: {}", report.kind, report.message));
                    self.reports.push(report);
                }
                Action::Ready | Action::Exit | Action::Record(_) | Action::Answer(..) => {}
            }
        }
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

    // ---- what must hold

    /// What must hold at the moment at which an effect is asked for.
    fn check(&mut self, effect: &Effect) {
        let outstanding = |wanted: fn(&Effect) -> bool| {
            let hit = |(_, t): &&(MonoTime, Then)| matches!(t, Then::Answer(_, e, _) if wanted(e));
            self.later.iter().filter(hit).count()
        };
        let only_watches = matches!(
            effect,
            Effect::Look { .. }
                | Effect::ReadConfig { .. }
                | Effect::Save(_)
                | Effect::Keep { .. }
                | Effect::FindCulprit
                | Effect::FindPutBack { .. }
                | Effect::EndPause
        );
        assert!(
            only_watches || !matches!(self.machine.state, State::Paused { .. }),
            "{} though it is paused",
            word(effect)
        );
        match effect {
            Effect::Start => {
                assert_eq!(
                    outstanding(|e| matches!(e, Effect::Start)),
                    0,
                    "two starts at once"
                );
                assert!(!self.stopped_by_admin, "started though an admin stopped it");
                let live = self.process.as_ref().map(|p| p.pid);
                assert!(
                    live.is_none_or(|pid| !self.shown.contains(&pid)),
                    "started over a process that was seen to live: {:?}",
                    self.machine.state
                );
                assert_eq!(
                    outstanding(|e| matches!(e, Effect::WriteRollback { .. })),
                    0,
                    "started before the rollback was on disk"
                );
                self.starts.push(self.now);
                let since = self.now - Policy::BUDGET_WINDOW;
                let recent = self.starts.iter().filter(|at| **at > since).count();
                assert!(recent <= 40, "{recent} starts in ten minutes");
            }
            Effect::AskStop
            | Effect::Signal {
                signal: Signal::Terminate | Signal::Kill,
                ..
            } => {
                assert!(
                    !self.all_protect()
                        || self.was_hung()
                        || self.process.as_ref().is_some_and(|p| p.stopping),
                    "stopped though every jail protects: {:?}",
                    self.machine.state
                );
            }
            Effect::PutBack { files, .. } => {
                self.assert_intended(&What::PutBack(files.clone()));
                assert!(
                    !self.all_protect() || self.was_hung(),
                    "files put back though every jail protects"
                );
            }
            Effect::WriteRollback { jails, .. } => {
                self.assert_intended(&What::Disable(jails.clone()));
                let on_probation = |jail| {
                    let mend = self.machine.mends.get(jail);
                    mend.is_some_and(|mend| mend.on_probation)
                };
                assert!(
                    !self.all_protect() || self.was_hung() || jails.iter().all(on_probation),
                    "rolled {jails:?} back though every jail protects"
                );
                for jail in jails {
                    let faulty = self
                        .files
                        .get(jail)
                        .is_some_and(|d| self.faults[d] != Fault::None);
                    let changed = self.changed_ever.contains(jail);
                    assert!(changed || faulty, "rolled {jail} back, which never changed");
                    assert!(!self.rollbacks.contains(jail), "rolled {jail} back twice");
                }
            }
            _ => {}
        }
    }

    /// What is done to the config is on disk before it is begun.
    fn assert_intended(&self, what: &What) {
        let intended = self.memory.intent.as_ref().map(|intent| &intent.what);
        assert_eq!(intended, Some(what));
    }

    /// Every jail that the machine expects protects, and it can be asked; and there are some.
    fn all_protect(&self) -> bool {
        let Some(process) = &self.process else {
            return false;
        };
        let expected = self.machine.expected();
        process.hang.is_none()
            && process.socket
            && process.up_at <= self.now
            && !expected.is_empty()
            && expected
                .iter()
                .all(|j| process.jails.get(j).is_some_and(|j| j.alive))
    }

    pub(super) fn protecting(&self) -> BTreeSet<String> {
        match &self.process {
            Some(p) if p.hang.is_none() && p.up_at <= self.now => {
                let alive = p.jails.iter().filter(|(_, j)| j.alive);
                alive.map(|(n, _)| n.clone()).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Whether nothing is under way but looks.
    pub(super) fn is_idle(&self) -> bool {
        let busy = |(_, t): &(MonoTime, Then)| !matches!(t, Then::Answer(_, e, _) if matches!(**e, Effect::Look { .. }));
        !self.later.iter().any(busy)
    }

    // ---- the disk

    pub(super) fn edit(&mut self, jail: &str, fault: Fault) {
        self.fresh += 1;
        self.files.insert(jail.to_owned(), self.fresh);
        self.faults.insert(self.fresh, fault);
        self.changed_ever.insert(jail.to_owned());
        self.touch();
    }

    pub(super) fn remove(&mut self, jail: &str) {
        self.files.remove(jail);
        self.touch();
    }

    /// All files are what they should be; what jailwarden disabled is for it to bring back.
    pub(super) fn mend(&mut self) {
        self.unreadable = false;
        self.disk_full = false;
        self.check_fails = false;
        for jail in self.files.clone().into_keys() {
            self.edit(&jail, Fault::None);
        }
        self.touch();
    }

    pub(super) fn touch(&mut self) {
        // Nobody listens yet while the world is being made.
        if self.next_pid > 6 {
            self.tell(Event::Observed(Observed::ConfigTouched));
        }
    }

    fn enabled(&self) -> BTreeMap<String, u128> {
        let mut enabled = self.files.clone();
        enabled.retain(|n, _| !self.rollbacks.contains(n));
        enabled
    }

    fn read(&self) -> Reading {
        let enabled = self.enabled();
        let versions: Vec<_> = enabled
            .iter()
            .filter(|(_, d)| self.faults[*d] != Fault::Skipped)
            .map(|(n, d)| (n.as_str(), *d))
            .collect();
        let mut reading = config_of_versions(&versions);
        for (jail, digest) in &enabled {
            match self.faults[digest] {
                Fault::Fatal => reading = reading.fault(jail, true),
                Fault::Skipped => reading = reading.fault(jail, false),
                _ => {}
            }
        }
        reading.rollbacks.clone_from(&self.rollbacks);
        if self.unreadable {
            return reading.unreadable();
        }
        reading.sealed()
    }

    // ---- the host

    /// A process starts from what is on disk now.
    fn spawn(&mut self) -> bool {
        let enabled = self.enabled();
        let any = |fault: Fault| enabled.values().any(|d| self.faults[d] == fault);
        if self.unreadable || any(Fault::Fatal) || any(Fault::Hidden) || any(Fault::ColdOnly) {
            self.unit = unit_failed(255);
            self.note(|| "# the start fails".into());
            return false;
        }
        let alive = !any(Fault::Phantom);
        self.next_pid += 1;
        self.process = Some(Process {
            pid: self.next_pid,
            up_at: self.now + self.start_takes,
            jails: enabled
                .iter()
                .filter(|(_, d)| self.faults[*d] != Fault::Skipped)
                .map(|(n, d)| (n.clone(), Jail { digest: *d, alive }))
                .collect(),
            hang: None,
            socket: true,
            stopping: false,
        });
        self.unit = unit(ActiveState::Active, "success", ExitKind::None, 0);
        let pid = self.next_pid;
        self.note(|| format!("# process {pid} starts"));
        true
    }

    fn die(&mut self, how: &str) {
        let Some(process) = self.process.take() else {
            return;
        };
        self.unit = match how {
            "asked" => unit_failed(0),
            "systemctl" => unit_stopped(),
            _ => {
                self.after(ms(200), Then::Spawn);
                unit_restarting()
            }
        };
        if !self.has_unit {
            self.later.retain(|(_, t)| !matches!(t, Then::Spawn));
        }
        self.note(|| format!("# process {} ends ({how})", process.pid));
        self.traces(how);
        self.tell(Event::Observed(Observed::DaemonExited { pid: process.pid }));
    }

    /// Without a unit, the unit's result stands for the socket file that was left behind.
    fn traces(&mut self, how: &str) {
        if !self.has_unit {
            self.unit = if how == "killed" {
                unit_killed()
            } else {
                unit_stopped()
            };
        }
    }

    pub(super) fn crash(&mut self) {
        self.die("killed");
    }

    pub(super) fn hang(&mut self, hang: Hang) {
        if let Some(process) = &mut self.process {
            process.hang = Some(hang);
        }
    }

    pub(super) fn unhang(&mut self) {
        if let Some(process) = &mut self.process {
            process.hang = None;
        }
    }

    pub(super) fn kill_jail(&mut self, jail: &str) {
        if let Some(jail) = self.process.as_mut().and_then(|p| p.jails.get_mut(jail)) {
            jail.alive = false;
        }
    }

    pub(super) fn stop_jail(&mut self, jail: &str) {
        if let Some(process) = &mut self.process {
            process.jails.remove(jail);
        }
    }

    pub(super) fn remove_socket(&mut self) {
        if let Some(process) = &mut self.process {
            process.socket = false;
        }
        self.tell(Event::Observed(Observed::SocketMoved));
    }

    /// A pause, with or without an end.
    pub(super) fn pauses(&mut self, left: Option<Duration>) {
        self.paused = true;
        let why = "root: a test".to_owned();
        self.tell(Event::Operator(Operator::Pause { left, why }));
    }

    pub(super) fn resumes(&mut self) {
        self.paused = false;
        self.tell(Event::Operator(Operator::Resume));
    }

    /// Only while jailwarden is not itself restarting it: whose stop it was is then past telling.
    pub(super) fn admin_stops(&mut self, systemctl: bool) {
        let ours = self.machine.stopping
            || matches!(
                self.machine.state,
                State::Starting { .. } | State::Restarting(_) | State::GaveUp { .. }
            );
        if !ours && self.process.as_ref().is_some_and(|p| p.hang.is_none()) {
            self.stopped_by_admin = true;
            self.die(if systemctl { "systemctl" } else { "asked" });
        }
    }

    /// Not between jailwarden's last look and its own start: which of the two starts counted, and
    /// so which config was read, is then past telling.
    pub(super) fn admin_starts(&mut self) {
        self.stopped_by_admin = false;
        let ours = matches!(self.machine.state, State::Restarting(_));
        if self.process.is_none() && !ours {
            self.spawn();
            self.tell(Event::Observed(Observed::SocketMoved));
        }
    }

    /// jailwarden dies, and comes back with what it had kept.
    pub(super) fn jailwarden_restarts(&mut self) {
        // Without a unit nothing tells a stop that nobody saw from a host that has just booted.
        self.stopped_by_admin &= self.has_unit || self.memory.standby;
        self.later.retain(|(_, t)| !matches!(t, Then::Answer(..)));
        let (machine, actions) = Machine::new(Policy::default(), names(), self.memory.clone(), 1);
        // One clock for the world, a new one for each machine, would only obscure the tests.
        self.machine = machine;
        self.take(actions);
        if self.paused {
            self.pauses(None);
        }
        self.tell(Event::Timeout);
    }

    /// A daemon that was found hung may come round in the very next moment.
    fn was_hung(&self) -> bool {
        matches!(&self.machine.state, State::Restarting(r) if matches!(r.cause, Cause::Hung { .. }))
    }

    // ---- effects

    fn takes(&self, effect: &Effect) -> Duration {
        let hung = self.process.as_ref().is_some_and(|p| p.hang.is_some());
        match effect {
            Effect::Look { .. } | Effect::Apply { .. } | Effect::AskStop if hung => secs(5),
            Effect::Look { .. } | Effect::Save(_) | Effect::EndPause | Effect::Signal { .. } => {
                ms(1)
            }
            Effect::ReadConfig { .. } | Effect::TryMend { .. } => ms(80),
            Effect::Apply { .. } => ms(50),
            Effect::AskStop => ms(5),
            Effect::Sample { .. } | Effect::Diagnose { .. } => secs(1),
            Effect::FindCulprit => ms(20),
            Effect::Start => self.start_takes,
            Effect::WriteRollback { .. }
            | Effect::PutBack { .. }
            | Effect::FindPutBack { .. }
            | Effect::TakeBack { .. }
            | Effect::Keep { .. } => ms(10),
        }
    }

    fn execute(&mut self, id: ActionId, effect: &Effect, peer: Option<u32>) -> Outcome {
        match effect {
            Effect::Look { .. } => self.look(id),
            Effect::ReadConfig { known } => self.read_config(*known),
            Effect::Apply { jails, .. } => self.apply(jails, peer),
            Effect::AskStop => match self.usable(peer) {
                Some(process) => {
                    process.stopping = true;
                    let pid = process.pid;
                    self.after(self.stop_takes, Then::Die(pid, "asked"));
                    Outcome::StopAsked(StopAnswer::Agreed)
                }
                None => Outcome::StopAsked(StopAnswer::Unreachable("no answer".into())),
            },
            Effect::Signal { pid, signal } => self.signal(*pid, *signal),
            Effect::Sample { .. } => match &self.process {
                Some(p) if p.stopping => Outcome::Motion(Motion::Progressing),
                _ => Outcome::Motion(Motion::Frozen),
            },
            Effect::Diagnose { .. } => Outcome::Diagnosis(Diagnosis::default()),
            Effect::FindCulprit => Outcome::Verdict(Verdict::default()),
            Effect::Start => {
                let fine = self.process.is_some() || self.spawn();
                if let (true, Some(process)) = (fine, &mut self.process) {
                    process.up_at = process.up_at.min(self.now);
                }
                Outcome::Effect(Ok(()))
            }
            Effect::WriteRollback { jails, .. } => {
                self.touch();
                if self.disk_full {
                    return Outcome::Effect(Err("no space left on device".into()));
                }
                self.rollbacks.extend(jails.iter().cloned());
                Outcome::Effect(Ok(()))
            }
            Effect::Keep { fingerprint, .. } => {
                if self.read().fingerprint != *fingerprint {
                    return Outcome::Effect(Err("it changed meanwhile".into()));
                }
                assert!(!self.unreadable && self.rollbacks.is_empty(), "not good");
                self.good = Some(self.files.clone());
                Outcome::Effect(Ok(()))
            }
            Effect::PutBack { .. } => Outcome::PutBack(self.put_back()),
            Effect::FindPutBack { .. } => {
                let replaced = self.replaced.as_ref().map(|_| "then".to_owned());
                let files = vec!["/etc/fail2ban/jail.local".into()];
                Outcome::PutBack(Ok(PutBack { files, replaced }))
            }
            Effect::TakeBack { jails, replaced } => {
                self.touch();
                self.rollbacks.retain(|jail| !jails.contains(jail));
                if let Some((files, unreadable)) = self.replaced.take_if(|_| !replaced.is_empty()) {
                    self.files = files;
                    self.unreadable = unreadable;
                }
                Outcome::Effect(Ok(()))
            }
            Effect::TryMend { jails } => Outcome::Tried(self.try_mend(jails)),
            Effect::EndPause => {
                self.paused = false;
                Outcome::Effect(Ok(()))
            }
            Effect::Save(memory) => {
                self.memory = (**memory).clone();
                Outcome::Effect(Ok(()))
            }
        }
    }

    fn put_back(&mut self) -> Result<PutBack, String> {
        let good = self.good.clone().ok_or("nothing is kept")?;
        if self.disk_full {
            return Err("no space left on device".into());
        }
        if good == self.files && !self.unreadable {
            return Ok(PutBack::default());
        }
        self.replaced = Some((std::mem::replace(&mut self.files, good), self.unreadable));
        self.unreadable = false;
        self.touch();
        Ok(PutBack {
            files: vec!["/etc/fail2ban/jail.local".into()],
            replaced: Some("then".into()),
        })
    }

    fn try_mend(&self, jails: &BTreeSet<String>) -> Result<BTreeMap<String, Trial>, String> {
        if self.check_fails {
            return Err("no Python".into());
        }
        let trial = |jail: &String| {
            let Some(digest) = self.files.get(jail) else {
                return Trial::Gone;
            };
            match self.faults[digest] {
                _ if self.unreadable => Trial::Faulty(finding(None, true)),
                Fault::Fatal | Fault::Skipped => Trial::Faulty(finding(Some(jail), true)),
                _ => Trial::Sound { digest: *digest },
            }
        };
        Ok(jails.iter().map(|j| (j.clone(), trial(j))).collect())
    }

    /// The process, if it can be talked to.
    fn usable(&mut self, peer: Option<u32>) -> Option<&mut Process> {
        let now = self.now;
        self.process.as_mut().filter(|p| {
            Some(p.pid) == peer && p.hang.is_none() && p.socket && !p.stopping && p.up_at <= now
        })
    }

    fn look(&mut self, id: ActionId) -> Outcome {
        if self.machine.look != Some(id) {
            return Outcome::Lost;
        }
        let unit = self.has_unit.then(|| self.unit.clone());
        let Some(process) = &self.process else {
            return Outcome::Seen(gone(unit, self.unit != unit_stopped()));
        };
        let pid = process.pid;
        let daemon = if !process.socket || process.up_at > self.now {
            Daemon::Absent {
                process: Some(pid),
                traces: true,
                why: "no such file".into(),
            }
        } else if process.stopping {
            Daemon::Silent {
                pid: Some(pid),
                motion: Motion::Progressing,
            }
        } else {
            match process.hang {
                Some(Hang::Stopped) => Daemon::Silent {
                    pid: Some(pid),
                    motion: Motion::Stopped,
                },
                Some(Hang::Frozen) => Daemon::Silent {
                    pid: Some(pid),
                    motion: Motion::Frozen,
                },
                Some(Hang::Busy) => Daemon::Silent {
                    pid: Some(pid),
                    motion: Motion::Busy,
                },
                None => {
                    let dead = process.jails.iter().filter(|(_, j)| !j.alive);
                    Daemon::Answers {
                        pid,
                        ping: ms(1),
                        listed: process.jails.keys().cloned().collect(),
                        dead: dead.map(|(n, _)| n.clone()).collect(),
                    }
                }
            }
        };
        self.shown.insert(pid);
        Outcome::Seen(Sight {
            daemon,
            unit,
            revived: false,
            packages: false,
            health: Health::default(),
        })
    }

    fn read_config(&mut self, known: Option<u128>) -> Outcome {
        if self.check_fails {
            return Outcome::Config(ConfigRead::Failed("no Python".into()));
        }
        let reading = self.read();
        Outcome::Config(if known == Some(reading.fingerprint) {
            ConfigRead::Unchanged
        } else {
            ConfigRead::Read(reading)
        })
    }

    fn apply(&mut self, changes: &Changes, peer: Option<u32>) -> Outcome {
        let faults = self.faults.clone();
        let Some(process) = self.usable(peer) else {
            let unreachable = Some("no answer".into());
            return Outcome::Applied(Applied {
                unreachable,
                ..Applied::default()
            });
        };
        let mut applied = Applied::default();
        for (name, change) in changes {
            let (Change::Load(digest) | Change::Restart(digest)) = change else {
                process.jails.remove(name);
                continue;
            };
            match faults.get(digest).copied().unwrap_or(Fault::None) {
                Fault::None | Fault::ColdOnly => {
                    let jail = Jail {
                        digest: *digest,
                        alive: true,
                    };
                    process.jails.insert(name.clone(), jail);
                }
                _ => {
                    process.jails.remove(name);
                    applied.refused.push((name.clone(), "bad".into()));
                }
            }
        }
        Outcome::Applied(applied)
    }

    fn signal(&mut self, pid: u32, signal: Signal) -> Outcome {
        let Some(process) = self.process.as_mut().filter(|p| p.pid == pid) else {
            return Outcome::Effect(Err("no such process".into()));
        };
        match (signal, process.hang) {
            (Signal::Continue, Some(Hang::Stopped)) => process.hang = None,
            (Signal::Terminate, None) => {
                process.stopping = true;
                self.after(self.stop_takes, Then::Die(pid, "asked"));
            }
            (Signal::Kill, _) => self.after(ms(1), Then::Die(pid, "killed")),
            (Signal::Terminate | Signal::Continue, _) => {}
        }
        Outcome::Effect(Ok(()))
    }

    pub(super) fn digest_of(&self, jail: &str) -> Option<u128> {
        Some(self.process.as_ref()?.jails.get(jail)?.digest)
    }
}

/// An outcome in a few words.
fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Seen(sight) => match &sight.daemon {
            Daemon::Answers {
                pid, listed, dead, ..
            } => {
                format!("{pid} answers, lists {listed:?}, dead {dead:?}")
            }
            Daemon::Silent { pid, motion } => format!("{pid:?} is silent, {motion:?}"),
            Daemon::Absent { process, .. } => {
                let unit = sight.unit.as_ref().map(|u| (u.active, u.result.as_str()));
                format!("absent, process {process:?}, unit {unit:?}")
            }
        },
        Outcome::Config(ConfigRead::Read(reading)) => {
            let jails = reading.plan.as_ref().map(Plan::names);
            format!("jails {jails:?}, findings {}", reading.findings.len())
        }
        other => format!("{other:?}"),
    }
}
