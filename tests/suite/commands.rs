//! What people type at a host in trouble, without a fail2ban and without a supervisor.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::support::{program, skip};

const NOBODY: u32 = 65534;

/// A config folder, a state folder, and the settings that name them.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let scene = Self { folder };
        fs::create_dir_all(scene.path("config/jail.d")).unwrap();
        fs::create_dir(scene.path("state")).unwrap();
        let text = format!(
            "config_dir: {}\nstate_dir: {}\ncontrol:\n  socket: {}\n",
            scene.path("config").display(),
            scene.path("state").display(),
            scene.path("control.sock").display()
        );
        fs::write(scene.path("settings.yaml"), text).unwrap();
        scene
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// A file as jailwarden writes it, with `why` as somebody else might.
    fn disable(&self, jail: &str, why: &str) -> PathBuf {
        let file = self.path(&format!("config/jail.d/zzz-jailwarden-{jail}.local"));
        let text = format!(
            "# jailwarden rollback file 1\n# When:     2026-11-25T18:15:10Z\n# Incident: -\n\
             # Why:      {why}\n[{jail}]\nenabled = false\n"
        );
        fs::write(&file, text).unwrap();
        file
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
        command
            .args(words)
            .arg("--config")
            .arg(self.path("settings.yaml"));
        command
    }

    #[track_caller]
    fn says(&self, words: &[&str], code: i32, parts: &[&str]) -> String {
        says(self.command(words), code, parts)
    }
}

#[track_caller]
fn says(mut command: Command, code: i32, parts: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert_eq!(status.code(), Some(code), "{command:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{command:?}: no {part:?} in {text}");
    }
    text
}

#[test]
fn rollbacks_are_listed_and_undone() {
    let scene = Scene::new();
    scene.says(&["rollback", "list"], 0, &["has disabled no jail"]);
    scene.says(&["rollback", "undo", "--all"], 0, &["has disabled no jail"]);
    let (web, mail) = (scene.disable("web", "bad"), scene.disable("mail", "worse"));
    scene.says(
        &["rollback", "list"],
        1,
        &["web: disabled since 2026", "mail"],
    );
    // One that is not there, and nothing is done.
    scene.says(
        &["rollback", "undo", "web", "ssh"],
        1,
        &["ssh: jailwarden has not"],
    );
    assert!(web.exists());
    scene.says(&["rollback", "undo", "web"], 0, &["web: removed"]);
    assert!(!web.exists() && mail.exists());
    scene.says(&["rollback", "undo", "--all"], 0, &["mail: removed"]);
    assert!(!mail.exists());
    scene.says(&["rollback", "undo"], 2, &["<JAIL>"]);
}

#[test]
fn nothing_that_steers_a_terminal_gets_out_of_a_rollback_file() {
    let scene = Scene::new();
    scene.disable("web", "bad \u{1b}[31mred\u{202e}");
    for words in [&["rollback", "list"][..], &["rollback", "list", "--json"]] {
        let said = scene.says(words, 1, &["bad", "[31mred"]);
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.contains(steers), "{said:?}");
    }
}

#[test]
fn a_pause_is_asked_for_and_ended() {
    let scene = Scene::new();
    let file = scene.path("state/pause.json");
    scene.says(&["resume"], 0, &["was not paused"]);
    scene.says(&["pause", "--for", "30m"], 0, &["a pause stands until 2"]);
    scene.says(&["pause"], 0, &["until `jailwarden resume`"]);
    assert!(file.exists());
    scene.says(&["resume"], 0, &["the pause is over"]);
    assert!(!file.exists());
    for time in ["0s", "10", "soon"] {
        scene.says(&["pause", "--for", time], 2, &["--for"]);
    }
    fs::remove_dir(scene.path("state")).unwrap();
    fs::write(scene.path("state"), "").unwrap();
    scene.says(&["pause"], 6, &["pause.json"]);
}

#[test]
fn who_may_not_is_told_so() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scene = Scene::new();
    scene.disable("web", "bad");
    let as_nobody = |words: &[&str]| {
        let mut command = scene.command(words);
        command.uid(NOBODY).gid(NOBODY);
        command
    };
    says(as_nobody(&["rollback", "list"]), 1, &["web"]);
    for words in [&["rollback", "undo", "web"][..], &["pause"]] {
        says(as_nobody(words), 4, &["permission denied"]);
    }
    fs::set_permissions(scene.path("settings.yaml"), Permissions::from_mode(0o600)).unwrap();
    for words in [
        &["check"][..],
        &["diff"],
        &["history"],
        &["restore", "ab"],
        &["rollback", "list"],
        &["pause"],
        &["resume"],
    ] {
        says(as_nobody(words), 4, &["settings.yaml: cannot be read"]);
    }
}

#[test]
fn an_answer_that_is_lost_is_said() {
    let scene = Scene::new();
    let mut command = scene.command(&["rollback", "list"]);
    command.stdout(File::create("/dev/full").unwrap());
    says(command, 0, &["the answer could not be written whole"]);
}

#[test]
fn without_a_supervisor_status_says_what_it_can_tell_by_itself() {
    let scene = Scene::new();
    let said = scene.says(
        &["status"],
        3,
        &["NOT SUPERVISED", "systemctl enable --now jailwarden"],
    );
    assert!(
        !said.contains("paused") && !said.contains('\u{1b}'),
        "{said}"
    );
    scene.disable("web", "bad \u{1b}[31mred");
    scene.says(&["pause", "--reason", "moving the logs"], 0, &[]);
    let parts = [
        "paused",
        "until jailwarden resume",
        "moving the logs",
        "rolled back",
        "web since 2026",
    ];
    let said = scene.says(&["status"], 3, &parts);
    assert!(
        !said.contains('\u{1b}') && said.lines().all(|line| line.chars().count() <= 80),
        "{said}"
    );
    let said = scene.says(&["status", "--json"], 3, &[]);
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(status["state"], "not-running");
    assert_eq!(status["protection"], "unknown");
    assert_eq!(status["pause"]["why"], "moving the logs");
    assert_eq!(status["rollbacks"][0]["jail"], "web");
    scene.says(&["status", "--watch"], 3, &["NOT SUPERVISED"]);
}

#[test]
fn without_a_supervisor_nothing_is_done_and_what_to_do_is_said() {
    let scene = Scene::new();
    let parts = ["jailwarden does not run", "systemctl start jailwarden"];
    scene.says(&["incidents"], 3, &parts);
    for words in [&["reload"][..], &["restart"], &["rollback", "add", "web"]] {
        scene.says(words, 3, &parts);
        let said = scene.says(&[words, &["--json"]].concat(), 3, &[]);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["done"], false, "{words:?}");
    }
    scene.says(&["rollback", "add", "a/b"], 2, &["could not disable it"]);
    let settings = scene.path("settings.yaml");
    fs::write(&settings, "control:\n  socket: none\n").unwrap();
    scene.says(&["status"], 3, &["control.socket is none"]);
}

#[test]
fn what_is_only_asked_has_no_document_without_an_answer() {
    let scene = Scene::new();
    let ends_with = |words: &[&str], code: i32| {
        let Output {
            status,
            stdout,
            stderr,
        } = scene.command(words).output().unwrap();
        assert_eq!(status.code(), Some(code), "{words:?}");
        assert_eq!(String::from_utf8_lossy(&stdout), "", "{words:?}");
        assert!(!stderr.is_empty(), "{words:?}");
    };
    ends_with(&["incidents", "--json"], 3);
    // Who connects gets no answer.
    let listener = UnixListener::bind(scene.path("control.sock")).unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    ends_with(&["status", "--json"], 6);
    ends_with(&["incidents", "--json"], 6);
}

#[test]
fn without_a_supervisor_the_incidents_that_it_kept_are_listed() {
    let scene = Scene::new();
    let file = scene.path("state/chronicle.json");
    let incident = r#"{"id": "4f2a91bc", "began": "2026-11-24T18:00:00Z", "ended": "2026-11-24T18:02:05Z",
        "end": "protected", "what": "fail2ban is not running", "unprotected": {"sshd": 125.0},
        "rolled_back": ["web"], "given_up": 0}"#;
    let kept =
        format!(r#"{{"version": 1, "memory": {{"incidents": [{incident}], "hours": {{}}}}}}"#);
    fs::write(&file, &kept).unwrap();
    let parts = ["this is what it has kept", "4f2a91bc", "sshd for 2m 5s"];
    scene.says(&["incidents"], 0, &parts);
    let mut command = scene.command(&["incidents", "--json"]);
    let said = command.stderr(Stdio::null()).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["incidents"][0]["id"], "4f2a91bc");
    assert_eq!(said["incident"], serde_json::Value::Null);

    // What cannot be understood is said, and left as it is for the next jailwarden.
    let future = kept.replacen('1', "2", 1);
    fs::write(&file, &future).unwrap();
    scene.says(
        &["incidents"],
        3,
        &["cannot be read: version 2", "systemctl start jailwarden"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), future);
}

/// Of its help and of wrong usage, as the parser of the command line prints them.
#[test]
fn colour_is_for_terminals_that_want_it() {
    let colours = |words: &str, on_terminal: bool, no_color: &str| {
        let line = format!("{} {words}", env!("CARGO_BIN_EXE_jailwarden"));
        let mut command = if on_terminal {
            let mut script = Command::new("script");
            script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
            script
        } else {
            let mut sh = Command::new("sh");
            sh.args(["-c", &line]);
            sh
        };
        command.env("TERM", "xterm").env("NO_COLOR", no_color);
        for set in ["CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(set);
        }
        let Output { stdout, stderr, .. } = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert!(said.contains("Usage:"), "{said}");
        said.contains('\u{1b}')
    };
    for words in ["--help", "status --help", "status --jsno"] {
        assert!(!colours(words, false, ""), "{words}");
        if has_script() {
            assert!(colours(words, true, ""), "{words}");
            assert!(!colours(words, true, "1"), "{words}");
        }
    }
}

fn has_script() -> bool {
    let found = program("script").is_some();
    if !found {
        skip("there is no script(1) to make a terminal with");
    }
    found
}

#[test]
fn the_settings_file_may_be_named_before_or_after_the_command() {
    let scene = Scene::new();
    let file = scene.path("settings.yaml");
    let named = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
        command.args(words);
        command
    };
    let file = file.to_str().unwrap();
    scene.disable("web", "bad");
    for words in [
        &["--config", file, "rollback", "list"][..],
        &["rollback", "--config", file, "list"],
        &["rollback", "list", "--config", file],
    ] {
        says(named(words), 1, &["web: disabled since"]);
    }
    says(
        named(&["--config", file, "config", "show"]),
        0,
        &["# line 1"],
    );
    // Another instance is another file, which is not there.
    for words in [
        &["--instance", "no-such", "status"][..],
        &["status", "--instance", "no-such"],
        &["run", "--instance", "no-such"],
        &["--instance", "no-such", "config", "show"],
    ] {
        says(
            named(words),
            78,
            &["/etc/jailwarden/no-such.yaml: cannot be read"],
        );
    }
    for words in [
        &["--instance", "../x", "status"][..],
        &["status", "--instance", "a", "--config", "b"],
    ] {
        says(named(words), 2, &["--instance"]);
    }
}

#[test]
fn the_settings_in_force_are_shown_with_their_origin() {
    let scene = Scene::new();
    let file = scene.path("settings.yaml");
    let config = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
        command.arg("config").args(words).arg(&file);
        command
    };
    let said = says(
        config(&["show"]),
        0,
        &["# line 1", "  interval: 10s", "# default"],
    );
    assert!(said.starts_with("# "), "{said}");
    let said = says(config(&["show", "--json"]), 0, &[]);
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(shown["settings"][0]["key"], "config_dir");
    assert_eq!(shown["settings"][0]["line"], 1);
    assert_eq!(shown["settings"][0]["from"], "file");
    fs::write(&file, "settle: 5 parsecs\n").unwrap();
    says(config(&["show"]), 78, &["settings.yaml:1:9: settle"]);
    let said = says(config(&["check", "--json"]), 1, &[]);
    let found: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(found["mistakes"][0]["key"], "settle");
}

#[test]
fn completions_are_printed() {
    for (shell, part) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef jailwarden"),
        ("fish", "complete -c jailwarden"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
        command.args(["completions", shell]);
        says(command, 0, &[part, "rollback"]);
    }
}
