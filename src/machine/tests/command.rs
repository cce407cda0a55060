//! What people tell jailwarden to do, and what they are answered.

use super::*;

pub(super) fn tell(command: Command) -> Event {
    Event::Operator(Operator::Do(CommandId(1), command))
}

pub(super) fn roll_back(jail: &str) -> Event {
    let jail = jail.to_owned();
    tell(Command::RollBack { jail })
}

#[track_caller]
pub(super) fn answered(rig: &mut Rig, expected: &str) {
    let answers = std::mem::take(&mut rig.answers);
    let words = answers.iter().map(|answer| match answer {
        Answer::Done { alive } => format!("done:{alive}"),
        Answer::Refused { why, findings } => format!("refused:{} {why}", findings.len()),
        Answer::Unreachable { why } => format!("unreachable: {why}"),
        Answer::NotBack { why, suspect } => format!("not-back:{suspect:?} {why}"),
        Answer::UnknownJail => "unknown".to_owned(),
    });
    let words: Vec<_> = words.collect();
    assert!(
        words.len() == usize::from(!expected.is_empty()) && words.concat().starts_with(expected),
        "{words:?}, not {expected:?}"
    );
}

#[test]
fn a_reload_applies_what_changed_without_waiting_for_quiet() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.touched()
        .event(tell(Command::Reload))
        .does("read-afresh");
    answered(&mut rig, "");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.applied().sees(answers(&["a", "m"]));
    answered(&mut rig, "done:2");
}

#[test]
fn a_reload_of_what_would_be_refused_touches_nothing() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(tell(Command::Reload)).does("read-afresh");
    rig.reads(config(&["a", "m"]).fault("m", true))
        .does("ChangeRefused");
    answered(&mut rig, "refused:1 fail2ban would refuse");
    rig.is("degraded");
}

#[test]
fn a_reload_of_a_daemon_that_cannot_be_asked_is_said_to_be_so() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_stopped())).does("Standby");
    rig.event(tell(Command::Reload)).does("");
    answered(&mut rig, "unreachable: fail2ban is stopped on purpose");
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Busy)).event(tell(Command::Reload));
    answered(&mut rig, "unreachable: fail2ban does not answer");
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(unaskable()).event(tell(Command::Reload));
    answered(&mut rig, "unreachable: fail2ban lives, without a socket");
    let mut rig = given_up();
    rig.event(tell(Command::Reload)).does("read-afresh");
    answered(
        &mut rig,
        "unreachable: fail2ban is down and does not come back",
    );
    rig.reads(config(&["a"])).sees(absent(unit_failed(255)));
    rig.does("Restarting start");
}

/// Every way has failed, and it is down.
pub(super) fn given_up() -> Rig {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.fails("no such unit").does("DaemonDown start GaveUp");
    rig
}

#[test]
fn a_command_waits_for_what_is_under_way() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched().pass(secs(1)).does("read");
    rig.event(tell(Command::Reload)).does("");
    rig.reads(config(&["a"])).does("read-afresh");
    rig.reads(config(&["a"]));
    answered(&mut rig, "done:1");
    rig.touched().pass(secs(1)).does("read");
    rig.event(tell(Command::Restart)).does("");
    rig.reads(config(&["a"])).sees(answers(&["a"]));
    rig.does("Restarting save");
    // It has just ended, and is started first.
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).event(tell(Command::Reload)).does("");
    rig.sees(absent(unit_killed())).does("DaemonDown start");
    rig.ok().sees(answers_as(8, &["a"]));
    rig.does("AllClear read-afresh").reads(config(&["a"]));
    answered(&mut rig, "done:1");
}

#[test]
fn what_cannot_be_begun_for_minutes_is_refused() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched().pass(secs(1)).does("read");
    rig.event(tell(Command::Restart)).pass(secs(301)).does("");
    answered(&mut rig, "refused:0 it was not begun");
}

#[test]
fn while_others_are_at_work_on_it_nothing_is_begun() {
    let stopping = Sight {
        unit: Some(with_job(unit(
            ActiveState::Deactivating,
            "success",
            ExitKind::None,
            0,
        ))),
        ..silent(Motion::Busy)
    };
    let mut unpacked = absent(unit_failed(1));
    unpacked.packages = true;
    for (sight, why) in [
        (
            absent(unit_restarting()),
            "refused:0 systemd is at work on fail2ban",
        ),
        (unpacked, "refused:0 packages are being installed"),
        (stopping, "refused:0 systemd is stopping fail2ban"),
    ] {
        for command in [Command::Reload, Command::Restart] {
            let mut rig = Rig::healthy(&["a"]);
            rig.sees(sight.clone()).event(tell(command));
            answered(&mut rig, why);
        }
    }
}

#[test]
fn a_reload_that_does_harm_is_owned_up_to() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(tell(Command::Reload));
    rig.reads(config_of_versions(&[("a", 2)]))
        .does("read-afresh apply(+a)");
    rig.applied().exits(7).sees(absent(unit_killed()));
    answered(&mut rig, "not-back:None");
}

#[test]
fn a_jail_is_disabled_in_a_daemon_that_runs() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(roll_back("m")).does("rollback(m)");
    rig.ok().does("RolledBack read-afresh");
    let told = rig.told.last().unwrap();
    assert_eq!(told.reason.as_deref(), Some("asked for by hand"));
    rig.reads(config(&["a"]).rolled_back(&["m"]))
        .does("apply(-m)");
    rig.applied().sees(answers(&["a"]));
    answered(&mut rig, "done:1");
    assert_eq!(rig.told(Kind::AllClear), 0);
    // It is a person's to bring back.
    rig.pass(secs(30 * 3600)).is("degraded");
    rig.does("ChangeApplied");
}

#[test]
fn a_daemon_that_fails_meanwhile_is_owned_up_to_or_brought_back_first() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(roll_back("m")).ok();
    rig.reads(config(&["a"]).rolled_back(&["m"]));
    rig.gets(Outcome::Applied(Applied {
        unreachable: Some("it does not answer".into()),
        ..Applied::default()
    }));
    rig.sees(silent(Motion::Progressing));
    answered(&mut rig, "not-back:None fail2ban does not answer any more");
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(roll_back("m")).exits(7).ok();
    rig.reads(config(&["a"]).rolled_back(&["m"]));
    answered(&mut rig, "");
    rig.sees(absent(unit_killed())).ok();
    rig.sees(answers_as(8, &["a"]));
    answered(&mut rig, "done:1");
}

#[test]
fn a_jail_is_disabled_before_a_daemon_that_is_down_is_started() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_stopped())).does("Standby");
    rig.event(roll_back("m")).does("Restarting rollback(m)");
    rig.ok().reads(config(&["a"]).rolled_back(&["m"]));
    rig.does("RolledBack read-afresh start");
    rig.ok().sees(answers_as(8, &["a"]));
    answered(&mut rig, "done:1");
}

#[test]
fn a_rollback_that_cannot_be_written_is_refused() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(roll_back("m")).fails("no room");
    answered(
        &mut rig,
        "refused:0 the rollback could not be written: no room",
    );
}

#[test]
fn a_jail_is_disabled_though_the_config_cannot_be_read() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a", "m"]).unreadable());
    rig.event(roll_back("m"));
    rig.does("read ChangeRefused rollback(m)");
}

#[test]
fn a_jail_that_has_not_run_yet_is_known_by_the_config() {
    let memory = Memory {
        accepted: config(&["a"]).plan,
        ..Memory::default()
    };
    let mut rig = Rig::stock(memory, config(&["a", "m"]), absent(unit_stopped()));
    rig.does("read-afresh ready Supervising Standby");
    rig.event(roll_back("m")).does("Restarting rollback(m)");
    // It is faulty.
    let mut rig = Rig::healthy(&["a"]);
    rig.edits(config(&["a"]).fault("m", true));
    rig.event(roll_back("m"));
    rig.does("read ChangeRefused rollback(m)");
}

#[test]
fn a_jail_that_is_disabled_already_is_left_as_it_is() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(roll_back("m")).ok();
    rig.reads(config(&["a"]).rolled_back(&["m"])).applied();
    rig.sees(answers(&["a"]));
    answered(&mut rig, "done:1");
    rig.does("rollback(m) RolledBack read-afresh apply(-m) ChangeApplied");
    rig.event(roll_back("m")).sees(answers(&["a"])).does("");
    answered(&mut rig, "done:1");
}

#[test]
fn a_rollback_that_does_not_disable_its_jail_is_owned_up_to() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(roll_back("m")).ok();
    let mut enabled = config(&["a", "m"]);
    enabled.rollbacks = set(&["m"]);
    rig.reads(enabled.sealed()).sees(answers(&["a", "m"]));
    answered(&mut rig, "refused:0 its rollback is written, but something");
}

#[test]
fn nobody_s_jail_is_unknown() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(roll_back("sshd")).does("");
    answered(&mut rig, "unknown");
}

#[test]
fn nothing_is_done_while_it_is_paused() {
    let mut rig = Rig::healthy(&["a"]);
    let why = "root: works".to_owned();
    rig.event(Event::Operator(Operator::Pause { left: None, why }));
    rig.does("Paused");
    for command in [Command::Reload, Command::Restart] {
        rig.event(tell(command)).does("");
        answered(&mut rig, "refused:0 jailwarden is paused (root: works)");
    }
}

#[test]
fn a_pause_ends_what_has_begun() {
    let pause = || {
        let why = "root: works".to_owned();
        Event::Operator(Operator::Pause { left: None, why })
    };
    let mut rig = Rig::healthy(&["a"]);
    rig.event(tell(Command::Reload)).event(pause());
    rig.touched().does("read-afresh Paused");
    answered(&mut rig, "refused:0 jailwarden is paused (root: works)");
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_killed()));
    rig.event(tell(Command::Restart)).event(pause());
    rig.does_not_start().touched();
    rig.does("DaemonDown start Paused");
    answered(&mut rig, "refused:0 jailwarden is paused (root: works)");
}

#[test]
fn nobody_waits_for_ever() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(tell(Command::Reload)).does("read-afresh");
    rig.pass(secs(301));
    answered(&mut rig, "not-back:None it is still under way");
}

#[test]
fn an_incident_is_recorded_when_it_ends() {
    let mut rig = Rig::healthy(&["a"]);
    rig.pass(secs(5)).exits(7).sees(absent(unit_killed()));
    let under_way = rig.machine.snapshot().incident.unwrap();
    assert!(
        under_way.what.starts_with("fail2ban is down"),
        "{under_way:?}"
    );
    rig.pass(secs(3).saturating_sub(Policy::FAST_PACE))
        .ok()
        .sees(answers_as(8, &["a"]));
    let [ended] = rig.ended.as_slice() else {
        panic!("{:?}", rig.ended)
    };
    assert_eq!(ended.id, under_way.id);
    assert_eq!(ended.ended, Some((End::Protected, rig.now)));
    assert_eq!(ended.unprotected["a"], secs(3));
}

#[test]
fn jails_are_shown_with_what_keeps_them() {
    let mut rig = Rig::healthy(&["a", "m", "z"]);
    rig.edits(config(&["a", "m", "z", "new"]).fault("new", false));
    rig.sees(with_dead(7, &["a", "m", "z"], &["m"]));
    let views = rig.machine.snapshot().jails;
    let all: Vec<_> = views
        .iter()
        .map(|(jail, view)| (jail.as_str(), view.condition, view.listed))
        .collect();
    assert_eq!(
        all,
        [
            ("a", Condition::Protects, Some(true)),
            ("m", Condition::Dead, Some(true)),
            ("new", Condition::Waiting, Some(false)),
            ("z", Condition::Protects, Some(true)),
        ]
    );
    let why = views["new"].why.as_deref();
    assert!(why.is_some_and(|why| why.contains("new is faulty")));
    assert_eq!(views["a"].why, None);
}
