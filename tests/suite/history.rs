//! `jailwarden history`, `diff ID` and `restore` on real configs, with the real fail2ban.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use crate::support::daemon::{Fail2ban, JailSpec, Version};
use jailwarden::fail2ban::folder::{Limits, Snapshot};
use jailwarden::fail2ban::stream::Stream;
use jailwarden::history::{Id, Store, Which};
use serde_json::Value;

const VERSIONS: [Version; 3] = [Version::V102, Version::V110, Version::V111];

/// A config folder with jails, and a history that holds it.
struct Scene {
    f2b: Fail2ban,
    store: Store,
    settings: PathBuf,
}

impl Scene {
    /// `None` where fail2ban is not there.
    fn new(version: Version, jails: &[&str]) -> Option<Self> {
        let f2b = Fail2ban::new(version)?;
        for name in jails {
            f2b.jail(name, &JailSpec::default());
        }
        let client = f2b.client_words();
        let words: Vec<_> = client.split_at(client.len() - 2).0.to_vec();
        let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
        let state = f2b.path("state");
        let settings = f2b.path("settings.yaml");
        let text = format!(
            "config_dir: {}\nstate_dir: {}\ndaemon:\n  client: [{}]\n",
            f2b.config().display(),
            state.display(),
            words.join(", ")
        );
        fs::write(&settings, text).unwrap();
        Some(Self {
            store: Store::open(&state, "jailwarden"),
            f2b,
            settings,
        })
    }

    /// What `fail2ban-client -d` gives now.
    fn stream(&self) -> Stream {
        let dumped = self.f2b.client(&["-d"]);
        assert!(dumped.status.success(), "{dumped:?}");
        Stream::parse(&String::from_utf8(dumped.stdout).unwrap()).unwrap()
    }

    fn keep(&self) -> Id {
        let config = self.f2b.config();
        let fingerprint = Snapshot::take(&config, Limits::default()).fingerprint();
        let text = self.stream().text();
        let kept = self
            .store
            .keep(&config, fingerprint, &text, SystemTime::now());
        kept.unwrap()
    }

    fn run(&self, words: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
        command.args(words).arg("--config").arg(&self.settings);
        Said::of(command.stdin(Stdio::null()).output().unwrap())
    }

    fn json(&self, words: &[&str]) -> Value {
        let said = self.run(&[words, &["--json"]].concat());
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.f2b.config().join(file)).unwrap()
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
    fn has(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        let all = format!("{}{}", self.stdout, self.stderr);
        for part in parts {
            assert!(all.contains(part), "no {part:?} in {self:#?}");
        }
    }
}

/// Every key in a document, but those that are names of jails.
fn keys<'a>(document: &'a Value, found: &mut BTreeSet<&'a str>) {
    match document {
        Value::Object(members) => {
            for (name, value) in members {
                found.insert(name);
                match (name.as_str(), value) {
                    ("settings", Value::Object(jails)) => {
                        jails.values().for_each(|it| keys(it, found));
                    }
                    // Of another row.
                    ("check", _) => {}
                    _ => keys(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|it| keys(it, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_json_is_documented() {
    let Some(scene) = Scene::new(Version::V102, &["mail", "web"]) else {
        return;
    };
    let f2b = &scene.f2b;
    let first = scene.keep().short();
    f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 5");
    scene.keep();
    f2b.edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 6");
    f2b.write("filter.d/web.conf", "[Definition]\nfailregex = ( <HOST>\n");
    let state = fs::create_dir_all(f2b.path("state"));
    state.unwrap();
    fs::write(
        f2b.path("state/state.json"),
        "{\"version\": 1, \"memory\": {\"accepted\": {\"server\": 1, \"jails\": {}}}}",
    )
    .unwrap();
    let documents = [
        ("check", scene.json(&["check"])),
        ("diff", scene.json(&["diff"])),
        ("diff ID", scene.json(&["diff", &first])),
        ("restore", scene.json(&["restore", &first])),
        ("history", scene.json(&["history"])),
    ];
    let table = include_str!("../../docs/cli.md");
    for (command, document) in documents {
        let row = table
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| `{command}` | `version`")));
        let row = row.unwrap_or_else(|| panic!("no row for {command}"));
        let named: BTreeSet<_> = row.split('`').collect();
        let mut found = BTreeSet::new();
        keys(&document, &mut found);
        assert!(found.len() > 5, "{document:#}");
        found.retain(|key| *key != "version" && !named.contains(key));
        assert!(found.is_empty(), "{command}: {found:?} of {document:#}");
    }
}

#[test]
fn what_is_put_back_is_read_by_fail2ban_as_before() {
    for version in VERSIONS {
        let Some(scene) = Scene::new(version, &["mail", "web"]) else {
            continue;
        };
        let f2b = &scene.f2b;
        f2b.write("jail.local", "[DEFAULT]\nfindtime = 7m\n");
        let before = scene.stream();
        let id = scene.keep();

        f2b.write("jail.local", "junk that does not parse\n");
        f2b.write("fail2ban.local", "[Definition\n");
        f2b.write("filter.d/web.conf", "[Definition]\nfailregex = ( <HOST>\n");
        f2b.write("jail.d/zz.local", "[mail]\nenabled = false\n");
        fs::remove_file(f2b.config().join("jail.d/mail.conf")).unwrap();
        fs::remove_dir_all(f2b.config().join("action.d")).unwrap();
        assert!(!f2b.client(&["-d"]).status.success());
        let config = f2b.config();
        let restored = scene
            .store
            .put_back(&id, &config, &Which::All, "a test")
            .unwrap();
        assert_eq!(restored.left, []);
        assert_eq!(scene.stream(), before, "{version:?}");
        f2b.start();
        f2b.wait_bans(&["mail", "web"]);

        let undo = restored.replaced.unwrap().id;
        scene.store.restore_rejected(&undo, "undone").unwrap();
        assert_eq!(scene.read("jail.local"), "junk that does not parse\n");
        assert!(!config.join("action.d").exists());
    }
}

#[test]
fn history_lists_what_changed_and_diff_shows_it() {
    let Some(scene) = Scene::new(Version::V102, &["mail", "web"]) else {
        return;
    };
    let nothing = scene.run(&["history"]);
    nothing.has(3, &["no snapshot yet"]);
    scene
        .run(&["diff", "abcd"])
        .has(3, &["nothing is kept yet"]);
    scene
        .run(&["restore", "abcd"])
        .has(3, &["nothing is kept yet"]);
    let first = scene.keep();
    scene
        .f2b
        .edit("jail.d/web.conf", "maxretry = 3", "maxretry = 5");
    let second = scene.keep();
    let listed = scene.run(&["history"]);
    let parts = [
        &second.short(),
        "2 jails: mail, web",
        "files: ~ jail.d/web.conf",
        "jails: ~ web",
        &first.short(),
        "the oldest",
    ];
    listed.has(0, &parts);
    let json = scene.json(&["history"]);
    assert_eq!(json["version"], 1);
    assert_eq!(json["snapshots"][0]["id"], second.to_string());
    assert_eq!(
        json["snapshots"][0]["changed"]["jails"]["changed"][0],
        "web"
    );
    assert_eq!(json["snapshots"][1]["changed"], Value::Null);
    assert_eq!(json["replaced"], Value::Array(Vec::new()));

    scene
        .run(&["diff", &second.short()])
        .has(0, &["2 jails untouched"]);
    let differs = scene.run(&["diff", &first.short()]);
    let config = scene.f2b.config().join("jail.d/web.conf");
    let parts = [
        &format!("--- {}/jail.d/web.conf", first.short()),
        &format!("+++ {}", config.display()),
        "-maxretry = 3\n+maxretry = 5\n",
        "~ web is changed\n    maxmatches: 3 → 5\n    maxretry: 3 → 5\n1 jail untouched\n",
    ];
    differs.has(1, &parts);
    let json = scene.json(&["diff", &first.short()]);
    assert_eq!(json["files"][0]["path"], "jail.d/web.conf");
    assert_eq!(json["settings"]["web"][1]["removed"][0], "3");
    scene
        .run(&["diff", "0123456789"])
        .has(2, &["nothing is kept as"]);

    scene.f2b.write("jail.local", "junk\n");
    let refused = scene.run(&["diff", &second.short()]);
    refused.has(
        1,
        &[
            "+junk",
            "fail2ban cannot read its config",
            "jailwarden check",
        ],
    );
    let json = scene.json(&["diff", &second.short()]);
    assert!(
        json["refused"].is_string() && json["settings"].is_null(),
        "{json}"
    );
}

#[test]
fn secrets_are_in_no_diff() {
    let Some(scene) = Scene::new(Version::V102, &["web"]) else {
        return;
    };
    let f2b = &scene.f2b;
    let action = |key: &str, url: &str| {
        format!(
            "[Definition]\nactionban = curl -H 'X-Key: <apikey>' {url}\n[Init]\napikey = {key}\n"
        )
    };
    f2b.write(
        "action.d/tell.conf",
        &action("former-key-1", "https://a.example"),
    );
    let jail = "[web]\naction = mark[name=web]\n         tell[cftoken=\"former-token-2\"]\n";
    f2b.write("jail.d/zz.local", jail);
    let id = scene.keep();
    f2b.write(
        "action.d/tell.conf",
        &action("newer-key-3", "https://b.example"),
    );
    f2b.write(
        "jail.d/zz.local",
        &jail.replace("former-token-2", "newer-token-4"),
    );
    f2b.write("jail.d/zy.local", "[web]\npassword = former-word-5\n");
    for words in [&["diff", &id.short()][..], &["diff", &id.short(), "--json"]] {
        let said = scene.run(words);
        said.has(
            1,
            &[
                "********",
                "a.example",
                "b.example",
                "action tell.actionban",
            ],
        );
        for secret in [
            "former-key-1",
            "former-token-2",
            "newer-key-3",
            "newer-token-4",
            "word-5",
        ] {
            assert!(!said.stdout.contains(secret), "{secret} in {}", said.stdout);
        }
    }
}

#[test]
fn restore_says_what_it_does_and_undoes_it() {
    let Some(scene) = Scene::new(Version::V102, &["mail", "web"]) else {
        return;
    };
    let f2b = &scene.f2b;
    let id = scene.keep().short();
    scene
        .run(&["restore", &id])
        .has(0, &["nothing to do", "as in"]);
    f2b.write("filter.d/web.conf", "[Definition]\nfailregex = ( <HOST>\n");
    f2b.write("jail.d/new.conf", "[web]\nmaxretry = 9\n");
    let bad = scene.read("filter.d/web.conf");
    let parts = [
        "would be done",
        "filter.d/web.conf: put back",
        "jail.d/new.conf: removed",
    ];
    scene.run(&["restore", &id, "--dry-run"]).has(0, &parts);
    assert_eq!(scene.read("filter.d/web.conf"), bad);

    let said = scene.run(&["restore", &id]);
    said.has(
        0,
        &[
            "done in",
            "filter.d/web.conf: put back",
            "undo: jailwarden restore 2",
        ],
    );
    assert!(!f2b.config().join("jail.d/new.conf").exists());
    let (_, undo) = said.stdout.split_once("undo: jailwarden restore ").unwrap();
    let undo = undo.trim();
    scene
        .run(&["history"])
        .has(0, &["replaced files", undo, "`jailwarden restore"]);
    let usage = scene.run(&["restore", undo, "--jail", "web"]);
    usage.has(2, &["go back together"]);
    let dry = scene.json(&["restore", undo, "--dry-run"]);
    assert_eq!(
        (&dry["dry_run"], &dry["done"][0]["what"]),
        (&true.into(), &"file".into())
    );
    let undone = scene.json(&["restore", undo]);
    assert!(undone["replaced"]["undo"].is_string(), "{undone}");
    assert_eq!(scene.read("filter.d/web.conf"), bad);
    assert_eq!(scene.read("jail.d/new.conf"), "[web]\nmaxretry = 9\n");
    scene
        .run(&["restore", "20200101T000000Z-0"])
        .has(2, &["nothing is kept as"]);
}

#[test]
fn one_jail_comes_back_alone() {
    let Some(scene) = Scene::new(Version::V102, &["mail", "web"]) else {
        return;
    };
    let f2b = &scene.f2b;
    let id = scene.keep().short();
    for jail in ["mail", "web"] {
        f2b.edit(&format!("filter.d/{jail}.conf"), "fail from", "other from");
        f2b.edit(
            &format!("jail.d/{jail}.conf"),
            "maxretry = 3",
            "maxretry = 4",
        );
    }
    f2b.write("jail.d/zz-web.local", "[web]\nfilter = elsewhere\n");
    f2b.write(
        "filter.d/elsewhere.conf",
        "[Definition]\nfailregex = x <HOST>\n",
    );
    let said = scene.run(&["restore", &id, "--jail", "web"]);
    let parts = [
        "the jail is read from ",
        "filter.d/web.conf: put back",
        "jail.d/web.conf: put back",
        "jail.d/zz-web.local: removed",
        "filter.d/elsewhere.conf: removed",
    ];
    said.has(0, &parts);
    assert!(!said.stdout.contains("mail.conf"), "{said:#?}");
    assert!(scene.read("jail.d/mail.conf").contains("maxretry = 4"));
    assert!(scene.read("jail.d/web.conf").contains("maxretry = 3"));
    scene
        .run(&["restore", &id, "--jail", "nix"])
        .has(2, &["no jail \"nix\""]);
}

#[test]
fn what_has_findings_is_not_put_in_place() {
    let Some(scene) = Scene::new(Version::V102, &["mail", "web"]) else {
        return;
    };
    let f2b = &scene.f2b;
    let id = scene.keep().short();
    fs::remove_file(f2b.jail_log("web")).unwrap();
    f2b.edit("jail.d/web.conf", "enabled = true", "enabled = false");
    let off = scene.read("jail.d/web.conf");
    let said = scene.run(&["restore", &id]);
    said.has(1, &["error: jail web", "nothing was done", "--force"]);
    assert_eq!(scene.read("jail.d/web.conf"), off);
    let json = scene.json(&["restore", &id]);
    assert_eq!(json["refused"], true);
    assert_eq!(json["check"]["verdict"], "findings");
    scene.run(&["restore", &id, "--force"]).has(0, &["done in"]);
    assert_ne!(scene.read("jail.d/web.conf"), off);
}

#[test]
fn links_into_a_checkout_owners_and_strange_names_come_back() {
    let Some(scene) = Scene::new(Version::V102, &["web"]) else {
        return;
    };
    let config = scene.f2b.config();
    let checkout = scene.f2b.path("checkout");
    fs::create_dir(&checkout).unwrap();
    let outside = checkout.join("jail.local");
    fs::write(&outside, "[DEFAULT]\nfindtime = 7m\n").unwrap();
    symlink("../checkout/jail.local", config.join("jail.local")).unwrap();
    let strange = config.join(std::ffi::OsStr::from_bytes(b"caf\xe9.conf"));
    fs::write(&strange, "x\n").unwrap();
    fs::set_permissions(&strange, Permissions::from_mode(0o640)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&strange, Some(7), Some(8)).unwrap();
    }
    let owner = fs::metadata(&strange).unwrap().uid();
    let before = scene.stream();
    let id = scene.keep().short();

    fs::write(&outside, "junk\n").unwrap();
    fs::remove_file(&strange).unwrap();
    let said = scene.run(&["restore", &id]);
    said.has(
        0,
        &[
            "jail.local: put back as a file",
            "is not touched",
            "caf\u{fffd}.conf: put back",
        ],
    );
    assert_eq!(fs::read_to_string(&outside).unwrap(), "junk\n");
    assert_eq!(scene.stream(), before);
    let meta = fs::metadata(&strange).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o640, owner));
}

#[test]
fn a_diff_tells_settings_once_the_commands_are_kept() {
    let Some(scene) = Scene::new(Version::V102, &["mail", "web"]) else {
        return;
    };
    scene.keep();
    let digests = scene.stream().digests();
    let jails = digests.jails.iter();
    let jails: Vec<_> = jails
        .map(|(name, digest)| format!("{name:?}:{{\"digest\":{digest},\"actions\":0}}"))
        .collect();
    let state = format!(
        "{{\"version\":1,\"memory\":{{\"accepted\":{{\"server\":{},\"jails\":{{{}}}}}}}}}",
        digests.server,
        jails.join(",")
    );
    fs::write(scene.f2b.path("state/state.json"), state).unwrap();
    scene.run(&["diff"]).has(0, &["2 jails untouched"]);
    scene
        .f2b
        .edit("jail.d/web.conf", "maxretry = 3", "maxretry = 5");
    scene
        .f2b
        .edit("fail2ban.local", "loglevel = INFO", "loglevel = DEBUG");
    let said = scene.run(&["diff"]);
    let parts = [
        "~ web is changed\n    maxmatches: 3 → 5\n    maxretry: 3 → 5\n",
        "~ fail2ban's own settings are changed\n    loglevel: INFO → DEBUG\n",
    ];
    said.has(1, &parts);
    assert!(!said.stdout.contains("digests"), "{said:#?}");
    let json = scene.json(&["diff"]);
    assert_eq!(json["server_settings"][0]["name"], "loglevel");
}
