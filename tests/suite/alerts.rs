//! The commands for alerts that are shipped, each with a real alert and a real receiver.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use jailwarden::status::{Alert, SCHEMA, Timestamp};

fn alert() -> Alert {
    Alert {
        schema: SCHEMA,
        host: "web1".to_owned(),
        instance: None,
        at: Timestamp::now(),
        severity: "error".to_owned(),
        kind: "rolled-back".to_owned(),
        state: "rolling-back".to_owned(),
        incident: Some("1f0c7a2b-1".to_owned()),
        jails: vec!["sshd".to_owned(), "näme".to_owned()],
        file: None,
        line: None,
        reason: None,
        message: "sshd disabled: \"quoted\", ünlike\nothers".to_owned(),
        left_out: 2,
    }
}

/// Runs a shipped command with an alert, and gives whether it succeeded and what it said.
fn run(name: &str, args: &[&str], sendmail: Option<&Path>) -> (bool, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/alerts")
        .join(name);
    let mut command = Command::new(path);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(sendmail) = sendmail {
        command.env("SENDMAIL", sendmail);
    }
    let mut child = command.spawn().unwrap();
    let text = serde_json::to_string(&alert()).unwrap();
    writeln!(child.stdin.take().unwrap(), "{text}").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

/// A file with a secret in it, as the command's last word names it.
fn secret(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{text}").unwrap();
    file
}

/// Runs a shipped command with a file that holds its secret.
fn run_with(name: &str, args: &[&str], secret: &tempfile::NamedTempFile) -> (bool, String) {
    run(
        name,
        &[args, &[secret.path().to_str().unwrap()]].concat(),
        None,
    )
}

/// Whether that stands among the arguments of a process, for everybody to read.
fn is_shown(text: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|it| fs::read(it.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).contains(text))
}

/// A web server for one request: its address, and what it was sent.
fn receiver(status: &'static str) -> (String, thread::JoinHandle<String>) {
    receiver_that(status, |_| {})
}

/// The same, with something to be done with its address before it answers.
fn receiver_that(
    status: &'static str,
    first: impl Fn(&str) + Send + 'static,
) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let own = address.clone();
    let received = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        first(&own);
        let (mut request, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Content-Length: "));
                if body.len() >= length.unwrap().parse().unwrap() {
                    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
                    return text;
                }
            }
            let count = stream.read(&mut piece).unwrap();
            request.extend_from_slice(&piece[..count]);
        }
    });
    (address, received)
}

fn body(request: &str) -> serde_json::Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn the_webhook_gets_the_alert_as_it_is() {
    // curl waits for the answer meanwhile.
    let (address, received) = receiver_that("204 No Content", |url| assert!(!is_shown(url)));
    let file = secret(&address);
    assert_eq!(run_with("webhook", &[], &file), (true, String::new()));
    let request = received.join().unwrap();
    assert!(request.starts_with("POST /hook"), "{request}");
    let sent: Alert = serde_json::from_value(body(&request)).unwrap();
    assert_eq!(sent.message, alert().message);
}

#[test]
fn a_webhook_that_refuses_is_a_failure_with_its_words() {
    let (address, received) = receiver("500 Internal Server Error");
    let (sent, said) = run_with("webhook", &[], &secret(&address));
    assert!(!sent && said.contains("500"), "{said}");
    received.join().unwrap();
}

#[test]
fn ntfy_gets_a_title_and_a_priority() {
    let (address, received) = receiver("200 OK");
    assert_eq!(
        run_with("ntfy", &[&address], &secret("topic")),
        (true, String::new())
    );
    let sent = body(&received.join().unwrap());
    assert_eq!(sent["topic"], "topic");
    assert_eq!(sent["title"], "web1: rolled-back");
    assert_eq!(sent["message"], alert().message);
    assert_eq!(sent["priority"], 4);
}

#[test]
fn the_mail_says_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let sendmail = dir.path().join("sendmail");
    let mail = dir.path().join("mail");
    let script = format!("#!/bin/sh\necho \"$@\" > {0}\ncat >> {0}\n", mail.display());
    fs::write(&sendmail, script).unwrap();
    fs::set_permissions(&sendmail, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        run("mail", &["root@localhost"], Some(&sendmail)),
        (true, String::new())
    );
    let parser = "import email, email.policy, sys\n\
                  sys.stdin.buffer.readline()\n\
                  mail = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)\n\
                  print(mail['To'], mail['Subject'], mail.get_content(), sep='\\n')";
    let parsed = Command::new("python3")
        .args(["-c", parser])
        .stdin(fs::File::open(&mail).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(parsed.stdout).unwrap();
    assert!(fs::read_to_string(&mail).unwrap().starts_with("-oi -t\n"));
    assert!(
        text.starts_with("root@localhost\n[web1] rolled-back: sshd, näme\n"),
        "{text}"
    );
    assert!(text.contains(&alert().message), "{text}");
    assert!(text.contains("left out before this one: 2"), "{text}");
}

#[test]
fn the_documentation_shows_every_key() {
    let docs: PathBuf = [env!("CARGO_MANIFEST_DIR"), "docs/alerts.md"]
        .iter()
        .collect();
    let docs = fs::read_to_string(docs).unwrap();
    let serde_json::Value::Object(alert) = serde_json::to_value(alert()).unwrap() else {
        panic!("an alert is an object")
    };
    for key in alert.keys() {
        assert!(
            docs.contains(&format!("`{key}`")),
            "{key} is not in docs/alerts.md"
        );
    }
}
