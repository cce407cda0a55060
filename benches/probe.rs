//! What the probes cost with the default settings, which ask each jail: CPU time of jailwarden, beside that of the
//! daemon, which polls the logs of its jails all the while.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use jailwarden::fail2ban::process::Pid;

use crate::support::process::cpu_seconds;
use crate::support::real::daemon::{Fail2ban, Warden};
use crate::support::{Plan, Table, row, supervise};

/// Of one processor's time.
const SHARE: f64 = 0.01;
const WATCHED: Duration = Duration::from_secs(60);

pub(crate) fn run(plan: Plan) -> bool {
    let columns = [
        "jails",
        "probes",
        "CPU time of jailwarden each",
        "its share of a processor",
        "limit",
        "ping",
        "share of the daemon",
    ];
    let mut table = Table::begin(plan, "what a probe costs, by default each 10 s", &columns);
    for (jails, _) in plan.sizes([(1, 1), (100, 1), (1000, 1)]) {
        let f2b = plan.fail2ban(jails);
        f2b.start();
        let (watched, extra) = if plan.smoke {
            (
                Duration::from_secs(1),
                "probe:\n  interval: 1s\n  timeout: 1s\n",
            )
        } else {
            (WATCHED, "")
        };
        let warden = supervise(&f2b, extra);
        let pid = Pid::from_raw(warden.pid().cast_signed()).unwrap();
        let used = || [pid, f2b.pid()].map(cpu_seconds);
        let (before, begun, first) = (used(), Instant::now(), Probes::of(&f2b));
        thread::sleep(watched);
        let (after, took, last) = (used(), begun.elapsed(), Probes::of(&f2b));
        let [ours, daemon] = [0, 1].map(|at| after[at] - before[at]);
        let count = last.count - first.count;
        let [share, of_daemon] = [ours, daemon].map(|used| used / took.as_secs_f64());
        row(&[
            jails.to_string(),
            format!("{count}"),
            milliseconds(ours / count),
            format!("{:.2} %", share * 100.0),
            table.limit(share * 100.0, Some(SHARE * 100.0), " %"),
            milliseconds((last.took - first.took) / count),
            format!("{:.0} %", of_daemon * 100.0),
        ]);
    }
    table.end()
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1000.0)
}

/// As the metrics count them.
struct Probes {
    count: f64,
    /// Seconds until the pings were answered.
    took: f64,
}

impl Probes {
    fn of(f2b: &Fail2ban) -> Self {
        let mut stream = UnixStream::connect(Warden::control(f2b)).unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let value = |name: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
        };
        Self {
            count: value("jailwarden_probe_duration_seconds_count"),
            took: value("jailwarden_probe_duration_seconds_sum"),
        }
    }
}
