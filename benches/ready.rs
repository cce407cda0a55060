//! From the start of jailwarden, beside a daemon that runs, to its `READY=1`, and until it knows the config and that
//! each jail protects; the latter against `fail2ban-client -d`, which it has to run for it.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::real::daemon::{Fail2ban, Warden};
use crate::support::{Pairs, Plan, Table, client, median, row, time};

/// Milliseconds.
const READY: f64 = 100.0;
/// As that of a check, which runs the same.
const LIMIT: f64 = 2.0;

pub(crate) fn run(plan: Plan) -> bool {
    let columns = [
        "jails",
        "rounds",
        "READY=1",
        "limit",
        "all known",
        "-d",
        "ratio",
        "range",
        "limit",
    ];
    let mut table = Table::begin(
        plan,
        "jailwarden's start, until READY=1, and until all is known / fail2ban-client -d",
        &columns,
    );
    for (jails, rounds) in plan.sizes([(1, 20), (100, 10), (500, 5)]) {
        let f2b = plan.fail2ban(jails);
        f2b.start();
        let mut ready = Vec::new();
        let pairs = Pairs::run(
            rounds,
            || {
                let (first, known) = start(&f2b);
                ready.push(first.as_secs_f64() * 1000.0);
                known
            },
            || time(client(&f2b, &["-d"])),
        );
        // The first round is in vain.
        let ready = median(&ready[1..]);
        let ready_limit = table.limit(ready, Some(READY), " ms");
        let [known, read, ratio, range, limit] = table.compared(&pairs, Some(LIMIT));
        row(&[
            jails.to_string(),
            rounds.to_string(),
            format!("{ready:.1} ms"),
            ready_limit,
            known,
            read,
            ratio,
            range,
            limit,
        ]);
    }
    table.end()
}

/// As after its installation: it remembers nothing.
fn start(f2b: &Fail2ban) -> (Duration, Duration) {
    let _ = fs::remove_dir_all(f2b.path("state"));
    let begun = Instant::now();
    let mut warden = Warden::start(f2b, "");
    warden.wait_told("READY=1");
    let ready = begun.elapsed();
    warden.wait_for("supervision begins");
    let known = begun.elapsed();
    warden.wait_calm();
    assert_eq!(warden.end(), 0);
    (ready, known)
}
