//! docs/comparison.md: faults on real hosts, with nothing but fail2ban's own unit, with monit, with a loop
//! around `ping`, and with jailwarden. `make faults` runs all of it; `make faults ONLY='hang jailwarden'` the
//! rows whose name has the one in it, with the other alone; `ONLY=slice` the few that CI runs; `ONLY=missing`
//! goes on where a run was broken off. It fails where jailwarden falls short. What was said in a cell is in
//! `target/faults`.
//!
//! What counts is the truth: in each second an offender fails five times in the log of each jail, and
//! is stopped if the jail bans it within 5 s.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it is a test, but for its harness"
)]

mod cell;
mod offender;
#[expect(dead_code, reason = "each program uses its part of the shared support")]
#[path = "../support/mod.rs"]
mod support;
#[path = "table.rs"]
mod table;

use std::collections::VecDeque;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use support::docs::{is_written, root};
use table::contestants::Contestant;
use table::fault::{Class, Fault};
use table::results::{Outcome, Results};
use table::{CLASSES, render};

/// Hosts at a time, unless `JAILWARDEN_HOSTS` says otherwise.
const WORKERS: usize = 6;

/// How long the few rows that CI runs are looked at.
const SLICE_SECONDS: u64 = 20;

/// What is to be run, by the words of the command line.
#[derive(Default)]
struct Wanted {
    /// Contestants by their word; none: all of them.
    contestants: Vec<Contestant>,
    /// `slice`: the few rows that CI runs, and looked at for a shorter time.
    is_slice: bool,
    /// `missing`: only what is not in docs/comparison.json yet.
    is_missing: bool,
    /// Classes, and parts of names of faults; none: all of them.
    rows: Vec<String>,
}

impl Wanted {
    fn read(words: impl Iterator<Item = String>) -> Self {
        let mut wanted = Self::default();
        for word in words.filter(|word| !word.starts_with('-')) {
            let mut all = Contestant::ALL.into_iter();
            match (word.as_str(), all.find(|it| it.word() == word)) {
                (_, Some(contestant)) => wanted.contestants.push(contestant),
                ("slice", _) => wanted.is_slice = true,
                ("missing", _) => wanted.is_missing = true,
                _ => wanted.rows.push(word),
            }
        }
        if wanted.contestants.is_empty() {
            wanted.contestants = Contestant::ALL.to_vec();
        }
        wanted
    }

    fn has(&self, class: &Class, fault: &Fault) -> bool {
        let is_named = |word: &String| {
            word.eq_ignore_ascii_case(class.name) || fault.name.contains(word.as_str())
        };
        (fault.is_in_slice || !self.is_slice)
            && (self.rows.is_empty() || self.rows.iter().any(is_named))
    }

    fn jobs(&self) -> VecDeque<(Fault, Contestant)> {
        let known = Some(Results::read()).filter(|_| self.is_missing);
        let is_known = |fault: &Fault, contestant| {
            let known = known.as_ref();
            known.is_some_and(|known| known.get(fault, contestant).is_some())
        };
        let mut jobs = VecDeque::new();
        for class in CLASSES {
            for fault in class.faults.iter().filter(|fault| self.has(class, fault)) {
                let mut fault = *fault;
                if self.is_slice {
                    fault.seconds = SLICE_SECONDS;
                }
                let new = |contestant: &&Contestant| !is_known(&fault, **contestant);
                let contestants = self.contestants.iter().filter(new);
                jobs.extend(contestants.map(|contestant| (fault, *contestant)));
            }
        }
        jobs
    }
}

fn main() -> ExitCode {
    let wanted = Wanted::read(std::env::args().skip(1));
    let is_kept = is_written() && !wanted.is_slice;
    let measured = measure(wanted.jobs(), is_kept);
    println!("{}", render::page(CLASSES, &measured.results));
    for short in &measured.short {
        eprintln!("falls short: {short}");
    }
    if measured.short.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[derive(Default)]
struct Measured {
    results: Results,
    /// The cells that could not be measured, and those in which jailwarden falls short.
    short: Vec<String>,
}

fn measure(jobs: VecDeque<(Fault, Contestant)>, is_kept: bool) -> Measured {
    let all = jobs.len();
    let (jobs, measured) = (Mutex::new(jobs), Mutex::new(Measured::default()));
    let next = || {
        let mut jobs = jobs.lock().unwrap();
        let job = jobs.pop_front()?;
        Some((all - jobs.len(), job))
    };
    let workers = std::env::var("JAILWARDEN_HOSTS").map_or(WORKERS, |set| set.parse().unwrap());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((nth, (fault, contestant))) = next() {
                    let outcome = live_through(&fault, contestant);
                    eprintln!(
                        "{nth}/{all} {} / {}: {outcome:?}",
                        fault.name,
                        contestant.name()
                    );
                    if let (Ok(outcome), true) = (&outcome, is_kept) {
                        let results = Results::keep(CLASSES, &fault, contestant, outcome.clone());
                        let page = render::page(CLASSES, &results);
                        fs::write(root().join("docs/comparison.md"), page).unwrap();
                    }
                    measured.lock().unwrap().add(&fault, contestant, outcome);
                }
            });
        }
    });
    measured.into_inner().unwrap()
}

impl Measured {
    fn add(&mut self, fault: &Fault, contestant: Contestant, outcome: Result<Outcome, String>) {
        let cell = format!("{} / {}", fault.name, contestant.name());
        match outcome {
            Ok(outcome) => {
                if contestant == Contestant::Jailwarden && !fault.is_mastered(&outcome) {
                    self.short
                        .push(format!("{cell}: {}", protocol(fault, contestant).display()));
                }
                self.results.put(fault, contestant, outcome);
            }
            Err(why) => self.short.push(format!("{cell}: {why}")),
        }
    }
}

/// What was said in a cell.
fn protocol(fault: &Fault, contestant: Contestant) -> PathBuf {
    let name: String = format!("{} {}", fault.name, contestant.name())
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            _ => letter.is_ascii_alphanumeric().then_some(letter),
        })
        .collect();
    root().join("target/faults").join(name + ".txt")
}

/// Once more if anything but the contestant fails.
fn live_through(fault: &Fault, contestant: Contestant) -> Result<Outcome, String> {
    fs::create_dir_all(root().join("target/faults")).unwrap();
    let protocol = protocol(fault, contestant);
    let once = || {
        let lived = AssertUnwindSafe(|| cell::live_through(fault, contestant, &protocol));
        catch_unwind(lived).unwrap_or_else(|_| Err("the host failed".to_owned()))
    };
    once().or_else(|_| once())
}
