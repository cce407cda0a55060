//! The account of what went unprotected.

use super::*;

fn unprotected(rig: &Rig) -> Vec<(String, u64)> {
    let all = rig.machine.snapshot().unprotected.into_iter();
    all.map(|(jail, span)| (jail, span.as_secs())).collect()
}

fn of(jail: &str, seconds: u64) -> (String, u64) {
    (jail.to_owned(), seconds)
}

#[test]
fn a_crash_leaves_every_jail_dark_until_it_is_seen_alive() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.pass(secs(5)).exits(7).sees(absent(unit_killed()));
    rig.pass(secs(3).saturating_sub(Policy::FAST_PACE))
        .ok()
        .sees(answers_as(8, &["a"]));
    rig.pass(secs(4)).sees(answers_as(8, &["a", "m"]));
    assert_eq!(unprotected(&rig), [of("a", 3), of("m", 7)]);
    let told = rig.told.last().unwrap();
    assert_eq!(told.kind, Kind::AllClear);
    assert!(
        told.message.contains("meanwhile: m 7.0 s, a 3.0 s"),
        "{told}"
    );
    let mut rig = Rig::stock(rig.kept.clone(), config(&["a", "m"]), answers(&["a", "m"]));
    rig.pass(secs(60));
    assert_eq!(unprotected(&rig), [of("a", 3), of("m", 7)], "kept");
}

#[test]
fn a_hang_is_dark_since_the_last_good_look() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(answers(&["a"])).does("");
    rig.sees(silent(Motion::Frozen)).does("diagnose:7");
    rig.gets(Outcome::Diagnosis(Diagnosis::default())).ok();
    rig.ok().exits(7).pass(secs(2));
    rig.ok().sees(answers_as(8, &["a"]));
    // The look that failed came an interval after the one that did not.
    assert_eq!(unprotected(&rig), [of("a", 12)]);
}

#[test]
fn only_the_dead_jail_is_dark() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.keeps_seeing(&with_dead(7, &["a", "m"], &["m"]));
    rig.pass(secs(1)).applied().sees(answers(&["a", "m"]));
    let told = rig.told.last().unwrap();
    assert_eq!(told.kind, Kind::AllClear);
    let all = unprotected(&rig);
    assert_eq!((all.len(), all[0].0.as_str()), (1, "m"));
}

#[test]
fn what_a_rollback_disables_stays_dark() {
    let faulty = config(&["a", "m"]).fault("m", true);
    let mut rig = Rig::stock(Memory::default(), faulty, absent(unit_failed(255)));
    rig.ok().reads(config(&["a", "m"]).rolled_back(&["m"]));
    rig.ok().sees(answers_as(8, &["a"]));
    rig.gets(Outcome::Lost)
        .pass(secs(100))
        .sees(answers_as(8, &["a"]));
    let all = unprotected(&rig);
    assert_eq!(all[1], of("m", 100));
    assert!(all[0].1 < 5);
}

#[test]
fn nobody_counts_on_what_was_stopped_on_purpose() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(3, &answers(&["m"])).does("JailHeld");
    rig.exits(7).sees(absent(unit_stopped())).is("standby");
    rig.pass(secs(500));
    let before = unprotected(&rig);
    rig.pass(secs(500));
    assert_eq!(unprotected(&rig), before);
}

#[test]
fn what_was_dark_when_jailwarden_ended_goes_on() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_killed()));
    rig.pass(secs(5)).event(Event::Timeout);
    assert_eq!(rig.kept.dark.len(), 2, "on disk since it went dark");

    // It was kept when that began, and jailwarden is back 20 s later.
    let memory = Memory {
        age: secs(20),
        ..rig.kept.clone()
    };
    let mut rig = Rig::stock(memory, config(&["a", "m"]), absent(unit_killed()));
    rig.pass(secs(3).saturating_sub(Policy::FAST_PACE))
        .ok()
        .sees(answers_as(8, &["a", "m"]));
    assert_eq!(unprotected(&rig), [of("a", 23), of("m", 23)]);
    let told = rig.told.last().unwrap().message.clone();
    assert!(told.contains("again after 23.0 s"), "{told}");
    assert!(told.contains("meanwhile: a, m 23.0 s"), "{told}");
    rig.exits(8).sees(absent(unit_killed())).ok();
    rig.pass(secs(2)).sees(answers_as(9, &["a", "m"]));
    let told = rig.told.last().unwrap().message.clone();
    assert!(told.contains("meanwhile: a, m 2.0 s"), "once: {told}");
}

#[test]
fn what_protects_again_when_jailwarden_is_back_was_dark_as_long_as_it_looked() {
    let memory = Memory {
        accepted: config(&["a", "m"]).plan,
        dark: [("a".to_owned(), secs(4))].into(),
        age: secs(1000),
        ..Memory::default()
    };
    let rig = Rig::stock(memory, config(&["a", "m"]), answers(&["a", "m"]));
    assert_eq!(unprotected(&rig), [of("a", 4)]);
    assert!(rig.kept.dark.is_empty());
    assert_eq!(rig.told(Kind::AllClear), 0);
}

#[test]
fn one_that_is_restarted_protects_until_it_has_ended() {
    let mut rig = Rig::healthy(&["a"]);
    let restart = Operator::Do(CommandId(1), Command::Restart);
    rig.event(Event::Operator(restart)).sees(answers(&["a"]));
    rig.ok().pass(secs(4));
    rig.gets(Outcome::StopAsked(StopAnswer::Agreed)).exits(7);
    rig.pass(secs(2).saturating_sub(Policy::FAST_PACE));
    rig.ok().sees(answers_as(8, &["a"]));
    assert_eq!(unprotected(&rig), [of("a", 2)]);
}

#[test]
fn what_is_not_known_when_jailwarden_is_back_is_counted_once_it_is() {
    let memory = Memory {
        accepted: config(&["a"]).plan,
        dark: [("a".to_owned(), secs(4)), ("old".to_owned(), secs(4))].into(),
        age: secs(20),
        ..Memory::default()
    };
    let mut rig = Rig::stock(memory, config(&["a"]), silent(Motion::Progressing));
    assert_eq!(
        unprotected(&rig),
        [of("old", 4)],
        "nobody wants it any more"
    );
    rig.pass(secs(5)).exits(7).sees(absent(unit_killed())).ok();
    rig.sees(answers_as(8, &["a"]));
    assert_eq!(unprotected(&rig)[0], of("a", 29));
}

#[test]
fn each_incident_has_its_own_account() {
    let lost = |incident: &IncidentView| {
        let lost = incident.unprotected.iter();
        let lost = lost.map(|(jail, span)| of(jail, span.as_secs()));
        lost.collect::<Vec<_>>()
    };
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_killed()));
    rig.pass(secs(3)).ok().sees(answers_as(8, &["a"]));
    let first = rig.machine.snapshot().incident.unwrap();
    assert_eq!(lost(&first), [of("a", 3), of("m", 3)]);
    rig.sees(absent(unit_stopped())).is("standby");
    assert_eq!(rig.machine.snapshot().incident, None);
    let ended = rig.ended.pop().unwrap();
    assert_eq!(
        (&ended.id, ended.ended),
        (&first.id, Some((End::StoodBy, rig.now)))
    );
    assert_eq!(lost(&ended), [of("a", 3), of("m", 3)]);
    rig.sees(answers_as(9, &["a", "m"]));
    rig.reads(config(&["a", "m"]));
    rig.exits(9).sees(absent(unit_killed()));
    rig.pass(secs(2)).ok().sees(answers_as(10, &["a", "m"]));
    let ended = rig.ended.pop().unwrap();
    assert_ne!(ended.id, first.id);
    assert_eq!(lost(&ended), [of("a", 2), of("m", 2)]);
}

#[test]
fn an_incident_began_with_its_first_sign() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Progressing));
    let first = rig.now;
    rig.keeps_seeing(&silent(Motion::Progressing));
    rig.does("DaemonHung");
    let incident = rig.machine.snapshot().incident.unwrap();
    assert_eq!(incident.since, first);
}
