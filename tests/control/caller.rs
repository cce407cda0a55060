//! Calls by curl, whose answers are held against the documented schemas.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::schema;
use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};

/// Whoever calls the API at a socket.
pub(crate) struct Caller {
    socket: PathBuf,
    /// What stands before `curl`.
    user: Vec<&'static str>,
}

/// What curl got.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap());

impl Caller {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            user: Vec::new(),
        }
    }

    /// The same as the user nobody. It takes root.
    pub(crate) fn nobody(socket: &Path) -> Self {
        Self {
            user: vec![
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
            ],
            ..Self::new(socket)
        }
    }

    /// curl for that path, with its other words to be added.
    pub(crate) fn curl(&self, path: &str) -> Command {
        let mut words = self.user.iter().copied().chain(["curl"]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["-sS", "--unix-socket"]);
        command.arg(&self.socket);
        command.arg(format!("http://localhost{path}"));
        command
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str) -> Answer {
        self.call("POST", path, "")
    }

    /// One call; its answer must be one that is documented.
    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut curl = self.curl(path);
        curl.args(["--max-time", "150", "-X", method]);
        curl.args(["-w", "\n%{http_code} %{content_type}"]);
        if !body.is_empty() {
            curl.args(["--data-binary", body]);
        }
        let output = curl.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{method} {path}: {complaint}");
        let (text, last) = said.rsplit_once('\n').unwrap();
        let (status, media_type) = last.split_once(' ').unwrap();
        let answer = Answer {
            status: status.parse().unwrap(),
            body: match text {
                "" => Value::Null,
                text => serde_json::from_str(text).unwrap(),
            },
        };
        answer.hold_against_document(method, path, media_type);
        answer
    }
}

impl Answer {
    /// The kind of the problem that it is.
    pub(crate) fn problem(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:jailwarden:problem:").unwrap()
    }

    /// Fails unless it has this status and this problem.
    pub(crate) fn must_be(&self, status: u16, problem: &str) {
        assert_eq!((self.status, self.problem()), (status, problem), "{self:?}");
    }

    /// Fails unless it has this status, and gives the body.
    pub(crate) fn good(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    fn hold_against_document(&self, method: &str, path: &str, media_type: &str) {
        let schema = match documented(method, path) {
            Some(operation) => {
                let mut response = &operation["responses"][self.status.to_string()];
                assert!(response.is_object(), "{method} {path}: {self:?}");
                if response["$ref"] == "#/components/responses/Problem" {
                    response = &DOCUMENT["components"]["responses"]["Problem"];
                }
                if media_type.is_empty() {
                    assert!(response["content"].is_null() && self.body.is_null());
                    return;
                }
                response["content"][media_type]["schema"].clone()
            }
            None => json!({ "$ref": "#/components/schemas/Problem" }),
        };
        assert!(schema.is_object(), "{method} {path} {media_type}: {self:?}");
        let faults = schema::faults(&DOCUMENT, &schema, &self.body);
        assert!(
            faults.is_empty(),
            "{method} {path}: {faults:?}: {:#}",
            self.body
        );
    }
}

/// What the document says of a call.
fn documented(method: &str, path: &str) -> Option<&'static Value> {
    let rest = path.strip_prefix("/api/config/jails/");
    let path = rest.map_or(path, |_| "/api/config/jails/{name}/rollback");
    DOCUMENT["paths"].get(path)?.get(method.to_lowercase())
}

/// All documented calls, as method and path.
pub(crate) fn documented_calls() -> Vec<(String, String)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let calls = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    calls.collect()
}

/// Settings under which a daemon has long to be back.
pub(crate) const SETTINGS: &str = "settle: 100ms\nprobe:\n  interval: 1s\n  timeout: 2s\n  busy_limit: 5s\n\
     restart:\n  comeback: 30s\n  stop_timeout: 20s\n";

/// A fail2ban that runs with the jails mail and web.
pub(crate) fn daemon() -> Option<Fail2ban> {
    let f2b = Fail2ban::new(Version::V102)?;
    for jail in ["mail", "web"] {
        f2b.jail(jail, &JailSpec::default());
    }
    f2b.start();
    Some(f2b)
}

/// The same with a jailwarden that protects it, and its API.
pub(crate) fn supervised() -> Option<(Fail2ban, Warden, Caller)> {
    let f2b = daemon()?;
    let warden = Warden::start(&f2b, SETTINGS);
    warden.wait_for("supervision begins");
    warden.wait_calm();
    let caller = Caller::new(&Warden::control(&f2b));
    Some((f2b, warden, caller))
}
