//! Daemons in whose place none could be started: a unit that is masked, packages that are being installed, a job.

use super::world::World;
use super::*;

fn running() -> Unit {
    unit(ActiveState::Active, "success", ExitKind::None, 0)
}

fn masked(sight: Sight) -> Sight {
    let mut unit = running();
    unit.load = "masked".into();
    Sight {
        unit: Some(unit),
        ..sight
    }
}

fn while_packages(sight: Sight) -> Sight {
    Sight {
        packages: true,
        ..sight
    }
}

fn with_a_job(sight: Sight) -> Sight {
    Sight {
        unit: Some(with_job(running())),
        ..sight
    }
}

#[track_caller]
fn told_last(rig: &Rig, words: &str) {
    let told = rig.told.last().unwrap();
    assert!(told.message.contains(words), "{told}");
}

#[test]
fn one_without_a_socket_is_left_as_it_is_until_another_may_be_started() {
    for (barred, why) in [
        (
            masked(unaskable()),
            "while its unit is masked, since it could not be started again; to allow that: systemctl \
             unmask fail2ban.service",
        ),
        (
            while_packages(unaskable()),
            "while packages are being installed",
        ),
        (
            with_a_job(unaskable()),
            "while systemd has a job on its unit; what that waits for: systemctl list-jobs",
        ),
    ] {
        let mut rig = Rig::healthy(&["a"]);
        rig.sees_for(400, &barred).does("DaemonHung").is("suspect");
        told_last(&rig, why);
        rig.sees(unaskable()).does("DaemonHung save");
        rig.ok().does("TERM:7");
    }
}

/// That may be the start after which there is one.
#[test]
fn a_job_has_its_time_to_make_the_socket() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(80, &with_a_job(unaskable())).does("");
    rig.sees(answers(&["a"])).does("read-afresh");
}

fn with_a_dead_jail(sight: &Sight) -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.keeps_seeing(sight).does("JailDead apply(*m)");
    rig.applied();
    rig
}

fn dead() -> Sight {
    with_dead(7, &["a", "m"], &["m"])
}

#[test]
fn a_jail_that_is_not_revived_costs_no_other_one() {
    let mut rig = with_a_dead_jail(&masked(dead()));
    rig.keeps_seeing(&masked(dead()));
    rig.sees(masked(dead())).does("JailDead AllClear");
    let told = rig.told.iter().rev().nth(1).unwrap();
    let why =
        "loading it again did not help, and fail2ban is not restarted while its unit is masked";
    assert!(told.message.contains(why), "{told}");
    rig.sees_for(100, &masked(dead())).does("").is("degraded");
    // It is loaded again in an hour, and the daemon restarted for it, as soon as that is possible.
    rig.keeps_seeing(&dead())
        .does("JailDead apply(*m)")
        .applied();
    rig.keeps_seeing(&dead()).does("Restarting save");
}

#[test]
fn a_jail_that_is_not_revived_waits_for_what_will_soon_be_over() {
    for (barred, why) in [
        (while_packages(dead()), "while packages are being installed"),
        (with_a_job(dead()), "while systemd has a job on its unit"),
    ] {
        let mut rig = with_a_dead_jail(&barred);
        rig.keeps_seeing(&barred).does("JailDead");
        told_last(&rig, why);
        rig.sees_for(100, &barred).does("").is("suspect");
        rig.sees(dead()).does("Restarting save");
        // But not for ever.
        let mut rig = with_a_dead_jail(&barred);
        rig.sees_for(650, &barred);
        rig.does("JailDead JailDead AllClear");
        let told = rig.told.iter().rev().nth(1).unwrap();
        assert!(
            told.message.contains("it is loaded again in 3600.0 s"),
            "{told}"
        );
        rig.is("degraded");
    }
}

/// To end it would be of no use.
#[test]
fn one_that_protects_nobody_is_not_ended_where_its_unit_is_masked() {
    let all_dead = || with_dead(7, &["a"], &["a"]);
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps_seeing(&masked(all_dead()))
        .does("JailDead apply(*a)");
    rig.applied().keeps_seeing(&masked(all_dead()));
    rig.does("GaveUp")
        .sees_for(500, &masked(all_dead()))
        .does("");
    rig.sees(all_dead()).does("Restarting save");

    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(100, &masked(silent(Motion::Frozen)));
    rig.does("DaemonHung").is("suspect");
    told_last(
        &rig,
        "and hangs; it is not restarted while its unit is masked",
    );
    rig.sees(silent(Motion::Frozen)).does("diagnose:7");
}

#[test]
fn one_that_is_stopped_by_a_signal_is_told_to_go_on_though_its_unit_is_masked() {
    let stopped = || masked(silent(Motion::Stopped));
    let told_to = || {
        let mut rig = Rig::healthy(&["a"]);
        rig.keeps_seeing(&stopped()).does("DaemonHung CONT:7");
        rig
    };
    let mut rig = told_to();
    rig.ok().sees(masked(answers(&["a"])));
    rig.does("AllClear read-afresh");
    // Once: it may be meant to stand still.
    let mut rig = told_to();
    rig.ok().sees_for(100, &stopped());
    rig.does("DaemonHung").is("suspect");
    told_last(
        &rig,
        "and hangs; it is not restarted while its unit is masked",
    );
}

#[test]
fn one_that_may_open_no_more_files_is_not_restarted() {
    let cramped = |mut sight: Sight| {
        sight.health.cramped = Some("of 30 files 30 are open".into());
        sight
    };
    let full = || cramped(answers(&["a"]));
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(30, &masked(full())).does("JailAiling");
    told_last(&rig, "and it is not restarted while its unit is masked");
    rig.keeps_seeing(&full()).does("JailAiling save");
}

/// Found by the fuzzer: it was taken for stopped for as long as packages were being installed.
#[test]
fn a_start_by_hand_that_fails_while_packages_are_installed_is_made_up_for() {
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(unit_stopped())).does("Standby");
    let failed = while_packages(absent(unit_failed(255)));
    rig.sees(failed.clone()).does("DaemonDown").is("suspect");
    told_last(&rig, "packages are being installed");
    rig.sees_for(300, &failed).does("");
    rig.keeps_seeing(&failed).does("DaemonDown start");
}

/// Found by the fuzzer: it was started once the wait for the packages was over.
#[test]
fn a_stop_that_ends_in_a_kill_while_packages_are_installed_is_an_admin_s() {
    let stopping = unit(ActiveState::Deactivating, "success", ExitKind::None, 0);
    let mut stopped = silent(Motion::Progressing);
    stopped.unit = Some(with_job(stopping));
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(stopped).exits(7);
    let killed = while_packages(absent(unit_killed()));
    rig.sees(killed.clone()).does("Standby");
    rig.sees_for(100, &killed).does("");
    rig.sees_for(10, &absent(unit_killed())).does("");
}

/// Whatever is done about a jail that no process has a thread for, the others go on.
#[test]
fn a_host_keeps_the_jails_that_protect() {
    for masked in [true, false] {
        let mut world = World::new(&["a", "m"], true);
        (world.masked, world.packages) = (masked, !masked);
        world.frail = Some("a");
        world.kill_jail("a");
        // Less than after which an hour of rest is over, and packages are no more waited for.
        world.pass(secs(500));
        assert_eq!(world.protecting(), set(&["m"]), "{:?}", world.machine);
        assert_eq!(world.next_pid, 7);
        (world.masked, world.packages, world.frail) = (false, false, None);
        world.pass(secs(4000));
        assert_eq!(world.protecting(), set(&["a", "m"]));
    }
}

#[test]
fn packages_are_waited_for_ten_minutes_and_no_longer() {
    let barred = while_packages(dead());
    let mut rig = with_a_dead_jail(&barred);
    rig.keeps_seeing(&barred).does("JailDead");
    let began = rig.machine.snapshot().since;
    while rig.words.is_empty() {
        rig.sees(barred.clone());
    }
    assert_eq!(rig.now.since(began), Policy::PACKAGES_LIMIT);
}

/// It began before there was a sign, and asked for less.
#[test]
fn that_a_jail_waits_is_told_after_a_look_that_did_not_see_why() {
    let mut rig = with_a_dead_jail(&while_packages(dead()));
    while !matches!(rig.machine.state, State::Suspect(_)) {
        rig.sees(while_packages(dead()));
    }
    rig.sees(while_packages(dead())).does("");
    while rig.machine.look.is_none() {
        rig.next_deadline();
    }
    rig.machine.looks_at_unit = false;
    rig.sees(dead()).does("");
    rig.sees(while_packages(dead())).does("JailDead");
}

/// Whoever masked it meant that.
#[test]
fn one_that_ends_after_it_was_told_to_continue_is_started_unless_it_is_masked() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(masked(silent(Motion::Stopped))).exits(7);
    rig.does("DaemonHung CONT:7");
    let mut unit = unit_killed();
    unit.load = "masked".into();
    rig.sees(absent(unit)).does("Standby");
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Stopped)).exits(7);
    rig.does("DaemonHung CONT:7 start");
}

/// It may be what makes the socket.
#[test]
fn a_job_has_the_time_of_a_stop_to_bring_the_socket_back() {
    let mut rig = Rig::healthy(&["a"]);
    let waits = with_a_job(unaskable());
    rig.sees(waits.clone());
    let first = rig.now;
    rig.keeps_seeing(&waits).does("DaemonHung");
    assert_eq!(rig.now.since(first), Policy::default().stop_timeout);
}

/// It may protect without its socket; and no other could be started.
#[test]
fn one_that_jailwarden_has_started_is_left_as_it_is_where_no_other_may_be() {
    for sight in [
        masked(unaskable()),
        masked(answers(&[])),
        while_packages(unaskable()),
    ] {
        let mut rig = Rig::healthy(&["a"]);
        rig.exits(7).sees(absent(unit_failed(255))).ok();
        rig.does("DaemonDown start");
        rig.keeps_seeing(&sight).gets(Outcome::Lost);
        rig.keeps_seeing(&sight).does("diagnose:7 GaveUp");
        rig.sees_for(20, &sight).does("");
    }
}

#[test]
fn one_that_lost_its_socket_since_is_replaced_as_soon_as_another_may_be_started() {
    let mut rig = Rig::healthy(&["a"]);
    let dead = with_dead(7, &["a"], &["a"]);
    rig.keeps_seeing(&dead).applied();
    rig.machine.incident.as_mut().unwrap().restarted = true;
    rig.keeps_seeing(&dead).does("JailDead apply(*a) GaveUp");
    rig.sees_for(20, &with_a_job(unaskable())).does("");
    rig.keeps_seeing(&unaskable()).does("Restarting save");
}
