//! The admin's own command for alerts: each report that is loud enough, as JSON on its standard
//! input. Never in the way of the supervisor: what it cannot take is counted and left out.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::machine::report::{Kind, Priority, Report};
use crate::settings::{Alerts as Settings, Severity};
use crate::status::{Alert, SCHEMA, Timestamp};
use crate::text::safe;

use super::{notify, transient};

/// How many alerts may wait for the one that is being sent.
const QUEUE: usize = 64;
/// At most so many alerts in [`RATE_WINDOW`]: a host in trouble must not flood a phone.
const RATE: usize = 20;
const RATE_WINDOW: Duration = Duration::from_secs(600);
/// How long the command may take for one alert.
const LIMIT: Duration = Duration::from_secs(30);
/// How much longer systemd may take to run it.
const GRACE: Duration = Duration::from_secs(5);
/// What of its words goes into the journal when it fails.
const WORDS: u64 = 500;

/// The way to the command.
#[derive(Debug)]
pub(super) struct Alerts {
    /// Which instance tells them, if it is a further one of this host.
    instance: Option<String>,
    loudest: Priority,
    to_task: Option<mpsc::Sender<Alert>>,
    task: Option<JoinHandle<()>>,
    sent: VecDeque<Instant>,
    left_out: u64,
    /// The incident of which something was sent: its end is sent too.
    incident: Option<String>,
}

impl Alerts {
    /// `failed` is told why an alert could not be sent, once until one is sent again.
    pub(super) fn new(
        settings: &Settings,
        instance: Option<String>,
        failed: impl Fn(String) + Send + 'static,
    ) -> Self {
        let mut alerts = Self {
            instance,
            loudest: priority(settings.severity),
            to_task: None,
            task: None,
            sent: VecDeque::new(),
            left_out: 0,
            incident: None,
        };
        if let Some(words) = settings.command.clone() {
            let (to_task, inbox) = mpsc::channel(QUEUE);
            alerts.to_task = Some(to_task);
            alerts.task = Some(tokio::spawn(send_all(words, inbox, failed)));
        }
        alerts
    }

    /// Sends a report, if it is for people who do not read the journal.
    pub(super) fn tell(&mut self, report: &Report) {
        let Some(to_task) = &self.to_task else { return };
        let ends = match report.kind {
            Kind::AllClear => report.incident == self.incident,
            // The incident is over then, and nobody wants it otherwise.
            Kind::Standby => true,
            _ => false,
        };
        let ends = ends && self.incident.is_some();
        // That alerts cannot be sent is nothing to send.
        if report.kind == Kind::AlertNotSent || (report.kind.priority() > self.loudest && !ends) {
            return;
        }
        let now = Instant::now();
        while self
            .sent
            .front()
            .is_some_and(|at| now.duration_since(*at) > RATE_WINDOW)
        {
            self.sent.pop_front();
        }
        // The worst, and the end of what was told, are few by themselves.
        let few = ends || report.kind.priority() == Priority::Alert;
        let alert = alert(report, self.instance.clone(), self.left_out);
        if (self.sent.len() >= RATE && !few) || to_task.try_send(alert).is_err() {
            self.left_out += 1;
            return;
        }
        self.sent.push_back(now);
        self.left_out = 0;
        if ends {
            self.incident = None;
        } else if let Some(id) = &report.incident {
            self.incident = Some(id.clone());
        }
    }

    /// Gives what waits a moment to be sent.
    pub(super) async fn end(self) {
        drop(self.to_task);
        if let Some(task) = self.task {
            let _ = timeout(Duration::from_secs(2), task).await;
        }
    }
}

fn priority(severity: Severity) -> Priority {
    match severity {
        Severity::Alert => Priority::Alert,
        Severity::Critical => Priority::Critical,
        Severity::Error => Priority::Error,
        Severity::Warning => Priority::Warning,
        Severity::Notice => Priority::Notice,
        Severity::Info => Priority::Info,
    }
}

fn alert(report: &Report, instance: Option<String>, left_out: u64) -> Alert {
    Alert {
        schema: SCHEMA,
        host: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        instance,
        at: Timestamp::now(),
        severity: report.kind.priority().name().to_owned(),
        kind: report.kind.name().to_owned(),
        state: report.state.to_owned(),
        incident: report.incident.clone(),
        jails: report.jails.clone(),
        file: report.file.clone(),
        line: report.line,
        reason: report.reason.clone(),
        message: report.message.clone(),
        left_out,
    }
}

async fn send_all(words: Vec<OsString>, mut inbox: mpsc::Receiver<Alert>, failed: impl Fn(String)) {
    let mut failing = false;
    while let Some(alert) = inbox.recv().await {
        match send(&words, &alert).await {
            Ok(()) => failing = false,
            Err(why) if !std::mem::replace(&mut failing, true) => failed(why),
            Err(_) => {}
        }
    }
}

/// Has the command take one alert: in a service of its own where systemd runs jailwarden, since what a mailer
/// needs is none of our rights.
async fn send(words: &[OsString], alert: &Alert) -> Result<(), String> {
    let mut text = serde_json::to_vec(alert).map_err(|error| error.to_string())?;
    text.push(b'\n');
    let (limit, sent) = if transient::is_used() {
        let sent = timeout(LIMIT + GRACE, send_by_systemd(words, &text));
        (LIMIT + GRACE, sent.await)
    } else {
        (LIMIT, timeout(LIMIT, send_as_child(words, &text)).await)
    };
    sent.unwrap_or_else(|_| Err(format!("it took longer than {} s", limit.as_secs())))
}

async fn send_by_systemd(words: &[OsString], text: &[u8]) -> Result<(), String> {
    let failed = |error: io::Error| format!("it cannot be run: {error}");
    let (status, said) = transient::feed("an alert of jailwarden", words, text, LIMIT)
        .await
        .map_err(failed)?;
    let said = if said.is_empty() {
        format!(
            "it failed or took longer than {} s; what it said: journalctl -t {}",
            LIMIT.as_secs(),
            transient::IDENTIFIER
        )
    } else {
        said
    };
    judge(status, &said)
}

/// It is killed where this is given up.
async fn send_as_child(words: &[OsString], text: &[u8]) -> Result<(), String> {
    let (program, args) = words.split_first().ok_or("no command is given")?;
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    notify::scrub(&mut command);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // One that reads nothing may succeed all the same.
            let _ = stdin.write_all(text).await;
        }
    };
    let read = async {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = (&mut stderr).take(WORDS).read_to_end(&mut said).await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    };
    let ((), said, status) = tokio::join!(write, read, child.wait());
    judge(status.map_err(|error| error.to_string())?, &said)
}

fn judge(status: ExitStatus, said: &str) -> Result<(), String> {
    if status.success() {
        return Ok(());
    }
    let said = if said.is_empty() {
        "it said nothing"
    } else {
        said
    };
    Err(format!("{status}: {}", safe(said)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn alerts(script: &str, severity: Severity) -> (Alerts, UnboundedReceiver<String>) {
        let (to_test, failed) = unbounded_channel();
        let settings = Settings {
            command: Some(["/bin/sh", "-c", script].map(OsString::from).to_vec()),
            severity,
        };
        let tell = move |why| to_test.send(why).unwrap();
        (Alerts::new(&settings, None, tell), failed)
    }

    fn report(kind: Kind, incident: Option<&str>) -> Report {
        Report {
            kind,
            state: "healthy",
            incident: incident.map(str::to_owned),
            jails: vec!["sshd".to_owned()],
            file: None,
            line: None,
            reason: None,
            message: format!("{kind:?}"),
        }
    }

    fn kinds(file: &Path) -> Vec<String> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let alerts = text
            .lines()
            .map(|line| serde_json::from_str::<Alert>(line).unwrap());
        alerts.map(|alert| alert.kind).collect()
    }

    #[tokio::test]
    async fn only_what_is_loud_enough_is_sent_and_the_end_of_what_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("alerts");
        let script = format!("cat >> {}", file.display());
        let (mut alerts, _failed) = alerts(&script, Severity::Critical);
        for (kind, incident) in [
            (Kind::Supervising, None),
            (Kind::AllClear, Some("1")),
            (Kind::DaemonDown, Some("2")),
            (Kind::RolledBack, Some("2")),
            (Kind::Paused, None),
            (Kind::AllClear, Some("2")),
            (Kind::Standby, None),
            (Kind::DaemonDown, Some("3")),
            // Somebody stopped it: nobody waits for the end of that incident any more.
            (Kind::Standby, None),
            (Kind::AllClear, Some("3")),
        ] {
            alerts.tell(&report(kind, incident));
        }
        alerts.end().await;
        let told = ["daemon-down", "all-clear", "daemon-down", "standby"];
        assert_eq!(kinds(&file), told);
    }

    #[tokio::test]
    async fn a_flood_is_cut_off_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("alerts");
        let script = format!("cat >> {}", file.display());
        let (mut alerts, _failed) = alerts(&script, Severity::Info);
        for _ in 0..RATE + 5 {
            alerts.tell(&report(Kind::DaemonDown, None));
        }
        assert_eq!(alerts.left_out, 5);
        alerts.sent.clear();
        alerts.tell(&report(Kind::GaveUp, None));
        let task = alerts.task.take().unwrap();
        alerts.end().await;
        task.await.unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let last: Alert = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((kinds(&file).len(), last.left_out), (RATE + 1, 5));
    }

    #[tokio::test]
    async fn a_command_that_fails_is_told_of_once_until_it_works() {
        let dir = tempfile::tempdir().unwrap();
        let broken = dir.path().join("broken");
        fs::write(&broken, "").unwrap();
        let script = format!(
            "test ! -e {} || {{ echo no way >&2; exit 3; }}",
            broken.display()
        );
        let (mut alerts, mut failed) = alerts(&script, Severity::Info);
        alerts.tell(&report(Kind::DaemonDown, None));
        let why = failed.recv().await.unwrap();
        assert!(why.contains('3') && why.contains("no way"), "{why}");
        alerts.tell(&report(Kind::GaveUp, None));
        fs::remove_file(&broken).unwrap();
        alerts.end().await;
        assert_eq!(failed.recv().await, None);
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_said_to_be_so() {
        let (to_test, mut failed) = unbounded_channel();
        let settings = Settings {
            command: Some(vec!["/nowhere/at-all".into()]),
            severity: Severity::Info,
        };
        let mut alerts = Alerts::new(&settings, None, move |why| to_test.send(why).unwrap());
        alerts.tell(&report(Kind::DaemonDown, None));
        assert!(failed.recv().await.unwrap().contains("No such file"));
    }
}
