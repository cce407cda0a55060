//! A jail that was stopped by hand stays so, also over a start of the daemon that nobody asked for.

use super::*;

/// Somebody has stopped `m`.
fn held() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(3, &answers(&["a"])).does("JailHeld");
    rig
}

/// The daemon has died, and jailwarden has given the command to start it.
fn started() -> Rig {
    let mut rig = held();
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown start").ok();
    rig
}

fn revived(pid: u32, jails: &[&str]) -> Sight {
    Sight {
        revived: true,
        ..answers_as(pid, jails)
    }
}

#[test]
fn a_jail_stopped_by_hand_is_stopped_again_after_jailwarden_had_to_start_the_daemon() {
    let mut rig = started();
    rig.sees(answers_as(8, &["a", "m"])).does("apply(-m)");
    assert_eq!(rig.kept.held, set(&["m"]));
    rig.applied().does("JailHeld");
    let told = &rig.told.last().unwrap().message;
    let words = "m was stopped by hand and is stopped again, as fail2ban was started anew; to run it again: \
                 fail2ban-client reload --if-exists m";
    assert!(told.contains(words), "{told}");
    rig.sees(answers_as(8, &["a"])).does("AllClear");
    rig.sees_for(20, &answers_as(8, &["a"])).is("healthy");
    assert_eq!(
        (rig.kept.held.clone(), rig.kept.to_stop.clone()),
        (set(&["m"]), set(&[]))
    );
    // And runs once somebody starts it.
    rig.sees_for(3, &answers_as(8, &["a", "m"])).does("");
    assert_eq!(rig.kept.held, set(&[]));
}

#[test]
fn so_it_is_after_a_restart_for_a_dead_jail_or_a_lost_socket() {
    let mut rig = Rig::healthy(&["a", "m", "z"]);
    rig.sees_for(3, &answers(&["a", "z"])).does("JailHeld");
    let dead = with_dead(7, &["a", "z"], &["z"]);
    rig.keeps_seeing(&dead).does("JailDead apply(*z)").applied();
    rig.keeps_seeing(&dead).does("Restarting save").ok();
    rig.gets(Outcome::StopAsked(StopAnswer::Agreed)).exits(7);
    rig.does("ask-stop start").ok();
    rig.sees(answers_as(8, &["a", "m", "z"])).does("apply(-m)");
    rig.applied().sees(answers_as(8, &["a", "z"]));
    rig.does("JailHeld AllClear").is("healthy");

    let mut rig = held();
    rig.keeps_seeing(&unaskable()).does("DaemonHung save").ok();
    rig.exits(7).does("TERM:7 start").ok();
    rig.sees(answers_as(8, &["a", "m"])).does("apply(-m)");
    rig.applied().sees(answers_as(8, &["a"]));
    rig.does("JailHeld AllClear").is("healthy");
}

#[test]
fn so_it_is_where_systemd_has_restarted_what_died() {
    let mut rig = held();
    rig.exits(7).pass(ms(300));
    rig.sees(revived(8, &["a", "m"]))
        .does("DaemonDown apply(-m)");
    rig.applied().sees(revived(8, &["a"]));
    rig.does("JailHeld AllClear read-afresh");
    assert_eq!(rig.kept.held, set(&["m"]));
}

/// Whoever starts fail2ban wants what its config has.
#[test]
fn it_runs_again_after_a_start_that_somebody_wanted() {
    let mut rig = held();
    rig.exits(7).pass(ms(300));
    rig.sees(answers_as(8, &["a", "m"]))
        .does("BackByHand read-afresh");
    assert_eq!(rig.kept.held, set(&[]));

    let mut rig = held();
    rig.event(Event::Operator(Operator::Do(
        CommandId(1),
        Command::Restart,
    )));
    rig.does("Restarting save").ok();
    rig.gets(Outcome::StopAsked(StopAnswer::Agreed)).exits(7);
    rig.does("ask-stop start").ok();
    rig.sees(answers_as(8, &["a", "m"])).does("AllClear");
    assert_eq!(rig.kept.held, set(&[]));

    // As he does whose start comes to nothing.
    let mut failed = absent(unit_failed(255));
    for packages in [true, false] {
        failed.packages = packages;
        let mut rig = held();
        rig.exits(7)
            .sees(absent(unit_stopped()))
            .does("Standby")
            .sees(failed.clone());
        assert_eq!(rig.kept.held, set(&[]));
    }

    let memory = Memory {
        booted: true,
        ..held().kept
    };
    let mut rig = Rig::stock(memory, config(&["a", "m"]), answers_as(8, &["a", "m"]));
    rig.does("read-afresh ready Supervising").is("healthy");
    assert_eq!(rig.kept.held, set(&[]));
}

#[test]
fn a_killed_jailwarden_leaves_it_to_the_next_one() {
    for sight in [answers_as(8, &["a", "m"]), revived(8, &["a", "m"])] {
        let mut rig = Rig::stock(started().kept, config(&["a", "m"]), sight);
        rig.does("read-afresh ready Supervising apply(-m)");
        rig.applied().sees(answers_as(8, &["a"])).does("JailHeld");
    }
    // Or the one before it was told that it was done, and not that.
    let mut rig = started();
    rig.sees(answers_as(8, &["a", "m"]));
    let mut rig = Rig::stock(rig.kept, config(&["a", "m"]), answers_as(8, &["a"]));
    rig.does("read-afresh ready Supervising").is("healthy");
    assert_eq!(rig.kept.held, set(&["m"]));
}

/// The only one that should run is the one that does not.
#[test]
fn the_last_jail_is_stopped_again_once_it_is_there() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees_for(3, &answers(&[])).does("JailHeld");
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown start").ok();
    rig.sees(answers_as(8, &[]));
    rig.sees(answers_as(8, &["a"])).does("JailDead apply(-a)");
    rig.applied().sees(answers_as(8, &[])).does("JailHeld");
    rig.sees_for(20, &answers_as(8, &[])).does("");
}

#[test]
fn what_cannot_be_stopped_again_is_tried_later_or_told() {
    let mut rig = started();
    rig.sees(answers_as(8, &["a", "m"])).does("apply(-m)");
    let hindered = Some("another process holds the database".to_owned());
    rig.gets(Outcome::Applied(Applied {
        hindered,
        ..Applied::default()
    }));
    let since = rig.now;
    rig.keeps_seeing(&answers_as(8, &["a", "m"]));
    rig.does("ChangeRefused AllClear");
    rig.keeps_seeing(&answers_as(8, &["a", "m"]));
    assert!(rig.now.since(since) >= Policy::default().interval);
    rig.reads(config(&["a", "m"]));
    rig.keeps_seeing(&answers_as(8, &["a", "m"]));
    rig.does("read-afresh apply(-m)");
    let refused = vec![("m".to_owned(), "no".to_owned())];
    rig.gets(Outcome::Applied(Applied {
        refused,
        ..Applied::default()
    }));
    rig.does("JailHeld");
    let told = &rig.told.last().unwrap().message;
    assert!(told.contains("refuses to stop it: no"), "{told}");
    rig.sees_for(20, &answers_as(8, &["a", "m"])).does("");
    assert_eq!(rig.kept.held, set(&[]));
}

#[test]
fn a_change_of_its_config_is_stronger() {
    let mut rig = held();
    rig.exits(7).touched().sees(absent(unit_failed(255)));
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    rig.reads(changed).does("DaemonDown read start").ok();
    rig.sees(answers_as(8, &["a", "m"])).does("AllClear");
    assert_eq!(rig.kept.held, set(&[]));
}

#[test]
fn a_stop_by_hand_is_told_also_where_the_faulty_change_of_another_jail_waits() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 2), ("m", 1)]).fault("a", true));
    rig.sees_for(3, &answers(&["a"]));
    rig.does("read ChangeRefused JailHeld").is("degraded");
    // A reload by hand loses the jail whose change is faulty, or all.
    for lost in [&["m"][..], &[]] {
        let mut rig = Rig::healthy(&["a", "m"]);
        rig.edits(config_of_versions(&[("a", 2), ("m", 1)]).fault("a", true));
        rig.keeps_seeing(&answers(lost));
        assert_eq!(rig.kept.held, set(&[]));
    }
    let mut rig = Rig::healthy(&["a"]);
    rig.edits(config(&["a", "m"]).fault("m", true));
    rig.sees_for(3, &answers(&[]))
        .does("read ChangeRefused JailDead apply(*a)");
}

#[test]
fn a_stop_by_hand_is_told_also_in_an_incident() {
    let mut rig = Rig::healthy(&["a", "m", "z"]);
    let dead = with_dead(7, &["a", "m", "z"], &["z"]);
    rig.keeps_seeing(&dead).does("JailDead apply(*z)").applied();
    rig.sees(dead);
    rig.keeps_seeing(&with_dead(7, &["a", "z"], &["z"]));
    rig.does("JailHeld Restarting save");
    assert_eq!(rig.kept.held, set(&["m"]));
    // Nor is one loaded again that was dead, and rests, when it was stopped.
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 2), ("m", 1)]).fault("a", true));
    rig.does("read ChangeRefused");
    let dead = with_dead(7, &["a", "m"], &["m"]);
    rig.keeps_seeing(&dead).does("JailDead apply(*m)").applied();
    rig.keeps_seeing(&dead);
    rig.does("JailDead").sees_for(500, &answers(&["a"]));
    rig.does("AllClear JailHeld").is("degraded");
}

/// What jailwarden itself has sent, and the daemon lost thereby, nobody has stopped.
#[test]
fn what_was_lost_by_a_load_of_ours_is_not_held() {
    let mut rig = Rig::healthy(&["a", "m", "z"]);
    let dead = with_dead(7, &["a", "m", "z"], &["z"]);
    rig.keeps_seeing(&dead).does("JailDead apply(*z)").applied();
    rig.keeps_seeing(&answers(&["a", "m"]));
    rig.does("Restarting save");
    assert_eq!(rig.kept.held, set(&[]));
}

/// Nothing has brought it back, so nobody but an admin starts it from then on.
#[test]
fn one_that_a_new_daemon_does_not_run_need_not_be_stopped_again() {
    let mut rig = started();
    rig.sees(answers_as(8, &["a"])).does("AllClear");
    assert_eq!(rig.kept.to_stop, set(&[]));
    rig.sees(answers_as(8, &["a", "m"])).does("");
    assert_eq!(rig.kept.held, set(&[]));
}
