//! What a settings file may say, and what is said of one that is wrong.

mod faulty;
mod reference;

use std::os::unix::net::UnixListener;

use proptest::prelude::*;

use super::fields::KEYS;
use super::*;

const SHIPPED: &str = include_str!("../../config/jailwarden.yaml");

/// Every key, with another value than its default.
const OTHER: &str = r#"
config_dir: /c
state_dir: /s
settle: 1s 200ms
daemon: {unit: none, socket: /k, pid_file: /p, client: [python3, /c l], start_command: go}
probe: {interval: 1m, timeout: 100ms, busy_limit: 20s, firewall: false}
restart:
  comeback: 1m 30s
  stop_timeout: "2 minutes"
  replace_files: false
alerts: {command: [mail, root], severity: critical}
metrics: {textfile: /m.prom}
control: {socket: none, admins: [web, alice]}
page: {listen: "[::1]:80"}
"#;

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse(text, Path::new("f"))
}

fn complaints(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(settings) => panic!("{text:?} was taken as {settings:?}"),
        Err(error) => error.to_string().lines().map(ToOwned::to_owned).collect(),
    }
}

/// The shipped file with the `#` removed from the lines of the keys that `which` chooses.
fn uncommented(which: impl Fn(&str) -> bool) -> String {
    let (mut text, mut section) = (String::new(), String::new());
    for line in SHIPPED.lines() {
        if line.starts_with(char::is_alphabetic) {
            section = line.replace(':', ".");
        }
        let bare = line.trim_start();
        let key = bare
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(char::is_alphabetic));
        let named = |line: &str| {
            line.split_once(": ")
                .map(|(name, _)| format!("{section}{name}"))
        };
        match key.filter(|line| named(line).is_some_and(|key| which(&key))) {
            Some(_) => text.push_str(&line.replacen('#', "", 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[test]
fn every_mistake_is_named_with_its_place() {
    for (text, expected) in faulty::FAULTY {
        let expected: Vec<String> = expected.iter().map(|line| format!("f:{line}")).collect();
        assert_eq!(complaints(text), expected, "for {text:?}");
    }
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let said = complaints(&format!("settle: {}", "y".repeat(5000)));
    let shown = format!("f:1:9: settle: \"{}…\" is not a duration: ", "y".repeat(60));
    assert!(said[0].starts_with(&shown), "{said:?}");
    assert_eq!(said.len(), 1);
}

#[test]
fn a_socket_path_must_fit_into_a_socket_address() {
    let folder = tempfile::tempdir().unwrap();
    let path_of = |length: usize| {
        let prefix = folder.path().to_str().unwrap();
        format!("{prefix}/{}", "s".repeat(length - prefix.len() - 1))
    };
    let text = |length| format!("daemon:\n  socket: {}", path_of(length));
    assert!(UnixListener::bind(path_of(107)).is_ok());
    assert!(parse(&text(107)).is_ok());
    assert!(UnixListener::bind(path_of(108)).is_err());
    assert_eq!(
        complaints(&text(108)),
        ["f:2:11: daemon.socket: a path of 108 bytes is too long for a socket: at most 107"]
    );
}

#[test]
fn files_that_set_nothing_give_the_defaults() {
    for text in [
        "",
        "\n",
        "# only\n",
        "---\n",
        "~",
        "{}",
        "probe:\ndaemon: ~\nrestart: {}\n",
    ] {
        assert_eq!(parse(text).unwrap(), Settings::default(), "for {text:?}");
    }
}

#[test]
fn the_defaults() {
    insta::assert_debug_snapshot!(Settings::default(), @r#"
    Settings {
        instance: None,
        config_dir: "/etc/fail2ban",
        state_dir: "/var/lib/jailwarden",
        settle: 500ms,
        daemon: Daemon {
            unit: Some(
                "fail2ban.service",
            ),
            socket: "/run/fail2ban/fail2ban.sock",
            pid_file: "/run/fail2ban/fail2ban.pid",
            client: [
                "fail2ban-client",
            ],
            start_command: [
                "fail2ban-client",
                "-x",
                "-c",
                "/etc/fail2ban",
                "-s",
                "/run/fail2ban/fail2ban.sock",
                "-p",
                "/run/fail2ban/fail2ban.pid",
                "start",
            ],
        },
        probe: Probe {
            interval: 10s,
            timeout: 5s,
            busy_limit: 30s,
            firewall: true,
        },
        restart: Restart {
            comeback: 10s,
            stop_timeout: 90s,
            replace_files: true,
        },
        alerts: Alerts {
            command: None,
            severity: Notice,
        },
        metrics_textfile: None,
        control: Control {
            socket: Some(
                "/run/jailwarden/control.sock",
            ),
            admins: [],
        },
        page_listen: None,
    }
    "#);
}

#[test]
fn every_key_is_taken_over() {
    insta::assert_debug_snapshot!(parse(OTHER).unwrap(), @r#"
    Settings {
        instance: None,
        config_dir: "/c",
        state_dir: "/s",
        settle: 1.2s,
        daemon: Daemon {
            unit: None,
            socket: "/k",
            pid_file: "/p",
            client: [
                "python3",
                "/c l",
            ],
            start_command: [
                "go",
            ],
        },
        probe: Probe {
            interval: 60s,
            timeout: 100ms,
            busy_limit: 20s,
            firewall: false,
        },
        restart: Restart {
            comeback: 90s,
            stop_timeout: 120s,
            replace_files: false,
        },
        alerts: Alerts {
            command: Some(
                [
                    "mail",
                    "root",
                ],
            ),
            severity: Critical,
        },
        metrics_textfile: Some(
            "/m.prom",
        ),
        control: Control {
            socket: None,
            admins: [
                "web",
                "alice",
            ],
        },
        page_listen: Some(
            [::1]:80,
        ),
    }
    "#);
}

#[test]
fn the_start_command_follows_the_other_settings() {
    let text = "config_dir: /c\ndaemon: {client: [a, b], socket: /s, pid_file: /p}\n";
    let words = ["a", "b", "-x", "-c", "/c", "-s", "/s", "-p", "/p", "start"];
    assert_eq!(parse(text).unwrap().daemon.start_command, words);
}

#[test]
fn no_unit_is_said_with_none() {
    for none in ["none", "None", "NONE", "'none'"] {
        let settings = parse(&format!("daemon:\n  unit: {none}\n")).unwrap();
        assert_eq!(settings.daemon.unit, None, "for {none}");
    }
    let settings = parse("daemon: {unit: 'a@b-c:d\\x2d_1.service'}").unwrap();
    assert_eq!(
        settings.daemon.unit.as_deref(),
        Some("a@b-c:d\\x2d_1.service")
    );
}

#[test]
fn an_alias_is_blamed_where_it_is_used() {
    assert_eq!(
        complaints("settle: &t 20s\nprobe:\n  timeout: *t\nrestart:\n  comeback: *t\n"),
        ["f:1:12: settle: \"20s\" is too long: at most 5s"]
    );
    assert_eq!(
        complaints("restart:\n  comeback: &t 20s\nsettle: *t\n"),
        ["f:3:9: settle: \"20s\" is too long: at most 5s"]
    );
}

#[test]
fn the_shipped_file_says_the_defaults() {
    assert_eq!(parse(SHIPPED).unwrap(), Settings::default());
    assert_eq!(parse(&uncommented(|_| true)).unwrap(), Settings::default());
}

#[test]
fn the_shipped_file_has_every_key_and_each_can_be_uncommented_alone() {
    for key in KEYS {
        let text = uncommented(|it| it == key);
        let lines = text.lines().zip(SHIPPED.lines());
        let changed: Vec<_> = lines.filter(|(new, old)| new != old).collect();
        let [(line, _)] = changed.as_slice() else {
            panic!("{key} in the shipped file: {changed:?}");
        };
        assert_eq!(parse(&text).unwrap(), Settings::default(), "{key} alone");
        let (name, _) = line.split_once(": ").unwrap();
        let wrong = text.replace(&format!("\n{line}\n"), &format!("\n{name}: {{}}\n"));
        let said = complaints(&wrong);
        assert!(
            said[0].contains(&format!(": {key}: expected ")),
            "{key}: {said:?}"
        );
    }
}

#[test]
fn files_are_read_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jailwarden.yaml");
    let name = file.display();
    let said = || Settings::load(Some(&file)).unwrap_err().to_string();

    let missing = "cannot be read: No such file or directory (os error 2): \
                   name an existing file, or none to use the defaults";
    assert_eq!(said(), format!("{name}: {missing}"));
    assert_eq!(
        Settings::of_file_if_any(&file).unwrap(),
        (Settings::default(), Lines::new())
    );

    fs::write(&file, b"# \xc3\xa9\n# \xc3\xa9\xff").unwrap();
    assert_eq!(said(), format!("{name}:2:4: not UTF-8 text from here on"));
    assert!(Settings::of_file_if_any(&file).is_err());

    fs::write(&file, vec![b'#'; 64 * 1024 + 1]).unwrap();
    assert_eq!(
        said(),
        format!("{name}: is larger than 64 KiB: that is no settings file")
    );
    fs::write(&file, vec![b'#'; 64 * 1024]).unwrap();
    assert_eq!(Settings::load(Some(&file)).unwrap(), Settings::default());

    let no_file = Settings::load(Some(folder.path())).unwrap_err().to_string();
    let folder = folder.path().display();
    assert_eq!(
        no_file,
        format!("{folder}: is not a regular file: name a settings file")
    );
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(
        Settings::load(Some(&pipe)),
        Err(SettingsError::NotAFile { .. })
    ));
}

/// Pieces that make texts near to a settings file.
fn piece() -> impl Strategy<Value = String> {
    let mut pieces: Vec<&str> = KEYS.iter().flat_map(|key| key.split('.')).collect();
    pieces.extend([
        ": ", "\n", "\n  ", "\n- ", "[", "]", "{", "}", ", ", "'", "\"", "#", "&a ", "*a",
        "!!str ", "? ", "| ", "> ", "---\n", "~", "10s", "5M", "1", "/x", "none", ".service", "<<",
        "\t", "é",
    ]);
    prop_oneof![9 => prop::sample::select(pieces).prop_map(String::from), 1 => any::<String>()]
}

fn duration_like() -> impl Strategy<Value = String> {
    "([0-9]{1,22}(\\.[0-9]{1,20})? ?(s|ms|ns|m|M|y|d|parsecs|)[ ]?){1,4}"
}

/// Never a panic; what is refused is told in plain lines that name a place in the text.
fn holds(text: &str) -> Result<(), TestCaseError> {
    let Err(error) = parse(text) else {
        return Ok(());
    };
    let SettingsError::Faulty { mistakes } = error else {
        return Err(TestCaseError::fail(error.to_string()));
    };
    prop_assert!(!mistakes.is_empty());
    let lines = text
        .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .count();
    for mistake in mistakes {
        prop_assert!(mistake.line >= 1 && mistake.column >= 1);
        prop_assert!(
            usize::try_from(mistake.line).unwrap() <= lines + 1,
            "{mistake}"
        );
        prop_assert!(
            !mistake.to_string().chars().any(char::is_control),
            "{mistake:?}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn near_settings_are_parsed_or_refused(pieces in prop::collection::vec(piece(), 0..60)) {
        holds(&pieces.concat())?;
    }

    #[test]
    fn any_duration_is_parsed_or_refused(text in duration_like()) {
        holds(&format!("probe:\n  interval: {text}\n"))?;
    }
}

#[test]
fn every_key_is_shown_with_its_value_and_its_line() {
    let shown = Settings::default().values();
    assert_eq!(shown.iter().map(|it| it.0).collect::<Vec<_>>(), KEYS);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.yaml");
    fs::write(&file, "settle: 1s\n\nprobe:\n  interval: 90s\n").unwrap();
    let shown = Settings::show(Some(&file)).unwrap();
    let set: Vec<_> = shown
        .iter()
        .filter_map(|it| Some((it.key, it.line?)))
        .collect();
    assert_eq!(set, [("settle", 1), ("probe.interval", 4)]);
}

#[test]
fn a_further_instance_has_places_of_its_own_and_shares_none_by_mistake() {
    let file = file_of("second");
    let said = match Settings::parse("", &file) {
        Ok(settings) => panic!("{settings:?}"),
        Err(error) => error.to_string(),
    };
    for key in [
        "config_dir",
        "daemon.unit",
        "daemon.socket",
        "daemon.pid_file",
    ] {
        let line = format!("/etc/jailwarden/second.yaml:1:1: {key}: is not set");
        assert!(said.contains(&line), "{key}: {said}");
    }
    let text = "config_dir: /etc/second\ndaemon:\n  unit: none\n  socket: /run/second/s\n  pid_file: /run/second/p\n";
    let settings = Settings::parse(text, &file).unwrap();
    assert_eq!(settings.instance.as_deref(), Some("second"));
    assert_eq!(settings.state_dir, Path::new("/var/lib/jailwarden-second"));
    assert_eq!(
        settings.client_called(),
        "fail2ban-client -c /etc/second -s /run/second/s"
    );
    assert_eq!(Settings::default().client_called(), "fail2ban-client");
    let socket = settings.control.socket.unwrap();
    assert_eq!(socket, Path::new("/run/jailwarden-second/control.sock"));

    // Whatever is elsewhere, or cannot be an instance, has the defaults of the host's own.
    for file in [
        "f",
        DEFAULT_FILE,
        "/etc/jailwarden/second.yml",
        "/etc/jailwarden/sub/second.yaml",
        "/etc/jailwarden/se cond.yaml",
    ] {
        let settings = Settings::parse("", Path::new(file)).unwrap();
        assert_eq!(settings, Settings::default(), "{file}");
    }
    for name in ["", ".", "..", "-x", "a/b", "a b", "ä", &"n".repeat(65)] {
        assert!(!is_instance(name), "{name}");
    }
}
