//! The rungs of the ladder: which is taken, and in which order.

use super::restart::down_after_change;
use super::*;

/// The order that the mission names: on disk and read back before anything else is touched.
#[test]
fn a_rollback_is_on_disk_and_read_back_before_anything_is_touched() {
    let mut rig = down_after_change();
    rig.does_not_start().does("read-afresh").is("restarting");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]))
        .does("rollback(m)")
        .is("rolling-back");
    assert_eq!(rig.machine.look, None);
    rig.pass(secs(60))
        .does("")
        .ok()
        .does("RolledBack read-afresh");
    rig.pass(secs(60)).does("");
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("start");
    rig.ok().sees(answers_as(9, &["a"])).does("AllClear try(m)");
    rig.gets(Outcome::Lost).is("degraded");
    assert_eq!(rig.machine.rollbacks, set(&["m"]));
    assert_eq!(rig.kept.proven.clone().unwrap().names(), set(&["a"]));
}

#[test]
fn a_daemon_that_answers_without_jails_is_stopped_only_after_the_rollback() {
    let mut rig = down_after_change();
    rig.ok()
        .keeps_seeing(&with_dead(8, &["a", "m"], &["a", "m"]))
        .does("diagnose:8");
    let idle = Outcome::Diagnosis(Diagnosis::default());
    rig.gets(idle)
        .keeps_seeing(&with_dead(8, &["a", "m"], &["a", "m"]))
        .does("read-afresh");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]))
        .does("rollback(m)");
    rig.ok().does("RolledBack read-afresh");
    rig.reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("save");
    rig.ok()
        .does("ask-stop")
        .gets(Outcome::StopAsked(StopAnswer::Agreed))
        .exits(8)
        .does("start");
}

#[test]
fn a_known_fault_is_rolled_back_before_a_hung_daemon_is_touched() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 1), ("m", 2)]).fault("m", true))
        .does("read ChangeRefused");
    rig.sees(silent(Motion::Frozen))
        .gets(Outcome::Lost)
        .does("diagnose:7 DaemonHung rollback(m)");
    rig.ok()
        .reads(config(&["a", "m"]).rolled_back(&["m"]))
        .does("RolledBack read-afresh save");
    rig.ok().does("TERM:7").exits(7).does("start");
}

#[test]
fn a_fault_not_yet_read_is_rolled_back_before_the_start() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.touched()
        .exits(7)
        .sees(absent(unit_killed()))
        .does("DaemonDown read");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]).fault("m", true));
    rig.does("ChangeRefused rollback(m)");
}

#[test]
fn a_fault_that_fail2ban_skips_by_itself_is_not_rolled_back() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config(&["a"]).fault("m", false))
        .does("read ChangeRefused");
    rig.exits(7)
        .sees(absent(unit_killed()))
        .does("DaemonDown start");
    rig.ok()
        .sees(answers_as(8, &["a"]))
        .does("AllClear")
        .is("degraded");
}

#[test]
fn the_rungs_in_order_the_blamed_the_last_changed_all_changed() {
    let mut rig = Rig::healthy(&["a", "b", "c", "m"]);
    rig.machine.proven = config(&["a", "b", "c", "m"]).plan;
    let v = |a, b, c| config_of_versions(&[("a", a), ("b", b), ("c", c), ("m", 1)]);
    for (reading, word) in [(v(2, 1, 1), "+a"), (v(2, 2, 1), "+b"), (v(2, 2, 2), "+c")] {
        rig.edits(reading)
            .applied()
            .sees(answers(&["a", "b", "c", "m"]));
        rig.does(&format!("read apply({word}) ChangeApplied"));
    }
    let mut disk = v(2, 2, 2).fault("a", true);
    rig.exits(7)
        .sees(absent(unit_killed()))
        .does_not_start()
        .does("DaemonDown start read-afresh");
    rig.reads(disk.clone()).does("ChangeRefused rollback(a)");
    disk.findings.clear();
    for (standing, next) in [(vec!["a"], "c"), (vec!["a", "c"], "b")] {
        rig.ok().reads(disk.clone().rolled_back(&standing));
        rig.does("RolledBack read-afresh start");
        rig.does_not_start().does(&format!("rollback({next})"));
    }
    rig.ok()
        .reads(disk.clone().rolled_back(&["a", "b", "c"]))
        .does_not_start();
    // What was only guessed and did not help is taken back; what was found faulty stays.
    rig.does("RolledBack read-afresh start GaveUp undo(b c)");
    rig.ok()
        .reads(disk.rolled_back(&["a"]))
        .does("RollbackUndone read-afresh")
        .is("gave-up");
    // The next try does not guess the same again.
    rig.sees(absent(unit_failed(255))).does("Restarting start");
    rig.does_not_start().reads(v(2, 2, 2).rolled_back(&["a"]));
    rig.does("read-afresh GaveUp");
}

#[test]
fn a_file_that_does_not_parse_disables_no_jail_that_only_changed() {
    let mut rig = down_after_change();
    let mut unreadable = config(&[]).fault("m", true);
    unreadable.plan = None;
    unreadable.findings[0].jail = None;
    rig.does_not_start().reads(unreadable);
    rig.does("read-afresh ChangeRefused GaveUp");
}

#[test]
fn a_program_that_is_not_there_is_no_fault_of_the_config() {
    let mut rig = down_after_change();
    rig.ok()
        .sees(absent(unit_failed(203)))
        .does("GaveUp")
        .is("gave-up");
}

/// a was changed and loaded; m was changed only when the daemon was dead.
pub(super) fn changed_after_the_death() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(config_of_versions(&[("a", 2), ("m", 1)]))
        .applied()
        .sees(answers(&["a", "m"]));
    rig.exits(7).sees(absent(unit_killed())).does_not_start();
    rig.reads(config_of_versions(&[("a", 2), ("m", 2)]));
    rig.does("read apply(+a) ChangeApplied DaemonDown start read-afresh rollback(m)");
    rig
}

#[test]
fn a_change_that_is_only_read_after_the_death_is_the_last_change() {
    changed_after_the_death();
}

#[test]
fn no_jail_is_disabled_when_the_config_is_what_last_started() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.machine.proven = config(&["a", "m"]).plan;
    rig.exits(7).sees(absent(unit_killed())).does_not_start();
    rig.reads(config(&["a", "m"]))
        .does("DaemonDown start read-afresh GaveUp");
}

#[test]
fn the_newest_file_is_the_last_resort_when_nothing_is_known() {
    let mut reading = config(&["a", "m"]);
    reading.newest = vec!["gone".into(), "m".into(), "a".into()];
    let mut rig = Rig::stock(Memory::default(), reading.clone(), absent(unit_failed(255)));
    rig.does_not_start().reads(reading);
    rig.does("read-afresh ready Supervising DaemonDown start read-afresh rollback(m)");
}

#[test]
fn a_rollback_that_cannot_be_written_is_told_and_not_counted() {
    let mut rig = down_after_change();
    rig.does_not_start()
        .reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.does("read-afresh rollback(m)");
    rig.fails("read-only file system")
        .does("RollbackFailed GaveUp undo(m)")
        .is("gave-up");
    assert_eq!(rig.machine.incident.as_ref().unwrap().rolled_back, set(&[]));
    // It may stand all the same; it was not found to be in vain, and is tried again.
    rig.ok().does("read-afresh");
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.keeps_seeing(&absent(unit_failed(255))).does_not_start();
    rig.reads(config_of_versions(&[("a", 1), ("m", 2)]));
    rig.does("Restarting start read-afresh rollback(m)");
}

#[test]
fn a_guess_does_not_cost_the_last_jail() {
    let jails = ["a", "m"];
    let mut rig = Rig::stock(Memory::default(), config(&jails), answers(&jails));
    rig.edits(config(&jails).fault("m", true));
    rig.does("read-afresh ready Supervising read ChangeRefused");
    rig.machine.recent = vec!["a".into()];
    rig.exits(7).sees(absent(unit_killed()));
    rig.ok().reads(config(&jails).rolled_back(&["m"]));
    rig.does("DaemonDown rollback(m) RolledBack read-afresh start");
    rig.does_not_start();
    rig.reads(config(&jails).rolled_back(&["m"]));
    rig.does("read-afresh GaveUp");
}

#[test]
fn of_two_rollbacks_one_may_be_written_and_the_other_not() {
    let jails = ["a", "m", "n"];
    let faulty = || config(&jails).fault("m", true).fault("n", true);
    let mut rig = Rig::stock(Memory::default(), faulty(), answers(&jails));
    rig.does("read-afresh ready Supervising ChangeRefused");
    rig.exits(7).sees(absent(unit_killed()));
    rig.does("DaemonDown rollback(m n)");
    rig.fails("no room for n").does("RollbackFailed start");
    let half = || config(&jails).fault("n", true).rolled_back(&["m"]);
    rig.does_not_start().reads(half());
    rig.does("read-afresh RolledBack ChangeRefused rollback(n)");
    let told = rig.told.iter().rfind(|r| r.kind == Kind::RolledBack);
    assert_eq!(told.unwrap().jails, ["m"]);
    rig.fails("no room for n").does("RollbackFailed GaveUp");
    rig.sees(absent(unit_failed(255)))
        .does("Restarting rollback(n)");
    rig.ok().reads(config(&jails).rolled_back(&["m", "n"])).ok();
    rig.sees(answers_as(8, &["a"]));
    let clear = rig.told.iter().rfind(|r| r.kind == Kind::AllClear).unwrap();
    assert!(clear.message.contains("disabled for it: m, n"), "{clear}");
    assert!(!clear.message.contains("no longer"), "{clear}");
}

#[test]
fn a_rollback_without_effect_is_told() {
    let mut rig = down_after_change();
    rig.does_not_start()
        .reads(config_of_versions(&[("a", 1), ("m", 2)]))
        .ok();
    let mut overridden = config_of_versions(&[("a", 1), ("m", 2)]);
    overridden.rollbacks = set(&["m"]);
    rig.reads(overridden);
    rig.does("read-afresh rollback(m) RolledBack read-afresh RollbackFailed GaveUp undo(m)");
}
