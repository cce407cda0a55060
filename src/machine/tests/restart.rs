//! Stop, start, not back, the ladder, giving up.

use super::*;

/// A jail that breaks the start was changed last, and the daemon has died.
fn down_after_change() -> Rig {
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

// ---- the ladder

/// The order that the mission names: on disk and read back before anything else is touched.
#[test]
fn a_rollback_is_on_disk_and_read_back_before_anything_is_touched() {
    let mut rig = down_after_change();
    rig.does_not_start().does("read-afresh").is("restarting");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]))
        .does("rollback(m)")
        .is("rolling-back");
    assert_eq!(rig.machine.look, None);
    rig.pass(secs(60))
        .does("")
        .ok()
        .does("RolledBack read-afresh");
    rig.pass(secs(60)).does("");
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("start");
    rig.ok().sees(answers_as(9, &["a"])).does("AllClear try(m)");
    rig.gets(Outcome::Lost).is("degraded");
    assert_eq!(rig.machine.rollbacks, set(&["m"]));
    assert_eq!(rig.kept.proven.clone().unwrap().names(), set(&["a"]));
}

#[test]
fn a_daemon_that_answers_without_jails_is_stopped_only_after_the_rollback() {
    let mut rig = down_after_change();
    rig.ok()
        .keeps_seeing(&with_dead(8, &["a", "m"], &["a", "m"]))
        .does("diagnose:8");
    let idle = Outcome::Diagnosis(Diagnosis::default());
    rig.gets(idle)
        .keeps_seeing(&with_dead(8, &["a", "m"], &["a", "m"]))
        .does("read-afresh");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]))
        .does("rollback(m)");
    rig.ok().does("RolledBack read-afresh");
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("save");
    rig.ok()
        .does("ask-stop")
        .gets(Outcome::StopAsked(StopAnswer::Agreed))
        .exits(8)
        .does("start");
}

#[test]
fn a_known_fault_is_rolled_back_before_a_hung_daemon_is_touched() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 1), ("m", 2)]).fault("m", true))
        .does("read ChangeRefused");
    rig.sees(silent(Motion::Frozen))
        .gets(Outcome::Lost)
        .does("diagnose:7 DaemonHung rollback(m)");
    rig.ok()
        .reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("RolledBack read-afresh save");
    rig.ok().does("TERM:7").exits(7).does("start");
}

#[test]
fn a_fault_not_yet_read_is_rolled_back_before_the_start() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.touched()
        .exits(7)
        .sees(absent(unit_killed()))
        .does("DaemonDown read");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]).fault("m", true));
    rig.does("ChangeRefused rollback(m)");
}

#[test]
fn a_fault_that_fail2ban_skips_by_itself_is_not_rolled_back() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a"]).fault("m", false))
        .does("read ChangeRefused");
    rig.exits(7)
        .sees(absent(unit_killed()))
        .does("DaemonDown start");
    rig.ok()
        .sees(answers_as(8, &["a"]))
        .does("AllClear")
        .is("degraded");
}

#[test]
fn the_rungs_in_order_the_blamed_the_last_changed_all_changed() {
    let mut rig = Rig::healthy(&["a", "b", "c", "m"]);
    rig.machine.proven = config(&["a", "b", "c", "m"]).plan;
    let v = |a, b, c| config_of_versions(&[("a", a), ("b", b), ("c", c), ("m", 1)]);
    for (reading, word) in [(v(2, 1, 1), "+a"), (v(2, 2, 1), "+b"), (v(2, 2, 2), "+c")] {
        rig.edits(reading)
            .applied()
            .sees(answers(&["a", "b", "c", "m"]));
        rig.does(&format!("read apply({word}) ChangeApplied"));
    }
    let mut disk = v(2, 2, 2).fault("a", true);
    rig.exits(7)
        .sees(absent(unit_killed()))
        .does_not_start()
        .does("DaemonDown start read-afresh");
    rig.reads(disk.clone()).does("ChangeRefused rollback(a)");
    disk.findings.clear();
    for (standing, next) in [(vec!["a"], "c"), (vec!["a", "c"], "b")] {
        rig.ok().reads(disk.clone().rolled_back(&standing));
        rig.does("RolledBack read-afresh start");
        rig.does_not_start().does(&format!("rollback({next})"));
    }
    rig.ok()
        .reads(disk.clone().rolled_back(&["a", "b", "c"]))
        .does_not_start();
    // What was only guessed and did not help is taken back; what was found faulty stays.
    rig.does("RolledBack read-afresh start GaveUp undo(b c)");
    rig.ok()
        .reads(disk.rolled_back(&["a"]))
        .does("RollbackUndone read-afresh")
        .is("gave-up");
    // The next try does not guess the same again.
    rig.sees(absent(unit_failed(255))).does("Restarting start");
    rig.does_not_start().reads(v(2, 2, 2).rolled_back(&["a"]));
    rig.does("read-afresh GaveUp");
}

#[test]
fn a_file_that_does_not_parse_disables_no_jail_that_only_changed() {
    let mut rig = down_after_change();
    let mut unreadable = config(&[]).fault("m", true);
    unreadable.plan = None;
    unreadable.findings[0].jail = None;
    rig.does_not_start().reads(unreadable);
    rig.does("read-afresh ChangeRefused GaveUp");
}

#[test]
fn a_program_that_is_not_there_is_no_fault_of_the_config() {
    let mut rig = down_after_change();
    rig.ok()
        .sees(absent(unit_failed(203)))
        .does("GaveUp")
        .is("gave-up");
}

#[test]
fn a_change_that_is_only_read_after_the_death_is_the_last_change() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 2), ("m", 1)]))
        .applied()
        .sees(answers(&["a", "m"]));
    rig.exits(7).sees(absent(unit_killed())).does_not_start();
    rig.reads(config_of_versions(&[("a", 2), ("m", 2)]));
    rig.does("read apply(+a) ChangeApplied DaemonDown start read-afresh rollback(m)");
}

#[test]
fn no_jail_is_disabled_when_the_config_is_what_last_started() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.machine.proven = config(&["a", "m"]).plan;
    rig.exits(7).sees(absent(unit_killed())).does_not_start();
    rig.reads(config(&["a", "m"]))
        .does("DaemonDown start read-afresh GaveUp");
}

#[test]
fn the_newest_file_is_the_last_resort_when_nothing_is_known() {
    let mut reading = config(&["a", "m"]);
    reading.newest = vec!["gone".into(), "m".into(), "a".into()];
    let mut rig = Rig::stock(Memory::default(), reading.clone(), absent(unit_failed(255)));
    rig.does_not_start().reads(reading);
    rig.does("read-afresh ready Supervising DaemonDown start read-afresh rollback(m)");
}

#[test]
fn a_rollback_that_cannot_be_written_is_told_and_not_counted() {
    let mut rig = down_after_change();
    rig.does_not_start()
        .reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.does("read-afresh rollback(m)");
    rig.fails("read-only file system")
        .does("RollbackFailed GaveUp undo(m)")
        .is("gave-up");
    assert_eq!(rig.machine.incident.as_ref().unwrap().rolled_back, set(&[]));
    // It may stand all the same; it was not found to be in vain, and is tried again.
    rig.ok().does("read-afresh");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.keeps_seeing(&absent(unit_failed(255))).does_not_start();
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.does("Restarting start read-afresh rollback(m)");
}

#[test]
fn a_guess_does_not_cost_the_last_jail() {
    let jails = ["a", "m"];
    let mut rig = Rig::stock(Memory::default(), config(&jails), answers(&jails));
    rig.edits(config(&jails).fault("m", true));
    rig.does("read-afresh ready Supervising read ChangeRefused");
    rig.machine.recent = vec!["a".into()];
    rig.exits(7).sees(absent(unit_killed()));
    rig.ok().reads(config(&jails).rolled_back(&["m"]));
    rig.does("DaemonDown rollback(m) RolledBack read-afresh start");
    rig.does_not_start();
    rig.reads(config(&jails).rolled_back(&["m"]));
    rig.does("read-afresh GaveUp");
}

#[test]
fn of_two_rollbacks_one_may_be_written_and_the_other_not() {
    let jails = ["a", "m", "n"];
    let faulty = || config(&jails).fault("m", true).fault("n", true);
    let mut rig = Rig::stock(Memory::default(), faulty(), answers(&jails));
    rig.does("read-afresh ready Supervising ChangeRefused");
    rig.exits(7).sees(absent(unit_killed()));
    rig.does("DaemonDown rollback(m n)");
    rig.fails("no room for n").does("RollbackFailed start");
    let half = || config(&jails).fault("n", true).rolled_back(&["m"]);
    rig.does_not_start().reads(half());
    rig.does("read-afresh RolledBack ChangeRefused rollback(n)");
    let told = rig.told.iter().rfind(|r| r.kind == Kind::RolledBack);
    assert_eq!(told.unwrap().jails, ["m"]);
    rig.fails("no room for n").does("RollbackFailed GaveUp");
    rig.sees(absent(unit_failed(255)))
        .does("Restarting rollback(n)");
    rig.ok().reads(config(&jails).rolled_back(&["m", "n"])).ok();
    rig.sees(answers_as(8, &["a"]));
    let clear = rig.told.iter().rfind(|r| r.kind == Kind::AllClear).unwrap();
    assert!(clear.message.contains("disabled for it: m, n"), "{clear}");
    assert!(!clear.message.contains("no longer"), "{clear}");
}

#[test]
fn a_rollback_without_effect_is_told() {
    let mut rig = down_after_change();
    rig.does_not_start()
        .reads(config_of_versions(&[("a", 1), ("m", 2)]))
        .ok();
    let mut overridden = config_of_versions(&[("a", 1), ("m", 2)]);
    overridden.rollbacks = set(&["m"]);
    rig.reads(overridden);
    rig.does("read-afresh rollback(m) RolledBack read-afresh RollbackFailed GaveUp undo(m)");
}

// ---- giving up

/// Fails every start until it has given up `times` times; gives the waits between.
fn waits(rig: &mut Rig, times: usize) -> Vec<u64> {
    let mut waits = Vec::new();
    for _ in 0..times {
        rig.does_not_start();
        rig.reads(config(&["a"])).is("gave-up");
        let gave_up = rig.now;
        while !matches!(rig.machine.state, State::Restarting(_)) {
            rig.sees(absent(unit_failed(255)));
        }
        waits.push(rig.now.since(gave_up).as_secs());
    }
    waits
}

#[test]
fn the_wait_doubles_up_to_ten_minutes() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_failed(255)));
    assert_eq!(
        waits(&mut rig, 9),
        [10, 20, 40, 80, 160, 320, 600, 600, 600]
    );
}

#[test]
fn hosts_that_fail_together_do_not_try_again_together() {
    let wait = |seed| {
        let mut rig = down_after_change();
        rig.machine.seed = seed;
        rig.fails("no such unit").does("GaveUp");
        rig.machine.snapshot().deadline.unwrap().since(rig.now)
    };
    let waits = [0, 1, 7, 8].map(wait);
    assert_eq!(waits, [ms(10_000), ms(10_125), ms(10_875), ms(10_000)]);
}

#[test]
fn it_is_looked_at_at_the_usual_pace_while_the_next_try_is_waited_for() {
    let mut rig = down_after_change();
    let down = absent(unit_killed());
    rig.fails("no such unit").sees(down.clone());
    rig.fails("no such unit")
        .does("GaveUp Restarting start GaveUp");
    let gave_up = rig.now;
    rig.sees(down.clone()).does("");
    assert_eq!(rig.now.since(gave_up), Policy::default().interval);
    rig.sees(down).does("Restarting start");
    assert_eq!(rig.now.since(gave_up), 2 * Policy::BACKOFF_START);
}

#[test]
fn a_changed_config_is_tried_at_once_and_a_touch_is_not() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_failed(255)));
    rig.does_not_start().reads(config(&["a"])).is("gave-up");
    rig.does("read-afresh ready Supervising DaemonDown start read-afresh GaveUp");
    rig.touched()
        .reads_as(ConfigRead::Unchanged)
        .does("read")
        .is("gave-up");
    rig.edits(config_of_versions(&[("a", 2)]))
        .sees(absent(unit_failed(255)))
        .does("read Restarting start");
}

/// A log file that was missing is there, or Python is whole again, though the config is as it was.
#[test]
fn it_is_tried_at_once_when_what_was_lacking_may_have_come() {
    for come in [Observed::ConfigStale, Observed::PackagesChanged] {
        let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_failed(255)));
        rig.does_not_start().reads(config(&["a"])).is("gave-up");
        rig.does("read-afresh ready Supervising DaemonDown start read-afresh GaveUp");
        let gave_up = rig.now;
        rig.event(Event::Observed(come));
        rig.reads(config(&["a"]))
            .sees(absent(unit_failed(255)))
            .does("read-afresh Restarting start");
        assert_eq!(rig.now, gave_up);
    }
}

#[test]
fn a_daemon_started_by_hand_after_giving_up_is_not_restarted() {
    for sight in [
        answers_as(8, &["a", "m"]),
        answers_as(8, &[]),
        with_dead(8, &["a", "m"], &["m"]),
    ] {
        let mut rig = Rig::stock(
            Memory::default(),
            config(&["a", "m"]),
            absent(unit_failed(255)),
        );
        rig.does_not_start()
            .reads(config(&["a", "m"]))
            .is("gave-up");
        rig.does("read-afresh ready Supervising DaemonDown start read-afresh GaveUp");
        rig.sees(sight).reads(config(&["a", "m"]));
        rig.sees(answers_as(8, &["a", "m"])).is("healthy");
        assert_eq!(rig.told(Kind::AllClear), 1);
        assert!(!rig.asked.iter().any(|(_, e)| matches!(e, Effect::AskStop)));
    }
}

/// Each comeback ends the incident, so the starts themselves have to slow the tries down.
#[test]
fn a_daemon_that_keeps_dying_is_started_ever_more_slowly() {
    let mut rig = Rig::healthy(&["a"]);
    let mut pid = 7;
    let mut starts = Vec::new();
    while rig.now < MonoTime::new(secs(1800)) {
        rig.exits(pid);
        while !matches!(rig.machine.state, State::Restarting(_)) {
            rig.sees(absent(unit_killed()));
        }
        starts.push(rig.now);
        pid += 1;
        rig.ok().sees(answers_as(pid, &["a"]));
    }
    for window in starts.windows(13) {
        assert!(window[12].since(window[0]) > secs(600), "{starts:?}");
    }
}

#[test]
fn a_failed_reading_in_a_restart_is_made_up_for() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched().exits(7).sees(absent(unit_killed()));
    rig.reads_as(ConfigRead::Failed("timeout".into()))
        .does("DaemonDown read start");
    rig.ok().sees(answers_as(8, &["a"])).does("AllClear");
    rig.reads(config_of_versions(&[("a", 2)]))
        .does("read-afresh apply(+a)");
}

#[test]
fn a_start_that_cannot_be_given_is_no_fault_of_the_config() {
    let mut rig = down_after_change();
    rig.fails("systemctl start fail2ban.service: Unit is masked.")
        .does("GaveUp")
        .is("gave-up");
}

#[test]
fn a_stop_by_an_admin_in_the_middle_of_a_restart_is_respected() {
    let mut rig = down_after_change();
    rig.gets(Outcome::Forestalled("stopped by somebody else".into()))
        .does("Standby")
        .is("standby");
    assert!(rig.kept.standby);
    rig.pass(secs(3600)).does("");
}

// ---- who is to blame

fn blaming(culprit: Culprit) -> Rig {
    let mut rig = down_after_change();
    rig.verdict = Verdict {
        culprit,
        evidence: "fail2ban.log:7: words".into(),
    };
    rig.does_not_start();
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig
}

#[test]
fn no_jail_is_disabled_for_what_is_wrong_around_fail2ban() {
    for jail in [None, Some("a".to_owned())] {
        let mut rig = blaming(Culprit::Surroundings {
            jail,
            database: false,
        });
        rig.does("read-afresh GaveUp").is("gave-up");
        assert!(
            rig.told
                .last()
                .unwrap()
                .message
                .contains("fail2ban.log:7: words")
        );
    }
}

#[test]
fn a_jail_that_was_changed_to_need_what_is_not_there_is_disabled() {
    let jail = Some("m".to_owned());
    let mut rig = blaming(Culprit::Surroundings {
        jail,
        database: false,
    });
    rig.does("read-afresh rollback(m)").ok();
}

#[test]
fn the_jail_that_fail2ban_names_comes_before_the_last_changed_one() {
    let jail = Some("a".to_owned());
    let mut rig = blaming(Culprit::Config { jail });
    rig.does("read-afresh rollback(a)").ok();
    assert!(
        rig.told
            .last()
            .unwrap()
            .message
            .contains("fail2ban.log:7: words")
    );
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]).rolled_back(&["a"]));
    rig.does("RolledBack read-afresh start");
    // None would be left.
    rig.does_not_start().does("GaveUp");
}

#[test]
fn a_jail_that_the_config_does_not_have_is_not_disabled() {
    let jail = Some("other".to_owned());
    blaming(Culprit::Config { jail }).does("read-afresh rollback(m)");
}

/// The line that makes the expression run for ever is still in the log.
#[test]
fn the_jail_that_made_the_daemon_hang_is_disabled_before_the_start() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.keeps_seeing(&silent(Motion::Busy)).does("diagnose:7");
    rig.gets(Outcome::Diagnosis(Diagnosis {
        words: "f2b/f.m runs".into(),
        burning: Some("m".into()),
        busy: false,
    }));
    rig.does("DaemonHung rollback(m)").ok();
    rig.does("RolledBack read-afresh");
    let told = rig.told.last().unwrap();
    assert!(
        told.message.contains("its filter made fail2ban hang"),
        "{told}"
    );
    let file = "/etc/fail2ban/jail.d/zzz-jailwarden-m.local";
    assert_eq!(told.file.as_deref(), Some(file.as_ref()));
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("save")
        .ok();
    rig.does("TERM:7").exits(7).does("start");
    rig.ok().sees(answers_as(8, &["a"])).does("AllClear try(m)");
    // It passes every trial, so only time brings it back.
    let sound = Trial::Sound { digest: 1 };
    rig.gets(Outcome::Tried(Ok([("m".to_owned(), sound)].into())));
    rig.does("").is("degraded");
}

#[test]
fn where_every_jail_is_to_blame_the_files_come_before_a_daemon_without_jails() {
    let memory = Memory {
        good: Some(1),
        ..Memory::default()
    };
    let faulty = config(&["a", "m"]).fault("a", true).fault("m", true);
    let mut rig = Rig::stock(memory, faulty, absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising ChangeRefused DaemonDown put-back(x.conf)");
}

#[test]
fn without_a_good_config_every_jail_to_blame_is_disabled() {
    let faulty = config(&["a", "m"]).fault("a", true).fault("m", true);
    let mut rig = Rig::stock(Memory::default(), faulty, absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising ChangeRefused DaemonDown rollback(a m)");
}

#[test]
fn a_change_in_the_moment_of_the_start_is_read_before_it() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7)
        .sees(absent(unit_killed()))
        .does("DaemonDown start");
    rig.gets(Outcome::ConfigMoved).does("read-afresh");
    rig.reads(config(&["a", "m"]).fault("m", true));
    rig.does("ChangeRefused rollback(m)");
    assert_eq!(rig.machine.starts.len(), 0);
}

#[test]
fn a_config_that_never_rests_is_started_with_in_the_end() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_killed()));
    for version in 2..5 {
        let known = matches!(
            rig.asked.last(),
            Some((_, Effect::Start { known: Some(_) }))
        );
        assert!(known);
        rig.gets(Outcome::ConfigMoved)
            .reads(config_of_versions(&[("a", version)]));
    }
    let last = rig.asked.last().map(|(_, effect)| effect);
    assert_eq!(last, Some(&Effect::Start { known: None }));
}

/// A look at what it does takes seconds.
#[test]
fn a_daemon_that_comes_up_while_it_is_diagnosed_is_left_alone() {
    let hangs = Sight {
        unit: Some(unit_stopped()),
        ..silent_as(8, Motion::Busy)
    };
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    rig.gets(Outcome::Diagnosis(Diagnosis::default()));
    rig.sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear").is("healthy");

    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    rig.gets(Outcome::Lost)
        .keeps_seeing(&hangs)
        .does("read-afresh");

    // A filter with much to read burns the processor, and no jail is to blame for that.
    let burns = || {
        Outcome::Diagnosis(Diagnosis {
            burning: Some("a".into()),
            ..Diagnosis::default()
        })
    };
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    rig.gets(burns()).sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear").is("healthy");

    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    rig.gets(burns()).does("").keeps_seeing(&hangs);
    rig.does("DaemonHung rollback(a)");
}

/// With hundreds of jails, or on a slow machine: no jail is to blame for that.
#[test]
fn a_daemon_that_takes_long_to_start_is_waited_for() {
    let working = || {
        Outcome::Diagnosis(Diagnosis {
            busy: true,
            ..Diagnosis::default()
        })
    };
    let loading = Sight {
        daemon: Daemon::Absent {
            process: Some(8),
            traces: false,
            why: "no such file".into(),
        },
        ..absent(unit_stopped())
    };
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&loading).does("diagnose:8");
    rig.gets(working())
        .does("")
        .keeps_seeing(&loading)
        .does("Waiting");
    rig.keeps_seeing(&loading).does("diagnose:8");
    rig.gets(working()).sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear").is("healthy");

    // It answers before its jails are there.
    let mut rig = down_after_change();
    let answering = with_dead(8, &[], &[]);
    rig.ok().keeps_seeing(&answering).does("diagnose:8");
    rig.gets(working())
        .does("")
        .keeps_seeing(&answering)
        .does("Waiting");
    rig.sees(answers_as(8, &["a", "m"])).does("AllClear");

    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&loading).does("diagnose:8");
    rig.gets(working())
        .does("")
        .keeps_seeing(&loading)
        .does("Waiting");
    // Not for ever: what is to blame is looked for.
    let mut times = 0;
    while rig.keeps_seeing(&loading).words.last().unwrap() != "read-afresh" {
        rig.gets(working());
        times += 1;
        assert!(times < 60, "it is asked all the time");
    }
}

/// It may have been started again by systemd at once.
#[test]
fn the_end_of_one_that_is_awaited_is_looked_at_at_once() {
    let mut rig = down_after_change();
    rig.ok().sees(silent_as(8, Motion::Progressing));
    assert!(rig.machine.look.is_none());
    rig.exits(8);
    assert!(rig.machine.look.is_some());
}

#[test]
fn one_that_ends_while_it_is_diagnosed_is_not_waited_for() {
    let hangs = silent_as(8, Motion::Busy);
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    // Until its time is up, and nothing but the answer is waited for.
    rig.pass(secs(1));
    while rig.machine.look.is_some() {
        rig.sees(hangs.clone()).pass(secs(1));
    }
    rig.does("").exits(8).sees(absent(unit_failed(255)));
    rig.does("read-afresh");
}

/// So that what is found out costs no time of its own.
#[test]
fn one_that_does_not_answer_is_diagnosed_once_and_before_its_time_is_up() {
    let hangs = silent_as(8, Motion::Busy);
    let mut rig = down_after_change();
    let began = rig.now;
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    let early = Policy::default().comeback.saturating_sub(Policy::EXAM);
    assert_eq!(rig.now.since(began), early);
    rig.sees_for(5, &hangs).does("");
}

/// It is known what it does.
#[test]
fn one_that_hangs_after_a_jail_was_disabled_for_that_is_not_diagnosed_again() {
    let hangs = |pid| silent_as(pid, Motion::Busy);
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.keeps_seeing(&hangs(7));
    rig.gets(Outcome::Diagnosis(Diagnosis {
        burning: Some("m".into()),
        ..Diagnosis::default()
    }));
    let disabled = config(&["a", "m"]).rolled_back(&["m"]);
    rig.ok().reads(disabled.clone()).ok();
    rig.exits(7).ok();
    rig.does("diagnose:7 DaemonHung rollback(m) RolledBack read-afresh save TERM:7 start");
    rig.keeps_seeing(&hangs(8)).does("read-afresh");
}

/// It may have to be read from the disk again.
#[test]
fn one_that_was_told_to_go_on_has_its_moment_before_it_is_diagnosed() {
    let stopped = silent(Motion::Stopped);
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(stopped.clone()).ok().does("DaemonHung CONT:7");
    rig.sees_for(5, &stopped).does("");
}

/// Each time is a second long: it is not asked all the time what it does.
#[test]
fn one_that_takes_long_to_start_is_given_a_second_at_a_time() {
    let loading = with_dead(8, &[], &[]);
    let working = || {
        Outcome::Diagnosis(Diagnosis {
            busy: true,
            ..Diagnosis::default()
        })
    };
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&loading).gets(working());
    rig.keeps_seeing(&loading).does("diagnose:8 Waiting");
    rig.keeps_seeing(&loading).does("diagnose:8");
    let began = rig.now;
    rig.gets(working()).keeps_seeing(&loading);
    rig.does("diagnose:8");
    assert_eq!(rig.now.since(began), Policy::SUSPECT_PACE);
}

/// It has to end by SIGTERM before it is killed, and that fails late.
#[test]
fn a_signal_that_failed_is_no_reason_to_give_up_unless_it_is_the_last() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen)).gets(Outcome::Lost).ok();
    let (terminate, _) = rig.asked.last().cloned().unwrap();
    rig.pass(secs(5)).gets(Outcome::Motion(Motion::Frozen));
    rig.does("diagnose:7 DaemonHung save TERM:7 sample:7 KILL:7");
    let failed = || Outcome::Effect(Err("not permitted".into()));
    rig.event(done(terminate, failed())).does("");
    rig.gets(failed()).does("GaveUp").is("gave-up");
}

/// It protects until it has ended, and lifts its bans meanwhile.
#[test]
fn one_without_a_socket_has_the_time_of_any_stop() {
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps_seeing(&unaskable()).ok();
    rig.does("DaemonHung save TERM:7").ok();
    let patience = Policy::default().stop_timeout;
    rig.pass(patience.saturating_sub(ms(1))).does("");
    rig.pass(ms(1)).does("sample:7");
}

/// What it was started with is not known then.
#[test]
fn no_config_is_proven_by_a_start_before_which_none_could_be_read() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched().exits(7).sees(absent(unit_killed()));
    rig.reads_as(ConfigRead::Failed("timeout".into())).ok();
    rig.sees(answers_as(8, &["a"]));
    rig.does("DaemonDown read start AllClear");
    assert_eq!(rig.machine.proven, None);
}
