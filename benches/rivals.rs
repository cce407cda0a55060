//! fail2ban is killed (SIGKILL) on a real host: from there until all jails have their threads again, by
//! jailwarden, by systemd alone, by monit at its fastest and by a loop around `ping`, against the bare minimum:
//! that somebody who waits for the kill calls `systemctl restart` in the same moment. Beside it, when the new
//! process was spawned (`ExecMainStartTimestampMonotonic`), which is before its Python begins.

use std::io::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use jailwarden::fail2ban::process::{Pid, Process, Signal};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::contestants::Contestant;
use crate::plots::{self, Point};
use crate::support::hosts::{Restart, host, is_complete, server};
use crate::support::real::host::Host;
use crate::support::real::{GUARD, wait_until};
use crate::support::{Pairs, Plan, Table, median, row};

const ROUNDS: usize = 10;
/// Against the bare minimum.
const LIMIT: f64 = 1.1;
/// Between two looks at the threads.
const PACE: Duration = Duration::from_millis(2);
/// After a recovery, until whoever brought it about is idle again.
const CALM: Duration = Duration::from_secs(3);
/// monit and the loop look once a second: the kills are spread over it.
const SECOND: Duration = Duration::from_secs(1);

/// Who has fail2ban run again, and what its unit says.
struct Rival {
    name: &'static str,
    unit: Restart,
    who: Contestant,
    limit: Option<f64>,
}

const RIVALS: [Rival; 6] = [
    Rival {
        name: "jailwarden, `Restart=no`",
        unit: Restart::Never,
        who: Contestant::Jailwarden,
        limit: Some(LIMIT),
    },
    Rival {
        name: "jailwarden, which leaves it to systemd (Debian's unit)",
        unit: Restart::Shipped,
        who: Contestant::Jailwarden,
        limit: None,
    },
    Rival {
        name: "systemd alone (Debian's unit: `on-failure`, after 100 ms)",
        unit: Restart::Shipped,
        who: Contestant::Unit,
        limit: None,
    },
    Rival {
        name: "systemd alone at its fastest (`RestartSec=0`)",
        unit: Restart::AtOnce,
        who: Contestant::Unit,
        limit: None,
    },
    Rival {
        name: "monit each second, `Restart=no`",
        unit: Restart::Never,
        who: Contestant::Monit,
        limit: None,
    },
    Rival {
        name: "`ping` each second, `Restart=no`",
        unit: Restart::Never,
        who: Contestant::Loop,
        limit: None,
    },
];

pub(crate) fn run(plan: Plan) -> bool {
    let Some(bare) = host(Restart::Never) else {
        return true;
    };
    let columns = [
        "who", "rounds", "spawned", "protects", "bare", "ratio", "range", "limit",
    ];
    let mut table = Table::begin(
        plan,
        "fail2ban is killed on a real host, until its jails protect / systemctl restart in that moment",
        &columns,
    );
    // The others take seconds more.
    let (rivals, rounds) = if plan.smoke {
        (&RIVALS[..1], 1)
    } else {
        (&RIVALS[..], ROUNDS)
    };
    let (mut points, mut restarts) = (Vec::new(), Vec::new());
    for rival in rivals {
        let supervised = host(rival.unit).unwrap();
        if let Err(why) = rival.who.begin(&supervised) {
            eprintln!("{} is not compared: {why}", rival.name);
            continue;
        }
        let mut spawned = Vec::new();
        let mut nth = 0..;
        let pairs = Pairs::run(
            rounds,
            || {
                prepare(&supervised, rival.who);
                let nth = nth.next().unwrap_or_default();
                thread::sleep(SECOND * nth / u32::try_from(ROUNDS).unwrap());
                let (spawn, protects) = outage(&supervised, false);
                spawned.extend(spawn.map(|spawn| spawn.as_secs_f64() * 1000.0));
                protects
            },
            || outage(&bare, true).1,
        );
        let [ours, theirs] = pairs.sides();
        points.push(Point::new(rival.name.replace('`', ""), ours));
        restarts.extend_from_slice(theirs);
        let [protects, restarted, ratio, range, limit] = table.compared(&pairs, rival.limit);
        row(&[
            rival.name.to_owned(),
            rounds.to_string(),
            // The first round is in vain.
            spawned
                .get(1..)
                .map_or("-".into(), |of| format!("{:.1} ms", median(of))),
            protects,
            restarted,
            ratio,
            range,
            limit,
        ]);
    }
    points.push(Point::new(
        "systemctl restart in the same moment",
        &restarts,
    ));
    plots::keep(
        plan,
        "rivals",
        [("three jails; a line from the least to the greatest", points)],
    );
    table.end()
}

/// Whoever brings it back is idle, and has no restarts to his account.
fn prepare(host: &Host, who: Contestant) {
    if who == Contestant::Jailwarden {
        host.sh(
            "systemctl stop jailwarden; rm -rf /var/lib/jailwarden/*; systemctl start jailwarden",
        );
        let calm = || {
            host.run(&["jailwarden", "status"])
                .status
                .success()
                .then_some(())
        };
        wait_until(GUARD, calm).expect("jailwarden finds a host that is protected");
    } else {
        thread::sleep(CALM);
    }
}

/// Kills fail2ban. When, from then, the next was spawned, and when its jails protected. `bare`: it is
/// restarted by somebody who waits for that.
fn outage(host: &Host, bare: bool) -> (Option<Duration>, Duration) {
    let old = wait_until(GUARD, || server(host).filter(|pid| is_complete(*pid)));
    let old = Process::open(old.expect("fail2ban runs")).unwrap();
    let script = "read -r now; systemctl restart fail2ban";
    let somebody = bare.then(|| {
        let mut shell = host.inside(&["sh", "-c", script]);
        let shell = shell.stdin(Stdio::piped()).spawn().unwrap();
        // It waits by then.
        thread::sleep(Duration::from_millis(200));
        shell
    });
    let (struck, clock) = (Instant::now(), clock_gettime(ClockId::Monotonic));
    old.signal(Signal::KILL).unwrap();
    let somebody = somebody.map(|mut somebody| {
        somebody.stdin.take().unwrap().write_all(b"now\n").unwrap();
        somebody
    });
    wait_complete(host, old.pid());
    let protects = struck.elapsed();
    if let Some(mut somebody) = somebody {
        assert!(somebody.wait().unwrap().success());
    }
    (spawned(host, clock), protects)
}

fn wait_complete(host: &Host, old: Pid) {
    let begun = Instant::now();
    while !server(host).is_some_and(|pid| pid != old && is_complete(pid)) {
        assert!(begun.elapsed() < GUARD, "{}", host.journal("fail2ban"));
        thread::sleep(PACE);
    }
}

/// When systemd spawned the process that runs, since a time. monit's recipe starts one beside its unit.
fn spawned(host: &Host, since: Timespec) -> Option<Duration> {
    let shown = host.sh("systemctl show -P ExecMainStartTimestampMonotonic fail2ban");
    let spawned = Duration::from_micros(shown.trim().parse().unwrap());
    let since = Duration::try_from(since).unwrap();
    spawned.checked_sub(since)
}
