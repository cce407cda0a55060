//! What is tried once every way back has failed, and when.

use super::restart::down_after_change;
use super::*;

/// Fails every start until it has given up `times` times; gives the waits between.
fn waits(rig: &mut Rig, times: usize) -> Vec<u64> {
    let mut waits = Vec::new();
    for _ in 0..times {
        rig.does_not_start();
        rig.reads(config(&["a"])).is("gave-up");
        let gave_up = rig.now;
        while !matches!(rig.machine.state, State::Restarting(_)) {
            rig.sees(absent(unit_failed(255)));
        }
        waits.push(rig.now.since(gave_up).as_secs());
    }
    waits
}

#[test]
fn the_wait_doubles_up_to_ten_minutes() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_failed(255)));
    assert_eq!(
        waits(&mut rig, 9),
        [10, 20, 40, 80, 160, 320, 600, 600, 600]
    );
}

#[test]
fn hosts_that_fail_together_do_not_try_again_together() {
    let wait = |seed| {
        let mut rig = down_after_change();
        rig.machine.seed = seed;
        rig.fails("no such unit").does("GaveUp");
        rig.machine.snapshot().deadline.unwrap().since(rig.now)
    };
    let waits = [0, 1, 7, 8].map(wait);
    assert_eq!(waits, [ms(10_000), ms(10_125), ms(10_875), ms(10_000)]);
}

#[test]
fn it_is_looked_at_at_the_usual_pace_while_the_next_try_is_waited_for() {
    let mut rig = down_after_change();
    let down = absent(unit_killed());
    rig.fails("no such unit").sees(down.clone());
    rig.fails("no such unit")
        .does("GaveUp Restarting start GaveUp");
    let gave_up = rig.now;
    rig.sees(down.clone()).does("");
    assert_eq!(rig.now.since(gave_up), Policy::default().interval);
    rig.sees(down).does("Restarting start");
    assert_eq!(rig.now.since(gave_up), 2 * Policy::BACKOFF_START);
}

#[test]
fn a_changed_config_is_tried_at_once_and_a_touch_is_not() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_failed(255)));
    rig.does_not_start().reads(config(&["a"])).is("gave-up");
    rig.does("read-afresh ready Supervising DaemonDown start read-afresh GaveUp");
    rig.touched()
        .reads_as(ConfigRead::Unchanged)
        .does("read")
        .is("gave-up");
    rig.edits(config_of_versions(&[("a", 2)]))
        .sees(absent(unit_failed(255)))
        .does("read Restarting start");
}

/// A log file that was missing is there, or Python is whole again, though the config is as it was.
#[test]
fn it_is_tried_at_once_when_what_was_lacking_may_have_come() {
    for come in [Observed::ConfigStale, Observed::PackagesChanged] {
        let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_failed(255)));
        rig.does_not_start().reads(config(&["a"])).is("gave-up");
        rig.does("read-afresh ready Supervising DaemonDown start read-afresh GaveUp");
        let gave_up = rig.now;
        rig.event(Event::Observed(come));
        rig.reads(config(&["a"]))
            .sees(absent(unit_failed(255)))
            .does("read-afresh Restarting start");
        assert_eq!(rig.now, gave_up);
    }
}

#[test]
fn a_daemon_started_by_hand_after_giving_up_is_not_restarted() {
    for sight in [
        answers_as(8, &["a", "m"]),
        answers_as(8, &[]),
        with_dead(8, &["a", "m"], &["m"]),
    ] {
        let mut rig = Rig::stock(
            Memory::default(),
            config(&["a", "m"]),
            absent(unit_failed(255)),
        );
        rig.does_not_start()
            .reads(config(&["a", "m"]))
            .is("gave-up");
        rig.does("read-afresh ready Supervising DaemonDown start read-afresh GaveUp");
        rig.sees(sight).reads(config(&["a", "m"]));
        rig.sees(answers_as(8, &["a", "m"])).is("healthy");
        assert_eq!(rig.told(Kind::AllClear), 1);
        assert!(!rig.asked.iter().any(|(_, e)| matches!(e, Effect::AskStop)));
    }
}

/// Each comeback ends the incident, so the starts themselves have to slow the tries down.
#[test]
fn a_daemon_that_keeps_dying_is_started_ever_more_slowly() {
    let mut rig = Rig::healthy(&["a"]);
    let mut pid = 7;
    let mut starts = Vec::new();
    while rig.now < MonoTime::new(secs(1800)) {
        rig.exits(pid);
        while !matches!(rig.machine.state, State::Restarting(_)) {
            rig.sees(absent(unit_killed()));
        }
        starts.push(rig.now);
        pid += 1;
        rig.ok().sees(answers_as(pid, &["a"]));
    }
    for window in starts.windows(13) {
        assert!(window[12].since(window[0]) > secs(600), "{starts:?}");
    }
}

#[test]
fn a_failed_reading_in_a_restart_is_made_up_for() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched().exits(7).sees(absent(unit_killed()));
    rig.reads_as(ConfigRead::Failed("timeout".into()))
        .does("DaemonDown read start");
    rig.ok().sees(answers_as(8, &["a"])).does("AllClear");
    rig.reads(config_of_versions(&[("a", 2)]))
        .does("read-afresh apply(+a)");
}

#[test]
fn a_start_that_cannot_be_given_is_no_fault_of_the_config() {
    let mut rig = down_after_change();
    rig.fails("systemd does not start fail2ban.service: Unit fail2ban.service is masked.")
        .does("GaveUp")
        .is("gave-up");
}

#[test]
fn a_stop_by_an_admin_in_the_middle_of_a_restart_is_respected() {
    let mut rig = down_after_change();
    rig.gets(Outcome::Forestalled("stopped by somebody else".into()))
        .does("Standby")
        .is("standby");
    assert!(rig.kept.standby);
    rig.pass(secs(3600)).does("");
}

/// Whatever else was wrong then may be gone.
#[test]
fn what_was_of_no_use_is_tried_again_now_and_then() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), absent(unit_failed(255)));
    let (mut jails, mut files) = (Vec::new(), Vec::new());
    for attempt in 0..70 {
        rig.does_not_start();
        rig.reads(config(&["a"])).is("gave-up");
        let in_vain = &mut rig.machine.in_vain;
        in_vain.jails = set(&["a"]);
        in_vain.files = attempt != 9;
        while !matches!(rig.machine.state, State::Restarting(_)) {
            rig.sees(absent(unit_failed(255)));
        }
        let in_vain = &rig.machine.in_vain;
        jails.extend(in_vain.jails.is_empty().then_some(attempt));
        files.extend((!in_vain.files).then_some(attempt));
    }
    assert_eq!(jails, (3..70).step_by(4).collect::<Vec<_>>());
    assert_eq!(files, [9, 31, 63]);
}
