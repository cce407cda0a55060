use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use super::*;

/// A process that waits for the end of its input, which comes at the latest with the test's own end.
fn sleeper() -> Child {
    Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

#[tokio::test]
async fn death_is_seen_by_every_waiter_and_before_the_zombie_is_reaped() {
    let mut child = sleeper();
    let process = Process::open(Pid::from_child(&child)).unwrap();
    assert!(process.is_alive());
    assert_eq!(process.look(Ok).unwrap(), process.pid());
    process.signal(Signal::KILL).unwrap();
    let (one, two) = tokio::join!(process.exited(), process.exited());
    one.unwrap();
    two.unwrap();
    assert!(!process.is_alive());
    process.look(Ok).unwrap_err();
    child.wait().unwrap();
    process.exited().await.unwrap();
    process.signal(Signal::TERM).unwrap_err();
}

#[tokio::test]
async fn a_wait_may_be_dropped() {
    let mut child = sleeper();
    let process = Process::open(Pid::from_child(&child)).unwrap();
    tokio::select! {
        biased;
        _ = process.exited() => panic!("it lives"),
        () = tokio::task::yield_now() => {}
    }
    process.signal(Signal::KILL).unwrap();
    process.exited().await.unwrap();
    child.wait().unwrap();
}

#[test]
fn a_process_that_is_not_there_is_not_opened() {
    let mut child = sleeper();
    let pid = Pid::from_child(&child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        Process::open(pid).unwrap_err().raw_os_error(),
        Some(Errno::SRCH.raw_os_error())
    );
}

#[tokio::test]
async fn a_peer_that_is_not_fail2ban_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let me = rustix::process::getpid();
    assert_eq!(peer_pid(&socket).await.unwrap(), me);
    let error = Process::of_peer(me, &socket).await.unwrap_err();
    assert!(
        matches!(&error, PeerError::Foreign { pid, .. } if *pid == me),
        "{error}"
    );

    let mut other = sleeper();
    let error = Process::of_peer(Pid::from_child(&other), &socket)
        .await
        .unwrap_err();
    assert!(matches!(error, PeerError::Gone { .. }), "{error}");
    other.kill().unwrap();
    other.wait().unwrap();

    drop(listener);
    let error = Process::of_peer(me, &socket).await.unwrap_err();
    assert!(matches!(error, PeerError::Unserved { .. }), "{error}");
}

#[tokio::test]
async fn a_full_backlog_is_told_from_a_dead_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = UnixStream::connect(&socket).await {
        held.push(stream);
    }
    assert!(matches!(
        peer_pid(&socket).await,
        Err(PeerError::Full { .. })
    ));
    let error = Process::of_peer(rustix::process::getpid(), &socket)
        .await
        .unwrap_err();
    assert!(
        matches!(error, PeerError::Foreign { .. }),
        "the test's own process is no server: {error}"
    );
}

#[test]
fn a_pid_file_that_names_a_stranger_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let find = || Process::find(&pid_file, Path::new("/run/s"), Path::new(DEFAULT_CONFIG)).unwrap();
    assert!(find().is_none(), "no file");
    let mut child = sleeper();
    for content in [
        format!("{}\n", child.id()),
        "0".into(),
        "-1".into(),
        "many".into(),
        "\u{fffd}\n".into(),
        String::new(),
    ] {
        std::fs::write(&pid_file, &content).unwrap();
        assert!(find().is_none(), "{content:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_server_is_ours_by_its_socket_or_else_by_its_config() {
    let ours = |line: &str| serves(&words(line), Path::new("/run/f/s"), Path::new("/etc/f"));
    for line in [
        "/usr/bin/python3 /usr/bin/fail2ban-server --async -b -s /run/f/s -p /run/f/p -x",
        "python3 -sP fail2ban-server -xfs /run/f/s start",
        "fail2ban-server -s/run/f/s",
        "fail2ban-server --socket=/run/f/s",
        "fail2ban-server --socket /run/f/s -c /etc/other",
        "fail2ban-server -c /etc/f -f start",
        "fail2ban-client --conf=/etc/f -f start",
    ] {
        assert!(ours(line), "{line}");
    }
    for line in [
        "/usr/bin/python3 /usr/bin/fail2ban-server -xf start",
        "fail2ban-server -s /run/g/s -c /etc/f",
        "fail2ban-server -c /etc/g",
        "fail2ban-server -s /run/f/s -s /run/g/s",
        "python3 -s /run/f/s fail2ban-server",
        "fail2ban-server -p /run/f/s",
        "sh -c /etc/f",
    ] {
        assert!(!ours(line), "{line}");
    }
    assert!(serves(
        &words("python3 /usr/bin/fail2ban-server -xf start"),
        Path::new("/run/s"),
        Path::new("/etc/fail2ban")
    ));
}

#[test]
fn a_link_in_the_path_does_not_hide_our_socket() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("run")).unwrap();
    std::os::unix::fs::symlink("run", dir.path().join("var")).unwrap();
    assert!(same_file(
        &dir.path().join("run/f/s"),
        &dir.path().join("var/f/s")
    ));
    assert!(!same_file(
        &dir.path().join("run/f/s"),
        &dir.path().join("run/f/t")
    ));
}
