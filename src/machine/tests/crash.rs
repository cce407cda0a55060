//! jailwarden is killed between two steps, and comes back with what is on disk.

use super::rungs::changed_after_the_death;
use super::*;

impl Rig {
    /// What comes after a kill: the memory is what was saved last.
    fn killed(&self) -> Memory {
        self.kept.clone()
    }
}

fn changed() -> Reading {
    config_of_versions(&[("a", 1), ("m", 2)])
}

/// `m` changed, the daemon died and does not start; the last changed jail is about to be disabled.
fn about_to_disable() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.edits(changed()).applied().sees(answers(&["a", "m"]));
    rig.exits(7).sees(absent(unit_failed(255))).does_not_start();
    rig.reads(changed());
    rig.does("read apply(+m) ChangeApplied DaemonDown start read-afresh rollback(m)");
    rig
}

#[test]
fn a_rollback_whose_outcome_never_came_is_told_and_taken_back_if_it_does_not_help() {
    let rig = about_to_disable();
    let on_disk = changed().rolled_back(&["m"]);
    let mut rig = Rig::stock(rig.killed(), on_disk.clone(), absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising RolledBack DaemonDown start");
    let told = rig
        .told
        .iter()
        .find(|r| r.kind == Kind::RolledBack)
        .unwrap();
    assert!(told.message.contains("was the last to change"), "{told}");
    assert_eq!(
        rig.kept.mends["m"].failed,
        Some(2),
        "with these commands it failed"
    );
    assert_eq!(rig.kept.intent, None);
    rig.does_not_start().reads(on_disk);
    rig.does("read-afresh GaveUp undo(m)");
    rig.ok().does("RollbackUndone read-afresh").reads(changed());
    assert_eq!(rig.kept.guesses, Guesses::default());
}

#[test]
fn a_rollback_that_was_not_begun_is_decided_afresh() {
    let rig = about_to_disable();
    let mut rig = Rig::stock(rig.killed(), changed(), absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising DaemonDown start");
    assert_eq!(rig.kept.intent, None);
    rig.does_not_start().reads(changed());
    rig.does("read-afresh rollback(m)");
}

#[test]
fn a_rollback_that_cannot_be_seen_is_taken_back_all_the_same() {
    let rig = about_to_disable();
    let mut rig = Rig::with(rig.killed());
    rig.reads_as(ConfigRead::Failed("no Python".into()));
    rig.sees(absent(unit_failed(255)));
    assert_eq!(rig.kept.guesses.jails, set(&["m"]));
}

/// What was found out to be in vain is not done again after a kill.
#[test]
fn what_did_not_help_is_not_done_twice() {
    let mut rig = about_to_disable();
    let on_disk = changed().rolled_back(&["m"]);
    rig.ok().reads(on_disk.clone()).does_not_start();
    rig.does("RolledBack read-afresh start GaveUp undo(m)");
    for on_disk in [on_disk, changed()] {
        let mut rig = Rig::stock(rig.killed(), on_disk, absent(unit_failed(255)));
        rig.does("read-afresh ready Supervising GaveUp undo(m)");
    }
    rig.ok().reads(changed());
    let mut rig = Rig::stock(rig.killed(), changed(), absent(unit_failed(255)));
    rig.does("read-afresh ready Supervising GaveUp");
    rig.keeps_seeing(&absent(unit_failed(255))).does_not_start();
    rig.reads(changed());
    rig.does("Restarting start read-afresh GaveUp");
    // Another config has its own chances.
    let other = config_of_versions(&[("a", 1), ("m", 3)]);
    let mut rig = Rig::stock(rig.killed(), other.clone(), absent(unit_failed(255)));
    rig.does_not_start().reads(other);
    rig.does("read-afresh ready Supervising DaemonDown start read-afresh rollback(m)");
}

fn broken() -> Reading {
    config(&["a", "m"]).unreadable()
}

/// A file does not parse, the daemon died, and the last good content is about to be put back.
fn about_to_put_back() -> Rig {
    let mut rig = Rig::healthy(&["a", "m"]);
    rig.sees_for(7, &answers(&["a", "m"]));
    rig.edits(broken());
    rig.exits(7).sees(absent(unit_failed(255)));
    rig.does("read ChangeRefused DaemonDown put-back(x.conf)");
    rig
}

fn set_aside(name: &str) -> PutBack {
    PutBack {
        files: vec!["/etc/fail2ban/jail.d/x.conf".into()],
        replaced: Some(name.into()),
        folder: false,
    }
}

fn found(rig: &mut Rig, found: PutBack) -> &mut Rig {
    let at = rig
        .asked
        .iter()
        .position(|(_, e)| matches!(e, Effect::FindPutBack { .. }));
    let (id, _) = rig.asked.remove(at.expect("a search"));
    rig.event(done(id, Outcome::PutBack(Ok(found))))
}

#[test]
fn files_that_were_put_back_before_a_kill_are_told() {
    let rig = about_to_put_back();
    let mut rig = Rig::with(rig.killed());
    rig.reads(config(&["a", "m"]))
        .sees(absent(unit_failed(255)));
    rig.does("find-put-back read-afresh ready");
    found(&mut rig, set_aside("2026-1")).does("Supervising FilesPutBack DaemonDown start");
    let told = rig
        .told
        .iter()
        .find(|r| r.kind == Kind::FilesPutBack)
        .unwrap();
    assert!(told.message.contains("jailwarden restore 2026-1"), "{told}");
    assert_eq!(rig.kept.intent, None);
    assert_eq!(
        rig.kept.guesses,
        Guesses::default(),
        "a finding blamed them"
    );
}

#[test]
fn files_that_were_put_back_in_vain_before_a_kill_are_taken_back() {
    let rig = about_to_put_back();
    let mut rig = Rig::with(rig.killed());
    found(&mut rig, set_aside("2026-1"));
    rig.reads(broken()).sees(absent(unit_failed(255)));
    assert_eq!(rig.kept.guesses.replaced, ["2026-1"]);
    rig.does(
        "find-put-back read-afresh ready Supervising FilesPutBack DaemonDown put-back(x.conf)",
    );
    rig.gets(Outcome::PutBack(Ok(PutBack::default())));
    rig.gets(Outcome::PutBack(Ok(PutBack::default())))
        .does_not_start();
    rig.reads(broken())
        .does("put-back() start read-afresh GaveUp undo(2026-1)");
}

#[test]
fn a_put_back_that_was_not_begun_is_decided_afresh() {
    let rig = about_to_put_back();
    for older in [PutBack::default(), set_aside("2025-1")] {
        let memory = Memory {
            put_back: Some("2025-1".into()),
            ..rig.killed()
        };
        let mut rig = Rig::with(memory);
        found(&mut rig, older);
        rig.reads(broken()).sees(absent(unit_failed(255)));
        rig.does("find-put-back read-afresh ready Supervising DaemonDown put-back(x.conf)");
    }
}

#[test]
fn a_put_back_that_cannot_be_found_out_is_told() {
    let rig = about_to_put_back();
    let mut rig = Rig::with(rig.killed());
    rig.gets(Outcome::Config(ConfigRead::Read(
        config(&["a", "m"]).into(),
    )));
    rig.gets(Outcome::PutBack(Err("no room".into())));
    rig.sees(answers(&["a", "m"]));
    rig.does("find-put-back read-afresh RollbackFailed ready Supervising")
        .is("healthy");
    assert_eq!(rig.kept.intent, None);
}

#[test]
fn files_of_a_put_back_that_failed_half_way_are_told_and_taken_back() {
    let mut rig = about_to_put_back();
    rig.gets(Outcome::HalfPutBack(set_aside("2026-1"), "no room".into()));
    rig.does("RollbackFailed FilesPutBack read-afresh");
    rig.reads(broken());
    assert_eq!(rig.kept.guesses.replaced, ["2026-1"]);
}

/// A guess that a put-back finishes under the same name is one guess.
#[test]
fn what_is_put_back_twice_under_one_name_is_taken_back_once() {
    let mut rig = about_to_put_back();
    rig.gets(Outcome::HalfPutBack(set_aside("2026-1"), "no room".into()));
    rig.reads(broken())
        .gets(Outcome::PutBack(Ok(set_aside("2026-1"))));
    rig.reads(broken());
    assert_eq!(rig.kept.guesses.replaced, ["2026-1"]);
}

fn mend(flaps: u32, on_probation: bool) -> Mend {
    Mend {
        tries: 2,
        flaps,
        failed: Some(1),
        on_probation,
        ..Mend::default()
    }
}

fn with_mend(mend: Mend) -> Memory {
    Memory {
        accepted: config(&["a"]).plan,
        mends: [("m".to_owned(), mend)].into(),
        ..Memory::default()
    }
}

fn tried(rig: &mut Rig) -> &mut Rig {
    if !matches!(rig.machine.state, State::Mending(_)) {
        rig.next_deadline();
    }
    let sound = Trial::Sound { digest: 1 };
    rig.gets(Outcome::Tried(Ok([("m".to_owned(), sound)].into())))
}

/// Whichever of the first look and the first reading comes first.
#[test]
fn how_often_a_jail_failed_in_life_outlives_jailwarden() {
    let on_disk = config(&["a", "m"]).rolled_back(&["m"]);
    let mut rig = Rig::stock(with_mend(mend(2, false)), on_disk.clone(), answers(&["a"]));
    assert_eq!(rig.kept.mends["m"].flaps, 2);
    tried(&mut rig).does("read-afresh ready Supervising try(m)");
    let mut rig = Rig::with(with_mend(mend(2, false)));
    rig.sees(answers(&["a"])).reads(on_disk);
    assert_eq!(rig.kept.mends["m"].flaps, 2);
    tried(&mut rig).does("read-afresh ready Supervising try(m)");
}

/// The daemon refused `m`, which is on probation and about to be disabled again.
fn about_to_disable_again() -> Rig {
    let both = config(&["a", "m"]);
    let mut rig = Rig::stock(with_mend(mend(1, true)), both, answers(&["a"]));
    rig.gets(Outcome::Applied(Applied {
        refused: vec![("m".into(), "no such thing".into())],
        ..Applied::default()
    }));
    rig.applied().sees(answers(&["a"]));
    rig.does("read-afresh ready Supervising apply(+m) ChangeRefused apply(-m) rollback(m)");
    rig
}

#[test]
fn a_flap_whose_outcome_never_came_is_counted() {
    let rig = about_to_disable_again();
    let on_disk = config(&["a", "m"]).rolled_back(&["m"]);
    let mut rig = Rig::stock(rig.killed(), on_disk, answers(&["a"]));
    rig.does("read-afresh ready Supervising RolledBack try(m)");
    assert_eq!(
        rig.kept.mends["m"],
        Mend {
            tries: 3,
            ..mend(2, false)
        }
    );
    tried(&mut rig).does("").is("degraded");
}

/// What the daemon refused is not sent to it once more.
#[test]
fn a_flap_that_was_not_begun_is_begun() {
    let rig = about_to_disable_again();
    let mut rig = Rig::stock(rig.killed(), config(&["a", "m"]), answers(&["a"]));
    assert_eq!(rig.kept.mends["m"], mend(1, true));
    rig.does("read-afresh ready Supervising rollback(m)");
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
    rig.does("read-afresh ready Supervising RolledBack DaemonDown start read-afresh put-back()");
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

/// It had passed its trial: the kill is no reason to wait until the clock tries it again.
#[test]
fn a_rollback_that_was_about_to_be_removed_is_removed() {
    let on_disk = config(&["a", "m"]).rolled_back(&["m"]);
    let mut rig = Rig::stock(with_mend(mend(0, true)), on_disk, answers(&["a"]));
    tried(&mut rig).does("read-afresh ready Supervising try(m) save");
    rig.ok().does("undo(m)");
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
    rig.gets(Outcome::Tried(Err("no Python".into())));
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

/// What mended it is not forgotten: the config is another one than at the last trial.
#[test]
fn a_mend_that_was_about_to_be_tried_is_tried() {
    let before = config(&["a", "m"]).rolled_back(&["m"]);
    let unknown = Mend {
        failed: None,
        ..mend(0, false)
    };
    let mut rig = Rig::stock(with_mend(unknown), before.clone(), answers(&["a"]));
    rig.next_deadline();
    let still = Trial::Faulty(finding(Some("m"), true));
    rig.gets(Outcome::Tried(Ok([("m".to_owned(), still)].into())));
    rig.does("read-afresh ready Supervising try(m)");
    assert_eq!(rig.kept.mends["m"].tried, Some(before.fingerprint));
    let mut rig = Rig::stock(rig.killed(), before.clone(), answers(&["a"]));
    tried(&mut rig).does("read-afresh ready Supervising try(m)");
    let mut after = before;
    after.fingerprint += 1;
    let mut rig = Rig::stock(rig.killed(), after, answers(&["a"]));
    tried(&mut rig).does("read-afresh ready Supervising try(m) save");
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
fn why_what_was_begun_cannot_be_found_out_is_told() {
    let rig = about_to_put_back();
    let mut rig = Rig::with(rig.killed());
    rig.reads(config(&["a", "m"]));
    rig.gets(Outcome::PutBack(Err("no room".into())));
    let told = &rig.told.last().unwrap().message;
    assert!(told.contains("no room"), "{told}");
    let intent = about_to_disable().kept.intent.map(|intent| Intent {
        what: What::Aside,
        ..intent
    });
    let mut rig = Rig::with(Memory {
        intent,
        ..Memory::default()
    });
    rig.reads(config(&["a", "m"]));
    rig.gets(Outcome::Aside(Err("read-only file system".into())));
    let told = &rig.told.last().unwrap().message;
    assert!(
        told.contains("could not be moved aside: read-only file system"),
        "{told}"
    );
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
