//! What a daemon was started with: what that proves, and what of it is in doubt.

use super::change::edited;
use super::*;

#[test]
fn only_a_cold_start_proves_a_config() {
    let mut rig = Rig::healthy(&["a", "m"]);
    assert_eq!(rig.machine.proven, None);
    rig.edits(edited(2)).applied().sees(answers(&["a", "m"]));
    assert_eq!(
        (rig.machine.proven.clone(), rig.machine.recent.len()),
        (None, 1)
    );
    rig.exits(7).sees(absent(unit_killed())).ok();
    // The first sight of it is often of a process without a socket, or one that is still busy.
    let mut starting = silent(Motion::Progressing);
    starting.daemon = Daemon::Silent {
        pid: Some(8),
        motion: Motion::Progressing,
    };
    rig.sees(starting)
        .sees(answers_as(8, &["a", "m"]))
        .is("healthy");
    assert_eq!(rig.machine.proven, edited(2).plan);
    assert_eq!(rig.machine.recent, [""; 0]);
}

/// What was missing outside the config is there again, though no file of it was touched.
#[test]
fn a_refusal_with_which_the_daemon_came_up_is_read_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown start").does_not_start();
    rig.reads(config(&["a", "m"]).unreadable());
    rig.does("read-afresh ChangeRefused GaveUp");
    rig.keeps_seeing(&absent(unit_failed(255))).ok();
    rig.does("Restarting start")
        .sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear read-afresh").reads(config(&["a", "m"]));
    rig.does("ChangeWithdrawn").is("healthy");
}

#[test]
fn a_check_that_fails_again_after_a_start_that_could_be_checked_is_told_again() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched()
        .reads_as(no_python())
        .does("read ChangeRefused");
    rig.exits(7).sees(absent(unit_killed()));
    rig.reads(config(&["a"])).ok().sees(answers_as(8, &["a"]));
    rig.does("DaemonDown read start AllClear");
    rig.touched()
        .reads_as(no_python())
        .does("read ChangeRefused");
}

/// It runs what is refused, as that shows only at the first line of its log; what is mended is what was accepted.
#[test]
fn what_somebody_started_the_daemon_with_is_loaded_anew_once_it_is_mended() {
    for is_known_before in [true, false] {
        let mut rig = Rig::healthy(&["a", "m"]);
        let faulty = config_of_versions(&[("a", 1), ("m", 2)]).fault("m", true);
        if is_known_before {
            rig.edits(faulty.clone()).does("read ChangeRefused");
        }
        rig.exits(7).sees(answers_as(8, &["a", "m"]));
        rig.reads(faulty);
        rig.does(if is_known_before {
            "BackByHand read-afresh"
        } else {
            "BackByHand read-afresh ChangeRefused"
        });
        rig.edits(config(&["a", "m"]));
        rig.does("read ChangeWithdrawn apply(+m)").applied();
        rig.sees(answers_as(8, &["a", "m"])).does("ChangeApplied");
        rig.edits(config(&["a", "m"])).does("read");
    }
}

/// It was started with another one.
#[test]
fn what_was_loaded_before_all_jails_are_up_is_not_proven_by_the_start() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_killed())).ok();
    rig.pass(Policy::default().comeback);
    rig.sees(answers_as(8, &["a"])).is("suspect");
    rig.edits(edited(2)).applied();
    rig.does("DaemonDown start read apply(+a)");
    rig.sees(answers_as(8, &["a", "m"])).is("healthy");
    assert_eq!(rig.machine.proven, config(&["a", "m"]).plan);
}

#[test]
fn what_jailwarden_itself_has_started_it_with_is_not_loaded_anew() {
    let faulty = config(&["a", "m"]).fault("m", false);
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(faulty.clone()).exits(7);
    rig.sees(absent(unit_killed())).ok();
    rig.sees(answers_as(8, &["a", "m"]));
    rig.does("read ChangeRefused DaemonDown start AllClear");
    rig.edits(faulty).does("read");
    rig.edits(config(&["a", "m"]));
    rig.does("read ChangeWithdrawn");
}

/// It takes no config any more once it has a jail, not even from whoever starts it.
#[test]
fn nothing_is_sent_to_one_that_somebody_is_starting_before_it_has_its_config() {
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_stopped())).does("Standby");
    rig.sees(answers_as(8, &[]));
    rig.does("BackByHand read-afresh").reads(changed.clone());
    rig.sees_for(3, &answers_as(8, &[])).does("");
    rig.sees(answers_as(8, &["a", "m"])).pass(secs(2));
    rig.does("read-afresh").reads(changed.clone());
    rig.does("apply(+m)");

    // One that nobody sends anything has had its time.
    held_back(&changed).reads(changed).does("apply(+m)");
}

/// Found by the fuzzer: what is on disk was known by then, and so it was not sent.
#[test]
fn what_was_held_back_is_sent_though_the_reading_after_it_was_lost() {
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    let mut rig = held_back(&changed);
    rig.reads_as(ConfigRead::Failed("it was lost".into()));
    rig.does("ChangeRefused").reads_as(ConfigRead::Unchanged);
    rig.does("read apply(+m)");
}

/// Somebody has started it, and sends it no config; by now it is read what would be sent.
fn held_back(changed: &Reading) -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_stopped())).does("Standby");
    rig.sees(answers_as(8, &[]));
    rig.does("BackByHand read-afresh").reads(changed.clone());
    let began = rig.now;
    while rig.now.since(began) < secs(9) {
        rig.sees(answers_as(8, &[])).does("");
    }
    while rig.machine.disk.is_settling() {
        rig.sees(answers_as(8, &[]));
    }
    rig.does("read-afresh");
    rig
}

/// As where both are restarted after an edit.
#[test]
fn nothing_is_sent_to_one_that_is_being_started_together_with_jailwarden() {
    let memory = Rig::healthy(&["a", "m"]).kept;
    let changed = config_of_versions(&[("a", 1), ("m", 2)]);
    let mut rig = Rig::stock(memory, changed.clone(), answers_as(8, &[]));
    rig.does("read-afresh ready Supervising");
    rig.sees(answers_as(8, &["a", "m"])).pass(secs(1));
    rig.does("read-afresh").reads(changed).does("apply(+m)");
}

fn no_python() -> ConfigRead {
    ConfigRead::Failed("no Python".into())
}

/// Nobody knows then what it runs, whatever is on disk later.
#[test]
fn what_a_daemon_was_started_with_unread_is_sent_once_it_can_be_read() {
    for later in [
        ConfigRead::Unchanged,
        ConfigRead::Read(config(&["a", "m"]).into()),
    ] {
        let mut rig = Rig::healthy(&["a", "m"]);
        rig.touched().reads_as(no_python());
        rig.exits(7).sees(answers_as(8, &["a", "m"]));
        rig.reads_as(no_python());
        rig.does("read ChangeRefused BackByHand read-afresh");
        rig.touched().reads_as(later);
        rig.does("read apply(server +a +m)");
    }
}

#[test]
fn what_jailwarden_started_it_with_unread_is_sent_once_it_can_be_read() {
    let mut rig = Rig::with(Memory::default());
    rig.reads_as(no_python()).sees(absent(unit_failed(255)));
    rig.reads_as(no_python());
    rig.ok().sees(answers_as(8, &["a", "m"]));
    rig.does("read-afresh ready Supervising DaemonDown read-afresh start AllClear");
    let told = &rig.told.last().unwrap().message;
    assert!(told.contains("2 jails (a, m)"), "{told}");
    rig.touched().reads(config(&["a", "m"]));
    rig.does("read-afresh apply(server *a *m)");
}

/// It was read when it was started.
#[test]
fn what_is_known_is_not_sent_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.touched().reads_as(no_python());
    rig.edits(config(&["a", "m"]));
    rig.does("read ChangeRefused read").is("healthy");
    rig.exits(7).sees(answers_as(8, &["a", "m"]));
    rig.reads(config(&["a", "m"]));
    rig.edits(config(&["a", "m"]));
    rig.does("BackByHand read-afresh read").is("healthy");
}

/// Found by the fuzzer: what had changed in a pause was held to have been there at the start, so that it was not to
/// blame for the next one.
#[test]
fn what_changed_before_it_was_read_is_not_taken_for_what_it_was_started_with() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.event(Event::Operator(Operator::Pause {
        left: None,
        why: "a test".to_owned(),
    }));
    rig.exits(7).sees(answers_as(8, &["a", "m"]));
    rig.touched()
        .event(Event::Operator(Operator::Resume))
        .reads(edited(2));
    rig.applied().sees(answers_as(8, &["a", "m"]));
    rig.does("Paused Resumed read-afresh apply(server +a +m) ChangeApplied BackByHand");
    assert_eq!(rig.machine.proven, None);
    assert_eq!(rig.machine.recent, ["a"]);
}
