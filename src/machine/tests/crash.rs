//! jailwarden is killed between two steps, and comes back with what is on disk.

use super::begun::changed;
use super::rungs::changed_after_the_death;
use super::*;

impl Rig {
    /// What comes after a kill: the memory is what was saved last.
    pub(super) fn killed(&self) -> Memory {
        self.kept.clone()
    }
}

/// Its former settings died with the jailwarden that knew them: the jail would be lost.
#[test]
fn what_the_daemon_refused_is_not_sent_again() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(changed()).gets(Outcome::Applied(Applied {
        refused: vec![("m".into(), "no such thing".into())],
        ..Applied::default()
    }));
    rig.applied().sees(answers(&["a", "m"]));
    rig.does("read apply(+m) ChangeRefused apply(*m)");
    let mut rig = Rig::stock(rig.killed(), changed(), answers(&["a", "m"]));
    rig.sees(answers(&["a", "m"]));
    rig.does("read-afresh ready Supervising").is("degraded");
    rig.edits(config_of_versions(&[("a", 1), ("m", 3)]));
    rig.does("read ChangeWithdrawn apply(+m)");
}

/// The jail that changed is disabled by now: that it did change is remembered all the same.
#[test]
fn a_rung_is_left_to_whoever_comes_after_the_one_before_it() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(7, &answers(&["a", "m"]));
    rig.edits(changed()).applied().sees(answers(&["a", "m"]));
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(changed());
    rig.does("read apply(+m) ChangeApplied DaemonDown start read-afresh rollback(m)");
    let on_disk = changed().rolled_back(&["m"]);
    let mut rig = Rig::stock(rig.killed(), on_disk.clone(), absent(unit_failed(255)));
    rig.does_not_start().reads(on_disk);
    rig.does("find-rollbacks read-afresh ready Supervising RolledBack DaemonDown start read-afresh put-back()");
}

/// A jail is lost that could not be revived, whichever jailwarden tried it.
#[test]
fn the_daemon_is_not_restarted_again_for_a_jail_that_this_did_not_help() {
    let mut rig = Rig::healthy(&["a", "m"]);
    let dead = |pid| with_dead(pid, &["a", "m"], &["m"]);
    rig.sees_for(3, &dead(7)).applied().keeps_seeing(&dead(7));
    rig.ok().gets(Outcome::StopAsked(StopAnswer::Agreed));
    rig.exits(7)
        .does("JailDead apply(*m) Restarting save ask-stop start");
    rig.ok();
    let started = rig.killed();
    rig.keeps_seeing(&dead(8)).does("JailDead");
    let mut rig = Rig::stock(rig.killed(), config(&["a", "m"]), dead(8));
    rig.sees_for(50, &dead(8)).is("degraded");
    rig.does("read-afresh ready Supervising");

    let mut rig = Rig::stock(started, config(&["a", "m"]), dead(8));
    rig.keeps_seeing(&dead(8)).applied().keeps_seeing(&dead(8));
    rig.does("read-afresh ready Supervising JailDead apply(*m) JailDead");
    rig.sees(dead(8)).is("degraded");
}

/// A disk without room keeps nothing from being done, and is told of once.
#[test]
fn what_could_not_be_saved_is_saved_as_soon_as_it_can_be() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.no_room = Some("no room");
    rig.edits(changed().fault("m", true));
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("read ChangeRefused StateNotKept DaemonDown rollback(m)");
    rig.ok().reads(changed().rolled_back(&["m"])).ok();
    rig.sees(answers_as(8, &["a"]));
    rig.does("RolledBack read-afresh start AllClear try(m)");
    let still = Trial::Faulty(finding(Some("m"), true));
    rig.gets(Outcome::Tried(Ok([("m".to_owned(), still)].into())));
    rig.sees_for(20, &answers_as(8, &["a"])).does("");
    assert!(rig.kept.mends.is_empty());
    rig.no_room = None;
    rig.sees_for(2, &answers_as(8, &["a"])).does("");
    assert!(rig.kept.mends.contains_key("m"));
    rig.no_room = Some("no room");
    rig.edits(changed());
    rig.does("read RollbackUndone apply(+m) StateNotKept");
}

/// It answers, lists its jails, and runs none of them: a start that failed, whoever looks at it.
#[test]
fn a_start_that_failed_while_jailwarden_was_away_is_rolled_back() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown start");
    let faulty = changed().fault("m", true);
    let phantom = with_dead(8, &["a", "m"], &["a", "m"]);
    let mut rig = Rig::stock(rig.killed(), faulty.clone(), phantom.clone());
    rig.does("read-afresh ready Supervising ChangeRefused")
        .is("restarting");
    rig.keeps_seeing(&phantom).does("diagnose:8");
    let idle = Outcome::Diagnosis(Diagnosis::default());
    rig.gets(idle).keeps_seeing(&phantom).does("read-afresh");
    rig.reads(faulty.clone()).does("rollback(m)");
    rig.ok().does("RolledBack read-afresh");
    rig.reads(changed().rolled_back(&["m"])).does("save");
    rig.ok().does("ask-stop");

    // One that comes up is left alone, and told what changed meanwhile.
    let given = Memory {
        start: Some(Start::Seen),
        accepted: config(&["a", "m"]).plan,
        ..Memory::default()
    };
    let mut rig = Rig::stock(given, changed(), phantom);
    rig.sees(answers_as(8, &["a", "m"]));
    rig.does("read-afresh ready Supervising AllClear read-afresh");
    rig.reads(changed()).does("apply(+m)");
}

/// The start command runs on without jailwarden, and nothing says how far it has got.
#[test]
fn a_daemon_that_is_being_started_is_not_started_twice() {
    let mut rig = Rig::stock(Memory::default(), config(&["a"]), gone(None, false));
    rig.does("read-afresh ready Supervising DaemonDown start");
    let killed = rig.killed();
    let mut rig = Rig::stock(killed.clone(), config(&["a"]), gone(None, false));
    rig.sees_for(20, &gone(None, false));
    rig.does("read-afresh ready Supervising").is("suspect");
    assert_eq!(rig.kept.start, Some(Start::Given));
    rig.sees(answers(&["a"])).does("AllClear read-afresh");
    rig.reads(config(&["a"]))
        .sees(answers(&["a"]))
        .is("healthy");
    assert_eq!(rig.kept.start, None);

    let mut rig = Rig::stock(killed, config(&["a"]), gone(None, false));
    rig.keeps_seeing(&gone(None, false));
    rig.does("read-afresh ready Supervising DaemonDown start");
}

/// The start is proven by the first good look, though that is another jailwarden's.
#[test]
fn a_start_is_proven_after_a_kill() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(changed()).applied().sees(answers(&["a", "m"]));
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("read apply(+m) ChangeApplied DaemonDown start");
    let mut rig = Rig::stock(rig.killed(), changed(), answers_as(8, &["a", "m"]));
    rig.does("read-afresh ready Supervising").is("healthy");
    assert_eq!(rig.kept.proven, changed().plan);
    assert_eq!(rig.kept.recent, [""; 0]);
}

#[test]
fn a_start_that_is_proven_after_a_kill_proves_no_later_change() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("DaemonDown start");
    let mut rig = Rig::stock(rig.killed(), changed(), answers_as(8, &["a", "m"]));
    rig.does("read-afresh ready Supervising apply(+m)");
    rig.applied().sees(answers_as(8, &["a", "m"]));
    assert_eq!(rig.kept.proven, config(&["a", "m"]).plan);
}

/// Every way back has failed, and nothing is to blame.
fn given_up() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(config(&["a", "m"]));
    rig.does("DaemonDown start read-afresh GaveUp");
    rig
}

#[test]
fn the_wait_after_giving_up_goes_on_after_a_kill() {
    let down = || absent(unit_failed(255));
    let mut rig = given_up();
    for (wait, age) in [(10, 3), (20, 3), (40, 38), (80, 100)] {
        let memory = Memory {
            age: secs(age),
            ..rig.killed()
        };
        assert_eq!(memory.gave_up.left, Some(secs(wait)));
        rig = Rig::stock(memory, config(&["a", "m"]), down());
        rig.does("read-afresh ready Supervising GaveUp")
            .is("gave-up");
        rig.keeps_seeing(&down()).does("Restarting start");
        assert!(rig.now >= MonoTime::START + secs(wait.saturating_sub(age)));
        rig.does_not_start().reads(config(&["a", "m"]));
        rig.does("read-afresh GaveUp");
    }
    // It was being tried when that jailwarden was killed, too.
    let mut rig = Rig::stock(rig.killed(), config(&["a", "m"]), down());
    rig.keeps_seeing(&down());
    let memory = rig.killed();
    assert_eq!((memory.gave_up.times, memory.gave_up.left), (5, None));
    let mut rig = Rig::stock(memory, config(&["a", "m"]), down());
    // Its budget is spent by now.
    rig.does("read-afresh ready Supervising DaemonDown GaveUp");
    assert_eq!(rig.killed().gave_up.left, Some(secs(320)));
}

#[test]
fn what_is_another_matter_is_tried_at_once_after_a_kill() {
    let memory = given_up().killed();
    let down = || absent(unit_failed(255));
    let same = config(&["a", "m"]);
    let other = config_of_versions(&[("a", 1), ("m", 2)]);
    let mut rig = Rig::stock(memory.clone(), other, down());
    rig.does("read-afresh ready Supervising DaemonDown start");

    let mut ended = given_up();
    ended.event(Event::Shutdown);
    let mut rig = Rig::stock(ended.killed(), same.clone(), down());
    rig.does("read-afresh ready Supervising DaemonDown start");

    let booted = Memory {
        booted: true,
        ..memory.clone()
    };
    let mut rig = Rig::stock(booted, same.clone(), down());
    rig.does("read-afresh ready Supervising DaemonDown start");

    let mut rig = Rig::stock(memory.clone(), same.clone(), answers_as(8, &["a", "m"]));
    rig.does("read-afresh ready Supervising");
    assert_eq!(rig.killed().gave_up, GaveUp::default());

    let mut rig = Rig::stock(memory, same, absent(unit_stopped()));
    rig.does("read-afresh ready Supervising Standby");
}

/// Whatever the file says.
#[test]
fn no_wait_is_longer_than_any_that_jailwarden_has() {
    let memory = Memory {
        gave_up: GaveUp {
            times: u32::MAX,
            left: Some(Duration::MAX),
        },
        relieved: Some(Duration::MAX),
        in_memory: StandIn {
            times: u32::MAX,
            left: Duration::MAX,
            ..StandIn::default()
        },
        cures: [(
            "a".to_owned(),
            Cures {
                times: u32::MAX,
                freed: true,
                left: Duration::MAX,
            },
        )]
        .into(),
        ..given_up().killed()
    };
    let rig = Rig::stock(memory, config(&["a", "m"]), absent(unit_failed(255)));
    let kept = rig.killed();
    let longest = [
        kept.gave_up.left.unwrap_or_default() / 2,
        kept.relieved.unwrap_or_default(),
        kept.cures["a"].left,
    ];
    assert!(
        longest.iter().all(|left| *left <= Policy::CURE_WINDOW),
        "{longest:?}"
    );
    assert!(kept.in_memory.left <= Policy::MEND_LIMIT);
}

#[test]
fn starts_of_long_ago_do_not_count_after_a_restart_of_jailwarden() {
    for (age, does) in [(secs(60), "GaveUp"), (Policy::BUDGET_WINDOW, "start")] {
        let memory = Memory {
            starts: Policy::RESTART_BUDGET,
            age,
            ..Memory::default()
        };
        let mut rig = Rig::stock(memory, config(&["a"]), absent(unit_failed(255)));
        rig.does(&format!("read-afresh ready Supervising DaemonDown {does}"));
    }
}

/// What the process hung with is held against the jail, and what is on disk may be newer.
#[test]
fn the_commands_that_are_held_against_a_jail_are_the_ones_that_failed() {
    let failed = |rig: &Rig| rig.kept.intent.as_ref().unwrap().failed.clone();
    let digest = |digest| [("m".to_owned(), digest)].into();
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.pass(ms(9800)).touched().sees(silent(Motion::Frozen));
    rig.gets(Outcome::Diagnosis(Diagnosis {
        burning: Some("m".into()),
        ..Diagnosis::default()
    }));
    rig.reads(changed());
    rig.does("diagnose:7 DaemonHung read rollback(m)");
    assert_eq!(failed(&rig), digest(1));

    // It does not start with what came after what was last sent to it.
    assert_eq!(failed(&changed_after_the_death()), digest(2));
}

/// The start of process 8 came to nothing, and something was about to be done about it.
#[test]
fn only_the_process_that_failed_is_stopped_for_what_was_done_about_that() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.exits(7).sees(absent(unit_failed(255)));
    let faulty = changed().fault("m", true);
    let phantom = |pid| with_dead(pid, &["a", "m"], &["a", "m"]);
    let mut rig = Rig::stock(rig.killed(), faulty.clone(), phantom(8));
    rig.keeps_seeing(&phantom(8));
    rig.gets(Outcome::Diagnosis(Diagnosis::default()));
    rig.keeps_seeing(&phantom(8)).reads(faulty.clone());
    rig.does("read-afresh ready Supervising ChangeRefused diagnose:8 read-afresh rollback(m)");
    let due = rig.killed();
    assert_eq!((due.start, due.process), (Some(Start::Due), Some(8)));
    let done = changed().rolled_back(&["m"]);
    let stopped = |memory: &Memory, reading: &Reading, sight: Sight| {
        let rig = Rig::stock(memory.clone(), reading.clone(), sight);
        rig.words.last().is_some_and(|word| word == "save")
    };
    assert!(stopped(&due, &done, phantom(8)));
    let rig = Rig::stock(due.clone(), done.clone(), phantom(8));
    let told = rig.told.last().unwrap();
    assert!(
        told.message
            .starts_with("fail2ban answers and runs no jail"),
        "{told}"
    );
    assert!(!stopped(&due, &done, phantom(9)));
    // It was not done: the process has its time, as it may come up.
    assert!(!stopped(&due, &changed(), phantom(8)));
    let seen = Memory {
        start: Some(Start::Seen),
        ..due
    };
    assert!(!stopped(&seen, &done, phantom(8)));
}

/// The stop that jailwarden was killed in was that of another process.
#[test]
fn a_process_that_was_started_since_is_stopped_by_others_alone() {
    let mut rig = Rig::healthy(&["a"]);
    rig.sees(silent(Motion::Frozen)).gets(Outcome::Lost).ok();
    rig.ok().exits(7);
    rig.does("diagnose:7 DaemonHung save TERM:7 start");
    let memory = rig.killed();
    assert!(memory.stopping && memory.start == Some(Start::Given));
    let phantom = with_dead(8, &["a"], &["a"]);
    let mut rig = Rig::stock(memory, config(&["a"]), phantom.clone());
    rig.keeps_seeing(&phantom).gets(Outcome::Lost);
    rig.keeps_seeing(&phantom).reads(config(&["a"]));
    rig.does("read-afresh ready Supervising diagnose:8 read-afresh GaveUp");
    rig.exits(8).sees(absent(unit_stopped())).does("Standby");
}

#[test]
fn what_was_replaced_is_to_blame_unless_the_same_is_found_without_it() {
    use super::super::intent::is_still_broken;
    let three = || config(&["a", "m1", "m2"]);
    assert!(!is_still_broken(&three()));
    assert!(!is_still_broken(&three().fault("m1", true)));
    // A line that both have.
    assert!(is_still_broken(
        &three().fault("m1", true).fault("m2", true)
    ));
    assert!(is_still_broken(&config(&["a"]).fault("a", true)));
    assert!(is_still_broken(&three().unreadable()));
}

#[test]
fn why_it_could_not_be_saved_is_told() {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.no_room = Some("no room");
    rig.edits(changed().fault("m", true));
    rig.does("read ChangeRefused StateNotKept");
    let told = &rig.told.last().unwrap().message;
    assert!(told.contains("no room"), "{told}");
}
