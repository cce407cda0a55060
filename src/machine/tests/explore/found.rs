//! Ways to break something that the walk has found.

use super::super::world::Then;
use super::*;

fn begin() -> World {
    Root {
        has_unit: true,
        blames: false,
        lingers: false,
    }
    .begin()
}

/// Only the second process hangs while it is looked at.
#[test]
fn a_started_daemon_that_hangs_at_once_is_diagnosed() {
    let mut world = begin();
    Befall::RemoveSocket.happens(&mut world);
    Befall::Burn.happens(&mut world);
    comes_to_good(&mut world);
    assert_eq!(world.rollbacks, set(&["a"]));
}

#[test]
fn a_daemon_that_dies_while_it_is_diagnosed_and_hangs_again_is_diagnosed_again() {
    let mut world = begin();
    Befall::Burn.happens(&mut world);
    steps(&mut world, 12);
    Befall::Crash.happens(&mut world);
    comes_to_good(&mut world);
}

/// The start is seen to be fine only after a change was loaded: that change is not proven by it.
#[test]
fn a_change_in_the_moment_of_a_start_is_not_proven_by_it() {
    let mut world = begin();
    Befall::Burn.happens(&mut world);
    steps(&mut world, 24);
    Befall::Edit("m", Fault::ColdOnly).happens(&mut world);
    world.pass(secs(700));
    comes_to_good(&mut world);
}

/// The jail that is held against is the one that ran, not the one that was just written.
#[test]
fn a_new_version_of_a_jail_that_hangs_the_daemon_is_tried() {
    let mut world = begin();
    Befall::Burn.happens(&mut world);
    world.pass(secs(40));
    Befall::Renew.happens(&mut world);
    comes_to_good(&mut world);
    assert!(world.rollbacks.is_empty());
    assert_eq!(world.machine.starts.len(), 1);
}

#[test]
fn a_jail_is_loaded_again_when_the_first_try_did_not_reach_the_daemon() {
    let mut world = begin();
    Befall::KillJail.happens(&mut world);
    steps(&mut world, 6);
    Befall::Hang(Hang::Stopped).happens(&mut world);
    comes_to_good(&mut world);
}

#[test]
fn a_start_that_is_lost_is_given_again() {
    let mut world = begin();
    Befall::RemoveSocket.happens(&mut world);
    steps(&mut world, 72);
    Befall::Lost(0, false).happens(&mut world);
    comes_to_good(&mut world);
}

/// Found by the fuzzer: whether a start would be safe is not known, and so it is told that none is given.
#[test]
fn a_daemon_without_a_socket_is_told_of_where_the_config_cannot_be_checked() {
    let mut world = begin();
    Befall::CheckFails.happens(&mut world);
    steps(&mut world, 20);
    Befall::RemoveSocket.happens(&mut world);
    steps(&mut world, 4);
    Befall::Killed(0b0).happens(&mut world);
    comes_to_good(&mut world);
}

/// Found by the fuzzer: the stop was forgotten, and what was never there was taken for stopped.
#[test]
fn a_stop_during_a_pause_is_known_by_the_next_jailwarden() {
    let mut world = Root {
        has_unit: false,
        blames: false,
        lingers: false,
    }
    .begin();
    Befall::Pause(None).happens(&mut world);
    steps(&mut world, 2);
    Befall::AdminStops(true).happens(&mut world);
    steps(&mut world, 2);
    Befall::Killed(0b0).happens(&mut world);
    steps(&mut world, 4);
    Befall::Resume.happens(&mut world);
    comes_to_good(&mut world);
}

/// That systemd stops it is seen by the one that is killed, and its end by the next.
#[test]
fn a_stop_that_hangs_is_known_by_the_next_jailwarden() {
    let mut world = begin();
    steps(&mut world, 8);
    Befall::StopHangs(false).happens(&mut world);
    world.pass(secs(20));
    Befall::Killed(0b0).happens(&mut world);
    Befall::Crash.happens(&mut world);
    comes_to_good(&mut world);
    assert!(matches!(world.machine.state, State::Standby { .. }));
}

/// Found by the fuzzer: what had been disabled was disabled once more where the config cannot be read.
#[test]
fn what_is_rolled_back_is_known_to_a_jailwarden_that_cannot_read_the_config() {
    let mut world = begin();
    Befall::Burn.happens(&mut world);
    while !world.rollbacks.contains("a") {
        steps(&mut world, 1);
    }
    steps(&mut world, 1);
    Befall::CheckFails.happens(&mut world);
    Befall::Killed(0b0).happens(&mut world);
    comes_to_good(&mut world);
}

/// Whatever brings the daemon back: where it was killed, systemd is quicker than jailwarden.
#[test]
fn a_jail_stopped_by_hand_stays_so() {
    let faults = [
        Befall::Crash,
        Befall::Hang(Hang::Frozen),
        Befall::Hang(Hang::Stopped),
        Befall::RemoveSocket,
        Befall::Edit("m", Fault::Fatal),
        Befall::Edit("m", Fault::ColdOnly),
    ];
    for root in [true, false].into_iter().flat_map(roots) {
        let mut world = root.begin();
        Befall::StopJail.happens(&mut world);
        while world.held.is_empty() {
            steps(&mut world, 1);
        }
        for _ in 0..6 {
            for first in faults {
                for then in faults {
                    let mut world = world.clone();
                    first.happens(&mut world);
                    steps(&mut world, 9);
                    then.happens(&mut world);
                    comes_to_good(&mut world);
                    assert_eq!(world.held, set(&["a"]), "{first:?} {then:?}");
                }
            }
            steps(&mut world, 1);
        }
    }
}

/// Somebody removes a rollback while the daemon is being restarted, and the jail is faulty still.
#[test]
fn a_rollback_that_somebody_removed_is_written_again_where_nothing_starts_without() {
    let mut world = Root {
        has_unit: false,
        blames: false,
        lingers: false,
    }
    .begin();
    steps(&mut world, 13);
    Befall::Hang(Hang::Frozen).happens(&mut world);
    Befall::Edit("a", Fault::Fatal).happens(&mut world);
    steps(&mut world, 12);
    Befall::Edit("a", Fault::Skipped).happens(&mut world);
    Befall::Edit("a", Fault::Fatal).happens(&mut world);
    Befall::UndoRollback.happens(&mut world);
    comes_to_good(&mut world);
}

/// Its database is damaged, so that it has lost each jail that it was told to load, and packages are being installed.
#[test]
fn a_daemon_that_lost_all_its_jails_is_restarted_whatever_bars_that() {
    let mut world = Root {
        has_unit: true,
        blames: true,
        lingers: true,
    }
    .begin();
    steps(&mut world, 7);
    Befall::Lost(0, false).happens(&mut world);
    Befall::KillJail.happens(&mut world);
    Befall::Edit("m", Fault::Fatal).happens(&mut world);
    Befall::Edit("m", Fault::ColdOnly).happens(&mut world);
    Befall::Damage.happens(&mut world);
    steps(&mut world, 3);
    Befall::Packages.happens(&mut world);
    steps(&mut world, 16);
    comes_to_good(&mut world);
}

/// What jailwarden itself puts back is not what the admin who stopped the jail has changed.
#[test]
fn a_jail_stopped_by_hand_stays_so_when_its_last_good_config_is_put_back() {
    let mut world = begin();
    world.pass(secs(70));
    Befall::Edit("m", Fault::Fatal).happens(&mut world);
    Befall::Edit("a", Fault::ColdOnly).happens(&mut world);
    world.pass(secs(20));
    Befall::StopJail.happens(&mut world);
    while world.held.is_empty() {
        steps(&mut world, 1);
    }
    Befall::Crash.happens(&mut world);
    comes_to_good(&mut world);
    assert_eq!(world.held, set(&["a"]));
    world.pass(secs(3600));
    comes_to_good(&mut world);
}

/// Nobody has read the config with which it was started: that the one on disk is as ever says nothing of it.
#[test]
fn a_daemon_started_with_a_config_that_nobody_could_read_is_told_all_of_it_later() {
    let mut world = begin();
    let before = world.files["a"];
    Befall::CheckFails.happens(&mut world);
    Befall::AdminStops(true).happens(&mut world);
    world.pass(secs(20));
    Befall::Renew.happens(&mut world);
    Befall::AdminStarts.happens(&mut world);
    world.pass(secs(20));
    world.write("a", before, Fault::None);
    world.check_fails = false;
    world.pass(secs(60));
    assert!(goal::is_reached(&world), "{:?}", world.machine.state);
}

/// The jail that is left keeps the daemon from starting, for a reason that nobody finds.
#[test]
fn a_jail_that_was_mended_runs_though_no_other_can() {
    let mut world = begin();
    Befall::Edit("a", Fault::Fatal).happens(&mut world);
    Befall::Crash.happens(&mut world);
    world.pass(secs(60));
    assert_eq!(world.rollbacks, set(&["a"]));
    Befall::Edit("m", Fault::ColdOnly).happens(&mut world);
    world.pass(secs(20));
    Befall::Crash.happens(&mut world);
    world.pass(secs(60));
    assert!(world.process.is_none());
    Befall::Renew.happens(&mut world);
    comes_to_good(&mut world);
    assert!(world.process.unwrap().jails["a"].alive);
}

/// The daemon without the jail at fault was stopped by a signal before it was seen to be fine.
#[test]
fn what_helped_and_seemed_not_to_is_tried_again() {
    let mut world = begin();
    Befall::Edit("a", Fault::ColdOnly).happens(&mut world);
    world.pass(secs(20));
    Befall::Crash.happens(&mut world);
    while world.rollbacks.is_empty() || world.process.is_none() {
        steps(&mut world, 1);
    }
    let pid = world.process.as_ref().unwrap().pid;
    Befall::Hang(Hang::Frozen).happens(&mut world);
    while world.process.as_ref().is_some_and(|it| it.pid == pid) {
        steps(&mut world, 1);
    }
    comes_to_good(&mut world);
}

/// Why it did not start was not found out at the first try.
#[test]
fn with_a_database_in_memory_each_jail_is_disabled_anew() {
    let mut world = begin();
    Befall::Edit("a", Fault::ColdOnly).happens(&mut world);
    world.pass(secs(20));
    Befall::Lock.happens(&mut world);
    Befall::Crash.happens(&mut world);
    let asks = |(_, then): &(MonoTime, Then)| match then {
        Then::Answer(_, effect, _) => **effect == Effect::FindCulprit,
        _ => false,
    };
    loop {
        if let Some(at) = world.later.iter().position(asks) {
            break Befall::Lost(at, false).happens(&mut world);
        }
        steps(&mut world, 1);
    }
    world.pass(secs(40));
    assert!(goal::is_reached(&world), "{:?}", world.machine.state);
}

/// Nobody has seen a start that came to nothing before jailwarden, which was killed, had looked.
#[test]
fn a_jail_stopped_by_hand_stays_so_over_a_start_in_vain_that_nobody_saw() {
    let root = Root {
        has_unit: true,
        blames: false,
        lingers: false,
    };
    let mut world = root.begin();
    steps(&mut world, 1);
    Befall::Lost(0, false).happens(&mut world);
    Befall::Edit("m", Fault::Fatal).happens(&mut world);
    steps(&mut world, 15);
    Befall::StopJail.happens(&mut world);
    steps(&mut world, 18);
    Befall::StopHangs(true).happens(&mut world);
    steps(&mut world, 6);
    Befall::Killed(0).happens(&mut world);
    Befall::Slow(3).happens(&mut world);
    Befall::AdminStarts.happens(&mut world);
    world.pass(secs(60));
    comes_to_good(&mut world);
}

/// jailwarden is killed once the rollback is written, and the next one cannot read the config.
#[test]
fn a_rollback_is_known_to_stand_though_the_config_cannot_be_read() {
    let mut world = begin();
    Befall::Burn.happens(&mut world);
    let writes = |(_, then): &(MonoTime, Then)| match then {
        Then::Answer(_, effect, _) => matches!(**effect, Effect::WriteRollback { .. }),
        _ => false,
    };
    let at = loop {
        if let Some(at) = world.later.iter().position(writes) {
            break at;
        }
        steps(&mut world, 1);
    };
    Befall::CheckFails.happens(&mut world);
    world.jailwarden_is_killed(&[at]);
    while matches!(world.machine.state, State::Starting { .. }) {
        steps(&mut world, 1);
    }
    assert!(world.rollbacks.contains("a") && world.machine.rollbacks.contains("a"));
    comes_to_good(&mut world);
}
