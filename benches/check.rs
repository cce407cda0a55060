//! `jailwarden check` against `fail2ban-client -t`, which knows less: at most twice its time.

use crate::support::{Pairs, Plan, Table, check, client, time};

const LIMIT: f64 = 2.0;

pub(crate) fn run(plan: Plan) -> bool {
    let columns = ["jails", "rounds", "check", "-t", "ratio", "range", "limit"];
    let mut table = Table::begin(plan, "jailwarden check / fail2ban-client -t", &columns);
    for (jails, rounds) in plan.sizes([(1, 40), (10, 30), (100, 15), (500, 7)]) {
        let f2b = plan.fail2ban(jails);
        let pairs = Pairs::run(rounds, || time(check(&f2b)), || time(client(&f2b, &["-t"])));
        table.pairs(jails, &pairs, Some(LIMIT));
    }
    table.end()
}
