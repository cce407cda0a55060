//! Giving up for a while: what is a reason to try at once, and what is not.

use super::super::give_up::GaveUp;
use super::begun::{about_to_disable, changed};
use super::command::roll_back;
use super::*;

fn both() -> Reading {
    config(&["a", "m"])
}

fn down() -> Sight {
    absent(unit_failed(255))
}

/// Every way back has failed, and nothing is to blame.
fn given_up() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(down()).does_not_start();
    rig.reads(both());
    rig.does("DaemonDown start read-afresh GaveUp");
    rig
}

/// The kernel holds the process that jailwarden was stopping.
fn given_up_in_the_stop() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees(silent(Motion::Frozen));
    rig.gets(Outcome::Lost).ok().ok().pass(secs(5));
    rig.gets(Outcome::Motion(Motion::Frozen));
    rig.ok().pass(secs(5)).is("gave-up");
    rig.does("diagnose:7 DaemonHung save TERM:7 sample:7 KILL:7 GaveUp");
    assert!(rig.kept.stopping);
    rig
}

/// It answers, and runs none of its jails, even after a restart.
fn given_up_on_jails() -> Rig {
    let jails = ["a", "m"];
    let mut rig = Rig::healthy(&jails);
    let dead = with_dead(7, &jails, &jails);
    rig.keeps_seeing(&dead).applied();
    rig.machine.incident.as_mut().unwrap().restarted = true;
    rig.keeps_seeing(&dead);
    rig.does("JailDead apply(*a *m) GaveUp").is("gave-up");
    rig
}

// ---- how long

#[test]
fn a_start_counts_for_as_long_as_the_window_lasts() {
    let mut rig = Rig::healthy(&["a"]);
    rig.machine.starts = [MonoTime::START; Policy::RESTART_BUDGET].into();
    rig.machine.now = MonoTime::new(Policy::BUDGET_WINDOW.saturating_sub(ms(1)));
    assert_eq!(rig.machine.recent_starts(), Policy::RESTART_BUDGET);
    assert!(rig.machine.budget_is_spent());
    rig.machine.now = MonoTime::new(Policy::BUDGET_WINDOW);
    assert_eq!(rig.machine.recent_starts(), 0);
    assert!(!rig.machine.budget_is_spent());
}

#[test]
fn the_wait_that_is_told_is_the_one_that_is_kept() {
    let mut rig = Rig::healthy(&["a"]);
    rig.machine.seed = 7;
    rig.exits(7).sees(down()).fails("no such unit");
    rig.does("DaemonDown start GaveUp");
    let told = rig.told.last().unwrap();
    assert!(told.message.contains("tried again in 10.9 s"), "{told}");
}

/// It is as long as any that there is, and no longer.
#[test]
fn the_longest_wait_goes_on_whole_after_a_kill() {
    let carried = |left| {
        let gave_up = GaveUp {
            times: 9,
            left: Some(left),
        };
        gave_up.carried(Duration::ZERO).left.unwrap()
    };
    let longest = Policy::BACKOFF_LIMIT + Policy::BACKOFF_LIMIT / 10 * 7 / 8;
    assert_eq!(carried(longest), longest);
    assert!(carried(Duration::MAX) < longest + secs(10));
}

#[test]
fn packages_are_waited_for_until_the_limit_is_over() {
    let mut rig = given_up();
    let Some(retry_at) = rig.machine.snapshot().deadline else {
        panic!("no next try");
    };
    rig.pass(retry_at.since(rig.now) + Policy::PACKAGES_LIMIT);
    let busy = Sight {
        packages: true,
        ..down()
    };
    rig.sees(busy).does("Restarting start");
}

#[test]
fn it_is_looked_at_no_more_often_than_one_that_is_well() {
    let mut rig = given_up_in_the_stop();
    rig.machine.incident.as_mut().unwrap().given_up = 5;
    rig.exits(7).sees(down()).keeps_seeing(&down());
    rig.does("Restarting start").fails("no such unit");
    rig.does("GaveUp");
    for _ in 0..2 {
        let before = rig.now;
        rig.sees(down()).does("");
        assert_eq!(rig.now.since(before), Policy::default().interval);
    }
}

// ---- what is a reason to try at once

/// It ends each time, and so is no reason to start each time.
#[test]
fn a_config_that_changes_all_the_time_waits_as_any_other() {
    let tried_at_once = |starts| {
        let mut rig = given_up();
        rig.machine.starts = std::iter::repeat_n(rig.now, starts).collect();
        rig.edits(config_of_versions(&[("a", 2), ("m", 1)]));
        rig.does("read");
        rig.machine.look.is_some()
    };
    assert!(tried_at_once(2 * Policy::RESTART_BUDGET - 1));
    assert!(!tried_at_once(2 * Policy::RESTART_BUDGET));
}

/// What disables it may have been mended.
#[test]
fn an_edit_meanwhile_has_a_disabled_jail_tried_and_a_mere_touch_has_not() {
    let disabled = both().rolled_back(&["m"]);
    let back = |edited: Reading| {
        let mut rig = Rig::stock(Memory::default(), disabled.clone(), answers(&["a"]));
        let faulty = Trial::Faulty(finding(Some("m"), true));
        rig.gets(Outcome::Tried(Ok([("m".to_owned(), faulty)].into())));
        rig.exits(7).sees(down()).does_not_start();
        rig.reads(disabled.clone());
        rig.does("read-afresh ready Supervising try(m) DaemonDown start read-afresh GaveUp");
        rig.edits(edited).keeps_seeing(&down()).ok();
        rig.does("read Restarting start");
        rig.sees(answers_as(8, &["a"]));
        rig
    };
    back(disabled.clone()).does("AllClear");
    let edited = config_of_versions(&[("a", 2), ("m", 1)]).rolled_back(&["m"]);
    back(edited).does("AllClear try(m)");
}

/// It may still be loading the others.
#[test]
fn one_that_begins_to_protect_is_not_stopped_for_the_next_try() {
    let mut rig = given_up_on_jails();
    rig.sees(with_dead(7, &["a", "m"], &["m"])).does("");
    rig.is("suspect");
}

// ---- whose stop it is

#[test]
fn what_jailwarden_itself_has_stopped_is_started_again() {
    let mut rig = given_up_in_the_stop();
    rig.exits(7).sees(absent(unit_stopped()));
    rig.is("gave-up").keeps_seeing(&absent(unit_stopped()));
    rig.does("Restarting start");
}

#[test]
fn a_stop_after_the_end_of_ours_is_an_admin_s() {
    let mut rig = given_up_in_the_stop();
    rig.exits(7).sees(down()).does("").is("gave-up");
    assert!(!rig.kept.stopping);
    rig.machine.next_look = rig.now;
    rig.sees(absent(unit_stopped())).does("Standby");
}

// ---- after a kill

/// What is seen first after a kill is what was given up, or is not.
#[track_caller]
fn waits_on(memory: &Memory, sight: Sight) -> bool {
    let rig = Rig::stock(memory.clone(), both(), sight);
    rig.machine.snapshot().state == "gave-up"
}

#[test]
fn the_wait_for_a_daemon_without_jails_goes_on_for_the_same_process_alone() {
    let jails = ["a", "m"];
    let memory = given_up_on_jails().kept;
    assert!(memory.gave_up.left.is_some());
    assert!(waits_on(&memory, with_dead(7, &jails, &jails)));
    assert!(!waits_on(&memory, with_dead(8, &jails, &jails)));
    assert!(!waits_on(&memory, with_dead(7, &jails, &["m"])));
    assert!(!waits_on(&memory, answers(&jails)));
}

#[test]
fn the_wait_for_one_that_is_silent_goes_on_for_the_same_process_alone() {
    let memory = given_up_in_the_stop().kept;
    assert!(memory.gave_up.left.is_some());
    assert!(waits_on(&memory, silent(Motion::Frozen)));
    assert!(!waits_on(&memory, silent_as(8, Motion::Frozen)));
    // Who that is cannot be seen.
    let hidden = Sight {
        daemon: Daemon::Silent {
            pid: None,
            motion: Motion::Frozen,
        },
        ..silent(Motion::Frozen)
    };
    assert!(waits_on(&memory, hidden));
}

/// What was never started looks as what was stopped.
#[test]
fn without_a_unit_the_wait_goes_on_unless_it_was_stopped() {
    let memory = given_up().kept;
    let away = || gone(None, false);
    assert!(waits_on(&memory, away()));
    let stopped = Memory {
        standby: true,
        ..memory.clone()
    };
    assert!(!waits_on(&stopped, away()));
    let ours = Memory {
        stopping: true,
        ..memory.clone()
    };
    assert!(waits_on(&ours, absent(unit_stopped())));
    assert!(!waits_on(&memory, absent(unit_stopped())));
}

// ---- what is taken back

/// `m` was disabled on a guess, in vain.
fn taken_back() -> Rig {
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(changed.clone()).applied();
    rig.sees(answers(&["a", "m"]));
    rig.exits(7).sees(down()).does_not_start();
    rig.reads(changed.clone()).ok();
    rig.reads(changed.rolled_back(&["m"])).does_not_start();
    rig.does(
        "read apply(+m) ChangeApplied DaemonDown start read-afresh rollback(m) RolledBack \
         read-afresh start GaveUp undo(m)",
    );
    rig
}

#[test]
fn an_answer_to_something_else_is_not_the_end_of_the_taking_back() {
    let mut rig = taken_back();
    let stale = Outcome::Effect(Err("of long ago".into()));
    rig.event(done(ActionId(1), stale)).does("");
    rig.ok().does("RollbackUndone read-afresh");
    let told = rig.told.last().unwrap();
    assert_eq!(
        told.message,
        "disabling m did not help, so it is taken back"
    );
}

#[test]
fn how_to_take_back_what_cannot_be_is_told() {
    let mut rig = taken_back();
    rig.fails("read-only file system").does("RollbackFailed");
    let told = rig.told.last().unwrap();
    assert!(
        told.message.ends_with("mended: jailwarden rollback undo m"),
        "{told}"
    );
}

#[test]
fn of_jails_that_were_disabled_in_vain_no_file_is_taken_for_it() {
    assert_eq!(taken_back().kept.in_vain.jails, set(&["m"]));
    assert!(!taken_back().kept.in_vain.files);
}

#[test]
fn what_is_taken_back_is_not_told_as_disabled() {
    let rig = taken_back();
    assert_eq!(rig.machine.incident.as_ref().unwrap().rolled_back, set(&[]));
}

#[test]
fn one_reading_waits_for_the_other_and_for_the_taking_back() {
    let mut rig = given_up();
    rig.touched().pass(secs(1)).does("read");
    rig.touched().pass(secs(1)).does("");
    rig.reads(both()).does("read");
    let mut rig = taken_back();
    rig.touched().pass(secs(1)).does("");
}

/// It would start with what is being taken back.
#[test]
fn the_next_try_waits_for_the_end_of_the_taking_back() {
    let mut rig = taken_back();
    rig.sees_for(2, &down()).does("");
    let last = rig.now;
    rig.sees(down()).does("");
    assert_eq!(rig.now.since(last), Policy::SUSPECT_PACE);
    rig.ok();
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.keeps_seeing(&down());
    rig.does("RollbackUndone read-afresh Restarting start");
}

/// One that answers, and protects nobody, may be restarted after each look.
#[test]
fn each_look_meanwhile_asks_whether_another_may_be_started() {
    let mut rig = given_up_on_jails();
    rig.pass(Policy::default().interval);
    let looks =
        |(_, effect): &(ActionId, Effect)| matches!(effect, Effect::Look { unit: true, .. });
    assert!(rig.asked.iter().any(looks), "{:?}", rig.asked);
}

// ---- a jail that is mended meanwhile

/// m is disabled, and fail2ban does not start for a reason that nobody finds; then somebody has edited m.
fn mended_while_given_up() -> Rig {
    let disabled = both().rolled_back(&["m"]);
    let mut rig = Rig::stock(Memory::default(), disabled.clone(), answers(&["a"]));
    let faulty = Trial::Faulty(finding(Some("m"), true));
    rig.gets(tried("m", faulty));
    rig.exits(7).sees(down()).does_not_start();
    rig.reads(disabled);
    rig.does("read-afresh ready Supervising try(m) DaemonDown start read-afresh GaveUp");
    let edited = config_of_versions(&[("a", 2), ("m", 1)]).rolled_back(&["m"]);
    rig.edits(edited.clone())
        .keeps_seeing(&down())
        .does_not_start();
    rig.reads(edited).keeps_seeing(&down());
    rig.does("read Restarting start read-afresh GaveUp try(m)");
    rig
}

fn tried(jail: &str, trial: Trial) -> Outcome {
    Outcome::Tried(Ok([(jail.to_owned(), trial)].into()))
}

fn edited() -> Reading {
    config_of_versions(&[("a", 2), ("m", 1)])
}

/// Then m has passed its trial, and its rollback is gone.
fn passed_while_given_up() -> Rig {
    let mut rig = mended_while_given_up();
    rig.gets(tried("m", Trial::Sound { digest: 1 })).ok().ok();
    rig.does("save undo(m) JailMended read-afresh")
        .reads(edited());
    rig
}

#[test]
fn it_is_started_at_once_with_a_jail_that_passes_its_trial() {
    let mut rig = passed_while_given_up();
    rig.sees(down()).does("Restarting start");
}

#[test]
fn a_trial_that_brings_nothing_cuts_no_wait_short() {
    let mut rig = mended_while_given_up();
    let State::Mending(mending) = &rig.machine.state else {
        panic!("{:?}", rig.machine.state);
    };
    let left = rig.machine.having_given_up().left.unwrap();
    assert!(mending.gave_up.is_some());
    let retry_at = rig.now + left;
    rig.gets(tried("m", Trial::Faulty(finding(Some("m"), true))));
    rig.does("ChangeRefused").is("gave-up");
    rig.keeps_seeing(&down()).does("Restarting start");
    assert!(rig.now >= retry_at, "{:?} {retry_at:?}", rig.now);
}

/// As on a read-only file system: that is no change.
#[test]
fn a_rollback_that_cannot_be_removed_cuts_no_wait_short() {
    let mut rig = mended_while_given_up();
    rig.gets(tried("m", Trial::Sound { digest: 1 })).ok();
    rig.does("save undo(m)");
    rig.gets(Outcome::Effect(Err("read-only file system".into())));
    rig.reads(edited().rolled_back(&["m"]));
    rig.does("RollbackFailed read-afresh").is("gave-up");
    rig.sees(down()).does("");
    assert!(!rig.machine.is_on_probation("m"));
}

#[test]
fn a_jail_that_was_mended_meanwhile_may_be_to_blame_once_more() {
    let mut rig = passed_while_given_up();
    rig.verdict.culprit = Culprit::Config {
        jail: Some("m".into()),
    };
    rig.sees(down()).does_not_start();
    rig.reads(edited()).ok();
    rig.does("Restarting start read-afresh rollback(m) RolledBack read-afresh");
}

/// The others that this incident disabled still are, and stand in its way.
#[test]
fn what_is_mended_meanwhile_says_nothing_of_what_is_still_disabled() {
    let mut rig = mended_while_given_up();
    rig.machine.incident.as_mut().unwrap().rolled_back = set(&["a", "m"]);
    rig.gets(tried("m", Trial::Sound { digest: 1 })).ok().ok();
    let incident = rig.machine.incident.as_ref().unwrap();
    assert_eq!(incident.rolled_back, set(&["a"]));
}

// ---- what was stopped by hand

/// What jailwarden itself has put back is no reason to start a jail, at whichever reading.
#[test]
fn a_jail_stopped_by_hand_stays_so_until_somebody_changes_it() {
    let mut rig = given_up();
    rig.machine.held = set(&["m"]);
    rig.machine.held_as = [("m".to_owned(), 1)].into();
    rig.machine.accepted.jails.get_mut("m").unwrap().digest = 9;
    rig.edits(both());
    assert_eq!(rig.machine.held, set(&["m"]));
    rig.edits(config_of_versions(&[("a", 1), ("m", 2)]));
    assert_eq!(rig.machine.held, set(&[]));
}

/// A start that was given up was only slow, and has read the rollback that is taken back by then.
#[test]
fn a_jail_whose_rollback_was_just_taken_back_is_no_unknown_one() {
    let mut rig = about_to_disable();
    rig.ok().reads(changed().rolled_back(&["m"]));
    rig.does_not_start().ok();
    rig.does("RolledBack read-afresh start GaveUp undo(m) RollbackUndone read-afresh");
    rig.event(roll_back("m")).does("");
    rig.sees(answers_as(9, &["a"]));
    rig.does("BackByHand AllClear rollback(m)");
    assert!(rig.answers.is_empty(), "{:?}", rig.answers);
}

#[test]
fn a_jail_whose_rollback_was_just_taken_back_is_not_said_to_be_gone() {
    let mut rig = about_to_disable();
    rig.ok().reads(changed().rolled_back(&["m"]));
    rig.does_not_start().ok().sees(answers_as(9, &["a"]));
    let said = |kind| {
        let report = rig.told.iter().rfind(|it| it.kind == kind);
        &report.expect("a report").message
    };
    let by_hand = said(Kind::BackByHand);
    assert!(by_hand.contains("by jailwarden, and late"), "{by_hand}");
    let clear = said(Kind::AllClear);
    assert!(clear.contains("to be loaded again: m"), "{clear}");
    assert!(!clear.contains("no longer"), "{clear}");
}
