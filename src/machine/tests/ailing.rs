//! Jails that are alive and see or do nothing.

use super::*;

fn ailing(words: &str, cure: Option<Cure>) -> Sight {
    let words = words.to_owned();
    let behind = None;
    let ailment = Ailment {
        words,
        cure,
        behind,
    };
    with_health([("m".to_owned(), ailment)].into())
}

fn well() -> Sight {
    with_health(std::collections::BTreeMap::new())
}

fn with_health(ailing: std::collections::BTreeMap<String, Ailment>) -> Sight {
    Sight {
        health: Health {
            ailing: Some(ailing),
            ..Health::default()
        },
        ..answers(&["a", "m"])
    }
}

#[test]
fn a_blind_jail_is_loaded_again_alone_once_it_lasts() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let blind = ailing("it reads no log", Some(Cure::Load));
    rig.sees(blind.clone()).does("").is("healthy");
    rig.sees(blind).does("JailAiling apply(+m)");
    rig.applied().sees(answers(&["a", "m"])).does("");
    // Only a look at that very thing says that it is well.
    rig.sees(answers(&["a", "m"])).does("");
    rig.sees(well()).does("AllClear").is("healthy");
    let lost = rig.machine.snapshot().unprotected;
    assert_eq!(lost.keys().collect::<Vec<_>>(), ["m"]);
}

#[test]
fn what_does_not_help_ends_with_a_restart_and_then_with_words() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let blind = ailing("it reads no log", Some(Cure::Load));
    rig.sees_for(2, &blind)
        .does("JailAiling apply(+m)")
        .applied();
    rig.sees(answers(&["a", "m"]));
    rig.sees(blind.clone())
        .does("JailAiling apply(*m)")
        .applied();
    rig.sees(answers(&["a", "m"]));
    rig.sees(blind.clone()).does("JailAiling").is("degraded");
    rig.sees(blind.clone()).does("AllClear").is("degraded");
    assert!(
        rig.told
            .last()
            .unwrap()
            .message
            .contains("still without protection: m")
    );
    rig.sees_for(300, &blind).does("").is("degraded");
    rig.sees(well()).does("").is("healthy");
}

#[test]
fn one_that_ails_again_within_the_hour_is_lost_and_its_incident_ends() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let blind = ailing("it reads no log", Some(Cure::Load));
    for looks in [2, 1] {
        rig.sees_for(looks, &blind).applied();
        rig.sees(answers(&["a", "m"]));
    }
    rig.does("JailAiling apply(+m) JailAiling apply(*m)");
    rig.sees_for(2, &blind).does("JailAiling AllClear");
    rig.sees(well()).does("").is("healthy");
    rig.sees_for(3, &blind).does("JailAiling AllClear");
    let [.., told, end] = rig.told.as_slice() else {
        panic!("{:?}", rig.told)
    };
    assert!(told.incident.is_some() && told.incident == end.incident);
    assert!(end.message.contains("still without protection: m"), "{end}");
}

#[test]
fn what_somebody_wants_is_said_and_left_alone() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let idle = ailing("it is idle as somebody told it to be", None);
    rig.sees_for(2, &idle).does("JailFaulty");
    rig.sees_for(800, &idle).does("").is("healthy");
}

#[test]
fn after_an_hour_it_is_healed_anew() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let blind = ailing("it reads no log", Some(Cure::Restart));
    for looks in [2, 1] {
        rig.sees_for(looks, &blind).applied();
        rig.sees(answers(&["a", "m"]));
    }
    rig.does("JailAiling apply(*m) JailAiling apply(*m)");
    rig.sees(well()).does("AllClear");
    rig.sees_for(400, &well()).does("");
    rig.sees_for(2, &blind).does("JailAiling apply(*m)");
}

#[test]
fn a_paused_jailwarden_heals_nothing() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let why = "root: a test".to_owned();
    rig.event(Event::Operator(Operator::Pause { left: None, why }));
    let blind = ailing("it reads no log", Some(Cure::Load));
    rig.sees_for(20, &blind).does("Paused").is("paused");
}

#[test]
fn what_fail2ban_complains_of_is_told() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let mut sight = well();
    sight.health.complaints = vec![Complaint {
        jail: Some("m".into()),
        words: "jail 'm': action 'mail' fails to ban".into(),
    }];
    rig.sees(sight.clone()).does("JailFaulty").is("healthy");
    assert_eq!(rig.told.last().unwrap().jails, ["m"]);
    // It is in no other look, whatever is being done.
    rig.touched().pass(secs(1)).does("read").is("checking");
    rig.sees(sight).does("JailFaulty");
}

fn blocks() -> Sight {
    let mut sight = ailing(
        "a command of its actions has been running for 10 s",
        Some(Cure::Free),
    );
    let waits = Ailment {
        words: "it waits for a command of m".into(),
        cure: None,
        behind: Some("m".into()),
    };
    let found = sight.health.ailing.as_mut().unwrap();
    found.insert("a".into(), waits);
    sight
}

#[test]
fn a_command_that_keeps_all_from_acting_is_ended_and_its_jail_disabled_if_that_comes_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees(blocks()).does("").is("healthy");
    rig.sees(blocks()).does("JailAiling end(m)");
    // Whether the next one blocks, too, is not known yet.
    rig.sees(well()).does("");
    let blocked = rig.machine.snapshot().jails["a"].clone();
    assert_eq!(blocked.condition, Condition::Protects);
    rig.sees(blocks()).does("");
    rig.sees(blocks()).does("JailAiling end-all(m) rollback(m)");
    assert!(rig.kept.intent.is_some(), "on disk before the file");
    assert_eq!(
        rig.machine.snapshot().jails["a"].condition,
        Condition::Ailing
    );
    rig.ok().does("RolledBack read-afresh");
    let told = rig.told.last().unwrap();
    assert!(
        told.message
            .contains("m disabled so that the others can run"),
        "{told}"
    );
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("apply(-m)");
    let alone = Sight {
        health: well().health,
        ..answers(&["a"])
    };
    rig.applied()
        .sees(alone)
        .does("ChangeApplied AllClear try(m)");
    let lost = rig.machine.snapshot().unprotected;
    assert_eq!(lost.keys().collect::<Vec<_>>(), ["a", "m"]);
}

#[test]
fn with_the_jail_that_blocked_its_incident_ends() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(4, &blocks()).ok();
    rig.reads(config(&["a", "m"]).rolled_back(&["m"])).applied();
    rig.does(
        "JailAiling end(m) JailAiling end-all(m) rollback(m) RolledBack read-afresh apply(-m)",
    );
    rig.sees(answers(&["a"]));
    rig.does("ChangeApplied AllClear try(m)");
}

#[test]
fn a_jail_that_was_healed_before_is_disabled_too_when_its_command_blocks_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let blind = ailing("it reads no log", Some(Cure::Load));
    rig.sees_for(2, &blind).applied();
    rig.sees(well()).does("JailAiling apply(+m) AllClear");
    rig.sees_for(2, &blocks()).does("JailAiling end(m)");
    rig.sees_for(2, &blocks());
    rig.does("JailAiling end-all(m) rollback(m)");
}

#[test]
fn a_jail_whose_command_was_ended_is_not_disabled_for_what_else_ails_it() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(2, &blocks()).ok().does("JailAiling end(m)");
    rig.sees_for(2, &ailing("it reads no log", Some(Cure::Load)));
    rig.does("JailAiling apply(*m)");
}

#[test]
fn a_cure_that_did_not_reach_the_daemon_is_not_counted() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let blind = ailing("it reads no log", Some(Cure::Load));
    let hindered = Outcome::Applied(Applied {
        hindered: Some("the database is locked".into()),
        ..Applied::default()
    });
    rig.sees_for(2, &blind).gets(hindered.clone());
    rig.does("JailAiling apply(+m) ChangeRefused");
    for _ in 0..=Policy::CURES {
        rig.reads(config(&["a", "m"])).keeps_seeing(&blind);
        rig.gets(hindered.clone());
        rig.does("read-afresh JailAiling apply(+m) ChangeRefused");
    }
}

/// Which is not one that came again.
#[test]
fn a_command_that_cannot_be_ended_is_told_and_its_jail_stays() {
    let mut rig = Rig::healthy(&["a", "m"]);
    for _ in 0..Policy::CURES {
        rig.sees_for(2, &blocks()).does("JailAiling end(m)");
        rig.fails("Operation not permitted").does("JailAiling");
        let told = &rig.told.last().unwrap().message;
        assert!(
            told.contains("could not be ended: Operation not permitted"),
            "{told}"
        );
    }
    rig.sees_for(2, &blocks()).does("JailAiling");
    rig.sees_for(200, &blocks()).does("AllClear").is("degraded");
}

#[test]
fn a_command_that_blocked_once_is_forgotten() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(2, &blocks()).does("JailAiling end(m)");
    rig.sees_for(3, &well()).does("AllClear").is("healthy");
    rig.sees_for(400, &well()).does("");
    rig.sees_for(2, &blocks()).does("JailAiling end(m)");
}

/// `m` is on probation.
fn on_probation(blocked: bool) -> Rig {
    let mend = Mend {
        on_probation: true,
        blocked,
        ..Mend::default()
    };
    let memory = Memory {
        mends: [("m".to_owned(), mend)].into(),
        ..Memory::default()
    };
    let mut rig = Rig::stock(memory, config(&["a", "m"]), answers(&["a", "m"]));
    rig.does("read-afresh ready Supervising");
    rig
}

#[test]
fn a_jail_that_was_disabled_for_it_has_no_second_chance_on_probation() {
    let mut rig = on_probation(true);
    rig.sees(blocks()).does("");
    rig.sees(blocks()).does("JailAiling end-all(m) rollback(m)");
    rig.ok();
    assert_eq!(rig.machine.memory().mends["m"].flaps, 1);
}

/// Its log file was not there, say: that says nothing of its commands.
#[test]
fn a_jail_that_was_disabled_for_something_else_is_healed_first() {
    let mut rig = on_probation(false);
    rig.sees_for(2, &blocks()).does("JailAiling end(m)");
    // It is from then on one that was disabled for that.
    rig.sees_for(2, &blocks())
        .does("JailAiling end-all(m) rollback(m)");
    rig.ok();
    assert!(rig.machine.memory().mends["m"].blocked);
}

#[test]
fn one_that_cannot_be_disabled_is_told_and_left_alone() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(4, &blocks());
    rig.fails("read-only file system");
    rig.does("JailAiling end(m) JailAiling end-all(m) rollback(m) RollbackFailed");
    rig.sees_for(2, &blocks()).does("JailAiling").is("degraded");
    rig.sees_for(200, &blocks()).does("AllClear");
}

#[test]
fn a_command_that_keeps_nobody_waiting_is_left_alone() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let alone = ailing("a command of its actions has been running for 10 s", None);
    rig.sees_for(10, &alone).does("JailFaulty");
    // It has lasted for long enough.
    rig.sees(blocks()).does("JailAiling end(m)");
}

/// As if it had not been killed: the process is the same.
#[test]
fn a_killed_jailwarden_gives_no_new_cures() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let blind = ailing("it reads no log", Some(Cure::Load));
    rig.sees_for(2, &blind)
        .does("JailAiling apply(+m)")
        .applied();
    rig.sees(answers(&["a", "m"]));
    let mut rig = Rig::stock(rig.kept.clone(), config(&["a", "m"]), answers(&["a", "m"]));
    rig.does("read-afresh ready Supervising");
    rig.sees_for(2, &blind)
        .does("JailAiling apply(*m)")
        .applied();
    rig.sees(answers(&["a", "m"]));
    let kept = rig.kept.clone();
    let again = |age, pid| {
        let memory = Memory {
            age,
            ..kept.clone()
        };
        let mut rig = Rig::stock(memory, config(&["a", "m"]), answers_as(pid, &["a", "m"]));
        let blind = Sight {
            health: blind.health.clone(),
            ..answers_as(pid, &["a", "m"])
        };
        rig.sees_for(3, &blind);
        rig
    };
    let told = "read-afresh ready Supervising JailAiling AllClear";
    again(secs(60), 7).does(told).is("degraded");
    let anew = "read-afresh ready Supervising JailAiling apply(+m)";
    again(Policy::CURE_WINDOW, 7).does(anew);
    again(secs(60), 8).does(anew);
}

/// It is no jail that rests after it has died again and again.
#[test]
fn a_killed_jailwarden_leaves_alone_what_could_not_be_healed() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.keeps_seeing(&with_dead(7, &["a", "m"], &["m"]));
    rig.applied().sees(well());
    rig.does("JailDead apply(*m) AllClear");
    let blind = ailing("it reads no log", Some(Cure::Load));
    for looks in [2, 1] {
        rig.sees_for(looks, &blind).applied();
        rig.sees(answers(&["a", "m"]));
    }
    rig.sees_for(2, &blind).is("degraded");
    rig.does("JailAiling apply(+m) JailAiling apply(*m) JailAiling AllClear");
    let mut rig = Rig::stock(rig.kept.clone(), config(&["a", "m"]), blind.clone());
    rig.does("read-afresh ready Supervising");
    rig.sees_for(20, &blind).does("").is("degraded");
}

#[test]
fn a_killed_jailwarden_knows_that_a_command_blocked_before() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(2, &blocks()).does("JailAiling end(m)");
    let mut rig = Rig::stock(rig.kept.clone(), config(&["a", "m"]), answers(&["a", "m"]));
    rig.does("read-afresh ready Supervising");
    rig.sees_for(2, &blocks());
    rig.does("JailAiling end-all(m) rollback(m)");
}

/// Only another process can cure it.
fn hidden(unit: Option<Unit>) -> Sight {
    Sight {
        unit,
        ..ailing("it does not see its log", Some(Cure::Daemon))
    }
}

#[test]
fn what_only_another_process_cures_has_the_daemon_restarted_once() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees(hidden(None)).does("");
    rig.sees(hidden(None)).does("JailAiling save");
    let told = rig.told.last().unwrap();
    assert_eq!(told.jails, ["m"]);
    assert!(
        told.message.contains("jailwarden restarts fail2ban"),
        "{told}"
    );
    rig.ok()
        .gets(Outcome::StopAsked(StopAnswer::Agreed))
        .exits(7);
    rig.does("ask-stop start").ok();
    rig.sees(answers_as(8, &["a", "m"])).does("AllClear");
    // It did not help, whoever comes after this jailwarden.
    let still = Sight {
        health: hidden(None).health,
        ..answers_as(8, &["a", "m"])
    };
    let mut next = Rig::stock(
        rig.kept.clone(),
        config(&["a", "m"]),
        answers_as(8, &["a", "m"]),
    );
    next.does("read-afresh ready Supervising");
    for rig in [&mut rig, &mut next] {
        rig.sees_for(2, &still).does("JailAiling");
        let told = rig.told.last().unwrap();
        assert!(
            told.message.contains("to do it now: jailwarden restart"),
            "{told}"
        );
        rig.sees(still.clone()).does("AllClear").is("degraded");
        rig.sees_for(600, &still).does("").is("degraded");
    }
}

#[test]
fn the_daemon_is_not_restarted_for_a_jail_where_it_may_not_come_back() {
    let mut masked = unit_stopped();
    masked.load = "masked".into();
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(2, &hidden(Some(masked.clone())))
        .does("JailAiling");
    rig.sees_for(100, &hidden(Some(masked))).does("");
    // It was unmasked.
    rig.sees(hidden(None)).does("JailAiling save");
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a", "m"]).fault("a", true));
    rig.sees_for(2, &hidden(None));
    rig.does("read ChangeRefused JailAiling");
}
