//! jailwarden while nothing happens: how large the program is, what it holds in memory, and how often its
//! threads wake, without anybody to serve, with the API, and with the page beside it.

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::memory::measured;
use crate::support::real::daemon::{Fail2ban, Warden};
use crate::support::{Plan, Table, median, row, supervise};

/// Mebibytes.
const PROGRAM: f64 = 8.0;
const MEMORY: f64 = 8.0;
/// Of the thread that serves, while there is nobody to serve.
const WAKE_UPS: f64 = 0.0;
/// Its name (`control/server.rs`).
const SERVES: &str = "control";
/// What the start has left to do: the last good config is kept after a minute of health.
const SETTLED: Duration = Duration::from_secs(75);
const WATCHED: Duration = Duration::from_secs(60);
/// Far shorter than a thread that was only needed for a moment is kept (tokio: 10 s).
const PACE: Duration = Duration::from_millis(500);

/// What serves whom.
const KINDS: [&str; 3] = [
    "without the API",
    "with the API",
    "with the API and the page",
];

pub(crate) fn run(plan: Plan) -> bool {
    let columns = ["jails", "what", "rounds", "median", "limit"];
    let title =
        "jailwarden at rest (its program, VmRSS, voluntary context switches of all threads)";
    let mut table = Table::begin(plan, title, &columns);
    program(&mut table);
    for (jails, rounds) in plan.sizes([(3, 2), (100, 1)]) {
        let daemons = KINDS.map(|_| plan.fail2ban(jails));
        daemons.iter().for_each(Fail2ban::start);
        let all: Vec<_> = (0..rounds).map(|_| at_rest(plan, &daemons)).collect();
        let of = |kind: usize, what: fn(Rest) -> f64| {
            let each: Vec<_> = all.iter().map(|rests| what(rests[kind])).collect();
            median(&each)
        };
        let (jails, rounds) = (jails.to_string(), rounds.to_string());
        for (kind, name) in KINDS.iter().enumerate() {
            let held = of(kind, |rest| rest.held);
            let limit = table.limit(held, Some(MEMORY), " MiB");
            let what = format!("memory {name}");
            let held = format!("{held:.1} MiB");
            row(&[jails.clone(), what, rounds.clone(), held, limit]);
            let woken = of(kind, |rest| rest.woken);
            let what = format!("wake-ups in a minute {name}");
            let woken = format!("{woken:.0}");
            row(&[jails.clone(), what, rounds.clone(), woken, "-".into()]);
            if kind > 0 {
                let serving = of(kind, |rest| rest.serving);
                let limit = table.limit(serving, Some(WAKE_UPS), "");
                let what = "of these, of the thread that serves".to_owned();
                let serving = format!("{serving:.0}");
                row(&[jails.clone(), what, rounds.clone(), serving, limit]);
            }
        }
    }
    table.end()
}

/// As it is packed: the profile for releases strips it.
fn program(table: &mut Table) {
    let length = fs::metadata(env!("CARGO_BIN_EXE_jailwarden"))
        .unwrap()
        .len();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    let size = length as f64 / f64::from(1 << 20);
    let limit = table.limit(size, Some(PROGRAM), " MiB");
    let size = format!("{size:.1} MiB");
    row(&["-".into(), "the program".into(), "1".into(), size, limit]);
}

/// What a jailwarden holds in memory, and how often it woke in a minute.
#[derive(Debug, Clone, Copy)]
struct Rest {
    held: f64,
    woken: f64,
    /// The thread that serves.
    serving: f64,
}

/// One of each kind, all at the same time.
fn at_rest(plan: Plan, daemons: &[Fail2ban; 3]) -> [Rest; 3] {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let page = free.local_addr().unwrap();
    drop(free);
    let settings = [
        "control: {socket: none}\n".to_owned(),
        String::new(),
        format!("page: {{listen: '{page}'}}\n"),
    ];
    let mut wardens = [0, 1, 2].map(|kind| supervise(&daemons[kind], &settings[kind]));
    let [settled, watched] = if plan.smoke {
        [Duration::ZERO, PACE]
    } else {
        [SETTLED, WATCHED]
    };
    thread::sleep(settled);
    let woken = wake_ups(&wardens.each_ref().map(Warden::pid), watched);
    let held = wardens.each_ref().map(|it| measured(it, "VmRSS"));
    for warden in &mut wardens {
        assert_eq!(warden.end(), 0);
    }
    [0, 1, 2].map(|kind| Rest {
        held: held[kind],
        woken: woken[kind].0,
        serving: woken[kind].1,
    })
}

/// By how much the count of each thread grew, those that were there only for a while among them; and that of
/// the thread that serves.
pub(crate) fn wake_ups(pids: &[u32], watched: Duration) -> Vec<(f64, f64)> {
    let before: Vec<_> = pids.iter().copied().map(counts).collect();
    let mut last = before.clone();
    let until = Instant::now() + watched;
    while Instant::now() < until {
        thread::sleep(PACE);
        for (last, pid) in last.iter_mut().zip(pids) {
            last.extend(counts(*pid));
        }
    }
    let grown = |(before, last): (&Counts, &Counts)| {
        let mut sums = (0.0, 0.0);
        for (thread, count) in last {
            // A number may have been given to another thread meanwhile.
            let grown = count.saturating_sub(before.get(thread).copied().unwrap_or(0));
            sums.0 += f64::from(grown);
            if thread.1 == SERVES {
                sums.1 += f64::from(grown);
            }
        }
        sums
    };
    before.iter().zip(&last).map(grown).collect()
}

/// Of each thread, by number and name.
type Counts = HashMap<(String, String), u32>;

/// How often each thread gave the processor up by itself (`man 5 proc`, `voluntary_ctxt_switches`).
fn counts(pid: u32) -> Counts {
    let count = |thread: &Path| {
        let status = fs::read_to_string(thread.join("status")).ok()?;
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        count.trim().parse().ok()
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let threads = threads.flatten().filter_map(|thread| {
        let name = fs::read_to_string(thread.path().join("comm")).ok()?;
        let number = thread.file_name().to_string_lossy().into_owned();
        Some(((number, name.trim().to_owned()), count(&thread.path())?))
    });
    threads.collect()
}
