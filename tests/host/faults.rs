//! Each fault of the table is saved into a config under load: no other jail notices, the journal
//! names the line, and the mend is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::guarded::Guarded;
use crate::support::daemon::Version;
use crate::support::faults::table::TABLE;
use crate::support::faults::{self, FAULTY, JAILS, Row, Told, Verdict};
use crate::support::{GUARD, wait_until};

const CONFIG: &str = "etc/fail2ban";
const LOGS: &str = "/var/log";
/// The settle time is part of what is measured.
const SETTINGS: &str = "settle: 100ms\nprobe:\n  interval: 1s\n  timeout: 2s\n";
/// How often each jail meets a new offender.
const PACE: Duration = Duration::from_millis(250);

#[test]
fn one_after_another() {
    live_through(0);
}

#[test]
fn one_after_another_the_other_half() {
    live_through(1);
}

/// What a living config can receive and fail2ban would refuse, every second row from `first` on.
fn refused_rows(first: usize) -> impl Iterator<Item = (&'static Row, Told)> {
    let rows = TABLE.iter().flat_map(|group| group.rows);
    let refused = rows.filter_map(|row| match row.verdict(Version::V102) {
        Verdict::Found(told) if row.without.is_none() => Some((row, told[0])),
        _ => None,
    });
    let refused = refused.filter(|(row, (kind, ..))| {
        row.is_of_config() && !["no-failregex", "not-boolean"].contains(kind)
    });
    refused.skip(first).step_by(2)
}

fn live_through(first: usize) {
    let Some(scene) = Scene::begin() else { return };
    let journal = Journal::follow(&scene.host);
    let others = JAILS.into_iter().filter(|jail| *jail != FAULTY);
    let threads: BTreeMap<_, _> = others.map(|jail| (jail, scene.threads(jail))).collect();
    assert!(threads.values().all(|threads| threads.len() == 2));
    let root = scene.root.as_path();
    let (over, mut times) = (AtomicBool::new(false), Vec::new());
    let delays = thread::scope(|scope| {
        let load = scope.spawn(|| load(root, &over));
        // Also if this fails.
        let end = End(&over);
        for (nth, (row, told)) in refused_rows(first).enumerate() {
            times.push(scene.fault_and_mend(&journal, row, told, nth));
            for (jail, before) in &threads {
                assert_eq!(scene.threads(jail), *before, "{}: {jail}", row.name);
            }
        }
        drop(end);
        load.join().unwrap()
    });
    scene.host.wait_protects(FAULTY);
    scene.report(times, delays);
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A host whose fail2ban has the table's working config.
struct Scene {
    host: Guarded,
    root: PathBuf,
    fail2ban: String,
}

impl Scene {
    fn begin() -> Option<Self> {
        let host = Guarded::install()?;
        host.write("/etc/jailwarden/jailwarden.yaml", SETTINGS);
        host.sh("rm /etc/fail2ban/jail.d/*");
        host.write_mark();
        let root = host.root();
        faults::lay_out(&root.join(CONFIG), LOGS, &root.join("var/log"));
        host.sh("systemctl start fail2ban");
        for jail in JAILS {
            host.wait_protects(jail);
        }
        host.sh("systemctl start jailwarden");
        host.wait_said("supervision begins: fail2ban runs");
        let fail2ban = host.main_pid("fail2ban");
        Some(Self {
            host,
            root,
            fail2ban,
        })
    }

    /// The numbers of a jail's threads.
    fn threads(&self, jail: &str) -> BTreeSet<String> {
        let tasks = self.root.join("proc").join(&self.fail2ban).join("task");
        let wanted = [format!("f2b/f.{jail}"), format!("f2b/a.{jail}")];
        let is_of = |task: &Path| {
            let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
            wanted.iter().any(|wanted| wanted == name.trim_end())
        };
        let tasks = fs::read_dir(tasks)
            .unwrap()
            .map(|task| task.unwrap().path());
        let own = tasks.filter(|task| is_of(task));
        own.map(|task| task.file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    }

    /// Saves a fault, then its mend with a change of its own, and gives the time from there until
    /// that was applied.
    fn fault_and_mend(
        &self,
        journal: &Journal,
        row: &Row,
        (_, jails, place): Told,
        nth: usize,
    ) -> (Duration, &'static str) {
        let (config, logs) = (self.root.join(CONFIG), self.root.join("var/log"));
        row.save(&config, LOGS, &logs);
        let refused = journal.wait(row, "is not applied");
        let (file, line) = place.split_once(':').unwrap_or((place, ""));
        let expected = (format!("/{CONFIG}/{file}"), line.to_owned());
        let named = (
            refused.field("JAILWARDEN_FILE"),
            refused.field("JAILWARDEN_LINE"),
        );
        assert_eq!(named, expected, "{}: {refused:?}", row.name);
        let names_jail = jails.is_empty()
            || refused
                .message()
                .contains(&format!("jail {}", first(jails)));
        assert!(names_jail, "{}: {refused:?}", row.name);
        assert!(
            refused.message().contains(place),
            "{}: {refused:?}",
            row.name
        );

        let saved = SystemTime::now();
        row.mend(&config, LOGS, &logs);
        // Before all that a fault is in, so that it hides none.
        let change = format!("[{FAULTY}]\nignoreip = 192.0.2.{nth}\n");
        fs::write(config.join("jail.d/00.local"), change).unwrap();
        let applied = journal.wait(row, "config change applied: ");
        assert!(
            applied
                .message()
                .contains(&format!("applied: loaded {FAULTY};")),
            "{}: {applied:?}",
            row.name
        );
        (applied.time.duration_since(saved).unwrap(), row.name)
    }

    /// Nothing but what was asked for has happened, and how long it took.
    fn report(&self, mut times: Vec<(Duration, &str)>, mut delays: Vec<Duration>) {
        assert_eq!(self.host.main_pid("fail2ban"), self.fail2ban);
        let said = self.host.said();
        for never in ["disabled so that", "restarts it", "does not protect"] {
            assert!(!said.contains(never), "{never:?} was said:\n{said}");
        }
        times.sort_unstable();
        delays.sort_unstable();
        let mut text = String::new();
        let (most, row) = times[times.len() - 1];
        let (middle, _) = times[times.len() / 2];
        writeln!(
            text,
            "{} faults; from the save of a mend to applied: {middle:?} in the middle, {most:?} at most ({row})",
            times.len()
        )
        .unwrap();
        writeln!(
            text,
            "{} bans of the others meanwhile: after {:?} in the middle, {:?} at most",
            delays.len(),
            delays[delays.len() / 2],
            delays[delays.len() - 1]
        )
        .unwrap();
        eprint!("{text}");
    }
}

/// Lets each of the other jails meet a new offender again and again, and sees to it that each is
/// banned. Gives how long the bans took.
fn load(root: &Path, over: &AtomicBool) -> Vec<Duration> {
    let mut met: BTreeMap<String, Instant> = BTreeMap::new();
    let mut delays = Vec::new();
    for number in 0_u32.. {
        let ending = over.load(Ordering::Relaxed);
        if !ending {
            for jail in JAILS.iter().filter(|jail| **jail != FAULTY) {
                let [.., b, c, d] = number.to_be_bytes();
                let ip = format!("10.{b}.{c}.{d}");
                offend(root, jail, &ip);
                met.insert(format!("{jail} {ip}"), Instant::now());
            }
        }
        let marks = fs::read_to_string(root.join("var/log/bans")).unwrap();
        for mark in marks.lines() {
            delays.extend(met.remove(mark).map(|met| met.elapsed()));
        }
        let never = met.iter().find(|(_, met)| met.elapsed() > GUARD);
        assert_eq!(never, None, "an offender is never banned");
        if ending && met.is_empty() {
            break;
        }
        thread::sleep(PACE);
    }
    delays
}

fn offend(root: &Path, jail: &str, ip: &str) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let line = format!("{} fail from {ip}\n", now.unwrap().as_secs());
    let log = faults::log(&root.join("var/log"), jail);
    let mut log = OpenOptions::new().append(true).open(log).unwrap();
    log.write_all(line.repeat(3).as_bytes()).unwrap();
}

fn first(jails: &str) -> &str {
    jails.split(' ').next().unwrap()
}

/// jailwarden's records as they come.
struct Journal {
    follower: Child,
    records: Receiver<Record>,
}

#[derive(Debug)]
struct Record {
    fields: Value,
    time: SystemTime,
}

impl Record {
    fn field(&self, name: &str) -> String {
        self.fields[name].as_str().unwrap_or_default().to_owned()
    }

    fn message(&self) -> String {
        self.field("MESSAGE")
    }
}

impl Journal {
    fn follow(host: &Guarded) -> Self {
        let mut follower = host
            .inside(&["journalctl", "--follow", "--lines", "0", "--output", "json"])
            .args(["--identifier", "jailwarden"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        let (to, records) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let fields: Value = serde_json::from_str(&line).unwrap();
                let micros = fields["__REALTIME_TIMESTAMP"].as_str().unwrap().parse();
                let time = SystemTime::UNIX_EPOCH + Duration::from_micros(micros.unwrap());
                if to.send(Record { fields, time }).is_err() {
                    break;
                }
            }
        });
        let journal = Self { follower, records };
        journal.wait_ready(host);
        journal
    }

    /// Waits until what is said is heard.
    fn wait_ready(&self, host: &Guarded) {
        let heard = wait_until(GUARD, || {
            host.sh("echo heard | systemd-cat --identifier jailwarden");
            let next = self.records.recv_timeout(Duration::from_millis(500)).ok()?;
            (next.message() == "heard").then_some(())
        });
        assert!(heard.is_some(), "journalctl --follow says nothing");
    }

    /// The next record that holds `words`.
    fn wait(&self, row: &Row, words: &str) -> Record {
        let begin = Instant::now();
        let mut others = Vec::new();
        loop {
            match self
                .records
                .recv_timeout(GUARD.saturating_sub(begin.elapsed()))
            {
                Ok(record) if record.message().contains(words) => return record,
                Ok(record) => others.push(record.message()),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{}: no {words:?} but {others:#?}", row.name)
                }
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.follower.kill();
        let _ = self.follower.wait();
    }
}
