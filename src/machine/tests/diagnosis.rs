//! What is found out of a daemon that is awaited, or that hangs.

use super::restart::down_after_change;
use super::*;

/// A look at what it does takes seconds.
#[test]
fn a_daemon_that_comes_up_while_it_is_diagnosed_is_left_alone() {
    let hangs = Sight {
        unit: Some(unit_stopped()),
        ..silent_as(8, Motion::Busy)
    };
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    rig.gets(Outcome::Diagnosis(Diagnosis::default()));
    rig.sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear").is("healthy");

    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    rig.gets(Outcome::Lost)
        .keeps_seeing(&hangs)
        .does("read-afresh");

    // A filter with much to read burns the processor, and no jail is to blame for that.
    let burns = || {
        Outcome::Diagnosis(Diagnosis {
            burning: Some("a".into()),
            ..Diagnosis::default()
        })
    };
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    rig.gets(burns()).sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear").is("healthy");

    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    rig.gets(burns()).does("").keeps_seeing(&hangs);
    rig.does("DaemonHung rollback(a)");
}

/// With hundreds of jails, or on a slow machine: no jail is to blame for that.
#[test]
fn a_daemon_that_takes_long_to_start_is_waited_for() {
    let working = || {
        Outcome::Diagnosis(Diagnosis {
            busy: true,
            ..Diagnosis::default()
        })
    };
    let loading = Sight {
        daemon: Daemon::Absent {
            process: Some(8),
            traces: false,
            why: "no such file".into(),
        },
        ..absent(unit_stopped())
    };
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&loading).does("diagnose:8");
    rig.gets(working())
        .does("")
        .keeps_seeing(&loading)
        .does("Waiting");
    rig.keeps_seeing(&loading).does("diagnose:8");
    rig.gets(working()).sees(answers_as(8, &["a", "m"]));
    rig.does("AllClear").is("healthy");

    // It answers before its jails are there.
    let mut rig = down_after_change();
    let answering = with_dead(8, &[], &[]);
    rig.ok().keeps_seeing(&answering).does("diagnose:8");
    rig.gets(working())
        .does("")
        .keeps_seeing(&answering)
        .does("Waiting");
    rig.sees(answers_as(8, &["a", "m"])).does("AllClear");

    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&loading).does("diagnose:8");
    rig.gets(working())
        .does("")
        .keeps_seeing(&loading)
        .does("Waiting");
    // Not for ever: what is to blame is looked for.
    let mut times = 0;
    while rig.keeps_seeing(&loading).words.last().unwrap() != "read-afresh" {
        rig.gets(working());
        times += 1;
        assert!(times < 60, "it is asked all the time");
    }
}

/// It may have been started again by systemd at once.
#[test]
fn the_end_of_one_that_is_awaited_is_looked_at_at_once() {
    let mut rig = down_after_change();
    rig.ok().sees(silent_as(8, Motion::Progressing));
    assert!(rig.machine.look.is_none());
    rig.exits(8);
    assert!(rig.machine.look.is_some());
}

#[test]
fn one_that_ends_while_it_is_diagnosed_is_not_waited_for() {
    let hangs = silent_as(8, Motion::Busy);
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    // Until its time is up, and nothing but the answer is waited for.
    rig.pass(secs(1));
    while rig.machine.look.is_some() {
        rig.sees(hangs.clone()).pass(secs(1));
    }
    rig.does("").exits(8).sees(absent(unit_failed(255)));
    rig.does("read-afresh");
}

/// So that what is found out costs no time of its own.
#[test]
fn one_that_does_not_answer_is_diagnosed_once_and_before_its_time_is_up() {
    let hangs = silent_as(8, Motion::Busy);
    let mut rig = down_after_change();
    let began = rig.now;
    rig.ok().keeps_seeing(&hangs).does("diagnose:8");
    let early = Policy::default().comeback.saturating_sub(Policy::EXAM);
    assert_eq!(rig.now.since(began), early);
    rig.sees_for(5, &hangs).does("");
}

/// It is known what it does.
#[test]
fn one_that_hangs_after_a_jail_was_disabled_for_that_is_not_diagnosed_again() {
    let hangs = |pid| silent_as(pid, Motion::Busy);
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.keeps_seeing(&hangs(7));
    rig.gets(Outcome::Diagnosis(Diagnosis {
        burning: Some("m".into()),
        ..Diagnosis::default()
    }));
    let disabled = config(&["a", "m"]).rolled_back(&["m"]);
    rig.ok().reads(disabled.clone()).ok();
    rig.exits(7).ok();
    rig.does("diagnose:7 DaemonHung rollback(m) RolledBack read-afresh save TERM:7 start");
    rig.keeps_seeing(&hangs(8)).does("read-afresh");
}

/// It may have to be read from the disk again.
#[test]
fn one_that_was_told_to_go_on_has_its_moment_before_it_is_diagnosed() {
    let stopped = silent(Motion::Stopped);
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(stopped.clone()).ok().does("DaemonHung CONT:7");
    rig.sees_for(5, &stopped).does("");
}

/// Each time is a second long: it is not asked all the time what it does.
#[test]
fn one_that_takes_long_to_start_is_given_a_second_at_a_time() {
    let loading = with_dead(8, &[], &[]);
    let working = || {
        Outcome::Diagnosis(Diagnosis {
            busy: true,
            ..Diagnosis::default()
        })
    };
    let mut rig = down_after_change();
    rig.ok().keeps_seeing(&loading).gets(working());
    rig.keeps_seeing(&loading).does("diagnose:8 Waiting");
    rig.keeps_seeing(&loading).does("diagnose:8");
    let began = rig.now;
    rig.gets(working()).keeps_seeing(&loading);
    rig.does("diagnose:8");
    assert_eq!(rig.now.since(began), Policy::SUSPECT_PACE);
}

/// It has to end by SIGTERM before it is killed, and that fails late.
#[test]
fn a_signal_that_failed_is_no_reason_to_give_up_unless_it_is_the_last() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen)).gets(Outcome::Lost).ok();
    let (terminate, _) = rig.asked.last().cloned().unwrap();
    rig.pass(secs(5)).gets(Outcome::Motion(Motion::Frozen));
    rig.does("diagnose:7 DaemonHung save TERM:7 sample:7 KILL:7");
    let failed = || Outcome::Effect(Err("not permitted".into()));
    rig.event(done(terminate, failed())).does("");
    rig.gets(failed()).does("GaveUp").is("gave-up");
}

/// It protects until it has ended, and lifts its bans meanwhile.
#[test]
fn one_without_a_socket_has_the_time_of_any_stop() {
    let mut rig = Rig::healthy(&["a"]);
    rig.keeps_seeing(&unaskable()).ok();
    rig.does("DaemonHung save TERM:7").ok();
    let patience = Policy::default().stop_timeout;
    rig.pass(patience.saturating_sub(ms(1))).does("");
    rig.pass(ms(1)).does("sample:7");
}

/// What it was started with is not known then.
#[test]
fn no_config_is_proven_by_a_start_before_which_none_could_be_read() {
    let mut rig = Rig::healthy(&["a"]);
    rig.touched().exits(7).sees(absent(unit_killed()));
    rig.reads_as(ConfigRead::Failed("timeout".into())).ok();
    rig.sees(answers_as(8, &["a"]));
    rig.does("DaemonDown read start AllClear");
    assert_eq!(rig.machine.proven, None);
}
