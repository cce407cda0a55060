//! The last known good config: kept in time, and put back when nothing less helps.

use super::*;

fn good() -> Rig {
    good_with(&["a", "m"])
}

fn good_with(jails: &[&str]) -> Rig {
    let mut rig = Rig::healthy(jails);
    rig.sees_for(7, &answers(jails)).does("");
    assert_eq!(rig.kept.good, Some(config(jails).fingerprint));
    rig
}

fn broken() -> Reading {
    config(&["a", "m"]).unreadable()
}

fn put_back(rig: &mut Rig) -> &mut Rig {
    rig.gets(Outcome::PutBack(Ok(PutBack {
        files: vec!["/etc/fail2ban/jail.d/x.conf".into()],
        replaced: Some("2026-1".into()),
        folder: false,
    })))
}

#[test]
fn a_config_is_kept_once_it_was_good_for_a_minute() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.keeps = false;
    rig.sees_for(5, &answers(&["a", "m"])).does("");
    rig.sees(answers(&["a", "m"])).does("keep");
    assert!(rig.now >= MonoTime::new(Policy::GOOD_AFTER));
    assert_eq!(rig.kept.good, None, "not before it is on disk");
    rig.ok().sees_for(100, &answers(&["a", "m"])).does("");
    assert!(rig.kept.good.is_some());
}

/// What passes by itself takes nothing from it, and nobody need look for it to be over.
#[test]
fn a_minute_is_sixty_seconds() {
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps = false;
    rig.pass(secs(30)).sees(answers(&[])).is("suspect");
    rig.sees(answers(&["a"])).is("healthy");
    rig.pass(secs(59).saturating_sub(rig.now.since(MonoTime::START)));
    rig.does("").pass(secs(1)).does("keep");
}

#[test]
fn nothing_is_kept_during_a_pause() {
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps = false;
    let why = "root: works".to_owned();
    rig.event(Event::Operator(Operator::Pause { left: None, why }));
    rig.sees_for(20, &answers(&["a"])).does("Paused");
}

#[test]
fn what_is_not_whole_is_not_kept() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.keeps = false;
    rig.edits(config_of_versions(&[("a", 2), ("m", 1)]).fault("m", true));
    rig.applied().sees(answers(&["a", "m"]));
    rig.does("read ChangeRefused apply(+a) ChangeApplied");
    rig.sees_for(50, &answers(&["a", "m"])).does("");
    // The clock begins with the mend.
    rig.edits(config_of_versions(&[("a", 2), ("m", 1)]));
    rig.does("read ChangeWithdrawn")
        .sees_for(5, &answers(&["a", "m"]));
    rig.does("").sees_for(2, &answers(&["a", "m"])).does("keep");
}

#[test]
fn what_cannot_be_kept_is_told_once_and_tried_again_later() {
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps = false;
    rig.sees_for(7, &answers(&["a"])).does("keep");
    rig.fails("no room").does("StateNotKept");
    rig.sees_for(358, &answers(&["a"])).does("");
    rig.sees_for(3, &answers(&["a"])).does("keep");
    rig.fails("no room").does("");
}

#[test]
fn a_file_that_does_not_parse_is_put_back_before_the_start() {
    let mut rig = good();
    rig.edits(broken())
        .does("read ChangeRefused")
        .is("degraded");
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown put-back(x.conf)");
    put_back(&mut rig).does("FilesPutBack read-afresh");
    rig.reads(config(&["a", "m"])).does("start");
    rig.ok().sees(answers_as(8, &["a", "m"])).does("AllClear");
    rig.is("healthy");
    assert!(rig.told.iter().any(|r| {
        r.message
            .contains("bring it back with: jailwarden restore 2026-1")
    }));
    assert_eq!(
        rig.kept.guesses,
        Guesses::default(),
        "it was blamed, not guessed"
    );
}

#[test]
fn all_is_put_back_where_the_named_file_alone_does_not_help() {
    let mut rig = good();
    rig.edits(broken()).does("read ChangeRefused");
    rig.exits(7).sees(absent(unit_failed(255)));
    put_back(&mut rig).reads(broken());
    rig.does("DaemonDown put-back(x.conf) FilesPutBack read-afresh put-back()");
    rig.gets(Outcome::PutBack(Ok(PutBack::default())))
        .does("start");
}

/// Three jails, of which two have a value that is wrong from one line.
fn shared() -> Reading {
    let mut reading = config(&["a", "m", "z"]);
    for jail in ["a", "m"] {
        let mut finding = finding(Some(jail), true);
        (finding.file, finding.line) = (Some("/etc/fail2ban/jail.local".into()), Some(2));
        reading.findings.push(finding);
    }
    reading.sealed()
}

#[test]
fn a_line_that_takes_down_several_jails_is_put_back_though_others_are_sound() {
    let mut rig = good_with(&["a", "m", "z"]);
    rig.edits(shared()).does("read ChangeRefused");
    rig.exits(7).sees(absent(unit_failed(255)));
    put_back(&mut rig).reads(config(&["a", "m", "z"]));
    rig.does("DaemonDown put-back(jail.local) FilesPutBack read-afresh start");
    assert!(rig.kept.guesses.is_empty(), "it was blamed, not guessed");
}

#[test]
fn what_a_jail_lacks_besides_is_disabled_after_the_shared_line_was_put_back() {
    let jails = ["a", "m", "y", "z"];
    let mut rig = good_with(&jails);
    let mut faulty = shared().fault("z", true);
    faulty.plan = config(&jails).plan;
    rig.edits(faulty).does("read ChangeRefused");
    rig.exits(7).sees(absent(unit_failed(255)));
    put_back(&mut rig).reads(config(&jails).fault("z", true));
    rig.does("DaemonDown put-back(jail.local) FilesPutBack read-afresh ChangeRefused rollback(z)");
}

#[test]
fn the_jails_are_disabled_where_their_shared_line_is_as_it_was() {
    let mut rig = good_with(&["a", "m", "z"]);
    rig.edits(shared()).does("read ChangeRefused");
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.gets(Outcome::PutBack(Ok(PutBack::default())));
    rig.does("DaemonDown put-back(jail.local) rollback(a m)");
}

/// The config folder was moved away, and the daemon was killed.
fn gone_and_down(packages: bool) -> Rig {
    let mut rig = good();
    let mut gone = broken();
    gone.gone = true;
    rig.edits(gone).does("read ChangeRefused");
    rig.event(Event::Observed(Observed::DaemonExited { pid: 7 }));
    let mut down = absent(unit_failed(255));
    if packages {
        down.packages = true;
        rig.keeps_seeing(&down).sees_for(400, &down);
        rig.keeps_seeing(&down);
    } else {
        rig.sees(down);
    }
    rig
}

#[test]
fn a_folder_that_is_gone_as_a_whole_is_put_back() {
    let mut rig = gone_and_down(false);
    rig.does("DaemonDown put-back(x.conf)");
    rig.gets(Outcome::PutBack(Ok(PutBack {
        files: vec!["/etc/fail2ban/jail.conf".into()],
        replaced: Some("2026-1".into()),
        folder: true,
    })));
    rig.reads(config(&["a", "m"])).ok();
    rig.sees(answers_as(8, &["a", "m"]));
    rig.does("FilesPutBack read-afresh start AllClear");
    let told = rig.told.iter().find(|r| r.kind == Kind::FilesPutBack);
    let words = &told.unwrap().message;
    for part in [
        "/etc/fail2ban was gone as a whole",
        "is faulty",
        "take this one away first, by: jailwarden restore 2026-1",
    ] {
        assert!(words.contains(part), "{words}");
    }
}

/// dpkg takes the folder away when it purges fail2ban.
#[test]
fn a_folder_that_is_gone_is_not_put_back_while_packages_are_installed() {
    let mut rig = gone_and_down(true);
    rig.does("DaemonDown DaemonDown start");
}

#[test]
fn nothing_is_put_back_against_the_settings() {
    let mut rig = good();
    rig.event(Event::SettingsChanged(Policy {
        replace_files: false,
        ..Policy::default()
    }));
    rig.edits(broken()).does("read ChangeRefused");
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown start");
}

#[test]
fn the_last_rung_puts_everything_back_and_takes_it_back_if_that_does_not_help() {
    let mut rig = good();
    rig.edits(config_of_versions(&[("a", 1), ("m", 2)]))
        .applied()
        .sees(answers(&["a", "m"]));
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    rig.does("read apply(+m) ChangeApplied");
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(changed.clone()).ok();
    rig.does("DaemonDown start read-afresh rollback(m) RolledBack read-afresh");
    rig.reads(changed.clone().rolled_back(&["m"])).does("start");
    rig.does_not_start().does("put-back()");
    put_back(&mut rig).does("FilesPutBack read-afresh");
    assert_eq!(rig.kept.guesses.replaced, ["2026-1"]);
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("start");
    rig.does_not_start().does("GaveUp undo(m 2026-1)");
    rig.ok().does("RollbackUndone read-afresh");
    rig.reads(changed).is("gave-up");
    assert_eq!(rig.kept.guesses, Guesses::default());
}

/// The guesses are on disk, so that a jailwarden that was killed takes them back as well.
#[test]
fn guesses_outlive_jailwarden() {
    let memory = Memory {
        accepted: config(&["a", "m"]).plan,
        proven: config(&["a", "m"]).plan,
        guesses: Guesses {
            jails: set(&["m"]),
            replaced: vec!["2026-1".into()],
            in_memory: false,
            before: Some(7),
        },
        ..Memory::default()
    };
    let on_disk = config(&["a", "m"]).rolled_back(&["m"]);
    let mut rig = Rig::stock(memory.clone(), on_disk.clone(), absent(unit_failed(255)));
    rig.does_not_start().reads(on_disk.clone());
    rig.does("read-afresh ready Supervising DaemonDown start read-afresh GaveUp undo(m 2026-1)");

    let memory = Memory {
        accepted: config(&["a"]).plan,
        ..memory
    };
    let mut rig = Rig::stock(memory, on_disk, answers(&["a"]));
    rig.does("read-afresh ready Supervising try(m)");
    assert_eq!(rig.kept.guesses, Guesses::default(), "they helped");
}

#[test]
fn a_rollback_that_is_overruled_leads_to_the_next_rung() {
    let mut rig = good();
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    rig.edits(changed.clone())
        .applied()
        .sees(answers(&["a", "m"]));
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(changed.clone()).ok();
    let mut overruled = changed;
    overruled.rollbacks = set(&["m"]);
    let by = ("/etc/fail2ban/jail.d/zzzz.local".into(), 4);
    overruled.overruled = [("m".to_owned(), by)].into();
    rig.does(
        "read apply(+m) ChangeApplied DaemonDown start read-afresh rollback(m) RolledBack \
         read-afresh",
    );
    rig.reads(overruled).does("RollbackFailed put-back()");
    assert!(rig.told.last().unwrap().message.contains("zzzz.local:4"));
}

#[test]
fn of_several_rollbacks_those_that_hold_are_kept() {
    let mut rig = good_with(&["a", "m", "z"]);
    let jails = config(&["a", "m", "z"]);
    let faulty = jails.clone().fault("a", true).fault("m", true);
    rig.edits(faulty.clone());
    rig.exits(7).sees(absent(unit_failed(255))).ok();
    rig.does("read ChangeRefused DaemonDown rollback(a m) RolledBack read-afresh");
    let mut overruled = faulty.rolled_back(&["a"]);
    overruled.rollbacks.insert("m".into());
    rig.reads(overruled);
    let incident = rig.machine.snapshot().incident.unwrap();
    assert_eq!(incident.rolled_back, set(&["a"]));
}

/// The next rung is taken at once, and nothing is said to be disabled that is not.
#[test]
fn the_file_of_a_jail_that_cannot_be_disabled_is_put_back_before_the_start() {
    let mut rig = good();
    let changed = config_of_versions(&[("a", 1), ("m", 2)]).fault("m", true);
    rig.edits(changed.clone());
    rig.exits(7).sees(absent(unit_failed(255))).ok();
    rig.does("read ChangeRefused DaemonDown rollback(m) RolledBack read-afresh");
    let mut overruled = changed;
    overruled.rollbacks = set(&["m"]);
    let by = ("/etc/fail2ban/jail.d/zzzz.local".into(), 4);
    overruled.overruled = [("m".to_owned(), by)].into();
    let mut sound = config(&["a", "m"]);
    sound.rollbacks = set(&["m"]);
    sound.overruled.clone_from(&overruled.overruled);
    rig.reads(overruled).does("RollbackFailed put-back(x.conf)");
    put_back(&mut rig).does("FilesPutBack read-afresh");
    rig.reads(sound).ok().sees(answers_as(8, &["a", "m"]));
    rig.does("start AllClear try(m)");
    let clear = rig.told.iter().rfind(|r| r.kind == Kind::AllClear).unwrap();
    assert!(!clear.message.contains("disabled for it"), "{clear}");
}

/// fail2ban leaves the jail out for what else the rollback says.
#[test]
fn a_rollback_that_is_overruled_in_part_holds_and_is_told() {
    let mut rig = good();
    let changed = config_of_versions(&[("a", 1), ("m", 2)]).fault("m", true);
    rig.edits(changed.clone());
    rig.exits(7).sees(absent(unit_failed(255))).ok();
    rig.does("read ChangeRefused DaemonDown rollback(m) RolledBack read-afresh");
    let mut left_out = changed.rolled_back(&["m"]);
    let by = ("/etc/fail2ban/jail.d/zzzz.local".into(), 4);
    left_out.overruled = [("m".to_owned(), by)].into();
    rig.reads(left_out.clone()).does("RolledBack start");
    assert!(rig.told.last().unwrap().message.contains("zzzz.local:4"));
    rig.ok().sees(answers_as(8, &["a"]));
    rig.does("AllClear read-afresh").reads(left_out);
    rig.does("try(m)");
}

/// A guess did not help, and is about to be taken back.
fn in_vain() -> Rig {
    let mut rig = good();
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    rig.edits(changed.clone())
        .applied()
        .sees(answers(&["a", "m"]));
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(changed.clone()).ok();
    rig.reads(changed.rolled_back(&["m"])).does_not_start();
    put_back(&mut rig).reads(config(&["a", "m"]).rolled_back(&["m"]));
    rig.does_not_start().does(
        "read apply(+m) ChangeApplied DaemonDown start read-afresh rollback(m) RolledBack \
         read-afresh start put-back() FilesPutBack read-afresh start GaveUp undo(m 2026-1)",
    );
    rig
}

#[test]
fn a_guess_is_remembered_until_it_is_taken_back() {
    let mut rig = in_vain();
    assert_eq!(rig.kept.guesses.replaced, ["2026-1"]);
    rig.ok();
    assert_eq!(rig.kept.guesses, Guesses::default());
}

#[test]
fn a_guess_that_could_not_be_taken_back_is_taken_back_later() {
    for outcome in [Outcome::Effect(Err("no room".into())), Outcome::Lost] {
        let mut rig = in_vain();
        rig.gets(outcome).does("RollbackFailed");
        assert_eq!(rig.kept.guesses.replaced, ["2026-1"]);
    }
}

#[test]
fn nothing_is_tried_again_before_a_guess_is_taken_back() {
    let mut rig = in_vain();
    rig.sees_for(60, &absent(unit_failed(255))).does("");
    rig.ok().does("RollbackUndone read-afresh");
    rig.sees_for(60, &absent(unit_failed(255))).does("");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.keeps_seeing(&absent(unit_failed(255)))
        .does("Restarting start");
}

#[test]
fn what_a_finding_blamed_in_vain_is_taken_back_too() {
    let mut rig = good();
    rig.edits(broken()).does("read ChangeRefused");
    rig.exits(7).sees(absent(unit_failed(255)));
    put_back(&mut rig).reads(broken());
    rig.gets(Outcome::PutBack(Ok(PutBack {
        files: vec!["/etc/fail2ban/y.conf".into()],
        replaced: Some("2026-2".into()),
        folder: false,
    })));
    rig.reads(broken()).does_not_start().reads(broken());
    rig.does(
        "DaemonDown put-back(x.conf) FilesPutBack read-afresh put-back() FilesPutBack read-afresh \
         start read-afresh GaveUp undo(2026-1 2026-2)",
    );
    rig.ok().reads(broken());
    rig.keeps_seeing(&absent(unit_failed(255)));
    rig.does("RollbackUndone read-afresh Restarting start");
}
