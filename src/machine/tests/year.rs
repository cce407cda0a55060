//! A year of a host, in simulated time: every few hours something befalls it, alone or in a cluster. It is
//! protected soon after each, nothing grows, no jail flaps for ever, and the journal stays one that can be read.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::simulation::{JAILS, Step, befall, heal, step};
use super::world::World;
use super::*;
use crate::shell::journal::{Repeats, Verdict};

const DAYS: usize = 365;
const DAY: Duration = secs(86_400);
/// A jail's trials come by the clock after ten minutes, and then ever more slowly: what takes longer than that to
/// protect again is told apart.
const LIMIT: Duration = secs(1300);

/// What a day was like.
#[derive(Debug, Default)]
struct Day {
    befell: usize,
    /// Lines of the journal.
    said: usize,
    /// Characters that show all of the machine, and all of what it keeps on disk, in the quiet before midnight.
    machine: usize,
    memory: usize,
}

struct Year {
    world: World,
    runner: TestRunner,
    repeats: Repeats,
    said: usize,
    /// What befell it last.
    steps: Vec<Step>,
    /// How often each jail was disabled with this content.
    disabled: BTreeMap<(String, u128), u32>,
}

impl Year {
    fn begin(seed: u8, has_unit: bool) -> Self {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut year = Self {
            world: World::new(&JAILS, has_unit),
            runner: TestRunner::new_with_rng(Config::default(), rng),
            repeats: Repeats::default(),
            said: 0,
            steps: Vec::new(),
            disabled: BTreeMap::new(),
        };
        year.look_each(secs(60));
        year
    }

    fn any<T: std::fmt::Debug>(&mut self, of: impl Strategy<Value = T>) -> T {
        of.new_tree(&mut self.runner).unwrap().current()
    }

    /// A year of looks each ten seconds takes minutes.
    fn look_each(&mut self, interval: Duration) {
        let policy = Policy {
            interval,
            ..Policy::default()
        };
        self.world.tell(Event::SettingsChanged(policy));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.due().is_some_and(|due| due <= end) {
            self.next();
        }
        self.world.now = end;
    }

    fn next(&mut self) {
        self.world.next();
        self.world.check_waits();
        self.read();
    }

    /// Reads what was said.
    fn read(&mut self) {
        let at = self.world.now.since(MonoTime::START);
        self.said += self.repeats.lasting(at).len();
        for report in std::mem::take(&mut self.world.reports) {
            self.said += usize::from(self.repeats.admit(&report, at) != Verdict::Hush);
            if report.kind == Kind::RolledBack {
                for jail in report.jails {
                    let digest = self.world.files.get(&jail).copied().unwrap_or_default();
                    *self.disabled.entry((jail, digest)).or_default() += 1;
                }
            }
        }
    }

    /// Lets time pass until it is so.
    fn comes(&mut self, is_so: impl Fn(&World) -> bool) {
        let end = self.world.now + LIMIT;
        while !is_so(&self.world) {
            let (world, steps) = (&self.world, &self.steps);
            assert!(
                world.now < end,
                "not yet after {steps:?}: {:?} {:?}",
                world.process,
                world.machine
            );
            self.next();
        }
    }

    fn live(&mut self) -> Day {
        let mut day = Day::default();
        let begin = self.world.now;
        self.said = 0;
        // The last hours are left to what comes of it.
        let clusters: Vec<u64> = self.any(proptest::collection::vec(600..14_000_u64, 0..5));
        for wait in clusters {
            self.look_each(secs(1800));
            self.pass(secs(wait));
            self.look_each(secs(60));
            let steps: Vec<Step> = self.any(proptest::collection::vec(step(), 1..6));
            for step in &steps {
                befall(&mut self.world, *step);
                self.read();
            }
            day.befell += steps.len();
            self.steps = steps;
            // As far as it can be, or it says honestly why not.
            self.comes(|world| explore::is_good(world) || is_out_of_sight(world));
            let mended_after = self.any(0..1200_u64);
            self.pass(secs(mended_after));
            heal(&mut self.world);
            self.read();
            self.look_each(secs(60));
            self.comes(|world| world.protecting() == set(&JAILS) && explore::is_good(world));
        }
        self.look_each(secs(1800));
        let quiet = DAY.saturating_sub(self.world.now.since(begin));
        self.pass(quiet.saturating_sub(secs(3600)));
        let said = self.said;
        self.pass(quiet.min(secs(3600)));
        assert_eq!(self.said, said, "a quiet host is a quiet journal");
        assert_eq!(self.world.machine.snapshot().state, "healthy");
        assert!(self.world.machine.incident.is_none());
        day.said = self.said;
        day.machine = format!("{:?}", self.world.machine).len();
        day.memory = serde_json::to_string(&self.world.memory).unwrap().len();
        self.forget();
        day
    }

    /// What the world remembers for its checks alone would grow.
    fn forget(&mut self) {
        let world = &mut self.world;
        world.replaced.clear();
        world
            .starts
            .retain(|at| world.now.since(*at) < Policy::BUDGET_WINDOW);
        let pid = world.process.as_ref().map(|process| process.pid);
        world.shown.retain(|shown| Some(*shown) == pid);
    }
}

/// A daemon that hangs and has no socket looks like one that only has no socket: it is restarted once a faulty
/// change is mended.
fn is_out_of_sight(world: &World) -> bool {
    let process = world.process.as_ref();
    let is_out_of_sight = process.is_some_and(|it| it.hang.is_some() && !it.socket);
    is_out_of_sight && world.machine.refusal.is_some()
}

fn most(of: impl Iterator<Item = usize>) -> usize {
    of.max().unwrap()
}

/// The budget of restarts, and that what can wait forever has a deadline, are held by [`World`] at each step.
fn a_year(seed: u8, has_unit: bool) {
    let mut year = Year::begin(seed, has_unit);
    let days: Vec<Day> = (0..DAYS).map(|_| year.live()).collect();
    let befell: usize = days.iter().map(|day| day.befell).sum();
    let said: usize = days.iter().map(|day| day.said).sum();
    let flaps = year.disabled.values().max().copied().unwrap_or(0);
    let [first, last] = [&days[..DAYS / 4], &days[DAYS - DAYS / 4..]].map(|quarter| {
        let machine = most(quarter.iter().map(|day| day.machine));
        (machine, most(quarter.iter().map(|day| day.memory)))
    });
    println!(
        "{befell} things befell the host; {said} lines, {} at most in a day; {flaps} times at most a jail was \
         disabled with one content; machine and memory: {first:?}, then {last:?} characters",
        most(days.iter().map(|day| day.said)),
    );
    assert!(befell > 5 * DAYS / 2, "{befell}");
    // Numbers get longer.
    let is_flat = |first: usize, last: usize| last <= first + first / 20;
    assert!(is_flat(first.0, last.0) && is_flat(first.1, last.1));
    assert!(flaps <= Policy::FLAP_LIMIT, "{flaps}");
    for day in &days {
        assert!(day.said <= 5 * day.befell.max(1), "{day:?}");
    }
}

#[test]
fn a_year_with_a_unit() {
    a_year(1, true);
}

#[test]
fn a_year_without_a_unit() {
    a_year(2, false);
}
