//! The routes on a real fail2ban.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use jailwarden::rollback::{Why, keep_in_memory};
use serde_json::{Value, json};

use super::caller::{Caller, SETTINGS, daemon, documented_calls, supervised};
use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
use crate::support::{GUARD, wait_until};

const BROKEN: JailSpec<'static> = JailSpec {
    failregex: "fail from <HOST",
    extra: "",
    with_log: true,
};

/// Waits until the status says so.
fn wait_status(caller: &Caller, is: impl Fn(&Value) -> bool) -> Value {
    let found = wait_until(GUARD, || {
        Some(caller.get("/api/status").good(200)).filter(|status| is(status))
    });
    found.unwrap_or_else(|| panic!("it never was so: {:#}", caller.get("/api/status").body))
}

#[test]
fn what_is_true_can_be_read() {
    let Some((f2b, _warden, caller)) = supervised() else {
        return;
    };
    let status = wait_status(&caller, |it| it["protection"] == "full");
    assert_eq!(status["state"], "healthy");
    assert_eq!(status["daemon"]["pid"], f2b.pid().as_raw_nonzero().get());
    assert_eq!(status["daemon"]["version"], "1.0.2");
    let at = |time: &Value| humantime::parse_rfc3339(time.as_str().unwrap()).unwrap();
    let [started, seen] = [
        &status["daemon"]["started"],
        &status["daemon"]["first_seen"],
    ]
    .map(at);
    assert!(started < seen, "{status:#}");
    assert_eq!(status["instance"], Value::Null);
    let jails = caller.get("/api/jails").good(200);
    assert_eq!(jails["jails"][0]["name"], "mail");
    assert_eq!(jails["jails"][1]["condition"], "protects");
    assert_eq!(
        caller.get("/api/incidents").good(200)["incidents"],
        json!([])
    );
    assert_eq!(caller.get("/healthz").good(200)["state"], "healthy");
    assert_eq!(caller.get("/readyz").good(200)["protection"], "full");
    caller.get("/metricks").must_be(404, "no-route");
    caller.get("/api/pause").must_be(405, "no-method");
    caller
        .call("POST", "/api/pause", "{\"for\": 3")
        .must_be(400, "bad-request");
    caller
        .call("POST", "/api/pause", "{\"until\": \"x\"}")
        .must_be(400, "bad-request");
    caller
        .call("POST", "/api/pause", "{\"for\": \"a while\"}")
        .must_be(400, "bad-request");
    let document = caller.get("/openapi.json").good(200);
    let file: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
    assert_eq!(document, file);
    // What is documented is there: asked for as it should not be, since it would be done otherwise.
    for (_, path) in documented_calls() {
        let path = path.replace("{name}", "web");
        caller.call("PATCH", &path, "").must_be(405, "no-method");
    }
}

#[test]
fn a_reload_applies_what_is_sound_and_refuses_what_is_not() {
    let Some((f2b, _warden, caller)) = supervised() else {
        return;
    };
    caller.post("/api/config/reload").good(204);
    f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
    caller.post("/api/config/reload").good(204);
    let maxretry = f2b.client(&["get", "web", "maxretry"]);
    assert_eq!(String::from_utf8_lossy(&maxretry.stdout).trim(), "2");

    let threads = f2b.threads("web");
    f2b.jail("web", &BROKEN);
    let refused = caller.post("/api/config/reload");
    refused.must_be(409, "refused");
    assert_eq!(refused.body["findings"][0]["jail"], "web", "{refused:?}");
    assert_eq!(f2b.threads("web"), threads);
    let checked = caller
        .call("POST", "/api/check", "{\"jails\": [\"web\"]}")
        .good(200);
    assert_eq!(checked["verdict"], "findings");
    assert_eq!(checked["findings"][0]["jails"], json!(["web"]));
    f2b.wait_bans(&["mail", "web"]);

    f2b.jail("web", &JailSpec::default());
    caller.post("/api/config/reload").good(204);
    assert_eq!(caller.post("/api/check").good(200)["verdict"], "sound");
}

#[test]
fn a_jail_is_rolled_back_and_comes_back() {
    let Some((f2b, _warden, caller)) = supervised() else {
        return;
    };
    let web = "/api/config/jails/web/rollback";
    caller.call("DELETE", web, "").must_be(404, "no-rollback");
    caller
        .post("/api/config/jails/wob/rollback")
        .must_be(404, "unknown-jail");
    for illegal in ["a%20b", "..%2fx", "-x", "a/../b", "", "DEFAULT"] {
        let path = format!("/api/config/jails/{illegal}/rollback");
        let refused = caller
            .curl(&path)
            .args(["--path-as-is", "-X", "POST", "-w", "%{http_code}"])
            .output();
        let said = String::from_utf8(refused.unwrap().stdout).unwrap();
        assert!(
            said.ends_with("400") && said.contains("illegal-name"),
            "{path}: {said}"
        );
    }

    let answer = caller.post(web).good(200);
    assert!(f2b.rollback("web").exists());
    assert_eq!(
        without_message(answer),
        json!({"jail_name": "web", "disabled": true, "fail2ban_running": true, "active_jails": 1})
    );
    f2b.wait_ban("mail");
    let not_ready = caller.get("/readyz");
    not_ready.must_be(503, "not-protected");
    // Once more changes nothing.
    assert_eq!(caller.post(web).good(200)["disabled"], true);

    let answer = caller.call("DELETE", web, "").good(200);
    assert!(!f2b.rollback("web").exists());
    assert_eq!(
        without_message(answer),
        json!({"jail_name": "web", "disabled": false, "fail2ban_running": true, "active_jails": 2})
    );
    f2b.wait_bans(&["mail", "web"]);
    caller.get("/readyz").good(200);
    caller.call("DELETE", web, "").must_be(404, "no-rollback");
}

fn without_message(mut answer: Value) -> Value {
    let message = answer.as_object_mut().unwrap().remove("message");
    assert!(message.is_some_and(|text| text.as_str().is_some_and(|text| !text.is_empty())));
    answer
}

#[test]
fn a_daemon_that_is_down_is_unreachable_and_started_by_restart_and_rollback() {
    let Some((f2b, warden, caller)) = supervised() else {
        return;
    };
    f2b.stop();
    warden.wait_told("STATUS=standby");
    let unreachable = caller.post("/api/config/reload");
    unreachable.must_be(502, "unreachable");
    caller.get("/readyz").must_be(503, "not-protected");
    caller.get("/healthz").good(200);
    caller.post("/api/config/restart").good(204);
    f2b.wait_bans(&["mail", "web"]);

    let old = f2b.pid();
    caller.post("/api/config/restart").good(204);
    assert_ne!(f2b.pid(), old);
    f2b.wait_bans(&["mail", "web"]);

    f2b.stop();
    warden.wait_told("STATUS=standby");
    let answer = caller.post("/api/config/jails/web/rollback").good(200);
    assert_eq!(
        without_message(answer),
        json!({"jail_name": "web", "disabled": true, "fail2ban_running": true, "active_jails": 1})
    );
    f2b.wait_ban("mail");
}

#[test]
fn a_daemon_that_does_not_come_back_is_said_with_its_suspect() {
    let Some(f2b) = daemon() else {
        return;
    };
    // It starts with web disabled only, which no check can know.
    let script = "test -e $0 && exec $@";
    let mut start: Vec<String> = ["sh", "-c", script].map(str::to_owned).into();
    start.push(f2b.rollback("web").display().to_string());
    start.extend(f2b.client_words());
    start.extend(["-x".to_owned(), "start".to_owned()]);
    // The change is not applied before the restart.
    let settings = SETTINGS
        .replace("settle: 100ms", "settle: 5s")
        .replace("comeback: 30s", "comeback: 3s");
    let warden = Warden::start_with(&f2b, &start, &settings);
    warden.wait_for("supervision begins");
    warden.wait_calm();
    let caller = Caller::new(&Warden::control(&f2b));
    f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
    let lost = caller.post("/api/config/restart");
    lost.must_be(503, "not-back");
    let detail = lost.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("fail2ban did not come back"), "{lost:?}");
    assert_eq!(lost.body["suspect"], "web", "{lost:?}");
    let route = lost.body["rollback"].as_str().unwrap();
    assert_eq!(route, "/api/config/jails/web/rollback");
    // What it names helps, though jailwarden may have done so already.
    let helped = caller.post(route);
    assert_eq!(helped.status, 200, "{helped:?}\n{:#?}", warden.lines());
    f2b.wait_ban("mail");
}

#[test]
fn a_restart_that_would_lose_protection_is_refused() {
    let Some((f2b, _warden, caller)) = supervised() else {
        return;
    };
    let pid = f2b.pid();
    // With this no jail at all would start.
    f2b.write("jail.d/zz.conf", "[DEFAULT\nmaxretry = 1\n");
    let refused = caller.post("/api/config/restart");
    refused.must_be(409, "refused");
    assert_eq!(f2b.pid(), pid);
    f2b.wait_bans(&["mail", "web"]);
}

#[test]
fn a_pause_stands_until_it_is_ended() {
    let Some((f2b, _warden, caller)) = supervised() else {
        return;
    };
    let web = "/api/config/jails/web/rollback";
    caller.post(web).good(200);
    let asked = r#"{"for": "1h", "reason": "moving the logs"}"#;
    let pause = caller.call("POST", "/api/pause", asked).good(200);
    assert_eq!(pause["why"], "root: moving the logs");
    let status = wait_status(&caller, |it| it["state"] == "paused");
    assert_eq!(status["pause"]["why"], "root: moving the logs");
    caller.post("/api/config/restart").must_be(409, "refused");
    caller.post("/api/config/reload").must_be(409, "refused");
    caller.call("DELETE", web, "").must_be(409, "refused");
    assert!(f2b.rollback("web").exists());
    assert_eq!(caller.post("/api/resume").good(200)["was_paused"], true);
    wait_status(&caller, |it| it["pause"].is_null());
    assert_eq!(caller.post("/api/resume").good(200)["was_paused"], false);
}

#[test]
fn only_root_and_listed_users_may_change() {
    let Some(f2b) = daemon() else {
        return;
    };
    fs::set_permissions(f2b.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    let socket = Warden::control(&f2b);
    let nobody = Caller::nobody(&socket);
    let settings = |admins: &str| {
        format!(
            "{SETTINGS}control: {{socket: {}, admins: {admins}}}\n",
            socket.display()
        )
    };
    {
        let warden = Warden::start(&f2b, &settings("[]"));
        warden.wait_for("supervision begins");
        // As it is made, it is not for everybody.
        let refused = nobody.curl("/api/status").output().unwrap();
        assert!(!refused.status.success(), "{refused:?}");
        // As if nobody were in the group.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
        nobody.get("/api/status").good(200);
        for (method, path) in documented_calls() {
            if method != "GET" {
                let path = path.replace("{name}", "web");
                nobody.call(&method, &path, "").must_be(403, "forbidden");
            }
        }
        assert!(!f2b.rollback("web").exists());
    }
    let warden = Warden::start(&f2b, &settings("[no-such-user, nobody]"));
    warden.wait_for("there is no user \"no-such-user\"");
    warden.wait_for("supervision begins");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    nobody.post("/api/config/restart").good(204);
    warden.wait_for("nobody asks for restart");
    f2b.wait_bans(&["mail", "web"]);
    // What the command may not do itself, the supervisor does.
    let why = Why {
        when: "2026-11-26T00:00:00Z".into(),
        reason: "it was locked".into(),
        incident: None,
    };
    // Not there, so that nobody but the admin has it in its file again.
    let database = f2b.path("gone/fail2ban.sqlite3");
    let file = keep_in_memory(&f2b.config(), &database, &why).unwrap();
    let undo = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
        command.args(["rollback", "undo", "dbfile", "--config"]);
        command.arg(Warden::settings_file(&f2b));
        command.uid(65534).gid(65534).output().unwrap()
    };
    let done = undo();
    assert!(done.status.success(), "{done:?}");
    assert!(!file.exists());
    warden.wait_for("nobody asks for fail2ban's database to be in its file again");
    assert_eq!(undo().status.code(), Some(1));
    let path = "/api/config/jails/dbfile/rollback";
    Caller::new(&socket)
        .call("DELETE", path, "")
        .must_be(404, "no-rollback");
}

#[test]
fn the_newest_fail2ban_is_driven_alike() {
    let Some(f2b) = Fail2ban::new(Version::V111) else {
        return;
    };
    f2b.jail("web", &JailSpec::default());
    f2b.start();
    let warden = Warden::start(&f2b, SETTINGS);
    warden.wait_for("supervision begins");
    let caller = Caller::new(&Warden::control(&f2b));
    caller.post("/api/config/restart").good(204);
    f2b.jail("web", &BROKEN);
    caller.post("/api/config/reload").must_be(409, "refused");
    f2b.wait_ban("web");
}
