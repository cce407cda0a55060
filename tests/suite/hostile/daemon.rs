//! Daemons that answer what nobody asked for, too much, too slowly, or never.

use rustix::process::test_kill_process;

use super::{Scales, assert_left_alone, status};
use crate::support::daemon::Warden;
use crate::support::fake::Fake;

/// Nothing is called hung while the test lasts, unless it neither answers nor moves.
const PATIENT: &str = "settle: 100ms\nprobe:\n  interval: 1s\n  timeout: 1s\n  busy_limit: 10m\n";
const HASTY: &str = "settle: 100ms\nprobe:\n  interval: 1s\n  timeout: 200ms\n  busy_limit: 1s\n";

/// A jailwarden beside a daemon that was there before it, and behaves from now on as it will.
fn beside(fake: &Fake, settings: &str) -> Warden {
    fake.start();
    Warden::start_with(fake.f2b(), &fake.start_command("start"), settings)
}

/// Each of these is met.
fn goes_through(fake: &Fake, modes: &[&str]) {
    fake.behave(&format!("each {}", modes.join(" ")));
    for mode in modes {
        fake.wait_calls(1, &format!("mode {mode}"));
    }
}

/// It is fail2ban and lives; that what it says is of no use is no reason to end it before its time.
fn is_borne(modes: &[&str]) {
    let Some(fake) = Fake::new() else { return };
    let warden = beside(&fake, PATIENT);
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    let (scales, daemon) = (Scales::new(&warden), fake.f2b().pid());
    goes_through(&fake, modes);
    let said = status(&fake);
    assert!(!said.contains("rolled back"), "{said}");
    fake.behave("well");
    // More looks than one, of which the last one or the next finds it well.
    let more = fake.count("request status") + 3;
    fake.wait_calls(more, "request status");
    warden.wait_calm();
    assert!(status(&fake).contains("PROTECTED: all 2 jails"));
    assert_left_alone(&fake, daemon);
    scales.assert_small();
}

#[test]
fn replies_that_are_none_are_borne() {
    is_borne(&[
        "garbage",
        "status:garbage",
        "noise",
        "empty",
        "half",
        "status:half",
        "none",
        "status:none",
    ]);
}

#[test]
fn replies_to_another_question_are_borne() {
    is_borne(&[
        "wrong",
        "status:wrong",
        "swapped-ping",
        "status:swapped-status",
        "shutdown",
        "status:refusal",
        "refusal",
        "status:below",
    ]);
}

#[test]
fn replies_that_ask_for_memory_are_borne() {
    is_borne(&[
        "endless",
        "status:endless",
        "deep",
        "doubling",
        "long",
        "lists",
        "nulls",
        "status:nulls",
        "status:myriads",
        "status:fewer",
    ]);
}

/// They are no business of jailwarden's: the jails of the config protect.
#[test]
fn jails_that_nobody_configured_are_left_alone() {
    is_borne(&["status:crowd", "status:odd", "jail:files"]);
}

/// It serves the socket and cannot be told to be a fail2ban: it is never signalled, and none is started
/// over it.
#[test]
fn a_stranger_at_the_socket_is_told_and_left_alone() {
    let Some(fake) = Fake::new() else { return };
    // Its program is not named as fail2ban's is.
    fake.behave("stranger");
    fake.script(
        "start",
        "exec python3 -c \"$(cat \"$dir/fail2ban-server\")\" \"$dir\" mail web",
    );
    let warden = beside(&fake, HASTY);
    let scales = Scales::new(&warden);
    let stranger = fake.f2b().pid();
    goes_through(
        &fake,
        &[
            "garbage",
            "hang=0",
            "hang=1",
            "hang=20",
            "hang=43",
            "status:hang=60",
            "drip",
            "status:drip",
            "silent",
            "endless",
            "half",
            "wrong",
            "swapped-ping",
            "shutdown",
        ],
    );
    warden.wait_for("has not answered for");
    status(&fake);
    test_kill_process(stranger).expect("it lives");
    assert_left_alone(&fake, stranger);
    scales.assert_small();
}
