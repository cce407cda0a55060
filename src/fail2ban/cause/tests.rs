use std::path::Path;

use super::*;

fn instance() -> Instance {
    Instance {
        client: vec!["fail2ban-client".into()],
        config_dir: "/etc/fail2ban".into(),
        socket: std::env::temp_dir().join("f2b.sock"),
        pid_file: std::env::temp_dir().join("f2b.pid"),
    }
}

/// The cause of a start of which only this is known.
fn of(log: &str, output: &str, status: Option<i32>, result: Option<&str>) -> Cause {
    cause(&Start {
        instance: &instance(),
        log: Log::Text(log),
        output,
        status,
        result,
        database: None,
        state_dir: &std::env::temp_dir(),
        mounts_of: None,
    })
}

fn trouble(log: &str, output: &str) -> Kind {
    of(log, output, Some(255), None).kind
}

#[test]
fn what_systemd_tells_comes_first() {
    let words = "x fail2ban [1]: ERROR NOK: ('Unknown backend nosuch',)";
    for (status, result, trouble) in [
        (None, Some("oom-kill"), Trouble::OutOfMemory),
        (None, Some("resources"), Trouble::Unit),
        (Some(203), Some("exit-code"), Trouble::MissingProgram),
        (Some(127), None, Trouble::MissingProgram),
        (Some(226), Some("exit-code"), Trouble::Unit),
    ] {
        let kind = of(words, "", status, result).kind;
        assert_eq!(kind, Kind::Environment(trouble), "{status:?} {result:?}");
    }
    let config = Kind::Config { jail: None };
    assert_eq!(of(words, "", Some(255), Some("exit-code")).kind, config);
    assert_eq!(of("", "", Some(0), Some("success")).kind, Kind::Unknown);
}

#[test]
fn words_that_end_a_start_are_told_from_those_that_do_not() {
    for (line, trouble) in [
        ("NOK: (24, 'Too many open files')", Trouble::TooManyFiles),
        (
            "NOK: ('Cannot initialize new instance of inotify, Errno=Too many open files (EMFILE)',)",
            Trouble::TooManyFiles,
        ),
        ("NOK: (\"can't start new thread\",)", Trouble::OutOfMemory),
        ("NOK: ('database is locked',)", Trouble::DatabaseLocked),
        (
            "NOK: ('database disk image is malformed',)",
            Trouble::DatabaseDamaged,
        ),
        ("NOK: (13, 'Permission denied')", Trouble::Denied),
        ("NOK: ('No module named \\'systemd\\'',)", Trouble::Python),
        ("invalid syntax (server.py, line 976)", Trouble::Python),
    ] {
        let line = format!("x fail2ban                [7]: ERROR   {line}");
        let of_trouble = Kind::Environment(trouble);
        assert_eq!(super::tests::trouble(&line, ""), of_trouble, "{line}");
    }
    let harmless =
        "x fail2ban.server [7]: ERROR   Unable to create PID file: [Errno 28] No space left";
    assert_eq!(trouble(harmless, ""), Kind::Unknown);
    let quoted = "x fail2ban.filter [7]: WARNING Error decoding line b'database is locked'";
    assert_eq!(trouble(quoted, ""), Kind::Unknown);
    let asked = "x fail2ban.transmitter [7]: ERROR   Command ['status', 'a', 'short'] has failed. Received \
                 UnknownJailException('a')";
    assert_eq!(trouble(asked, ""), Kind::Unknown);
}

#[test]
fn what_a_daemon_refuses_for_its_database_is_told_from_what_it_refuses_of_a_jail() {
    let locked = Some(Trouble::DatabaseLocked);
    assert_eq!(trouble_of_database("database is locked"), locked);
    let full = Some(Trouble::NoRoom);
    assert_eq!(trouble_of_database("database or disk is full"), full);
    for of_jail in [
        "Unable to compile regular expression",
        "No module named 'systemd'",
        "[Errno 2] No such file or directory: '/x'",
        "",
    ] {
        assert_eq!(trouble_of_database(of_jail), None, "{of_jail}");
    }
}

#[test]
fn python_s_last_words_count_and_those_of_its_logging_do_not() {
    let python = Kind::Environment(Trouble::Python);
    let gone =
        "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'y'";
    assert_eq!(trouble("", gone), python);
    assert_eq!(
        trouble("", "AttributeError: module 'asyncio' has no attribute 'x'"),
        python
    );
    let unlogged = "--- Logging error ---\nTraceback (most recent call last):\nOSError: [Errno 28] No \
                    space left on device\nMessage: '%s'\nArguments: ('x',)";
    assert_eq!(trouble("", unlogged), Kind::Unknown);
}

#[test]
fn entries_of_the_journal_without_a_head_are_errors() {
    let kind = trouble("NOK: ('database is locked',)", "");
    assert_eq!(kind, Kind::Environment(Trouble::DatabaseLocked));
}

#[test]
fn a_config_longer_than_what_is_read_still_names_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut text = "x fail2ban.transmitter [7]: ERROR   Command ['server-stream', [".to_owned();
    text.push_str(&"['set', 'j', 'x'], ".repeat(30_000));
    text.push_str("]] has failed. Received OperationalError('database is locked')\n");
    std::fs::write(&log, text).unwrap();
    let found = cause(&Start {
        instance: &instance(),
        log: Log::File {
            path: &log,
            since: &Position::default(),
        },
        output: "",
        status: Some(255),
        result: None,
        database: None,
        state_dir: Path::new("/"),
        mounts_of: None,
    });
    assert_eq!(
        found.kind,
        Kind::Environment(Trouble::DatabaseLocked),
        "{found:?}"
    );
    let words = &found.evidence[0].words;
    assert!(words.len() < 100, "{words}");
}
