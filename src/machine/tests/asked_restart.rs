//! A restart that people ask for.

use super::command::{answered, given_up, tell};
use super::*;

#[test]
fn a_restart_stops_starts_and_proves() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(tell(Command::Restart)).does("");
    rig.sees(answers(&["a", "m"])).does("Restarting save");
    rig.ok().does("ask-stop");
    rig.gets(Outcome::StopAsked(StopAnswer::Agreed))
        .exits(7)
        .does("start");
    rig.ok().sees(answers_as(8, &["a"]));
    answered(&mut rig, "");
    rig.pass(secs(1))
        .sees(answers_as(8, &["a", "m"]))
        .does("AllClear");
    answered(&mut rig, "done:2");
}

/// Whether it may be started again has to be known before it is stopped.
#[test]
fn before_a_restart_systemd_is_asked_at_once() {
    let asked = |rig: &Rig| {
        let looks = rig.asked.iter();
        let looks = looks.filter(|(_, it)| matches!(it, Effect::Look { unit: true, .. }));
        looks.count()
    };
    let mut rig = Rig::healthy(&["a"]);
    rig.event(tell(Command::Restart));
    assert_eq!(asked(&rig), 1);
    // Also where a look is under way that does not ask.
    let mut rig = Rig::healthy(&["a"]);
    rig.pass(secs(10));
    assert_eq!(asked(&rig), 0);
    rig.event(tell(Command::Restart)).touched();
    assert_eq!(asked(&rig), 1);
}

#[test]
fn a_stop_that_is_refused_leaves_it_as_it_is() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(tell(Command::Restart)).sees(answers(&["a"])).ok();
    rig.gets(Outcome::StopAsked(StopAnswer::Refused("no".into())));
    answered(&mut rig, "refused:0 fail2ban refused to stop: no");
    rig.does("Restarting save ask-stop")
        .sees(answers(&["a"]))
        .does("AllClear");
    assert!(!rig.kept.stopping);
}

#[test]
fn a_config_that_would_not_start_is_no_reason_to_lose_what_runs() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a", "m"]).fault("m", true))
        .does("read ChangeRefused");
    rig.event(tell(Command::Restart)).does("");
    answered(&mut rig, "refused:1");
}

#[test]
fn a_config_that_cannot_be_checked_is_not_started_with() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched()
        .reads_as(ConfigRead::Failed("no Python".into()));
    rig.does("read ChangeRefused");
    rig.event(tell(Command::Restart)).does("");
    let why = "refused:0 the config could not be checked: no Python";
    answered(&mut rig, why);
    rig.event(tell(Command::Reload)).does("read-afresh");
    rig.reads_as(ConfigRead::Failed("no Python".into()));
    answered(&mut rig, why);
}

#[test]
fn one_that_could_not_be_started_again_is_not_stopped() {
    let mut masked = answers(&["a"]);
    masked.unit = Some(unit(ActiveState::Active, "success", ExitKind::None, 0));
    masked.unit.as_mut().unwrap().load = "masked".into();
    let mut packages = answers(&["a"]);
    packages.packages = true;
    for (sight, why) in [
        (
            masked,
            "refused:0 fail2ban is not restarted while its unit is masked",
        ),
        (
            packages,
            "refused:0 fail2ban is not restarted while packages are being installed",
        ),
    ] {
        let mut rig = Rig::healthy(&["a"]);
        rig.event(tell(Command::Restart)).sees(sight).does("");
        answered(&mut rig, why);
        rig.is("healthy");
    }
}

#[test]
fn a_daemon_that_is_down_is_started() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_stopped())).does("Standby");
    rig.event(tell(Command::Restart)).does("Restarting start");
    rig.ok().sees(answers_as(8, &["a"]));
    answered(&mut rig, "done:1");
}

#[test]
fn one_that_every_way_has_failed_to_start_is_tried_at_once() {
    let mut rig = given_up();
    rig.event(tell(Command::Restart)).does("Restarting start");
    rig.ok().sees(answers_as(8, &["a"]));
    answered(&mut rig, "done:1");
    // Not with a config that is just being read.
    let mut rig = given_up();
    rig.touched().pass(secs(1)).does("read");
    rig.event(tell(Command::Restart)).does("");
    rig.reads(config(&["a"])).does("Restarting start");
}

#[test]
fn a_stop_by_other_hands_ends_a_restart() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_killed()));
    rig.event(tell(Command::Restart));
    rig.ok().sees(absent(unit_stopped()));
    rig.does("DaemonDown start Standby");
    answered(&mut rig, "refused:0 somebody stopped fail2ban meanwhile");
}

#[test]
fn a_restart_under_way_is_the_one_that_was_asked_for() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7)
        .sees(absent(unit_killed()))
        .does("DaemonDown start");
    rig.event(tell(Command::Restart)).does("");
    rig.ok().sees(answers_as(8, &["a"]));
    answered(&mut rig, "done:1");
}

#[test]
fn one_that_does_not_come_back_names_the_suspect_and_the_ladder_goes_on() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 1), ("m", 2)]))
        .applied();
    rig.sees(answers(&["a", "m"]))
        .does("read apply(+m) ChangeApplied");
    rig.event(tell(Command::Restart));
    rig.sees(answers(&["a", "m"])).ok();
    rig.gets(Outcome::StopAsked(StopAnswer::Agreed)).exits(7);
    rig.does("Restarting save ask-stop start").does_not_start();
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    answered(&mut rig, "not-back:Some(\"m\")");
    rig.does("read-afresh rollback(m)").is("rolling-back");
}

#[test]
fn people_do_not_use_up_the_budget() {
    let mut rig = Rig::healthy(&["a"]);
    for pid in 8..20 {
        rig.event(tell(Command::Restart));
        rig.sees(answers_as(pid - 1, &["a"])).ok();
        rig.gets(Outcome::StopAsked(StopAnswer::Agreed))
            .exits(pid - 1);
        rig.ok().sees(answers_as(pid, &["a"]));
        answered(&mut rig, "done:1");
    }
    rig.exits(19).sees(absent(unit_killed()));
    rig.is("restarting");
}
