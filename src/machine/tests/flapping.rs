//! A day of what comes and goes all the time: how many lines that makes in the journal.

use super::world::{Fault, World};
use super::*;
use crate::shell::journal::{Repeats, Verdict};

const DAY: Duration = secs(86_400);
/// From so often that it is never quiet to so seldom that each time is nearly news; some of them unless all is
/// to be tested.
const PERIODS: [u64; 9] = [10, 30, 60, 120, 300, 450, 660, 1200, 2400];
const SOME: [u64; 2] = [60, 660];

/// Lines in a day in which this happens again and again, by its number; each kind and how often it was said.
fn day(
    period: Duration,
    has_unit: bool,
    mut happens: impl FnMut(&mut World, u64),
) -> (usize, String) {
    let mut world = World::new(&["a", "m", "z"], has_unit);
    world.pass(secs(1200));
    world.reports.clear();
    // A day of looks each ten seconds takes longer, and says the same.
    let policy = Policy {
        interval: secs(30),
        ..Policy::default()
    };
    world.tell(Event::SettingsChanged(policy));
    let mut repeats = Repeats::default();
    let mut said: Vec<Kind> = Vec::new();
    let end = world.now + DAY;
    let mut next = world.now;
    let mut nth = 0;
    while world.now < end {
        while world.due().is_some_and(|due| due <= next) {
            world.next();
            let at = world.now.since(MonoTime::START);
            said.extend(repeats.lasting(at).iter().map(|report| report.kind));
            for report in std::mem::take(&mut world.reports) {
                if repeats.admit(&report, at) != Verdict::Hush {
                    said.push(report.kind);
                }
            }
        }
        world.now = next;
        happens(&mut world, nth);
        nth += 1;
        next = world.now + period;
        world
            .starts
            .retain(|at| world.now.since(*at) < Policy::BUDGET_WINDOW);
    }
    let of = |kind: &Kind| said.iter().filter(|it| *it == kind).count();
    let kinds = Kind::ALL.iter().filter(|kind| of(kind) > 0);
    let kinds: Vec<_> = kinds
        .map(|kind| format!("{} {}", of(kind), kind.name()))
        .collect();
    (said.len(), kinds.join(", "))
}

/// No day may have more lines than this, however often it happens.
fn check(name: &str, happens: impl Fn(&mut World, u64)) {
    let mut loud = Vec::new();
    for period in PERIODS {
        for has_unit in [true, false] {
            let is_one = SOME.contains(&period) && has_unit == (period == 660);
            if !is_one && !explore::everything() {
                continue;
            }
            let (lines, kinds) = day(secs(period), has_unit, &happens);
            let what = format!("{name}, each {period} s, unit {has_unit}: {lines} lines: {kinds}");
            println!("{what}");
            loud.extend((lines >= 100).then_some(what));
        }
    }
    assert!(loud.is_empty(), "{}", loud.join("\n"));
}

#[test]
fn a_jail_that_dies_again_and_again() {
    check("dies", |world, _| world.kill_jail("m"));
}

#[test]
fn a_jail_that_never_lives_for_long() {
    check("frail for a while", |world, nth| {
        world.frail = Some("m").filter(|_| nth % 2 == 0);
        world.kill_jail("m");
    });
}

fn toggle(fault: Fault) -> impl Fn(&mut World, u64) {
    move |world, nth| {
        if nth % 2 == 0 {
            world.edit("m", fault);
        } else {
            world.write("m", 2, Fault::None);
        }
    }
}

#[test]
fn a_config_that_is_good_and_bad_in_turn() {
    check("bad and as before", toggle(Fault::Fatal));
    check("refused and as before", toggle(Fault::Hidden));
    check("skipped and as before", toggle(Fault::Skipped));
}

#[test]
fn a_config_that_is_new_and_bad_in_turn() {
    check("bad and new", |world, nth| {
        let fault = if nth % 2 == 0 {
            Fault::Fatal
        } else {
            Fault::None
        };
        world.edit("m", fault);
    });
}

/// While it is not there, the jail cannot be started, and somebody restarts fail2ban.
#[test]
fn a_log_file_that_comes_and_goes() {
    check("log comes and goes", |world, nth| {
        let digest = world.files["m"];
        let fault = if nth % 2 == 0 {
            Fault::Fatal
        } else {
            Fault::None
        };
        world.faults.insert(digest, fault);
        world.tell(Event::Observed(Observed::ConfigStale));
    });
    check("log comes and goes, with crashes", |world, nth| {
        let digest = world.files["m"];
        let fault = if nth % 2 == 0 {
            Fault::Fatal
        } else {
            Fault::None
        };
        world.faults.insert(digest, fault);
        world.tell(Event::Observed(Observed::ConfigStale));
        if nth % 2 == 0 {
            world.crash();
        }
    });
}

#[test]
fn a_daemon_that_dies_again_and_again() {
    check("crashes", |world, _| world.crash());
}
