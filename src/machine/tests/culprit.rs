//! Who is to blame that it does not come back.

use super::restart::down_after_change;
use super::*;

fn blaming(culprit: Culprit) -> Rig {
    let mut rig = down_after_change();
    rig.verdict = Verdict {
        culprit,
        evidence: "fail2ban.log:7: words".into(),
    };
    rig.does_not_start();
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig
}

#[track_caller]
fn assert_tells_evidence(rig: &Rig) {
    let told = &rig.told.last().unwrap().message;
    assert!(told.contains("fail2ban.log:7: words"), "{told}");
}

#[test]
fn no_jail_is_disabled_for_what_is_wrong_around_fail2ban() {
    for jail in [None, Some("a".to_owned())] {
        let mut rig = blaming(Culprit::Surroundings {
            jail,
            database: false,
        });
        rig.does("read-afresh GaveUp").is("gave-up");
        assert_tells_evidence(&rig);
    }
}

#[test]
fn a_jail_that_was_changed_to_need_what_is_not_there_is_disabled() {
    let jail = Some("m".to_owned());
    let mut rig = blaming(Culprit::Surroundings {
        jail,
        database: false,
    });
    rig.does("read-afresh rollback(m)").ok();
}

#[test]
fn the_jail_that_fail2ban_names_comes_before_the_last_changed_one() {
    let jail = Some("a".to_owned());
    let mut rig = blaming(Culprit::Config { jail });
    rig.does("read-afresh rollback(a)").ok();
    assert_tells_evidence(&rig);
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]).rolled_back(&["a"]));
    rig.does("RolledBack read-afresh start");
    // None would be left.
    rig.does_not_start().does("GaveUp");
}

#[test]
fn a_jail_that_the_config_does_not_have_is_not_disabled() {
    let jail = Some("other".to_owned());
    blaming(Culprit::Config { jail }).does("read-afresh rollback(m)");
}

/// The line that makes the expression run for ever is still in the log.
#[test]
fn the_jail_that_made_the_daemon_hang_is_disabled_before_the_start() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.keeps_seeing(&silent(Motion::Busy)).does("diagnose:7");
    rig.gets(Outcome::Diagnosis(Diagnosis {
        words: "f2b/f.m runs".into(),
        burning: Some("m".into()),
        busy: false,
    }));
    rig.does("DaemonHung rollback(m)").ok();
    rig.does("RolledBack read-afresh");
    let told = rig.told.last().unwrap();
    assert!(
        told.message.contains("its filter made fail2ban hang"),
        "{told}"
    );
    let file = "/etc/fail2ban/jail.d/zzz-jailwarden-m.local";
    assert_eq!(told.file.as_deref(), Some(file.as_ref()));
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("save")
        .ok();
    rig.does("TERM:7").exits(7).does("start");
    rig.ok().sees(answers_as(8, &["a"])).does("AllClear try(m)");
    // It passes every trial, so only time brings it back.
    let sound = Trial::Sound { digest: 1 };
    rig.gets(Outcome::Tried(Ok([("m".to_owned(), sound)].into())));
    rig.does("").is("degraded");
}

#[test]
fn where_every_jail_is_to_blame_the_files_come_before_a_daemon_without_jails() {
    let memory = Memory {
        good: Some(1),
        ..Memory::default()
    };
    let faulty = config(&["a", "m"]).fault("a", true).fault("m", true);
    let mut rig = Rig::stock(memory, faulty, absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising ChangeRefused DaemonDown put-back(x.conf)");
}

#[test]
fn without_a_good_config_every_jail_to_blame_is_disabled() {
    let faulty = config(&["a", "m"]).fault("a", true).fault("m", true);
    let mut rig = Rig::stock(Memory::default(), faulty, absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising ChangeRefused DaemonDown rollback(a m)");
}

#[test]
fn a_change_in_the_moment_of_the_start_is_read_before_it() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7)
        .sees(absent(unit_killed()))
        .does("DaemonDown start");
    rig.gets(Outcome::ConfigMoved).does("read-afresh");
    rig.reads(config(&["a", "m"]).fault("m", true));
    rig.does("ChangeRefused rollback(m)");
    assert_eq!(rig.machine.starts.len(), 0);
}

#[test]
fn a_config_that_never_rests_is_started_with_in_the_end() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_killed()));
    for version in 2..5 {
        let known = matches!(
            rig.asked.last(),
            Some((_, Effect::Start { known: Some(_) }))
        );
        assert!(known);
        rig.gets(Outcome::ConfigMoved)
            .reads(config_of_versions(&[("a", version)]));
    }
    let last = rig.asked.last().map(|(_, effect)| effect);
    assert_eq!(last, Some(&Effect::Start { known: None }));
}
