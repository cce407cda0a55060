//! The first look, standby, memory, settings and the end.

use super::*;

fn remembered(jails: &[&str]) -> Memory {
    Memory {
        accepted: config(jails).plan,
        ..Memory::default()
    }
}

// ---- the first look

#[test]
fn a_healthy_daemon_is_left_alone() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.is("healthy")
        .sees_for(5, &answers(&["a", "m"]))
        .does("");
    assert_eq!(rig.now, MonoTime::new(secs(50)), "one look an interval");
}

#[test]
fn a_unit_that_failed_is_started() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising DaemonDown start");
    rig.ok().sees(answers_as(8, &["a"])).does("AllClear");
    rig.is("healthy");
}

#[test]
fn a_fault_known_at_the_first_look_is_rolled_back_before_the_first_start() {
    let stock_debian = config(&["sshd", "a"]).fault("sshd", true);
    let mut rig = Rig::stock(Memory::default(), stock_debian, absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising ChangeRefused DaemonDown rollback(sshd)");
    rig.ok().does("RolledBack read-afresh");
    rig.reads(config(&["sshd", "a"]).rolled_back(&["sshd"]))
        .does("start");
    rig.ok()
        .sees(answers_as(8, &["a"]))
        .does("AllClear try(sshd)");
    rig.gets(Outcome::Lost).is("degraded");
}

#[test]
fn an_inactive_unit_means_standby() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_stopped()));
    rig.does("read-afresh ready Supervising Standby")
        .is("standby");
    assert!(rig.kept.standby);
    rig.pass(secs(3600)).does("");
}

#[test]
fn without_a_unit_it_is_started() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), gone(None, false));
    rig.does("read-afresh ready Supervising DaemonDown start");
}

#[test]
fn without_a_unit_a_remembered_stop_is_respected() {
    let memory = Memory {
        standby: true,
        ..remembered(&["a"])
    };
    let mut rig = Rig::stock(memory, config(&["a"]), gone(None, false));
    rig.does("read-afresh ready Supervising Standby")
        .is("standby");
}

#[test]
fn systemd_at_work_is_waited_for() {
    let mut rig = Rig::stock(
        Memory::default(),
        config(&["a"]),
        absent(with_job(unit_failed(255))),
    );
    rig.does("read-afresh ready Supervising");
    rig.sees_for(200, &absent(with_job(unit_stopped())))
        .does("DaemonDown")
        .is("suspect");
    assert!(
        rig.told
            .last()
            .unwrap()
            .message
            .contains("systemctl list-jobs")
    );
    rig.sees(answers(&["a"])).reads(config(&["a"]));
    rig.does("BackByHand AllClear read-afresh").is("healthy");
}

#[test]
fn our_own_interrupted_stop_is_finished() {
    for sight in [
        absent(unit_failed(0)),
        absent(unit_stopped()),
        gone(None, false),
    ] {
        let memory = Memory {
            stopping: true,
            ..remembered(&["a"])
        };
        let mut rig = Rig::stock(memory, config(&["a"]), sight);
        rig.does("read-afresh ready Supervising DaemonDown start");
    }
}

#[test]
fn a_unit_masked_meanwhile_stays_stopped() {
    let memory = Memory {
        stopping: true,
        ..remembered(&["a"])
    };
    let mut masked = unit_stopped();
    masked.load = "masked".into();
    let mut rig = Rig::stock(memory, config(&["a"]), absent(masked));
    rig.does("read-afresh ready Supervising Standby");
}

#[test]
fn our_own_interrupted_stop_that_is_still_under_way_is_waited_for() {
    let memory = Memory {
        stopping: true,
        ..remembered(&["a"])
    };
    let mut rig = Rig::stock(memory, config(&["a"]), silent(Motion::Progressing));
    rig.sees(silent(Motion::Progressing))
        .does("read-afresh ready Supervising");
    rig.exits(7)
        .sees(absent(unit_failed(0)))
        .does("DaemonDown start");
}

#[test]
fn what_was_accepted_before_is_what_runs_and_the_rest_is_applied() {
    let mut rig = Rig::stock(
        remembered(&["a", "m"]),
        config_of_versions(&[("a", 1), ("m", 2), ("z", 1)]),
        answers(&["a", "m"]),
    );
    rig.does("read-afresh ready Supervising apply(+m +z)");
}

#[test]
fn nothing_is_sent_to_a_daemon_that_does_not_answer_at_the_first_look() {
    let changed = config_of_versions(&[("a", 2)]);
    let mut rig = Rig::stock(
        remembered(&["a"]),
        changed.clone(),
        silent(Motion::Progressing),
    );
    rig.does("read-afresh ready Supervising").is("suspect");
    rig.sees(answers(&["a"])).does("read-afresh");
    rig.reads(changed).does("apply(+a)");
}

#[test]
fn a_daemon_that_dies_during_the_first_reading_is_looked_at_again() {
    let mut rig = Rig::with(Memory::default());
    rig.sees(answers(&["a"]))
        .exits(7)
        .reads(config(&["a"]))
        .does("read-afresh ready");
    rig.sees(absent(unit_killed()))
        .does("Supervising DaemonDown start");
}

#[test]
fn a_first_reading_that_failed_is_made_again() {
    let mut rig = Rig::with(Memory::default());
    rig.sees(answers(&["a"]))
        .reads_as(ConfigRead::Failed("no Python".into()));
    rig.does("read-afresh ready Supervising");
    assert_eq!(rig.expected(), ["a"], "what it lists is what should run");
    rig.reads(config(&["a"]))
        .does("read-afresh apply(server *a)");
}

#[test]
fn a_lost_first_look_is_asked_again() {
    let mut rig = Rig::with(Memory::default());
    rig.reads(config(&["a"]));
    let look = rig.machine.look.unwrap();
    rig.event(done(look, Outcome::Lost)).sees(answers(&["a"]));
    rig.does("read-afresh ready Supervising");
}

// ---- standby and its ends

#[test]
fn a_deliberate_stop_is_left_alone_until_somebody_starts_it() {
    for stopped in [
        absent(unit_stopped()),
        absent(unit_failed(0)),
        gone(None, false),
    ] {
        let mut rig = Rig::healthy(&["a"]);
        rig.exits(7).sees(stopped.clone()).does("Standby");
        rig.touched().sees_for(20, &stopped).does("");
        rig.sees(answers_as(8, &["a"]))
            .does("BackByHand read-afresh");
        rig.reads(config(&["a"])).is("healthy");
        assert!(!rig.kept.standby);
    }
}

#[test]
fn a_start_by_hand_that_fails_ends_standby() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_stopped()));
    rig.sees(absent(with_job(unit_stopped())))
        .sees(absent(unit_failed(255)));
    rig.does("Standby DaemonDown start");
}

#[test]
fn a_stop_during_the_stop_job_is_seen_through() {
    let mut rig = Rig::healthy(&["a"]);
    let mut leaving = silent(Motion::Frozen);
    leaving.unit = Some(with_job(unit(
        ActiveState::Deactivating,
        "success",
        ExitKind::None,
        0,
    )));
    rig.sees_for(60, &leaving).does("").is("suspect");
    rig.exits(7).sees(absent(unit_stopped())).does("Standby");
}

#[test]
fn it_is_looked_at_at_the_usual_pace_while_it_is_stopped_and_often_while_systemd_is_at_work() {
    let mut rig = Rig::healthy(&["a"]);
    let stopped = absent(unit_stopped());
    let at_work = absent(with_job(unit_stopped()));
    rig.sees(stopped.clone()).does("Standby");
    let mut paces = Vec::new();
    for sight in [&stopped, &at_work, &stopped, &stopped] {
        let last = rig.now;
        rig.sees(sight.clone()).is("standby");
        paces.push(rig.now.since(last).as_secs());
    }
    assert_eq!(paces, [10, 10, 1, 10]);
}

/// What could not be revived is so for one process with one config.
#[test]
fn what_was_lost_before_is_lost_to_the_same_process_and_config() {
    let on_disk = config(&["a", "m"]);
    let memory = Memory {
        config: Some(on_disk.fingerprint),
        process: Some(7),
        lost: set(&["m"]),
        ..remembered(&["a", "m"])
    };
    let is_lost = |memory: &Memory, on_disk: &Reading, pid| {
        let dead = with_dead(pid, &["a", "m"], &["m"]);
        let rig = Rig::stock(memory.clone(), on_disk.clone(), dead);
        rig.machine.lost.contains("m")
    };
    assert!(is_lost(&memory, &on_disk, 7));
    assert!(!is_lost(&memory, &on_disk, 8), "somebody started it");
    let other = config_of_versions(&[("a", 2), ("m", 1)]);
    assert!(!is_lost(&memory, &other, 7));
    let stopping = Memory {
        stopping: true,
        ..memory.clone()
    };
    assert!(is_lost(&stopping, &on_disk, 8), "jailwarden started it");
    assert!(!is_lost(&stopping, &other, 8));
}

#[test]
fn standby_survives_jailwardens_own_end() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(gone(None, false)).does("Standby");
    rig.event(Event::Shutdown).does("Ending exit");
    assert!(rig.kept.standby);
}

// ---- settings and the end

#[test]
fn a_shorter_interval_counts_at_once() {
    let mut rig = Rig::healthy(&["a"]);
    let policy = Policy {
        interval: secs(1),
        ..Policy::default()
    };
    rig.event(Event::SettingsChanged(policy));
    assert_eq!(rig.machine.poll_timeout(), Some(MonoTime::new(secs(1))));
}

#[test]
fn the_end_is_said_once_and_nothing_follows() {
    let mut rig = Rig::healthy(&["a"]);
    rig.event(Event::Shutdown).does("Ending exit").is("ended");
    rig.event(Event::Shutdown)
        .touched()
        .exits(7)
        .pass(secs(60))
        .does("");
    assert_eq!(rig.machine.poll_timeout(), None);
}

// ---- stale and doubled answers

#[test]
fn a_stale_or_doubled_answer_changes_nothing() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.touched().pass(secs(1)).does("read");
    let (read, _) = rig.asked.last().cloned().unwrap();
    rig.reads(config_of_versions(&[("a", 2), ("m", 1)]))
        .does("apply(+a)");
    let apply = rig.asked.last().cloned().unwrap().0;
    rig.applied();
    rig.sees(answers(&["a", "m"])).does("ChangeApplied");
    let before = format!("{:?}", rig.machine);
    let stale = [
        done(
            read,
            Outcome::Config(ConfigRead::Read(config(&["z"]).into())),
        ),
        done(apply, Outcome::Lost),
        done(ActionId(1), Outcome::Seen(absent(unit_failed(255)))),
        done(ActionId(2), Outcome::Effect(Err("no".into()))),
        done(ActionId(999), Outcome::Motion(Motion::Frozen)),
        Event::Observed(Observed::DaemonExited { pid: 6 }),
    ];
    for event in stale {
        rig.event(event).does("");
    }
    assert_eq!(format!("{:?}", rig.machine), before);
}

#[test]
fn time_never_runs_backwards() {
    let mut rig = Rig::healthy(&["a"]);
    rig.pass(secs(30)).touched();
    rig.machine.handle_event(MonoTime::START, Event::Timeout);
    assert_eq!(rig.machine.now, rig.now);
}
