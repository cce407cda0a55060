//! A database that cannot be written, and one in memory in its place.

use super::*;

fn locked() -> Verdict {
    Verdict {
        culprit: Culprit::Surroundings {
            jail: None,
            database: true,
        },
        evidence: "the database is locked".into(),
    }
}

fn in_memory() -> Reading {
    let mut reading = config(&["a", "m"]);
    reading.in_memory = true;
    reading.fingerprint += 1;
    if let Some(plan) = &mut reading.plan {
        plan.server = 2;
    }
    reading
}

fn writable(pid: u32) -> Sight {
    let mut sight = answers_as(pid, &["a", "m"]);
    sight.health.writable = true;
    sight
}

/// The daemon could not start with its database.
fn down() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.verdict = locked();
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(config(&["a", "m"]));
    rig.does("DaemonDown start read-afresh in-memory");
    rig
}

/// It runs with one in memory, as process 8.
fn run() -> Rig {
    let mut rig = down();
    rig.ok().reads(in_memory()).ok();
    rig.sees(answers_as(8, &["a", "m"]));
    rig.does("InMemory read-afresh start AllClear")
        .is("degraded");
    rig
}

#[test]
fn fail2ban_runs_without_its_database_and_no_jail_is_disabled() {
    let mut rig = run();
    let told = rig.told.iter().find(|r| r.kind == Kind::InMemory).unwrap();
    for words in [
        "the database is locked",
        "Bans of before are not known",
        "rollback undo dbfile",
    ] {
        assert!(told.message.contains(words), "{told}");
    }
    assert_eq!(rig.kept.guesses, Guesses::default(), "it helped");
    assert!(rig.machine.status_line().contains("in memory"));
    rig.sees_for(100, &answers_as(8, &["a", "m"])).does("");
}

#[test]
fn it_goes_back_once_that_can_be_written_between_the_stop_and_the_start() {
    let mut rig = run();
    rig.sees(writable(8)).sees(answers_as(8, &["a", "m"]));
    rig.does("").sees(writable(8)).does("");
    rig.sees(writable(8)).does("Restarting save");
    let told = rig.told.last().unwrap();
    assert!(told.message.contains("which can be written now"), "{told}");
    rig.ok().gets(Outcome::StopAsked(StopAnswer::Agreed));
    rig.does("ask-stop").exits(8).does("undo(dbfile)");
    rig.ok().reads(config(&["a", "m"])).ok();
    rig.sees(answers_as(9, &["a", "m"]));
    rig.does("read-afresh start AllClear").is("healthy");
}

#[test]
fn it_stays_the_longer_the_more_often_it_came_to_that() {
    let mut rig = run();
    rig.keeps_seeing(&writable(8)).does("Restarting save").ok();
    rig.exits(8).ok().reads(config(&["a", "m"]));
    rig.does_not_start().reads(config(&["a", "m"])).ok();
    rig.reads(in_memory()).ok();
    rig.sees(answers_as(9, &["a", "m"]));
    rig.does(
        "ask-stop undo(dbfile) read-afresh start read-afresh in-memory InMemory read-afresh start \
         AllClear",
    );
    rig.sees_for(3, &writable(9)).does("");
    rig.keeps_seeing(&writable(9)).does("Restarting save");
}

#[test]
fn it_does_not_go_back_at_the_cost_of_what_somebody_wants() {
    // A jail that was stopped by hand would run again.
    let mut rig = run();
    let mut held = writable(8);
    if let Daemon::Answers { listed, .. } = &mut held.daemon {
        listed.remove("m");
    }
    rig.sees_for(20, &held).does("JailHeld");

    // A config that waits could keep it from coming back.
    let mut rig = run();
    rig.edits(in_memory().fault("m", true));
    rig.does("read ChangeRefused").sees_for(20, &writable(8));
    rig.does("");
}

#[test]
fn what_is_overruled_or_does_not_help_is_taken_back() {
    let mut rig = down();
    let mut overruled = in_memory();
    overruled.in_memory = false;
    rig.ok().reads(overruled);
    rig.does("InMemory read-afresh RollbackFailed read-afresh");
    rig.verdict = Verdict::default();
    rig.reads(config(&["a", "m"])).does("GaveUp undo(dbfile)");

    let mut rig = down();
    rig.ok().reads(in_memory());
    rig.verdict = Verdict::default();
    rig.does_not_start().reads(in_memory());
    rig.does("InMemory read-afresh start read-afresh GaveUp undo(dbfile)");
    rig.ok().does("RollbackUndone read-afresh");
    let told = rig.told.last().unwrap();
    let words = "keeping the database in memory did not help, so it is taken back";
    assert_eq!(told.message, words);
}

/// A jail that breaks the start beside it is found all the same.
#[test]
fn what_else_keeps_it_from_starting_is_looked_for_anew() {
    let mut rig = down();
    rig.ok().reads(in_memory());
    rig.verdict.culprit = Culprit::Config {
        jail: Some("m".into()),
    };
    rig.does_not_start().reads(in_memory());
    rig.does("InMemory read-afresh start read-afresh rollback(m)");
}

/// With a database that can be used they may be, but not each time anew.
#[test]
fn what_was_of_no_use_before_is_tried_again_once() {
    let mut rig = down();
    let intent = rig.kept.intent.clone().unwrap();
    let mut is_tried_again = || {
        rig.machine.in_vain.jails = set(&["a"]);
        rig.machine.in_vain.files = true;
        rig.machine.note_in_memory(&intent);
        let in_vain = &rig.machine.in_vain;
        assert_eq!(in_vain.jails.is_empty(), !in_vain.files);
        in_vain.jails.is_empty()
    };
    assert_eq!([(); 2].map(|()| is_tried_again()), [true, false]);
}

#[test]
fn a_file_that_cannot_be_written_is_told() {
    let mut rig = down();
    rig.fails("read-only file system");
    rig.does("RollbackFailed GaveUp undo(dbfile)");
    // Nothing was there to be taken back.
    rig.ok().does("read-afresh");
}

/// The daemon cannot be told of another database, and a reload by hand would lose every jail.
#[test]
fn one_whose_file_somebody_removed_is_restarted() {
    let mut rig = run();
    rig.edits(config(&["a", "m"])).does("read");
    rig.sees(answers_as(8, &["a", "m"])).does("Restarting save");
    let told = rig.told.last().unwrap();
    assert!(told.message.contains("somebody removed the file"), "{told}");
    rig.ok().does("ask-stop").exits(8).does("start");
}

/// It was written, or not, before jailwarden was killed.
#[test]
fn a_killed_jailwarden_finds_out_what_came_of_it() {
    let rig = down();
    let memory = rig.kept.clone();
    assert_eq!(memory.intent.as_ref().unwrap().what, What::InMemory);
    let mut rig = Rig::stock(memory.clone(), in_memory(), absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising InMemory DaemonDown start");
    assert!(rig.kept.guesses.in_memory);
    let mut rig = Rig::stock(memory, config(&["a", "m"]), absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising DaemonDown start");
}

/// What else is done does not depend on that.
#[test]
fn one_that_could_not_be_put_into_memory_is_not_looked_for_at_the_next_rung() {
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(changed.clone()).applied();
    rig.sees(answers(&["a", "m"]));
    rig.verdict = Verdict {
        culprit: Culprit::Surroundings {
            jail: Some("m".into()),
            database: true,
        },
        ..locked()
    };
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(changed.clone()).fails("read-only file system");
    rig.does(
        "read apply(+m) ChangeApplied DaemonDown start read-afresh in-memory RollbackFailed \
         rollback(m)",
    );
    rig.ok().reads(changed.rolled_back(&["m"]));
    rig.does("RolledBack read-afresh start");
}

#[test]
fn one_whose_file_somebody_removed_meanwhile_is_restarted() {
    let memory = run().kept.clone();
    let home = config(&["a", "m"]);
    let mut rig = Rig::stock(memory.clone(), home.clone(), answers_as(8, &["a", "m"]));
    rig.does("read-afresh ready Supervising Restarting save");
    // Another process has begun with its file.
    let mut rig = Rig::stock(memory, home, answers_as(9, &["a", "m"]));
    rig.does("read-afresh ready Supervising apply(server)");
}

#[test]
fn it_stays_as_long_as_it_had_to() {
    let before = run();
    assert_eq!(before.kept.in_memory.times, 1);
    let mut memory = Memory {
        age: secs(4),
        ..before.kept.clone()
    };
    memory.in_memory.left = secs(64);
    let mut rig = Rig::stock(memory, in_memory(), writable(8));
    rig.does("read-afresh ready Supervising");
    rig.keeps_seeing(&writable(8)).does("Restarting save");
    assert!(rig.now >= MonoTime::new(secs(60)), "{:?}", rig.now);
}

/// Which file is meant is known only once the config is read.
#[test]
fn that_it_can_be_written_is_not_believed_of_the_first_look() {
    let mut memory = run().kept.clone();
    memory.in_memory.left = Duration::ZERO;
    let mut rig = Rig::stock(memory, in_memory(), writable(8));
    rig.does("read-afresh ready Supervising");
    rig.sees(writable(8)).does("");
    rig.keeps_seeing(&writable(8)).does("Restarting save");
}

#[test]
fn it_does_not_go_back_while_a_jail_is_healed() {
    let mut rig = run();
    let ailment = Ailment {
        words: "it reads no log".into(),
        cure: Some(Cure::Load),
        behind: None,
    };
    let mut blind = answers_as(8, &["a", "m"]);
    blind.health.ailing = Some([("m".to_owned(), ailment)].into());
    rig.sees_for(2, &blind).applied();
    rig.does("JailAiling apply(+m)");
    rig.sees_for(20, &writable(8)).does("");
}

/// It had been stopped for that.
#[test]
fn one_that_cannot_be_put_back_into_its_file_is_told_and_tried_later() {
    let mut rig = run();
    rig.keeps_seeing(&writable(8)).does("Restarting save").ok();
    rig.exits(8).fails("read-only file system");
    rig.does("ask-stop undo(dbfile) RollbackFailed read-afresh");
    let told = rig.told.last().unwrap();
    assert!(
        told.message
            .contains("stays in memory: read-only file system"),
        "{told}"
    );
    rig.reads(in_memory()).ok().sees(answers_as(9, &["a", "m"]));
    rig.does("start AllClear")
        .sees_for(3, &writable(9))
        .does("");
    rig.keeps_seeing(&writable(9)).does("Restarting save");
}

#[test]
fn one_that_was_about_to_be_in_its_file_again_is_started_with_that() {
    let mut rig = run();
    rig.keeps_seeing(&writable(8)).does("Restarting save").ok();
    let memory = rig.kept.clone();
    let mut rig = Rig::stock(memory, in_memory(), gone(Some(unit_failed(0)), false));
    rig.does("read-afresh ready Supervising DaemonDown undo(dbfile)");
}

#[test]
fn why_it_cannot_be_used_is_told_as_far_as_that_is_known() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.verdict = locked();
    rig.verdict.evidence.clear();
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(config(&["a", "m"])).ok();
    rig.does("DaemonDown start read-afresh in-memory InMemory read-afresh");
    let reason = rig.told.last().unwrap().reason.as_deref();
    assert_eq!(reason, Some("the database cannot be used"));
}

#[test]
fn one_in_memory_is_not_put_there_again() {
    let mut rig = run();
    rig.exits(8).sees(absent(unit_failed(255)));
    rig.does_not_start().reads(in_memory());
    rig.does("DaemonDown start read-afresh GaveUp");
}

/// How often it came to that counts for a while after the last time, and not for ever.
#[test]
fn a_database_that_can_be_written_for_long_is_as_any_other() {
    let times = |rig: &Rig| rig.kept.in_memory.times;
    let mut rig = run();
    rig.keeps_seeing(&writable(8)).does("Restarting save").ok();
    rig.exits(8).ok().reads(config(&["a", "m"])).ok();
    let back = answers_as(9, &["a", "m"]);
    rig.sees(back.clone()).is("healthy");
    assert_eq!(times(&rig), 1);
    while rig.now.since(MonoTime::START) < Policy::BUDGET_WINDOW {
        rig.sees(back.clone());
        assert_eq!(times(&rig), 1);
    }
    rig.sees_for(6, &back);
    assert_eq!(times(&rig), 0);
    // As long as it is in memory, it has not ended.
    let mut rig = run();
    rig.sees_for(100, &answers_as(8, &["a", "m"]));
    assert_eq!(times(&rig), 1);
}

/// Whoever restarts fail2ban does not take our file away.
#[test]
fn a_daemon_that_somebody_restarts_has_it_in_memory_as_well() {
    let mut rig = run();
    rig.exits(8).sees(answers_as(9, &["a", "m"]));
    rig.does("BackByHand read-afresh");
    assert!(rig.kept.in_memory.runs);
}
