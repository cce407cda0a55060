//! What jailwarden had begun when it was killed: it was done, or it is decided afresh.

use super::*;

pub(super) fn changed() -> Reading {
    config_of_versions(&[("a", 1), ("m", 2)])
}

/// `m` changed, the daemon died and does not start; the last changed jail is about to be disabled.
pub(super) fn about_to_disable() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(changed()).applied().sees(answers(&["a", "m"]));
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(changed());
    rig.does("read apply(+m) ChangeApplied DaemonDown start read-afresh rollback(m)");
    rig
}

#[test]
fn a_rollback_whose_outcome_never_came_is_told_and_taken_back_if_it_does_not_help() {
    let rig = about_to_disable();
    let on_disk = changed().rolled_back(&["m"]);
    let mut rig = Rig::stock(rig.killed(), on_disk.clone(), absent(unit_failed(255)));
    rig.does("find-rollbacks read-afresh ready Supervising RolledBack DaemonDown start");
    let told = rig
        .told
        .iter()
        .find(|r| r.kind == Kind::RolledBack)
        .unwrap();
    assert!(told.message.contains("was the last to change"), "{told}");
    assert_eq!(
        rig.kept.mends["m"].failed,
        Some(2),
        "with these commands it failed"
    );
    assert_eq!(rig.kept.intent, None);
    rig.does_not_start().reads(on_disk);
    rig.does("read-afresh GaveUp undo(m)");
    rig.ok().does("RollbackUndone read-afresh").reads(changed());
    assert_eq!(rig.kept.guesses, Guesses::default());
}

#[test]
fn a_rollback_that_was_not_begun_is_decided_afresh() {
    let rig = about_to_disable();
    let mut rig = Rig::stock(rig.killed(), changed(), absent(unit_failed(255)));
    rig.does("find-rollbacks read-afresh ready Supervising DaemonDown start");
    assert_eq!(rig.kept.intent, None);
    rig.does_not_start().reads(changed());
    rig.does("read-afresh rollback(m)");
}

#[test]
fn a_rollback_that_cannot_be_seen_is_taken_back_all_the_same() {
    let rig = about_to_disable();
    let mut rig = Rig::with(rig.killed());
    rig.reads_as(ConfigRead::Failed("no Python".into()));
    rig.gets(Outcome::Rollbacks(Err("permission denied".into())));
    rig.sees(absent(unit_failed(255)));
    let told = rig
        .told
        .iter()
        .find(|r| r.kind == Kind::RollbackFailed)
        .unwrap();
    assert!(
        told.message
            .contains("permission denied. `jailwarden rollback list`"),
        "{told}"
    );
    assert_eq!(told.jails, ["m"]);
    assert_eq!(rig.kept.guesses.jails, set(&["m"]));
}

#[test]
fn a_rollback_is_seen_though_the_config_cannot_be_read() {
    let rig = about_to_disable();
    let mut rig = Rig::with(rig.killed());
    rig.reads_as(ConfigRead::Failed("no Python".into()));
    rig.finds(&set(&["m"])).sees(absent(unit_failed(255)));
    rig.does("find-rollbacks read-afresh ready Supervising RolledBack DaemonDown read-afresh");
    let jails = rig.machine.snapshot().jails;
    assert_eq!(jails["m"].condition, Condition::RolledBack);
    assert_eq!(rig.kept.guesses.jails, set(&["m"]), "it was a guess");
    rig.reads(changed().rolled_back(&["m"])).does("start");
    assert_eq!(rig.kept.intent, None);
}

/// What was read is seen later than what was searched for.
#[test]
fn a_rollback_that_somebody_has_removed_meanwhile_does_not_stand() {
    let rig = about_to_disable();
    let mut rig = Rig::with(rig.killed());
    rig.finds(&set(&["m"])).reads(changed());
    rig.sees(absent(unit_failed(255)));
    rig.does("find-rollbacks read-afresh ready Supervising DaemonDown start");
}

#[test]
fn of_two_that_were_to_be_disabled_the_one_is_known_that_is() {
    let intent = about_to_disable().kept.intent.map(|intent| Intent {
        what: What::Disable(vec!["a".into(), "m".into()]),
        ..intent
    });
    let mut rig = Rig::with(Memory {
        intent,
        ..about_to_disable().killed()
    });
    rig.reads_as(ConfigRead::Failed("no Python".into()));
    rig.finds(&set(&["m"])).sees(absent(unit_failed(255)));
    rig.does("find-rollbacks read-afresh ready Supervising RolledBack DaemonDown read-afresh");
    let told = rig
        .told
        .iter()
        .find(|r| r.kind == Kind::RolledBack)
        .unwrap();
    assert_eq!(told.jails, ["m"]);
    assert_eq!(rig.kept.guesses.jails, set(&["m"]));
}

/// What was found out to be in vain is not done again after a kill.
#[test]
fn what_did_not_help_is_not_done_twice() {
    let mut rig = about_to_disable();
    let on_disk = changed().rolled_back(&["m"]);
    rig.ok().reads(on_disk.clone()).does_not_start();
    rig.does("RolledBack read-afresh start GaveUp undo(m)");
    for on_disk in [on_disk, changed()] {
        let mut rig = Rig::stock(rig.killed(), on_disk, absent(unit_failed(255)));
        rig.does("read-afresh ready Supervising GaveUp undo(m)");
    }
    rig.ok().reads(changed());
    let mut rig = Rig::stock(rig.killed(), changed(), absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising GaveUp");
    rig.keeps_seeing(&absent(unit_failed(255))).does_not_start();
    rig.reads(changed());
    rig.does("Restarting start read-afresh GaveUp");
    // Another config has its own chances.
    let other = config_of_versions(&[("a", 1), ("m", 3)]);
    let mut rig = Rig::stock(rig.killed(), other.clone(), absent(unit_failed(255)));
    rig.does_not_start().reads(other);
    rig.does("read-afresh ready Supervising DaemonDown start read-afresh rollback(m)");
}

fn broken() -> Reading {
    config(&["a", "m"]).unreadable()
}

/// A file does not parse, the daemon died, and the last good content is about to be put back.
fn about_to_put_back() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(7, &answers(&["a", "m"]));
    rig.edits(broken());
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("read ChangeRefused DaemonDown put-back(x.conf)");
    rig
}

fn set_aside(name: &str) -> PutBack {
    PutBack {
        files: vec!["/etc/fail2ban/jail.d/x.conf".into()],
        replaced: Some(name.into()),
        folder: false,
    }
}

fn found(rig: &mut Rig, found: PutBack) -> &mut Rig {
    let at = rig
        .asked
        .iter()
        .position(|(_, e)| matches!(e, Effect::FindPutBack { .. }));
    let (id, _) = rig.asked.remove(at.expect("a search"));
    rig.event(done(id, Outcome::PutBack(Ok(found))))
}

#[test]
fn files_that_were_put_back_before_a_kill_are_told() {
    let rig = about_to_put_back();
    let mut rig = Rig::with(rig.killed());
    rig.reads(config(&["a", "m"]))
        .sees(absent(unit_failed(255)));
    rig.does("find-put-back read-afresh ready");
    found(&mut rig, set_aside("2026-1")).does("Supervising FilesPutBack DaemonDown start");
    let told = rig
        .told
        .iter()
        .find(|r| r.kind == Kind::FilesPutBack)
        .unwrap();
    assert!(told.message.contains("jailwarden restore 2026-1"), "{told}");
    assert_eq!(rig.kept.intent, None);
    assert_eq!(
        rig.kept.guesses,
        Guesses::default(),
        "a finding blamed them"
    );
}

#[test]
fn files_that_were_put_back_in_vain_before_a_kill_are_taken_back() {
    let rig = about_to_put_back();
    let mut rig = Rig::with(rig.killed());
    found(&mut rig, set_aside("2026-1"));
    rig.reads(broken()).sees(absent(unit_failed(255)));
    assert_eq!(rig.kept.guesses.replaced, ["2026-1"]);
    rig.does(
        "find-put-back read-afresh ready Supervising FilesPutBack DaemonDown put-back(x.conf)",
    );
    rig.gets(Outcome::PutBack(Ok(PutBack::default())));
    rig.gets(Outcome::PutBack(Ok(PutBack::default())))
        .does_not_start();
    rig.reads(broken())
        .does("put-back() start read-afresh GaveUp undo(2026-1)");
}

#[test]
fn a_put_back_that_was_not_begun_is_decided_afresh() {
    let rig = about_to_put_back();
    for older in [PutBack::default(), set_aside("2025-1")] {
        let memory = Memory {
            put_back: Some("2025-1".into()),
            ..rig.killed()
        };
        let mut rig = Rig::with(memory);
        found(&mut rig, older);
        rig.reads(broken()).sees(absent(unit_failed(255)));
        rig.does("find-put-back read-afresh ready Supervising DaemonDown put-back(x.conf)");
    }
}

#[test]
fn a_put_back_that_cannot_be_found_out_is_told() {
    let rig = about_to_put_back();
    let mut rig = Rig::with(rig.killed());
    rig.gets(Outcome::Config(ConfigRead::Read(
        config(&["a", "m"]).into(),
    )));
    rig.gets(Outcome::PutBack(Err("no room".into())));
    rig.sees(answers(&["a", "m"]));
    rig.does("find-put-back read-afresh RollbackFailed ready Supervising")
        .is("healthy");
    assert_eq!(rig.kept.intent, None);
}

#[test]
fn files_of_a_put_back_that_failed_half_way_are_told_and_taken_back() {
    let mut rig = about_to_put_back();
    rig.gets(Outcome::HalfPutBack(set_aside("2026-1"), "no room".into()));
    rig.does("RollbackFailed FilesPutBack read-afresh");
    rig.reads(broken());
    assert_eq!(rig.kept.guesses.replaced, ["2026-1"]);
}

/// A guess that a put-back finishes under the same name is one guess.
#[test]
fn what_is_put_back_twice_under_one_name_is_taken_back_once() {
    let mut rig = about_to_put_back();
    rig.gets(Outcome::HalfPutBack(set_aside("2026-1"), "no room".into()));
    rig.reads(broken())
        .gets(Outcome::PutBack(Ok(set_aside("2026-1"))));
    rig.reads(broken());
    assert_eq!(rig.kept.guesses.replaced, ["2026-1"]);
}

fn mend(flaps: u32, on_probation: bool) -> Mend {
    Mend {
        tries: 2,
        flaps,
        failed: Some(1),
        on_probation,
        ..Mend::default()
    }
}

fn with_mend(mend: Mend) -> Memory {
    Memory {
        accepted: config(&["a"]).plan,
        mends: [("m".to_owned(), mend)].into(),
        ..Memory::default()
    }
}

fn tried(rig: &mut Rig) -> &mut Rig {
    if !matches!(rig.machine.state, State::Mending(_)) {
        rig.next_deadline();
    }
    let sound = Trial::Sound { digest: 1 };
    rig.gets(Outcome::Tried(Ok([("m".to_owned(), sound)].into())))
}

/// The daemon refused `m`, which is on probation and about to be disabled again.
pub(super) fn about_to_disable_again() -> Rig {
    let both = config(&["a", "m"]);
    let mut rig = Rig::stock(with_mend(mend(1, true)), both, answers(&["a"]));
    rig.gets(Outcome::Applied(Applied {
        refused: vec![("m".into(), "no such thing".into())],
        ..Applied::default()
    }));
    rig.applied().sees(answers(&["a"]));
    rig.does("read-afresh ready Supervising apply(+m) ChangeRefused apply(-m) rollback(m)");
    rig
}

#[test]
fn a_flap_whose_outcome_never_came_is_counted() {
    let rig = about_to_disable_again();
    let on_disk = config(&["a", "m"]).rolled_back(&["m"]);
    let mut rig = Rig::stock(rig.killed(), on_disk, answers(&["a"]));
    rig.does("find-rollbacks read-afresh ready Supervising RolledBack try(m)");
    assert_eq!(
        rig.kept.mends["m"],
        Mend {
            tries: 3,
            ..mend(2, false)
        }
    );
    tried(&mut rig).does("").is("degraded");
}

/// What the daemon refused is not sent to it once more.
#[test]
fn a_flap_that_was_not_begun_is_begun() {
    let rig = about_to_disable_again();
    let mut rig = Rig::stock(rig.killed(), config(&["a", "m"]), answers(&["a"]));
    assert_eq!(rig.kept.mends["m"], mend(1, true));
    rig.does("find-rollbacks read-afresh ready Supervising rollback(m)");
}

/// It had passed its trial: the kill is no reason to wait until the clock tries it again.
#[test]
fn a_rollback_that_was_about_to_be_removed_is_removed() {
    let on_disk = config(&["a", "m"]).rolled_back(&["m"]);
    let mut rig = Rig::stock(with_mend(mend(0, true)), on_disk, answers(&["a"]));
    tried(&mut rig).does("read-afresh ready Supervising try(m) save");
    rig.ok().does("undo(m)");
}

/// What mended it is not forgotten: the config is another one than at the last trial.
#[test]
fn a_mend_that_was_about_to_be_tried_is_tried() {
    let before = config(&["a", "m"]).rolled_back(&["m"]);
    let unknown = Mend {
        failed: None,
        ..mend(0, false)
    };
    let mut rig = Rig::stock(with_mend(unknown), before.clone(), answers(&["a"]));
    rig.next_deadline();
    let still = Trial::Faulty(finding(Some("m"), true));
    rig.gets(Outcome::Tried(Ok([("m".to_owned(), still)].into())));
    rig.does("read-afresh ready Supervising try(m)");
    assert_eq!(rig.kept.mends["m"].tried, Some(before.fingerprint));
    let mut rig = Rig::stock(rig.killed(), before.clone(), answers(&["a"]));
    tried(&mut rig).does("read-afresh ready Supervising try(m)");
    let mut after = before;
    after.fingerprint += 1;
    let mut rig = Rig::stock(rig.killed(), after, answers(&["a"]));
    tried(&mut rig).does("read-afresh ready Supervising try(m) save");
}

#[test]
fn why_what_was_begun_cannot_be_found_out_is_told() {
    let rig = about_to_put_back();
    let mut rig = Rig::with(rig.killed());
    rig.reads(config(&["a", "m"]));
    rig.gets(Outcome::PutBack(Err("no room".into())));
    let told = &rig.told.last().unwrap().message;
    assert!(told.contains("no room"), "{told}");
    let intent = about_to_disable().kept.intent.map(|intent| Intent {
        what: What::Aside,
        ..intent
    });
    let mut rig = Rig::with(Memory {
        intent,
        ..Memory::default()
    });
    rig.reads(config(&["a", "m"]));
    rig.gets(Outcome::Aside(Err("read-only file system".into())));
    let told = &rig.told.last().unwrap().message;
    assert!(
        told.contains("could not be moved aside: read-only file system"),
        "{told}"
    );
}

/// Whichever of the first look and the first reading comes first.
#[test]
fn how_often_a_jail_failed_in_life_outlives_jailwarden() {
    let on_disk = config(&["a", "m"]).rolled_back(&["m"]);
    let mut rig = Rig::stock(with_mend(mend(2, false)), on_disk.clone(), answers(&["a"]));
    assert_eq!(rig.kept.mends["m"].flaps, 2);
    tried(&mut rig).does("read-afresh ready Supervising try(m)");
    let mut rig = Rig::with(with_mend(mend(2, false)));
    rig.sees(answers(&["a"])).reads(on_disk);
    assert_eq!(rig.kept.mends["m"].flaps, 2);
    tried(&mut rig).does("read-afresh ready Supervising try(m)");
}
