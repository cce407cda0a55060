//! From a fault until all jails that can protect do so again, against the bare minimum: that somebody who
//! waits for the fault and knows all about it stops the same daemon, starts it and sees its jails run.
//! The waits that the settings ask for are not counted. Where the config is at fault, it is read before a
//! start, with `fail2ban-client -d`, and where that does not tell, with `fail2ban-regex`; what a start alone takes
//! stands beside it.
//!
//! A jail protects when it has both its threads, which are looked for in `/proc`: a question to the
//! daemon would delay what is measured, as it serves its socket from the thread that loads its jails.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jailwarden::fail2ban::client::Connection;
use jailwarden::fail2ban::pickle::Value;
use jailwarden::fail2ban::process::{Pid, Process, Signal};
use jailwarden::fail2ban::threads::census;
use jailwarden::machine::Policy;
use jailwarden::settings::Settings;

use crate::plots::{self, Point};
use crate::support::real::GUARD;
use crate::support::real::daemon::{Fail2ban, JailSpec, Warden};
use crate::support::{Pairs, Plan, Table, client, median, row, supervise, time};

const JAILS: [&str; 3] = ["mail", "sshd", "web"];
/// What stands without `web`.
const OTHERS: [&str; 2] = ["mail", "sshd"];
const LIMIT: f64 = 1.15;
const ROUNDS: usize = 9;
/// Where the settings ask for waits, which take minutes in all.
const ROUNDS_OF_WAITS: usize = 7;
/// Between two looks at the threads.
const PACE: Duration = Duration::from_millis(5);
/// Long enough for jailwarden to hear that a file was written, and too short for it to settle.
const NOTICED: Duration = Duration::from_millis(50);
/// Between the reading and the start of a daemon that hangs: it is asked to end first.
const TERM: Duration = Policy::HUNG_GRACE.saturating_add(Policy::SAMPLE);
/// A timeout of 4 s is the least of which a look at a silent daemon makes full use.
const SETTINGS: &str = "settle: 100ms\nprobe:\n  interval: 3s\n  timeout: 4s\n  busy_limit: 8s\n\
                        restart:\n  comeback: 10s\n";

/// A fault, what it asks of jailwarden, and what is left afterwards.
struct Fault {
    name: &'static str,
    /// What has happened before, and is known.
    before: fn(&Fail2ban, &Warden),
    strike: fn(&Fail2ban),
    /// What has to pass by the settings and the policy in force.
    waits: fn(&Settings) -> Vec<(&'static str, Duration)>,
    proof: Proof,
    bare: Bare,
    /// How often the config has to be read before the start: to find what is wrong with it, and to see
    /// that what was done about it took hold.
    readings: usize,
    /// The filter that `fail2ban-regex` has to be run with to find it, as `-d` does not tell.
    filter: Option<&'static str>,
    /// The jails that can protect.
    jails: &'static [&'static str],
    /// A last known good config has to be there.
    needs_good: bool,
}

/// What shows that the jails protect again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Another process has all their threads.
    Another,
    /// The same process, in which something stood still or was missing, runs on with all their threads.
    Same,
}

/// The bare minimum.
#[derive(Clone, Copy)]
enum Bare {
    /// SIGKILL, where it is dead or cannot be asked; start.
    Kill,
    /// The same where it hangs and takes a processor for itself, also while its config is read.
    KillHung,
    /// SIGTERM, where there is no socket; start.
    Terminate,
    /// `stop` over the socket; start.
    Stop,
    /// fail2ban's own command for one jail.
    Reload,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "killed (SIGKILL), its socket and pid file left behind",
        before: nothing,
        strike: Fail2ban::kill,
        waits: |_| vec![],
        proof: Proof::Another,
        bare: Bare::Kill,
        readings: 0,
        filter: None,
        jails: &JAILS,
        needs_good: false,
    },
    Fault {
        name: "a regex that does not compile, and a crash at once",
        before: |f2b, _| {
            f2b.edit("filter.d/web.conf", "fail from", "fail [from");
            thread::sleep(NOTICED);
        },
        strike: Fail2ban::kill,
        waits: |_| vec![],
        proof: Proof::Another,
        bare: Bare::Kill,
        readings: 2,
        filter: Some("web"),
        jails: &OTHERS,
        needs_good: false,
    },
    Fault {
        name: "a log file that is missing, which was told, and a crash",
        before: |f2b, warden| {
            fs::remove_file(f2b.jail_log("web")).unwrap();
            f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
            warden.wait_for("is not applied");
        },
        strike: Fail2ban::kill,
        waits: |_| vec![],
        proof: Proof::Another,
        bare: Bare::Kill,
        readings: 1,
        filter: None,
        jails: &OTHERS,
        needs_good: false,
    },
    Fault {
        name: "a `jail.local` that does not parse, and a crash at once",
        before: |f2b, _| {
            f2b.write("jail.local", "junk\n[DEFAULT]\nfindtime = 10m\n");
            thread::sleep(NOTICED);
        },
        strike: Fail2ban::kill,
        waits: |_| vec![],
        proof: Proof::Another,
        bare: Bare::Kill,
        readings: 2,
        filter: None,
        jails: &JAILS,
        needs_good: true,
    },
    Fault {
        name: "an action that only a start shows to be broken, and a crash",
        before: |f2b, _| {
            f2b.write("action.d/own.py", "import nowhere\nclass Action:\n  pass\n");
            f2b.edit("jail.d/web.conf", "action = ", "action = own.py\n ");
            thread::sleep(NOTICED);
        },
        strike: Fail2ban::kill,
        waits: |settings| vec![("restart.comeback", settings.restart.comeback)],
        proof: Proof::Another,
        bare: Bare::Stop,
        readings: 3,
        filter: None,
        jails: &OTHERS,
        needs_good: false,
    },
    Fault {
        name: "stopped (SIGSTOP)",
        before: nothing,
        strike: Fail2ban::pause,
        waits: |settings| {
            let probe = settings.probe;
            vec![
                ("probe.interval", probe.interval),
                ("probe.timeout", probe.timeout),
            ]
        },
        proof: Proof::Same,
        bare: Bare::Kill,
        readings: 0,
        filter: None,
        jails: &JAILS,
        needs_good: false,
    },
    Fault {
        name: "hung in a regex",
        before: nothing,
        strike: |f2b| f2b.log_lines("web", &"x".repeat(60), 1),
        waits: |settings| {
            vec![
                ("probe.interval", settings.probe.interval),
                ("probe.busy_limit", settings.probe.busy_limit),
                ("what it is doing", Policy::DIAGNOSIS),
                ("SIGTERM", Policy::HUNG_GRACE),
                ("whether that is heeded", Policy::SAMPLE),
            ]
        },
        proof: Proof::Another,
        bare: Bare::KillHung,
        readings: 1,
        filter: None,
        jails: &OTHERS,
        needs_good: false,
    },
    Fault {
        name: "a jail's actions thread has ended",
        before: nothing,
        strike: |f2b| {
            fs::write(f2b.path("fatal"), "").unwrap();
            f2b.offend("web", &f2b.fresh_ip());
        },
        waits: |settings| {
            vec![
                ("probe.interval", settings.probe.interval),
                (
                    "seen thrice",
                    Policy::SUSPECT_PACE * (Policy::DEAD_LOOKS - 1),
                ),
            ]
        },
        proof: Proof::Same,
        bare: Bare::Reload,
        readings: 0,
        filter: None,
        jails: &JAILS,
        needs_good: false,
    },
    Fault {
        name: "its socket file removed",
        before: nothing,
        strike: |f2b| fs::remove_file(f2b.socket()).unwrap(),
        waits: |settings| vec![("restart.comeback", settings.restart.comeback)],
        proof: Proof::Another,
        bare: Bare::Terminate,
        readings: 0,
        filter: None,
        jails: &JAILS,
        needs_good: false,
    },
    Fault {
        name: "a bad time in `[DEFAULT]`, and a crash at once",
        before: |f2b, _| {
            f2b.write("jail.local", "[DEFAULT]\nfindtime = 10 parsecs\n");
            thread::sleep(NOTICED);
        },
        strike: Fail2ban::kill,
        waits: |_| vec![],
        proof: Proof::Another,
        bare: Bare::Kill,
        readings: 2,
        filter: None,
        jails: &JAILS,
        needs_good: true,
    },
];

/// `fail2ban-regex` with a line that is none of the filter's.
fn time_regex(f2b: &Fail2ban, filter: &str) -> Duration {
    let mut words = f2b.client_words();
    words.truncate(words.len() - 2);
    let regex = words.pop().unwrap().replace("client", "regex");
    words.push(regex);
    let filter = f2b.path(&format!("etc/filter.d/{filter}.conf"));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg("a line").arg(filter);
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let took = begun.elapsed();
    assert!(!output.status.success(), "{command:?}: {output:?}");
    took
}

fn nothing(_: &Fail2ban, _: &Warden) {}

pub(crate) fn run(plan: Plan) -> bool {
    let columns = [
        "fault",
        "rounds",
        "of it waits",
        "without them",
        "bare",
        "ratio",
        "range",
        "limit",
        "of a start alone",
        "all-clear",
    ];
    let mut table = Table::begin(
        plan,
        "from a fault to protection, without the waits of the settings / the bare minimum",
        &columns,
    );
    let scene = Scene::lay_out(plan);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for fault in FAULTS {
        let waits = !(fault.waits)(&scene.settings()).is_empty();
        if plan.smoke && waits || fault.needs_good && !scene.is_good {
            continue;
        }
        let rounds = match waits {
            _ if plan.smoke => 1,
            false => ROUNDS,
            true => ROUNDS_OF_WAITS,
        };
        let pairs = scene.measure(fault, &mut table, rounds);
        let name = fault.name.replace('`', "");
        let [our, theirs] = pairs.sides().map(|side| Point::new(&*name, side));
        ours.push(our);
        bare.push(theirs);
    }
    plots::keep(
        plan,
        "recovery",
        [("jailwarden", ours), ("the bare minimum", bare)],
    );
    table.end()
}

/// A fail2ban, and its config and jailwarden's state as they are before each fault.
struct Scene {
    f2b: Fail2ban,
    is_good: bool,
}

impl Scene {
    fn lay_out(plan: Plan) -> Self {
        let f2b = plan.empty_fail2ban();
        for jail in JAILS {
            f2b.jail(jail, &JailSpec::default());
        }
        f2b.edit(
            "filter.d/web.conf",
            "fail from <HOST>",
            "(?:fail from <HOST>|(?:x+x+)+y)$",
        );
        // The only way to end a thread of a real daemon: `SystemExit` is no `Exception` (server/actions.py).
        f2b.write(
            "action.d/fatal.py",
            "import os\n\
             from fail2ban.server.action import ActionBase\n\
             class Action(ActionBase):\n\
             \x20   def __init__(self, jail, name, fatal):\n\
             \x20       super(Action, self).__init__(jail, name)\n\
             \x20       self.fatal = fatal\n\
             \x20   def ban(self, aInfo):\n\
             \x20       if os.path.exists(self.fatal):\n\
             \x20           os.unlink(self.fatal)\n\
             \x20           raise SystemExit\n",
        );
        let fatal = format!(
            "action = fatal.py[fatal={}]\n ",
            f2b.path("fatal").display()
        );
        f2b.edit("jail.d/web.conf", "action = ", &fatal);
        let mut scene = Self {
            f2b,
            is_good: false,
        };
        scene.f2b.start();
        let mut warden = supervise(&scene.f2b, SETTINGS);
        if !plan.smoke {
            let state = scene.f2b.path("state");
            let kept = || {
                let memory = fs::read_to_string(state.join("state.json")).ok()?;
                (!memory.contains("\"good\":null")).then_some(())
            };
            let kept = crate::support::real::wait_until(2 * GUARD, kept);
            assert!(
                kept.is_some(),
                "nothing is kept as good: {:#?}",
                warden.lines()
            );
            scene.is_good = true;
        }
        assert_eq!(warden.end(), 0);
        scene.f2b.wipe();
        for (from, to) in [("etc", "etc.sound"), ("state", "state.good")] {
            copy(&scene.f2b.path(from), &scene.f2b.path(to));
        }
        scene
    }

    fn settings(&self) -> Settings {
        Settings::load(Some(&Warden::settings_file(&self.f2b))).unwrap()
    }

    /// As before all faults, and running.
    fn restore(&self) {
        self.f2b.wipe();
        for (from, to) in [("etc.sound", "etc"), ("state.good", "state")] {
            fs::remove_dir_all(self.f2b.path(to)).unwrap();
            copy(&self.f2b.path(from), &self.f2b.path(to));
        }
        for jail in JAILS {
            fs::write(self.f2b.jail_log(jail), "").unwrap();
        }
        self.f2b.start();
    }

    fn measure(&self, fault: &Fault, table: &mut Table, rounds: usize) -> Pairs {
        let waits = (fault.waits)(&self.settings());
        let waited: Duration = waits.iter().map(|(_, wait)| *wait).sum();
        let (mut said, mut protected, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        let age = Cell::default();
        let pairs = Pairs::run(
            rounds,
            || {
                let (seen, told, struck) = self.recover(fault);
                age.set(struck);
                protected.push(seen.saturating_sub(waited).as_secs_f64());
                said.push(told.saturating_sub(waited).as_secs_f64() * 1000.0);
                seen.saturating_sub(waited)
            },
            || {
                let (bare, alone) = self.bare(fault, age.get(), waited);
                starts.push(alone.as_secs_f64() * 1000.0);
                bare
            },
        );
        let waits: Vec<_> = waits
            .iter()
            .map(|(what, wait)| format!("{what} {}", humantime::format_duration(*wait)))
            .collect();
        let waits = if waits.is_empty() {
            "-".to_owned()
        } else {
            waits.join(" + ")
        };
        let [ours, bare, ratio, range, limit] = table.compared(&pairs, Some(LIMIT));
        // The first round is in vain.
        let alone = protected.iter().zip(&starts).skip(1);
        let alone: Vec<_> = alone.map(|(ours, start)| ours * 1000.0 / start).collect();
        let of_start = format!("{:.2}", median(&alone));
        row(&[
            fault.name.to_owned(),
            rounds.to_string(),
            waits,
            ours,
            bare,
            ratio,
            range,
            limit,
            of_start,
            format!("{:.1} ms", median(&said[1..])),
        ]);
        pairs
    }

    /// How long jailwarden takes from the fault until the jails protect, and until it says so; and how long
    /// the daemon had run when the fault struck it.
    fn recover(&self, fault: &Fault) -> (Duration, Duration, Duration) {
        self.restore();
        let mut warden = supervise(&self.f2b, SETTINGS);
        (fault.before)(&self.f2b, &warden);
        // With the end of a recovery its probes begin anew, so that the next is as far off as can be.
        if (fault.waits)(&self.settings())
            .iter()
            .any(|(what, _)| *what == "probe.interval")
        {
            self.f2b.kill();
            warden.wait_for("fail2ban protects again");
        }
        let old = self.f2b.pid();
        let age = self.age();
        let struck = Instant::now();
        (fault.strike)(&self.f2b);
        self.wait_protected(fault.proof, old, fault.jails);
        let protected = struck.elapsed();
        warden.wait_for("fail2ban protects again");
        let told = struck.elapsed();
        warden.kill();
        (protected, told, age)
    }

    /// The same by hand, of the daemon as jailwarden left it; and without the readings.
    fn bare(&self, fault: &Fault, age: Duration, waited: Duration) -> (Duration, Duration) {
        let f2b = &self.f2b;
        if matches!(fault.bare, Bare::Reload | Bare::Terminate) {
            // When its threads end after they were told to depends on where in their waits they are: each
            // looks ever more rarely, and then begins anew (`wait_for` in `server/utils.py` of 1.0.2).
            self.restore();
            thread::sleep(age.saturating_sub(self.age()));
            (fault.strike)(f2b);
            thread::sleep(waited);
        }
        if matches!(fault.bare, Bare::KillHung) {
            self.restore();
            (fault.strike)(f2b);
            // What a reading and a start need was used as long ago as jailwarden's waits have it.
            thread::sleep(waited.saturating_sub(TERM));
            // With this jail the next one would hang on the same line.
            f2b.write("jail.d/zzz.local", "[web]\nenabled = false\n");
        }
        let old = f2b.pid();
        if matches!(fault.bare, Bare::Reload) {
            let took = time(client(f2b, &["reload", "--restart", "web"]));
            return (took, took);
        }
        let process = Process::open(old).unwrap();
        let reading: Duration = (0..fault.readings)
            .map(|_| time(client(f2b, &["-d"])))
            .chain(fault.filter.map(|filter| time_regex(f2b, filter)))
            .sum();
        if matches!(fault.bare, Bare::KillHung) {
            thread::sleep(TERM);
        }
        let begun = Instant::now();
        match fault.bare {
            Bare::Stop => stop(&f2b.socket()),
            Bare::Terminate => process.signal(Signal::TERM).unwrap(),
            Bare::Kill | Bare::KillHung | Bare::Reload => process.signal(Signal::KILL).unwrap(),
        }
        while process.is_alive() {
            thread::sleep(Duration::from_millis(1));
        }
        // It belongs to nobody, and 1.0.2 would not start over it.
        let _ = fs::remove_file(f2b.socket());
        let mut start = client(f2b, &["-x", "start"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.wait_protected(Proof::Another, old, fault.jails);
        let took = begun.elapsed();
        start.wait().unwrap();
        (reading + took, took)
    }

    /// How long the daemon has run.
    fn age(&self) -> Duration {
        let written = fs::metadata(self.f2b.pid_file()).unwrap().modified();
        written.unwrap().elapsed().unwrap()
    }

    fn wait_protected(&self, proof: Proof, old: Pid, jails: &[&str]) {
        let jails: Vec<_> = jails.iter().map(|jail| (*jail).to_owned()).collect();
        let begun = Instant::now();
        let mut hurt = proof == Proof::Another;
        loop {
            let complete = self.complete(proof, old, &jails);
            hurt |= !complete;
            if hurt && complete {
                return;
            }
            assert!(
                begun.elapsed() < GUARD,
                "not protected\n{}",
                self.f2b.log_text()
            );
            thread::sleep(PACE);
        }
    }

    fn complete(&self, proof: Proof, old: Pid, jails: &[String]) -> bool {
        let file = fs::read_to_string(self.f2b.pid_file()).unwrap_or_default();
        let Some(pid) = file.trim().parse().ok().and_then(Pid::from_raw) else {
            return false;
        };
        if (pid == old) == (proof == Proof::Another) || is_stopped(pid) {
            return false;
        }
        census(pid).is_ok_and(|census| {
            census
                .judge(jails)
                .values()
                .all(|threads| threads.complete())
        })
    }
}

fn is_stopped(pid: Pid) -> bool {
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, fields)| fields.starts_with('T'))
}

fn stop(socket: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut connection = Connection::open(socket, GUARD).await.unwrap();
        connection
            .call(&[Value::Str("stop".to_owned())], GUARD)
            .await
            .unwrap();
    });
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}
