//! Signs of trouble: silence, dead jails, a missing socket, death.

use super::*;

// ---- silence

#[test]
fn a_frozen_daemon_is_diagnosed_and_restarted() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen)).does("diagnose:7");
    rig.gets(Outcome::Diagnosis(Diagnosis::default()))
        .does("DaemonHung save");
    assert!(
        rig.kept.stopping,
        "on disk before the effect that depends on it"
    );
    rig.ok().does("TERM:7").exits(7).does("start");
    rig.ok()
        .sees(answers_as(8, &["a"]))
        .does("AllClear")
        .is("healthy");
    assert!(!rig.kept.stopping);
}

#[test]
fn a_daemon_that_gets_on_with_something_is_waited_for() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(30, &silent(Motion::Progressing))
        .does("")
        .is("suspect");
    // That it stays so is told, once.
    rig.sees_for(270, &silent(Motion::Progressing))
        .does("DaemonHung")
        .is("suspect");
    rig.sees(answers(&["a"])).reads_as(ConfigRead::Unchanged);
    rig.does("AllClear read-afresh").is("healthy");
}

#[test]
fn a_hang_while_systemd_has_a_job_is_left_to_that() {
    let mut rig = Rig::healthy(&["a"]);
    let running = unit(ActiveState::Active, "success", ExitKind::None, 0);
    let mut frozen = silent(Motion::Frozen);
    frozen.unit = Some(with_job(running.clone()));
    rig.sees_for(60, &frozen).does("").is("suspect");
    frozen.unit = Some(running);
    rig.sees(frozen).does("diagnose:7");
}

#[test]
fn a_job_that_lasts_is_told_and_is_no_reason_to_leave_a_hang_alone_for_ever() {
    let mut rig = Rig::healthy(&["a"]);
    let running = unit(ActiveState::Active, "success", ExitKind::None, 0);
    let mut frozen = silent(Motion::Frozen);
    frozen.unit = Some(with_job(running));
    rig.sees(frozen.clone());
    let first = rig.now;
    rig.keeps_seeing(&frozen).does("DaemonHung");
    let told = rig.told.last().unwrap();
    assert!(told.message.contains("systemctl list-jobs"), "{told}");
    assert!(rig.now.since(MonoTime::START) < secs(120), "{:?}", rig.now);
    rig.sees_for(400, &frozen).does("").is("suspect");
    rig.keeps_seeing(&frozen).does("diagnose:7");
    assert_eq!(rig.now.since(first), Policy::JOB_LIMIT);
}

/// A start that waits behind something else which hangs.
#[test]
fn a_job_that_lasts_for_ever_is_given_up_on() {
    let mut rig = Rig::healthy(&["a"]);
    let waits = absent(with_job(unit_stopped()));
    rig.exits(7).keeps_seeing(&waits).does("DaemonDown");
    let told = rig.told.last().unwrap();
    assert!(told.message.contains("systemctl list-jobs"), "{told}");
    rig.sees_for(400, &waits).does("");
    rig.keeps_seeing(&waits).does("GaveUp");
    assert!(rig.now.since(MonoTime::START) >= Policy::JOB_LIMIT);
    rig.pass(secs(20)).sees(waits).does("Restarting start");
}

#[test]
fn an_admin_s_stop_that_lasts_is_no_reason_to_start() {
    let mut rig = Rig::healthy(&["a"]);
    let mut leaving = absent(with_job(unit(
        ActiveState::Deactivating,
        "success",
        ExitKind::Exited,
        0,
    )));
    rig.exits(7);
    while rig.now.since(MonoTime::START) < Policy::JOB_LIMIT * 2 {
        rig.sees(leaving.clone());
    }
    rig.does("DaemonDown");
    leaving.unit = Some(unit_stopped());
    rig.sees(leaving).does("Standby");
}

#[test]
fn a_busy_daemon_has_until_the_limit() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Busy));
    let first = rig.now;
    rig.keeps_seeing(&silent(Motion::Busy)).does("diagnose:7");
    // 30 s with the 5 s of the first ping, and at most the pause between two looks.
    let waited = rig.now.since(first);
    assert!(waited >= secs(25) && waited <= secs(26), "{waited:?}");
}

/// Each look waits for an answer in vain, and the last one begins so that the verdict is not late.
#[test]
fn the_last_look_at_a_busy_daemon_ends_when_the_limit_is_over() {
    let ends_with = |limit| {
        let mut rig = Rig::healthy(&["a"]);
        let policy = Policy {
            busy_limit: secs(limit),
            ..Policy::default()
        };
        rig.event(Event::SettingsChanged(policy));
        let mut ends = Vec::new();
        let began = rig.now + policy.interval;
        while rig.machine.state_name() != "restarting" {
            while rig.machine.look.is_none() {
                rig.next_deadline();
            }
            rig.pass(policy.timeout);
            rig.sees(silent(Motion::Busy));
            ends.push(rig.now.since(began).as_secs());
        }
        rig.does("diagnose:7");
        ends
    };
    assert_eq!(ends_with(30), [5, 11, 17, 23, 30]);
    assert_eq!(ends_with(27), [5, 11, 17, 27]);
}

#[test]
fn a_stopped_daemon_is_told_to_continue_first() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Stopped)).does("DaemonHung CONT:7");
    assert!(rig.machine.look.is_none(), "it has a moment");
    // What was sent to it before may have been lost.
    rig.ok().sees(answers(&["a"])).does("AllClear read-afresh");
    rig.reads(config(&["a"])).is("healthy");
}

#[test]
fn a_stopped_daemon_that_stays_so_is_restarted() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Stopped))
        .ok()
        .pass(secs(2))
        .does("DaemonHung CONT:7 diagnose:7");
    rig.gets(Outcome::Diagnosis(Diagnosis::default()))
        .ok()
        .does("DaemonHung save TERM:7");
}

#[test]
fn a_continued_daemon_with_a_dead_jail_is_not_killed_for_it() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees(silent(Motion::Stopped))
        .ok()
        .sees(with_dead(7, &["a", "m"], &["m"]));
    rig.does("DaemonHung CONT:7 read-afresh");
    rig.reads(config(&["a", "m"]))
        .keeps_seeing(&with_dead(7, &["a", "m"], &["m"]));
    rig.does("JailDead apply(*m)");
    // That was no restart, so there may be one.
    rig.applied()
        .keeps_seeing(&with_dead(7, &["a", "m"], &["m"]))
        .does("Restarting save");
}

#[test]
fn the_last_known_process_is_meant_when_a_full_backlog_hides_it() {
    let mut rig = Rig::healthy(&["a"]);
    let hidden = Sight {
        daemon: Daemon::Silent {
            pid: None,
            motion: Motion::Stopped,
        },
        unit: None,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    };
    rig.sees(hidden.clone()).does("DaemonHung CONT:7");
    // It must not be started over: `start -x` over a hung server starts a second one.
    rig.ok().sees(hidden).pass(secs(3)).does("diagnose:7");
}

// ---- the jails

#[test]
fn a_dead_jail_is_revived_alone_after_three_looks() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.sees_for(2, &dead).does("").is("suspect");
    rig.sees(dead).does("JailDead apply(*m)");
    rig.applied()
        .sees(answers(&["a", "m"]))
        .does("AllClear")
        .is("healthy");
}

#[test]
fn a_jail_that_is_back_by_itself_is_no_incident() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(2, &with_dead(7, &["a", "m"], &["m"]))
        .sees(answers(&["a", "m"]));
    rig.does("").is("healthy");
}

#[test]
fn another_jail_each_time_is_another_sign() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let (a, m) = (["a"], ["m"]);
    for dead in [m, m, a, a, m, m] {
        rig.sees(with_dead(7, &["a", "m"], &dead)).does("");
    }
    rig.sees(with_dead(7, &["a", "m"], &m));
    rig.does("JailDead apply(*m)");
}

#[test]
fn a_process_that_was_just_started_has_its_time_before_a_jail_is_dead() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_restarting()));
    let dead = with_dead(8, &["a", "m"], &["m"]);
    rig.sees(dead.clone()).does("BackByHand read-afresh");
    rig.reads(config(&["a", "m"]));
    let first = rig.machine.snapshot().first_seen.unwrap();
    rig.keeps_seeing(&dead).does("JailDead apply(*m)");
    let waited = rig.now.since(first);
    assert_eq!(
        waited,
        Policy::default().comeback + 2 * Policy::SUSPECT_PACE
    );
}

#[test]
fn a_jail_that_cannot_be_revived_costs_one_restart_and_then_is_lost() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.sees_for(3, &dead).applied().does("JailDead apply(*m)");
    rig.keeps_seeing(&dead)
        .does("Restarting save")
        .ok()
        .does("ask-stop");
    rig.gets(Outcome::StopAsked(StopAnswer::Agreed))
        .exits(7)
        .ok()
        .does("start");
    let dead = with_dead(8, &["a", "m"], &["m"]);
    rig.sees_for(110, &dead)
        .does("JailDead AllClear")
        .is("degraded");
    rig.sees_for(100, &dead).does("");
    // A change, here of another jail, is the next occasion.
    rig.edits(config_of_versions(&[("a", 2), ("m", 1)]))
        .applied()
        .does("read apply(+a)");
    rig.keeps_seeing(&dead).does("JailDead apply(*m)");
}

#[test]
fn a_jail_that_a_restart_has_brought_back_is_worth_another_one() {
    let mut rig = Rig::healthy(&["a", "m"]);
    for pid in 7..9 {
        let dead = with_dead(pid, &["a", "m"], &["m"]);
        rig.keeps_seeing(&dead).applied().keeps_seeing(&dead);
        rig.does("JailDead apply(*m) Restarting save");
        assert_eq!(rig.told.last().unwrap().jails, ["m"]);
        rig.ok().gets(Outcome::StopAsked(StopAnswer::Agreed));
        rig.exits(pid).ok().sees(answers_as(pid + 1, &["a", "m"]));
        rig.does("ask-stop start AllClear");
    }
}

#[test]
fn a_rest_that_is_over_is_not_begun_again_where_the_daemon_could_take_nothing() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let dead = with_dead(7, &["a", "m"], &["m"]);
    for _ in 0..Policy::REVIVALS {
        rig.keeps_seeing(&dead).applied();
        rig.sees(answers(&["a", "m"]));
        rig.does("JailDead apply(*m) AllClear");
    }
    rig.keeps_seeing(&dead).does("JailDead");
    let told = rig.told.last().unwrap();
    assert!(
        told.message.contains("loaded again it died each time"),
        "{told}"
    );
    rig.sees(dead.clone()).does("AllClear");
    rig.keeps_seeing(&dead).does("JailDead apply(*m)");
    rig.gets(Outcome::Applied(Applied {
        hindered: Some("the database is locked".into()),
        ..Applied::default()
    }));
    rig.does("ChangeRefused").keeps_seeing(&dead);
    rig.does("apply(*m)");
}

#[test]
fn a_load_that_did_not_reach_the_daemon_is_given_again_before_a_restart() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.keeps_seeing(&dead).gets(Outcome::Lost);
    rig.does("JailDead apply(*m)").keeps_seeing(&dead);
    rig.does("JailDead apply(*m)");
    rig.gets(Outcome::Lost).keeps_seeing(&dead);
    rig.does("Restarting save");
}

#[test]
fn a_jail_that_is_dead_after_a_restart_costs_no_other() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_killed())).ok();
    rig.does("DaemonDown start");
    let dead = with_dead(8, &["a", "m"], &["m"]);
    rig.keeps_seeing(&dead).does("JailDead apply(*m)");
    rig.applied().keeps_seeing(&dead).does("JailDead");
    rig.sees_for(100, &dead).does("AllClear").is("degraded");
}

/// What it died of may be gone by then.
#[test]
fn a_jail_that_is_lost_is_loaded_again_by_the_clock() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a", "m"]).unreadable());
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.sees_for(3, &dead).applied().keeps_seeing(&dead);
    rig.sees(dead.clone());
    rig.does("read ChangeRefused JailDead apply(*m) JailDead AllClear");
    for _ in 0..3 {
        rig.sees_for(350, &dead).does("");
        rig.sees_for(20, &dead).does("JailDead apply(*m)");
        rig.applied().keeps_seeing(&dead).sees(dead.clone());
        rig.does("JailDead AllClear");
    }
    rig.sees_for(370, &dead).applied();
    rig.sees(answers(&["a", "m"])).is("degraded");
    rig.does("JailDead apply(*m) AllClear");
    assert_eq!(rig.expected(), ["a", "m"]);
}

#[test]
fn a_lost_jail_that_comes_back_is_supervised_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.machine.lost = set(&["m"]);
    rig.sees(answers(&["a", "m"]));
    assert_eq!(rig.expected(), ["a", "m"]);
}

#[test]
fn no_restart_for_a_dead_jail_while_a_faulty_change_waits() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a", "m"]).unreadable())
        .does("read ChangeRefused");
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.sees_for(3, &dead).applied().does("JailDead apply(*m)");
    rig.keeps_seeing(&dead)
        .sees(dead)
        .does("JailDead AllClear")
        .is("degraded");
}

#[test]
fn when_nothing_protects_a_restart_cannot_cost_anything() {
    let mut rig = Rig::healthy(&["a"]);
    rig.edits(config(&["a"]).unreadable())
        .does("read ChangeRefused");
    let dead = with_dead(7, &["a"], &["a"]);
    rig.sees_for(3, &dead).applied().does("JailDead apply(*a)");
    rig.keeps_seeing(&dead).does("Restarting save");
}

/// "All clear" with not one jail alive would be a lie, and the end of all tries.
#[test]
fn the_last_jail_is_never_written_off() {
    let mut rig = Rig::healthy(&["a"]);
    let dead = with_dead(7, &["a"], &["a"]);
    rig.sees_for(3, &dead).applied();
    rig.machine.incident.as_mut().unwrap().restarted = true;
    rig.keeps_seeing(&dead)
        .does("JailDead apply(*a) GaveUp")
        .is("gave-up");
    rig.keeps_seeing(&dead).does("Restarting save");
}

// ---- stopped by hand

#[test]
fn a_jail_stopped_by_hand_is_left_alone() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(3, &answers(&["a"])).does("JailHeld");
    rig.sees_for(10, &answers(&["a"])).does("").is("healthy");
    assert_eq!(rig.kept.held, set(&["m"]));
}

#[test]
fn a_held_jail_that_was_started_again_is_supervised_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(3, &answers(&["a"])).does("JailHeld");
    rig.sees(answers(&["a", "m"]));
    assert_eq!(rig.kept.held, set(&[]));
    rig.sees_for(3, &with_dead(7, &["a", "m"], &["m"]))
        .does("JailDead apply(*m)");
}

#[test]
fn a_held_jail_whose_config_changes_runs_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(3, &answers(&["a"])).does("JailHeld");
    rig.edits(config_of_versions(&[("a", 1), ("m", 2)]))
        .does("read apply(+m)");
    assert_eq!(rig.kept.held, set(&[]));
}

#[test]
fn every_jail_that_was_stopped_by_hand_is_told_how_to_start() {
    let mut rig = Rig::healthy(&["a", "m", "z"]);
    rig.sees_for(3, &answers(&["a"])).does("JailHeld");
    let told = &rig.told.last().unwrap().message;
    for part in [
        "m, z were stopped by hand and are left alone",
        "fail2ban-client reload --if-exists m && fail2ban-client reload --if-exists z",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn what_was_lost_otherwise_was_not_stopped_by_hand() {
    // One of them is listed, and dead.
    let mut rig = Rig::healthy(&["a", "m", "z"]);
    rig.sees_for(3, &with_dead(7, &["a", "m"], &["m"]));
    rig.does("JailHeld JailDead apply(*m)");
    assert_eq!(rig.kept.held, set(&["z"]));
    // It has never run in this process.
    let memory = Memory {
        accepted: config(&["a", "m"]).plan,
        process: Some(7),
        ..Memory::default()
    };
    let mut rig = Rig::stock(memory, config(&["a", "m"]), answers(&["a"]));
    rig.does("read-afresh ready Supervising");
    rig.keeps_seeing(&answers(&["a"]))
        .does("JailDead apply(*m)");
    // More than a hand does at once.
    rig.applied().sees(answers(&[]));
    rig.keeps_seeing(&answers(&[])).does("Restarting save");
}

#[test]
fn several_jails_lost_at_once_with_none_left_were_not_stopped_by_hand() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(3, &answers(&[])).does("JailDead apply(*a *m)");
}

// ---- no socket to ask at

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
