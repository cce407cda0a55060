//! One fault on one fresh host with one contestant, and what comes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::offender::{FILTER, IN_TIME, NOTE, now, offend};
use crate::support::host::Host;
use crate::support::{GUARD, admins_files, wait_until};
use crate::table::contestants::Contestant;
use crate::table::fault::{Fault, JAILS, NEW};
use crate::table::results::{Jail, Outcome};

/// The last seconds tell which jails protect in the end.
const LAST: u64 = 5;
/// By how much the offenders may come late before nothing can be told: the machine stood still.
const LATE: Duration = Duration::from_secs(3);
/// The offender that each jail has banned before the fault.
const BEFORE: u64 = 250;

const HELPER: &str =
    "watchdog() { if test \"$WATCHDOG\"; then systemctl \"$@\" \"$WATCHDOG\"; fi; }\n";

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Lives through a fault; the protocol of it goes to `protocol`.
///
/// # Errors
///
/// Why there can be no host, or no such contestant.
pub(crate) fn live_through(
    fault: &Fault,
    contestant: Contestant,
    protocol: &Path,
) -> Result<Outcome, String> {
    let mut host = Host::boot_at_once().ok_or("no host")?;
    lay_out(&host, fault);
    host.sh("systemctl start fail2ban");
    let root = host.root();
    for (nth, jail) in JAILS.iter().enumerate() {
        offend(&root, jail, &address(nth, BEFORE));
    }
    let banned = "test $(ls /opt/blocked | wc -l) = 3";
    wait_until(GUARD, || is_so(&host, banned).then_some(())).ok_or("fail2ban does not start")?;
    contestant.begin(&host)?;
    thread::sleep(Duration::from_secs(fault.healthy));

    let shell = Shell {
        host: &host,
        contestant,
    };
    shell.run(fault.before);
    let begin = now();
    let told = told_since(&host, begin);
    let (offences, left) = if fault.reboots {
        let left = shell.run(fault.script);
        host.reboot();
        (attack(&host.root(), fault)?, left)
    } else {
        thread::scope(|scope| {
            let script = scope.spawn(|| shell.run(fault.script));
            let offences = attack(&root, fault);
            let left = script.join().unwrap();
            offences.map(|offences| (offences, left))
        })?
    };
    thread::sleep(Duration::from_secs_f64(IN_TIME + 1.0));
    let outcome = Outcome {
        alerts: told_since(&host, begin) - if fault.reboots { 0 } else { told },
        ..outcome(&host, fault, &offences, &left)
    };
    let said = host.sh(
        "timeout 20 journalctl --no-pager -o short-precise SYSLOG_IDENTIFIER=jailwarden + _PID=1 UNIT=fail2ban.service || true; \
         grep -Ev ' Found | Ban ' /var/log/fail2ban.log | tail -n 200 || true; cat /var/log/monit.log 2>/dev/null || true",
    );
    let said = format!(
        "{} / {}\n{outcome:#?}\n{said}",
        fault.name,
        contestant.name()
    );
    fs::write(protocol, said).unwrap();
    match fault.provided {
        Some((test, otherwise)) if !is_so(&host, test) => Err(otherwise.to_owned()),
        _ => Ok(outcome),
    }
}

fn lay_out(host: &Host, fault: &Fault) {
    host.sh("rm -f /etc/fail2ban/jail.d/*; mkdir /opt/blocked");
    host.write("/etc/fail2ban/action.d/note.conf", NOTE);
    for jail in JAILS.into_iter().chain([NEW]) {
        host.write(&format!("/etc/fail2ban/filter.d/{jail}.conf"), FILTER);
        host.sh(&format!("touch /var/log/{jail}.log"));
        if jail != NEW {
            let text = format!(
                "[{jail}]\nenabled = true\nbackend = polling\nlogpath = /var/log/{jail}.log\nmaxretry = 5\n\
                 usedns = no\naction = note[name=\"{jail}\"]\n"
            );
            host.write(&format!("/etc/fail2ban/jail.d/{jail}.conf"), &text);
        }
    }
    for (path, text) in fault.files {
        host.write(path, text);
    }
    host.sh(fault.host);
}

/// What happens on the host, and what that leaves of the admin's files.
struct Shell<'a> {
    host: &'a Host,
    contestant: Contestant,
}

impl Shell<'_> {
    fn run(&self, script: &str) -> Files {
        let folder = self.host.root().join("etc/fail2ban");
        if !script.is_empty() {
            let script = format!("{HELPER}{script}");
            let [watchdog, state, settings] = self.contestant.environment();
            let words = [
                watchdog, state, settings, "timeout", "200", "sh", "-c", &script,
            ];
            let mut command = self.host.inside(&words);
            // Faults fail, and what they leave running keeps what it was given.
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let _ = command.status().unwrap();
        }
        if folder.is_dir() {
            admins_files(&folder)
        } else {
            Files::new()
        }
    }
}

fn is_so(host: &Host, test: &str) -> bool {
    host.run(&["sh", "-c", test]).status.success()
}

fn address(nth: usize, second: u64) -> String {
    format!("198.18.{}.{second}", nth + 1)
}

/// An offender a second in each jail's log. Gives when each began; an error if the machine stands still
/// meanwhile.
fn attack(root: &Path, fault: &Fault) -> Result<BTreeMap<String, f64>, String> {
    let begin = Instant::now();
    let mut offences = BTreeMap::new();
    for second in 1..=fault.seconds {
        for (nth, jail) in fault.attacked().enumerate() {
            let ip = address(nth, second);
            offend(root, jail, &ip);
            offences.insert(ip, now());
        }
        let next = begin + Duration::from_secs(second);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if next.elapsed() > LATE {
            return Err("the machine stood still".to_owned());
        }
    }
    Ok(offences)
}

/// How often an admin who watches has been told, since a time.
fn told_since(host: &Host, begin: f64) -> u64 {
    let count = format!(
        "timeout 10 journalctl --sync; timeout 20 journalctl -q -o json -p warning --since @{begin} \
         SYSLOG_IDENTIFIER=jailwarden + _PID=1 UNIT=fail2ban.service | wc -l"
    );
    let monit =
        "cat /var/log/monit.log 2>/dev/null | grep -Ec '\\] (alert|critical|error|warning) +:'";
    let number = |script: &str| {
        let done = host.run(&["sh", "-c", script]);
        String::from_utf8_lossy(&done.stdout)
            .trim()
            .parse()
            .unwrap_or(0)
    };
    number(&count) + number(monit)
}

/// The first ban of each offender.
fn bans(host: &Host) -> BTreeMap<String, f64> {
    let text = fs::read_to_string(host.root().join("opt/bans")).unwrap_or_default();
    let mut bans = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        if let [_, ip, time] = words[..] {
            bans.entry(ip.to_owned()).or_insert(time.parse().unwrap());
        }
    }
    bans
}

fn outcome(host: &Host, fault: &Fault, offences: &BTreeMap<String, f64>, left: &Files) -> Outcome {
    let bans = bans(host);
    let is_stopped = |ip: &str| {
        bans.get(ip)
            .is_some_and(|ban| ban - offences[ip] <= IN_TIME)
    };
    let jail = |(nth, name): (usize, &str)| {
        let is_missed = |second: &u64| !is_stopped(&address(nth, *second));
        let missed: Vec<_> = (1..=fault.seconds).filter(is_missed).collect();
        let protects = missed.iter().all(|second| *second <= fault.seconds - LAST);
        (
            name.to_owned(),
            Jail {
                unprotected: missed.len() as u64,
                protects,
            },
        )
    };
    let jails: BTreeMap<_, _> = fault.attacked().enumerate().map(jail).collect();
    let runs = is_so(host, "pgrep -f '[f]ail2ban-server'");

    let mut broken = Vec::new();
    if fault.able.is_empty() {
        broken.extend(runs.then(|| "a stop overruled".to_owned()));
    } else {
        let overruled = fault.off.iter().filter(|jail| jails[**jail].protects);
        broken.extend(overruled.map(|jail| format!("`{jail}` started again")));
    }
    let failed = fault.proofs.iter().filter(|(test, _)| !is_so(host, test));
    broken.extend(failed.map(|(_, words)| (*words).to_owned()));

    let is_lost = |(nth, jail): &(usize, &str)| {
        let kept = format!("opt/blocked/{jail}-{}", address(*nth, BEFORE));
        fault.able.contains(jail) && !host.root().join(kept).exists()
    };
    let lost = JAILS.into_iter().enumerate().filter(is_lost);
    Outcome {
        seconds: fault.seconds,
        bans_lost: lost.map(|(_, jail)| jail.to_owned()).collect(),
        files_changed: files_changed(host, left),
        alerts: 0,
        jails,
        runs,
        broken,
    }
}

/// Names are those below the config folder.
fn files_changed(host: &Host, left: &Files) -> Vec<String> {
    let folder = host.root().join("etc/fail2ban");
    let is = if folder.is_dir() {
        admins_files(&folder)
    } else {
        Files::new()
    };
    let short = |path: &PathBuf| {
        let text = path.to_string_lossy().into_owned();
        text.rsplit_once("/etc/fail2ban/")
            .map_or(text.clone(), |(_, short)| short.to_owned())
    };
    let [left, is] = [left, &is].map(|files| {
        files
            .iter()
            .map(|(path, content)| (short(path), content))
            .collect::<BTreeMap<_, _>>()
    });
    let names = left
        .keys()
        .chain(is.keys().filter(|name| !left.contains_key(*name)));
    names
        .filter(|name| left.get(*name) != is.get(*name))
        .cloned()
        .collect()
}
