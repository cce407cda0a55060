//! A daemon without a socket, and one that has died.

use super::*;

#[test]
fn a_daemon_without_a_socket_is_restarted_after_a_while() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(unaskable());
    let since = rig.now;
    rig.sees_for(9, &unaskable()).does("").is("suspect");
    rig.keeps_seeing(&unaskable());
    assert_eq!(rig.now.since(since), Policy::default().comeback);
    let incident = rig.machine.snapshot().incident.unwrap();
    assert_eq!(incident.since, rig.now, "it protects until it is stopped");
    rig.does("DaemonHung save").ok().does("TERM:7");
    rig.exits(7).does("start");
}

#[test]
fn a_daemon_without_a_socket_protects_so_a_faulty_change_keeps_it() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 2), ("m", 1)]).fault("a", true));
    rig.sees_for(50, &unaskable())
        .does("read ChangeRefused DaemonHung")
        .is("suspect");
    rig.edits(config(&["a", "m"])).does("read ChangeWithdrawn");
    rig.keeps_seeing(&unaskable()).does("DaemonHung save");
}

#[test]
fn a_change_under_a_daemon_without_a_socket_is_read_before_it_is_restarted() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(5, &unaskable());
    rig.edits(config_of_versions(&[("a", 2), ("m", 1)]).fault("a", true))
        .does("read ChangeRefused");
    rig.keeps_seeing(&unaskable())
        .does("DaemonHung")
        .is("suspect");
}

#[test]
fn another_sign_begins_anew() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees(with_dead(7, &["a", "m"], &["m"]))
        .sees(unaskable());
    let since = rig.now;
    rig.keeps_seeing(&unaskable()).does("DaemonHung save");
    assert_eq!(rig.now.since(since), Policy::default().comeback);
}

#[test]
fn a_socket_that_is_away_while_systemd_has_a_job_is_no_reason_to_restart() {
    let mut rig = Rig::healthy(&["a"]);
    let running = unit(ActiveState::Active, "success", ExitKind::None, 0);
    let at_work = Sight {
        unit: Some(with_job(running)),
        ..unaskable()
    };
    rig.sees_for(50, &at_work).does("").is("suspect");
}

#[test]
fn a_socket_that_comes_back_is_enough() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(5, &unaskable())
        .event(Event::Observed(Observed::SocketMoved));
    rig.sees(answers(&["a"]))
        .reads_as(ConfigRead::Unchanged)
        .is("healthy");
}

// ---- death

#[test]
fn what_systemd_brings_back_in_an_incident_is_told_once() {
    let mut rig = Rig::healthy(&["a"]);
    let mut restarting = unit_restarting();
    restarting.sub = "auto-restart".into();
    rig.exits(7).sees(absent(restarting)).does("DaemonDown");
    let revived = Sight {
        revived: true,
        ..answers_as(8, &["a"])
    };
    rig.sees(revived).does("BackByHand AllClear read-afresh");
}

#[test]
fn systemds_own_restart_is_waited_for() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7)
        .sees_for(5, &absent(unit_restarting()))
        .does("")
        .is("suspect");
    rig.sees(answers_as(8, &["a"]))
        .does("BackByHand read-afresh");
    rig.reads(config(&["a"])).is("healthy");
}

#[test]
fn a_death_that_systemd_mended_before_anybody_looked_is_an_incident_all_the_same() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).pass(ms(300));
    let mut sight = answers_as(8, &["a"]);
    sight.revived = true;
    rig.sees(sight).does("DaemonDown AllClear read-afresh");
    assert_eq!(rig.ended[0].unprotected["a"], ms(300));
}

#[test]
fn a_unit_that_systemd_does_not_bring_back_is_started() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).does("");
    let died = rig.now;
    rig.keeps_seeing(&absent(unit_restarting()))
        .does("DaemonDown start");
    assert!(rig.now.since(died) >= secs(10));
}

#[test]
fn a_death_is_looked_at_at_once_and_answered_with_a_start() {
    for sight in [absent(unit_killed()), gone(None, true)] {
        let mut rig = Rig::healthy(&["a"]);
        rig.exits(7);
        assert!(rig.machine.look.is_some());
        rig.sees(sight).does("DaemonDown start");
        rig.ok()
            .sees(answers_as(8, &["a"]))
            .does("AllClear")
            .is("healthy");
    }
}

#[test]
fn a_dead_daemon_has_no_active_jails() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let counts = |rig: &Rig| {
        let now = rig.machine.snapshot();
        (now.listed, now.alive, now.pid)
    };
    assert_eq!(counts(&rig), (2, 2, Some(7)));
    rig.exits(7);
    assert_eq!(counts(&rig), (0, 0, None));
    assert_eq!(rig.machine.snapshot().jails["a"].listed, None);
}

#[test]
fn an_answer_from_before_the_death_does_not_count() {
    let mut rig = Rig::healthy(&["a"]);
    rig.pass(secs(10));
    let old = rig.machine.look.unwrap();
    rig.exits(7)
        .event(done(old, Outcome::Seen(answers(&["a"]))));
    assert_eq!(rig.machine.snapshot().pid, None);
    rig.sees(absent(unit_killed())).does("DaemonDown start");
}

#[test]
fn it_is_looked_at_at_the_usual_pace_while_the_config_is_checked() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched().pass(secs(2)).does("read").is("checking");
    rig.sees(answers(&["a"]));
    let seen = rig.now;
    rig.sees(silent(Motion::Progressing));
    assert_eq!(rig.now.since(seen), Policy::default().interval);
    let silent = rig.now;
    rig.sees(answers(&["a"])).is("checking");
    assert_eq!(rig.now.since(silent), Policy::SUSPECT_PACE);
}

#[test]
fn a_hang_is_seen_while_the_config_is_checked() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.touched().pass(secs(1)).does("read").is("checking");
    rig.sees(answers(&["a", "m"])).does("").is("checking");
    rig.sees(silent(Motion::Progressing))
        .does("")
        .is("checking");
    rig.sees(silent(Motion::Busy)).does("").is("checking");
    rig.keeps_seeing(&silent(Motion::Busy));
    rig.does("diagnose:7").is("restarting");
    rig.gets(Outcome::Diagnosis(Diagnosis::default()));
    rig.does("DaemonHung read-afresh");
}

#[test]
fn a_hang_is_seen_while_a_change_is_applied() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.does("read apply(+m)").is("reloading");
    let begun = rig.now;
    rig.sees(silent(Motion::Progressing))
        .does("")
        .is("reloading");
    assert!(rig.now.since(begun) >= secs(10), "one connection at a time");
    rig.sees(silent(Motion::Frozen)).does("diagnose:7");
    rig.gets(Outcome::Diagnosis(Diagnosis::default()));
    rig.does("DaemonHung read-afresh");
    // What was being applied is on disk, and is what it starts with.
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.does("save").ok().does("TERM:7").exits(7).does("start");
    rig.ok().sees(answers_as(8, &["a", "m"])).is("healthy");
}

#[test]
fn a_hang_is_seen_while_a_disabled_jail_is_tried() {
    let disabled = config(&["a", "m"]).rolled_back(&["m"]);
    let mut rig = Rig::stock(Memory::default(), disabled, answers(&["a"]));
    rig.does("read-afresh ready Supervising try(m)")
        .is("mending");
    rig.sees(silent(Motion::Frozen)).does("diagnose:7");
}

/// Its thread ends again seconds after each time, as with an action that fails at each ban.
#[test]
fn a_jail_that_dies_again_and_again_is_loaded_ever_more_rarely() {
    use super::world::World;
    let mut world = World::new(&["a", "m"], true);
    let mut loads = Vec::new();
    for _ in 0..(24 * 3600 / 2) {
        let reports = world.reports.len();
        world.kill_jail("a");
        world.pass(secs(2));
        let told = &world.reports[reports..];
        loads.extend(
            told.iter()
                .filter(|r| r.message.contains("alone"))
                .map(|_| world.now),
        );
        assert!(world.protecting().contains("m"));
    }
    assert!(loads.len() >= 10, "{}", loads.len());
    assert!(world.reports.len() < 100, "{:#?}", world.reports);
    let waits: Vec<_> = loads.windows(2).map(|two| two[1].since(two[0])).collect();
    assert!(
        waits
            .iter()
            .all(|wait| *wait < Policy::MEND_LIMIT + secs(60))
    );
    // It is alive in the end.
    world.pass(Policy::MEND_LIMIT + secs(60));
    assert_eq!(world.protecting(), set(&["a", "m"]));
}

#[test]
fn a_change_of_the_config_ends_the_rest_of_a_jail() {
    use super::world::{Fault, World};
    let mut world = World::new(&["a", "m"], true);
    for _ in 0..1000 {
        world.kill_jail("a");
        world.pass(secs(2));
    }
    assert_eq!(world.protecting(), set(&["m"]));
    world.edit("a", Fault::None);
    world.pass(secs(20));
    assert_eq!(world.protecting(), set(&["a", "m"]));
}

#[test]
fn a_look_that_is_lost_is_made_again_in_a_second() {
    let mut rig = Rig::healthy(&["a"]);
    rig.pass(Policy::default().interval);
    let look = rig.machine.look.unwrap();
    rig.event(done(look, Outcome::Lost));
    let next = rig.now + Policy::SUSPECT_PACE;
    assert_eq!(
        (rig.machine.look, rig.machine.poll_timeout()),
        (None, Some(next))
    );
}
