//! docs/soak.md, made of what a run measured.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::doings::Doing;
use crate::ground::Ground;
use crate::sample::{self, Row, Sample};

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) minutes: u64,
    pub(crate) seed: u64,
    /// jailwarden's version, fail2ban's and systemd's.
    pub(crate) versions: [String; 3],
    /// It came to its end.
    pub(crate) is_complete: bool,
    /// How many there were, and how often the machine stood still, so that nothing can be told of these.
    pub(crate) offenders: usize,
    pub(crate) stalls: usize,
    pub(crate) samples: Vec<Sample>,
    pub(crate) done: Vec<Done>,
}

/// What befell the host, and what came of it. All times are in seconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) class: String,
    pub(crate) name: String,
    /// How many jails can protect while it lasts.
    pub(crate) able: usize,
    /// For how long the worst jail did not protect in the calm before it.
    pub(crate) calm: u64,
    /// For how long the worst of those did not that can, while it lasted.
    pub(crate) lasted: u64,
    /// The same of all jails from the moment at which it was mended.
    pub(crate) after: u64,
    /// Until all was as it has to be: once it had happened, and once it was mended.
    pub(crate) took: f64,
    pub(crate) mending: f64,
    /// What was not as it has to be.
    pub(crate) short: Vec<String>,
}

impl Done {
    /// What was to be looked at could not be.
    pub(crate) fn failed(doing: &Doing) -> Self {
        Self {
            class: doing.class.to_owned(),
            name: doing.fault.name.to_owned(),
            able: 0,
            calm: 0,
            lasted: 0,
            after: 0,
            took: 0.0,
            mending: 0.0,
            short: vec!["the host failed".to_owned()],
        }
    }
}

impl Run {
    pub(crate) fn new(minutes: u64, seed: u64, ground: &Ground) -> Self {
        let version = |command: &str| ground.ask(&format!("{command} | head -n 1"));
        Self {
            minutes,
            seed,
            versions: [
                "jailwarden --version",
                "fail2ban-client --version",
                "systemctl --version",
            ]
            .map(version),
            is_complete: false,
            offenders: 0,
            stalls: 0,
            samples: Vec::new(),
            done: Vec::new(),
        }
    }
}

/// Where it falls short, one line each.
pub(crate) fn short(run: &Run) -> Vec<String> {
    let mut short = Vec::new();
    if !run.is_complete {
        short.push("the run was broken off".to_owned());
    }
    for done in &run.done {
        short.extend(done.short.iter().map(|why| format!("{}: {why}", done.name)));
    }
    let rows = sample::rows(&run.samples);
    let missed = rows
        .iter()
        .filter(|row| !(row.last_is_kept && row.most_is_kept));
    short.extend(missed.map(|row| {
        let Row {
            name,
            first,
            last,
            most,
            limit,
            ..
        } = row;
        format!("{name}: {first}, then {last}, at most {most}; {limit}")
    }));
    let processes = sample::processes(&run.samples);
    if processes != 1 {
        short.push(format!(
            "{processes} processes of jailwarden, and nobody ended any"
        ));
    }
    short
}

const HEAD: &str = "# Soaked

What befalls a host in years, in two hours: faults, edits and what admins do, one after the other, and whether
each jail that can protect does; and whether jailwarden takes ever more memory, files, threads or disk. It is one
real host (systemd-nspawn, Debian 12) with five jails' logs, of which one bans by the real iptables, and with
jailwarden as `make install` installs it, under its own unit, as one process from the beginning to the end.

The truth counts: every two seconds (four, of the jail that bans by iptables) an offender fails five times in the
log of each jail, and has to be banned within 5 s. Once something has befallen the host, three offenders in a row
have to be stopped in each jail that can protect, each ban has to be in the firewall, and jailwarden at rest, all
within three minutes; what an admin has stopped has to stay so for half a minute. Then the admin mends what is
broken, and the same has to hold for all jails, with nothing left of any rollback.

`make soak` does it anew; `make soak MINUTES=10 SEED=7` for a shorter time, and in the order that a seed makes. With
`JAILWARDEN_WRITE_DOCS=1` a whole run writes this page. No more than two restarts by jailwarden within ten minutes
go before the next fault: with more than five it would tell that it backs off, and do so.
";

pub(crate) fn page(run: &Run) -> String {
    let mut out = HEAD.to_owned();
    let [jailwarden, fail2ban, systemd] = &run.versions;
    let _ = writeln!(
        out,
        "\nThis was seed {}, {} minutes; {jailwarden}, {fail2ban}, {systemd}.\n{} things befell the host, {} offenders came.",
        run.seed,
        run.minutes,
        run.done.len(),
        run.offenders,
    );
    if run.stalls > 0 {
        let _ = writeln!(
            out,
            "The machine stood still {} times; of the offenders of these moments nothing can be told.",
            run.stalls
        );
    }
    let _ = writeln!(out, "\n## What falls short\n");
    let short = short(run);
    for short in &short {
        let _ = writeln!(out, "- {short}");
    }
    if short.is_empty() {
        let _ = writeln!(out, "Nothing.");
    }
    taken(&mut out, run);
    befallen(&mut out, run);
    out
}

fn taken(out: &mut String, run: &Run) {
    let _ = writeln!(
        out,
        "\n## What jailwarden took\n\nOf {} samples the medians of the first and of the last quarter, and the greatest of all. Files and\n\
         threads come and go with each thing that is done, and with fail2ban itself.\n",
        run.samples.len()
    );
    let _ = writeln!(
        out,
        "| | first | last | greatest | limit |\n|---|---|---|---|---|"
    );
    for row in sample::rows(&run.samples) {
        let Row {
            name,
            first,
            last,
            most,
            limit,
            last_is_kept,
            most_is_kept,
        } = row;
        let marked = |figure: u64, is_kept: bool| {
            let mark = if is_kept { "" } else { "**" };
            format!("{mark}{figure}{mark}")
        };
        let (last, most) = (marked(last, last_is_kept), marked(most, most_is_kept));
        let _ = writeln!(out, "| {name} | {first} | {last} | {most} | {limit} |");
    }
    if let [first, .., last] = &run.samples[..] {
        let _ = writeln!(
            out,
            "\nIn the journal: {} lines, {} KiB of text. The state folder grows by the files that are\n\
             replaced, which are kept for ever.",
            last.lines - first.lines,
            (last.bytes - first.bytes) / 1024
        );
    }
}

fn befallen(out: &mut String, run: &Run) {
    let sum = |of: fn(&Done) -> u64| run.done.iter().map(of).sum::<u64>();
    let _ = writeln!(
        out,
        "\n## What befell the host\n\nSeconds are those for which the worst jail did not stop who came, of the jails that \
         can protect: while it lasted,\nwith what an admin stops for a while, and of all jails from the moment at which it \
         was mended. In the calm between,\nit was {} s in all.\n",
        sum(|it| it.calm)
    );
    let _ = writeln!(
        out,
        "| | what | jails that can | lasted, s | mended, s | as it has to be after, s |\n|---|---|---|---|---|---|"
    );
    for done in &run.done {
        let Done {
            class,
            name,
            able,
            lasted,
            after,
            took,
            mending,
            short,
            ..
        } = done;
        let mark = if short.is_empty() { "" } else { "**" };
        let _ = writeln!(
            out,
            "| {class} | {mark}{name}{mark} | {able} | {lasted} | {after} | {took:.0}, {mending:.0} |"
        );
    }
    let _ = writeln!(
        out,
        "| | **all** | | **{}** | **{}** | |",
        sum(|it| it.lasted),
        sum(|it| it.after)
    );
}
