//! jailwarden and monit on a real host where nothing happens: what they use of a processor, and how often they wake.
//! monit has fail2ban's own recipe, and looks as often as it can, or as seldom as Debian has it; all of them watch
//! the same daemon in the same minutes.

use std::thread;
use std::time::Duration;

use crate::contestants::Contestant;
use crate::idle::wake_ups;
use crate::support::hosts::{Restart, host};
use crate::support::process::cpu_seconds;
use crate::support::real::host::Host;
use crate::support::real::{GUARD, wait_until};
use crate::support::{Plan, Table, row};

/// What their starts have left to do: jailwarden keeps the last good config after a minute of health.
const SETTLED: Duration = Duration::from_secs(75);
const WATCHED: Duration = Duration::from_secs(300);
/// Of what monit takes that looks each second.
const LIMIT: f64 = 1.0;
/// Seconds between two looks, as in Debian's `/etc/monit/monitrc`.
const SELDOM: &str = "sed 's/daemon 1$/daemon 120/; s,/var/lib/monit/,/var/lib/monit/seldom-,; \
                      s,monit.log,seldom.log,' /opt/monitrc >/opt/seldom; chmod 600 /opt/seldom; \
                      systemd-run --quiet --unit=seldom /opt/monit -I -p /run/seldom.pid -c /opt/seldom";

/// Whoever watches, and its service.
const WATCHERS: [(&str, &str); 3] = [
    ("monit each second", "monit.service"),
    ("monit each two minutes", "seldom.service"),
    ("jailwarden", "jailwarden.service"),
];

pub(crate) fn run(plan: Plan) -> bool {
    if plan.smoke {
        eprintln!(
            "rest: not run, as its host takes seconds; the others run all that it is made of"
        );
        return true;
    }
    let columns = [
        "who",
        "CPU time",
        "of monit's each second",
        "limit",
        "wake-ups",
        "of monit's each second",
        "limit",
    ];
    let title = format!(
        "at rest on a real host with three jails, in {}",
        humantime::format_duration(WATCHED)
    );
    let Some(host) = begin() else {
        return true;
    };
    let mut table = Table::begin(plan, &title, &columns);
    let watchers: Vec<_> = WATCHERS
        .into_iter()
        .filter_map(|(name, service)| Some((name, host.processes(service).first().copied()?)))
        .collect();
    thread::sleep(SETTLED);
    let pids: Vec<_> = watchers.iter().map(|(_, pid)| *pid).collect();
    let before: Vec<_> = pids.iter().copied().map(cpu_seconds).collect();
    let numbers: Vec<_> = pids
        .iter()
        .map(|pid| pid.as_raw_pid().unsigned_abs())
        .collect();
    let woken = wake_ups(&numbers, WATCHED);
    let after: Vec<_> = pids.iter().copied().map(cpu_seconds).collect();
    let cpu: Vec<_> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    for (at, (who, _)) in watchers.iter().enumerate() {
        let limit = (*who == "jailwarden").then_some(LIMIT);
        let (of_cpu, of_woken) = (cpu[at] / cpu[0], woken[at].0 / woken[0].0);
        row(&[
            (*who).to_owned(),
            format!("{:.0} ms", cpu[at] * 1000.0),
            format!("**{of_cpu:.2}**"),
            table.limit(of_cpu, limit, ""),
            format!("{:.0}", woken[at].0),
            format!("**{of_woken:.2}**"),
            table.limit(of_woken, limit, ""),
        ]);
    }
    table.end()
}

/// A host on which all of them run, or jailwarden alone where there is no monit.
fn begin() -> Option<Host> {
    let host = host(Restart::Shipped)?;
    match Contestant::Monit.begin(&host) {
        Ok(()) => drop(host.sh(SELDOM)),
        Err(why) => eprintln!("it is not compared with monit: {why}"),
    }
    Contestant::Jailwarden.begin(&host).unwrap();
    let calm = || {
        host.run(&["jailwarden", "status"])
            .status
            .success()
            .then_some(())
    };
    wait_until(GUARD, calm).expect("jailwarden finds a host that is protected");
    Some(host)
}
