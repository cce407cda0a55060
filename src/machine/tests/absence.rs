//! Every way in which fail2ban can be away, as measured with Debian's unit on systemd 252.

use super::super::absence::{Absence, read};
use super::*;

#[track_caller]
fn check(unit: Option<&Unit>, traces: bool, expected: &str) {
    let got = match read(unit, traces) {
        Absence::AtWork => "at work",
        Absence::Deliberate(_) => "deliberate",
        Absence::Failed(_) => "failed",
        Absence::Broken(_) => "broken",
        Absence::Unpacked(_) => "unpacked",
    };
    assert_eq!(got, expected, "{unit:?}, traces: {traces}");
}

#[test]
fn absence_is_read_from_the_unit() {
    use ActiveState::{Activating, Active, Deactivating, Failed, Inactive, Other, Reloading};
    use ExitKind::{Exited, Killed, None as Never};
    let rows = [
        // `systemctl stop`
        (Inactive, "success", Exited, 0, "deliberate"),
        // never started, or after `systemctl reset-failed`
        (Inactive, "success", Never, 0, "deliberate"),
        // `fail2ban-client stop`, SIGTERM by hand: ExecStop= fails on the dead daemon
        (Failed, "exit-code", Exited, 0, "deliberate"),
        // a stop through systemd that took over TimeoutStopSec=
        (Failed, "timeout", Killed, 9, "deliberate"),
        // a config that does not start
        (Failed, "exit-code", Exited, 255, "failed"),
        (Failed, "exit-code", Exited, 1, "failed"),
        // 203/EXEC: the program is not there
        (Failed, "exit-code", Exited, 203, "broken"),
        // told to end before it listened to signals, and ExecStop= failed
        (Failed, "exit-code", Killed, 15, "deliberate"),
        // SIGKILL, with systemd's own restart under way, or with Restart=no
        (Activating, "signal", Killed, 9, "at work"),
        (Failed, "signal", Killed, 9, "failed"),
        (Failed, "core-dump", Killed, 11, "failed"),
        // killed for want of memory, or stopped since a command of it was: by systemd's manual
        (Failed, "oom-kill", Killed, 9, "failed"),
        (Failed, "oom-kill", Exited, 0, "failed"),
        (Activating, "oom-kill", Killed, 9, "at work"),
        (Deactivating, "oom-kill", Exited, 0, "at work"),
        // too many starts; nothing that may be read from the last exit counts
        (Failed, "start-limit-hit", Exited, 0, "failed"),
        // ExecStartPre= failed: the main process has not run
        (Failed, "exit-code", Never, 0, "failed"),
        // not yet noticed, or under way
        (Active, "success", Never, 0, "at work"),
        (Reloading, "success", Never, 0, "at work"),
        (Deactivating, "success", Exited, 0, "at work"),
        (Other, "success", Exited, 255, "failed"),
    ];
    for (active, result, code, status, expected) in rows {
        for traces in [false, true] {
            check(Some(&unit(active, result, code, status)), traces, expected);
        }
    }
}

/// `TimeoutStartSec=` and `RuntimeMaxSec=`, however the main process ended.
#[test]
fn a_time_of_the_unit_that_is_over_is_nobody_s_stop() {
    use ExitKind::{Exited, Killed, None as Never};
    for (code, status) in [(Never, 0), (Exited, 0), (Killed, 15), (Killed, 9)] {
        let mut failed = unit(ActiveState::Failed, "timeout", code, status);
        failed.timed_out = true;
        check(Some(&failed), false, "broken");
        let mut rig = Rig::healthy(&["a"]);
        rig.exits(7).sees(absent(failed)).does("DaemonDown start");
    }
}

/// systemd's job of the start lasts until what was started has ended.
#[test]
fn the_end_of_a_start_that_took_too_long_is_no_stop() {
    let mut ending = with_job(unit(
        ActiveState::Deactivating,
        "timeout",
        ExitKind::None,
        0,
    ));
    ending.timed_out = true;
    let mut failed = unit(ActiveState::Failed, "timeout", ExitKind::None, 0);
    failed.timed_out = true;
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_killed()));
    rig.does("DaemonDown start").ok().sees(absent(ending));
    rig.sees(absent(failed)).does("GaveUp").is("gave-up");
    rig.pass(secs(12)).sees(absent(unit_failed(255)));
    rig.does("Restarting start");
}

/// Also while jailwarden itself is starting it.
#[test]
fn a_stop_that_took_too_long_is_an_admin_s() {
    let starting = unit(ActiveState::Activating, "success", ExitKind::None, 0);
    let stopping = unit(ActiveState::Deactivating, "success", ExitKind::None, 0);
    let mut failed = unit(ActiveState::Failed, "timeout", ExitKind::None, 0);
    failed.timed_out = true;
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_killed()));
    rig.does("DaemonDown start").ok();
    rig.sees(absent(with_job(starting)));
    rig.sees(absent(with_job(stopping)));
    rig.sees(absent(failed)).does("Standby").is("standby");
}

#[test]
fn a_job_means_that_systemd_is_at_work() {
    check(Some(&with_job(unit_stopped())), false, "at work");
    check(Some(&with_job(unit_failed(255))), true, "at work");
}

#[test]
fn a_masked_unit_is_meant_so() {
    let mut masked = with_job(unit_failed(255));
    masked.load = "masked".into();
    check(Some(&masked), true, "deliberate");
}

#[test]
fn without_a_unit_the_traces_decide() {
    check(None, true, "failed");
    check(None, false, "deliberate");
}

fn seen_by_client(unit: Unit) -> Sight {
    let mut sight = absent(unit);
    sight.health.client_restarts = true;
    sight
}

/// `fail2ban-client restart`, of which only the stop succeeded.
#[test]
fn whoever_restarts_it_by_the_client_does_not_want_it_stopped() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(seen_by_client(unit_failed(0)));
    rig.sees_for(2, &seen_by_client(unit_failed(0))).does("");
    let last = rig.now;
    rig.sees(absent(unit_failed(0))).does("DaemonDown start");
    assert_eq!(rig.now.since(last), Policy::FAST_PACE);
    assert!(
        rig.told
            .last()
            .unwrap()
            .message
            .contains("its start came to nothing")
    );
}

#[test]
fn a_restart_by_the_client_that_succeeds_is_not_fought() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(seen_by_client(unit_failed(0)));
    rig.sees(answers_as(8, &["a"]));
    rig.does("BackByHand read-afresh").reads(config(&["a"]));
    // What was meant then is past.
    rig.exits(8).sees(absent(unit_failed(0))).does("Standby");
}

/// With the unit, whose main process the client stopped, systemd ends whatever serves the socket by then.
#[test]
fn a_server_of_the_client_that_systemd_stops_with_the_unit_did_not_come_back() {
    let mut ending = unit_failed(0);
    ending.active = ActiveState::Deactivating;
    let with = |unit: Unit| Sight {
        unit: Some(unit),
        ..answers_as(8, &["a"])
    };
    let asked = with_job(ending.clone());
    for (unit, does) in [
        (ending, "DaemonDown start"),
        (asked, "Standby"),
        (unit_failed(0), "Standby"),
    ] {
        let mut rig = Rig::healthy(&["a"]);
        rig.exits(7).sees(seen_by_client(unit_failed(0)));
        rig.sees(with(unit));
        assert!(rig.machine.looks_at_unit);
        rig.does("BackByHand read-afresh").reads(config(&["a"]));
        rig.exits(8).sees(absent(unit_failed(0))).does(does);
    }
}

#[test]
fn a_unit_that_was_masked_or_disabled_is_not_started_for_a_restart_by_the_client() {
    let mut masked = unit_failed(0);
    masked.load = "masked".into();
    let mut disabled = unit_failed(0);
    disabled.disabled = true;
    for unit in [masked, disabled] {
        let mut rig = Rig::healthy(&["a"]);
        rig.exits(7).sees(seen_by_client(unit.clone()));
        rig.sees(absent(unit)).does("Standby");
    }
}

/// It may have given out before; how it ended is what counts.
#[test]
fn one_that_gave_out_and_was_ended_otherwise_is_left_alone() {
    use ActiveState::Failed;
    use ExitKind::{Exited, Killed};
    let mut masked = unit_stopped();
    masked.load = "masked".into();
    for (unit, does) in [
        (unit_stopped(), "DaemonDown start"),
        (masked, "Standby"),
        (unit(Failed, "timeout", Exited, 0), "Standby"),
        (unit(Failed, "exit-code", Killed, 15), "Standby"),
    ] {
        let mut sight = absent(unit);
        sight.health.gave_out = true;
        let mut rig = Rig::healthy(&["a"]);
        rig.exits(7).sees(sight).does(does);
    }
}

/// Also once every way back has failed.
#[test]
fn a_disabled_unit_that_jailwarden_stopped_is_tried_again() {
    let mut failed = unit_failed(255);
    failed.disabled = true;
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen)).gets(Outcome::Lost).ok();
    rig.ok().exits(7).ok().sees(absent(failed.clone()));
    rig.reads(config(&["a"]));
    rig.does("diagnose:7 DaemonHung save TERM:7 start read-afresh GaveUp");
    rig.keeps_seeing(&absent(failed)).does("Restarting start");
}
