//! The routes of the control API where systemd runs fail2ban, by curl: each status that a real fail2ban
//! and a real systemd give rise to.

use serde_json::{Value, json};

use crate::guarded::{Guarded, QUICK};

const DROP_IN: &str = "/run/systemd/system/fail2ban.service.d/test.conf";
const FILTER: &str = "/etc/fail2ban/filter.d/web.conf";
const RESTART: &str = "/api/config/restart";
const RELOAD: &str = "/api/config/reload";
const WEB: &str = "/api/config/jails/web/rollback";

/// What curl got for a request: the status and the body.
fn call(host: &Guarded, method: &str, path: &str, body: &str) -> (u16, Value) {
    let url = format!("http://localhost{path}");
    let socket = "/run/jailwarden/control.sock";
    let done = host.run(&[
        "curl",
        "-sS",
        "--path-as-is",
        "--unix-socket",
        socket,
        "-X",
        method,
        "--data-binary",
        body,
        "-w",
        "\n%{http_code}",
        &url,
    ]);
    assert!(done.status.success(), "{method} {path}: {done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    let (text, status) = said.rsplit_once('\n').unwrap();
    let body = match text {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap(),
    };
    (status.parse().unwrap(), body)
}

/// The same, where that status is what must come.
#[track_caller]
fn must(host: &Guarded, method: &str, path: &str, status: u16) -> Value {
    let (got, body) = call(host, method, path, "");
    assert_eq!(got, status, "{method} {path}: {body:#}\n{}", host.said());
    body
}

/// Changes fail2ban's unit.
fn drop_in(host: &Guarded, text: &str) {
    host.write(DROP_IN, text);
    host.sh("systemctl daemon-reload");
}

/// What an answer about a rollback says, but its words for people.
fn rollback(answer: &Value) -> Value {
    let mut answer = answer.clone();
    let message = answer.as_object_mut().unwrap().remove("message");
    assert!(message.is_some_and(|words| words.is_string()));
    answer
}

#[test]
fn what_is_asked_for_is_done_by_systemd_or_refused() {
    let Some(host) = Guarded::begin() else { return };
    done(&host);
    refused(&host);
}

fn done(host: &Guarded) {
    assert_eq!(must(host, "GET", "/readyz", 200)["protection"], "full");
    let pid = host.main_pid("fail2ban");
    must(host, "POST", RESTART, 204);
    assert_ne!(host.main_pid("fail2ban"), pid);
    assert_eq!(host.property("fail2ban", "ActiveState"), "active");
    host.wait_all_protect();

    // What was stopped on purpose stays so until somebody asks.
    host.sh("systemctl stop fail2ban");
    host.wait_status("standby");
    must(host, "GET", "/readyz", 503);
    let unreachable = must(host, "POST", RELOAD, 502);
    assert_eq!(unreachable["type"], "urn:jailwarden:problem:unreachable");
    must(host, "POST", RESTART, 204);
    assert_eq!(host.property("fail2ban", "ActiveState"), "active");
    host.wait_all_protect();

    host.sh("systemctl stop fail2ban");
    host.wait_status("standby");
    let answer = must(host, "POST", WEB, 200);
    assert_eq!(
        rollback(&answer),
        json!({"jail_name": "web", "disabled": true, "fail2ban_running": true, "active_jails": 1})
    );
    host.wait_protects("sshd");
    must(host, "GET", "/readyz", 503);
    let answer = must(host, "DELETE", WEB, 200);
    assert_eq!(answer["active_jails"], 2);
    must(host, "DELETE", WEB, 404);
    host.wait_all_protect();
    must(host, "GET", "/readyz", 200);
}

/// What is refused changes nothing.
fn refused(host: &Guarded) {
    let pid = host.main_pid("fail2ban");
    let threads = || host.sh(&format!("ls /proc/{pid}/task"));
    let before = threads();
    let unknown = must(host, "POST", "/api/config/jails/wob/rollback", 404);
    assert_eq!(unknown["type"], "urn:jailwarden:problem:unknown-jail");
    for illegal in ["..%2fx", "a%20b", "DEFAULT", ""] {
        let path = format!("/api/config/jails/{illegal}/rollback");
        let refused = must(host, "POST", &path, 400);
        assert_eq!(refused["type"], "urn:jailwarden:problem:illegal-name");
    }
    must(host, "GET", "/api/nothing", 404);
    must(host, "GET", RESTART, 405);
    let (status, _) = call(host, "POST", "/api/pause", "{\"for\": \"a while\"}");
    assert_eq!(status, 400);

    host.sh(&format!("sed -i 's/<HOST>$/<HOST> [/' {FILTER}"));
    for path in [RELOAD, RESTART] {
        let refused = must(host, "POST", path, 409);
        assert_eq!(refused["type"], "urn:jailwarden:problem:refused");
        let finding = &refused["findings"][0];
        assert_eq!(
            (&finding["jail"], &finding["file"], &finding["line"]),
            (&json!("web"), &json!(FILTER), &json!(2)),
            "{refused:#}"
        );
    }
    host.wait_all_protect();
    host.sh(&format!("sed -i 's/ \\[$//' {FILTER}"));
    must(host, "POST", RELOAD, 204);
    assert_eq!(
        (host.main_pid("fail2ban"), threads()),
        (pid.clone(), before)
    );
}

/// What keeps fail2ban down is not known to any check of its config.
#[test]
fn a_daemon_that_does_not_come_back_is_said() {
    let Some(host) = Guarded::begin() else { return };
    // Long enough for the restart to come before the change is applied.
    let settings = format!("{QUICK}settle: 5s\nrestart:\n  comeback: 3s\n");
    host.write("/etc/jailwarden/jailwarden.yaml", &settings);
    host.sh("systemctl restart jailwarden");
    host.wait_status("healthy: 2 of 2");

    // A rule of the house, which a jail breaks.
    drop_in(
        &host,
        "[Service]\nExecStartPre=/bin/sh -c '! fail2ban-client -d | grep \"maxretry., 1]\"'\n",
    );
    host.sh("sed -i 's/maxretry = 5/maxretry = 1/' /etc/fail2ban/jail.d/web.conf");
    let lost = must(&host, "POST", RESTART, 503);
    assert_eq!(lost["type"], "urn:jailwarden:problem:not-back");
    let detail = lost["detail"].as_str().unwrap();
    assert!(detail.starts_with("fail2ban did not come back"), "{detail}");
    assert_eq!(lost["suspect"], "web", "{lost:#}");
    assert_eq!(lost["rollback"], WEB, "{lost:#}");
    // What it names helps.
    let answer = must(&host, "POST", WEB, 200);
    assert_eq!(answer["fail2ban_running"], true, "{answer:#}");
    host.wait_protects("sshd");

    // No jail is to blame, and none can help.
    drop_in(
        &host,
        "[Service]\nExecStart=\nExecStart=/bin/false\nRestart=no\n",
    );
    host.sh("systemctl stop fail2ban");
    host.wait_status("standby");
    let lost = must(&host, "POST", RESTART, 503);
    assert_eq!(lost["suspect"], Value::Null, "{lost:#}");
    let answer = must(&host, "POST", "/api/config/jails/sshd/rollback", 200);
    assert_eq!(
        rollback(&answer),
        json!({"jail_name": "sshd", "disabled": true, "fail2ban_running": false, "active_jails": 0})
    );
    must(&host, "POST", RELOAD, 502);
    must(&host, "GET", "/healthz", 200);
    drop_in(&host, "");
    // A try of jailwarden's own may be under way, with what stood there before.
    let restarted = (0..2).any(|_| call(&host, "POST", RESTART, "").0 == 204);
    assert!(restarted, "{}", host.said());
}
