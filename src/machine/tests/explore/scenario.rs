//! A recovery in which jailwarden is killed at each step, with each part of what was under way done or not: the end
//! is the one without the kill.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::world::World;
use super::*;

/// How long nothing is done by a jailwarden that has nothing more to do: longer than between two looks.
const CALM: Duration = secs(12);
/// Of the steps in a row at which it only looks, so many are taken.
const LOOKS: u32 = 2;

/// A recovery.
#[derive(Clone, Copy)]
pub(super) struct Scenario {
    pub(super) jails: &'static [&'static str],
    pub(super) happens: fn(&mut World),
    /// What the daemon was started with is known to each jailwarden. It is not where systemd may have
    /// started it while none looked: such a start proves nothing.
    pub(super) proves: bool,
    /// What a start that fails leaves behind is a daemon that answers and runs no jail.
    pub(super) lingers: bool,
}

/// What a host has come to.
#[derive(Debug, PartialEq)]
struct End {
    state: &'static str,
    files: BTreeMap<String, u128>,
    is_broken: bool,
    rollbacks: BTreeSet<String>,
    /// Why the files were replaced that still are.
    replaced: Vec<String>,
    /// How many daemons there were.
    daemons: u32,
    runs: BTreeMap<String, u128>,
    memory: Memory,
}

/// Since when nothing has been done.
struct Rest {
    since: MonoTime,
    doings: u64,
    looks: u32,
}

impl Rest {
    fn begin(world: &World) -> Self {
        Self {
            since: world.now,
            doings: world.doings,
            looks: 0,
        }
    }

    /// Nothing more is done, or every way back has failed where none leads back.
    fn is_reached(&mut self, world: &World) -> bool {
        if self.doings != world.doings {
            *self = Self::begin(world);
        }
        self.looks += 1;
        let calm = match &world.machine.state {
            State::GaveUp { undo, read, .. } => {
                let hopeless = world.doomed || world.surroundings;
                hopeless && undo.is_none() && read.is_none()
            }
            // It is looked at more than once before its database is in its file again.
            State::Watching if world.in_memory && !world.locked => false,
            State::Watching => world.now.since(self.since) >= CALM,
            _ => false,
        };
        calm && world.is_idle()
    }
}

impl Scenario {
    pub(super) fn begin(self, has_unit: bool) -> World {
        let mut world = World::new(self.jails, has_unit);
        world.pass(Policy::GOOD_AFTER + secs(2));
        assert!(world.good.is_some(), "its config is kept as good");
        world.lingers = self.lingers;
        (self.happens)(&mut world);
        world
    }

    fn end(self, world: &World) -> End {
        let mut memory = world.memory.clone().without_waits();
        // How long it took, and in how many tries, is another question.
        memory.dark.clear();
        memory.unprotected.clear();
        memory.revived.clear();
        (memory.starts, memory.start) = (0, None);
        memory.gave_up = GaveUp::default();
        memory.put_back = None;
        if world.process.is_none() {
            // With what it was last started in vain: the next start takes what is on disk.
            memory.accepted = None;
        }
        if !self.proves {
            memory.proven = None;
            memory.doubt = Doubt::default();
        }
        let jails = world.process.iter().flat_map(|process| &process.jails);
        let alive = jails.filter(|(_, jail)| jail.alive);
        let replaced = world.replaced.iter().map(|set| set.reason.clone());
        End {
            state: world.machine.snapshot().state,
            files: world.files.clone(),
            is_broken: world.unreadable,
            rollbacks: world.rollbacks.clone(),
            replaced: replaced.collect(),
            daemons: world.next_pid,
            runs: alive.map(|(name, it)| (name.clone(), it.digest)).collect(),
            memory,
        }
    }

    fn undisturbed(self, mut world: World) -> End {
        let end = world.now + secs(3600);
        let mut rest = Rest::begin(&world);
        while !rest.is_reached(&world) {
            assert!(world.now < end, "it never rests: {:?}", world.machine.state);
            walk::step(&mut world);
        }
        self.end(&world)
    }

    /// Kills jailwarden at each step, and compares.
    #[track_caller]
    pub(super) fn ends_alike(self) {
        for has_unit in [true, false] {
            let mut world = self.begin(has_unit);
            let wanted = self.undisturbed(world.clone());
            let mut rest = Rest::begin(&world);
            let (mut step, mut kills, mut wrong) = (0, 0, Vec::new());
            while !rest.is_reached(&world) {
                let takes = rest.looks <= LOOKS;
                for kill in befall::kills(&world).into_iter().filter(|_| takes) {
                    kills += 1;
                    let mut then = world.clone();
                    let end = catch_unwind(AssertUnwindSafe(move || {
                        kill.happens(&mut then);
                        self.undisturbed(then)
                    }));
                    let differs = match end {
                        Ok(end) if end == wanted => continue,
                        Ok(end) => differs(&end, &wanted),
                        Err(panic) => walk::words(&*panic),
                    };
                    wrong.push(format!("steps(&mut world, {step}); {kill:?}: {differs}"));
                }
                walk::step(&mut world);
                step += 1;
            }
            let size = format!(
                "unit {has_unit}: {kills} kills at {step} steps to {}",
                wanted.state
            );
            assert!(wrong.is_empty(), "{size}:\n{}", wrong.join("\n"));
            assert!(kills > 5, "{size}");
        }
    }
}

/// The lines in which two ends differ.
fn differs(is: &End, should: &End) -> String {
    let (is, should) = (format!("{is:#?}"), format!("{should:#?}"));
    let only = |one: &str, other: &str| {
        let other: Vec<_> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    };
    format!("is {}, not {}", only(&is, &should), only(&should, &is))
}
