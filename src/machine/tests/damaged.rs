//! A database that is damaged, in a daemon that runs and in one that does not start.

use super::*;

const KEPT: &str = "/var/lib/fail2ban/fail2ban.sqlite3.damaged-20261126T170000Z";

fn changed() -> Reading {
    config_of_versions(&[("a", 1), ("m", 2)])
}

fn damaged(refused: &[&str]) -> Outcome {
    let refused = refused
        .iter()
        .map(|jail| ((*jail).to_owned(), "malformed".to_owned()));
    Outcome::Applied(Applied {
        refused: refused.collect(),
        hindered: Some("the database is damaged".into()),
        damaged: true,
        ..Applied::default()
    })
}

fn moved() -> Outcome {
    Outcome::Aside(Ok(Some(KEPT.into())))
}

/// It is told of a change that it cannot take.
fn hindered() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(changed()).gets(damaged(&[]));
    rig.does("read apply(+m) ChangeRefused");
    rig
}

/// It is told of a change, and another one that waits is faulty.
fn faulty_and_hindered() -> Rig {
    let mut rig = Rig::healthy(&["a", "m", "z"]);
    let faulty = config_of_versions(&[("a", 1), ("m", 2), ("z", 1)]).fault("z", true);
    rig.edits(faulty).gets(damaged(&[]));
    rig.does("read ChangeRefused apply(+m) ChangeRefused");
    rig
}

fn masked(sight: Sight) -> Sight {
    let unit = Unit {
        load: "masked".into(),
        ..unit(ActiveState::Active, "success", ExitKind::None, 0)
    };
    Sight {
        unit: Some(unit),
        ..sight
    }
}

#[test]
fn it_is_moved_aside_between_the_stop_and_the_start_and_no_jail_is_to_blame() {
    let mut rig = hindered();
    rig.sees(answers(&["a", "m"])).reads(changed()).ok();
    rig.does("DatabaseDamaged read-afresh save TERM:7").exits(7);
    rig.does("aside").gets(moved());
    rig.does("DatabaseDamaged start");
    let told = &rig.told.last().unwrap();
    assert_eq!(told.file.as_deref(), Some(KEPT.as_ref()));
    assert!(told.message.contains("kept as"), "{told}");
    assert_eq!(told.reason.as_deref(), Some("the database is damaged"));
    rig.ok().sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear").is("healthy");
}

/// It is the jail that was sent to it that it lost.
#[test]
fn a_jail_that_was_lost_to_it_is_there_again_after_the_restart() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(changed()).gets(damaged(&["m"]));
    rig.does("read apply(+m) ChangeRefused");
    rig.sees(answers(&["a"])).reads(changed()).ok().exits(7);
    rig.does("DatabaseDamaged read-afresh save TERM:7 aside");
    rig.gets(moved()).ok().sees(answers_as(8, &["a", "m"]));
    rig.does("DatabaseDamaged start AllClear").is("healthy");
}

#[test]
fn it_is_not_restarted_for_it_at_the_cost_of_a_jail() {
    // A faulty change waits.
    for left in [&["a", "m", "z"][..], &["a", "z"]] {
        faulty_and_hindered().sees(answers(left)).does("");
    }
    // It could not be started again.
    hindered().sees(masked(answers(&["a", "m"]))).does("");
}

/// Nothing is lost by it then.
#[test]
fn one_that_has_lost_all_its_jails_is_restarted_if_it_can_be_started_again() {
    let mut rig = faulty_and_hindered();
    rig.sees(answers(&[])).does("DatabaseDamaged read-afresh");
    faulty_and_hindered().sees(masked(answers(&[]))).does("");
}

#[test]
fn one_with_which_it_does_not_start_gives_way_and_no_jail_is_disabled() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.verdict.culprit = Culprit::Damaged;
    rig.verdict.evidence = "file is not a database".into();
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(config(&["a", "m"]));
    rig.does("DaemonDown start read-afresh aside").gets(moved());
    let told = rig.told.last().unwrap();
    assert_eq!(told.reason.as_deref(), Some("file is not a database"));
    rig.ok().sees(answers_as(8, &["a", "m"]));
    rig.does("DatabaseDamaged start AllClear").is("healthy");
}

#[test]
fn one_that_cannot_be_moved_is_done_without() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.verdict.culprit = Culprit::Damaged;
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(config(&["a", "m"]));
    rig.gets(Outcome::Aside(Err("read-only file system".into())));
    rig.does("DaemonDown start read-afresh aside RollbackFailed in-memory");

    // A daemon that was restarted for it is started all the same.
    let mut rig = hindered();
    rig.sees(answers(&["a", "m"]))
        .reads(changed())
        .ok()
        .exits(7);
    rig.gets(Outcome::Aside(Err("read-only file system".into())));
    rig.does("DatabaseDamaged read-afresh save TERM:7 aside RollbackFailed start");
}

#[test]
fn a_killed_jailwarden_finds_out_whether_it_was_moved() {
    let mut rig = hindered();
    rig.sees(answers(&["a", "m"]))
        .reads(changed())
        .ok()
        .exits(7);
    rig.does("DatabaseDamaged read-afresh save TERM:7 aside");
    let memory = rig.kept.clone();
    assert_eq!(memory.intent.as_ref().unwrap().what, What::Aside);
    for found in [Some(KEPT.into()), None] {
        let mut rig = Rig::with(memory.clone());
        let told = if found.is_some() {
            "DatabaseDamaged "
        } else {
            ""
        };
        rig.reads(changed()).gets(Outcome::Aside(Ok(found)));
        rig.sees(gone(Some(unit_failed(0)), false));
        rig.does(&format!(
            "find-aside read-afresh ready Supervising {told}DaemonDown start"
        ));
    }
}

/// Found by the fuzzer: each two seconds.
#[test]
fn a_dead_jail_is_loaded_again_no_faster_than_a_change_where_a_restart_is_barred() {
    let mut dead = with_dead(7, &["a", "m"], &["m"]);
    dead.packages = true;
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(3, &dead).gets(damaged(&["m"]));
    let began = rig.machine.now;
    rig.does("JailDead apply(*m) ChangeRefused");
    rig.sees_for(3, &dead).does("read-afresh");
    assert!(rig.machine.now.since(began) >= secs(9));
}
