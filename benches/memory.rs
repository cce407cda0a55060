//! The memory of jailwarden itself with 500 jails, and with 10,000 files in its config folder, without that of the
//! programs it runs: while it checks and applies a change, and after it.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::real::daemon::{Fail2ban, Warden};
use crate::support::{Plan, Table, check, median, row, supervise, write_jail};

/// Mebibytes.
const PEAK: f64 = 24.0;
const LEFT: f64 = 2.0;
/// In the config folder: jails that are off, so that fail2ban and jailwarden read each.
const FILES: usize = 10_000;

pub(crate) fn run(plan: Plan) -> bool {
    let columns = [
        "jails",
        "what",
        "rounds",
        "before",
        "peak",
        "limit",
        "after - before",
        "limit",
    ];
    let mut table = Table::begin(plan, "memory of jailwarden itself (VmRSS, VmHWM)", &columns);
    for (jails, rounds) in plan.sizes([(500, 5)]) {
        let f2b = plan.fail2ban(jails);
        measure(&mut table, &f2b, &jails.to_string(), rounds);
    }
    if !plan.smoke {
        let f2b = plan.fail2ban(3);
        for number in 0..FILES {
            let jail =
                format!("[off{number}]\nenabled = false\nfilter = sshd\nlogpath = /off.log\n");
            f2b.write(&format!("jail.d/off{number:05}.conf"), &jail);
        }
        measure(&mut table, &f2b, &format!("3 of {FILES} files"), 2);
    }
    table.end()
}

fn measure(table: &mut Table, f2b: &Fail2ban, jails: &str, rounds: usize) {
    let peaks: Vec<_> = (0..rounds).map(|_| peak_of_check(f2b)).collect();
    let peak = median(&peaks);
    let limit = table.limit(peak, Some(PEAK), " MiB");
    row(&[
        jails.into(),
        "jailwarden check".into(),
        rounds.to_string(),
        "-".into(),
        mebibytes(peak),
        limit,
        "-".into(),
        "-".into(),
    ]);
    f2b.start();
    let warden = supervise(f2b, "settle: 100ms\nprobe:\n  interval: 1h\n");
    let start = measured(&warden, "VmHWM");
    let limit = table.limit(start, Some(PEAK), " MiB");
    row(&[
        jails.into(),
        "its start".into(),
        "1".into(),
        "-".into(),
        mebibytes(start),
        limit,
        "-".into(),
        "-".into(),
    ]);
    changes(table, f2b, &warden, jails, rounds);
}

fn changes(table: &mut Table, f2b: &Fail2ban, warden: &Warden, jails: &str, rounds: usize) {
    let one = |round| write_jail(f2b, 0, 6 + round);
    let all = |round| {
        f2b.write(
            "jail.d/all.local",
            &format!("[DEFAULT]\nfindtime = {}\n", 700 + round),
        );
    };
    let kinds: [(&str, &dyn Fn(usize)); 2] = [("one jail changed", &one), ("all changed", &all)];
    for (what, change) in kinds {
        let (mut before, mut peaks, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            let idle = measured(warden, "VmRSS");
            fs::write(format!("/proc/{}/clear_refs", warden.pid()), "5").unwrap();
            change(round);
            warden.wait_for("config change applied");
            warden.wait_calm();
            before.push(idle);
            peaks.push(measured(warden, "VmHWM"));
            left.push(measured(warden, "VmRSS") - idle);
        }
        let (peak, left) = (median(&peaks), median(&left));
        let cells = [
            jails.into(),
            what.into(),
            rounds.to_string(),
            mebibytes(median(&before)),
            mebibytes(peak),
            table.limit(peak, Some(PEAK), " MiB"),
            mebibytes(left),
            table.limit(left, Some(LEFT), " MiB"),
        ];
        row(&cells);
    }
}

fn mebibytes(value: f64) -> String {
    format!("{value:.1} MiB")
}

pub(crate) fn measured(warden: &Warden, field: &str) -> f64 {
    status(warden.pid(), field).expect("jailwarden runs")
}

/// A field of `/proc/PID/status` in MiB, while the process has memory.
fn status(pid: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// The peak of a `jailwarden check`, looked at until it ends.
fn peak_of_check(f2b: &Fail2ban) -> f64 {
    let mut child: Child = check(f2b).stdout(Stdio::null()).spawn().unwrap();
    let mut peak = 0.0;
    while child.try_wait().unwrap().is_none() {
        peak = status(child.id(), "VmHWM").unwrap_or(peak);
        thread::sleep(Duration::from_millis(1));
    }
    peak
}
