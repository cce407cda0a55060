//! A daemon that hangs while systemd stops it.

use super::*;

fn leaving(restarts: bool, idle: bool) -> Sight {
    let mut unit = with_job(unit(
        ActiveState::Deactivating,
        "success",
        ExitKind::None,
        0,
    ));
    unit.restarts = restarts;
    unit.stop_left = Some(secs(80));
    Sight {
        unit: Some(unit),
        idle,
        ..silent(Motion::Busy)
    }
}

#[test]
fn one_that_hangs_in_a_restart_is_ended() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(3, &leaving(true, true)).does("");
    rig.keeps_seeing(&leaving(true, true));
    rig.does("DaemonHung TERM:7");
    let words = &rig.told.last().unwrap().message;
    assert!(words.contains("for another 80.0 s"), "{words}");
    rig.sees_for(3, &leaving(true, true)).does("");
    // SIGTERM did not end it.
    rig.keeps_seeing(&leaving(true, true)).does("KILL:7");
    rig.exits(7)
        .sees(absent(with_job(unit_restarting())))
        .does("");
    rig.sees(answers_as(8, &["a"]));
    rig.does("BackByHand AllClear read-afresh");
}

/// It takes its socket away before it ends.
#[test]
fn one_that_hangs_without_a_socket_is_ended_too() {
    let mut rig = Rig::healthy(&["a"]);
    let unaskable = Sight {
        daemon: unaskable().daemon,
        ..leaving(true, true)
    };
    rig.keeps_seeing(&unaskable).does("DaemonHung TERM:7");
}

#[test]
fn one_that_hangs_in_a_stop_is_told_and_left_to_systemd() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(leaving(false, true));
    let text = rig.machine.status_line();
    assert_eq!(text, "suspect: 0 of 1 jails protect");
    rig.keeps_seeing(&leaving(false, true)).does("Waiting");
    let text = rig.machine.status_line();
    assert!(text.contains("which hangs before its end"), "{text}");
    rig.sees_for(100, &leaving(false, true)).does("");
    rig.exits(7).sees(absent(unit(
        ActiveState::Failed,
        "timeout",
        ExitKind::Killed,
        9,
    )));
    rig.does("Standby").is("standby");
}

/// By a signal, as is told: that is no crash.
#[test]
fn one_that_somebody_ends_while_it_is_stopped_stays_stopped() {
    for between in [None, Some(with_job(unit_killed()))] {
        let mut rig = Rig::healthy(&["a"]);
        rig.keeps_seeing(&leaving(false, true)).does("Waiting");
        rig.exits(7);
        if let Some(unit) = between {
            rig.sees(absent(unit)).does("");
        }
        rig.sees(absent(unit_killed())).does("Standby");
        rig.sees_for(20, &absent(unit_killed()))
            .does("")
            .is("standby");
    }
}

/// How the next one ends does matter.
#[test]
fn one_that_ends_well_at_last_is_no_longer_being_stopped() {
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps_seeing(&leaving(false, true)).does("Waiting");
    rig.exits(7).sees(absent(unit_stopped())).does("Standby");
    assert!(!rig.machine.being_stopped);
}

/// Found by the fuzzer: the failed start was taken for the end of the stop.
#[test]
fn one_whose_stop_was_forced_is_started_again_with_whoever_starts_it_in_vain() {
    let forced = unit(ActiveState::Failed, "timeout", ExitKind::Killed, 9);
    for end in [forced, unit_killed()] {
        let mut rig = Rig::healthy(&["a"]);
        rig.keeps_seeing(&leaving(false, true)).does("Waiting");
        rig.exits(7).sees(absent(end)).does("Standby");
        rig.sees(absent(unit_failed(255))).does("DaemonDown start");
        assert!(!rig.machine.being_stopped);
    }
}

/// Found by the fuzzer: once more, as the end of the stop still counted.
#[test]
fn one_that_is_started_in_vain_while_packages_are_installed_is_started_after_that() {
    let mut failed = absent(unit_failed(255));
    failed.packages = true;
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps_seeing(&leaving(false, true)).does("Waiting");
    rig.exits(7).sees(absent(unit_killed())).does("Standby");
    rig.sees(failed.clone())
        .sees_for(5, &failed)
        .does("DaemonDown");
    failed.packages = false;
    rig.sees(failed).does("DaemonDown start");
}

/// It is looked at while the config is checked, and is gone before that has ended.
#[test]
fn one_that_ends_while_a_change_is_checked_stays_stopped() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched().pass(secs(2)).does("read");
    rig.pass(secs(3)).sees(leaving(false, false));
    rig.exits(7).sees(absent(unit_killed())).does("Standby");
}

/// What the one before had seen tells it from a crash.
#[test]
fn one_that_ended_so_before_jailwarden_began_stays_stopped() {
    let memory = Memory {
        being_stopped: true,
        ..Memory::default()
    };
    let killed = absent(unit_killed());
    let mut rig = Rig::stock(memory.clone(), config(&["a"]), killed.clone());
    rig.does("read-afresh ready Supervising Standby");
    let booted = Memory {
        booted: true,
        ..memory
    };
    let mut rig = Rig::stock(booted, config(&["a"]), killed);
    rig.does("read-afresh ready Supervising DaemonDown start");
}

/// Found by the fuzzer: it was taken for one that does not come back, and ended for the next rung.
#[test]
fn one_that_jailwarden_has_just_started_is_left_to_whoever_stops_it() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_failed(255))).ok();
    rig.does("DaemonDown start");
    rig.keeps_seeing(&leaving(false, true)).does("Waiting");
    rig.exits(7).sees(absent(unit_killed())).does("Standby");
    assert!(rig.machine.incident.is_none());
}

/// Found by the fuzzer: a pause forgot it, and the host was started after it.
#[test]
fn one_that_ended_so_stays_stopped_after_a_pause() {
    let memory = Memory {
        standby: true,
        being_stopped: true,
        ..Memory::default()
    };
    let killed = absent(unit_killed());
    let mut rig = Rig::with(memory);
    let pause = Operator::Pause {
        left: Some(secs(60)),
        why: "a test".to_owned(),
    };
    rig.event(Event::Operator(pause)).reads(config(&["a"]));
    rig.sees(killed.clone());
    rig.does("read-afresh ready Supervising Paused");
    rig.keeps_seeing(&killed);
    rig.does("end-pause Resumed Standby");
    rig.sees_for(5, &killed).does("").is("standby");
}

/// Whoever starts it is seen, though it ends as it did before.
#[test]
fn one_that_is_started_and_ends_as_before_is_started_again() {
    let starting = unit(ActiveState::Activating, "success", ExitKind::None, 0);
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps_seeing(&leaving(false, true)).does("Waiting");
    rig.exits(7).sees(absent(unit_killed())).does("Standby");
    rig.sees(absent(with_job(starting))).does("");
    rig.sees(absent(unit_killed())).does("DaemonDown start");
}

#[test]
fn one_that_still_lifts_bans_has_the_time_that_it_takes() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(100, &leaving(true, false)).does("");
    // Idle for a moment is not idle for long.
    for _ in 0..10 {
        rig.sees_for(3, &leaving(true, true));
        rig.sees(leaving(true, false)).does("");
    }
}

/// systemd starts it again: what fails from then on is another matter.
#[test]
fn the_end_of_a_stop_is_past_once_it_is_started() {
    let starting = unit(ActiveState::Activating, "success", ExitKind::None, 0);
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(leaving(false, false)).exits(7);
    rig.sees(absent(with_job(starting))).does("");
    rig.sees(absent(unit_failed(255))).does("DaemonDown start");
}

/// Whoever starts it after that wants it to run.
#[test]
fn a_stop_that_ended_well_does_not_count_for_the_next_start() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(leaving(false, false)).exits(7);
    rig.sees(absent(unit_stopped())).does("Standby");
    rig.sees(absent(unit_failed(255))).does("DaemonDown start");
    rig.does_not_start().does("read-afresh");
}
