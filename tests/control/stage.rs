//! The page of a supervisor that the test plays.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jailwarden::control::link::{Ask, Feed, Link, Loop, pair};
use jailwarden::control::server;
use jailwarden::settings::Settings;
use jailwarden::status::{Happening, Hour, Past, Status, Timestamp};
use serde_json::{Value, json};

use crate::support::{GUARD, wait_until};

/// What is asked for, and what is true.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    truth: Arc<Mutex<Option<(Status, Past)>>>,
    feed: Feed,
    seq: u64,
    _link: Link,
}

/// A loopback address that is nobody else's: all of 127.0.0.0/8 leads here.
pub(crate) fn own_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(20_000);
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from((Ipv4Addr::new(127, a, b, c), port))
}

impl Stage {
    pub(crate) fn new(status: &Value, past: Past) -> Self {
        let address = own_address();
        let mut settings = Settings {
            instance: status["instance"].as_str().map(str::to_owned),
            ..Settings::default()
        };
        settings.control.socket = None;
        settings.page_listen = Some(address);
        let (link, Loop { mut asks, feed }) = pair();
        server::spawn(&settings, link.clone());
        let truth = Arc::new(Mutex::new(Some((parsed(status), past))));
        let told = Arc::clone(&truth);
        thread::spawn(move || {
            while let Some(ask) = asks.blocking_recv() {
                // Whoever gets nothing is told that nobody answers.
                let Some((status, past)) = told.lock().unwrap().clone() else {
                    continue;
                };
                match ask {
                    Ask::Status(asker) => drop(asker.send(status)),
                    Ask::Past(asker) => drop(asker.send(past)),
                    Ask::Metrics(asker) => drop(asker.send("# EOF\n".to_owned())),
                    Ask::Do(command, _) => panic!("{command:?} through the page"),
                }
            }
        });
        assert!(wait_until(GUARD, || TcpStream::connect(address).ok()).is_some());
        Self {
            address,
            truth,
            feed,
            seq: 0,
            _link: link,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Something else is true from now on, and is told.
    pub(crate) fn becomes(&mut self, status: &Value, text: &str) {
        let status = parsed(status);
        self.seq += 1;
        let happening = Happening {
            seq: self.seq,
            at: Timestamp::now(),
            state: status.state.clone(),
            kind: Some("daemon-down".to_owned()),
            incident: None,
            jails: Vec::new(),
            text: text.to_owned(),
        };
        let mut truth = self.truth.lock().unwrap();
        let (now, past) = truth.as_mut().unwrap();
        if status.incident.is_some() {
            past.hours.push(hour(0, 4.0, status.jails.len()));
        }
        *now = status;
        drop(truth);
        self.feed.tell(happening);
    }

    /// Nothing is answered from now on.
    pub(crate) fn falls_silent(&self) {
        *self.truth.lock().unwrap() = None;
    }

    pub(crate) fn curl(&self, path: &str, words: &[&str]) -> Output {
        curl(self.address, path, words)
    }
}

/// `curl -i`, at an address of a page.
pub(crate) fn curl(address: SocketAddr, path: &str, words: &[&str]) -> Output {
    let url = format!("http://{address}{path}");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-i", "--max-time", "60", "--path-as-is"]);
    curl.args(words).arg(url).output().unwrap()
}

fn parsed(status: &Value) -> Status {
    serde_json::from_value(status.clone()).unwrap()
}

/// Seconds from now on, or back.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let span = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    Timestamp::from(if seconds < 0 { now - span } else { now + span })
}

fn jail(name: &str, banned: u64) -> Value {
    json!({
        "name": name, "condition": "protects", "why": null, "banned": banned, "rollback": null,
        "unprotected": { "day": 0.0, "month": 0.0, "total": 0.0 },
    })
}

fn incident(began: i64, took: Option<i64>, what: &str) -> Value {
    json!({
        "id": "4f2a91bc", "began": at(began), "ended": took.map(|took| at(began + took)),
        "end": took.map(|_| "protected"), "what": what,
        "unprotected": { "mail": 9.5, "web": 12.0 }, "rolled_back": [], "given_up": 0,
    })
}

/// A host on which all is well.
pub(crate) fn healthy() -> Value {
    json!({
        "schema": 1, "version": "0.1.0", "at": at(0), "state": "healthy", "since": at(-7500),
        "text": "healthy: 4 of 4 jails protect", "protection": "full", "deadline": null,
        "daemon": {
            "pid": 812, "first_seen": at(-273_000), "ping": 0.0021, "unit": "fail2ban.service",
            "socket": "/run/fail2ban/fail2ban.sock",
        },
        "jails": [jail("mail", 3), jail("nginx-botsearch", 41), jail("sshd", 128), jail("web", 0)],
        "findings": [], "pause": null, "incident": null, "incidents": [], "started": at(-1_400_000),
    })
}

/// A jail is rolled back, and another change waits.
pub(crate) fn degraded() -> Value {
    let mut status = healthy();
    status["state"] = json!("degraded");
    status["protection"] = json!("partial");
    status["jails"][3] = json!({
        "name": "web", "condition": "rolled-back", "why": "it broke the start", "banned": null,
        "rollback": {
            "file": "/etc/fail2ban/jail.d/zzz-jailwarden-web.local", "when": "2026-11-25T17:00:00Z",
            "reason": "failregex: Unable to compile regular expression 'failed from <HOST> [': \
                       unterminated character set at position 19",
            "next_try": at(600),
        },
        "unprotected": { "day": 7380.0, "month": 18_060.0, "total": 18_060.0 },
    });
    status["findings"] = json!([{
        "jail": "mail", "file": "/etc/fail2ban/filter.d/mail.conf", "line": 2, "fatal": false,
        "words": "No failure-id group in 'fail from <HOST'",
    }]);
    status
}

/// fail2ban is gone, and is being brought back.
pub(crate) fn restarting() -> Value {
    let mut status = healthy();
    status["state"] = json!("restarting");
    status["protection"] = json!("none");
    status["since"] = json!(at(-3));
    status["deadline"] = json!(at(7));
    status["daemon"]["pid"] = Value::Null;
    status["daemon"]["ping"] = Value::Null;
    for jail in status["jails"].as_array_mut().unwrap() {
        jail["condition"] = json!("dead");
        jail["banned"] = Value::Null;
        jail["unprotected"] = json!({ "day": 4.0, "month": 4.0, "total": 4.0 });
    }
    status["incident"] = incident(
        -4,
        None,
        "fail2ban is down: its process is gone and left its socket behind",
    );
    status["incident"]["unprotected"] =
        json!({ "mail": 4.0, "nginx-botsearch": 4.0, "sshd": 4.0, "web": 4.0 });
    status
}

/// A month with some incidents.
pub(crate) fn past() -> Past {
    let incidents = [
        incident(
            -9000,
            Some(11),
            "fail2ban is down: its process was killed by SIGKILL",
        ),
        incident(
            -200_000,
            Some(754),
            "fail2ban does not answer, and uses no processor time",
        ),
        incident(-1_100_000, Some(95), "web has lost its threads"),
    ];
    Past {
        since: at(-1_900_000),
        incidents: incidents
            .map(|it| serde_json::from_value(it).unwrap())
            .into(),
        hours: vec![
            hour(-1_100_000, 95.0, 1),
            hour(-200_000, 754.0, 4),
            hour(-9000, 11.0, 4),
            hour(-5400, 2400.0, 1),
        ],
    }
}

/// The hour of the clock that this is in.
fn hour(seconds: i64, longest: f64, jails: usize) -> Hour {
    let since = at(seconds).time().duration_since(UNIX_EPOCH).unwrap();
    let since = since.as_secs();
    let began = UNIX_EPOCH + Duration::from_secs(since - since % 3600);
    Hour {
        began: Timestamp::from(began),
        longest,
        jails,
    }
}
