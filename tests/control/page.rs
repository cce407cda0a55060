//! The page and the API at its address, by curl.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Output;

use serde_json::json;

use super::caller::{Caller, SETTINGS, daemon, documented_calls};
use super::stage::{Stage, curl, degraded, healthy, own_address, past, restarting};
use crate::support::daemon::Warden;
use crate::support::{GUARD, wait_until};

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn must_be(output: &Output, status: u16) -> String {
    let text = text(output);
    let begin = format!("HTTP/1.1 {status} ");
    assert!(text.starts_with(&begin), "not {status}: {output:?}");
    text
}

/// What every answer has, whatever it is.
const HEADERS: [&str; 4] = [
    "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; ",
    "x-content-type-options: nosniff",
    "referrer-policy: no-referrer",
    "cross-origin-resource-policy: same-origin",
];

#[test]
fn everything_can_be_read_and_nothing_changed() {
    let stage = Stage::new(&healthy(), past());
    for path in [
        "/",
        "/page.css",
        "/page.js",
        "/page.svg",
        "/api/status",
        "/openapi.json",
    ] {
        let said = must_be(&stage.curl(path, &[]), 200);
        for header in HEADERS {
            assert!(said.contains(header), "{path}: no {header} in {said}");
        }
        assert!(!said.contains("access-control"), "{path}: {said}");
        let head = must_be(&stage.curl(path, &["-I"]), 200);
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }
    let refused = |method: &str, path: &str| {
        let said = must_be(&stage.curl(path, &["-X", method, "-d", "{}"]), 403);
        assert!(said.contains("problem:forbidden"), "{said}");
    };
    for (method, path) in documented_calls() {
        let path = path.replace("{name}", "web");
        if method != "GET" {
            refused(&method, &path);
        } else if path != "/api/events" {
            must_be(&stage.curl(&path, &[]), 200);
        }
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"] {
        refused(method, "/");
    }
    must_be(&stage.curl("/index.html", &[]), 404);
    must_be(&stage.curl("/api/pause", &[]), 405);
    must_be(&stage.curl("/../page.js", &[]), 404);
}

#[test]
fn it_answers_to_its_own_name_alone() {
    let stage = Stage::new(&healthy(), past());
    for (host, status) in [
        ("localhost", 200),
        ("LocalHost:1234", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:9117", 200),
        ("127.9.9.9", 200),
        ("evil.example", 403),
        ("evil.example:9117", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("127.0.0.1@evil.example", 403),
        ("evil@127.0.0.1.x", 403),
        ("0.0.0.0:9117", 403),
        ("192.0.2.1", 403),
        ("[::]", 403),
        ("", 403),
    ] {
        for path in ["/", "/api/status"] {
            let header = if host.is_empty() {
                "Host;".to_owned()
            } else {
                format!("Host: {host}")
            };
            must_be(&stage.curl(path, &["-H", &header]), status);
        }
    }
    let raw = |request: &str| {
        let mut stream = TcpStream::connect(stage.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(raw("GET / HTTP/1.0\r\n\r\n"), "403");
    assert_eq!(
        raw("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n"),
        "403"
    );
    assert_eq!(
        raw("GET http://evil/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "403"
    );
    assert_eq!(
        raw("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "200"
    );
}

#[test]
fn the_page_says_the_facts_and_escapes_them() {
    let mut status = degraded();
    status["jails"][0]["name"] = json!("<script>alert(1)</script>");
    status["jails"][1]["name"] = json!("\"onload=x \u{1b}[2J\u{202e}");
    status["findings"][0]["words"] = json!("No failure-id group in '<b class=evil>");
    status["pause"] = json!({ "why": "root: <img src=x>", "until": null });
    let stage = Stage::new(&status, past());
    let page = must_be(&stage.curl("/", &[]), 200);
    assert!(page.contains("content-type: text/html; charset=utf-8"));
    for there in [
        "<h1>Partly protected</h1>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&quot;onload=x \\u{1b}[2J\\u{202e}",
        "root: &lt;img src=x&gt;",
        "unterminated character set at position 19",
        "/etc/fail2ban/filter.d/mail.conf:2: No failure-id group in '&lt;b class=evil&gt;",
        "1 incident; a jail went unprotected in 2 hours, for 40m at most",
        "process 812",
        "fail2ban does not answer, and uses no processor time",
    ] {
        assert!(page.contains(there), "no {there} in {page}");
    }
    for bad in [
        "<script>", "<img", "<b ", "\u{1b}", "\u{202e}", " style=", " on",
    ] {
        let body = page.split_once("\r\n\r\n").unwrap().1;
        let mut tags = body
            .split('<')
            .filter_map(|it| it.split_once('>'))
            .map(|it| it.0);
        assert!(!body.contains(bad) || bad == " on", "{bad} in {page}");
        assert!(!tags.any(|tag| tag.contains(" on")), "{page}");
    }

    let stage = Stage::new(&restarting(), past());
    let page = must_be(&stage.curl("/", &[]), 200);
    assert!(page.contains("<h1>Not protected</h1>"), "{page}");
    assert!(page.contains("fail2ban is being restarted, "), "{page}");
}

#[test]
fn the_page_of_a_further_instance_names_it_and_what_to_type_to_it() {
    let mut status = degraded();
    status["instance"] = json!("second");
    status["pause"] = json!({ "why": "root", "until": null });
    let finding = status["findings"][0].clone();
    status["findings"] = json!(vec![finding; 11]);
    let mut past = past();
    past.incidents = past.incidents.iter().cycle().take(11).cloned().collect();
    let stage = Stage::new(&status, past);
    let page = must_be(&stage.curl("/", &[]), 200);
    for there in [
        " (second)</title>",
        " (second)</strong>",
        "<code>jailwarden --instance second resume</code>",
        "<code>jailwarden --instance second check</code>",
        "<code>jailwarden --instance second incidents</code>",
    ] {
        assert!(page.contains(there), "no {there} in {page}");
    }
    let refused = must_be(&stage.curl("/", &["-X", "POST"]), 403);
    assert!(
        refused.contains("jailwarden --instance second restart"),
        "{refused}"
    );
    stage.falls_silent();
    let silent = wait_until(GUARD, || {
        let page = text(&stage.curl("/", &[]));
        page.starts_with("HTTP/1.1 503").then_some(page)
    });
    let silent = silent.unwrap();
    assert!(
        silent.contains(" (second)</title>") && silent.contains("journalctl -u jailwarden@second"),
        "{silent}"
    );
}

#[test]
fn nobody_here_can_keep_others_from_it_for_long_nor_those_at_the_socket() {
    let f2b = daemon();
    let Some(f2b) = f2b else { return };
    let address = own_address();
    let warden = Warden::start(&f2b, &format!("{SETTINGS}page: {{listen: '{address}'}}\n"));
    warden.wait_for("the page is served at http://127.");
    warden.wait_for("supervision begins");
    warden.wait_calm();
    let page = must_be(&curl(address, "/", &[]), 200);
    assert!(
        page.contains("<h1>Protected</h1>") && page.contains("all 2 jails"),
        "{page}"
    );
    let caller = Caller::new(&Warden::control(&f2b));
    {
        let _idle: Vec<_> = (0..200)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        caller.get("/readyz").good(200);
        // It may be cut off before it has read that there are too many.
        let busy = wait_until(GUARD, || {
            (!text(&curl(address, "/", &[])).starts_with("HTTP/1.1 200")).then_some(())
        });
        assert!(busy.is_some());
        f2b.kill();
        warden.wait_for("fail2ban protects again");
        f2b.wait_bans(&["mail", "web"]);
    }
    let again = wait_until(GUARD, || {
        text(&curl(address, "/", &[]))
            .starts_with("HTTP/1.1 200")
            .then_some(())
    });
    assert!(again.is_some());
    let page = must_be(&curl(address, "/", &[]), 200);
    assert!(page.contains("fail2ban protects again"), "{page}");
    assert!(
        page.contains("1 incident; a jail went unprotected in 1 hour"),
        "{page}"
    );
    caller.get("/api/incidents").good(200);
}

#[test]
fn an_address_that_is_taken_is_said_and_supervision_goes_on() {
    let Some(f2b) = daemon() else { return };
    let address = own_address();
    let _theirs = TcpListener::bind(address).unwrap();
    let warden = Warden::start(&f2b, &format!("{SETTINGS}page: {{listen: '{address}'}}\n"));
    let said = warden.wait_for("the page is not served: Address already in use");
    assert!(
        said.contains("ss -ltnp") && said.contains("page.listen"),
        "{said}"
    );
    warden.wait_calm();
    Caller::new(&Warden::control(&f2b)).get("/readyz").good(200);
}
