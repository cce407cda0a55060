//! Config changes: settled, checked, applied, refused, put back.

use super::*;

pub(super) fn edited(a: u128) -> Reading {
    config_of_versions(&[("a", a), ("m", 1)])
}

#[test]
fn a_burst_is_one_change() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let start = rig.now;
    for _ in 0..5 {
        rig.touched().pass(ms(400));
    }
    rig.does("").pass(ms(100)).does("read");
    assert_eq!(rig.now.since(start), ms(2100));
}

#[test]
fn a_burst_without_end_is_read_after_five_seconds() {
    let mut rig = Rig::healthy(&["a", "m"]);
    for _ in 0..12 {
        rig.touched().pass(ms(400));
    }
    rig.does("").touched().pass(ms(200)).does("read");
}

#[test]
fn unchanged_content_causes_no_reload() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.touched()
        .reads_as(ConfigRead::Unchanged)
        .does("read")
        .is("healthy");
    rig.sees(answers(&["a", "m"])).pass(secs(5)).does("");
}

#[test]
fn only_what_differs_is_applied_and_the_probe_has_the_last_word() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 2), ("z", 1)]))
        .does("read apply(+a -m +z)");
    rig.applied().sees(answers(&["a"])).does("").is("reloading");
    rig.sees(answers(&["a", "z"]))
        .does("ChangeApplied")
        .is("healthy");
    assert_eq!(rig.expected(), ["a", "z"]);
}

#[test]
fn new_action_names_need_the_jail_restarted() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let mut reading = edited(2);
    reading
        .plan
        .as_mut()
        .unwrap()
        .jails
        .get_mut("a")
        .unwrap()
        .actions = 2;
    rig.edits(reading).does("read apply(*a)");
}

#[test]
fn a_refused_jail_keeps_what_it_has_while_the_others_change() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let reading = config_of_versions(&[("a", 2), ("m", 2)]).fault("m", true);
    rig.edits(reading).does("read ChangeRefused apply(+a)");
    rig.applied()
        .sees(answers(&["a", "m"]))
        .does("ChangeApplied")
        .is("degraded");
    // Told once, also when something else is edited.
    let reading = config_of_versions(&[("a", 3), ("m", 2)]).fault("m", true);
    rig.edits(reading).does("read apply(+a)");
    rig.applied()
        .sees(answers(&["a", "m"]))
        .does("ChangeApplied");
    rig.edits(config_of_versions(&[("a", 3), ("m", 3)]));
    rig.does("read ChangeWithdrawn apply(+m)");
}

#[test]
fn a_file_that_cannot_be_read_changes_nothing() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(edited(2).unreadable())
        .does("read ChangeRefused")
        .is("degraded");
    rig.sees(answers(&["a", "m"])).does("");
    rig.edits(edited(1))
        .does("read ChangeWithdrawn")
        .is("healthy");
}

#[test]
fn a_refusal_is_not_told_again_after_jailwardens_own_restart() {
    let reading = edited(2).fault("a", true);
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(reading.clone()).does("read ChangeRefused");
    let mut rig = Rig::stock(rig.kept.clone(), reading, answers(&["a", "m"]));
    rig.does("read-afresh ready Supervising").is("degraded");
}

/// `m` is out of the config for a word that is neither true nor false.
fn misread(a: u128) -> Reading {
    let mut reading = config_of_versions(&[("a", a)]);
    reading.misread.push(finding(Some("m"), false));
    reading
}

#[test]
fn what_is_misread_is_told_once_and_holds_nothing_back() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(misread(2))
        .does("read JailFaulty apply(+a -m)")
        .applied();
    rig.sees(answers(&["a"]))
        .does("ChangeApplied")
        .is("healthy");
    let told = &rig.told[rig.told.len() - 2];
    assert_eq!(
        (told.jails.as_slice(), told.line),
        (["m".to_owned()].as_slice(), Some(3))
    );
    rig.edits(misread(3)).does("read apply(+a)").applied();
    rig.sees(answers(&["a"])).does("ChangeApplied");
    // Nor by the next jailwarden.
    let mut next = Rig::stock(rig.kept.clone(), misread(3), answers(&["a"]));
    next.does("read-afresh ready Supervising").is("healthy");
    rig.edits(config(&["a", "m"])).does("read apply(+a +m)");
}

#[test]
fn what_is_misread_at_the_first_start_is_told() {
    let mut rig = Rig::stock(Memory::default(), misread(1), answers(&["a"]));
    rig.does("read-afresh ready Supervising JailFaulty");
    let mut more = misread(1);
    more.misread.push(finding(Some("z"), false));
    more.misread.push(finding(Some("y"), false));
    more.fingerprint += 1;
    rig.edits(more).does("read JailFaulty");
    let told = rig.told.last().unwrap();
    assert_eq!(told.jails, ["z", "y"]);
    assert!(
        told.message.contains("(and 1 more: jailwarden check)"),
        "{told}"
    );
}

#[test]
fn what_the_daemon_refuses_is_put_back_and_not_tried_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(edited(2)).does("read apply(+a)");
    let refused = Applied {
        refused: vec![("a".into(), "bad regex".into())],
        ..Applied::default()
    };
    rig.gets(Outcome::Applied(refused))
        .does("ChangeRefused apply(*a)");
    rig.applied()
        .sees(answers(&["a", "m"]))
        .does("")
        .is("degraded");
    // Another edit does not send it again, and it is not told again.
    rig.edits(config_of_versions(&[("a", 2), ("m", 2)]))
        .does("read apply(+m)");
    rig.applied()
        .sees(answers(&["a", "m"]))
        .does("ChangeApplied");
    rig.edits(edited(3))
        .does("read ChangeWithdrawn apply(+a +m)");
}

/// Whoever started it has loaded what is on disk.
#[test]
fn what_one_daemon_refused_another_is_asked() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(edited(2)).gets(Outcome::Applied(Applied {
        refused: vec![("a".into(), "no such module".into())],
        ..Applied::default()
    }));
    rig.applied().sees(answers(&["a", "m"])).is("degraded");
    let stock = |pid| Rig::stock(rig.kept.clone(), edited(2), answers_as(pid, &["a", "m"]));
    stock(7)
        .does("read-afresh ready Supervising")
        .is("degraded");
    stock(9).does("read-afresh ready Supervising apply(+a)");
}

#[test]
fn two_refused_one_after_the_other_are_each_told_once() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let refuse = |jail: &str| {
        Outcome::Applied(Applied {
            refused: vec![(jail.into(), "bad regex".into())],
            ..Applied::default()
        })
    };
    rig.edits(edited(2))
        .gets(refuse("a"))
        .applied()
        .sees(answers(&["a", "m"]));
    rig.does("read apply(+a) ChangeRefused apply(*a)");
    rig.edits(config_of_versions(&[("a", 2), ("m", 2)]));
    rig.gets(refuse("m")).applied().sees(answers(&["a", "m"]));
    rig.does("read apply(+m) ChangeRefused apply(*m)");
    rig.edits(config_of_versions(&[("a", 2), ("m", 2), ("z", 1)]));
    rig.does("read apply(+z)");
}

#[test]
fn a_refused_server_setting_is_not_sent_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let mut reading = edited(1);
    reading.plan.as_mut().unwrap().server = 2;
    reading.fingerprint += 1;
    rig.edits(reading.clone()).does("read apply(server)");
    let refused = Applied {
        server: Some("no".into()),
        ..Applied::default()
    };
    rig.gets(Outcome::Applied(refused))
        .sees(answers(&["a", "m"]))
        .does("ChangeRefused");
    reading.fingerprint += 1;
    rig.edits(reading).does("read").is("degraded");
}

#[test]
fn a_check_that_cannot_be_made_is_told_once_and_tried_at_the_probes_pace() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.touched();
    let start = rig.now;
    for _ in 0..6 {
        rig.reads_as(ConfigRead::Failed("no Python".into()))
            .sees(answers(&["a", "m"]));
    }
    assert_eq!(rig.told(Kind::ChangeRefused), 1);
    assert!(rig.now.since(start) > secs(50), "{:?}", rig.now);
    rig.reads(edited(2))
        .does("read ChangeRefused read read read read read read apply(+a)");
}

#[test]
fn an_edit_cuts_the_wait_for_the_next_check_short() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.touched()
        .reads_as(ConfigRead::Failed("no Python".into()))
        .does("read ChangeRefused");
    rig.touched().pass(ms(500)).does("read");
}

/// Otherwise a hung daemon and a pending change would chase each other, and nobody would look.
#[test]
fn a_daemon_that_cannot_be_reached_with_a_change_is_looked_at_before_the_next_try() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(edited(2)).does("read apply(+a)");
    let lost = Applied {
        unreachable: Some("timed out".into()),
        ..Applied::default()
    };
    rig.gets(Outcome::Applied(lost)).does("");
    rig.sees(silent(Motion::Frozen)).does("diagnose:7");
}

#[test]
fn a_change_that_did_not_arrive_is_sent_once_the_daemon_answers() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(edited(2))
        .does("read apply(+a)")
        .gets(Outcome::Lost)
        .does("");
    rig.sees(answers(&["a", "m"])).does("read-afresh");
    rig.reads(edited(2)).does("apply(+a)");
}

/// Found by the suite under load: it was sent over and over, without a word, and its dead jail never loaded again.
#[test]
fn one_that_answers_and_takes_no_change_is_left_alone_for_a_while() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let lost = || {
        Outcome::Applied(Applied {
            unreachable: Some("it broke off".into()),
            ..Applied::default()
        })
    };
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.edits(edited(2)).gets(lost());
    rig.sees(dead.clone()).reads(edited(2)).gets(lost());
    rig.does("read apply(+a) read-afresh apply(+a) ChangeRefused");
    let told = &rig.told.last().unwrap().message;
    assert!(
        told.contains("no jail is to blame for that: it broke off"),
        "{told}"
    );
    rig.keeps_seeing(&dead).does("apply(*m)");
    rig.applied().sees(answers(&["a", "m"])).does("AllClear");
    rig.keeps_seeing(&answers(&["a", "m"]));
    rig.does("read-afresh").reads(edited(2)).applied();
    rig.sees(answers(&["a", "m"]));
    rig.does("apply(+a) ChangeApplied").is("healthy");
}

#[test]
fn a_new_process_may_have_read_anything() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees(answers_as(8, &["a", "m"]))
        .does("BackByHand read-afresh");
    rig.reads(edited(1)).does("").is("healthy");
}

#[test]
fn a_daemon_that_dies_of_a_change_is_started_and_the_change_is_the_last() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(edited(2))
        .exits(7)
        .sees(absent(unit_killed()))
        .does("read apply(+a) DaemonDown read");
    rig.reads(edited(2)).does("start");
    assert_eq!(rig.machine.recent, ["a"]);
}

/// The admin did not stop it: our own reload lost it.
#[test]
fn a_jail_that_does_not_come_up_after_a_reload_is_revived_not_held() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a", "m", "z"]))
        .applied()
        .does("read apply(+z)");
    rig.keeps_seeing(&answers(&["a", "m"]))
        .does("JailDead apply(*z)");
}

#[test]
fn a_jail_has_three_seconds_to_come_up_after_a_reload() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a", "m", "z"])).applied();
    let begin = rig.now;
    for _ in 0..40 {
        if rig.machine.state_name() == "reloading" {
            rig.sees(answers(&["a", "m"]));
        }
    }
    assert_eq!(rig.now.since(begin), Policy::PROOF_LIMIT);
    rig.does("read apply(+z)").is("suspect");
}

#[test]
fn a_rollback_that_somebody_removed_is_told_and_its_jail_loaded() {
    let reading = config(&["a", "m"]).rolled_back(&["m"]);
    let mut rig = Rig::stock(Memory::default(), reading, answers(&["a"]));
    rig.does("read-afresh ready Supervising try(m)");
    rig.gets(Outcome::Lost).is("degraded");
    rig.edits(config(&["a", "m"]))
        .does("read RollbackUndone apply(+m)");
}

/// A log file that a jail waits for is not under the config folder.
#[test]
fn what_the_config_depends_on_is_read_afresh_though_its_bytes_are_the_same() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(Event::Observed(Observed::ConfigStale))
        .does("read-afresh");
    rig.reads(config(&["a", "m"])).does("apply(+m)");
}

#[test]
fn a_change_that_could_not_be_tried_is_marked() {
    let mut rig = Rig::healthy(&["a"]);
    let mut reading = edited(2);
    reading.unproven = Some("no Python".into());
    rig.edits(reading).applied().sees(answers(&["a", "m"]));
    let told = rig.told.last().unwrap();
    assert_eq!(told.kind, Kind::ChangeApplied);
    assert!(told.message.contains("UNPROVEN"), "{told}");
}

fn hindered(refused: &[&str]) -> Outcome {
    let refused = refused
        .iter()
        .map(|jail| ((*jail).to_owned(), "locked".to_owned()));
    Outcome::Applied(Applied {
        refused: refused.collect(),
        hindered: Some("the database is locked".into()),
        ..Applied::default()
    })
}

/// fail2ban loses a jail that it cannot note in its database.
#[test]
fn no_jail_is_to_blame_for_what_keeps_the_daemon_from_taking_anything() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    rig.edits(changed.clone()).gets(hindered(&[]));
    rig.does("read apply(+m) ChangeRefused");
    rig.sees(answers(&["a", "m"]))
        .keeps_seeing(&answers(&["a", "m"]));
    rig.does("read-afresh").reads(changed.clone());
    rig.gets(hindered(&[])).does("apply(+m)");
    rig.sees(answers(&["a", "m"]))
        .keeps_seeing(&answers(&["a", "m"]));
    rig.does("read-afresh").reads(changed);
    rig.applied().sees(answers(&["a", "m"]));
    rig.does("apply(+m) ChangeApplied").is("healthy");
}

/// The lock came too late to be seen before, and the jail is gone.
#[test]
fn a_jail_that_was_lost_to_a_locked_database_is_loaded_as_soon_as_it_can_be() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    rig.edits(changed.clone()).gets(hindered(&["m"]));
    rig.does("read apply(+m) ChangeRefused");
    // Over and over, and that is not told again.
    rig.keeps_seeing(&answers(&["a"])).gets(hindered(&[]));
    rig.keeps_seeing(&answers(&["a"])).gets(hindered(&[]));
    rig.does("apply(*m) apply(*m)");
    rig.keeps_seeing(&answers(&["a"])).applied();
    let all = answers(&["a", "m"]);
    rig.sees(all.clone()).does("apply(*m) AllClear");
    rig.keeps_seeing(&all).does("read-afresh").reads(changed);
    rig.applied().sees(all).does("apply(+m) ChangeApplied");
    rig.is("healthy");
}

/// It may have taken some of it.
#[test]
fn what_was_sent_in_vain_is_sent_again_though_the_config_is_as_before() {
    let mut changed = config_of_versions(&[("a", 2), ("m", 2)]);
    changed.plan.as_mut().unwrap().server = 2;
    let all = answers(&["a", "m"]);
    let sent = |refused: &[&str]| {
        let mut rig = Rig::healthy(&["a", "m"]);
        rig.edits(changed.clone()).gets(hindered(refused));
        rig.does("read apply(server +a +m) ChangeRefused");
        assert!(rig.machine.look.is_none(), "it has a moment");
        rig.sees(all.clone()).keeps_seeing(&all);
        rig.does("read-afresh").reads(config(&["a", "m"]));
        rig
    };
    sent(&["m"]).does("apply(server +a +m)");
    sent(&[]).does("");
}

#[test]
fn a_dead_jail_that_cannot_be_loaded_was_not_stopped_by_hand() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.keeps_seeing(&dead).gets(Outcome::Applied(Applied {
        refused: vec![("m".into(), "no such thing".into())],
        ..Applied::default()
    }));
    rig.does("JailDead apply(*m)");
}
