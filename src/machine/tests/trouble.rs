//! A daemon that does not answer.

use super::*;

#[test]
fn a_frozen_daemon_is_diagnosed_and_restarted() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen)).does("diagnose:7");
    rig.gets(Outcome::Diagnosis(Diagnosis::default()))
        .does("DaemonHung save");
    assert!(
        rig.kept.stopping,
        "on disk before the effect that depends on it"
    );
    rig.ok().does("TERM:7").exits(7).does("start");
    rig.ok()
        .sees(answers_as(8, &["a"]))
        .does("AllClear")
        .is("healthy");
    assert!(!rig.kept.stopping);
}

#[test]
fn a_daemon_that_gets_on_with_something_is_waited_for() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(30, &silent(Motion::Progressing))
        .does("")
        .is("suspect");
    // That it stays so is told, once.
    rig.sees_for(270, &silent(Motion::Progressing))
        .does("DaemonHung")
        .is("suspect");
    rig.sees(answers(&["a"])).reads_as(ConfigRead::Unchanged);
    rig.does("AllClear read-afresh").is("healthy");
}

#[test]
fn a_hang_while_systemd_has_a_job_is_left_to_that() {
    let mut rig = Rig::healthy(&["a"]);
    let running = unit(ActiveState::Active, "success", ExitKind::None, 0);
    let mut frozen = silent(Motion::Frozen);
    frozen.unit = Some(with_job(running.clone()));
    rig.sees_for(60, &frozen).does("").is("suspect");
    frozen.unit = Some(running);
    rig.sees(frozen).does("diagnose:7");
}

#[test]
fn a_job_that_lasts_is_told_and_is_no_reason_to_leave_a_hang_alone_for_ever() {
    let mut rig = Rig::healthy(&["a"]);
    let running = unit(ActiveState::Active, "success", ExitKind::None, 0);
    let mut frozen = silent(Motion::Frozen);
    frozen.unit = Some(with_job(running));
    rig.sees(frozen.clone());
    let first = rig.now;
    rig.keeps_seeing(&frozen).does("DaemonHung");
    let told = rig.told.last().unwrap();
    assert!(told.message.contains("systemctl list-jobs"), "{told}");
    assert!(rig.now.since(MonoTime::START) < secs(120), "{:?}", rig.now);
    rig.sees_for(400, &frozen).does("").is("suspect");
    rig.keeps_seeing(&frozen).does("diagnose:7");
    assert_eq!(rig.now.since(first), Policy::JOB_LIMIT);
}

/// A start that waits behind something else which hangs.
#[test]
fn a_job_that_lasts_for_ever_is_given_up_on() {
    let mut rig = Rig::healthy(&["a"]);
    let waits = absent(with_job(unit_stopped()));
    rig.exits(7).keeps_seeing(&waits).does("DaemonDown");
    let told = rig.told.last().unwrap();
    assert!(told.message.contains("systemctl list-jobs"), "{told}");
    rig.sees_for(400, &waits).does("");
    rig.keeps_seeing(&waits).does("GaveUp");
    assert!(rig.now.since(MonoTime::START) >= Policy::JOB_LIMIT);
    rig.pass(secs(20)).sees(waits).does("Restarting start");
}

#[test]
fn an_admin_s_stop_that_lasts_is_no_reason_to_start() {
    let mut rig = Rig::healthy(&["a"]);
    let mut leaving = absent(with_job(unit(
        ActiveState::Deactivating,
        "success",
        ExitKind::Exited,
        0,
    )));
    rig.exits(7);
    while rig.now.since(MonoTime::START) < Policy::JOB_LIMIT * 2 {
        rig.sees(leaving.clone());
    }
    rig.does("DaemonDown");
    leaving.unit = Some(unit_stopped());
    rig.sees(leaving).does("Standby");
}

#[test]
fn a_busy_daemon_has_until_the_limit() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Busy));
    let first = rig.now;
    rig.keeps_seeing(&silent(Motion::Busy)).does("diagnose:7");
    // 30 s with the 5 s of the first ping, and at most the pause between two looks.
    let waited = rig.now.since(first);
    assert!(waited >= secs(25) && waited <= secs(26), "{waited:?}");
}

/// Each look waits for an answer in vain, and the last one begins so that the verdict is not late.
#[test]
fn the_last_look_at_a_busy_daemon_ends_when_the_limit_is_over() {
    let ends_with = |limit| {
        let mut rig = Rig::healthy(&["a"]);
        let policy = Policy {
            busy_limit: secs(limit),
            ..Policy::default()
        };
        rig.event(Event::SettingsChanged(policy));
        let mut ends = Vec::new();
        let began = rig.now + policy.interval;
        while rig.machine.state_name() != "restarting" {
            while rig.machine.look.is_none() {
                rig.next_deadline();
            }
            rig.pass(policy.timeout);
            rig.sees(silent(Motion::Busy));
            ends.push(rig.now.since(began).as_secs());
        }
        rig.does("diagnose:7");
        ends
    };
    assert_eq!(ends_with(30), [5, 11, 17, 23, 30]);
    assert_eq!(ends_with(27), [5, 11, 17, 27]);
}

#[test]
fn a_stopped_daemon_is_told_to_continue_first() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Stopped)).does("DaemonHung CONT:7");
    assert!(rig.machine.look.is_none(), "it has a moment");
    // What was sent to it before may have been lost.
    rig.ok().sees(answers(&["a"])).does("AllClear read-afresh");
    rig.reads(config(&["a"])).is("healthy");
}

#[test]
fn a_stopped_daemon_that_stays_so_is_restarted() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Stopped))
        .ok()
        .pass(secs(2))
        .does("DaemonHung CONT:7 diagnose:7");
    rig.gets(Outcome::Diagnosis(Diagnosis::default()))
        .ok()
        .does("DaemonHung save TERM:7");
}

#[test]
fn a_continued_daemon_with_a_dead_jail_is_not_killed_for_it() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees(silent(Motion::Stopped))
        .ok()
        .sees(with_dead(7, &["a", "m"], &["m"]));
    rig.does("DaemonHung CONT:7 read-afresh");
    rig.reads(config(&["a", "m"]))
        .keeps_seeing(&with_dead(7, &["a", "m"], &["m"]));
    rig.does("JailDead apply(*m)");
    // That was no restart, so there may be one.
    rig.applied()
        .keeps_seeing(&with_dead(7, &["a", "m"], &["m"]))
        .does("Restarting save");
}

#[test]
fn the_last_known_process_is_meant_when_a_full_backlog_hides_it() {
    let mut rig = Rig::healthy(&["a"]);
    let hidden = Sight {
        daemon: Daemon::Silent {
            pid: None,
            motion: Motion::Stopped,
        },
        unit: None,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    };
    rig.sees(hidden.clone()).does("DaemonHung CONT:7");
    // It must not be started over: `start -x` over a hung server starts a second one.
    rig.ok().sees(hidden).pass(secs(3)).does("diagnose:7");
}
