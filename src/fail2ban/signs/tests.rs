use super::*;

fn pulse(naps: u64) -> Pulse {
    Pulse {
        thread: 7,
        naps,
        waited: Duration::ZERO,
        command: None,
    }
}

/// A daemon with one jail `m`, which reads the log `/m`.
fn signs(at: Instant, jail: JailSigns, log: Option<LogSigns>) -> Signs {
    Signs {
        at,
        pid: 1,
        jails: BTreeMap::from([("m".to_owned(), jail)]),
        logs: log.into_iter().map(|log| ("/m".into(), log)).collect(),
    }
}

fn jail(files: &[&str], filter: Pulse, actions: Pulse) -> JailSigns {
    JailSigns {
        wanted: BTreeSet::from(["/m".into()]),
        files: Some(files.iter().map(Into::into).collect()),
        filter: Some(filter),
        actions: Some(actions),
        ..JailSigns::default()
    }
}

fn judged(before: &Signs, after: &Signs) -> Option<Blindness> {
    judge(before, after).remove("m")
}

#[test]
fn of_files_that_nobody_configured_one_is_kept() {
    let set = |files: &[&str]| files.iter().map(Into::into).collect();
    let mut signs = JailSigns {
        wanted: set(&["/b", "/d"]),
        files: Some(set(&["/a", "/b", "/c"])),
        ..JailSigns::default()
    };
    signs.leave_out_unknown();
    assert_eq!(signs.files, Some(set(&["/a", "/b"])));
}

#[test]
fn an_idle_jail_is_told_from_a_live_and_a_stuck_one() {
    let start = Instant::now();
    let after = |seconds, filter: u64, actions: u64| {
        let before = signs(start, jail(&["/m"], pulse(100), pulse(100)), None);
        let at = start + Duration::from_secs(seconds);
        let now = jail(&["/m"], pulse(100 + filter), pulse(100 + actions));
        judged(&before, &signs(at, now, None))
    };
    assert_eq!(after(10, 5, 5), Some(Blindness::Idle { by_hand: true }));
    assert_eq!(after(60, 30, 120), Some(Blindness::Idle { by_hand: false }));
    // Whose actions became idle meanwhile.
    assert_eq!(after(10, 5, 9), None);
    // A live one, one whose log is missing, one that waits for a lock, and too short a time.
    for (seconds, filter) in [(10, 20), (10, 8), (10, 0), (9, 5)] {
        assert_eq!(after(seconds, filter, 20), None, "{seconds} {filter}");
    }
}

#[test]
fn a_starved_or_another_thread_tells_nothing() {
    let passed = Duration::from_secs(10);
    let then = pulse(0);
    assert_eq!(pulse(5).since(&then, passed), Gait::Idle);
    assert_eq!(pulse(0).since(&then, passed), Gait::Still);
    assert_eq!(pulse(1).since(&then, passed), Gait::Unclear);
    assert_eq!(pulse(20).since(&then, passed), Gait::Live);
    assert_eq!(pulse(10).since(&then, passed), Gait::Unclear);
    let starved = Pulse {
        waited: Duration::from_millis(1100),
        ..pulse(5)
    };
    assert_eq!(starved.since(&then, passed), Gait::Starved);
    let other = Pulse {
        thread: 8,
        ..pulse(5)
    };
    assert_eq!(other.since(&then, passed), Gait::Unclear);
    assert_eq!(then.since(&pulse(5), passed), Gait::Unclear);
    assert_eq!(pulse(5).since(&then, Duration::ZERO), Gait::Unclear);
}

#[test]
fn another_process_or_a_jail_that_has_gone_tells_nothing() {
    let start = Instant::now();
    let before = signs(start, jail(&["/m"], pulse(0), pulse(0)), None);
    let mut after = signs(start + IDLE_AFTER, jail(&["/m"], pulse(5), pulse(5)), None);
    assert!(judged(&before, &after).is_some());
    after.pid = 2;
    assert_eq!(judged(&before, &after), None);
    after.pid = 1;
    after.jails.clear();
    assert_eq!(judged(&before, &after), None);
}

#[test]
fn a_reply_of_the_daemon_is_read_and_anything_else_is_nothing() {
    let reply = super::super::literal::parse(
        "[('Filter', [('Currently failed', 1), ('Total failed', 4), ('File list', ['/a', '/b'])]), \
         ('Actions', [('Currently banned', 2), ('Total banned', 3)])]",
    );
    let signs = read(&reply.unwrap());
    assert_eq!((signs.failed, signs.banned), (4, 2));
    assert_eq!(signs.files.unwrap().len(), 2);
    let journal = super::super::literal::parse(
        "[('Filter', [('Total failed', -1), ('Journal matches', '_SYSTEMD_UNIT=x')])]",
    );
    assert_eq!(read(&journal.unwrap()), JailSigns::default());
    for odd in ["1", "[]", "[1]", "[('a',)]", "[('a', [1, (1,), (1, 2)])]"] {
        let odd = super::super::literal::parse(odd).unwrap();
        assert_eq!(read(&odd), JailSigns::default());
    }
}

#[test]
fn a_filter_that_naps_over_an_open_log_fails_at_its_lines() {
    let start = Instant::now();
    let log = |open| LogSigns {
        id: (1, 1),
        size: 1,
        read: 1,
        open,
        honest: true,
        grown_at: None,
        base: 1,
    };
    let after = |opens: [bool; 2]| {
        let before = signs(
            start,
            jail(&["/m"], pulse(0), pulse(0)),
            Some(log(opens[0])),
        );
        let now = jail(&["/m"], pulse(5), pulse(20));
        judged(
            &before,
            &signs(start + IDLE_AFTER, now, Some(log(opens[1]))),
        )
    };
    let failing = Blindness::Failing { log: "/m".into() };
    assert_eq!(after([true, true]), Some(failing));
    let idle = Blindness::Idle { by_hand: false };
    assert_eq!(after([true, false]), Some(idle));
}

#[test]
fn the_last_read_is_that_of_the_log_that_was_read_last() {
    let log = |seconds: u64, honest| LogSigns {
        id: (1, 1),
        size: 1,
        read: i128::from(seconds) * 1_000_000_000,
        open: false,
        honest,
        grown_at: None,
        base: 1,
    };
    let jail = jail(&["/a", "/b", "/gone"], pulse(0), pulse(0));
    let mut signs = signs(Instant::now(), jail.clone(), None);
    assert_eq!(signs.last_read(&jail), None);
    signs.logs = [("/a".into(), log(9, true)), ("/b".into(), log(7, true))].into();
    let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(signs.last_read(&jail), at(9));
    signs.logs.insert("/a".into(), log(9, false));
    assert_eq!(signs.last_read(&jail), at(7));
    assert_eq!(signs.last_read(&JailSigns::default()), None);
}

#[test]
fn a_log_unread_for_long_is_told_unless_the_filter_is_at_work_on_another() {
    let start = Instant::now();
    let late = start + UNREAD_AFTER;
    let unread = |open, honest| LogSigns {
        id: (1, 1),
        size: 2,
        read: 1,
        open,
        honest,
        grown_at: Some(start),
        base: 1,
    };
    let after = |at, log: LogSigns| {
        let live = jail(&["/m"], pulse(0), pulse(0));
        let before = signs(start, live.clone(), Some(unread(false, true)));
        judged(&before, &signs(at, live, Some(log)))
    };
    let told = Blindness::Unread {
        log: "/m".into(),
        since: UNREAD_AFTER,
    };
    assert_eq!(after(late, unread(false, true)), Some(told));
    assert_eq!(after(late, unread(true, true)), None);
    assert_eq!(after(late, unread(false, false)), None);
    assert_eq!(after(start + UNREAD_AFTER / 2, unread(false, true)), None);
}

#[test]
fn a_jail_that_may_be_idle_by_hand_is_not_called_unread() {
    let start = Instant::now();
    let log = LogSigns {
        id: (1, 1),
        size: 2,
        read: 1,
        open: false,
        honest: true,
        grown_at: Some(start),
        base: 1,
    };
    let starved = |naps| Pulse {
        waited: UNREAD_AFTER / 5,
        ..pulse(naps)
    };
    let after = |filter, actions| {
        let before = signs(start, jail(&["/m"], pulse(0), pulse(0)), Some(log.clone()));
        let now = jail(&["/m"], filter, actions);
        judged(
            &before,
            &signs(start + UNREAD_AFTER, now, Some(log.clone())),
        )
    };
    assert_eq!(after(starved(15), starved(15)), None);
    assert_eq!(after(pulse(15), starved(15)), None);
    // It wakes more often where it has to wait for others.
    assert_eq!(after(pulse(25), pulse(25)), None);
    assert_eq!(after(starved(15), pulse(15)), None);
    // Whose actions became idle meanwhile.
    assert_eq!(after(pulse(15), pulse(30)), None);
    let told = after(pulse(60), starved(60));
    assert!(matches!(told, Some(Blindness::Unread { .. })), "{told:?}");
}

#[test]
fn a_command_that_runs_at_both_looks_blocks() {
    let start = Instant::now();
    let runs = |command| Pulse {
        command,
        ..pulse(20)
    };
    let after = |first, second| {
        let before = signs(start, jail(&["/m"], pulse(0), runs(first)), None);
        let now = jail(&["/m"], pulse(20), runs(second));
        judged(&before, &signs(start + BLOCKED_AFTER, now, None))
    };
    let blocked = Blindness::Blocked {
        by_filter: false,
        since: BLOCKED_AFTER,
        others_wait: false,
    };
    assert_eq!(after(Some(7), Some(7)), Some(blocked));
    assert_eq!(after(Some(7), Some(8)), None);
    assert_eq!(after(Some(7), None), None);
    assert_eq!(after(None, None), None);
}

#[test]
fn who_waits_for_a_command_of_another_jail_is_told() {
    let start = Instant::now();
    let blocks = jail(
        &["/m"],
        pulse(0),
        Pulse {
            command: Some(7),
            ..pulse(0)
        },
    );
    let after = |naps: [u64; 2]| {
        let of = |naps| jail(&["/m"], pulse(naps), pulse(0));
        let mut before = signs(start, blocks.clone(), None);
        let mut now = signs(start + BLOCKED_AFTER, blocks.clone(), None);
        now.jails
            .insert("a".into(), jail(&["/m"], pulse(20), pulse(naps[0])));
        now.jails
            .insert("z".into(), jail(&["/m"], pulse(naps[1]), pulse(20)));
        before.jails.insert("a".into(), of(0));
        before.jails.insert("z".into(), of(0));
        judge(&before, &now)
    };
    let blocked = |others_wait| Blindness::Blocked {
        by_filter: false,
        since: BLOCKED_AFTER,
        others_wait,
    };
    let behind = || Blindness::Behind {
        jail: "m".into(),
        since: BLOCKED_AFTER,
    };
    let m = |waits| ("m".to_owned(), blocked(waits));
    // An action that wants to run, and an `ignorecommand`.
    let a = ("a".to_owned(), behind());
    assert_eq!(after([0, 20]), [m(true), a].into());
    let z = ("z".to_owned(), behind());
    assert_eq!(after([20, 0]), [m(true), z].into());
    assert_eq!(after([20, 20]), [m(false)].into());
}
