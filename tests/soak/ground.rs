//! The host of a soak: its jails, who tries them all the time, and the truth about who protects.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jailwarden::status::{Condition, Status};

use crate::doings::Doing;
use crate::offender::{FILTER, IN_TIME, NOTE, now, offend};
use crate::support::GUARD;
use crate::support::host::Host;
use crate::support::wait_until;
use crate::table::fault::{JAILS, NEW, Proof};

/// The jail whose bans go to a real firewall.
const WALL: &str = "wall";
/// Each jail, and how many seconds there are from one offender to the next: fewer where bans last.
const TRIED: [(&str, u64); 5] = [("ssh", 2), ("mail", 2), ("web", 2), (WALL, 4), (NEW, 2)];
/// So many offenders in a row have to be stopped in time.
const IN_A_ROW: usize = 3;
/// How long the last of them is waited for.
const LATEST: f64 = IN_TIME + 0.5;
/// By how much the offenders may come late before nothing can be told: the machine stood still.
const LATE: Duration = Duration::from_secs(3);
/// How long a stop has to stay one.
const STAYS: f64 = 30.0;
/// How long fail2ban may take to stop, or to stop a jail.
const GOES: f64 = 5.0;

/// Ends the thread that bans, or the one that reads the log, once it is told to. Unlike those of the fault
/// suite it outlives a reload (`reloadActions`, server/actions.py of 1.0.2).
const TRAP: &str = "import os
from fail2ban.server.action import ActionBase
def told(word):
    try:
        os.unlink('/run/' + word)
    except FileNotFoundError:
        return False
    return True
class Action(ActionBase):
    def ban(self, aInfo):
        if told('fatal'):
            raise SystemExit
        if told('deaf'):
            self._jail.filter.active = False
    def clearAllParams(self):
        pass
    def reload(self, **options):
        pass
";
const SLOW: &str =
    "[Definition]\nactionban = if test -e /run/block; then sleep 50; fi\nactionunban =\n";
/// Bans that end soon, as each of them has to be lifted at a stop.
const SHORT: &str = "[DEFAULT]\nbantime = 120\n";

/// Puts right what is beside the config.
const RIGHT: &str =
    "rm -rf /run/fill /run/held /run/block /run/quiet-* /etc/old /etc/away /opt/overruled
systemctl start dbus.socket dbus
if test -L /var/log/fail2ban.log; then rm /var/log/fail2ban.log; systemctl restart fail2ban; fi
";

/// Who was to be stopped, and when that was.
struct Offence {
    jail: usize,
    at: f64,
    stopped: Option<f64>,
}

#[derive(Default)]
struct Offences {
    all: Vec<Offence>,
    by_address: HashMap<String, usize>,
    /// How much of the notes of bans was read.
    read: usize,
    /// When the machine stood still.
    stalls: Vec<f64>,
}

pub(crate) struct Ground {
    pub(crate) host: Host,
    root: PathBuf,
    /// The config as its admin wants it.
    golden: BTreeMap<PathBuf, Vec<u8>>,
    offences: Mutex<Offences>,
    ends: AtomicBool,
}

/// What has to be so.
pub(crate) struct Wish {
    able: Vec<&'static str>,
    off: &'static [&'static str],
    proofs: &'static [Proof],
    /// Nothing is left of what was before.
    is_whole: bool,
}

impl Wish {
    /// What has to be so while a fault lasts.
    pub(crate) fn of(doing: &Doing) -> Self {
        let fault = &doing.fault;
        let mut able = fault.able.to_vec();
        if !able.is_empty() {
            able.push(WALL);
        }
        Self {
            able,
            off: fault.off,
            proofs: fault.proofs,
            is_whole: false,
        }
    }

    /// All is well.
    pub(crate) fn whole() -> Self {
        Self {
            able: JAILS.into_iter().chain([WALL]).collect(),
            off: &[],
            proofs: &[],
            is_whole: true,
        }
    }

    /// How many jails can protect.
    pub(crate) fn jails(&self) -> usize {
        self.able.len()
    }
}

impl Ground {
    /// Boots the host, and has jailwarden supervise its fail2ban.
    pub(crate) fn new(program: &Path) -> Self {
        let host = Host::boot_at_once().expect("a host, which takes root and systemd-nspawn");
        host.sh(
            "rm -f /etc/fail2ban/jail.d/*; mkdir -p /opt/blocked /var/lib/jailwarden; : >/opt/bans; \
             mount -t tmpfs -o size=8m tmpfs /var/lib/fail2ban; mount -t tmpfs -o size=32m,mode=700 tmpfs /var/lib/jailwarden",
        );
        host.write("/etc/fail2ban/action.d/note.conf", NOTE);
        host.write("/etc/fail2ban/action.d/trap.py", TRAP);
        host.write("/etc/fail2ban/action.d/slow.conf", SLOW);
        host.write("/etc/fail2ban/jail.d/00.conf", SHORT);
        for (jail, _) in TRIED {
            host.write(&format!("/etc/fail2ban/filter.d/{jail}.conf"), FILTER);
            host.sh(&format!("touch /var/log/{jail}.log"));
            let more = match jail {
                NEW => continue,
                "web" => "  trap.py\n  slow[name=\"web\"]\n",
                WALL => "  iptables-multiport[name=wall, port=80]\nbantime = 300\n",
                _ => "",
            };
            let text = format!(
                "[{jail}]\nenabled = true\nbackend = polling\nlogpath = /var/log/{jail}.log\nmaxretry = 5\n\
                 usedns = no\naction = note[name=\"{jail}\"]\n{more}"
            );
            host.write(&format!("/etc/fail2ban/jail.d/{jail}.conf"), &text);
        }
        for (path, text) in Doing::all().iter().flat_map(|doing| doing.fault.files) {
            host.write(path, text);
        }
        let root = host.root();
        let golden = files(&root.join("etc/fail2ban"));
        host.sh("systemctl start fail2ban");
        host.install(program);
        host.sh("systemctl enable --now --quiet jailwarden");
        Self {
            host,
            root,
            golden,
            offences: Mutex::default(),
            ends: AtomicBool::new(false),
        }
    }

    /// Goes on until [`Self::end`].
    pub(crate) fn attack(&self) {
        let begin = Instant::now();
        for second in 0.. {
            if self.ends.load(Ordering::Relaxed) {
                return;
            }
            for (nth, (jail, every)) in TRIED.iter().enumerate() {
                let is_quiet = self.is_quiet(jail);
                if second % every == 0 && !is_quiet {
                    let (high, low) = (second / 250, second % 250 + 1);
                    let ip = format!("10.{}.{high}.{low}", nth + 1);
                    self.offences.lock().unwrap().add(nth, ip.clone());
                    offend(&self.root, jail, &ip);
                }
            }
            let next = begin + Duration::from_secs(second + 1);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            if next.elapsed() > LATE {
                self.offences.lock().unwrap().stalls.push(now());
            }
        }
    }

    /// Whether nobody comes: what came to a jail before there is one would all be banned at once.
    fn is_quiet(&self, jail: &str) -> bool {
        let is_there = |path: &str| self.root.join(path).exists();
        is_there(&format!("run/quiet-{jail}"))
            || jail == NEW && !is_there(&format!("etc/fail2ban/jail.d/{jail}.conf"))
    }

    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }

    pub(crate) fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    /// Waits until fail2ban and jailwarden are up, and all jails protect.
    pub(crate) fn wait_begun(&self) {
        let begin = now();
        let whole = Wish::whole();
        let up = wait_until(2 * GUARD, || {
            thread::sleep(Duration::from_secs(1));
            self.is_so(&whole, begin).then_some(())
        });
        assert!(
            up.is_some(),
            "the host does not protect: {}",
            self.said(begin)
        );
    }

    /// Runs a script; what it leaves running keeps what it was given.
    pub(crate) fn script(&self, script: &str) {
        if !script.is_empty() {
            let mut command = self.host.inside(&["timeout", "240", "sh", "-c", script]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let _ = command.status().unwrap();
        }
    }

    /// What a command of the shell prints.
    pub(crate) fn ask(&self, script: &str) -> String {
        let done = self.host.run(&["timeout", "30", "sh", "-c", script]);
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    fn holds(&self, test: &str) -> bool {
        let done = self.host.run(&["timeout", "30", "sh", "-c", test]);
        done.status.success()
    }

    pub(crate) fn runs(&self) -> bool {
        self.holds("pgrep -f '[f]ail2ban-server'")
    }

    fn status(&self) -> Option<Status> {
        let done = self
            .host
            .run(&["timeout", "10", "jailwarden", "status", "--json"]);
        serde_json::from_slice(&done.stdout).ok()
    }

    /// Whether it is as it has to be, by offenders that came since then.
    pub(crate) fn is_so(&self, wish: &Wish, since: f64) -> bool {
        if wish.able.is_empty() {
            return !self.runs() && now() - since > STAYS;
        }
        let stops = |jail: &&str| self.stops(jail, since);
        let has_waited = wish.off.is_empty() || now() - since > STAYS;
        has_waited
            && wish.able.iter().all(stops)
            && wish.proofs.iter().all(|(test, _)| self.holds(test))
            && self.is_at_rest(wish.is_whole)
            && self.has_rules()
    }

    /// What is not as it has to be.
    pub(crate) fn why_not(&self, wish: &Wish, since: f64) -> String {
        let mut why = Vec::new();
        if wish.able.is_empty() {
            why.push("it runs".to_owned());
        }
        let blind = wish.able.iter().filter(|jail| !self.stops(jail, since));
        why.extend(blind.map(|jail| format!("{jail} does not protect")));
        let proofs = wish.proofs.iter().filter(|(test, _)| !self.holds(test));
        why.extend(proofs.map(|(_, words)| (*words).to_owned()));
        if !self.is_at_rest(wish.is_whole) {
            let state = self
                .status()
                .map_or_else(|| "unknown".to_owned(), |status| status.text);
            why.push(format!("jailwarden is not at rest: {state}"));
        }
        why.extend((!self.has_rules()).then(|| "bans are not in the firewall".to_owned()));
        why.join(", ")
    }

    /// Whether a jail that was to be off has stopped somebody since then.
    pub(crate) fn is_overruled(&self, wish: &Wish, since: f64) -> bool {
        if now() - since < GOES {
            return false;
        }
        if wish.able.is_empty() {
            return self.runs();
        }
        self.judge();
        let offences = self.offences.lock().unwrap();
        let gone = since + GOES;
        let after = offences
            .all
            .iter()
            .filter(|it| it.at > gone && it.stopped.is_some());
        let mut jails = after.map(|it| TRIED[it.jail].0);
        jails.any(|jail| wish.off.contains(&jail))
    }

    /// jailwarden has done what it had to.
    fn is_at_rest(&self, is_whole: bool) -> bool {
        let Some(status) = self.status() else {
            return false;
        };
        if is_whole {
            let protects = |jail: &jailwarden::status::Jail| jail.condition == Condition::Protects;
            return status.state == "healthy"
                && status.incident.is_none()
                && !status.daemon.in_memory
                && status.jails.iter().all(protects);
        }
        ["healthy", "degraded"].contains(&status.state.as_str())
    }

    /// Each ban that stands is in the firewall.
    fn has_rules(&self) -> bool {
        let banned = self.ask(&format!("fail2ban-client get {WALL} banip"));
        let rules = self.ask(&format!("iptables -w -n -L f2b-{WALL}"));
        let mut banned = banned
            .split_whitespace()
            .filter(|word| word.starts_with("10."));
        let stopped: Vec<_> = rules.split_whitespace().collect();
        banned.all(|ip| stopped.contains(&ip))
    }

    /// Takes in who was stopped meanwhile.
    fn judge(&self) {
        let mut offences = self.offences.lock().unwrap();
        let text = fs::read_to_string(self.root.join("opt/bans")).unwrap_or_default();
        let new = text.get(offences.read..).unwrap_or_default();
        // The last line may not be whole yet.
        let whole = new.rfind('\n').map_or(0, |end| end + 1);
        for line in new[..whole].lines() {
            let words: Vec<_> = line.split(' ').collect();
            if let [_, ip, time] = words[..]
                && let Some(nth) = offences.by_address.get(ip).copied()
                && let Ok(time) = time.parse::<f64>()
            {
                offences.all[nth].stopped.get_or_insert(time);
            }
        }
        offences.read += whole;
    }

    /// Whether the last offenders were stopped in time, who all came since then.
    fn stops(&self, jail: &str, since: f64) -> bool {
        self.judge();
        let offences = self.offences.lock().unwrap();
        let latest = now() - LATEST;
        let known = offences.of(jail).filter(|it| it.at < latest);
        let last: Vec<_> = known.rev().take(IN_A_ROW).collect();
        last.len() == IN_A_ROW && last.iter().all(|it| it.at > since && it.is_in_time())
    }

    /// For how many seconds the worst jail of these did not protect between these times, by the offenders that
    /// came meanwhile; all that is told by then.
    pub(crate) fn unprotected(&self, wish: &Wish, from: f64, to: f64) -> u64 {
        self.judge();
        let offences = self.offences.lock().unwrap();
        let missed = |(jail, every): &(&'static str, u64)| {
            let came = offences.of(jail).filter(|it| it.at > from && it.at < to);
            let missed = came.filter(|it| !it.is_in_time() && !offences.is_stalled(it.at));
            missed.count() as u64 * every
        };
        let able = TRIED.iter().filter(|(jail, _)| wish.able.contains(jail));
        able.map(missed).max().unwrap_or(0)
    }

    /// How many offenders there were, and how often the machine stood still.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let offences = self.offences.lock().unwrap();
        (offences.all.len(), offences.stalls.len())
    }

    /// The admin puts each file right, and leaves jailwarden's own.
    pub(crate) fn mend(&self, doing: &Doing) {
        let folder = self.root.join("etc/fail2ban");
        let is = files(&folder);
        for path in is.keys().filter(|path| !self.golden.contains_key(*path)) {
            let _ = fs::remove_file(folder.join(path));
        }
        for (path, text) in &self.golden {
            if is.get(path) != Some(text) {
                let file = folder.join(path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
        }
        self.script(RIGHT);
        self.script(doing.mend);
    }

    /// What jailwarden and fail2ban said since then.
    pub(crate) fn said(&self, since: f64) -> String {
        self.ask(&format!(
            "timeout 20 journalctl --no-pager -o short-precise --since @{since} SYSLOG_IDENTIFIER=jailwarden + _PID=1 UNIT=fail2ban.service; \
             jailwarden status; ls /etc/fail2ban/jail.d; grep -Ev ' Found | Ban | Unban ' /var/log/fail2ban.log | tail -n 100"
        ))
    }
}

impl Offences {
    fn add(&mut self, jail: usize, ip: String) {
        self.by_address.insert(ip, self.all.len());
        self.all.push(Offence {
            jail,
            at: now(),
            stopped: None,
        });
    }

    fn of(&self, jail: &str) -> impl DoubleEndedIterator<Item = &Offence> {
        self.all.iter().filter(move |it| TRIED[it.jail].0 == jail)
    }

    /// Whether nothing can be told of that time.
    fn is_stalled(&self, at: f64) -> bool {
        let margin = 2.0 * IN_TIME;
        self.stalls.iter().any(|stall| (at - stall).abs() < margin)
    }
}

impl Offence {
    fn is_in_time(&self) -> bool {
        self.stopped
            .is_some_and(|stopped| stopped - self.at <= IN_TIME)
    }
}

/// The admin's files below a folder in which others write, by their names in there.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below))
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = below.join(entry.file_name());
            let is_own = entry
                .file_name()
                .to_string_lossy()
                .contains("zzz-jailwarden");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() && !is_own => {
                    if let Ok(text) = fs::read(entry.path()) {
                        found.insert(path, text);
                    }
                }
                _ => {}
            }
        }
    }
    found
}
