//! The recoveries in which jailwarden is killed at each step.

use super::super::world::{Fault, Hang, Process, Then, World};
use super::scenario::Scenario;
use super::*;

const CRASH: Scenario = Scenario {
    jails: &["a", "m"],
    happens: crash,
    proves: true,
    lingers: false,
};

/// The daemon dies, and systemd does not start it again.
fn crash(world: &mut World) {
    world.crash();
    world.later.retain(|(_, then)| !matches!(then, Then::Spawn));
    world.unit = unit_killed();
}

/// An admin stops `a`, and jailwarden has noticed.
fn stop_by_hand(world: &mut World) {
    world.stop_jail("a");
    world.pass(secs(30));
    assert!(world.held.contains("a"), "{:?}", world.machine.state);
}

fn change(world: &mut World, jails: &[(&str, Fault)]) {
    for (jail, fault) in jails {
        world.edit(jail, *fault);
        world.pass(secs(1));
    }
}

fn each(scenario: Scenario, happens: &[fn(&mut World)]) {
    for happens in happens.iter().copied() {
        Scenario {
            happens,
            ..scenario
        }
        .ends_alike();
    }
}

/// As [`each`], where a start fails: what that leaves behind has ended, or lingers.
fn each_way(scenario: Scenario, happens: &[fn(&mut World)]) {
    for lingers in [false, true] {
        each(
            Scenario {
                lingers,
                ..scenario
            },
            happens,
        );
    }
}

#[test]
fn a_daemon_that_dies() {
    CRASH.ends_alike();
    let proves = false;
    let happens = World::crash;
    Scenario {
        happens,
        proves,
        ..CRASH
    }
    .ends_alike();
}

#[test]
fn a_daemon_that_hangs_or_cannot_be_asked() {
    let by_systemd = Scenario {
        proves: false,
        ..CRASH
    };
    each(
        by_systemd,
        &[
            |world| world.hang(Hang::Frozen),
            |world| world.hang(Hang::Stopped),
            |world| world.hang(Hang::Busy),
            |world| world.burn("a"),
            World::remove_socket,
        ],
    );
}

#[test]
fn a_dead_jail() {
    each(CRASH, &[|world| world.kill_jail("a")]);
}

/// It is loaded again, then the daemon is restarted for it, once, and then it is left alone.
#[test]
fn a_jail_that_cannot_be_revived() {
    each(
        CRASH,
        &[|world| {
            world.frail = Some("a");
            world.kill_jail("a");
        }],
    );
}

/// The daemon has to be started for something else, and the jail stays stopped.
#[test]
fn a_jail_stopped_by_hand() {
    let happens = |world: &mut World| {
        stop_by_hand(world);
        crash(world);
    };
    each(CRASH, &[happens]);
    let by_systemd = Scenario {
        proves: false,
        ..CRASH
    };
    let happens = |world: &mut World| {
        stop_by_hand(world);
        world.remove_socket();
    };
    each(by_systemd, &[happens]);
    let happens = |world: &mut World| {
        stop_by_hand(world);
        world.frail = Some("m");
        world.kill_jail("m");
    };
    each(THREE, &[happens]);
}

#[test]
fn a_change() {
    each(
        CRASH,
        &[
            |world| world.edit("a", Fault::None),
            |world| world.edit("a", Fault::Fatal),
            |world| world.edit("a", Fault::Skipped),
            |world| world.edit("a", Fault::Hidden),
            |world| world.edit("a", Fault::Phantom),
        ],
    );
}

#[test]
fn a_change_that_breaks_the_start() {
    each_way(
        CRASH,
        &[
            |world| {
                change(world, &[("a", Fault::Fatal)]);
                crash(world);
            },
            |world| {
                change(world, &[("a", Fault::ColdOnly)]);
                crash(world);
            },
            |world| {
                change(world, &[("a", Fault::Phantom)]);
                crash(world);
            },
            |world| {
                world.blames = true;
                change(world, &[("a", Fault::ColdOnly), ("m", Fault::None)]);
                crash(world);
            },
            |world| {
                world.unreadable = true;
                world.touch();
                crash(world);
            },
        ],
    );
}

const THREE: Scenario = Scenario {
    jails: &["a", "m", "z"],
    ..CRASH
};

#[test]
fn several_changes_that_break_the_start() {
    use Fault::{ColdOnly, None};
    each_way(
        THREE,
        &[
            |world| {
                change(world, &[("a", ColdOnly), ("z", ColdOnly)]);
                crash(world);
            },
            |world| {
                change(world, &[("a", ColdOnly), ("m", None), ("z", None)]);
                crash(world);
            },
            |world| {
                change(world, &[("a", ColdOnly), ("m", ColdOnly), ("z", ColdOnly)]);
                crash(world);
            },
        ],
    );
}

/// No rung is left out, though the jails that changed are disabled when the next jailwarden comes to
/// it.
#[test]
fn everything_in_vain() {
    each_way(
        THREE,
        &[
            |world| {
                change(world, &[("a", Fault::None)]);
                world.doomed = true;
                crash(world);
            },
            |world| {
                change(world, &[("a", Fault::None), ("z", Fault::None)]);
                world.doomed = true;
                crash(world);
            },
            |world| {
                world.blames = true;
                change(world, &[("a", Fault::ColdOnly)]);
                world.doomed = true;
                crash(world);
            },
            |world| {
                change(world, &[("a", Fault::Fatal)]);
                world.doomed = true;
                crash(world);
            },
            |world| {
                world.doomed = true;
                crash(world);
            },
            |world| {
                change(world, &[("a", Fault::None)]);
                world.surroundings = true;
                crash(world);
            },
        ],
    );
}

/// No jail is disabled for it, and it goes back to its file in one restart.
#[test]
fn a_database_that_cannot_be_written() {
    fn runs_in_memory(world: &mut World) {
        world.locked = true;
        crash(world);
        world.pass(secs(60));
        assert!(world.process.as_ref().is_some_and(|it| it.in_memory));
    }
    each_way(
        CRASH,
        &[
            |world| {
                world.locked = true;
                crash(world);
            },
            |world| {
                world.locked = true;
                change(world, &[("a", Fault::ColdOnly)]);
                crash(world);
            },
            |world| {
                runs_in_memory(world);
                world.locked = false;
            },
            |world| {
                runs_in_memory(world);
                befall::Befall::UndoInMemory.happens(world);
                world.locked = false;
            },
        ],
    );
}

/// No jail is disabled for it, and it gives way once.
#[test]
fn a_damaged_database() {
    let happens = |world: &mut World| {
        world.damaged = true;
        crash(world);
    };
    each_way(CRASH, &[happens]);
    each(
        CRASH,
        &[
            |world| {
                world.damaged = true;
                change(world, &[("a", Fault::None)]);
            },
            |world| {
                world.damaged = true;
                change(world, &[("a", Fault::ColdOnly)]);
                crash(world);
            },
        ],
    );
}

#[test]
fn a_mend() {
    each_way(
        CRASH,
        &[|world| {
            change(world, &[("a", Fault::ColdOnly)]);
            crash(world);
            world.pass(secs(60));
            world.edit("a", Fault::None);
        }],
    );
}

/// Whoever comes next gives it the same time, and does not start a second one.
#[test]
fn a_start_that_takes_long() {
    each(
        CRASH,
        &[
            |world| {
                world.start_takes = secs(9);
                crash(world);
            },
            |world| {
                world.start_takes = secs(16);
                crash(world);
            },
            |world| {
                world.start_takes = secs(25);
                change(world, &[("a", Fault::None)]);
                crash(world);
            },
        ],
    );
}

/// So many restarts count by now that one more, or none, is left.
#[test]
fn a_budget_that_is_nearly_spent() {
    fn crashes(world: &mut World, times: usize) {
        for _ in 0..times {
            crash(world);
            world.pass(secs(15));
        }
        assert_eq!(world.machine.recent_starts(), times);
        crash(world);
    }
    each(
        CRASH,
        &[
            |world| crashes(world, Policy::RESTART_BUDGET - 1),
            |world| crashes(world, Policy::RESTART_BUDGET),
        ],
    );
}

/// Lets an hour pass on a host on which something ails after each step, and kills jailwarden each time
/// that so many seconds are over.
fn an_hour_with_kills(world: &mut World, every: u64, ails: fn(&mut World)) {
    let end = world.now + secs(3600);
    while world.now < end {
        let next = end.min(world.now + secs(every));
        while world.due().is_some_and(|due| due <= next) {
            walk::step(world);
            ails(world);
        }
        world.now = next;
        world.jailwarden_restarts();
    }
}

/// How many starts there are at most is for [`World`] to check at each.
#[test]
fn no_kill_gives_new_restarts() {
    let starts = |has_unit, every| {
        let mut world = CRASH.begin(has_unit);
        an_hour_with_kills(&mut world, every, |world| {
            let is_up = |p: &Process| p.up_at + secs(1) <= world.now;
            if world.process.as_ref().is_some_and(is_up) {
                crash(world);
            }
        });
        let starts = world.starts.len();
        comes_to_good(&mut world);
        starts
    };
    for has_unit in [true, false] {
        let undisturbed = starts(has_unit, 2 * 3600);
        for every in [5, 20, 90, 400] {
            let starts = starts(has_unit, every);
            assert!(
                (5..undisturbed + 3).contains(&starts),
                "{starts}, not {undisturbed}, killed every {every} s"
            );
        }
    }
}

#[test]
fn no_kill_ends_the_rest_of_a_jail_that_dies_each_time() {
    for every in [5, 20, 90, 400, 4000] {
        let mut world = World::new(&["a", "m"], true);
        world.log = Some(Vec::new());
        an_hour_with_kills(&mut world, every, |world| {
            if world.machine.incident.is_none() {
                world.kill_jail("a");
            }
            assert!(world.protecting().contains("m"));
        });
        let log = world.log.take().unwrap();
        let loads = log.iter().filter(|line| line.ends_with("> apply(*a)"));
        let loads = loads.count();
        assert!((3..=12).contains(&loads), "{loads}, killed every {every} s");
        world.pass(Policy::MEND_LIMIT);
        assert_eq!(world.protecting(), set(&["a", "m"]));
    }
}

fn count(world: &mut World, what: &str) -> usize {
    let log = world.log.take().unwrap_or_default();
    let end = format!("> {what}");
    log.iter().filter(|line| line.ends_with(&end)).count()
}

/// That none comes too soon is for [`World`] to check at each.
#[test]
fn no_kill_shortens_the_wait_for_the_next_try() {
    let starts = |has_unit, every| {
        let mut world = World::new(CRASH.jails, has_unit);
        world.doomed = true;
        crash(&mut world);
        world.log = Some(Vec::new());
        an_hour_with_kills(&mut world, every, |_| {});
        count(&mut world, "start")
    };
    for has_unit in [true, false] {
        let undisturbed = starts(has_unit, 2 * 3600);
        assert!((8..16).contains(&undisturbed), "{undisturbed}");
        for every in [20, 90, 400] {
            let starts = starts(has_unit, every);
            // One that is given when jailwarden is killed is given again.
            assert!(
                starts.abs_diff(undisturbed) <= 2,
                "{starts}, not {undisturbed}, killed every {every} s, unit {has_unit}"
            );
        }
    }
}

#[test]
fn no_kill_gives_new_cures() {
    let cures = |every| {
        let mut world = World::new(CRASH.jails, true);
        world.blind = Some("a");
        world.log = Some(Vec::new());
        an_hour_with_kills(&mut world, every, |_| {});
        let log = world.log.take().unwrap_or_default();
        log.iter().filter(|line| line.contains("> apply(")).count()
    };
    let undisturbed = cures(2 * 3600);
    assert_eq!(undisturbed, Policy::CURES as usize);
    for every in [25, 90, 400] {
        assert_eq!(cures(every), undisturbed, "killed every {every} s");
    }
}

#[test]
fn no_kill_has_a_cramped_daemon_restarted_again() {
    let restarts = |every| {
        let mut world = World::new(CRASH.jails, true);
        world.cramped = true;
        world.log = Some(Vec::new());
        an_hour_with_kills(&mut world, every, |_| {});
        count(&mut world, "start")
    };
    assert_eq!(restarts(2 * 3600), 1);
    for every in [25, 90, 400] {
        assert_eq!(restarts(every), 1, "killed every {every} s");
    }
}
