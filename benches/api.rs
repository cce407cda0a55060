//! `jailwarden status` from its start to its end, and what watchers of `/api/events` cost the supervisor.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::memory::measured;
use crate::support::real::daemon::{Fail2ban, Warden};
use crate::support::{Plan, Table, median, row, supervise, time};

/// Milliseconds.
const STATUS: f64 = 20.0;
/// Mebibytes, for so many watchers.
const MEMORY: f64 = 4.0;
const WATCHERS: usize = 100;
/// How many happenings each watcher is told.
const HAPPENINGS: usize = 20;

pub(crate) fn run(plan: Plan) -> bool {
    let columns = ["jails", "what", "rounds", "median", "limit"];
    let title = "jailwarden status, and watchers of /api/events (VmRSS)";
    let mut table = Table::begin(plan, title, &columns);
    for (jails, rounds) in plan.sizes([(1, 100), (100, 100), (500, 100)]) {
        let f2b = plan.fail2ban(jails);
        f2b.start();
        let warden = supervise(&f2b, "probe:\n  interval: 1h\n");
        for words in [&["status"][..], &["status", "--json"]] {
            let took: Vec<_> = (0..rounds)
                .map(|_| time(jailwarden(&f2b, words)).as_secs_f64() * 1000.0)
                .collect();
            let took = median(&took);
            let limit = table.limit(took, Some(STATUS), " ms");
            let what = format!("jailwarden {}", words.join(" "));
            let took = format!("{took:.1} ms");
            row(&[jails.to_string(), what, rounds.to_string(), took, limit]);
        }
        let cost = watchers(&f2b, &warden);
        let limit = table.limit(cost, Some(MEMORY), " MiB");
        let what = format!("{WATCHERS} watchers, told {HAPPENINGS} happenings");
        let cost = format!("{cost:.1} MiB");
        row(&[jails.to_string(), what, "1".into(), cost, limit]);
    }
    table.end()
}

fn jailwarden(f2b: &Fail2ban, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
    command.args(words).arg("--config");
    command.arg(Warden::settings_file(f2b));
    command.stdin(Stdio::null());
    command
}

/// By how much the supervisor grows, beyond what happens does by itself.
fn watchers(f2b: &Fail2ban, warden: &Warden) -> f64 {
    let mut first = watch(f2b);
    happen(f2b, &mut first);
    let before = measured(warden, "VmRSS");
    let mut others: Vec<_> = (0..WATCHERS).map(|_| watch(f2b)).collect();
    happen(f2b, &mut first);
    for watcher in &mut others {
        wait_lines(watcher, "\"state\":", HAPPENINGS);
    }
    measured(warden, "VmRSS") - before
}

/// Has something happen, time and again, of which `watcher` hears.
fn happen(f2b: &Fail2ban, watcher: &mut BufReader<UnixStream>) {
    for _ in 0..HAPPENINGS / 2 {
        for (word, state) in [("pause", "paused"), ("resume", "healthy")] {
            time(jailwarden(f2b, &[word]));
            wait_lines(watcher, &format!("\"state\":\"{state}\""), 1);
        }
    }
}

/// A connection that has been told that it is heard.
fn watch(f2b: &Fail2ban) -> BufReader<UnixStream> {
    let mut stream = UnixStream::connect(Warden::control(f2b)).unwrap();
    stream
        .write_all(b"GET /api/events HTTP/1.1\r\nHost: bench\r\n\r\n")
        .unwrap();
    let mut stream = BufReader::new(stream);
    wait_lines(&mut stream, "200 OK", 1);
    stream
}

fn wait_lines(stream: &mut BufReader<UnixStream>, text: &str, mut count: usize) {
    let mut line = String::new();
    while count > 0 {
        line.clear();
        assert_ne!(
            stream.read_line(&mut line).unwrap(),
            0,
            "{text:?} did not come"
        );
        count -= usize::from(line.contains(text));
    }
}
