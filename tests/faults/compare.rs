//! docs/comparison.md: faults on real hosts, with nothing but fail2ban's own unit, with monit, with a loop
//! around `ping`, and with jailwarden. `make faults` runs all of it, `make faults FAULTS='hang'` some rows.
//!
//! What counts is the truth: in each second an offender fails five times in the log of each jail, and
//! is stopped if the jail bans it within [`IN_TIME`].

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it is a test, but for its harness"
)]

mod contestants;
#[expect(dead_code, reason = "each program uses its part of the shared support")]
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;
use std::{fs, thread};

use contestants::Contestant;
use support::host::Host;
use table::{FAULTS, Fault, JAILS, Wish};

/// How long it is looked on after a fault, in seconds.
const SECONDS: usize = 60;
/// The last of them tell which jails protect in the end.
const LAST: usize = 5;
/// How soon an offender has to be banned.
const IN_TIME: f64 = 5.0;
/// Hosts at a time.
const WORKERS: usize = 2;

/// Notes each ban with its time.
const ACTION: &str = "[Definition]\nactionban = echo \"<name> <ip> $(date +%%s.%%N)\" >>/var/log/bans\nactionunban =\n";
const FILTER: &str = "[Definition]\nfailregex = fail from <HOST>\ndatepattern = {^LN-BEG}EPOCH\n";

/// An offender a second in each jail, each noted with the time.
const LOAD: &str = r#"begin=$(date +%s)
for second in $(seq $1); do
    jail=0
    for name in ssh mail web; do
        jail=$((jail + 1)) ip=198.18.$jail.$second now=$(date +%s)
        for n in 1 2 3 4 5; do echo "$now fail from $ip"; done >>/var/log/$name.log
        echo "$name $ip $(date +%s.%N)" >>/var/log/offences
    done
    while [ $(date +%s) -lt $((begin + second)) ]; do sleep 0.05; done
done
sleep 6
"#;

/// What came of a fault.
#[derive(Debug)]
struct Outcome {
    /// Of each jail: the seconds in which offenders were not stopped, and whether it protects in the end.
    jails: Vec<(&'static str, usize, bool)>,
    /// Whether fail2ban runs in the end.
    runs: bool,
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let wanted = |fault: &&Fault| {
        words.is_empty() || words.iter().any(|word| fault.name.contains(word.as_str()))
    };
    let faults: Vec<_> = FAULTS.iter().filter(wanted).collect();
    let jobs = faults
        .iter()
        .flat_map(|fault| Contestant::ALL.map(|it| (*fault, it)));
    let (jobs, done) = (
        Mutex::new(jobs.collect::<VecDeque<_>>()),
        Mutex::new(BTreeMap::new()),
    );
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((fault, contestant)) = next(&jobs) {
                    let outcome = live_through(fault, contestant);
                    eprintln!("{} / {}: {outcome:?}", fault.name, contestant.name());
                    done.lock()
                        .unwrap()
                        .insert((fault.name, contestant), outcome);
                }
            });
        }
    });
    let table = table(&faults, &done.into_inner().unwrap());
    print!("{table}");
    if words.is_empty() && support::docs::is_written() {
        write(&table);
    }
    ExitCode::SUCCESS
}

fn next<T>(jobs: &Mutex<VecDeque<T>>) -> Option<T> {
    jobs.lock().unwrap().pop_front()
}

/// None where there can be no host, or no such contestant.
fn live_through(fault: &Fault, contestant: Contestant) -> Option<Outcome> {
    let host = Host::boot()?;
    host.sh("rm -f /etc/fail2ban/jail.d/*");
    host.write("/etc/fail2ban/action.d/note.conf", ACTION);
    for jail in JAILS {
        host.write(&format!("/etc/fail2ban/filter.d/{jail}.conf"), FILTER);
        let text = format!(
            "[{jail}]\nenabled = true\nbackend = polling\nlogpath = /var/log/{jail}.log\nmaxretry = 5\n\
             usedns = no\naction = note[name=\"{jail}\"]\n"
        );
        host.write(&format!("/etc/fail2ban/jail.d/{jail}.conf"), &text);
        host.sh(&format!("touch /var/log/{jail}.log"));
    }
    host.write("/opt/load", LOAD);
    for (path, text) in fault.files {
        host.write(path, text);
    }
    host.sh("systemctl start fail2ban");
    host.sh("for n in $(seq 300); do fail2ban-client status 2>/dev/null | grep -q 'jail:.3' && exit; sleep 0.1; done; exit 1");
    contestant.begin(&host).then_some(())?;
    thread::sleep(Duration::from_secs(fault.healthy));
    host.sh(&format!("sh -c '{}' >/dev/null 2>&1 || true", fault.script));
    host.sh(&format!("sh /opt/load {SECONDS}"));
    Some(outcome(&host))
}

fn outcome(host: &Host) -> Outcome {
    let noted = |file: &str| {
        let text = host.sh(&format!("cat /var/log/{file} 2>/dev/null || true"));
        let entries = text.lines().map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            (words[1].to_owned(), words[2].parse::<f64>().unwrap())
        });
        entries.collect::<BTreeMap<String, f64>>()
    };
    let (offences, bans) = (noted("offences"), noted("bans"));
    let stopped = |jail: usize, second: usize| {
        let ip = format!("198.18.{}.{second}", jail + 1);
        bans.get(&ip)
            .is_some_and(|ban| ban - offences[&ip] <= IN_TIME)
    };
    let of_jail = |(nth, name): (usize, &&'static str)| {
        let not: Vec<_> = (1..=SECONDS)
            .filter(|second| !stopped(nth, *second))
            .collect();
        let protects = not.iter().all(|second| *second <= SECONDS - LAST);
        (*name, not.len(), protects)
    };
    Outcome {
        jails: JAILS.iter().enumerate().map(of_jail).collect(),
        runs: host
            .run(&["pgrep", "-f", "fail2ban-server"])
            .status
            .success(),
    }
}

fn cell(fault: &Fault, outcome: Option<&Outcome>) -> String {
    let Some(outcome) = outcome else {
        return "not run".to_owned();
    };
    match fault.wish {
        Wish::Protect(able) => {
            let able: Vec<_> = outcome
                .jails
                .iter()
                .filter(|(jail, ..)| able.contains(jail))
                .collect();
            let protect = able.iter().filter(|(.., protects)| *protects).count();
            let longest = able.iter().map(|(_, seconds, _)| seconds).max().unwrap();
            format!("{protect} of {} · {longest} s", able.len())
        }
        Wish::Stay if outcome.runs => "**started again**".to_owned(),
        Wish::Stay => "stays stopped".to_owned(),
    }
}

fn table(faults: &[&Fault], done: &BTreeMap<(&str, Contestant), Option<Outcome>>) -> String {
    let mut out = String::from("| fault |");
    for contestant in Contestant::ALL {
        let _ = write!(out, " {} |", contestant.name());
    }
    let _ = writeln!(out, "\n|---|{}", "---|".repeat(Contestant::ALL.len()));
    for fault in faults {
        let _ = write!(out, "| {} |", fault.name);
        for contestant in Contestant::ALL {
            let outcome = done.get(&(fault.name, contestant)).and_then(Option::as_ref);
            let _ = write!(out, " {} |", cell(fault, outcome));
        }
        out.push('\n');
    }
    out
}

/// Puts the table in the place of the one in docs/comparison.md.
fn write(table: &str) {
    let file = support::docs::root().join("docs/comparison.md");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("| fault |").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    fs::write(&file, format!("{before}{table}\n{after}")).unwrap();
}
