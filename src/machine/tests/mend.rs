//! Jails that a rollback disables, on their way back.

use super::*;

/// `m` is disabled by a rollback; the other jails run.
pub(super) fn degraded() -> Rig {
    let faulty = config(&["a", "m"]).fault("m", true);
    let mut rig = Rig::stock(Memory::default(), faulty, absent(unit_failed(255)));
    rig.ok();
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]));
    rig.ok().sees(answers_as(8, &["a"])).is("mending");
    rig.does(
        "read-afresh ready Supervising ChangeRefused DaemonDown rollback(m) RolledBack read-afresh \
         start AllClear try(m)",
    );
    tried(&mut rig, Trial::Faulty(finding(Some("m"), true)))
        .does("")
        .is("degraded");
    rig
}

/// The config on disk is another one, with the rollback still there.
pub(super) fn edited(rig: &mut Rig) -> &mut Rig {
    let mut reading = config(&["a", "m"]).rolled_back(&["m"]);
    reading.fingerprint += u128::from(rig.machine.last_id);
    rig.edits(reading)
}

pub(super) fn tried(rig: &mut Rig, trial: Trial) -> &mut Rig {
    rig.gets(Outcome::Tried(Ok([("m".to_owned(), trial)].into())))
}

pub(super) fn sound(digest: u128) -> Trial {
    Trial::Sound { digest }
}

/// All is well until a trial begins.
#[track_caller]
pub(super) fn waits(rig: &mut Rig) -> &mut Rig {
    for _ in 0..5_000 {
        if matches!(rig.machine.state, State::Mending(_)) {
            return rig;
        }
        if rig.machine.look.is_some() {
            rig.sees(answers_as(8, &["a"]));
        } else {
            rig.next_deadline();
        }
    }
    panic!("no trial in {:?}", rig.machine.state);
}

/// Once: what can never be tried costs no run of Python each half minute.
#[test]
fn a_change_that_could_not_be_tried_is_tried_again_soon() {
    let mut rig = degraded();
    edited(&mut rig).does("read try(m)").is("mending");
    let began = rig.now;
    tried(&mut rig, Trial::Unknown("no answer within 15 s".into())).does("");
    waits(&mut rig).does("try(m)");
    assert_eq!(rig.now.since(began), Policy::MEND_AGAIN);
    tried(&mut rig, Trial::Unknown("no answer within 15 s".into())).does("");
    waits(&mut rig).does("try(m)");
    assert!(rig.now.since(began) > Policy::MEND_START);
}

#[test]
fn a_change_that_mends_it_brings_it_back_alone() {
    let mut rig = degraded();
    edited(&mut rig).does("read try(m)").is("mending");
    tried(&mut rig, sound(2)).does("save");
    assert!(
        rig.kept.mends["m"].on_probation,
        "on disk before the removal"
    );
    rig.ok().does("undo(m)").ok().does("JailMended read-afresh");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]))
        .does("apply(+m)");
    rig.applied().sees(answers_as(8, &["a", "m"]));
    rig.does("ChangeApplied").is("healthy");
    for _ in 0..80 {
        rig.sees(answers_as(8, &["a", "m"]));
    }
    rig.does("");
    assert!(rig.kept.mends.is_empty(), "it counts as any other now");
}

#[test]
fn a_change_that_does_not_mend_it_is_told_once() {
    let mut rig = degraded();
    edited(&mut rig).does("read try(m)");
    let still = Trial::Faulty(finding(Some("m"), true));
    tried(&mut rig, still.clone())
        .does("ChangeRefused")
        .is("degraded");
    edited(&mut rig).does("read try(m)");
    tried(&mut rig, still).does("").is("degraded");
}

/// Rounded: the first wait has begun with the start, and not with the look that found it back.
pub(super) fn minutes(time: Duration) -> u64 {
    (time.as_secs() + 30) / 60
}

#[test]
fn it_is_tried_ever_more_rarely() {
    let mut rig = degraded();
    let mut last = rig.now;
    let mut gaps = Vec::new();
    for _ in 0..8 {
        waits(&mut rig).does("try(m)");
        gaps.push(minutes(rig.now.since(last)));
        last = rig.now;
        tried(&mut rig, Trial::Faulty(finding(Some("m"), true))).does("");
    }
    assert_eq!(gaps, [10, 20, 40, 80, 160, 320, 360, 360]);
}

#[test]
fn a_trial_that_cannot_be_made_changes_nothing() {
    let mut rig = degraded();
    edited(&mut rig).does("read try(m)");
    rig.gets(Outcome::Tried(Err("no Python".into())))
        .does("")
        .is("degraded");
    edited(&mut rig).does("read try(m)");
    rig.gets(Outcome::Lost).does("").is("degraded");
}

#[test]
fn a_jail_that_is_no_longer_wanted_needs_no_rollback() {
    let mut rig = degraded();
    edited(&mut rig).does("read try(m)");
    tried(&mut rig, Trial::Gone).does("save").ok();
    rig.does("undo(m)").ok().does("RollbackUndone read-afresh");
    let told = rig.told.last().unwrap().message.clone();
    assert!(
        told.contains("m is not enabled in the config any more"),
        "{told}"
    );
    rig.reads(config(&["a"])).does("");
    rig.sees_for(500, &answers_as(8, &["a"])).does("");
}

#[test]
fn a_daemon_that_dies_during_a_trial_is_started_at_once() {
    let mut rig = degraded();
    edited(&mut rig).does("read try(m)");
    rig.exits(8).sees(absent(unit_killed()));
    rig.does("DaemonDown start");
    rig.ok().sees(answers_as(9, &["a"]));
    rig.does("AllClear try(m)");
}

#[test]
fn a_daemon_that_dies_while_a_rollback_is_removed_is_looked_at_next() {
    let mut rig = degraded();
    edited(&mut rig).does("read try(m)");
    tried(&mut rig, sound(2)).does("save").ok().does("undo(m)");
    rig.exits(8).ok().does("JailMended read-afresh");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    assert!(rig.machine.look.is_some(), "not only after an interval");
}

#[test]
fn a_change_during_a_mend_counts_for_the_other_jails() {
    let both = config(&["a", "m", "n"]);
    let faulty = both.clone().fault("m", true).fault("n", true);
    let mut rig = Rig::stock(Memory::default(), faulty, absent(unit_failed(255)));
    rig.ok().reads(both.clone().rolled_back(&["m", "n"]));
    rig.ok().sees(answers_as(8, &["a"])).is("mending");
    let trial = |of_m: Trial| {
        let of_n = Trial::Faulty(finding(Some("n"), true));
        Outcome::Tried(Ok([("m".to_owned(), of_m), ("n".to_owned(), of_n)].into()))
    };
    rig.gets(trial(Trial::Faulty(finding(Some("m"), true))));
    let mut reading = both.rolled_back(&["m", "n"]);
    reading.fingerprint += 1;
    rig.edits(reading).is("mending");
    rig.touched().gets(trial(sound(2))).ok().ok();
    rig.reads(config_of_versions(&[("a", 1), ("m", 2), ("n", 2)]).rolled_back(&["n"]));
    rig.applied().does(
        "read-afresh ready Supervising ChangeRefused DaemonDown rollback(m n) RolledBack \
         read-afresh start AllClear try(m n) read try(m n) ChangeRefused save undo(m) JailMended \
         read-afresh apply(+m)",
    );
    rig.sees(answers_as(8, &["a", "m"]));
    rig.does("ChangeApplied try(n)");
}

#[test]
fn of_two_rollbacks_one_may_be_removed_and_the_other_not() {
    let both = config(&["a", "m", "n"]);
    let faulty = both.clone().fault("m", true).fault("n", true);
    let mut rig = Rig::stock(Memory::default(), faulty, absent(unit_failed(255)));
    rig.ok().reads(both.clone().rolled_back(&["m", "n"]));
    rig.ok().sees(answers_as(8, &["a"])).is("mending");
    let each = |trial: Trial| {
        let jails = ["m", "n"].map(|jail| (jail.to_owned(), trial.clone()));
        Outcome::Tried(Ok(jails.into()))
    };
    rig.gets(each(Trial::Faulty(finding(None, true))));
    let mut reading = both.rolled_back(&["m", "n"]);
    reading.fingerprint += 1;
    rig.edits(reading);
    rig.gets(each(sound(2))).ok().fails("no room for it");
    rig.does(
        "read-afresh ready Supervising ChangeRefused DaemonDown rollback(m n) RolledBack \
         read-afresh start AllClear try(m n) read try(m n) save undo(m n) RollbackFailed read-afresh",
    );
    let told = rig.told.last().unwrap().message.clone();
    assert!(told.contains("jailwarden rollback undo m n"), "{told}");

    // The one that was removed is on probation as any mended jail.
    rig.reads(config_of_versions(&[("a", 1), ("m", 2), ("n", 2)]).rolled_back(&["n"]));
    rig.does("JailMended apply(+m)").applied();
    assert_eq!(rig.told.last().unwrap().jails, ["m"]);
    rig.sees(answers_as(8, &["a", "m"])).does("ChangeApplied");
    let on_probation = |jail| rig.kept.mends[jail].on_probation;
    assert!(on_probation("m") && !on_probation("n"));
}

#[test]
fn a_change_that_is_read_before_a_start_is_tried_after_it() {
    let mut rig = degraded();
    rig.touched().exits(8).sees(absent(unit_failed(255)));
    let mut mended = config(&["a", "m"]).rolled_back(&["m"]);
    mended.fingerprint += 1;
    rig.reads(mended).ok().sees(answers_as(9, &["a"]));
    rig.does("DaemonDown read start AllClear try(m)");
}

/// When something is due although a look is under way, so that none wakes the machine.
#[track_caller]
fn wakes_by_itself(rig: &mut Rig) -> MonoTime {
    while rig.machine.look.is_none() {
        rig.next_deadline();
    }
    rig.machine.poll_timeout().expect("a deadline")
}

#[test]
fn the_next_try_is_shown_and_made_even_if_no_look_comes_back() {
    let mut rig = degraded();
    let due = wakes_by_itself(&mut rig);
    let next_try = |rig: &Rig| rig.machine.snapshot().jails["m"].next_try;
    assert_eq!(next_try(&rig), Some(due));
    assert!(due > rig.now, "it waits");
    rig.now = due;
    rig.event(Event::Timeout).does("try(m)");

    // One that runs again is tried no more, and is called mended in time.
    tried(&mut rig, sound(2)).ok().ok();
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.applied().sees(answers_as(8, &["a", "m"])).is("healthy");
    assert_eq!(next_try(&rig), None);
    let runs = rig.now;
    rig.sees_for(20, &answers_as(8, &["a", "m"]));
    assert_eq!(wakes_by_itself(&mut rig), runs + Policy::PROBATION);
}
