//! docs/comparison.md, made of docs/comparison.json.

use std::fmt::Write as _;

use super::contestants::Contestant;
use super::fault::{Class, Fault};
use super::results::{Outcome, Results};

/// Seconds by which cells differ from run to run.
const NOISE: u64 = 3;

const HEAD: &str = "# Compared

What becomes of a host with three jails, `ssh`, `mail` and `web`, when something goes wrong: with nothing but
fail2ban's own systemd unit, with monit, with a loop around `ping`, and with jailwarden. Every cell is
measured on a fresh real host (systemd-nspawn, Debian 12, fail2ban 1.0.2).

The truth counts: each second an offender fails five times in the log of each jail, and is stopped if the
jail bans it within 5 s. So a gap that is shorter than that counts as 0 s: what was written to the log
meanwhile is read when fail2ban is back.

A cell says:

- how many of the jails that can protect do so after a minute. Where one jail is broken, `web`, it is the
  other two that can; where the admin wants a jail stopped, the others;
- for how many seconds of that minute the worst of them did not;
- how many alerts there were: records in the journal that are warnings or worse, of systemd about
  `fail2ban.service` or of jailwarden, and what monit logs as an error. The ping loop itself tells nobody
  anything: there it is what systemd says of the restarts;
- how many of the admin's files are not as the admin left them. jailwarden alone replaces some, where fail2ban
  cannot run with them and no single jail is to blame; it keeps each whole, and names the command that brings it
  back;
- in bold, what harm was done: a stop overruled, something the admin did undone, a jail whose bans were lost, and
  jails that protect with the unit alone and not with this contestant;
- ▲ where another does better than jailwarden. In what, is said [below](#where-another-does-better).
";

const CONTESTANTS: &str = "## The contestants

- **unit alone**: `fail2ban.service` as Debian ships it: `Restart=on-failure`, but not where fail2ban exits with
  255, as it does with a config that it cannot start. The other three have this unit, too.
- **monit** 5.33 with fail2ban's own recipe (`/etc/monit/monitrc.d/fail2ban`), looking each second. By itself
  monit looks each two minutes.
- **ping loop**: `while sleep 1; do fail2ban-client ping || systemctl restart fail2ban; done`, as a service.
- **jailwarden** with its defaults; it looks each ten seconds, and at each sign.

fail2ban's web interfaces are not in the tables, since none was measured: neither Debian 12 nor PyPI has one
(looked up in November 2026), so that none could be installed on these hosts as all else there was. Nor is a jump
of the clock, as a host in a container has the clock of the machine, nor a death for want of memory, as systemd
tells of those only where it has the cgroups of a whole machine: what jailwarden makes of either is tested apart.

`make faults` prints these tables anew; with `JAILWARDEN_WRITE_DOCS=1` it writes them, and all that was
measured, jail by jail, to `docs/comparison.json`. Six hosts run at a time: the seconds are those of a busy machine
of two cores, and differ by a few from run to run.
";

pub(crate) fn page(classes: &[Class], results: &Results) -> String {
    let mut out = HEAD.to_owned();
    summary(&mut out, classes, results);
    for class in classes {
        let _ = writeln!(out, "\n## {}\n", class.name);
        heading(&mut out, "fault");
        let is_measured = |fault: &&Fault| {
            Contestant::ALL
                .iter()
                .any(|it| results.get(fault, *it).is_some())
        };
        for fault in class.faults.iter().filter(is_measured) {
            row(&mut out, fault, results);
        }
    }
    falls_short(&mut out, classes, results);
    rivals(&mut out, classes, results);
    let _ = write!(out, "\n{CONTESTANTS}");
    out
}

fn heading(out: &mut String, first: &str) {
    let _ = write!(out, "| {first} |");
    for contestant in Contestant::ALL {
        let _ = write!(out, " {} |", contestant.name());
    }
    let _ = writeln!(out, "\n|---|{}", "---|".repeat(Contestant::ALL.len()));
}

fn row(out: &mut String, fault: &Fault, results: &Results) {
    let _ = write!(out, "| {} |", fault.name);
    let ours = results.get(fault, Contestant::Jailwarden);
    for contestant in Contestant::ALL {
        let theirs = results.get(fault, contestant);
        let better = ours
            .zip(theirs)
            .and_then(|(ours, theirs)| better(fault, ours, theirs));
        let mark = if better.is_some() { " ▲" } else { "" };
        let _ = write!(out, " {}{mark} |", cell(fault, contestant, results));
    }
    out.push('\n');
}

fn cell(fault: &Fault, contestant: Contestant, results: &Results) -> String {
    let Some(outcome) = results.get(fault, contestant) else {
        return "not measured".to_owned();
    };
    let mut said = Vec::new();
    if fault.able.is_empty() {
        said.extend(
            outcome
                .broken
                .is_empty()
                .then(|| "stays stopped".to_owned()),
        );
    } else {
        let (worst, _) = fault.unprotected(outcome);
        said.push(format!(
            "{} of {}",
            fault.protecting(outcome),
            fault.able.len()
        ));
        said.push(format!("{worst} s"));
    }
    if outcome.alerts > 0 {
        let plural = if outcome.alerts == 1 { "" } else { "s" };
        said.push(format!("{} alert{plural}", outcome.alerts));
    }
    if let files @ 1.. = outcome.files_changed.len() {
        let plural = if files == 1 { "" } else { "s" };
        said.push(format!("{files} file{plural} changed"));
    }
    let unit = results.get(fault, Contestant::Unit);
    said.extend(
        harm(fault, outcome, unit)
            .iter()
            .map(|harm| format!("**{harm}**")),
    );
    said.join(" · ")
}

/// What a contestant did to a host, in words.
fn harm(fault: &Fault, outcome: &Outcome, unit: Option<&Outcome>) -> Vec<String> {
    let mut harm = outcome.broken.clone();
    if let bans @ 1.. = outcome.bans_lost.len() {
        harm.push(format!("bans of {bans} lost"));
    }
    let is_worse = |jail: &&&str| {
        unit.is_some_and(|unit| unit.jails[**jail].protects) && !outcome.jails[**jail].protects
    };
    if let jails @ 1.. = fault.able.iter().filter(is_worse).count() {
        let plural = if jails == 1 { "" } else { "s" };
        harm.push(format!("{jails} working jail{plural} lost"));
    }
    harm
}

/// The sums of a contestant.
#[derive(Default)]
struct Sums {
    rows: usize,
    mastered: usize,
    able: usize,
    protecting: usize,
    unprotected: u64,
    told: usize,
    overruled: usize,
    bans_lost: usize,
    files_changed: usize,
    jails_lost: usize,
}

fn sums(classes: &[Class], results: &Results, contestant: Contestant) -> Sums {
    let mut sums = Sums::default();
    for fault in classes.iter().flat_map(|class| class.faults) {
        let Some(outcome) = results.get(fault, contestant) else {
            continue;
        };
        let unit = results.get(fault, Contestant::Unit);
        sums.rows += 1;
        sums.mastered += usize::from(fault.is_mastered(outcome));
        sums.able += fault.able.len();
        sums.protecting += fault.protecting(outcome);
        sums.unprotected += fault.unprotected(outcome).1;
        sums.told += usize::from(outcome.alerts > 0);
        sums.overruled += outcome.broken.len();
        sums.bans_lost += usize::from(!outcome.bans_lost.is_empty());
        sums.files_changed += usize::from(!outcome.files_changed.is_empty());
        let harm = harm(fault, outcome, unit);
        sums.jails_lost += harm
            .iter()
            .filter(|harm| harm.contains("working jail"))
            .count();
    }
    sums
}

fn summary(out: &mut String, classes: &[Class], results: &Results) {
    let sums = Contestant::ALL.map(|contestant| sums(classes, results, contestant));
    let _ = writeln!(out, "\n## In short\n");
    heading(out, "of all rows");
    let mut line = |words: &str, of: &dyn Fn(&Sums) -> String| {
        let cells: Vec<_> = sums.iter().map(of).collect();
        let _ = writeln!(out, "| {words} | {} |", cells.join(" | "));
    };
    line("all is as it should be in the end", &|of| {
        format!("{} of {}", of.mastered, of.rows)
    });
    line("jails that can protect and do", &|of| {
        format!("{} of {}", of.protecting, of.able)
    });
    line("unprotected, over all jails", &|of| {
        format!("{} s", of.unprotected)
    });
    line("rows in which somebody is told", &|of| of.told.to_string());
    line("wishes not kept, or bans that stop nobody", &|of| {
        of.overruled.to_string()
    });
    line("rows in which bans are lost", &|of| {
        of.bans_lost.to_string()
    });
    line("rows in which working jails are lost", &|of| {
        of.jails_lost.to_string()
    });
    line("rows in which files of the admin's change", &|of| {
        of.files_changed.to_string()
    });
}

/// Where a jail that can protect does not with jailwarden, or worse.
fn falls_short(out: &mut String, classes: &[Class], results: &Results) {
    let _ = writeln!(out, "\n## Where jailwarden falls short\n");
    let mut found = false;
    for fault in classes.iter().flat_map(|class| class.faults) {
        let ours = results.get(fault, Contestant::Jailwarden);
        if ours.is_some_and(|ours| !fault.is_mastered(ours)) {
            let cell = cell(fault, Contestant::Jailwarden, results);
            let _ = writeln!(out, "- {}: {cell}.", fault.name);
            found = true;
        }
    }
    if !found {
        let _ = writeln!(out, "In none of these rows.");
    }
    let files = sums(classes, results, Contestant::Jailwarden).files_changed;
    if files > 0 {
        let _ = writeln!(
            out,
            "\nIn {files} of them it replaced files of the admin's with which fail2ban could not run, or put them back. \
             It keeps\nwhat stood there, and one command brings that back."
        );
    }
}

/// Where another does better than jailwarden.
fn rivals(out: &mut String, classes: &[Class], results: &Results) {
    let _ = writeln!(out, "\n## Where another does better\n");
    let mut found = false;
    for fault in classes.iter().flat_map(|class| class.faults) {
        let Some(ours) = results.get(fault, Contestant::Jailwarden) else {
            continue;
        };
        for rival in &Contestant::ALL[..3] {
            let Some(theirs) = results.get(fault, *rival) else {
                continue;
            };
            if let Some(better) = better(fault, ours, theirs) {
                let _ = writeln!(out, "- {}, {}: {better}.", fault.name, rival.name());
                found = true;
            }
        }
    }
    if !found {
        let _ = writeln!(out, "In no row.");
    }
    let _ = writeln!(
        out,
        "\nCompared are how many jails protect, for how long the worst did not, bans, and what an admin wants; not \
         alerts,\nof which more are not better. Up to {NOISE} s are no difference: as much changes from run to run."
    );
}

fn better(fault: &Fault, ours: &Outcome, theirs: &Outcome) -> Option<String> {
    let [(our, _), (their, _)] = [ours, theirs].map(|it| fault.unprotected(it));
    let mut better = Vec::new();
    if fault.protecting(theirs) > fault.protecting(ours) {
        better.push("more jails protect".to_owned());
    }
    if our > their + NOISE {
        better.push(format!("{} s less unprotected", our - their));
    }
    if theirs.broken.len() < ours.broken.len() {
        better.push(format!("not {}", ours.broken.join(", ")));
    }
    if theirs.bans_lost.len() < ours.bans_lost.len() {
        better.push("fewer bans lost".to_owned());
    }
    let mut words = better.join(", ");
    for harm in theirs.broken.iter().filter(|it| !ours.broken.contains(it)) {
        let _ = write!(words, ", but **{harm}**");
    }
    (!better.is_empty()).then_some(words)
}
