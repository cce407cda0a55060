//! What the benches share: real fail2bans with stock jails, rounds in pairs, and the table.
//!
//! A machine that does other work is slow now and fast then. So what is compared runs in turn, one
//! pair after the other, and of the pairs' ratios the median counts.

pub(crate) mod hosts;
pub(crate) mod process;
#[expect(dead_code, reason = "the benches use a part of it")]
#[path = "../../tests/support/mod.rs"]
pub(crate) mod real;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use real::daemon::{Fail2ban, Version, Warden};
// Where what is shared with the comparison of the rivals looks for them.
pub(crate) use real::{docs, host};

/// What is run, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    version: Version,
    /// One jail and two rounds, and no limit: only whether it runs at all.
    pub(crate) smoke: bool,
}

impl Plan {
    /// As the environment says: `JAILWARDEN_BENCH=smoke`, `JAILWARDEN_BENCH_FAIL2BAN=1.1.1`.
    pub(crate) fn from_env() -> Self {
        as_on_a_host();
        let version = match std::env::var("JAILWARDEN_BENCH_FAIL2BAN").as_deref() {
            Ok("1.1.0") => Version::V110,
            Ok("1.1.1") => Version::V111,
            Ok("1.0.2") | Err(_) => Version::V102,
            Ok(other) => panic!("JAILWARDEN_BENCH_FAIL2BAN={other}: 1.0.2, 1.1.0 or 1.1.1"),
        };
        let smoke = std::env::var_os("JAILWARDEN_BENCH").is_some_and(|word| word == "smoke");
        Self { version, smoke }
    }

    /// Each size with its rounds.
    pub(crate) fn sizes<const N: usize>(self, all: [(usize, usize); N]) -> Vec<(usize, usize)> {
        if self.smoke {
            return vec![(1, 2)];
        }
        all.to_vec()
    }

    /// A fail2ban without jails, which is not started.
    pub(crate) fn empty_fail2ban(self) -> Fail2ban {
        let f2b = Fail2ban::new(self.version).expect("this fail2ban, see scripts/setup");
        compile_modules(&f2b);
        f2b
    }

    /// A fail2ban with so many jails, which is not started.
    pub(crate) fn fail2ban(self, jails: usize) -> Fail2ban {
        let f2b = self.empty_fail2ban();
        // Nothing is banned here, but should it be, it is not in this host's firewall.
        f2b.write(
            "action.d/iptables-multiport.local",
            "[Init]\niptables = true\n[Init?family=inet6]\niptables = true\n",
        );
        for number in 0..jails {
            File::create(f2b.jail_log(&jail_name(number))).unwrap();
            write_jail(&f2b, number, 5);
        }
        f2b
    }
}

/// A jailwarden that has nothing to do for this fail2ban.
pub(crate) fn supervise(f2b: &Fail2ban, settings: &str) -> Warden {
    let warden = Warden::start(f2b, settings);
    warden.wait_told("READY=1");
    warden.wait_calm();
    warden
}

/// The environment as on a host: Python's buffering and caches whatever whoever builds has set for his own
/// scripts, and what the unit sets for jailwarden.
fn as_on_a_host() {
    let unit = include_str!("../../systemd/jailwarden.service");
    let set = unit
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="));
    let set = set
        .flat_map(str::split_whitespace)
        .filter_map(|it| it.split_once('='));
    let missing: Vec<_> = set
        .filter(|(name, value)| !std::env::var(name).is_ok_and(|it| it == *value))
        .collect();
    let foreign = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("PYTHON") && !unit.contains(&format!("{name}="))
    });
    let foreign: Vec<_> = foreign.collect();
    if missing.is_empty() && foreign.is_empty() {
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(std::env::args_os().skip(1)).envs(missing);
    for name in foreign {
        again.env_remove(name);
    }
    panic!("{}", again.exec());
}

/// Python's bytecode of an unpacked fail2ban, which a package makes when it is installed.
fn compile_modules(f2b: &Fail2ban) {
    for word in f2b.client_words() {
        if let Some(modules) = word.strip_prefix("PYTHONPATH=") {
            let mut compile = Command::new("/usr/bin/python3");
            compile.args(["-m", "compileall", "-q", modules]);
            assert!(compile.status().unwrap().success(), "{compile:?}");
        }
    }
}

/// Stock filters of services that a host may run, each used as it comes.
const FILTERS: [&str; 10] = [
    "sshd",
    "postfix",
    "dovecot",
    "nginx-http-auth",
    "apache-auth",
    "proftpd",
    "vsftpd",
    "exim",
    "pure-ftpd",
    "named-refused",
];

pub(crate) fn jail_name(number: usize) -> String {
    format!("j{number:04}-{}", FILTERS[number % FILTERS.len()])
}

/// Writes a jail as an admin would: a stock filter and a stock action, and a log of its own.
pub(crate) fn write_jail(f2b: &Fail2ban, number: usize, max_retry: usize) {
    let name = jail_name(number);
    let jail = format!(
        "[{name}]\nenabled = true\nfilter = {}\nbackend = polling\nlogpath = {}\n\
         maxretry = {max_retry}\nport = 1:65535\nbanaction = iptables-multiport\n\
         action = %(action_)s\n",
        FILTERS[number % FILTERS.len()],
        f2b.jail_log(&name).display(),
    );
    f2b.write(&format!("jail.d/{name}.conf"), &jail);
}

/// `fail2ban-client` with its options for this fail2ban, and `words`.
pub(crate) fn client(f2b: &Fail2ban, words: &[&str]) -> Command {
    let own = f2b.client_words();
    let mut command = Command::new(&own[0]);
    command.args(&own[1..]).args(words).stdin(Stdio::null());
    command
}

/// `jailwarden check` on this fail2ban's config.
pub(crate) fn check(f2b: &Fail2ban) -> Command {
    let settings = f2b.path("check.yaml");
    let client = f2b.client_words();
    let client = client[..client.len() - 2].join("\", \"");
    fs::write(&settings, format!("daemon:\n  client: [\"{client}\"]\n")).unwrap();
    let words: [OsString; 5] = [
        "check".into(),
        "--config".into(),
        settings.into(),
        "--config-dir".into(),
        f2b.config().into(),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
    command.args(words).stdin(Stdio::null());
    command
}

/// How long a command takes, which must succeed.
pub(crate) fn time(mut command: Command) -> Duration {
    let begun = Instant::now();
    let output = command.output().unwrap();
    let took = begun.elapsed();
    assert!(output.status.success(), "{command:?}: {output:?}");
    took
}

/// What two things took, in turn.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Pairs {
    /// Runs both in turn, once in vain, then for so many rounds.
    pub(crate) fn run(
        rounds: usize,
        mut ours: impl FnMut() -> Duration,
        mut theirs: impl FnMut() -> Duration,
    ) -> Self {
        let mut pairs = Self::default();
        for round in 0..=rounds {
            let (a, b) = (ours().as_secs_f64(), theirs().as_secs_f64());
            if round > 0 {
                pairs.ours.push(a * 1000.0);
                pairs.theirs.push(b * 1000.0);
            }
        }
        pairs
    }

    /// What both took, in milliseconds.
    pub(crate) fn sides(&self) -> [&[f64]; 2] {
        [&self.ours, &self.theirs]
    }

    fn ratios(&self) -> Vec<f64> {
        let pairs = self.ours.iter().zip(&self.theirs);
        pairs.map(|(ours, theirs)| ours / theirs).collect()
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// From the least to the greatest.
pub(crate) fn range(values: &[f64], unit: &str) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{least:.2}-{most:.2}{unit}")
}

/// What is printed: a table in Markdown, and whether each limit is held.
#[derive(Debug)]
pub(crate) struct Table {
    plan: Plan,
    held: bool,
}

impl Table {
    /// Prints the title, what machine this is, and the table's head.
    pub(crate) fn begin(plan: Plan, title: &str, columns: &[&str]) -> Self {
        println!("\n{title}\nfail2ban {:?}, {}\n", plan.version, machine());
        println!("| {} |", columns.join(" | "));
        println!("|{}", "---|".repeat(columns.len()));
        Self { plan, held: true }
    }

    /// A row of pairs, with the limit of their ratio if there is one.
    pub(crate) fn pairs(&mut self, jails: usize, pairs: &Pairs, limit: Option<f64>) {
        let [ours, theirs, ratio, range, limit] = self.compared(pairs, limit);
        let rounds = pairs.ours.len().to_string();
        row(&[jails.to_string(), rounds, ours, theirs, ratio, range, limit]);
    }

    /// The cells of a comparison: ours, theirs, the ratio, its range and its limit.
    pub(crate) fn compared(&mut self, pairs: &Pairs, limit: Option<f64>) -> [String; 5] {
        let ratios = pairs.ratios();
        let ratio = median(&ratios);
        [
            format!("{:.1} ms", median(&pairs.ours)),
            format!("{:.1} ms", median(&pairs.theirs)),
            format!("**{ratio:.2}**"),
            range(&ratios, ""),
            self.limit(ratio, limit, ""),
        ]
    }

    /// A limit's cell: the limit, and whether it is held.
    pub(crate) fn limit(&mut self, value: f64, limit: Option<f64>, unit: &str) -> String {
        let Some(limit) = limit else {
            return "-".into();
        };
        let held = value <= limit;
        self.held &= held;
        let mut cell = format!("{limit}{unit}");
        if !held {
            let _ = write!(cell, ", **missed**");
        }
        cell
    }

    /// Prints how busy the machine was; whether every limit was held, which a smoke test does not ask.
    pub(crate) fn end(&self) -> bool {
        println!("\nafterwards: load {}", load());
        self.held || self.plan.smoke
    }
}

/// One row of a table.
pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{processors} processors, load {}", load())
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
