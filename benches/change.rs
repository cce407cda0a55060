//! One jail changed of many, from the file's last write to applied and probed, against
//! `fail2ban-client reload` of the same daemon. The time to settle is not counted.

use std::time::{Duration, Instant};

use crate::plots::{self, Point};
use crate::support::real::daemon::{Fail2ban, Warden};
use crate::support::{Pairs, Plan, Table, client, supervise, time, write_jail};

const SETTLE: Duration = Duration::from_millis(100);

pub(crate) fn run(plan: Plan) -> bool {
    let columns = [
        "jails", "rounds", "applied", "reload", "ratio", "range", "limit",
    ];
    let mut table = Table::begin(
        plan,
        "a jail's file written, until applied and probed / fail2ban-client reload",
        &columns,
    );
    let (mut applied, mut reloaded) = (Vec::new(), Vec::new());
    for (jails, rounds) in plan.sizes([(1, 30), (10, 20), (100, 15), (500, 7)]) {
        let f2b = plan.fail2ban(jails);
        f2b.start();
        let settings = format!("settle: {}ms\nprobe:\n  interval: 1h\n", SETTLE.as_millis());
        let warden = supervise(&f2b, &settings);
        let mut max_retry = 6..;
        let pairs = Pairs::run(
            rounds,
            || change(&f2b, &warden, max_retry.next().unwrap_or_default()),
            || time(client(&f2b, &["reload"])),
        );
        let limit = match jails {
            1 => Some(1.5),
            10 => None,
            _ => Some(1.25),
        };
        table.pairs(jails, &pairs, limit);
        let [ours, theirs] = pairs.sides().map(|side| {
            Point::new(
                match jails {
                    1 => "1 jail".to_owned(),
                    _ => format!("{jails} jails"),
                },
                side,
            )
        });
        applied.push(ours);
        reloaded.push(theirs);
    }
    let both = [
        ("jailwarden, without the time to settle", applied),
        ("fail2ban-client reload", reloaded),
    ];
    plots::keep(plan, "change", both);
    table.end()
}

/// Changes one jail, and waits until jailwarden says, after its probe, that the change is applied.
fn change(f2b: &Fail2ban, warden: &Warden, max_retry: usize) -> Duration {
    write_jail(f2b, 0, max_retry);
    let written = Instant::now();
    warden.wait_for("config change applied");
    let took = written.elapsed().saturating_sub(SETTLE);
    warden.wait_calm();
    took
}
