//! What jailwarden itself does with what `fail2ban-client -d` prints: reading, grouping by jail,
//! digests, comparison. It is linear in the stream, and at 500 jails less than a tenth of a check.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench may fail"
)]

#[expect(dead_code, reason = "each bench uses its part of the shared support")]
mod support;

use std::fs;
use std::hint::black_box;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use jailwarden::fail2ban::stream::Stream;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use support::{Plan, Table, check, client, median, row};

/// Of a check's time.
const SHARE: f64 = 0.1;
/// How much more a line may cost in a long stream than in a short one.
const GROWTH: f64 = 1.5;

fn main() -> ExitCode {
    let plan = Plan::from_env();
    let columns = [
        "jails",
        "lines",
        "rounds",
        "read",
        "digests",
        "compared",
        "a line",
        "of a line at 10 jails",
        "limit",
    ];
    let mut table = Table::begin(plan, "the stream of fail2ban-client -d", &columns);
    let mut first = None;
    for (jails, rounds) in plan.sizes([(10, 500), (100, 200), (500, 60), (1000, 30), (2000, 20)]) {
        let Some(f2b) = plan.fail2ban(jails) else {
            return ExitCode::FAILURE;
        };
        let printed = client(&f2b, &["-d"]).output().unwrap().stdout;
        let printed = String::from_utf8(printed).unwrap();
        let parts: Vec<_> = (0..rounds).map(|_| parts(&printed)).collect();
        // Nothing but other work makes it slower, so the least is the truth.
        let part = |at: usize| parts.iter().map(|part| part[at]).fold(f64::MAX, f64::min);
        let lines = printed.lines().count();
        #[expect(clippy::cast_precision_loss, reason = "a count of lines")]
        let each = (part(0) + part(1) + part(2)) / lines as f64;
        let growth = each / *first.get_or_insert(each);
        let cells = [
            jails.to_string(),
            lines.to_string(),
            rounds.to_string(),
            milliseconds(part(0)),
            milliseconds(part(1)),
            milliseconds(part(2)),
            format!("{:.0} ns", each * 1e9),
            format!("**{growth:.2}**"),
            table.limit(growth, Some(GROWTH), ""),
        ];
        row(&cells);
    }
    let parse = table.end();
    let columns = [
        "jails",
        "rounds",
        "check",
        "its own CPU time",
        "share",
        "limit",
    ];
    let mut table = Table::begin(plan, "jailwarden's own part of a check", &columns);
    for (jails, rounds) in plan.sizes([(1, 20), (10, 20), (100, 10), (500, 7)]) {
        let Some(f2b) = plan.fail2ban(jails) else {
            return ExitCode::FAILURE;
        };
        let runs: Vec<_> = (0..rounds).map(|_| own_time(check(&f2b))).collect();
        let (whole, own): (Vec<_>, Vec<_>) = runs.iter().copied().unzip();
        let shares: Vec<_> = runs.iter().map(|(whole, own)| own / whole).collect();
        let share = median(&shares);
        let cells = [
            jails.to_string(),
            rounds.to_string(),
            milliseconds(median(&whole)),
            milliseconds(median(&own)),
            format!("**{share:.3}**"),
            table.limit(share, (jails == 500).then_some(SHARE), ""),
        ];
        row(&cells);
    }
    let share = table.end();
    if parse == ExitCode::SUCCESS {
        share
    } else {
        parse
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1000.0)
}

/// Seconds for reading and grouping, for the digests, and for the comparison with an older stream.
fn parts(printed: &str) -> [f64; 3] {
    let begun = Instant::now();
    let stream = Stream::parse(black_box(printed)).unwrap();
    let read = begun.elapsed();
    let begun = Instant::now();
    let digests = stream.digests();
    let digested = begun.elapsed();
    let old = black_box(digests.clone());
    let begun = Instant::now();
    let diff = digests.since(&old);
    let compared = begun.elapsed();
    assert!(black_box(diff).changed.is_empty());
    [read, digested, compared].map(|took| took.as_secs_f64())
}

/// Seconds that a command takes, and those that its own main thread is on a processor.
fn own_time(mut command: Command) -> (f64, f64) {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    // Left unreaped, it can still be asked.
    waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )
    .unwrap();
    let whole = begun.elapsed().as_secs_f64();
    let times = fs::read_to_string(format!("/proc/{}/schedstat", child.id())).unwrap();
    let nanoseconds: f64 = times.split(' ').next().unwrap().parse().unwrap();
    assert!(child.wait().unwrap().success());
    (whole, nanoseconds / 1e9)
}
