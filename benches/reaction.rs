//! What jailwarden itself takes: from the end of a daemon that nobody stopped to the start command, and from a hang
//! to the verdict that it is one, beyond what the settings have it wait.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use jailwarden::fail2ban::process::{Process, Signal};
use jailwarden::machine::Policy;
use jailwarden::settings::Settings;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::support::real::daemon::{Fail2ban, JailSpec, Warden};
use crate::support::{Plan, Table, median, range, row, supervise};

/// Milliseconds.
const START: f64 = 20.0;
const STARTS: usize = 20;
/// Seconds.
const BEYOND: f64 = 1.0;
const HANGS: usize = 3;

pub(crate) fn run(plan: Plan) -> bool {
    let quick = death(plan);
    hang(plan) && quick
}

fn fail2ban(plan: Plan) -> Fail2ban {
    let f2b = plan.empty_fail2ban();
    for jail in ["mail", "sshd", "web"] {
        f2b.jail(jail, &JailSpec::default());
    }
    f2b
}

fn death(plan: Plan) -> bool {
    let columns = ["what", "rounds", "median", "range", "limit"];
    let title = "from the end of the daemon's process (SIGKILL) until its start command runs";
    let mut table = Table::begin(plan, title, &columns);
    let f2b = fail2ban(plan);
    // The first round is in vain.
    let [rounds, vain] = if plan.smoke { [1, 0] } else { [STARTS, 1] };
    let took = (0..rounds + vain).map(|_| death_to_start(&f2b));
    let took: Vec<_> = took.skip(vain).collect();
    let value = median(&took);
    row(&[
        "`daemon.start_command`".into(),
        rounds.to_string(),
        format!("{value:.1} ms"),
        range(&took, " ms"),
        table.limit(value, Some(START), " ms"),
    ]);
    table.end()
}

/// In milliseconds, with a jailwarden that has given no start before.
fn death_to_start(f2b: &Fail2ban) -> f64 {
    f2b.wipe();
    let _ = fs::remove_dir_all(f2b.path("state"));
    f2b.start();
    let fifo = f2b.path("begun");
    let _ = fs::remove_file(&fifo);
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let start = f2b.path("begin");
    let client = f2b.client_words().join(" ");
    let script = format!("echo >{}\nexec {client} -x start\n", fifo.display());
    fs::write(&start, script).unwrap();
    let start = ["sh".to_owned(), start.display().to_string()];
    let mut warden = Warden::start_with(f2b, &start, "");
    warden.wait_told("READY=1");
    warden.wait_calm();

    let heard = thread::spawn(move || {
        fs::read(fifo).unwrap();
        Instant::now()
    });
    let process = Process::open(f2b.pid()).unwrap();
    let pidfd = pidfd_open(process.pid(), PidfdFlags::empty()).unwrap();
    process.signal(Signal::KILL).unwrap();
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
    let ended = Instant::now();
    let begun = heard.join().unwrap();
    warden.wait_for("fail2ban protects again");
    warden.kill();
    begun.saturating_duration_since(ended).as_secs_f64() * 1000.0
}

/// A hang, and what is said once it is known.
struct Hang {
    name: &'static str,
    strike: fn(&Fail2ban),
    verdict: &'static str,
    waits: fn(&Settings) -> Duration,
}

const HANGS_OF: [Hang; 2] = [
    Hang {
        name: "stopped (SIGSTOP): probe.interval + probe.timeout",
        strike: Fail2ban::pause,
        verdict: "was stopped by a signal",
        waits: |settings| settings.probe.interval + settings.probe.timeout,
    },
    Hang {
        name: "hung in a regex: probe.interval + probe.busy_limit + 2 s to see what it is doing",
        strike: |f2b| f2b.log_lines("web", &"x".repeat(60), 1),
        verdict: "fail2ban hangs",
        waits: |settings| settings.probe.interval + settings.probe.busy_limit + Policy::DIAGNOSIS,
    },
];

fn hang(plan: Plan) -> bool {
    let columns = [
        "what",
        "rounds",
        "by the settings",
        "median",
        "range",
        "beyond the settings",
        "limit",
    ];
    let title = "from a hang right after a probe until it is known for one";
    let mut table = Table::begin(plan, title, &columns);
    let f2b = fail2ban(plan);
    f2b.edit(
        "filter.d/web.conf",
        "fail from <HOST>",
        "(?:fail from <HOST>|(?:x+x+)+y)$",
    );
    let (hangs, rounds, extra) = if plan.smoke {
        (&HANGS_OF[..1], 1, "probe:\n  interval: 1s\n  timeout: 1s\n")
    } else {
        (&HANGS_OF[..], HANGS, "")
    };
    for hang in hangs {
        let mut waits = Duration::ZERO;
        let mut verdict = || {
            f2b.wipe();
            let _ = fs::remove_dir_all(f2b.path("state"));
            // That of the round before, which ended with it.
            let _ = fs::remove_file(f2b.rollback("web"));
            fs::write(f2b.jail_log("web"), "").unwrap();
            f2b.start();
            let mut warden = supervise(&f2b, extra);
            let settings = Settings::load(Some(&Warden::settings_file(&f2b))).unwrap();
            waits = (hang.waits)(&settings);
            // With the end of a recovery its probes begin anew, so that the next is as far off as can be.
            f2b.kill();
            warden.wait_for("fail2ban protects again");
            let struck = Instant::now();
            (hang.strike)(&f2b);
            warden.wait_for(hang.verdict);
            let took = struck.elapsed().as_secs_f64();
            warden.kill();
            took
        };
        let took: Vec<_> = (0..rounds).map(|_| verdict()).collect();
        let value = median(&took);
        let beyond = value - waits.as_secs_f64();
        row(&[
            hang.name.to_owned(),
            rounds.to_string(),
            humantime::format_duration(waits).to_string(),
            format!("{value:.2} s"),
            range(&took, " s"),
            format!("{beyond:.2} s"),
            table.limit(beyond, Some(BEYOND), " s"),
        ]);
    }
    table.end()
}
