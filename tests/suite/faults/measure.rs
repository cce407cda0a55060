//! One row on one fail2ban: what is said, and what is true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::{Fail2ban, Version};
use crate::support::faults::{self, FAULTY, JAILS, Row, Verdict};
use crate::support::{GUARD, skip, wait_until};

/// A client that takes longer waits for a daemon that hangs.
const HANGS: &str = "25";
/// What `jailwarden check` exits with where it was not done in time (docs/cli.md).
const NOT_IN_TIME: i32 = 7;
/// How long a jail with all its threads is given to ban while others do.
const BLIND: Duration = Duration::from_secs(3);
/// How long jails are given of which none seems to live.
const DEAD: Duration = Duration::from_millis(300);

/// What was said and seen.
#[derive(Debug)]
pub(crate) struct Seen {
    test: Ran,
    /// Exit status and findings of `jailwarden check`.
    check: (i32, Vec<Finding>),
    reload: Truth,
    start: Truth,
}

/// How a client ended, and the jails that protect after it.
type Truth = (Ran, BTreeSet<&'static str>);

/// How a client ended.
#[derive(Debug)]
struct Ran {
    /// `None` if it was killed.
    code: Option<i32>,
    words: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Finding {
    kind: String,
    jails: String,
    place: String,
    words: String,
}

/// The scratch fail2bans of one version on which one row after another is tried.
pub(crate) struct Bench {
    version: Version,
    /// Its daemon runs the working config.
    live: Option<Fail2ban>,
    /// Nothing of it runs.
    cold: Option<Fail2ban>,
}

impl Bench {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            live: None,
            cold: None,
        }
    }

    /// Measures a row; `None` where this machine cannot.
    pub(crate) fn measure(&mut self, row: &Row) -> Option<Seen> {
        if row.is_of_plain_user() && !rustix::process::geteuid().is_root() {
            skip("what a plain user may not read takes root to lay out");
            return None;
        }
        let is_special = row.is_of_plain_user() || row.without.is_some() || !row.can_be_mended();
        let cold = self.cold.take().filter(|_| !is_special);
        let cold = match cold {
            Some(cold) => cold,
            None => scratch(self.version, row)?,
        };
        save(&cold, row);
        let test = client(&cold, &["-t"]);
        let check = check(&cold);
        let started = client(&cold, &["-x", "start"]);
        let start = (started, protecting(&cold, row));
        cold.wipe();
        if !is_special {
            mend(&cold, row);
            for jail in JAILS {
                fs::write(cold.jail_log(jail), "").unwrap();
            }
            self.cold = Some(cold);
        }
        Some(Seen {
            test,
            check,
            reload: self.reload(row, is_special)?,
            start,
        })
    }

    fn reload(&mut self, row: &Row, is_special: bool) -> Option<Truth> {
        let live = self.live.take().filter(|_| !is_special);
        let live = if let Some(live) = live {
            live
        } else {
            let live = scratch(self.version, row)?;
            let started = client(&live, &["-x", "start"]);
            assert_eq!(started.code, Some(0), "{started:#?}");
            live
        };
        let threads = |f2b: &Fail2ban| JAILS.map(|jail| f2b.threads(jail));
        let before = threads(&live);
        save(&live, row);
        let reloaded = client(&live, &["reload"]);
        let reload = (reloaded, protecting(&live, row));
        if !is_special && reload.0.code.is_some() && reload.1 == BTreeSet::from(JAILS) {
            mend(&live, row);
            // What was refused before the daemon heard of it has not changed the daemon.
            let is_sound = threads(&live) == before && reload.0.code != Some(0);
            if is_sound || client(&live, &["reload"]).code == Some(0) {
                self.live = Some(live);
            }
        }
        Some(reload)
    }
}

/// A fail2ban with the working config.
fn scratch(version: Version, row: &Row) -> Option<Fail2ban> {
    let mut f2b = Fail2ban::new(version)?;
    if let Some(module) = row.without {
        f2b.hide_module(module);
    }
    f2b.write(
        "action.d/mark.conf",
        &format!(
            "[Definition]\nactionban = echo \"<name> <ip>\" >>{}\nactionunban =\n",
            f2b.path("marks").display()
        ),
    );
    let logs = f2b.path("");
    faults::lay_out(&f2b.config(), &named(&logs), &logs);
    if row.is_of_plain_user() {
        f2b.give_to_nobody();
    }
    Some(f2b)
}

fn named(logs: &Path) -> String {
    logs.display().to_string().trim_end_matches('/').to_owned()
}

fn save(f2b: &Fail2ban, row: &Row) {
    let logs = f2b.path("");
    row.save(&f2b.config(), &named(&logs), &logs);
}

fn mend(f2b: &Fail2ban, row: &Row) {
    let logs = f2b.path("");
    row.mend(&f2b.config(), &named(&logs), &logs);
}

fn client(f2b: &Fail2ban, words: &[&str]) -> Ran {
    let ran = Command::new("timeout")
        .args(["--signal=KILL", HANGS])
        .args(f2b.user_words())
        .args(f2b.client_words())
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran::of(&ran)
}

fn check(f2b: &Fail2ban) -> (i32, Vec<Finding>) {
    let client = f2b.client_words();
    let client: Vec<_> = client[..client.len() - 2]
        .iter()
        .map(|word| format!("{word:?}"))
        .collect();
    let settings = f2b.path("settings.yaml");
    fs::write(
        &settings,
        format!("daemon:\n  client: [{}]\n", client.join(", ")),
    )
    .unwrap();
    let mut words = f2b.user_words();
    let mut program = PathBuf::from(env!("CARGO_BIN_EXE_jailwarden"));
    if !words.is_empty() {
        // To where anybody may run it; by another process, since one that is forked meanwhile would
        // hold a file open for writing that is to be run.
        let copy = f2b.path("jailwarden");
        let copied = Command::new("cp").args([&program, &copy]).status();
        assert!(copied.unwrap().success());
        program = copy;
    }
    words.extend(["env".into(), program.display().to_string()]);
    let run = || {
        Command::new(&words[0])
            .args(&words[1..])
            .arg("check")
            .arg("--config")
            .arg(&settings)
            .arg("--config-dir")
            .arg(f2b.config())
            .arg("--json")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    // On a machine that is overloaded it may not be done within its minute, and says so.
    let mut checked = run();
    for _ in 0..3 {
        if checked.status.code() == Some(NOT_IN_TIME) {
            checked = run();
        }
    }
    let code = checked.status.code().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    if !(0..=1).contains(&code) {
        return (code, vec![Finding::unread(&said, &f2b.config())]);
    }
    let report: Value = serde_json::from_slice(&checked.stdout)
        .unwrap_or_else(|error| panic!("{error}: {checked:?}"));
    assert_eq!(report["unproven"], Value::Null, "{report:#}");
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.map(|finding| Finding::of(finding, &f2b.config()));
    (code, findings.collect())
}

impl Finding {
    /// That it could not be checked, by the first file below the config folder that is named.
    fn unread(said: &str, config: &Path) -> Self {
        let config = format!("{}/", config.display());
        let file = said.split_once(&config).map_or("", |(_, rest)| rest);
        Self {
            kind: "exit status 4, no permission:".to_owned(),
            jails: FAULTY.to_owned(),
            place: file.split(':').next().unwrap_or_default().to_owned(),
            words: said.to_owned(),
        }
    }

    fn of(finding: &Value, config: &Path) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let file = text(&finding["file"]);
        let file = Path::new(&file);
        let file = file.strip_prefix(config).unwrap_or(file).display();
        let place = match finding["line"].as_u64() {
            Some(line) => format!("{file}:{line}"),
            None => file.to_string(),
        };
        let jails = finding["jails"].as_array().unwrap();
        let jails: Vec<_> = jails.iter().map(text).collect();
        Self {
            kind: text(&finding["kind"]),
            jails: jails.join(" "),
            place,
            words: text(&finding["words"]),
        }
    }
}

impl Ran {
    fn of(output: &Output) -> Self {
        let words = [&output.stdout[..], &output.stderr[..]].concat();
        Self {
            // `timeout` ends as what it kills.
            code: output.status.code().filter(|code| *code != 137),
            words: String::from_utf8_lossy(&words).into_owned(),
        }
    }

    fn cell(&self) -> String {
        self.code.map_or_else(|| "hangs".into(), |c| c.to_string())
    }
}

/// The truth: the jails whose failing lines lead to bans.
///
/// A jail without its threads is dead. One that has them is blind if it bans nobody while another
/// bans again and again.
fn protecting(f2b: &Fail2ban, row: &Row) -> BTreeSet<&'static str> {
    let threads = f2b.thread_names();
    let offend = |jail| {
        let ip = f2b.fresh_ip();
        if fs::metadata(f2b.jail_log(jail)).is_ok_and(|log| log.is_file()) {
            f2b.log_lines(jail, &format!("fail from {ip}"), 3);
        }
        ip
    };
    let offenders = JAILS.map(|jail| (jail, offend(jail)));
    let is_alive = |jail: &&str| {
        let name = if *jail == FAULTY { row.jail } else { jail };
        ["f2b/f.", "f2b/a."].iter().all(|kind| {
            let name = [kind.as_bytes(), name.as_bytes()].concat();
            let name = &name[..name.len().min(15)];
            threads.iter().any(|thread| thread == name)
        })
    };
    let alive: BTreeSet<_> = JAILS.into_iter().filter(is_alive).collect();
    let banned = || {
        let banned = offenders
            .iter()
            .filter(|(jail, ip)| f2b.is_banned_within(Duration::ZERO, jail, ip));
        banned.map(|(jail, _)| *jail).collect::<BTreeSet<_>>()
    };
    let begin = Instant::now();
    let limit = if alive.is_empty() { DEAD } else { GUARD };
    wait_until(limit, || {
        let seen = banned();
        let Some(control) = seen.first().filter(|_| seen != alive) else {
            return (seen == alive && !alive.is_empty()).then_some(());
        };
        let again = offend(control);
        let bans = f2b.is_banned_within(GUARD, control, &again);
        (bans && begin.elapsed() > BLIND).then_some(())
    });
    banned()
}

impl Seen {
    /// What is wrong with what was said, given what is true.
    pub(crate) fn faults(&self, verdict: Verdict) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                faults.push(what.to_owned());
            }
        };
        let all = BTreeSet::from(JAILS);
        let harm = self.reload.1 != all || self.start.1 != all;
        let refused = [&self.test, &self.reload.0, &self.start.0]
            .iter()
            .any(|ran| ran.code != Some(0))
            || self.test.words.contains("ERROR");
        let (code, findings) = &self.check;
        let found: Vec<_> = findings
            .iter()
            .map(|f| (f.kind.as_str(), f.jails.as_str(), f.place.as_str()))
            .collect();
        match verdict {
            Verdict::Works => {
                must(!harm, "it does harm");
                must(*code == 0 && found.is_empty(), "a false alarm");
            }
            Verdict::Beyond => {
                must(harm, "it does no harm");
                must(*code == 0 && found.is_empty(), "it was found");
            }
            Verdict::Denied(file) => {
                must(harm || refused, "it does no harm");
                let named = found.iter().any(|(.., place)| *place == file);
                must(*code == 4 && named, "not said to be unreadable");
            }
            Verdict::Found(told) => {
                must(harm || refused, "a false alarm");
                must(found == told, &format!("not found as {told:?}"));
                let is_fault = told
                    .iter()
                    .any(|(kind, ..)| !["log-awaited", "no-failregex"].contains(kind));
                must(*code == i32::from(is_fault), "the exit status");
            }
        }
        faults
    }

    /// What the file shows of it.
    pub(crate) fn cells(&self) -> [String; 4] {
        let (_, findings) = &self.check;
        let findings: Vec<_> = findings.iter().map(Finding::cell).collect();
        let check = if findings.is_empty() {
            "sound".to_owned()
        } else {
            findings.join(", ")
        };
        let truth = |(ran, jails): &Truth| {
            let jails = match jails.len() {
                0 => "none".to_owned(),
                3 => "all".to_owned(),
                _ => jails.iter().copied().collect::<Vec<_>>().join(", "),
            };
            format!("{}: {jails}", ran.cell())
        };
        [
            self.test.cell(),
            check,
            truth(&self.reload),
            truth(&self.start),
        ]
    }
}

impl Finding {
    fn cell(&self) -> String {
        let jails = match self.jails.as_str() {
            FAULTY => String::new(),
            "" => " (the whole config)".to_owned(),
            jails => format!(" ({})", jails.replace(' ', ", ")),
        };
        format!("{} `{}`{jails}", self.kind, self.place)
    }
}
