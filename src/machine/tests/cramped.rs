//! Daemons that may open no more files.

use super::*;

fn cramped(sight: Sight) -> Sight {
    let health = Health {
        cramped: Some("of the 30 files that its limit allows, 30 are open".into()),
        ..Health::default()
    };
    Sight { health, ..sight }
}

#[test]
fn one_that_lasts_is_restarted() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let full = cramped(answers(&["a", "m"]));
    rig.sees(full.clone()).does("").is("healthy");
    rig.sees(full).does("JailAiling save").ok().does("ask-stop");
    let told = rig.told.last().unwrap();
    assert_eq!(told.jails, ["a", "m"]);
    assert!(
        told.incident.is_some() && told.message.contains("30 are open"),
        "{told}"
    );
    rig.gets(Outcome::StopAsked(StopAnswer::Agreed)).exits(7);
    rig.does("start").ok().sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear").is("healthy");
    let lost = rig.machine.snapshot().unprotected;
    assert_eq!(lost.keys().collect::<Vec<_>>(), ["a", "m"]);
    // From the first look that saw it.
    assert!(lost["a"] >= secs(10), "{lost:?}");
}

#[test]
fn one_of_a_moment_is_no_fault() {
    let mut rig = Rig::healthy(&["a"]);
    for _ in 0..3 {
        rig.sees(cramped(answers(&["a"]))).sees(answers(&["a"]));
    }
    rig.does("").is("healthy");
}

#[test]
fn one_that_cannot_be_asked_is_told_to_end() {
    let mut rig = Rig::healthy(&["a"]);
    let full = cramped(silent(Motion::Progressing));
    rig.keeps_seeing(&full).does("JailAiling save");
    rig.ok().does("TERM:7").exits(7).does("start");
}

#[test]
fn one_that_a_restart_does_not_cure_is_told_and_left_alone_for_an_hour() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(2, &cramped(answers(&["a"]))).ok();
    rig.gets(Outcome::StopAsked(StopAnswer::Agreed)).exits(7);
    rig.ok().sees(answers_as(8, &["a"]));
    rig.does("JailAiling save ask-stop start AllClear");
    let full = cramped(answers_as(8, &["a"]));
    rig.sees_for(2, &full).does("JailAiling").is("degraded");
    assert!(rig.told.last().unwrap().message.contains("LimitNOFILE="));
    rig.sees_for(300, &full).does("").is("degraded");
    // Somebody gives it more.
    rig.sees(answers_as(8, &["a"]))
        .does("AllClear")
        .is("healthy");
    rig.sees_for(100, &answers_as(8, &["a"])).does("");
    rig.sees_for(2, &full)
        .does("JailAiling save")
        .ok()
        .does("ask-stop");
}

#[test]
fn a_paused_jailwarden_leaves_it_alone() {
    let mut rig = Rig::healthy(&["a"]);
    let why = "root: a test".to_owned();
    rig.event(Event::Operator(Operator::Pause { left: None, why }));
    rig.sees_for(20, &cramped(answers(&["a"]))).does("Paused");
}

#[test]
fn one_that_gave_out_was_not_stopped_by_anybody() {
    let mut stopped = absent(unit_stopped());
    stopped.health.gave_out = true;
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(stopped).does("DaemonDown start");
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(absent(unit_stopped())).does("Standby");
}

#[test]
fn a_killed_jailwarden_restarts_none_again() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(2, &cramped(answers(&["a"])));
    rig.does("JailAiling save");
    let full = cramped(answers_as(8, &["a"]));
    for (age, does) in [
        (secs(60), "JailAiling"),
        (Policy::CURE_WINDOW, "JailAiling save"),
    ] {
        let memory = Memory {
            stopping: false,
            age,
            ..rig.kept.clone()
        };
        let mut rig = Rig::stock(memory, config(&["a"]), answers_as(8, &["a"]));
        rig.does("read-afresh ready Supervising");
        rig.keeps_seeing(&full).does(does);
    }
}

/// It could be one with which it does not come back.
#[test]
fn a_config_that_changes_meanwhile_is_read_before_it_is_restarted() {
    let mut rig = Rig::healthy(&["a"]);
    let full = cramped(answers(&["a"]));
    rig.sees(full.clone()).pass(ms(9800)).touched();
    rig.sees(full.clone()).does("");
    rig.reads_as(ConfigRead::Unchanged).keeps_seeing(&full);
    rig.does("read JailAiling save");
}

#[test]
fn one_that_systemd_stops_is_left_to_that() {
    let mut rig = Rig::healthy(&["a"]);
    let stopping = unit(ActiveState::Deactivating, "success", ExitKind::None, 0);
    let mut full = cramped(silent(Motion::Progressing));
    full.unit = Some(with_job(stopping));
    rig.sees_for(20, &full).does("").is("suspect");
}
