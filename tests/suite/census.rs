//! What the census, the vitals and the pidfd say of a real fail2ban, version by version.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use jailwarden::fail2ban::diagnose::diagnose;
use jailwarden::fail2ban::process::{PeerError, Process, peer_pid};
use jailwarden::fail2ban::threads::{Presence, Threads, census};
use jailwarden::fail2ban::vitals::{Activity, vitals};

use crate::support::daemon::{Fail2ban, JailSpec, Version};
use crate::support::{GUARD, wait_until};

const LIVE: Threads = Threads {
    filter: Presence::Live,
    actions: Presence::Live,
};
const MISSING: Threads = Threads {
    filter: Presence::Missing,
    actions: Presence::Missing,
};

/// Starts a fail2ban with these jails, and waits until each bans.
fn started(version: Version, jails: &[&str]) -> Option<Fail2ban> {
    let f2b = Fail2ban::new(version)?;
    for jail in jails {
        f2b.jail(jail, &JailSpec::default());
    }
    f2b.start();
    for jail in jails {
        f2b.wait_ban(jail);
    }
    Some(f2b)
}

fn judge(f2b: &Fail2ban, jails: &[&str]) -> BTreeMap<String, Threads> {
    let jails: Vec<String> = jails.iter().map(|&jail| jail.to_owned()).collect();
    census(f2b.pid()).unwrap().judge(&jails)
}

/// Waits until the census says `expected` of these jails.
fn wait_judged(f2b: &Fail2ban, expected: &[(&str, Threads)]) {
    let jails: Vec<&str> = expected.iter().map(|(jail, _)| *jail).collect();
    let expected: BTreeMap<String, Threads> = expected
        .iter()
        .map(|&(jail, threads)| (jail.to_owned(), threads))
        .collect();
    let as_expected = || (judge(f2b, &jails) == expected).then_some(());
    let seen = wait_until(GUARD, as_expected);
    assert!(
        seen.is_some(),
        "{:?} is not {expected:?}",
        judge(f2b, &jails)
    );
}

fn live_jails_are_seen_and_a_stopped_one_is_missed(version: Version) {
    const LONG: &str = "a-jail-with-a-rather-long-name";
    const TWINS: [&str; 2] = ["nginx-http-auth", "nginx-http-login"];
    let Some(f2b) = started(version, &["a", LONG, TWINS[0], TWINS[1]]) else {
        return;
    };
    let all = [
        ("a", LIVE),
        (LONG, LIVE),
        (TWINS[0], LIVE),
        (TWINS[1], LIVE),
    ];
    wait_judged(&f2b, &all);
    assert_eq!(judge(&f2b, &["none"])["none"], MISSING);
    // Eight threads of jails, the first one, and the observer.
    assert!(census(f2b.pid()).unwrap().total() >= 10);

    f2b.client(&["stop", TWINS[1]]);
    f2b.client(&["stop", LONG]);
    let unsure = Threads {
        filter: Presence::Unsure,
        actions: Presence::Unsure,
    };
    let left = [
        ("a", LIVE),
        (LONG, MISSING),
        (TWINS[0], unsure),
        (TWINS[1], unsure),
    ];
    wait_judged(&f2b, &left);
    f2b.wait_ban(TWINS[0]);
}

fn a_daemon_whose_start_failed_answers_and_has_no_jail_threads(version: Version) {
    let Some(f2b) = Fail2ban::new(version) else {
        return;
    };
    f2b.jail("good", &JailSpec::default());
    f2b.jail(
        "bad",
        &JailSpec {
            extra: "maxretry = abc",
            ..JailSpec::default()
        },
    );
    // The doubled option is not the fault meant here.
    let text = std::fs::read_to_string(f2b.config().join("jail.d/bad.conf")).unwrap();
    f2b.write("jail.d/bad.conf", &text.replace("maxretry = 3\n", ""));
    assert!(!f2b.try_start().status.success());
    assert!(f2b.client(&["ping"]).status.success(), "{}", f2b.log_text());
    assert!(!census(f2b.pid()).unwrap().has_jail_threads());
    assert!(!f2b.bans_within(Duration::from_secs(3), "good"));
}

async fn a_stopped_daemon_is_frozen_and_an_idle_one_is_not(version: Version) {
    let Some(f2b) = started(version, &["a"]) else {
        return;
    };
    let process = Process::of_peer(f2b.pid(), &f2b.socket()).await.unwrap();

    let first = process.look(vitals).unwrap();
    let moved = wait_until(GUARD, || {
        (vitals(f2b.pid()).unwrap().since(&first) != Activity::Frozen).then_some(())
    });
    assert!(moved.is_some());

    f2b.pause();
    // Its threads stop one after the other, on a loaded machine much later than the first.
    let frozen = wait_until(GUARD, || {
        let before = vitals(f2b.pid()).unwrap();
        thread::sleep(Duration::from_secs(1));
        let now = vitals(f2b.pid()).unwrap();
        (now.state == 'T' && now.since(&before) == Activity::Frozen).then_some(())
    });
    assert!(frozen.is_some());
    assert!(process.is_alive());

    let told = diagnose(f2b.pid(), Some(&f2b.log()));
    for part in [
        "fail2ban-server: stopped by a signal (T)",
        " f2b/f.a: stopped",
        " f2b/a.a: stopped",
        "Ban 198.51.100.",
    ] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }

    // A stopped daemon's backlog fills up, and it still counts as its socket's peer.
    let mut held = Vec::new();
    while let Ok(stream) = tokio::net::UnixStream::connect(f2b.socket()).await {
        held.push(stream);
    }
    assert!(matches!(
        peer_pid(&f2b.socket()).await,
        Err(PeerError::Full { .. })
    ));
    Process::of_peer(f2b.pid(), &f2b.socket()).await.unwrap();
    drop(held);

    f2b.resume();
    f2b.wait_ban("a");
}

async fn the_exit_is_seen_and_a_later_daemon_is_another(version: Version) {
    let Some(f2b) = started(version, &["a"]) else {
        return;
    };
    let first = f2b.pid();
    assert_eq!(peer_pid(&f2b.socket()).await.unwrap(), first);
    let process = Process::of_peer(first, &f2b.socket()).await.unwrap();
    f2b.kill();
    tokio::time::timeout(GUARD, process.exited())
        .await
        .unwrap()
        .unwrap();
    assert!(!process.is_alive());
    let error = Process::of_peer(first, &f2b.socket()).await.unwrap_err();
    assert!(matches!(error, PeerError::Gone { .. }), "{error}");
    assert!(matches!(
        peer_pid(&f2b.socket()).await,
        Err(PeerError::Unserved { .. })
    ));

    f2b.start();
    f2b.wait_ban("a");
    let error = Process::of_peer(first, &f2b.socket()).await.unwrap_err();
    assert!(matches!(error, PeerError::Gone { .. }), "{error}");
    let process = Process::of_peer(f2b.pid(), &f2b.socket()).await.unwrap();
    f2b.stop();
    tokio::time::timeout(GUARD, process.exited())
        .await
        .unwrap()
        .unwrap();
}

async fn a_daemon_without_its_socket_is_found_by_its_pid_file(version: Version) {
    let Some(f2b) = started(version, &["a"]) else {
        return;
    };
    let find = |socket: &Path| Process::find(&f2b.pid_file(), socket, &f2b.config()).unwrap();
    std::fs::remove_file(f2b.socket()).unwrap();
    assert_eq!(find(&f2b.socket()).unwrap().pid(), f2b.pid());
    assert!(
        find(Path::new("/run/fail2ban/fail2ban.sock")).is_none(),
        "another's socket"
    );
    f2b.wait_ban("a");
    let process = find(&f2b.socket()).unwrap();
    f2b.kill();
    tokio::time::timeout(GUARD, process.exited())
        .await
        .unwrap()
        .unwrap();
    assert!(
        find(&f2b.socket()).is_none(),
        "the pid file of a dead daemon"
    );
}

macro_rules! for_each_version {
    ($($version:ident in $name:ident),*) => {$(
        mod $name {
            use super::*;

            const V: Version = Version::$version;

            #[test]
            fn live_jails_are_seen_and_a_stopped_one_is_missed() {
                super::live_jails_are_seen_and_a_stopped_one_is_missed(V);
            }

            #[test]
            fn a_daemon_whose_start_failed_answers_and_has_no_jail_threads() {
                super::a_daemon_whose_start_failed_answers_and_has_no_jail_threads(V);
            }

            #[tokio::test]
            async fn a_stopped_daemon_is_frozen_and_an_idle_one_is_not() {
                super::a_stopped_daemon_is_frozen_and_an_idle_one_is_not(V).await;
            }

            #[tokio::test]
            async fn the_exit_is_seen_and_a_later_daemon_is_another() {
                super::the_exit_is_seen_and_a_later_daemon_is_another(V).await;
            }

            #[tokio::test]
            async fn a_daemon_without_its_socket_is_found_by_its_pid_file() {
                super::a_daemon_without_its_socket_is_found_by_its_pid_file(V).await;
            }
        }
    )*};
}

for_each_version!(V102 in fail2ban_1_0_2, V110 in fail2ban_1_1_0, V111 in fail2ban_1_1_1);
