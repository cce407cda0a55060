//! The promises by which a supervisor of fail2ban stands or falls, each held against a daemon that
//! records what is done to it, and in which order.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
use crate::support::fake::Fake;

/// A daemon has `comeback` to be back: long where it does come back, since a loaded machine
/// must not be taken for a fault, and short where that limit has to pass.
fn settings(comeback: &str) -> String {
    format!(
        "settle: 100ms\nprobe:\n  interval: 1s\n  timeout: 2s\n  busy_limit: 5s\n\
         restart:\n  comeback: {comeback}\n  stop_timeout: 20s\n"
    )
}
const LONG: &str = "30s";
const SHORT: &str = "10s";

fn start(fake: &Fake, comeback: &str) -> Warden {
    let command = fake.start_command("start");
    Warden::start_with(fake.f2b(), &command, &settings(comeback))
}

/// A fake that was down, and is up with both jails.
fn supervised(comeback: &str) -> Option<(Fake, Warden)> {
    let fake = Fake::new()?;
    let warden = start(&fake, comeback);
    warden.wait_for("fail2ban protects again");
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    Some((fake, warden))
}

/// Nothing of the daemon was touched between the decision to roll back and the file on disk.
fn assert_disabled_first(fake: &Fake) {
    let calls = fake.calls();
    let first = calls.iter().position(|call| call.starts_with("disabled"));
    let after = &calls[first.expect("a call after the rollback")..];
    assert!(
        after.iter().all(|c| c.starts_with("disabled")),
        "{calls:#?}"
    );
    let stops = |call: &&String| call.contains("request stop");
    assert!(
        calls
            .iter()
            .filter(stops)
            .all(|c| c.starts_with("disabled")),
        "{calls:#?}"
    );
    assert!(
        calls.contains(&"disabled start beside 0".to_owned()),
        "{calls:#?}"
    );
}

#[test]
fn a_jail_is_disabled_on_disk_before_any_socket_is_touched() {
    let Some(fake) = Fake::new() else { return };
    fake.behave("no-threads");
    let warden = start(&fake, SHORT);
    warden.wait_for("web disabled so that the others can run");
    warden.wait_for("fail2ban protects again");
    warden.wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: web");
    assert_disabled_first(&fake);
    let calls = fake.calls();
    assert_eq!(
        calls[0], "enabled start beside 0",
        "nobody was there to be asked"
    );
    assert_eq!(fake.count("request stop"), 1);
    assert_eq!(fake.count("start beside 0"), 2);
}

/// The same where no daemon ever listens: the second start finds the jail disabled.
#[test]
fn a_jail_is_disabled_on_disk_before_the_start_command() {
    let Some(fake) = Fake::new() else { return };
    fake.script(
        "start",
        "test $state = disabled || exit 255\n\
         exec python3 \"$dir/fail2ban-server\" \"$dir\" mail",
    );
    let warden = start(&fake, SHORT);
    warden.wait_for("fail2ban protects again");
    warden.wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: web");
    assert_disabled_first(&fake);
    let calls = fake.calls();
    let starts = ["enabled start beside 0", "disabled start beside 0"];
    assert_eq!(calls[..2], starts, "{calls:#?}");
}

#[test]
fn a_start_is_a_process_and_never_a_request() {
    let Some((fake, warden)) = supervised(LONG) else {
        return;
    };
    fake.f2b().kill();
    warden.wait_for("fail2ban protects again");
    assert_eq!(fake.count("start beside 0"), 2);
    let calls = fake.calls();
    let requests: Vec<_> = calls
        .iter()
        .filter_map(|c| c.split_once(" request "))
        .collect();
    assert!(!requests.is_empty());
    for (_, words) in requests {
        // `status` of all, or of one jail, and `version`: all only read.
        let verb = words.split(' ').next().unwrap_or_default();
        assert!(["ping", "status", "version"].contains(&verb), "{words}");
    }
}

#[test]
fn an_exit_status_proves_nothing() {
    let Some(fake) = Fake::new() else { return };
    fake.script(
        "start",
        "python3 \"$dir/fail2ban-server\" \"$dir\" mail web >/dev/null 2>&1 &\nexit 1",
    );
    let warden = start(&fake, SHORT);
    warden.wait_for("fail2ban protects again");
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");

    // Nothing changed since it last ran, so no jail can be to blame.
    fake.script("start", "exit 0");
    fake.f2b().kill();
    warden.wait_for("fail2ban is down and does not come back");
    warden.wait_told("STATUS=gave up");
    let since = warden.told();
    let down = since
        .iter()
        .rposition(|t| t.contains("0 of 2 jails protect"))
        .unwrap();
    assert!(
        !since[down..].iter().any(|t| t.contains("healthy")),
        "{since:#?}"
    );
    assert!(!fake.f2b().rollback("web").exists() && !fake.f2b().rollback("mail").exists());

    fake.script(
        "start",
        "exec python3 \"$dir/fail2ban-server\" \"$dir\" mail web",
    );
    fake.start();
    warden.wait_for("fail2ban protects again");
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
}

#[test]
fn no_jail_is_active_in_a_daemon_that_does_not_run() {
    let Some(f2b) = Fail2ban::new(Version::V102) else {
        return;
    };
    f2b.jail("mail", &JailSpec::default());
    f2b.jail("web", &JailSpec::default());
    // It starts when the test says so.
    let gate = f2b.path("gate");
    let start = format!(
        "while ! test -e {}; do sleep 0.05; done; {} -x start",
        gate.display(),
        f2b.client_words().join(" ")
    );
    fs::write(f2b.path("start"), start).unwrap();
    let command = ["sh".to_owned(), f2b.path("start").display().to_string()];
    let warden = Warden::start_with(&f2b, &command, &settings(LONG));
    warden.wait_for("supervision begins: fail2ban is not running");
    warden.wait_told("STATUS=restarting: 0 of 2 jails protect");
    fs::write(&gate, "").unwrap();
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    f2b.wait_bans(&["mail", "web"]);

    fs::remove_file(&gate).unwrap();
    f2b.kill();
    warden.wait_told("STATUS=restarting: 0 of 2 jails protect");
    fs::write(&gate, "").unwrap();
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    f2b.wait_bans(&["mail", "web"]);
    f2b.stop();
    warden.wait_told("STATUS=standby");
}

#[test]
fn no_jail_is_active_in_a_daemon_that_hangs() {
    let Some((fake, warden)) = supervised(LONG) else {
        return;
    };
    fake.f2b().pause();
    warden.wait_for("was stopped by a signal (SIGSTOP)");
    warden.wait_for("fail2ban protects again");
    let told = warden.told();
    let from = told
        .iter()
        .rposition(|t| t.starts_with("STATUS=restarting"))
        .unwrap();
    assert_eq!(told[from], "STATUS=restarting: 0 of 2 jails protect");
}

#[test]
fn a_daemon_that_refuses_to_stop_is_told_by_a_signal() {
    let Some(fake) = Fake::new() else { return };
    fake.behave("no-threads refuse-stop");
    let warden = start(&fake, SHORT);
    warden.wait_for("fail2ban refused to stop (not today); it is sent SIGTERM");
    warden.wait_for("fail2ban protects again");
    assert_disabled_first(&fake);
    assert_eq!(fake.count("request stop"), 1);
}

#[test]
fn a_daemon_that_never_comes_back_is_given_up_loudly() {
    let Some(fake) = Fake::new() else { return };
    fake.script("start", "exit 0");
    let warden = start(&fake, SHORT);
    warden.wait_for("web disabled so that the others can run");
    warden.wait_for("fail2ban is down and does not come back");
    warden.wait_told("STATUS=gave up: fail2ban is DOWN");
    // A change of the config is tried at once, long before the wait is over.
    fake.script(
        "start",
        "exec python3 \"$dir/fail2ban-server\" \"$dir\" mail web",
    );
    fake.f2b()
        .edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 2");
    warden.wait_for("fail2ban protects again");
    assert_eq!(fake.count("start beside 0"), 3);
    assert_eq!(fake.count("start beside"), 3);
}

/// The supervisor neither ends, nor asks without pause, nor starts a second daemon; and it
/// goes on when the daemon speaks sense again.
fn survives(mode: &str) {
    let Some(fake) = Fake::new() else { return };
    // How long nonsense is borne is another test's matter.
    let settings = settings(LONG).replace("busy_limit: 5s", "busy_limit: 5m");
    let warden = Warden::start_with(fake.f2b(), &fake.start_command("start"), &settings);
    warden.wait_for("fail2ban protects again");
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    fake.behave(mode);
    warden.wait_told("STATUS=suspect");
    let (from, before) = (Instant::now(), fake.count("accept"));
    fake.wait_calls(before + 3, "accept");
    // Looks are a second apart. That they are not more is a lower bound: load cannot break it.
    assert!(
        from.elapsed() > Duration::from_secs(1),
        "{:#?}",
        fake.calls()
    );
    assert_eq!(fake.count("start beside"), 1);
    fake.behave("well");
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    assert_eq!(fake.count("start beside"), 1);
    assert_eq!(fake.count("request stop"), 0);
}

#[test]
fn a_daemon_that_talks_garbage_does_no_harm() {
    survives("garbage");
}

#[test]
fn a_daemon_that_stops_half_way_does_no_harm() {
    survives("half");
}

#[test]
fn a_daemon_that_says_something_else_does_no_harm() {
    survives("wrong");
}

#[test]
fn a_daemon_that_never_ends_its_reply_does_no_harm() {
    survives("endless");
}

/// fail2ban 1.1 does so when it is told to stop while its database is of no use; it ends on
/// SIGTERM.
#[test]
fn a_daemon_that_is_for_ever_shutting_down_is_not_waited_for_in_silence() {
    let Some((fake, warden)) = supervised(LONG) else {
        return;
    };
    fake.behave("shutdown");
    warden.wait_told("STATUS=suspect");
    fake.wait_calls(2, "start beside 0");
    fake.behave("well");
    warden.wait_for("fail2ban protects again");
}

#[test]
fn a_silent_daemon_is_ended_before_the_next_one_starts() {
    let Some((fake, warden)) = supervised(LONG) else {
        return;
    };
    fake.behave("silent");
    warden.wait_for("fail2ban hangs");
    fake.behave("well");
    warden.wait_for("fail2ban protects again");
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    assert_eq!(fake.count("start beside 0"), 2);
    assert_eq!(fake.count("start beside"), 2);
}
