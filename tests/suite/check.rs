//! `jailwarden check` and `diff` on real configs, with the real fail2ban.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
use crate::support::{GUARD, wait_until};
use serde_json::Value;

const NOBODY: u32 = 65534;

/// A config folder with jails, `jailwarden`, and the words that run it there.
struct Scene {
    f2b: Fail2ban,
}

impl Scene {
    /// `None` where fail2ban is not there.
    fn new(version: Version, jails: &[(&str, JailSpec)]) -> Option<Self> {
        let f2b = Fail2ban::new(version)?;
        for (name, spec) in jails {
            f2b.jail(name, spec);
        }
        let client = f2b.client_words();
        let words = client.split_at(client.len() - 2).0;
        let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
        let settings = format!("daemon:\n  client: [{}]\n", words.join(", "));
        fs::write(f2b.path("settings.yaml"), settings).unwrap();
        Some(Self { f2b })
    }

    /// Three jails of which none works, and one that does.
    fn with_three_faults(version: Version) -> Option<Self> {
        let no_log = JailSpec {
            with_log: false,
            ..JailSpec::default()
        };
        let scene = Self::new(
            version,
            &[
                ("good", JailSpec::default()),
                ("lost", no_log),
                ("void", JailSpec::default()),
                (
                    "odd",
                    JailSpec {
                        failregex: "fail [ <HOST>",
                        ..JailSpec::default()
                    },
                ),
            ],
        )?;
        fs::remove_file(scene.f2b.config().join("filter.d/void.conf")).unwrap();
        Some(scene)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
        command
            .arg("check")
            .arg("--config")
            .arg(self.f2b.path("settings.yaml"))
            .arg("--config-dir")
            .arg(self.f2b.config())
            .args(words)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    fn check(&self, words: &[&str]) -> Said {
        Said::of(self.command(words).output().unwrap())
    }

    fn json(&self, words: &[&str]) -> Value {
        let said = self.check(&[&["--json"], words].concat());
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }
}

#[derive(Debug)]
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn has(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stdout.contains(part), "no {part:?} in {self:#?}");
        }
    }
}

/// Kind, jails, file name and line of each finding.
fn findings(report: &Value) -> Vec<(String, String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |finding: &Value| {
        let jails = finding["jails"].as_array().unwrap();
        let jails: Vec<_> = jails.iter().map(text).collect();
        let file = text(&finding["file"]);
        let name = Path::new(&file).file_name().unwrap_or_default();
        (
            text(&finding["kind"]),
            jails.join(" "),
            name.to_string_lossy().into_owned(),
            finding["line"].as_u64().unwrap_or_default(),
        )
    };
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(of)
        .collect()
}

fn found(kind: &str, jails: &str, file: &str, line: u64) -> (String, String, String, u64) {
    (kind.into(), jails.into(), file.into(), line)
}

const VERSIONS: [Version; 3] = [Version::V102, Version::V110, Version::V111];

#[test]
fn a_config_that_works_is_sound() {
    for version in VERSIONS {
        let Some(scene) = Scene::new(version, &[("web", JailSpec::default())]) else {
            continue;
        };
        let said = scene.check(&[]);
        assert_eq!(said.code, 0, "{version:?} {said:#?}");
        said.has(&["is sound: 1 jail checked"]);
        assert_eq!(said.stderr, "");
        let report = scene.json(&[]);
        assert_eq!(report["version"], 1);
        assert_eq!(report["verdict"], "sound");
        assert_eq!(report["unproven"], Value::Null);
        assert_eq!(report["jails"], serde_json::json!(["web"]));
    }
}

#[test]
fn the_stock_config_is_sound_once_its_log_is_there() {
    let Some(scene) = Scene::new(Version::V102, &[]) else {
        return;
    };
    let log = scene.f2b.path("auth.log");
    fs::write(&log, "").unwrap();
    let jail = format!(
        "[sshd]\nenabled = true\nbackend = polling\nlogpath = {}\n",
        log.display()
    );
    scene.f2b.write("jail.d/defaults-debian.conf", &jail);
    let said = scene.check(&[]);
    assert_eq!(said.code, 0, "{said:#?}");
}

#[test]
fn each_fault_is_named_with_its_line() {
    for version in VERSIONS {
        let Some(scene) = Scene::with_three_faults(version) else {
            continue;
        };
        let report = scene.json(&[]);
        assert_eq!(report["verdict"], "findings");
        let expected = [
            found("setting-refused", "odd", "odd.conf", 2),
            found("no-log-file", "lost", "lost.conf", 5),
            found("jail-skipped", "void", "void.conf", 3),
        ];
        assert_eq!(findings(&report), expected, "{version:?}");
        assert_eq!(report["findings"][0]["source"], "failregex = fail [ <HOST>");
    }
}

#[test]
fn people_see_the_line_and_what_to_do() {
    let Some(scene) = Scene::with_three_faults(Version::V102) else {
        return;
    };
    let said = scene.check(&[]);
    assert_eq!(said.code, 1);
    said.has(&[
        "error: jail odd: failregex: Unable to compile regular expression 'fail [ <HOST>'",
        "filter.d/odd.conf:2:13",
        "2 | failregex = fail [ <HOST>\n  |             ^^^^^^^^^^^^^\n",
        "= help: mend the expression",
        "error: jail void: Unable to read the filter 'void'",
        "3 | filter = void\n  |          ^^^^\n",
        "error: jail lost: Have not found any log file for lost jail",
        "3 findings in 3 of 4 jails of ",
    ]);
    assert!(!said.stdout.contains('\x1b'));
}

#[test]
fn github_gets_annotations_told_from_the_repository() {
    let Some(scene) = Scene::with_three_faults(Version::V102) else {
        return;
    };
    let output = scene
        .command(&["--format", "github"])
        .current_dir(scene.f2b.path(""))
        .output();
    let said = Said::of(output.unwrap());
    assert_eq!(said.code, 1);
    let lines: Vec<_> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{said:#?}");
    let begin =
        "::error file=etc/filter.d/odd.conf,line=2,title=jailwarden setting-refused::jail odd: ";
    assert!(lines[0].starts_with(begin), "{said:#?}");
    assert!(lines[0].contains("%0A"));
    assert!(!lines[3].starts_with("::"));
}

/// What SARIF 2.1.0 requires of what we write (sections 3.13, 3.14, 3.19, 3.27, 3.28, 3.29, 3.30).
#[test]
fn sarif_has_what_its_standard_requires() {
    let Some(scene) = Scene::with_three_faults(Version::V102) else {
        return;
    };
    let output = scene
        .command(&["--format", "sarif"])
        .current_dir("/")
        .output();
    let said = Said::of(output.unwrap());
    let log: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let [run] = log["runs"].as_array().unwrap().as_slice() else {
        panic!("{log}");
    };
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "jailwarden");
    assert_eq!(driver["semanticVersion"], env!("CARGO_PKG_VERSION"));
    let rules = driver["rules"].as_array().unwrap();
    let mut ids: Vec<_> = rules
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rules.len(), "each rule has an id of its own");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    let base = run["originalUriBaseIds"]["CONFIG"]["uri"].as_str().unwrap();
    assert!(base.starts_with("file:///") && base.ends_with("/etc/"));
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[rule]["id"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.starts_with('/') && !uri.contains("etc/"), "{uri}");
        assert_eq!(place["artifactLocation"]["uriBaseId"], "CONFIG");
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
    }
}

#[test]
fn only_the_named_jails_are_looked_at() {
    let Some(scene) = Scene::with_three_faults(Version::V102) else {
        return;
    };
    assert_eq!(scene.check(&["--jail", "good"]).code, 0);
    let report = scene.json(&["--jail", "odd", "--jail", "good"]);
    assert_eq!(
        findings(&report),
        [found("setting-refused", "odd", "odd.conf", 2)]
    );
    scene
        .f2b
        .write("jail.d/off.conf", "[off]\nenabled = false\n");
    let report = scene.json(&["--jail", "off", "--jail", "nowhere"]);
    let expected = [
        found("not-enabled", "nowhere", "", 0),
        found("not-enabled", "off", "off.conf", 1),
    ];
    assert_eq!(findings(&report), expected);
}

#[test]
fn a_shared_fault_is_told_once_for_all_its_jails() {
    let jails = ["a", "b", "c"].map(|name| (name, JailSpec::default()));
    let Some(scene) = Scene::new(Version::V102, &jails) else {
        return;
    };
    scene
        .f2b
        .write("jail.d/0.conf", "[DEFAULT]\nfindtime = 10 parsecs\n");
    let report = scene.json(&[]);
    assert_eq!(
        findings(&report),
        [found("setting-refused", "a b c", "0.conf", 2)]
    );
    scene
        .check(&[])
        .has(&["jails a, b and 1 more: ", "it is in the jails a, b, c"]);
}

#[test]
fn what_fail2ban_cannot_parse_has_its_line() {
    let Some(scene) = Scene::new(Version::V102, &[("web", JailSpec::default())]) else {
        return;
    };
    scene.f2b.write("jail.local", "[web]\nmaxretry = 3\njunk\n");
    let expected = [found("config-unreadable", "", "jail.local", 3)];
    assert_eq!(findings(&scene.json(&["--jail", "web"])), expected);
    scene.f2b.write("jail.local", "[web]\nmaxretry = %(nix)s\n");
    let expected = [found("config-unreadable", "web", "jail.local", 2)];
    assert_eq!(findings(&scene.json(&[])), expected);
    fs::write(scene.f2b.config().join("jail.local"), b"[web]\n# \xe9\n").unwrap();
    let expected = [found("file-ignored", "", "jail.local", 2)];
    assert_eq!(findings(&scene.json(&[])), expected);
}

#[test]
fn logs_of_another_machine_need_not_be_here() {
    let spec = JailSpec {
        with_log: false,
        ..JailSpec::default()
    };
    for version in VERSIONS {
        let Some(scene) = Scene::new(version, &[("web", spec.clone())]) else {
            continue;
        };
        assert_eq!(scene.check(&[]).code, 1);
        assert_eq!(scene.check(&["--allow-missing-logs"]).code, 0);
    }
}

#[test]
fn nothing_that_steers_a_terminal_gets_out() {
    let Some(scene) = Scene::new(Version::V102, &[]) else {
        return;
    };
    let hostile = "\x1b]0;x\x07\u{9b}31m\u{202e}::error::%%0A\"<b>";
    let jail = format!(
        "[web{hostile}]\nenabled = true\nbackend = polling\nfilter = sshd\nlogpath = {}\n\
         findtime = 1 {hostile}\n[lost{hostile}]\nenabled = true\nfilter = {hostile}\n",
        scene.f2b.path("settings.yaml").display()
    );
    scene.f2b.write("jail.d/hostile.conf", &jail);
    for format in ["human", "json", "sarif", "github"] {
        let said = scene.check(&["--format", format]);
        assert_eq!(said.code, 1, "{said:#?}");
        let bad = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!said.stdout.contains(bad), "{format}: {said:#?}");
        assert!(said.stdout.contains("findtime"), "{format}: {said:#?}");
        if format == "github" {
            let strange = said
                .stdout
                .lines()
                .filter(|line| line.starts_with("::error::"));
            assert_eq!(strange.count(), 0, "{said:#?}");
        }
    }
    let names = findings(&scene.json(&[]));
    assert!(
        names.iter().any(|found| found.1 == format!("web{hostile}")),
        "{names:?}"
    );
}

#[test]
fn a_plain_user_may_check_what_it_may_read() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let Some(scene) = Scene::with_three_faults(Version::V102) else {
        return;
    };
    let program = scene.f2b.path("jailwarden");
    fs::copy(env!("CARGO_BIN_EXE_jailwarden"), &program).unwrap();
    fs::set_permissions(scene.f2b.path(""), Permissions::from_mode(0o755)).unwrap();
    let check = |words: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(scene.command(words).get_args())
            .uid(NOBODY)
            .gid(NOBODY);
        Said::of(command.current_dir("/").output().unwrap())
    };
    assert_eq!(check(&["--jail", "good"]).code, 0);
    assert_eq!(check(&[]).stdout, {
        let output = scene.command(&[]).current_dir("/").output().unwrap();
        Said::of(output).stdout
    });
    let filter = scene.f2b.config().join("filter.d/good.conf");
    fs::set_permissions(&filter, Permissions::from_mode(0o600)).unwrap();
    let said = check(&[]);
    assert_eq!(said.code, 4, "{said:#?}");
    assert!(
        said.stderr
            .contains("filter.d/good.conf: permission denied"),
        "{said:#?}"
    );
    let folder = scene.f2b.config().join("jail.d");
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let said = check(&["--json"]);
    assert_eq!((said.code, said.stdout.as_str()), (4, ""), "{said:#?}");
    assert!(
        said.stderr.contains("jail.d: permission denied"),
        "{said:#?}"
    );
}

#[test]
fn a_reader_that_goes_away_changes_no_verdict() {
    let Some(scene) = Scene::with_three_faults(Version::V102) else {
        return;
    };
    let mut child = scene
        .command(&[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stderr, b"");
}

#[test]
fn what_cannot_be_checked_is_neither_sound_nor_a_finding() {
    let Some(scene) = Scene::new(Version::V102, &[("web", JailSpec::default())]) else {
        return;
    };
    let missing = Said::of(
        Command::new(env!("CARGO_BIN_EXE_jailwarden"))
            .args(["check", "--config-dir", "/nonexistent/fail2ban"])
            .output()
            .unwrap(),
    );
    assert_eq!(missing.code, 6);
    assert!(
        missing
            .stderr
            .contains("/nonexistent/fail2ban: No such file"),
        "{missing:#?}"
    );
    let script = |name: &str, text: &str| -> PathBuf {
        let path = scene.f2b.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    };
    // One whose modules are missing, and one that reads the config but hides its Python.
    let broken = script(
        "broken",
        "#!/bin/sh\necho No module named fail2ban >&2\nexit 1\n",
    );
    let hidden = script("hidden", "#!/bin/sh\nexec fail2ban-client \"$@\"\n");
    for (client, code, words) in [
        ("[/nonexistent]".to_owned(), 6, "is fail2ban installed"),
        (
            format!("[{}]", broken.display()),
            6,
            "No module named fail2ban",
        ),
        ("[]".to_owned(), 78, "settings.yaml:2"),
        (format!("[{}]", hidden.display()), 6, "not proven"),
    ] {
        fs::write(
            scene.f2b.path("settings.yaml"),
            format!("daemon:\n  client: {client}\n"),
        )
        .unwrap();
        let said = scene.check(&[]);
        assert_eq!(said.code, code, "{said:#?}");
        assert!(
            format!("{}{}", said.stdout, said.stderr).contains(words),
            "{words} {said:#?}"
        );
    }
    let report = scene.json(&[]);
    assert_eq!(report["verdict"], "unproven");
    assert!(report["unproven"].is_string());
}

#[test]
fn wrong_words_are_wrong_usage() {
    let Some(scene) = Scene::new(Version::V102, &[]) else {
        return;
    };
    for words in [
        &["--format", "xml"][..],
        &["--json", "--format", "sarif"],
        &["more"],
    ] {
        assert_eq!(scene.check(words).code, 2, "{words:?}");
    }
}

#[test]
fn a_diff_names_the_jails_that_a_reload_would_change() {
    let jails = ["kept", "moved", "gone"].map(|name| (name, JailSpec::default()));
    let Some(scene) = Scene::new(Version::V102, &jails) else {
        return;
    };
    let f2b = &scene.f2b;
    let settings = f2b.path("jailwarden.yaml").display().to_string();
    let diff = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
        command.args(["diff", "--config", &settings]).args(words);
        Said::of(command.output().unwrap())
    };
    f2b.start();
    let mut warden = Warden::start(f2b, "");
    let state = f2b.path("state/state.json");
    let is_taken = || fs::read_to_string(&state).is_ok_and(|text| text.contains("\"accepted\":{"));
    wait_until(GUARD, || is_taken().then_some(())).expect("the state of a healthy daemon");
    warden.end();

    let said = diff(&[]);
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (0, "3 jails untouched\n"),
        "{said:#?}"
    );
    f2b.jail("new", &JailSpec::default());
    f2b.write(
        "filter.d/moved.conf",
        "[Definition]\nfailregex = other <HOST>\n",
    );
    fs::remove_file(f2b.config().join("jail.d/gone.conf")).unwrap();
    let said = diff(&[]);
    assert_eq!(said.code, 1, "{said:#?}");
    said.has(&["+ new is added\n- gone is removed\n~ moved is changed\n1 jail untouched\n"]);
    let report: Value = serde_json::from_str(&diff(&["--json"]).stdout).unwrap();
    let expected = serde_json::json!({
        "version": 1, "server": false, "findings": 0, "added": ["new"], "removed": ["gone"],
        "changed": ["moved"], "untouched": ["kept"], "settings": {}, "server_settings": null,
    });
    assert_eq!(report, expected);

    f2b.write("jail.local", "junk\n");
    let said = diff(&[]);
    assert_eq!((said.code, said.stdout.as_str()), (6, ""), "{said:#?}");
    fs::write(&state, "{}").unwrap();
    assert_eq!(diff(&[]).code, 6);
    fs::remove_file(&state).unwrap();
    let said = diff(&[]);
    assert_eq!(said.code, 3, "{said:#?}");
    assert!(said.stderr.contains("nothing to compare with"), "{said:#?}");
}

#[test]
fn a_file_is_checked_before_it_is_in_place() {
    let Some(scene) = Scene::new(Version::V102, &[("web", JailSpec::default())]) else {
        return;
    };
    let new = scene.f2b.path("new");
    fs::write(&new, "[web]\nmaxretry = 3\n\nfindtime = 10 parsecs\n").unwrap();
    let stand_in = |place: &str| format!("{place}={}", new.display());
    let words = ["--with", &stand_in("jail.d/zz.local")];
    let report = scene.json(&words);
    assert_eq!(
        findings(&report),
        [found("setting-refused", "web", "zz.local", 4)]
    );
    let place = scene.f2b.config().join("jail.d/zz.local");
    assert_eq!(report["findings"][0]["file"], place.display().to_string());
    assert_eq!(
        report["config_dir"],
        scene.f2b.config().display().to_string()
    );
    assert!(!place.exists());
    assert_eq!(scene.check(&[]).code, 0);

    fs::write(&new, "junk\n").unwrap();
    let said = scene.check(&words);
    assert_eq!(said.code, 1);
    said.has(&[&format!("file: '{}'", place.display())]);
    assert!(!said.stdout.contains("jailwarden-check-"), "{said:#?}");

    for place in ["../jail.conf", "/etc/fail2ban/jail.conf", "", "jail.d/.."] {
        assert_eq!(
            scene.check(&["--with", &stand_in(place)]).code,
            6,
            "{place}"
        );
    }
    assert_eq!(scene.check(&["--with", "jail.local=/nonexistent"]).code, 6);
    assert_eq!(scene.check(&["--with", "jail.local"]).code, 2);
}

#[test]
fn what_a_rollback_hides_is_found() {
    let jails = [("web", JailSpec::default()), ("mail", JailSpec::default())];
    let Some(scene) = Scene::new(Version::V102, &jails) else {
        return;
    };
    let rollback = scene.f2b.rollback("web");
    let text = "# jailwarden rollback file 1\n[web]\nenabled = false\nbackend = auto\nfilter =\n";
    fs::write(&rollback, text).unwrap();
    let said = scene.check(&[]);
    assert_eq!(said.code, 0, "{said:#?}");
    said.has(&[
        "2 jails checked",
        "disabled by jailwarden, and checked as if not: web",
    ]);

    let filter = scene.f2b.config().join("filter.d/web.conf");
    fs::write(&filter, "[Definition]\nfailregex = fail [ <HOST>\n").unwrap();
    let report = scene.json(&[]);
    assert_eq!(
        findings(&report),
        [found("setting-refused", "web", "web.conf", 2)]
    );
    assert_eq!(report["findings"][0]["file"], filter.display().to_string());
    assert_eq!(report["rolled_back"], serde_json::json!(["web"]));
    assert!(rollback.exists());
    let other = scene.json(&["--jail", "mail"]);
    assert_eq!(other["verdict"], "sound");
    assert_eq!(other["rolled_back"], serde_json::json!([]));
}
