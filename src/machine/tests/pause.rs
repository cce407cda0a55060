//! A person's pause.

use super::*;

fn pause(left: Option<Duration>) -> Event {
    let why = "root: moving the logs".to_owned();
    Event::Operator(Operator::Pause { left, why })
}

fn resume() -> Event {
    Event::Operator(Operator::Resume)
}

#[test]
fn nothing_is_done_while_it_lasts() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(pause(None)).does("Paused").is("paused");
    rig.exits(7)
        .sees(absent(unit_failed(255)))
        .sees(answers(&[]))
        .touched()
        .pass(secs(7200))
        .sees(silent(Motion::Frozen))
        .does("")
        .is("paused");
    assert!(rig.machine.snapshot().text.contains("paused"));
    rig.event(resume()).does("Resumed");
    rig.sees(answers(&["a", "m"]))
        .does("BackByHand read-afresh");
}

#[test]
fn what_happened_meanwhile_is_dealt_with_afterwards() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(pause(None)).does("Paused");
    rig.exits(7).sees(absent(unit_failed(255))).does("");
    rig.event(resume()).does("Resumed");
    rig.sees(absent(unit_failed(255)))
        .does("DaemonDown read-afresh");
    rig.reads(config(&["a"])).does("start");
}

#[test]
fn it_ends_by_itself() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(pause(Some(secs(60)))).does("Paused");
    let told = rig.told.last().unwrap();
    assert!(told.message.contains("for another 1 min"), "{told}");
    let begin = rig.now;
    rig.sees_for(3, &answers(&["a"])).does("").is("paused");
    assert_eq!(rig.now.since(begin), 2 * Policy::default().interval);
    rig.pass(secs(60)).is("checking");
    rig.does("end-pause Resumed read-afresh");
}

#[test]
fn a_restart_under_way_is_finished_first() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown start");
    rig.event(pause(None)).does("").is("restarting");
    rig.ok().sees(answers_as(8, &["a"])).does("AllClear Paused");
    rig.is("paused");
}

#[test]
fn a_ladder_under_way_goes_no_further() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown start").event(pause(None));
    rig.does_not_start().does("Paused").is("paused");
    rig.pass(secs(600)).does("");
}

#[test]
fn a_mere_trial_is_broken_off_and_what_is_written_is_not() {
    let on_trial = || {
        let disabled = config(&["a", "m"]).rolled_back(&["m"]);
        let mut rig = Rig::stock(Memory::default(), disabled, answers(&["a"]));
        rig.does("read-afresh ready Supervising try(m)");
        rig
    };
    on_trial().event(pause(None)).does("Paused").is("paused");
    let mut rig = on_trial();
    rig.gets(Outcome::Tried(Ok([("m".to_owned(), Trial::Gone)].into())));
    rig.event(pause(None)).does("save").is("mending");
    rig.ok().ok();
    rig.does("undo(m) RollbackUndone read-afresh Paused")
        .is("paused");
}

#[test]
fn it_begins_at_once_where_every_way_has_failed() {
    let mut rig = given_up();
    rig.event(pause(None)).does("Paused").is("paused");
}

#[test]
fn one_that_is_over_before_the_first_reading_disturbs_nothing() {
    let mut rig = Rig::with(Memory::default());
    rig.event(pause(Some(secs(1)))).sees(answers(&["a"]));
    rig.pass(secs(2)).ok().reads(config(&["a"]));
    rig.does("read-afresh ready end-pause Supervising");
    rig.is("healthy");
}

#[test]
fn it_holds_from_the_first_moment() {
    let mut rig = Rig::with(Memory::default());
    rig.event(pause(None));
    rig.reads(config(&["a"])).sees(absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising Paused")
        .is("paused");
}

#[test]
fn a_daemon_that_was_stopped_on_purpose_stays_so_after_it() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_stopped()));
    rig.does("read-afresh ready Supervising Standby");
    rig.event(pause(None)).does("Paused");
    assert!(rig.kept.standby);
    rig.event(resume()).does("Resumed Standby");
    rig.sees(absent(unit_stopped())).does("").is("standby");
}

#[test]
fn what_is_stopped_on_purpose_during_it_stays_so_after_it() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(pause(None)).does("Paused");
    rig.exits(7).sees(gone(None, false)).does("").is("paused");
    assert!(rig.kept.standby);
    rig.event(resume()).does("Resumed Standby");
    rig.sees(gone(None, false)).does("").is("standby");
    assert!(rig.kept.standby);
}

#[test]
fn what_is_started_again_during_it_is_not_taken_for_stopped() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(pause(None)).does("Paused");
    rig.exits(7).sees(gone(None, false));
    rig.sees(answers_as(8, &["a"])).does("").is("paused");
    assert!(!rig.kept.standby);
    rig.event(resume()).does("Resumed read-afresh");
}

#[test]
fn what_never_ran_is_started_after_it() {
    let mut rig = Rig::with(Memory::default());
    rig.event(pause(None));
    rig.reads(config(&["a"])).sees(gone(None, false));
    rig.sees(gone(None, false));
    rig.does("read-afresh ready Supervising Paused");
    rig.event(resume()).does("Resumed");
    rig.sees(gone(None, false)).does("DaemonDown read-afresh");
    rig.reads(config(&["a"])).does("start");
}

#[test]
fn resume_without_a_pause_is_nothing() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(resume()).does("").is("healthy");
}

// ---- what else the admin may want left alone

#[test]
fn a_disabled_unit_that_failed_is_left_alone() {
    let mut unit = unit_failed(255);
    unit.disabled = true;
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit.clone())).does("Standby");
    assert!(rig.told[1].message.contains("disabled"));

    let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit));
    rig.does("read-afresh ready Supervising Standby");
}

#[test]
fn a_disabled_unit_that_jailwarden_stopped_is_started() {
    let mut unit = unit_failed(0);
    unit.disabled = true;
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps_seeing(&silent(Motion::Frozen)).does("diagnose:7");
    rig.gets(Outcome::Diagnosis(Diagnosis::default()))
        .does("DaemonHung save");
    rig.ok().does("TERM:7").ok().exits(7).does("start");
    let mut failed = unit_failed(255);
    failed.disabled = true;
    rig.ok().sees(absent(failed)).does("read-afresh");
}

#[test]
fn nothing_is_started_while_packages_change() {
    let busy = Sight {
        revived: false,
        packages: true,
        ..absent(unit_failed(1))
    };
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees_for(20, &busy).does("DaemonDown");
    rig.is("suspect");
    assert!(rig.machine.snapshot().text.contains("packages"));
    rig.sees(answers_as(8, &["a"]));
    rig.does("BackByHand AllClear read-afresh");
    rig.reads(config(&["a"])).sees(answers_as(8, &["a"]));

    let begin = rig.now;
    rig.exits(8).sees_for(400, &busy).does("DaemonDown");
    rig.keeps_seeing(&busy).does("DaemonDown start");
    assert!(rig.now.since(begin) >= Policy::PACKAGES_LIMIT);
}

#[test]
fn a_stop_on_purpose_is_remembered_over_a_restart_during_the_pause() {
    let memory = Memory {
        standby: true,
        ..Memory::default()
    };
    let mut rig = Rig::with(memory);
    rig.event(pause(None));
    rig.reads(config(&["a"])).sees(gone(None, false));
    rig.is("paused");
    assert!(rig.kept.standby);
}

#[test]
fn a_restart_that_jailwarden_did_not_live_to_finish_is_finished_first() {
    let memory = Memory {
        stopping: true,
        ..Memory::default()
    };
    let mut rig = Rig::with(memory);
    rig.event(pause(None));
    rig.reads(config(&["a"])).sees(absent(unit_failed(0)));
    rig.does("read-afresh ready Supervising DaemonDown start");
    rig.ok().sees(answers_as(8, &["a"]));
    rig.does("AllClear Paused").is("paused");
}

/// Every way has failed, and it is down.
fn given_up() -> Rig {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_failed(1))).does_not_start();
    rig.reads(config(&["a"])).is("gave-up");
    rig.does("DaemonDown start read-afresh GaveUp");
    rig
}

#[test]
fn nothing_is_tried_once_more_while_packages_change() {
    let mut rig = given_up();
    let busy = Sight {
        revived: false,
        packages: true,
        ..absent(unit_failed(1))
    };
    rig.sees_for(10, &busy).does("").is("gave-up");
    assert!(rig.machine.snapshot().text.contains("packages"));
    rig.sees(absent(unit_failed(1))).does("Restarting start");

    // Not for ever.
    let mut rig = given_up();
    let begin = rig.now;
    rig.keeps_seeing(&busy).does("Restarting start");
    assert!(rig.now.since(begin) > Policy::PACKAGES_LIMIT);
}

#[test]
fn a_unit_that_is_disabled_or_masked_meanwhile_is_not_tried_once_more() {
    let (mut disabled, mut masked) = (unit_failed(1), unit_failed(1));
    disabled.disabled = true;
    masked.load = "masked".into();
    for unit in [disabled, masked] {
        let mut rig = given_up();
        rig.sees(absent(unit)).does("Standby").is("standby");
    }
}

#[test]
fn one_that_is_asked_for_before_the_first_look_keeps_whose_stop_it_was() {
    let paused = |memory: Memory, sight: Sight| {
        let mut rig = Rig::with(memory);
        rig.event(pause(None)).reads(config(&["a"])).sees(sight);
        rig.is("paused");
        rig.machine.snapshot().jails["a"].condition
    };
    let memory = Memory::default;
    let standby = || Memory {
        standby: true,
        ..Memory::default()
    };
    let down = || gone(None, false);
    assert_eq!(paused(standby(), down()), Condition::Held);
    assert_eq!(paused(memory(), down()), Condition::Dead);
    assert_eq!(paused(standby(), answers(&["a"])), Condition::Protects);
    // What jailwarden itself has stopped is started first.
    let mut rig = Rig::with(Memory {
        stopping: true,
        ..Memory::default()
    });
    rig.event(pause(None)).reads(config(&["a"])).sees(down());
    rig.does("read-afresh ready Supervising DaemonDown start")
        .is("restarting");
    rig.ok().sees(answers_as(8, &["a"])).is("paused");
}
