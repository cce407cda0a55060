//! What a real supervisor does not do on demand: the test plays its loop.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use jailwarden::control::link::{Ask, Command, Loop, Reply, pair};
use jailwarden::control::server;
use jailwarden::settings::Settings;
use jailwarden::status::{Daemon, Finding, Past, Protection, SCHEMA, Status, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use super::caller::Caller;
use crate::support::{ANSWERED, GUARD, wait_until};

/// The API of a supervisor that does what the test says.
struct Played {
    folder: TempDir,
    commands: Receiver<Command>,
}

impl Played {
    /// `reply` is what each command comes to; none where it is never answered.
    fn new(reply: impl Fn(&Command) -> Option<Reply> + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.control.socket = Some(folder.path().join("control.sock"));
        settings.state_dir = folder.path().join("state");
        let (link, Loop { mut asks, feed }) = pair();
        server::spawn(&settings, link);
        let (to_test, commands) = channel();
        thread::spawn(move || {
            let (_feed, mut unanswered) = (feed, Vec::new());
            while let Some(ask) = asks.blocking_recv() {
                match ask {
                    Ask::Status(asker) => drop(asker.send(status())),
                    Ask::Metrics(asker) => drop(asker.send("# EOF\n".to_owned())),
                    Ask::Past(asker) => drop(asker.send(past())),
                    Ask::Do(command, asker) => {
                        match reply(&command) {
                            Some(reply) => drop(asker.send(reply)),
                            None => unanswered.push(asker),
                        }
                        drop(to_test.send(command));
                    }
                }
            }
        });
        let played = Self { folder, commands };
        let there = wait_until(GUARD, || UnixStream::connect(played.socket()).ok());
        assert!(there.is_some());
        played
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    fn caller(&self) -> Caller {
        Caller::new(&self.socket())
    }
}

fn status() -> Status {
    Status {
        schema: SCHEMA,
        version: "0".to_owned(),
        instance: None,
        at: Timestamp::now(),
        state: "healthy".to_owned(),
        since: Timestamp::now(),
        text: "healthy".to_owned(),
        protection: Protection::Full,
        deadline: None,
        daemon: Daemon {
            pid: None,
            first_seen: None,
            started: None,
            version: None,
            in_memory: false,
            ping: None,
            unit: None,
            socket: "/s".into(),
        },
        jails: Vec::new(),
        findings: Vec::new(),
        pause: None,
        incident: None,
        incidents: Vec::new(),
        started: Timestamp::now(),
    }
}

fn past() -> Past {
    Past {
        since: Timestamp::now(),
        incidents: Vec::new(),
        hours: Vec::new(),
    }
}

#[test]
fn each_reply_has_its_status() {
    let finding = Finding {
        jail: Some("web".to_owned()),
        file: Some("/etc/fail2ban/jail.d/web.conf".into()),
        line: Some(3),
        words: "\u{1b}[2J".to_owned(),
        fatal: false,
    };
    let replies = [
        (Reply::Done { alive: 2 }, 204, ""),
        (
            Reply::Refused {
                why: "it would not run".to_owned(),
                findings: vec![finding],
            },
            409,
            "refused",
        ),
        (
            Reply::Unreachable {
                why: "it is silent".to_owned(),
            },
            502,
            "unreachable",
        ),
        (
            Reply::NotBack {
                why: "it ended".to_owned(),
                suspect: Some("web".to_owned()),
            },
            503,
            "not-back",
        ),
    ];
    for (reply, code, problem) in replies {
        let given = reply.clone();
        let played = Played::new(move |_| Some(given.clone()));
        for (path, command) in [
            ("/api/config/restart", Command::Restart),
            ("/api/config/reload", Command::Reload),
        ] {
            let answer = played.caller().post(path);
            assert_eq!(answer.status, code, "{answer:?}");
            assert_eq!(played.commands.recv().unwrap(), command);
            if code != 204 {
                assert_eq!(answer.problem(), problem);
            }
            match &reply {
                Reply::Refused { .. } => assert_eq!(answer.body["findings"][0]["line"], 3),
                Reply::NotBack { .. } => {
                    let detail = answer.body["detail"].as_str().unwrap();
                    assert!(detail.starts_with("fail2ban did not come back"), "{detail}");
                    assert_eq!(answer.body["suspect"], "web");
                    assert_eq!(answer.body["rollback"], "/api/config/jails/web/rollback");
                }
                _ => {}
            }
        }
    }
}

/// The same replies, as the command line ends with them.
#[test]
fn each_reply_has_its_exit_code() {
    let why = || "because".to_owned();
    let replies = [
        (Reply::Done { alive: 2 }, 0),
        (
            Reply::Refused {
                why: why(),
                findings: Vec::new(),
            },
            5,
        ),
        (Reply::Unreachable { why: why() }, 6),
        (
            Reply::NotBack {
                why: why(),
                suspect: None,
            },
            7,
        ),
    ];
    for (reply, code) in replies {
        let played = Played::new(move |_| Some(reply.clone()));
        let settings = played.folder.path().join("settings.yaml");
        let socket = played.socket().display().to_string();
        std::fs::write(&settings, format!("control: {{socket: {socket}}}\n")).unwrap();
        for word in ["reload", "restart"] {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_jailwarden"));
            let command = command.args([word, "--json", "--config"]).arg(&settings);
            let ended = command.output().unwrap();
            assert_eq!(ended.status.code(), Some(code), "{ended:?}");
            let said: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
            assert_eq!(said["done"], code == 0, "{said:#}");
        }
    }
}

#[test]
fn a_suspect_whose_name_is_illegal_has_no_route() {
    let played = Played::new(|_| {
        Some(Reply::NotBack {
            why: "it ended".to_owned(),
            suspect: Some("a/b".to_owned()),
        })
    });
    let answer = played.caller().post("/api/config/restart");
    answer.must_be(503, "not-back");
    assert_eq!(answer.body["suspect"], "a/b");
    assert!(answer.body["rollback"].is_null());
}

#[test]
fn a_supervisor_that_is_gone_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    let socket = folder.path().join("control.sock");
    settings.control.socket = Some(socket.clone());
    let (link, end) = pair();
    drop::<Loop>(end);
    server::spawn(&settings, link);
    assert!(wait_until(GUARD, || UnixStream::connect(&socket).ok()).is_some());
    let caller = Caller::new(&socket);
    for path in ANSWERED {
        caller.get(path).must_be(503, "no-answer");
    }
    caller.post("/api/config/restart").must_be(503, "no-answer");
    caller.get("/openapi.json").good(200);
}

#[test]
fn a_command_is_done_though_its_caller_is_gone_and_only_so_many_wait() {
    let played = Played::new(|_| None);
    let request = b"POST /api/config/restart HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..8 {
        let mut caller = UnixStream::connect(played.socket()).unwrap();
        caller.write_all(request).unwrap();
        assert_eq!(played.commands.recv().unwrap(), Command::Restart);
    }
    // Their callers are gone, and they are under way all the same.
    played
        .caller()
        .post("/api/config/restart")
        .must_be(503, "busy");
    played.caller().get("/healthz").good(200);
}

#[test]
fn only_so_many_listen_and_those_who_left_make_room() {
    let played = Played::new(|_| None);
    let mut watchers: Vec<UnixStream> = (0..128).map(|_| watch(&played.socket())).collect();
    played.caller().get("/api/events").must_be(503, "busy");
    played.caller().get("/healthz").good(200);
    watchers.pop();
    let again = wait_until(GUARD, || {
        let mut stream = UnixStream::connect(played.socket()).unwrap();
        ask_for_events(&mut stream);
        begins_well(&mut stream).then_some(stream)
    });
    assert!(again.is_some());
}

fn ask_for_events(stream: &mut UnixStream) {
    stream
        .write_all(b"GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
}

fn begins_well(stream: &mut UnixStream) -> bool {
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).unwrap();
    begin == *b"HTTP/1.1 200 OK"
}

fn watch(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    ask_for_events(&mut stream);
    assert!(begins_well(&mut stream));
    stream
}

#[test]
fn a_request_is_bounded() {
    let played = Played::new(|_| Some(Reply::Done { alive: 0 }));
    let large = json!({ "reason": "x".repeat(70_000) }).to_string();
    played
        .caller()
        .call("POST", "/api/pause", &large)
        .must_be(413, "too-large");
    let as_large = json!({ "reason": "x".repeat(60_000) }).to_string();
    played
        .caller()
        .call("POST", "/api/pause", &as_large)
        .good(200);

    let mut stream = UnixStream::connect(played.socket()).unwrap();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(40_000));
    // It may be cut off before it is all written.
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
}
