//! What jailwarden itself does with what `fail2ban-client -d` prints: reading, grouping by jail,
//! digests, comparison. It is linear in the stream, and at 500 jails less than a tenth of a check's work.

use std::fs;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Plan, Table, check, client, median, row};
use jailwarden::fail2ban::stream::Stream;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::time::{ClockId, clock_gettime};

/// Of a check's CPU time.
const SHARE: f64 = 0.1;
/// How much more a line may cost in a long stream than in a short one.
const GROWTH: f64 = 1.5;

pub(crate) fn run(plan: Plan) -> bool {
    let linear = by_size(plan);
    share(plan) && linear
}

/// What a line costs in streams of several lengths; whether that stays the same.
fn by_size(plan: Plan) -> bool {
    let sizes = plan.sizes([(10, 100), (100, 100), (500, 100), (1000, 100), (2000, 100)]);
    let rounds = sizes[0].1;
    let mut streams = Vec::new();
    for (jails, _) in sizes {
        let f2b = plan.fail2ban(jails);
        let printed = client(&f2b, &["-d"]).output().unwrap().stdout;
        streams.push((jails, String::from_utf8(printed).unwrap(), [f64::MAX; 3]));
    }
    for _ in 0..rounds {
        for (_, printed, least) in &mut streams {
            // Nothing but other work makes it slower, so the least is the truth.
            let parts = parts(printed);
            *least = std::array::from_fn(|at| least[at].min(parts[at]));
        }
    }
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
    for (jails, printed, [read, digests, compared]) in streams {
        let lines = printed.lines().count();
        #[expect(clippy::cast_precision_loss, reason = "a count of lines")]
        let each = (read + digests + compared) / lines as f64;
        let growth = each / *first.get_or_insert(each);
        row(&[
            jails.to_string(),
            lines.to_string(),
            rounds.to_string(),
            milliseconds(read),
            milliseconds(digests),
            milliseconds(compared),
            format!("{:.0} ns", each * 1e9),
            format!("**{growth:.2}**"),
            table.limit(growth, Some(GROWTH), ""),
        ]);
    }
    table.end()
}

/// Which share of a check's work is jailwarden's own; whether it is small.
fn share(plan: Plan) -> bool {
    let columns = [
        "jails",
        "rounds",
        "CPU time of check",
        "its own",
        "share",
        "limit",
    ];
    let mut table = Table::begin(plan, "jailwarden's own part of a check", &columns);
    for (jails, rounds) in plan.sizes([(1, 20), (10, 20), (100, 10), (500, 7)]) {
        let f2b = plan.fail2ban(jails);
        let runs: Vec<_> = (0..rounds).map(|_| own_time(check(&f2b))).collect();
        let (whole, own): (Vec<_>, Vec<_>) = runs.iter().copied().unzip();
        let shares: Vec<_> = runs.iter().map(|(whole, own)| own / whole).collect();
        let share = median(&shares);
        row(&[
            jails.to_string(),
            rounds.to_string(),
            milliseconds(median(&whole)),
            milliseconds(median(&own)),
            format!("**{share:.3}**"),
            table.limit(share, (jails == 500).then_some(SHARE), ""),
        ]);
    }
    table.end()
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1000.0)
}

/// Seconds of CPU time for reading and grouping, for the digests, and for the comparison with an older
/// stream.
fn parts(printed: &str) -> [f64; 3] {
    let begun = cpu_time();
    let stream = Stream::parse(black_box(printed)).unwrap();
    let read = cpu_time();
    let digests = stream.digests();
    let digested = cpu_time();
    let old = black_box(digests.clone());
    let cloned = cpu_time();
    let diff = digests.since(&old);
    let compared = cpu_time();
    assert!(black_box(diff).changed.is_empty());
    [read - begun, digested - read, compared - cloned]
}

/// Seconds that this thread was on a processor, whoever else is there.
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
    .as_secs_f64()
}

/// Seconds of CPU time of a command with all that it runs, and of its own main thread.
fn own_time(mut command: Command) -> (f64, f64) {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    // Left unreaped, it can still be asked.
    waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )
    .unwrap();
    let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
    let nanoseconds: f64 = read("schedstat")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    // After the name come the state and, as the 12th to 15th, utime, stime, cutime, cstime, in ticks.
    let stat = read("stat");
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(4);
    let ticks: f64 = ticks.map(|field| field.parse::<f64>().unwrap()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a hundred or so")]
    let second = clock_ticks_per_second() as f64;
    assert!(child.wait().unwrap().success());
    (ticks / second, nanoseconds / 1e9)
}
