//! Jails that run again after a rollback, for as long as they have to show that they do.

use super::mend::{degraded, edited, minutes, sound, tried, waits};
use super::*;

/// A machine whose `m` passed its trial and was then refused by the daemon, and is disabled again.
fn flap(rig: &mut Rig, trial: Trial) {
    tried(rig, trial).does("save").ok().ok();
    rig.does("undo(m) JailMended read-afresh");
    rig.reads(config(&["a", "m"])).does("apply(+m)");
    rig.gets(Outcome::Applied(Applied {
        refused: vec![("m".into(), "no such thing".into())],
        ..Applied::default()
    }));
    rig.does("ChangeRefused apply(-m)").applied();
    rig.sees(answers_as(8, &["a"])).does("rollback(m)");
    rig.ok().does("RolledBack read-afresh");
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]));
    if rig.kept.mends["m"].flaps < Policy::FLAP_LIMIT {
        rig.does("ChangeWithdrawn try(m)");
        tried(rig, sound(1)).does("").is("degraded");
    } else {
        rig.does("ChangeWithdrawn").is("degraded");
    }
}

#[test]
fn what_fails_in_life_is_disabled_again_and_waits_longer() {
    let mut rig = degraded();
    let mut last = rig.now;
    let mut gaps = Vec::new();
    for _ in 0..3 {
        waits(&mut rig).does("try(m)");
        gaps.push(minutes(rig.now.since(last)));
        last = rig.now;
        flap(&mut rig, sound(1));
    }
    assert_eq!(gaps, [10, 40, 160]);
    assert_eq!(rig.kept.mends["m"].flaps, 3);

    rig.sees_for(10_000, &answers_as(8, &["a"]))
        .does("")
        .is("degraded");
    assert!(
        rig.machine
            .snapshot()
            .text
            .contains("for a person to mend: m")
    );

    edited(&mut rig).does("read try(m)");
    tried(&mut rig, sound(1)).does("").is("degraded");
    edited(&mut rig).does("read try(m)");
    tried(&mut rig, sound(2)).does("save");
    assert_eq!(
        rig.kept.mends["m"].flaps, 0,
        "other commands, a clean slate"
    );
}

#[test]
fn a_change_elsewhere_is_no_reason_to_try_what_failed() {
    let mut rig = degraded();
    waits(&mut rig).does("try(m)");
    flap(&mut rig, sound(1));
    edited(&mut rig).does("read try(m)");
    tried(&mut rig, sound(1)).does("").is("degraded");

    rig.event(Event::Observed(Observed::PackagesChanged));
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]));
    rig.does("read-afresh try(m)");
    tried(&mut rig, sound(1)).does("save");
}

#[test]
fn a_probation_that_jailwarden_did_not_see_the_end_of_goes_on() {
    let memory = Memory {
        accepted: config(&["a"]).plan,
        mends: [(
            "m".to_owned(),
            Mend {
                on_probation: true,
                ..Mend::default()
            },
        )]
        .into(),
        ..Memory::default()
    };
    let mut rig = Rig::stock(memory, config(&["a", "m"]), answers(&["a"]));
    rig.does("read-afresh ready Supervising apply(+m)");
    rig.gets(Outcome::Applied(Applied {
        refused: vec![("m".into(), "no such thing".into())],
        ..Applied::default()
    }));
    rig.does("ChangeRefused apply(-m)").applied();
    rig.sees(answers(&["a"])).does("rollback(m)");
}

#[test]
fn a_rollback_that_cannot_be_written_again_waits_as_a_refusal() {
    let mut rig = degraded();
    edited(&mut rig).does("read try(m)");
    tried(&mut rig, sound(2)).does("save").ok().ok();
    rig.does("undo(m) JailMended read-afresh");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.gets(Outcome::Applied(Applied {
        refused: vec![("m".into(), "no such thing".into())],
        ..Applied::default()
    }));
    rig.applied().sees(answers_as(8, &["a"]));
    rig.does("apply(+m) ChangeRefused apply(-m) rollback(m)");
    rig.fails("no room").does("RollbackFailed");
    rig.sees_for(5, &answers_as(8, &["a"]))
        .does("")
        .is("degraded");
}

/// Its thread dies only after a while, so each time all was well for a moment.
#[test]
fn a_jail_on_probation_that_dies_again_and_again_is_loaded_again_once() {
    let mut rig = on_probation();
    let dead = with_dead(8, &["a", "m"], &["m"]);
    rig.keeps_seeing(&dead).does("JailDead apply(*m)");
    rig.applied().sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear");
    rig.keeps_seeing(&dead).does("rollback(m)");
}

#[test]
fn a_jail_on_probation_that_dies_costs_the_others_no_restart() {
    let mut rig = on_probation();
    let dead = with_dead(8, &["a", "m"], &["m"]);
    rig.keeps_seeing(&dead).does("JailDead apply(*m)");
    rig.applied().keeps_seeing(&dead).does("rollback(m)");
    rig.ok().does("RolledBack read-afresh");
    let told = rig.told.last().unwrap().message.clone();
    assert!(told.contains("does not run"), "{told}");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]).rolled_back(&["m"]));
    rig.does("apply(-m)").applied().sees(answers_as(8, &["a"]));
    let clear = rig.told.iter().rfind(|r| r.kind == Kind::AllClear).unwrap();
    assert!(clear.message.contains("disabled for it: m"), "{clear}");
    assert!(!clear.message.contains("no longer"), "{clear}");
}

#[test]
fn a_jail_on_probation_that_is_stopped_by_hand_is_none_of_ours() {
    let mut rig = on_probation();
    rig.sees(answers_as(8, &["a", "m"]));
    rig.sees_for(4, &answers_as(8, &["a"])).does("JailHeld");
    assert!(rig.kept.mends.is_empty(), "{:?}", rig.kept.mends);
}

#[test]
fn a_jail_that_waits_for_a_person_has_no_next_try() {
    let mut rig = degraded();
    for _ in 0..Policy::FLAP_LIMIT {
        waits(&mut rig).does("try(m)");
        flap(&mut rig, sound(1));
    }
    assert_eq!(rig.machine.snapshot().jails["m"].next_try, None);
}

/// `m` has passed its trial and runs again, on probation.
fn on_probation() -> Rig {
    let mut rig = degraded();
    edited(&mut rig).does("read try(m)");
    tried(&mut rig, sound(2)).ok().ok();
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]))
        .applied();
    rig.sees(answers_as(8, &["a", "m"])).is("healthy");
    rig.does("save undo(m) JailMended read-afresh apply(+m) ChangeApplied");
    rig
}

#[test]
fn probation_ends_for_a_jail_that_somebody_takes_away_and_not_for_one_with_a_fault() {
    let mut rig = on_probation();
    let mut faulty = config(&["a"]).fault("m", true);
    faulty.fingerprint += 1;
    rig.edits(faulty).sees(answers_as(8, &["a", "m"]));
    rig.does("read ChangeRefused");
    assert!(rig.kept.mends["m"].on_probation);
    let mut rig = on_probation();
    rig.edits(config(&["a"])).applied();
    rig.sees(answers_as(8, &["a"]));
    rig.does("read apply(-m) ChangeApplied");
    assert!(rig.kept.mends.is_empty());
}

#[test]
fn a_load_that_the_daemon_could_not_take_is_no_second_death_on_probation() {
    let mut rig = on_probation();
    let dead = with_dead(8, &["a", "m"], &["m"]);
    rig.keeps_seeing(&dead);
    rig.gets(Outcome::Applied(Applied {
        hindered: Some("the database is locked".into()),
        ..Applied::default()
    }));
    rig.does("JailDead apply(*m) ChangeRefused");
    rig.keeps_seeing(&dead).does("apply(*m)");
}

#[test]
fn a_jail_that_is_dead_when_its_probation_is_over_is_disabled_again() {
    let mut rig = on_probation();
    let begin = rig.now;
    while rig.now.since(begin) + secs(25) < Policy::PROBATION {
        rig.sees(answers_as(8, &["a", "m"]));
    }
    let dead = with_dead(8, &["a", "m"], &["m"]);
    rig.keeps_seeing(&dead).pass(secs(10)).applied();
    rig.keeps_seeing(&dead);
    assert!(rig.now.since(begin) > Policy::PROBATION);
    rig.does("JailDead apply(*m) rollback(m)");
}

/// What ended all jails was no fault of the one on probation.
#[test]
fn a_jail_on_probation_that_died_with_all_others_may_die_once_more() {
    let mut rig = on_probation();
    let all = with_dead(8, &["a", "m"], &["a", "m"]);
    rig.keeps_seeing(&all)
        .applied()
        .sees(answers_as(8, &["a", "m"]));
    rig.does("JailDead apply(*a *m) AllClear");
    rig.keeps_seeing(&with_dead(8, &["a", "m"], &["m"]));
    rig.does("JailDead apply(*m)");
}

#[test]
fn a_jail_on_probation_that_died_with_one_of_several_others_may_not() {
    let three = ["a", "m", "n"];
    let mut rig = on_probation();
    rig.edits(config_of_versions(&[("a", 1), ("m", 2), ("n", 1)]));
    rig.applied().sees(answers_as(8, &three));
    rig.does("read apply(+n) ChangeApplied");
    rig.keeps_seeing(&with_dead(8, &three, &["m", "n"]));
    rig.applied().sees(answers_as(8, &three));
    rig.does("JailDead apply(*m *n) AllClear");
    rig.keeps_seeing(&with_dead(8, &three, &["m"]));
    rig.does("rollback(m)");
}

/// That it is the only one says nothing for it.
#[test]
fn the_only_jail_on_probation_may_not_die_once_more() {
    let mut rig = on_probation();
    rig.edits(config_of_versions(&[("m", 2)])).applied();
    rig.sees(answers_as(8, &["m"]))
        .does("read apply(-a) ChangeApplied");
    let dead = with_dead(8, &["m"], &["m"]);
    rig.keeps_seeing(&dead)
        .applied()
        .sees(answers_as(8, &["m"]));
    rig.does("JailDead apply(*m) AllClear");
    rig.keeps_seeing(&dead).does("rollback(m)");
}

/// Else a host of which a jail is mended now and again would have none.
#[test]
fn the_first_config_is_kept_as_good_also_with_a_jail_on_probation() {
    let mut rig = on_probation();
    assert_eq!(rig.machine.good, None);
    let began = rig.now;
    while rig.now.since(began) < Policy::GOOD_AFTER + secs(20) {
        rig.sees(answers_as(8, &["a", "m"]));
    }
    assert!(rig.kept.mends["m"].on_probation);
    assert!(rig.machine.good.is_some());
}
