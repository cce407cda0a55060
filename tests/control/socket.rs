//! Where the API is served.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use super::caller::{Caller, SETTINGS, daemon, supervised};
use crate::support::daemon::Warden;
use crate::support::{GUARD, wait_until};

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let Some((f2b, mut warden, caller)) = supervised() else {
        return;
    };
    warden.kill();
    assert!(Warden::control(&f2b).exists());
    let warden = Warden::start(&f2b, SETTINGS);
    warden.wait_for("supervision begins");
    caller.get("/healthz").good(200);
}

#[test]
fn a_socket_that_another_listens_on_is_left_to_it() {
    let Some(f2b) = daemon() else {
        return;
    };
    let theirs = UnixListener::bind(Warden::control(&f2b)).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let warden = Warden::start(&f2b, SETTINGS);
    warden.wait_for("another program listens there");
    warden.wait_told("STATUS=healthy");
    f2b.kill();
    warden.wait_for("fail2ban protects again");
    // Theirs is what is there.
    let _probe = theirs.accept().unwrap();
    let _ours = UnixStream::connect(Warden::control(&f2b)).unwrap();
    theirs.accept().unwrap();
}

#[test]
fn without_a_socket_nothing_is_served() {
    let Some(f2b) = daemon() else {
        return;
    };
    let warden = Warden::start(&f2b, &format!("{SETTINGS}control: {{socket: none}}\n"));
    warden.wait_told("STATUS=healthy");
    assert!(!Warden::control(&f2b).exists());
    f2b.kill();
    warden.wait_for("fail2ban protects again");
}

#[test]
fn a_socket_that_systemd_passes_is_served() {
    let Some((f2b, mut warden, _)) = supervised() else {
        return;
    };
    warden.kill();
    let path = f2b.path("passed.sock");
    let passed = UnixListener::bind(&path).unwrap();
    // Waits in the queue from before there is a jailwarden, as it does with systemd.
    let mut early = UnixStream::connect(&path).unwrap();
    early
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut child = Command::new("sh")
        .args([
            "-c",
            "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"",
            "sh",
        ])
        .args([env!("CARGO_BIN_EXE_jailwarden"), "run", "--config"])
        .arg(Warden::settings_file(&f2b))
        .stdin(Stdio::from(OwnedFd::from(passed)))
        .stderr(Stdio::null())
        .env_remove("JOURNAL_STREAM")
        .spawn()
        .unwrap();
    let answer = std::io::read_to_string(&mut early).unwrap();
    let caller = Caller::new(&path);
    let ready = wait_until(GUARD, || {
        (caller.get("/readyz").status == 200).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(ready.is_some());
}
