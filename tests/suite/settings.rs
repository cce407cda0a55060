//! The settings from outside: `jailwarden config check` and what `jailwarden run` says of a bad file.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

const FAULTY: &str = "probe:\n  intervall: 10s\nsettle: 10 parsecs\n";

fn jailwarden(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("jailwarden"));
    command.args(args);
    command
}

fn run(mut command: Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn file_with(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jailwarden.yaml");
    fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (folder, name)
}

#[test]
fn a_sound_file_is_ok() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/jailwarden.yaml");
    let (code, stdout, stderr) = run(jailwarden(&["config", "check", shipped]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, format!("{shipped}: ok\n"));
}

#[test]
fn mistakes_go_to_stderr_from_check_and_run_alike() {
    let (_folder, file) = file_with(FAULTY);
    let expected = format!(
        "{file}:2:3: probe: unknown key `intervall`, did you mean `interval`?\n\
         {file}:3:9: settle: \"10 parsecs\" is not a duration: \
         expected a number with a unit, such as 10s, 500ms or 5m\n"
    );
    for (args, expected_code) in [
        (["config", "check", &file], 1),
        (["run", "--config", &file], 78),
    ] {
        let (code, stdout, stderr) = run(jailwarden(&args));
        assert_eq!(
            (code, stdout.as_str()),
            (Some(expected_code), ""),
            "{args:?}"
        );
        assert_eq!(stderr, expected, "{args:?}");
    }
}

#[test]
fn a_missing_file_is_said() {
    let (code, stdout, stderr) = run(jailwarden(&["config", "check", "/nonexistent/a.yaml"]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.starts_with("/nonexistent/a.yaml: cannot be read: No such file"),
        "{stderr}"
    );
}

#[test]
fn a_forbidden_file_gives_4() {
    let (folder, file) = file_with("settle: 1s\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Root may read everything: another user runs a copy where that user can reach it. `cp` makes
    // it, because a file open for writing here would be inherited by the other tests' children.
    let copy: PathBuf = folder.path().join("jailwarden");
    let binary = assert_cmd::cargo::cargo_bin!("jailwarden");
    assert!(
        Command::new("cp")
            .args([binary, &copy])
            .status()
            .unwrap()
            .success()
    );
    let mut command = Command::new(copy);
    command.args(["config", "check", &file]);
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let (code, stdout, stderr) = run(command);
    assert_eq!((code, stdout.as_str()), (Some(4), ""));
    let expected = "cannot be read: Permission denied (os error 13): run jailwarden as root";
    assert_eq!(stderr, format!("{file}: {expected}\n"));
}

#[test]
fn wrong_usage_gives_2_and_nothing_on_stdout() {
    let wrong: [&[&str]; 6] = [
        &[],
        &["config"],
        &["watch"],
        &["run", "--speed", "3"],
        &["run", "file"],
        &["config", "check", "a", "b"],
    ];
    for args in wrong {
        let (code, stdout, stderr) = run(jailwarden(args));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(!stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn every_help_has_an_example() {
    let helps: [&[&str]; 4] = [
        &["--help"],
        &["run", "--help"],
        &["config", "--help"],
        &["config", "check", "--help"],
    ];
    for args in helps {
        let (code, stdout, stderr) = run(jailwarden(args));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(
            stdout.contains("Example: jailwarden "),
            "{args:?}: {stdout}"
        );
    }
}

#[test]
fn the_version_is_the_crates() {
    let (code, stdout, _) = run(jailwarden(&["--version"]));
    assert_eq!(code, Some(0));
    assert_eq!(
        stdout,
        format!("jailwarden {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_closed_pipe_changes_no_exit_code() {
    let (_sound, sound) = file_with("settle: 1s\n");
    let (_faulty, faulty) = file_with(FAULTY);
    let cases: [(&[&str], i32); 4] = [
        (&["config", "check", &sound], 0),
        (&["config", "check", &faulty], 1),
        (&["--help"], 0),
        (&["watch"], 2),
    ];
    for (args, expected) in cases {
        let mut command = jailwarden(args);
        command.stdout(closed_pipe()).stderr(closed_pipe());
        assert_eq!(command.status().unwrap().code(), Some(expected), "{args:?}");
    }
}

/// A pipe whose reader has gone, as `head` is after its lines: every write fails with EPIPE.
fn closed_pipe() -> io::PipeWriter {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer
}

/// What is hardened in one is in the other.
#[test]
fn the_unit_of_further_instances_is_the_one_unit_with_places_of_its_own() {
    let unit = include_str!("../../systemd/jailwarden.service");
    let template = include_str!("../../systemd/jailwarden@.service");
    let lines = template.lines().skip_while(|line| *line != "[Unit]");
    let changed: Vec<_> = unit
        .lines()
        .zip(lines.clone())
        .filter(|(a, b)| a != b)
        .collect();
    assert_eq!(unit.lines().count(), lines.count());
    assert_eq!(
        changed,
        [
            (
                "Description=Supervisor of fail2ban",
                "Description=Supervisor of the fail2ban %i"
            ),
            (
                "After=fail2ban.service",
                "After=fail2ban.service fail2ban@%i.service"
            ),
            (
                "ExecStart=/usr/bin/jailwarden run",
                "ExecStart=/usr/bin/jailwarden run --instance %i"
            ),
            ("StateDirectory=jailwarden", "StateDirectory=jailwarden-%i"),
            (
                "RuntimeDirectory=jailwarden",
                "RuntimeDirectory=jailwarden-%i"
            ),
        ]
    );
}
