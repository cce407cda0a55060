//! Stop, start, coming back.

use super::*;

/// A jail that breaks the start was changed last, and the daemon has died.
pub(super) fn down_after_change() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 1), ("m", 2)]))
        .applied()
        .sees(answers(&["a", "m"]));
    rig.does("read apply(+m) ChangeApplied");
    rig.exits(7)
        .sees(absent(unit_killed()))
        .does("DaemonDown start");
    rig
}

// ---- the stop

#[test]
fn a_daemon_that_answers_is_asked_to_stop_and_given_its_time() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.sees_for(3, &dead).applied().keeps_seeing(&dead).ok();
    rig.does("JailDead apply(*m) Restarting save ask-stop");
    rig.gets(Outcome::StopAsked(StopAnswer::Agreed));
    let began = rig.now;
    while rig.now.since(began) < secs(85) {
        rig.pass(secs(5))
            .does("sample:7")
            .gets(Outcome::Motion(Motion::Progressing));
    }
    rig.pass(secs(5))
        .does("sample:7")
        .gets(Outcome::Motion(Motion::Progressing))
        .does("KILL:7");
    rig.ok().exits(7).does("start");
}

#[test]
fn a_stop_that_makes_no_progress_ends_in_sigkill() {
    for motion in [Motion::Frozen, Motion::Busy, Motion::Stopped] {
        let mut rig = Rig::healthy(&["a"]);
        rig.sees(silent(Motion::Frozen))
            .gets(Outcome::Lost)
            .ok()
            .ok();
        rig.pass(secs(5)).gets(Outcome::Motion(motion));
        rig.does("diagnose:7 DaemonHung save TERM:7 sample:7 KILL:7");
    }
}

#[test]
fn a_refused_stop_is_followed_by_sigterm() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.sees_for(3, &dead).applied().keeps_seeing(&dead).ok();
    rig.does("JailDead apply(*m) Restarting save ask-stop");
    rig.gets(Outcome::StopAsked(StopAnswer::Refused("SHUTDOWN".into())));
    rig.does("Restarting TERM:7");
}

#[test]
fn a_signal_that_comes_too_late_is_no_failure() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen))
        .gets(Outcome::Lost)
        .ok()
        .fails("no such process");
    rig.does("diagnose:7 DaemonHung save TERM:7")
        .exits(7)
        .does("start");
}

#[test]
fn a_process_that_the_kernel_holds_is_not_started_over() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen))
        .gets(Outcome::Lost)
        .ok()
        .ok();
    rig.pass(secs(5))
        .gets(Outcome::Motion(Motion::Frozen))
        .ok()
        .pass(secs(5));
    rig.does("diagnose:7 DaemonHung save TERM:7 sample:7 KILL:7 GaveUp")
        .is("gave-up");
    // It ends at last: the next try needs no stop.
    rig.exits(7)
        .sees(absent(unit_killed()))
        .keeps_seeing(&absent(unit_killed()))
        .does("Restarting start");
}

#[test]
fn a_death_while_the_memory_is_written_needs_no_stop() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen))
        .gets(Outcome::Lost)
        .exits(7)
        .does("diagnose:7 DaemonHung save");
    rig.ok().does("start");
}

// ---- coming back

#[test]
fn the_probe_says_whether_it_is_back_not_the_exit_code() {
    let mut rig = down_after_change();
    rig.ok()
        .sees_for(20, &gone(None, false))
        .does("")
        .is("restarting");
    rig.sees(answers_as(8, &["a"]))
        .does("")
        .sees(answers_as(8, &["a", "m"]))
        .does("AllClear");
}

#[test]
fn one_that_is_awaited_is_looked_for_often() {
    let mut rig = down_after_change();
    rig.ok().sees(gone(None, false));
    let last = rig.now;
    rig.sees(silent_as(8, Motion::Progressing));
    assert_eq!(rig.now.since(last), Policy::FAST_PACE);
}

#[test]
fn a_start_that_is_lost_on_its_way_is_given_again_later() {
    let mut rig = down_after_change();
    rig.gets(Outcome::Lost).does("GaveUp").is("gave-up");
}

/// Whoever started it may have done so with the config of before.
#[test]
fn one_that_somebody_else_started_meanwhile_is_told_what_changed() {
    let mut rig = Rig::healthy(&["a"]);
    let changed = config_of_versions(&[("a", 2)]);
    rig.touched().exits(7).sees(absent(unit_killed()));
    rig.reads(changed.clone()).gets(Outcome::Overtaken);
    rig.sees(answers_as(8, &["a"]));
    rig.does("DaemonDown read start AllClear read-afresh");
    rig.reads(changed).does("apply(+a)");
}

/// `systemctl start` may take longer than the time to come back.
#[test]
fn a_slow_start_command_is_judged_by_a_look_not_by_the_clock() {
    let mut rig = down_after_change();
    rig.pass(secs(12)).ok().does("");
    rig.sees(answers_as(8, &["a", "m"]))
        .does("AllClear")
        .is("healthy");
}

#[test]
fn at_the_deadline_some_jails_are_better_than_none() {
    let mut rig = down_after_change();
    rig.ok()
        .sees_for(101, &with_dead(8, &["a", "m"], &["m"]))
        .is("suspect");
}

#[test]
fn a_stop_while_it_comes_back_is_respected() {
    let mut rig = down_after_change();
    rig.ok()
        .sees(absent(with_job(unit_stopped())))
        .sees(absent(unit_stopped()));
    rig.does("Standby").is("standby");
}

#[test]
fn a_stop_right_after_our_restart_is_respected() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees(silent(Motion::Frozen))
        .gets(Outcome::Lost)
        .ok()
        .ok()
        .exits(7)
        .ok();
    rig.sees_for(101, &with_dead(8, &["a", "m"], &["m"]))
        .is("suspect");
    rig.exits(8).sees(absent(unit_stopped()));
    rig.does("diagnose:7 DaemonHung save TERM:7 start Standby");
}

#[test]
fn a_stop_after_giving_up_is_respected() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen))
        .gets(Outcome::Lost)
        .ok()
        .ok()
        .exits(7)
        .does_not_start();
    rig.reads(config(&["a"]))
        .sees(absent(unit_failed(255)))
        .does_not_start();
    rig.reads(config(&["a"])).is("gave-up");
    rig.sees(absent(unit_failed(255)))
        .sees(absent(unit_stopped()))
        .is("standby");
}
