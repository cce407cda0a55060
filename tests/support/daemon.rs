//! A private, real fail2ban in a folder of its own, and a jailwarden that watches it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{GUARD, skip, wait_until};

/// The fail2ban releases that jailwarden is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Debian 12's, installed.
    V102,
    /// Debian 13's, unpacked below `target/fail2ban/1.1.0`.
    V110,
    /// Debian sid's, unpacked below `target/fail2ban/1.1.1`.
    V111,
}

impl Version {
    fn root(self) -> PathBuf {
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fail2ban");
        match self {
            Self::V102 => "/".into(),
            Self::V110 => unpacked.join("1.1.0"),
            Self::V111 => unpacked.join("1.1.1"),
        }
    }

    /// The words that run this version's client, without options.
    fn client(self) -> Vec<String> {
        let root = self.root();
        let program = root.join("usr/bin/fail2ban-client").display().to_string();
        if self == Self::V102 {
            return vec![program];
        }
        let modules = root.join("usr/lib/python3/dist-packages");
        let path = format!("PYTHONPATH={}", modules.display());
        vec!["env".into(), path, "/usr/bin/python3".into(), program]
    }
}

/// What is particular to one jail.
#[derive(Debug, Clone)]
pub(crate) struct JailSpec<'a> {
    /// The filter's expression.
    pub(crate) failregex: &'a str,
    /// Further lines of the jail's section.
    pub(crate) extra: &'a str,
    /// Whether the log file is made.
    pub(crate) with_log: bool,
}

impl Default for JailSpec<'_> {
    fn default() -> Self {
        Self {
            failregex: "fail from <HOST>",
            extra: "",
            with_log: true,
        }
    }
}

/// A private fail2ban. Everything of it is killed and removed when this is dropped.
pub(crate) struct Fail2ban {
    version: Version,
    folder: TempDir,
    next_ip: AtomicU8,
}

impl Fail2ban {
    /// Lays out a fail2ban without jails, and does not start it. `None` if this machine does not
    /// have the version.
    pub(crate) fn new(version: Version) -> Option<Self> {
        let root = version.root();
        if !root.join("usr/bin/fail2ban-client").is_file() {
            skip(&format!(
                "fail2ban {version:?} is not in {}",
                root.display()
            ));
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("jw-f2b-")
            .tempdir()
            .unwrap();
        let f2b = Self {
            version,
            folder,
            next_ip: AtomicU8::new(1),
        };
        let copied = Command::new("cp")
            .arg("-r")
            .arg(root.join("etc/fail2ban"))
            .arg(f2b.config())
            .status()
            .unwrap();
        assert!(copied.success());
        for own in fs::read_dir(f2b.config().join("jail.d")).unwrap() {
            fs::remove_file(own.unwrap().path()).unwrap();
        }
        let settings = format!(
            "[Definition]\nloglevel = INFO\nlogtarget = {}\nsocket = {}\npidfile = {}\ndbfile = {}\n",
            f2b.log().display(),
            f2b.socket().display(),
            f2b.pid_file().display(),
            f2b.path("fail2ban.sqlite3").display(),
        );
        f2b.write("fail2ban.local", &settings);
        let mark = format!(
            "[Definition]\nactionban = echo \"<name> <ip>\" >>{}\nactionunban =\n",
            f2b.path("marks").display()
        );
        f2b.write("action.d/mark.conf", &mark);
        Some(f2b)
    }

    /// A file or folder beside the config.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The config folder, `-c` of the client.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("etc")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("f2b.sock")
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.path("f2b.pid")
    }

    /// fail2ban's own log.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("f2b.log")
    }

    /// The log that a jail reads.
    pub(crate) fn jail_log(&self, jail: &str) -> PathBuf {
        self.path(&format!("{jail}.log"))
    }

    /// Writes a file of the config folder.
    pub(crate) fn write(&self, file: &str, content: &str) {
        fs::write(self.config().join(file), content).unwrap();
    }

    /// Writes a jail, its filter and its log, which bans after three lines of [`Self::offend`].
    pub(crate) fn jail(&self, name: &str, spec: &JailSpec) {
        let log = self.jail_log(name);
        if spec.with_log {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&log)
                .unwrap();
        }
        let filter = format!(
            "[Definition]\nfailregex = {}\ndatepattern = {{^LN-BEG}}EPOCH\n",
            spec.failregex
        );
        self.write(&format!("filter.d/{name}.conf"), &filter);
        let jail = format!(
            "[{name}]\nenabled = true\nfilter = {name}\nbackend = polling\nlogpath = {}\n\
             maxretry = 3\nbantime = 600\nusedns = no\naction = mark[name=\"{name}\"]\n{}\n",
            log.display(),
            spec.extra
        );
        self.write(&format!("jail.d/{name}.conf"), &jail);
    }

    /// The words that run this fail2ban's client on this config.
    pub(crate) fn client_words(&self) -> Vec<String> {
        let mut words = self.version.client();
        words.extend(["-c".into(), self.config().display().to_string()]);
        words
    }

    /// Runs the client with further words.
    pub(crate) fn client(&self, words: &[&str]) -> Output {
        let own = self.client_words();
        Command::new(&own[0])
            .args(&own[1..])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Starts the daemon, and does not care whether it comes up.
    pub(crate) fn try_start(&self) -> Output {
        self.client(&["-x", "start"])
    }

    /// Starts the daemon, which must come up.
    pub(crate) fn start(&self) {
        let started = self.try_start();
        assert!(
            started.status.success(),
            "start: {started:?}\n{}",
            self.log_text()
        );
    }

    /// Stops the daemon as an admin does.
    pub(crate) fn stop(&self) {
        let stopped = self.client(&["stop"]);
        assert!(stopped.status.success(), "stop: {stopped:?}");
    }

    /// The running daemon's number, as its pid file says, which is true for a daemon of our own.
    pub(crate) fn pid(&self) -> Pid {
        let pid = wait_until(GUARD, || {
            fs::read_to_string(self.pid_file())
                .ok()?
                .trim()
                .parse()
                .ok()
        });
        Pid::from_raw(pid.expect("a pid file with a number")).unwrap()
    }

    pub(crate) fn kill(&self) {
        kill_process(self.pid(), Signal::KILL).unwrap();
    }

    /// Makes it hang.
    pub(crate) fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    pub(crate) fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// What `status` prints.
    pub(crate) fn status(&self) -> String {
        String::from_utf8_lossy(&self.client(&["status"]).stdout).into_owned()
    }

    /// An address that this fail2ban has not met.
    pub(crate) fn fresh_ip(&self) -> String {
        format!(
            "198.51.100.{}",
            self.next_ip.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Writes as many failing lines into a jail's log as lead to a ban.
    pub(crate) fn offend(&self, jail: &str, ip: &str) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let lines = format!("{now} fail from {ip}\n").repeat(3);
        let mut log = OpenOptions::new()
            .append(true)
            .open(self.jail_log(jail))
            .unwrap();
        log.write_all(lines.as_bytes()).unwrap();
    }

    /// The truth about a jail: whether failing lines lead to the action, within `limit`.
    pub(crate) fn bans_within(&self, limit: Duration, jail: &str) -> bool {
        let ip = self.fresh_ip();
        let mark = format!("{jail} {ip}");
        self.offend(jail, &ip);
        wait_until(limit, || {
            let marks = fs::read_to_string(self.path("marks")).ok()?;
            marks.lines().any(|line| line == mark).then_some(())
        })
        .is_some()
    }

    /// Waits until failing lines lead to a ban, as they must.
    pub(crate) fn wait_ban(&self, jail: &str) {
        assert!(
            self.bans_within(GUARD, jail),
            "{jail} does not ban:\n{}",
            self.log_text()
        );
    }

    /// fail2ban's own log, for the message of a failed test.
    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

impl Drop for Fail2ban {
    fn drop(&mut self) {
        kill_all_of(self.folder.path());
    }
}

/// Kills every process whose command line names the folder: the daemon, whoever started it, and
/// clients that wait for it.
fn kill_all_of(folder: &Path) {
    let folder = folder.as_os_str().as_bytes();
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        Some((name.to_str()?.parse().ok().and_then(Pid::from_raw)?, name))
    });
    for (pid, name) in numbers {
        let line = fs::read(Path::new("/proc").join(name).join("cmdline")).unwrap_or_default();
        if line.windows(folder.len()).any(|part| part == folder) {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A running `jailwarden run` that watches one private fail2ban.
pub(crate) struct Warden {
    child: Child,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    ended: bool,
}

impl Warden {
    /// Starts jailwarden on this fail2ban; `extra` is added to the settings.
    pub(crate) fn start(f2b: &Fail2ban, extra: &str) -> Self {
        let settings = f2b.path("jailwarden.yaml");
        fs::write(&settings, Self::settings(f2b, extra)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_jailwarden"))
            .args([
                OsStr::new("run"),
                OsStr::new("--config"),
                settings.as_os_str(),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let to = Arc::clone(&heard);
        let listener = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                to.0.lock().unwrap().lines.push(line);
                to.1.notify_all();
            }
            to.0.lock().unwrap().ended = true;
            to.1.notify_all();
        });
        Self {
            child,
            heard,
            listener: Some(listener),
        }
    }

    fn settings(f2b: &Fail2ban, extra: &str) -> String {
        let words = |words: &[String]| format!("[\"{}\"]", words.join("\", \""));
        let mut start = f2b.client_words();
        start.extend(["-x".into(), "start".into()]);
        let mut yaml = String::new();
        for (key, value) in [
            ("config_dir", f2b.config().display().to_string()),
            ("state_dir", f2b.path("state").display().to_string()),
            ("daemon", String::new()),
            ("  unit", "none".into()),
            ("  socket", f2b.socket().display().to_string()),
            ("  pid_file", f2b.pid_file().display().to_string()),
            ("  client", words(&f2b.version.client())),
            ("  start_command", words(&start)),
        ] {
            writeln!(yaml, "{key}: {value}").unwrap();
        }
        yaml + extra
    }

    /// Waits for a line on standard error that holds `text`, and returns it.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let (heard, news) = &*self.heard;
        let is_there = |heard: &Heard| heard.lines.iter().any(|line| line.contains(text));
        let (heard, _) = news
            .wait_timeout_while(heard.lock().unwrap(), GUARD, |heard| {
                !is_there(heard) && !heard.ended
            })
            .unwrap();
        let found = heard.lines.iter().find(|line| line.contains(text));
        found
            .cloned()
            .unwrap_or_else(|| panic!("no {text:?} in\n{}", heard.lines.join("\n")))
    }

    /// All that was said so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().lines.clone()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it as systemd does, and returns its exit status: minus the signal if one killed it.
    pub(crate) fn end(&mut self) -> i32 {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(Signal::TERM);
        }
        let status = wait_until(GUARD, || self.child.try_wait().unwrap());
        let status = status.expect("it ends on SIGTERM");
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
        status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or_default())
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if wait_until(Duration::from_secs(10), || {
            self.child.try_wait().ok().flatten()
        })
        .is_none()
        {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
