use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::lines;
use crate::cli::paint::{self, text};
use crate::status::Status;

/// A host whose jails all protect.
pub(in crate::cli) fn healthy() -> Value {
    json!({
        "schema": 1, "version": "0.1.0", "at": at(0), "state": "healthy", "since": at(-7500),
        "text": "healthy: 3 of 3 jails protect", "protection": "full", "deadline": null,
        "daemon": {
            "pid": 812, "first_seen": at(-273_000), "started": at(-273_005), "version": "1.0.2", "ping": 0.0021, "unit": "fail2ban.service",
            "socket": "/run/fail2ban/fail2ban.sock",
        },
        "jails": [
            jail("mail", "protects", 3),
            jail("sshd", "protects", 12),
            jail("web", "protects", 0),
        ],
        "findings": [], "pause": null, "incident": null, "incidents": [],
        "started": at(-350_000),
    })
}

fn jail(name: &str, condition: &str, banned: u64) -> Value {
    json!({
        "name": name, "condition": condition, "why": null, "banned": banned, "rollback": null,
        "last_read": (banned > 0).then(|| at(-754)),
        "unprotected": { "day": 0.0, "month": 0.0, "total": 0.0 },
    })
}

/// Seconds from the moment of each status here.
fn at(seconds: i64) -> String {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    let span = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { now - span } else { now + span };
    humantime::format_rfc3339_millis(time).to_string()
}

fn incident(began: i64, took: Option<i64>, what: &str) -> Value {
    json!({
        "id": "4f2a91bc", "began": at(began), "ended": took.map(|took| at(began + took)),
        "end": took.map(|_| "protected"), "what": what,
        "unprotected": { "sshd": 9.5, "web": 9.5 }, "rolled_back": [], "given_up": 0,
    })
}

/// One jail is rolled back, another change waits, and there were incidents.
pub(in crate::cli) fn degraded() -> Value {
    let mut status = healthy();
    status["state"] = json!("degraded");
    status["protection"] = json!("partial");
    status["jails"][1] = json!({
        "name": "sshd", "condition": "rolled-back", "why": "it broke the start", "banned": null,
        "rollback": {
            "file": "/etc/fail2ban/jail.d/zzz-jailwarden-sshd.local", "when": "2026-11-18T17:00:00Z",
            "reason": "failregex: Unable to compile regular expression 'failed from <HOST> [': \
                       unterminated character set at position 19",
            "next_try": at(600),
        },
        "unprotected": { "day": 7380.0, "month": 18_060.0, "total": 18_060.0 },
    });
    status["findings"] = json!([{
        "jail": "web", "file": "/etc/fail2ban/filter.d/web.conf", "line": 2, "fatal": false,
        "words": "Have not found any log file for web jail",
    }]);
    status["incidents"] = json!([
        incident(
            -1500,
            Some(10),
            "fail2ban is not running: it was killed by SIGKILL; systemd starts it again at once"
        ),
        incident(-90_000, Some(754), "fail2ban does not answer"),
    ]);
    status
}

/// Every way back failed.
fn gave_up() -> Value {
    let mut status = healthy();
    status["state"] = json!("gave-up");
    status["protection"] = json!("none");
    status["since"] = json!(at(-240));
    status["deadline"] = json!(at(95));
    status["daemon"]["pid"] = Value::Null;
    status["daemon"]["ping"] = Value::Null;
    for jail in status["jails"].as_array_mut().unwrap() {
        jail["condition"] = json!("dead");
        jail["why"] = json!("fail2ban is down");
        jail["banned"] = Value::Null;
        jail["unprotected"] = json!({ "day": 304.0, "month": 304.0, "total": 304.0 });
    }
    status["incident"] = incident(
        -304,
        None,
        "fail2ban is not running: No space left on device",
    );
    status
}

/// It was stopped by an admin.
fn standby() -> Value {
    let mut status = healthy();
    status["state"] = json!("standby");
    status["protection"] = json!("unwanted");
    status["daemon"]["pid"] = Value::Null;
    status["daemon"]["ping"] = Value::Null;
    for jail in status["jails"].as_array_mut().unwrap() {
        jail["condition"] = json!("held");
        jail["banned"] = Value::Null;
    }
    status
}

fn paused() -> Value {
    let mut status = healthy();
    status["state"] = json!("paused");
    status["pause"] = json!({ "why": "root: moving the logs", "until": at(1800) });
    status
}

pub(in crate::cli) fn restarting() -> Value {
    let mut status = gave_up();
    status["state"] = json!("restarting");
    status["since"] = json!(at(-3));
    status["deadline"] = json!(at(7));
    status
}

fn many() -> Value {
    let mut status = degraded();
    let mut jails = vec![status["jails"][1].clone()];
    jails.extend((0..199).map(|n| jail(&format!("site-{n:03}-auth"), "protects", n % 7)));
    status["jails"] = json!(jails);
    status["findings"] = json!(vec![status["findings"][0].clone(); 13]);
    status
}

fn odd_names() -> Value {
    let mut status = degraded();
    let long =
        "a-jail-whose-name-somebody-made-up-to-see-how-wide-a-table-may-get-before-it-breaks-apart";
    status["jails"][0]["name"] = json!("esc\u{1b}[2J\u{202e}ape");
    status["jails"][1]["name"] = json!(long);
    status["jails"][2]["name"] = json!("日本語の刑務所");
    status["findings"][0]["words"] = json!("line\none \u{7}bell \u{1b}]0;title\u{7}");
    status["findings"][0]["file"] = json!("/etc/fail2ban/a b\u{9b}.conf");
    status
}

#[track_caller]
pub(in crate::cli) fn parsed(status: Value) -> Status {
    serde_json::from_value(status).unwrap()
}

#[test]
fn each_situation_reads_well_in_80_columns() {
    let situations = [
        ("healthy", healthy()),
        ("degraded", degraded()),
        ("gave_up", gave_up()),
        ("standby", standby()),
        ("paused", paused()),
        ("restarting", restarting()),
        ("many", many()),
        ("odd_names", odd_names()),
    ];
    for (name, status) in situations {
        let said = text(&lines(&parsed(status), 80), false);
        for line in said.lines() {
            assert!(paint::width(line) <= 80, "{name}: {line:?}");
            assert!(!line.contains(char::is_control), "{name}: {line:?}");
        }
        insta::assert_snapshot!(name, said);
    }
}

#[test]
fn a_narrow_terminal_loses_no_words_of_a_reason() {
    let said = text(&lines(&parsed(degraded()), 40), false);
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("unterminated character set at position 19"),
        "{said}"
    );
}

#[test]
fn colour_changes_no_word() {
    let lines = lines(&parsed(degraded()), 80);
    let (plain, colour) = (text(&lines, false), text(&lines, true));
    assert!(colour.contains("\u{1b}[1m\u{1b}[33mPARTLY:"), "{colour:?}");
    let mut bare = String::new();
    for (at, part) in colour.split('\u{1b}').enumerate() {
        let rest = part
            .split_once('m')
            .filter(|_| at > 0)
            .map_or(part, |(_, rest)| rest);
        bare.push_str(rest);
    }
    assert_eq!(bare, plain);
}

#[test]
fn the_headline_is_in_words() {
    let headline = |change: &dyn Fn(&mut Value)| {
        let mut status = healthy();
        change(&mut status);
        text(&[super::headline(&parsed(status))], false)
    };
    let only = headline(&|it| it["jails"] = json!([jail("sshd", "protects", 0)]));
    assert_eq!(only, "PROTECTED: the only jail, sshd\n");
    let held = headline(&|it| it["jails"][0]["condition"] = json!("held"));
    assert_eq!(held, "PROTECTED: all 2 jails; mail is stopped by hand\n");
    let none = headline(&|it| {
        it["jails"] = json!([]);
        it["protection"] = json!("none");
    });
    assert_eq!(none, "NOT PROTECTED: no jail is enabled\n");
    let unknown = headline(&|it| it["protection"] = json!("unknown"));
    assert_eq!(
        unknown,
        "NOT KNOWN YET: it is being found out whether the jails protect\n"
    );
    let seven = headline(&|it| {
        it["jails"] = json!(
            (0..7)
                .map(|n| jail(&format!("j{n}"), "dead", 0))
                .collect::<Vec<_>>()
        );
        it["protection"] = json!("none");
    });
    assert_eq!(seven, "NOT PROTECTED: j0, j1, j2, j3 and 3 more are dead\n");
}
