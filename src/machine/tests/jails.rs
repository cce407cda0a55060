//! Jails that are dead, missing, or stopped by hand.

use super::*;

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
