//! A private, real fail2ban in a folder of its own, and a jailwarden that watches it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use jailwarden::fail2ban::Instance;
use jailwarden::fail2ban::folder::{Limits, Snapshot};
use jailwarden::history::Store;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{GUARD, skip, wait_until};

/// The fail2ban releases that jailwarden is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// Debian 12's, installed.
    V102,
    /// Debian 13's, unpacked below `target/fail2ban/1.1.0`.
    V110,
    /// Debian sid's, unpacked below `target/fail2ban/1.1.1`.
    V111,
}

impl Version {
    pub(crate) const ALL: [Self; 3] = [Self::V102, Self::V110, Self::V111];

    /// As fail2ban writes it.
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::V102 => "1.0.2",
            Self::V110 => "1.1.0",
            Self::V111 => "1.1.1",
        }
    }

    /// The root that it is installed below.
    pub(crate) fn root(self) -> PathBuf {
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
    hides_modules: bool,
    is_nobodys: bool,
    wrapper: Option<PathBuf>,
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
            hides_modules: false,
            is_nobodys: false,
            wrapper: None,
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

    /// The folder by which jailwarden is told when to kill itself (`src/shell/failpoint.rs`).
    pub(crate) fn failpoints(&self) -> PathBuf {
        self.path("failpoints")
    }

    /// How many servers run of it.
    pub(crate) fn servers(&self) -> usize {
        let name = |pid: &Pid| fs::read(format!("/proc/{}/comm", pid.as_raw_pid()));
        let is_server =
            |pid: &Pid| name(pid).is_ok_and(|name| name.starts_with(b"fail2ban-server"));
        let all = processes_of(self.folder.path());
        all.iter().filter(|pid| is_server(pid)).count()
    }

    /// The log that a jail reads.
    pub(crate) fn jail_log(&self, jail: &str) -> PathBuf {
        self.path(&format!("{jail}.log"))
    }

    /// Writes a file of the config folder.
    pub(crate) fn write(&self, file: &str, content: &str) {
        fs::write(self.config().join(file), content).unwrap();
    }

    /// Replaces `from`, which must be in the file, in a file of the config folder.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let old = fs::read_to_string(self.config().join(file)).unwrap();
        assert!(old.contains(from), "no {from:?} in {file}: {old}");
        self.write(file, &old.replace(from, to));
    }

    /// Lays the state of a jailwarden down that has kept the config as it is now as the last good one.
    pub(crate) fn keep_as_good(&self) {
        let fingerprint = Snapshot::take(&self.config(), Limits::default()).fingerprint();
        let state = self.path("state");
        fs::create_dir_all(&state).unwrap();
        Store::open(&state, "jailwarden")
            .keep(&self.config(), fingerprint, "", SystemTime::now())
            .unwrap();
        let text = format!("{{\"version\":1,\"memory\":{{\"good\":{fingerprint}}}}}");
        fs::write(state.join("state.json"), text).unwrap();
    }

    /// Where jailwarden's rollback of a jail stands, if it does.
    pub(crate) fn rollback(&self, jail: &str) -> PathBuf {
        self.config()
            .join(format!("jail.d/zzz-jailwarden-{jail}.local"))
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

    /// From now on its Python has no such module.
    pub(crate) fn hide_module(&mut self, name: &str) {
        let hidden = self.path("hidden");
        fs::create_dir_all(&hidden).unwrap();
        fs::write(hidden.join(format!("{name}.py")), "raise ImportError\n").unwrap();
        self.hides_modules = true;
    }

    /// From now on jailwarden is given a program of this name as the client, which runs a script of `sh` first.
    pub(crate) fn wrap_client(&mut self, name: &str, first: &str) {
        let wrapper = self.path(name);
        let client = self.version.client().join(" ");
        fs::write(
            &wrapper,
            format!("#!/bin/sh\n{first}\nexec {client} \"$@\"\n"),
        )
        .unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        self.wrapper = Some(wrapper);
    }

    /// From now on all of it belongs to, and is run by, the user nobody. It takes root.
    pub(crate) fn give_to_nobody(&mut self) {
        let folder = self.folder.path();
        let given = Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(folder)
            .status();
        assert!(given.unwrap().success());
        self.is_nobodys = true;
    }

    /// What stands before a command that is run as the user who runs fail2ban.
    pub(crate) fn user_words(&self) -> Vec<String> {
        let words = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        let words = words.into_iter().filter(|_| self.is_nobodys);
        words.map(str::to_owned).collect()
    }

    /// The words that run this fail2ban's client on this config.
    pub(crate) fn client_words(&self) -> Vec<String> {
        let mut words = self.version.client();
        if self.hides_modules {
            let root = self.version.root();
            let modules = root.join("usr/lib/python3/dist-packages");
            let hidden = self.path("hidden");
            let path = format!("PYTHONPATH={}:{}", hidden.display(), modules.display());
            let program = root.join("usr/bin/fail2ban-client").display().to_string();
            words = vec!["env".into(), path, "/usr/bin/python3".into(), program];
        }
        words.extend(["-c".into(), self.config().display().to_string()]);
        words
    }

    /// What jailwarden's library needs to know of this fail2ban.
    pub(crate) fn instance(&self) -> Instance {
        Instance {
            client: self.version.client().into_iter().map(Into::into).collect(),
            config_dir: self.config(),
            socket: self.socket(),
            pid_file: self.pid_file(),
        }
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

    /// Ends all that runs of it with the quickest signal, and removes what it kept.
    pub(crate) fn wipe(&self) {
        let folder = self.folder.path();
        let ended = wait_until(GUARD, || {
            kill_all_of(folder);
            processes_of(folder).is_empty().then_some(())
        });
        assert!(ended.is_some(), "something of {} goes on", folder.display());
        for left in ["fail2ban.sqlite3", "f2b.sock", "f2b.pid", "marks"] {
            let _ = fs::remove_file(self.path(left));
        }
    }

    /// The names of all threads of all processes that run of it.
    pub(crate) fn thread_names(&self) -> Vec<Vec<u8>> {
        let tasks = processes_of(self.folder.path())
            .into_iter()
            .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        let names = tasks
            .flatten()
            .filter_map(|task| fs::read(task.ok()?.path().join("comm")).ok());
        names.map(|name| name.trim_ascii_end().to_owned()).collect()
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

    /// Writes `count` lines into a jail's log, each with the time before `text`.
    pub(crate) fn log_lines(&self, jail: &str, text: &str, count: usize) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let lines = format!("{now} {text}\n").repeat(count);
        let mut log = OpenOptions::new()
            .append(true)
            .open(self.jail_log(jail))
            .unwrap();
        log.write_all(lines.as_bytes()).unwrap();
    }

    /// Writes as many failing lines into a jail's log as lead to a ban.
    pub(crate) fn offend(&self, jail: &str, ip: &str) {
        self.log_lines(jail, &format!("fail from {ip}"), 3);
    }

    /// Whether the action of a jail is run for an address within `limit`.
    pub(crate) fn is_banned_within(&self, limit: Duration, jail: &str, ip: &str) -> bool {
        let mark = format!("{jail} {ip}");
        wait_until(limit, || {
            let marks = fs::read_to_string(self.path("marks")).ok()?;
            marks.lines().any(|line| line == mark).then_some(())
        })
        .is_some()
    }

    /// The truth about a jail: whether failing lines lead to the action, within `limit`.
    pub(crate) fn bans_within(&self, limit: Duration, jail: &str) -> bool {
        let ip = self.fresh_ip();
        self.offend(jail, &ip);
        self.is_banned_within(limit, jail, &ip)
    }

    /// Waits until failing lines lead to a ban, as they must.
    pub(crate) fn wait_ban(&self, jail: &str) {
        assert!(
            self.bans_within(GUARD, jail),
            "{jail} does not ban:\n{}",
            self.log_text()
        );
    }

    /// The truth about several jails at once: failing lines lead to a ban in each.
    pub(crate) fn wait_bans(&self, jails: &[&str]) {
        let ips: Vec<_> = jails.iter().map(|_| self.fresh_ip()).collect();
        for (jail, ip) in jails.iter().zip(&ips) {
            self.offend(jail, ip);
        }
        for (jail, ip) in jails.iter().zip(&ips) {
            assert!(
                self.is_banned_within(GUARD, jail, ip),
                "{jail} does not ban:\n{}",
                self.log_text()
            );
        }
    }

    /// The threads of a jail in the running daemon, by name and number: those of a jail that was
    /// not touched are the same as before.
    pub(crate) fn threads(&self, jail: &str) -> BTreeSet<(String, String)> {
        let tasks = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        let named = fs::read_dir(tasks).unwrap().filter_map(|task| {
            let task = task.ok()?;
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            let number = task.file_name().to_str()?.to_owned();
            Some((name.trim().to_owned(), number))
        });
        let wanted = [format!("f2b/f.{jail}"), format!("f2b/a.{jail}")];
        named.filter(|(name, _)| wanted.contains(name)).collect()
    }

    /// Whether any process that runs of it has a thread of this jail.
    pub(crate) fn threads_of_any(&self, jail: &str) -> bool {
        let name = format!("f2b/f.{jail}");
        self.thread_names().iter().any(|it| it == name.as_bytes())
    }

    /// How many lines of fail2ban's own log hold `text`.
    pub(crate) fn logged(&self, text: &str) -> usize {
        let log = self.log_text();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until `count` lines of fail2ban's own log hold `text`.
    pub(crate) fn wait_logged(&self, text: &str, count: usize) {
        wait_until(GUARD, || (self.logged(text) >= count).then_some(()))
            .unwrap_or_else(|| panic!("{text:?} is not {count} times in\n{}", self.log_text()));
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

/// Kills every process of a folder: the daemon, whoever started it, and clients that wait for it.
fn kill_all_of(folder: &Path) {
    for pid in processes_of(folder) {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Every process whose command line names the folder.
fn processes_of(folder: &Path) -> Vec<Pid> {
    let folder = folder.as_os_str().as_bytes();
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        Some((name.to_str()?.parse().ok().and_then(Pid::from_raw)?, name))
    });
    let is_of = |name: &OsStr| {
        let line = fs::read(Path::new("/proc").join(name).join("cmdline")).unwrap_or_default();
        line.windows(folder.len()).any(|part| part == folder)
    };
    let of_folder = numbers.filter(|(_, name)| is_of(name));
    of_folder.map(|(pid, _)| pid).collect()
}

/// A running `jailwarden run` that watches one private fail2ban.
pub(crate) struct Warden {
    child: Child,
    said: Arc<Heard>,
    told: Arc<Heard>,
    listeners: Vec<JoinHandle<()>>,
    notify: PathBuf,
}

/// Lines as they come in, and how many of them were waited for.
#[derive(Default)]
struct Heard {
    lines: Mutex<Vec<String>>,
    news: Condvar,
    waited: Mutex<usize>,
    ended: AtomicBool,
}

impl Heard {
    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.news.notify_all();
    }

    /// No more lines come.
    fn end(&self) {
        let _lines = self.lines.lock().unwrap();
        self.ended.store(true, Ordering::Relaxed);
        self.news.notify_all();
    }

    /// Waits for the next line, after those already waited for, that holds `text`.
    fn wait_for(&self, text: &str) -> Option<String> {
        let mut waited = self.waited.lock().unwrap();
        let find = |lines: &[String]| {
            let next = lines
                .iter()
                .skip(*waited)
                .position(|line| line.contains(text));
            next.map(|at| *waited + at)
        };
        let (lines, _) = self
            .news
            .wait_timeout_while(self.lines.lock().unwrap(), GUARD, |lines| {
                find(lines).is_none() && !self.ended.load(Ordering::Relaxed)
            })
            .unwrap();
        let at = find(&lines)?;
        *waited = at + 1;
        Some(lines[at].clone())
    }

    /// The lines after those waited for.
    fn rest(&self) -> Vec<String> {
        let waited = *self.waited.lock().unwrap();
        self.lines.lock().unwrap()[waited..].to_vec()
    }

    fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// The last message to a listener, so that it ends; systemd's are never empty.
const ENOUGH: &[u8] = b"";

impl Warden {
    /// Starts jailwarden on this fail2ban; `extra` is added to the settings.
    pub(crate) fn start(f2b: &Fail2ban, extra: &str) -> Self {
        let mut start = f2b.client_words();
        start.extend(["-x".into(), "start".into()]);
        Self::start_with(f2b, &start, extra)
    }

    /// As [`Self::start`], with another `daemon.start_command`.
    pub(crate) fn start_with(f2b: &Fail2ban, start_command: &[String], extra: &str) -> Self {
        let settings = Self::settings_file(f2b);
        fs::write(&settings, Self::settings(f2b, start_command, extra)).unwrap();
        let notify = f2b.path("notify");
        // A jailwarden that ran before this one may have left it.
        let _ = fs::remove_file(&notify);
        let systemd = UnixDatagram::bind(&notify).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_jailwarden"))
            .args([
                OsStr::new("run"),
                OsStr::new("--config"),
                settings.as_os_str(),
            ])
            .env("NOTIFY_SOCKET", &notify)
            .env("JAILWARDEN_FAILPOINTS", f2b.failpoints())
            .env_remove("INVOCATION_ID")
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, told) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let to = Arc::clone(&said);
        let hear = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                to.add(line);
            }
            to.end();
        });
        let to = Arc::clone(&told);
        let serve = thread::spawn(move || {
            let mut message = [0; 8192];
            while let Ok(length) = systemd.recv(&mut message) {
                if message[..length] == *ENOUGH {
                    break;
                }
                let text = String::from_utf8_lossy(&message[..length]);
                text.lines().for_each(|line| to.add(line.to_owned()));
            }
            to.end();
        });
        Self {
            child,
            said,
            told,
            listeners: vec![hear, serve],
            notify,
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The settings file of the jailwarden that watches this fail2ban.
    pub(crate) fn settings_file(f2b: &Fail2ban) -> PathBuf {
        f2b.path("jailwarden.yaml")
    }

    /// Where the jailwarden that watches this fail2ban serves its API.
    pub(crate) fn control(f2b: &Fail2ban) -> PathBuf {
        f2b.path("control.sock")
    }

    fn settings(f2b: &Fail2ban, start_command: &[String], extra: &str) -> String {
        let words = |words: &[String]| format!("[\"{}\"]", words.join("\", \""));
        let wrapper = f2b.wrapper.as_ref().map(|path| path.display().to_string());
        let client = wrapper.map_or_else(|| f2b.version.client(), |wrapper| vec![wrapper]);
        let mut yaml = String::new();
        for (key, value) in [
            ("config_dir", f2b.config().display().to_string()),
            ("state_dir", f2b.path("state").display().to_string()),
            ("daemon", String::new()),
            ("  unit", "none".into()),
            ("  socket", f2b.socket().display().to_string()),
            ("  pid_file", f2b.pid_file().display().to_string()),
            ("  client", words(&client)),
            ("  start_command", words(start_command)),
        ] {
            writeln!(yaml, "{key}: {value}").unwrap();
        }
        if !extra.contains("control:") {
            let socket = Self::control(f2b).display().to_string();
            writeln!(yaml, "control: {{socket: {socket}}}").unwrap();
        }
        yaml + extra
    }

    /// Waits for the next line on standard error, after those already waited for, that holds
    /// `text`, and returns it.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let line = self.said.wait_for(text);
        line.unwrap_or_else(|| {
            let (said, told) = (self.lines().join("\n"), self.told.all().join("\n"));
            panic!("no further {text:?} in\n{said}\n\nsystemd was told\n{told}")
        })
    }

    /// As [`Self::wait_for`], of the lines that systemd is told (`STATUS=…`, `READY=1`).
    pub(crate) fn wait_told(&self, text: &str) -> String {
        let line = self.told.wait_for(text);
        line.unwrap_or_else(|| {
            let (said, told) = (self.lines().join("\n"), self.told.all().join("\n"));
            panic!("systemd was told no further {text:?}:\n{told}\n\nand people\n{said}")
        })
    }

    /// Waits until systemd was last told that there is nothing to do; what it is told from here on
    /// is news.
    pub(crate) fn wait_calm(&self) {
        let calm = wait_until(GUARD, || {
            let told = self.told.all();
            let calm = told.last().is_some_and(|last| {
                last.starts_with("STATUS=healthy") || last.starts_with("STATUS=degraded")
            });
            calm.then(|| *self.told.waited.lock().unwrap() = told.len())
        });
        assert!(calm.is_some(), "no calm: {:#?}", self.told.all());
    }

    /// All that was said so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.said.all()
    }

    /// What was said after the lines that were waited for.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.said.rest()
    }

    /// All that systemd was told so far.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.all()
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
        self.stop_listening();
        status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or_default())
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.stop_listening();
    }

    fn stop_listening(&mut self) {
        let ear = UnixDatagram::unbound().unwrap();
        // It fails if the listener has ended already.
        let _ = ear.send_to(ENOUGH, &self.notify);
        for listener in self.listeners.drain(..) {
            listener.join().unwrap();
        }
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        // A test that ends well has no use for a gentle end, and one that fails has no time.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stop_listening();
    }
}
