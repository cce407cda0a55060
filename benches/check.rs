//! `jailwarden check` against `fail2ban-client -t`, which knows less: at most twice its time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench may fail"
)]

#[expect(dead_code, reason = "each bench uses its part of the shared support")]
mod support;

use std::process::ExitCode;

use support::{Pairs, Plan, Table, check, client, time};

const LIMIT: f64 = 2.0;

fn main() -> ExitCode {
    let plan = Plan::from_env();
    let columns = ["jails", "rounds", "check", "-t", "ratio", "range", "limit"];
    let mut table = Table::begin(plan, "jailwarden check / fail2ban-client -t", &columns);
    for (jails, rounds) in plan.sizes([(1, 40), (10, 30), (100, 15), (500, 7)]) {
        let Some(f2b) = plan.fail2ban(jails) else {
            return ExitCode::FAILURE;
        };
        let pairs = Pairs::run(rounds, || time(check(&f2b)), || time(client(&f2b, &["-t"])));
        table.pairs(jails, &pairs, Some(LIMIT));
    }
    table.end()
}
