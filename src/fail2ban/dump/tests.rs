//! Real faults in scratch copies of a stock config, read and started by each fail2ban that is here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Blocking;
use std::time::Duration;

use super::super::finding::FindingKind::{self, *};
use super::*;

/// A guard against a hang; no run comes near it.
const LIMIT: Duration = Duration::from_secs(120);

/// The fail2ban that is installed, and the unpacked packages of other versions whose folders are in
/// `JAILWARDEN_TEST_FAIL2BANS`, separated by colons.
fn versions() -> Vec<Option<PathBuf>> {
    let others = std::env::var_os("JAILWARDEN_TEST_FAIL2BANS").unwrap_or_default();
    let others = std::env::split_paths(&others).filter(|path| !path.as_os_str().is_empty());
    std::iter::once(None).chain(others.map(Some)).collect()
}

/// A copy of a stock config with a jail `sshd` that works, a log file, and a place for a daemon.
struct Scratch {
    home: tempfile::TempDir,
    instance: Instance,
}

impl Scratch {
    fn new(unpacked: Option<&Path>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let path = |name| home.path().join(name);
        let stock = unpacked.unwrap_or(Path::new("/")).join("etc/fail2ban");
        let copied = Blocking::new("cp")
            .arg("-r")
            .arg(stock)
            .arg(path("etc"))
            .status();
        assert!(copied.expect("cp runs").success());
        let client = match unpacked {
            None => vec!["fail2ban-client".to_owned()],
            Some(root) => vec![
                "env".to_owned(),
                format!(
                    "PYTHONPATH={}/usr/lib/python3/dist-packages",
                    root.display()
                ),
                "/usr/bin/python3".to_owned(),
                format!("{}/usr/bin/fail2ban-client", root.display()),
            ],
        };
        let instance = Instance {
            client: client.into_iter().map(Into::into).collect(),
            config_dir: path("etc"),
            socket: path("sock"),
            pid_file: path("pid"),
        };
        let scratch = Self { home, instance };
        scratch.jail("sshd", &[]);
        fs::rename(
            scratch.etc("jail.d/sshd.conf"),
            scratch.etc("jail.d/defaults-debian.conf"),
        )
        .expect("renamed");
        fs::create_dir_all(scratch.etc("fail2ban.d")).expect("made");
        scratch.write("fail2ban.d/test.conf", "[Definition]\ndbfile = :memory:\n");
        scratch.write("../log", "");
        scratch
    }

    fn etc(&self, name: &str) -> PathBuf {
        self.instance.config_dir.join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.etc(name), text).expect("written");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.etc(name)).expect("removed");
    }

    /// Writes `jail.d/NAME.conf`, a jail that works but for what `options` change.
    fn jail(&self, name: &str, options: &[(&str, &str)]) {
        let log = self.home.path().join("log");
        let log = log.display().to_string();
        let usual = [
            ("enabled", "true"),
            ("backend", "polling"),
            ("logpath", &*log),
            ("filter", "sshd"),
            ("action", ""),
        ];
        let kept = usual
            .iter()
            .filter(|(key, _)| options.iter().all(|(other, _)| other != key));
        let lines = kept
            .chain(options)
            .map(|(key, value)| format!("{key} = {value}"));
        let lines = lines.collect::<Vec<_>>().join("\n");
        self.write(
            &format!("jail.d/{name}.conf"),
            format!("[{name}]\n{lines}\n"),
        );
    }

    fn client(&self, args: &[&str]) -> std::process::Output {
        let words = self.instance.client_command(args.iter().copied());
        Blocking::new(&words[0])
            .args(&words[1..])
            .output()
            .expect("the client runs")
    }

    fn version(&self) -> String {
        String::from_utf8(self.client(&["-V"]).stdout)
            .expect("UTF-8")
            .trim()
            .to_owned()
    }

    /// Whether a real daemon starts with this config, whole.
    fn starts(&self) -> bool {
        let target = self.home.path().join("daemon.log").display().to_string();
        let target = [
            "--logtarget",
            &target,
            "--loglevel",
            "INFO",
            "--syslogsocket",
            "auto",
        ];
        self.client(&[&target[..], &["start"]].concat())
            .status
            .success()
    }
}

impl Drop for Scratch {
    /// Ends the daemon, if there is one, with the quickest signal: it holds nothing of worth.
    fn drop(&mut self) {
        let Ok(pid) = fs::read_to_string(&self.instance.pid_file) else {
            return;
        };
        if let Some(pid) = pid
            .trim()
            .parse()
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
}

type Place = (
    FindingKind,
    Option<&'static str>,
    Option<&'static str>,
    Option<u32>,
);

/// A fault, and what is to be found: kind, jail, file, line.
struct Case {
    name: &'static str,
    fault: fn(&Scratch),
    found: &'static [Place],
}

/// `tests/faults` has the rest.
const CASES: &[Case] = &[
    Case {
        name: "nothing but faulty jails",
        fault: |s| {
            s.remove("jail.d/defaults-debian.conf");
            s.jail("web", &[("filter", "nope")]);
        },
        found: &[(JailSkipped, Some("web"), Some("filter.d/nope.conf"), None)],
    },
    Case {
        name: "numbers that are none",
        fault: |s| s.jail("web", &[("maxretry", "abc"), ("maxmatches", "5x")]),
        found: &[
            (BadNumber, Some("web"), None, None),
            (BadNumber, Some("web"), None, None),
        ],
    },
    Case {
        name: "a main file that is not UTF-8",
        fault: |s| s.write("fail2ban.local", b"[Definition]\nloglevel = \xff\n"),
        found: &[(FileIgnored, None, Some("fail2ban.local"), None)],
    },
    Case {
        name: "no folder",
        fault: |s| fs::remove_dir_all(s.etc("")).expect("removed"),
        found: &[(Unreadable, None, None, None)],
    },
];

/// What each fault gives, and whether that says truly if a daemon would start.
#[tokio::test]
async fn faults_are_found_and_judged_as_the_daemon_judges_them() {
    for version in versions() {
        for case in CASES {
            let scratch = Scratch::new(version.as_deref());
            (case.fault)(&scratch);
            let name = format!("{} with {}", case.name, scratch.version());
            let (findings, refused) = match dump(&scratch.instance, LIMIT).await {
                Ok(dump) => (dump.findings, false),
                Err(DumpError::Unreadable { findings }) => (findings, true),
                Err(other) => panic!("{name}: {other}"),
            };
            // 1.1.1 refuses what earlier versions leave out.
            let stricter = refused.then_some(Unreadable);
            let expected = case.found.iter().map(|(kind, jail, file, line)| {
                let kind = if *kind == FileIgnored {
                    stricter.unwrap_or(*kind)
                } else {
                    *kind
                };
                (
                    kind,
                    jail.map(str::to_owned),
                    file.map(|file| scratch.etc(file)),
                    *line,
                )
            });
            let found = findings.iter().cloned();
            let found: Vec<_> = found.map(|f| (f.kind, f.jail, f.file, f.line)).collect();
            assert_eq!(found, expected.collect::<Vec<_>>(), "{name}: {findings:#?}");
            let fails = refused || findings.iter().any(|f| f.kind.stops_start());
            assert_eq!(scratch.starts(), !fails, "{name}: {findings:#?}");
        }
    }
}

/// A stock host: nothing but the log file that a fresh Debian lacks.
#[tokio::test]
async fn a_stock_config_gives_no_false_alarm() {
    for version in versions() {
        let scratch = Scratch::new(version.as_deref());
        scratch.write("jail.d/defaults-debian.conf", "[sshd]\nenabled = true\n");
        let dump = dump(&scratch.instance, LIMIT).await.expect("a dump");
        let kinds = dump.findings.iter().map(|f| (f.kind, f.jail.as_deref()));
        let others: Vec<_> = kinds
            .filter(|found| *found != (NoLogFile, Some("sshd")))
            .collect();
        assert_eq!(others, [], "{}", scratch.version());
        assert_eq!(dump.stream.started().collect::<Vec<_>>(), ["sshd"]);
    }
}

fn found(stderr: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    messages::complete(&mut findings, stderr);
    findings
}

#[test]
fn the_patterns_without_a_file_are_told_with_the_jail_that_lacks_them() {
    let head = "2026-11-23 14:29:58,660 fail2ban.jailreader     [13882]:";
    let stderr = format!(
        "{head} NOTICE  No file(s) found for glob /var/log/a*.log\n\
         {head} NOTICE  No file(s) found for glob /var/log/auth.log\n\
         {head} WARNING Have not found any log file for sshd jail\n"
    );
    let dump = read(ExitStatus::default(), "", &stderr).expect("a dump");
    assert_eq!(dump.missing_logs, ["/var/log/a*.log", "/var/log/auth.log"]);
    let words = "Have not found any log file for sshd jail: /var/log/auth.log";
    assert_eq!(dump.findings[0].words, words);
}

/// 1.1.1 switches such a jail to the journal instead.
#[test]
fn a_missing_log_file_that_does_no_harm_is_no_finding() {
    let head = "2026-11-23 13:31:30,113 fail2ban.jailreader     [8853]: WARNING Have not found any log file for";
    assert_eq!(
        found(&format!(
            "{head} 'sshd' jail. Jail will monitor systemd journal.\n"
        )),
        []
    );
    assert_eq!(
        found(&format!("{head} 'sshd' jail.\n"))[0].jail.as_deref(),
        Some("sshd")
    );
    assert_eq!(
        found(&format!("{head} it's one jail\n"))[0].jail.as_deref(),
        Some("it's one")
    );
}

/// With `skip_if_nologs` (1.1.1) the stream says that the jail is skipped, and the rest starts.
#[test]
fn a_jail_skipped_for_want_of_a_log_file_is_found_once() {
    let stdout = "['config-error', \"Jail 'web' skipped, because of missing log files.\"]\n";
    let stderr = "2026-11-23 13:34:35,525 fail2ban.jailreader     [11147]: WARNING Have not found any log file for 'web' jail.\n\
        2026-11-23 13:34:35,525 fail2ban.jailreader     [11147]: WARNING Jail 'web' skipped, because of missing log files.\n";
    let dump = read(ExitStatus::default(), stdout, stderr).expect("a dump");
    let kinds: Vec<_> = dump.findings.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [LogAwaited]);
}

fn shell(script: &str) -> Instance {
    Instance {
        client: vec!["sh".into(), "-c".into(), script.into()],
        config_dir: "/nonexistent".into(),
        socket: "/nonexistent/sock".into(),
        pid_file: "/nonexistent/pid".into(),
    }
}

#[tokio::test]
async fn a_client_that_is_not_there_is_said_so() {
    let mut instance = shell("");
    instance.client = vec!["/nonexistent/fail2ban-client".into()];
    let error = dump(&instance, LIMIT).await.expect_err("it cannot run");
    assert!(matches!(error, DumpError::CannotRun { .. }), "{error}");
    assert!(
        error.to_string().contains("/nonexistent/fail2ban-client"),
        "{error}"
    );
    instance.client.clear();
    assert!(matches!(
        dump(&instance, LIMIT).await,
        Err(DumpError::NoProgram)
    ));
}

#[tokio::test]
async fn a_client_that_hangs_ends_at_the_limit() {
    let limit = Duration::from_millis(200);
    let error = dump(&shell("exec sleep 600"), limit)
        .await
        .expect_err("it hangs");
    assert!(
        matches!(error, DumpError::TimedOut { after, .. } if after == limit),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_that_is_given_up_is_killed() {
    let home = tempfile::tempdir().expect("a folder");
    let pid_file = home.path().join("pid");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600",
        pid_file.display()
    );
    let pid = async {
        loop {
            match fs::read_to_string(&pid_file) {
                Ok(pid) => break pid,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let instance = shell(&script);
    let pid = tokio::select! {
        ended = dump(&instance, LIMIT) => panic!("it ended: {ended:?}"),
        pid = pid => pid,
    };
    let command = || fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
    let gone = async {
        while !command().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone)
        .await
        .expect("it is killed");
}

#[tokio::test]
async fn a_client_that_prints_for_ever_is_killed() {
    for script in ["yes", "yes >&2"] {
        let error = dump(&shell(script), LIMIT)
            .await
            .expect_err("it never ends");
        assert!(matches!(error, DumpError::TooMuch { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_client_that_dies_of_something_else_gives_its_last_words() {
    let script = "echo 'ModuleNotFoundError: No module named fail2ban' >&2; exit 1";
    let error = dump(&shell(script), LIMIT).await.expect_err("it fails");
    assert!(
        error.to_string().ends_with("No module named fail2ban"),
        "{error}"
    );
    let error = dump(&shell("echo hello"), LIMIT)
        .await
        .expect_err("no commands");
    assert!(matches!(error, DumpError::Stream(_)), "{error}");
}

#[tokio::test]
async fn a_client_prints_utf_8_whatever_our_locale() {
    let script = r#"echo "['add', '$LC_ALL', '$PYTHONIOENCODING']""#;
    let dump = dump(&shell(script), LIMIT).await.expect("a dump");
    assert_eq!(
        dump.stream.jails[0].text,
        "['add', 'C.UTF-8', 'utf-8:backslashreplace']\n"
    );
}
