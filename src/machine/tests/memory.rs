//! What outlives jailwarden, and for how long it counts.

use super::super::revive::Revival;
use super::*;

#[test]
fn starts_and_revivals_count_for_a_while() {
    let starts = |starts, age| {
        let memory = Memory {
            starts,
            age,
            ..Memory::default()
        };
        memory.starts().count()
    };
    let window = Policy::BUDGET_WINDOW;
    assert_eq!(starts(3, window.saturating_sub(ms(1))), 3);
    assert_eq!(starts(99, ms(0)), 2 * Policy::RESTART_BUDGET);
    assert_eq!(starts(3, window), 0);
    let revived = |rests, age| {
        let revival = Revival {
            times: 1,
            rests,
            restarted: false,
        };
        let memory = Memory {
            revived: [("a".to_owned(), revival)].into(),
            age,
            ..Memory::default()
        };
        memory.revived(MonoTime::START).contains_key("a")
    };
    assert!(revived(false, Policy::PROBATION.saturating_sub(ms(1))));
    assert!(!revived(false, Policy::PROBATION));
    assert!(revived(true, Policy::PROBATION), "its rest goes on");
}

#[test]
fn a_daemon_that_was_relieved_is_left_alone_for_what_is_left_of_that() {
    let now = MonoTime::new(secs(7));
    let left = |relieved, age| {
        let memory = Memory {
            relieved,
            age,
            ..Memory::default()
        };
        memory.relieved_until(now).since(now)
    };
    assert_eq!(left(None, secs(0)), secs(0));
    assert_eq!(left(Some(secs(60)), secs(20)), secs(40));
    assert_eq!(left(Some(secs(60)), secs(80)), secs(0));
    assert_eq!(left(Some(secs(99_999)), secs(0)), Policy::CURE_WINDOW);
}

/// Otherwise it would be written in each second.
#[test]
fn what_only_the_clock_changes_is_nothing_new() {
    let dark = |jail: &str, span| [(jail.to_owned(), span)].into();
    let before = Memory {
        starts: 2,
        dark: dark("a", secs(1)),
        relieved: Some(secs(60)),
        ..Memory::default()
    };
    let later = Memory {
        starts: 1,
        dark: dark("a", secs(9)),
        relieved: Some(secs(52)),
        ..Memory::default()
    };
    assert!(later.says_as(&before));
    let news = [
        Memory {
            dark: dark("m", secs(9)),
            ..later.clone()
        },
        Memory {
            starts: 3,
            ..later.clone()
        },
        Memory {
            relieved: None,
            ..later.clone()
        },
        Memory {
            standby: true,
            ..later
        },
    ];
    for new in news {
        assert!(!new.says_as(&before), "{new:?}");
    }
}

/// It has other processes, all of what is on disk was started in it, and what kept fail2ban down may be gone.
#[test]
fn another_boot_carries_what_is_on_disk_and_nothing_of_what_ran() {
    let on_disk = Memory {
        accepted: config(&["a", "m"]).plan,
        recent: vec!["m".into()],
        standby: true,
        good: Some(1),
        ..Memory::default()
    };
    let cures = Cures {
        times: 1,
        freed: true,
        left: secs(60),
    };
    let before = Memory {
        process: Some(7),
        held: set(&["m"]),
        to_stop: set(&["m"]),
        being_stopped: true,
        gave_up: GaveUp {
            times: 3,
            left: Some(secs(60)),
        },
        cures: [("a".to_owned(), cures)].into(),
        relieved: Some(secs(60)),
        ..on_disk.clone()
    };
    assert_eq!(before.clone().carried(), before);
    let booted = Memory {
        booted: true,
        ..before
    };
    assert_eq!(booted.carried(), on_disk);
}

#[test]
fn what_is_on_probation_has_no_rollback() {
    let mend = |on_probation| Mend {
        on_probation,
        ..Mend::default()
    };
    let memory = Memory {
        mends: [("a".to_owned(), mend(true)), ("m".to_owned(), mend(false))].into(),
        ..Memory::default()
    };
    assert_eq!(memory.rolled_back(), set(&["m"]));
}
