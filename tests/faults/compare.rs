//! docs/comparison.md: faults on real hosts, with nothing but fail2ban's own unit, with monit, with a loop
//! around `ping`, and with jailwarden. `make faults` runs all of it, `make faults ONLY='hang'` the rows whose
//! name has that in it, `ONLY=slice` the few that CI runs.
//!
//! What counts is the truth: in each second an offender fails five times in the log of each jail, and
//! is stopped if the jail bans it within 5 s.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it is a test, but for its harness"
)]

mod admin;
mod cell;
mod config;
mod contestants;
mod daemon;
mod fault;
mod hosts;
mod render;
mod results;
mod supervisor;
#[expect(dead_code, reason = "each program uses its part of the shared support")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use cell::Outcome;
use contestants::Contestant;
use fault::{Class, Fault};
use results::Results;
use support::docs::{is_written, root};

/// Hosts at a time, unless `JAILWARDEN_HOSTS` says otherwise.
const WORKERS: usize = 6;

const CLASSES: &[Class] = &[
    Class {
        name: "Config",
        faults: config::FAULTS,
    },
    Class {
        name: "Daemon",
        faults: daemon::FAULTS,
    },
    Class {
        name: "Host",
        faults: hosts::FAULTS,
    },
    Class {
        name: "Supervisor",
        faults: supervisor::FAULTS,
    },
    Class {
        name: "Admin",
        faults: admin::FAULTS,
    },
];

/// What is to be run: words of names of faults, of classes and of contestants.
struct Wanted(Vec<String>);

impl Wanted {
    fn rows(&self, class: &Class, fault: &Fault) -> bool {
        let mut words = self.0.iter().filter(|word| contestant(word).is_none());
        let mut is_any = false;
        let is_wanted = words.any(|word| {
            is_any = true;
            word == "slice" && fault.is_in_slice
                || word.eq_ignore_ascii_case(class.name)
                || fault.name.contains(word.as_str())
        });
        is_wanted || !is_any
    }

    fn contestants(&self) -> Vec<Contestant> {
        let named: Vec<_> = self.0.iter().filter_map(|word| contestant(word)).collect();
        if named.is_empty() {
            Contestant::ALL.to_vec()
        } else {
            named
        }
    }
}

fn contestant(word: &str) -> Option<Contestant> {
    let mut all = Contestant::ALL.into_iter();
    all.find(|contestant| contestant.word() == word)
}

fn main() -> ExitCode {
    let words = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'));
    let wanted = Wanted(words.collect());
    let rows = CLASSES.iter().flat_map(|class| {
        let faults = class.faults.iter();
        faults.filter(|fault| wanted.rows(class, fault))
    });
    let jobs: VecDeque<_> = rows
        .flat_map(|fault| wanted.contestants().into_iter().map(move |it| (fault, it)))
        .collect();
    let measured = measure(jobs);
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

fn measure(jobs: VecDeque<(&Fault, Contestant)>) -> Measured {
    let all = jobs.len();
    let results = if is_written() {
        Results::read()
    } else {
        Results::default()
    };
    let measured = Mutex::new(Measured {
        results,
        short: Vec::new(),
    });
    let jobs = Mutex::new(jobs);
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
                    let outcome = live_through(fault, contestant);
                    eprintln!(
                        "{nth}/{all} {} / {}: {outcome:?}",
                        fault.name,
                        contestant.name()
                    );
                    let mut measured = measured.lock().unwrap();
                    measured.add(fault, contestant, outcome);
                    if is_written() {
                        measured.results.write(CLASSES);
                        let page = render::page(CLASSES, &measured.results);
                        fs::write(root().join("docs/comparison.md"), page).unwrap();
                    }
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
