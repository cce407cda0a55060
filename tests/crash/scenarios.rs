//! The recoveries, each with its fault and its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::kill::at_each_step_of;
use crate::support::daemon::{Fail2ban, JailSpec, Warden};
use crate::support::{GUARD, wait_until};

const BAD: &str = "fail [from";
const SOUND: &str = "fail from";
/// A daemon has so many times the time to come back that it took at first: the machine may be busier
/// by then, and a start that comes to nothing lasts as long.
const PATIENCE: u32 = 3;
const LEAST: Duration = Duration::from_secs(10);

/// A recovery.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The jails whose truth is looked at.
    pub(crate) jails: &'static [&'static str],
    /// Of these, those that nothing is wrong with: how often they are started must be the same.
    pub(crate) untouched: &'static [&'static str],
    /// Lays out config and state.
    pub(crate) lay_out: fn(&Fail2ban),
    /// What systemd is told when jailwarden has taken its first look.
    begins: &'static str,
    /// The fault.
    pub(crate) happens: fn(&Stage),
    /// What of the state file is otherwise only until the next start.
    pub(crate) passing: &'static [&'static str],
    /// What systemd is told in the end.
    pub(crate) ends: &'static str,
    /// How long it takes until nothing more is done after that.
    pub(crate) calm: Duration,
}

impl Scenario {
    const fn new(name: &'static str, happens: fn(&Stage), ends: &'static str) -> Self {
        Self {
            name,
            jails: &["mail", "web"],
            untouched: &["mail"],
            lay_out: two_jails,
            begins: "STATUS=healthy: 2 of 2 jails protect",
            happens,
            passing: &[],
            ends,
            calm: Duration::from_millis(300),
        }
    }
}

/// A fail2ban and the jailwarden that watches it.
pub(crate) struct Stage {
    // It is ended before the folder is removed in which it is told to.
    warden: Option<Warden>,
    pub(crate) f2b: Fail2ban,
    before: Vec<String>,
    settings: String,
    start: Vec<String>,
    comeback: Duration,
    pub(crate) truth: BTreeMap<String, bool>,
    /// How many lines systemd had been told when the fault came.
    told: usize,
}

impl Stage {
    pub(crate) fn set(f2b: Fail2ban, scenario: &Scenario) -> Self {
        let gated = format!(
            "if test -e {gate}; then . {gate}; fi; exec {client} -x start",
            gate = f2b.path("gate").display(),
            client = f2b.client_words().join(" ")
        );
        fs::write(f2b.path("start"), gated).unwrap();
        let start = vec!["sh".to_owned(), f2b.path("start").display().to_string()];
        let settings = |comeback: Duration| {
            let comeback = comeback.as_millis();
            format!(
                "settle: 100ms\nprobe:\n  interval: 1s\n  timeout: 1s\n  busy_limit: 5s\n\
                 restart:\n  comeback: {comeback}ms\n  stop_timeout: 20s\n"
            )
        };
        let mut stage = Self {
            f2b,
            warden: None,
            before: Vec::new(),
            settings: settings(GUARD),
            start,
            comeback: GUARD,
            truth: BTreeMap::new(),
            told: 0,
        };
        // It starts the daemon, so that the config is proven to start.
        let begun = Instant::now();
        stage.start_again();
        stage.warden().wait_told(scenario.begins);
        stage.comeback = LEAST.max(PATIENCE * begun.elapsed());
        let kept = stage.f2b.path("state/state.json");
        let is_proven = || {
            let text = fs::read_to_string(&kept).unwrap_or_default();
            let proven = text.contains("\"proven\":{") && text.contains("\"start\":null");
            proven.then_some(())
        };
        assert!(wait_until(GUARD, is_proven).is_some());
        stage.warden().end();
        stage.settings = settings(stage.comeback);
        stage.start_again();
        stage.warden().wait_told(scenario.begins);
        stage.warden().wait_calm();
        stage.told = stage.warden().told().len();
        stage
    }

    /// Starts jailwarden, after it was killed.
    pub(crate) fn start_again(&mut self) {
        if let Some(dead) = self.warden.take() {
            self.before = dead.lines();
        }
        self.told = 0;
        let warden = Warden::start_with(&self.f2b, &self.start, &self.settings);
        self.warden = Some(warden);
    }

    /// How long what is waited for may take: a few starts that come to nothing among it.
    pub(crate) fn guard(&self) -> Duration {
        GUARD + 8 * self.comeback
    }

    pub(crate) fn warden(&mut self) -> &mut Warden {
        self.warden.as_mut().unwrap()
    }

    /// Whether that is what systemd was told last, since the fault.
    pub(crate) fn is_told(&self, text: &str) -> bool {
        let told = self.warden.as_ref().unwrap().told();
        let status = |line: &&String| line.starts_with("STATUS=");
        let mut news = told.iter().skip(self.told);
        news.rfind(status).is_some_and(|line| line == text)
    }

    pub(crate) fn said(&self) -> String {
        let now = self.warden.as_ref().unwrap().lines();
        let all = self.before.iter().map(|line| format!("  1| {line}\n"));
        all.chain(now.iter().map(|line| format!("  2| {line}\n")))
            .collect()
    }

    pub(crate) fn story(&self, wanted: &str, killed: &str) -> String {
        let told = self.warden.as_ref().unwrap().told().join("\n");
        format!(
            "killed {killed}: no {wanted:?}\n{}\n{told}\n{}",
            self.said(),
            self.f2b.log_text()
        )
    }

    fn jailwarden(&self, words: &[&str]) {
        let done = Command::new(env!("CARGO_BIN_EXE_jailwarden"))
            .args(words)
            .arg("--config")
            .arg(Warden::settings_file(&self.f2b))
            .output()
            .unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
    }

    /// From now on a start comes to nothing until these rollbacks stand.
    fn close_until(&self, rollbacks: &[&str]) {
        let test = |jail: &&str| format!("test -e {} && ", self.f2b.rollback(jail).display());
        let tests: String = rollbacks.iter().map(test).collect();
        let gate = format!("{tests} true || exit 1\n");
        fs::write(self.f2b.path("gate"), gate).unwrap();
    }
}

fn two_jails(f2b: &Fail2ban) {
    for jail in ["mail", "web"] {
        f2b.jail(jail, &JailSpec::default());
    }
}

fn three_jails(f2b: &Fail2ban) {
    two_jails(f2b);
    f2b.jail("api", &JailSpec::default());
}

/// The state file of a jailwarden that ran before.
fn remember(f2b: &Fail2ban, memory: &str) {
    let state = f2b.path("state");
    fs::create_dir_all(&state).unwrap();
    let text = format!("{{\"version\":1,\"memory\":{{{memory}}}}}");
    fs::write(state.join("state.json"), text).unwrap();
}

/// The config is kept as good.
fn two_good_jails(f2b: &Fail2ban) {
    two_jails(f2b);
    f2b.keep_as_good();
}

/// `web` is disabled by a rollback, for a fault that is still there.
fn one_rolled_back(f2b: &Fail2ban) {
    two_jails(f2b);
    f2b.edit("filter.d/web.conf", SOUND, BAD);
    let name = jailwarden::rollback::JailName::new("web").unwrap();
    let why = jailwarden::rollback::Why {
        when: "2026-11-25T00:00:00Z".into(),
        reason: "it does not compile".into(),
        incident: None,
    };
    jailwarden::rollback::write(&f2b.config(), &name, &why).unwrap();
}

/// A Python action can end its jail's actions thread (`server/actions.py` catches `Exception`, which
/// `SystemExit` is not). As long as `fatal` is there, each ban of web does.
fn with_a_fatal_action(f2b: &Fail2ban, once: bool) {
    let fatal = f2b.path("fatal");
    let unlink = if once {
        "            os.unlink(self.fatal)\n"
    } else {
        ""
    };
    let action = format!(
        "import os\n\
         from fail2ban.server.action import ActionBase\n\
         class Action(ActionBase):\n\
         \x20   def __init__(self, jail, name, fatal):\n\
         \x20       super(Action, self).__init__(jail, name)\n\
         \x20       self.fatal = fatal\n\
         \x20   def ban(self, aInfo):\n\
         \x20       if os.path.exists(self.fatal):\n\
         {unlink}\
         \x20           raise SystemExit\n"
    );
    f2b.write("action.d/fatal.py", &action);
    two_jails(f2b);
    let both = format!("action = fatal.py[fatal={}]\n ", fatal.display());
    f2b.edit("jail.d/web.conf", "action = ", &both);
}

fn one_fatal_ban(f2b: &Fail2ban) {
    with_a_fatal_action(f2b, true);
}

/// `web` passed its trial, and is to prove itself.
fn on_probation(f2b: &Fail2ban) {
    with_a_fatal_action(f2b, false);
    remember(f2b, "\"mends\":{\"web\":{\"on_probation\":true}}");
}

/// A folder stands where the database was: fail2ban finds that out at once, as it does not find a lock.
fn block_database(f2b: &Fail2ban) -> PathBuf {
    let database = f2b.path("fail2ban.sqlite3");
    let _ = fs::rename(&database, f2b.path("away.sqlite3"));
    fs::create_dir(&database).unwrap();
    database
}

/// The database is in memory, as its file could not be written.
fn in_memory(f2b: &Fail2ban) {
    two_jails(f2b);
    let database = block_database(f2b);
    let why = jailwarden::rollback::Why {
        when: "2026-11-25T00:00:00Z".into(),
        reason: "it is no file".into(),
        incident: None,
    };
    jailwarden::rollback::keep_in_memory(&f2b.config(), &database, &why).unwrap();
}

fn crash(stage: &Stage) {
    stage.f2b.kill();
}

/// It is stopped again whenever it is told to go on, until it is killed.
fn hang(stage: &Stage) {
    let pid = stage.f2b.pid();
    kill_process(pid, Signal::STOP).unwrap();
    thread::spawn(move || {
        while kill_process(pid, Signal::STOP).is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
}

fn lose_a_thread(stage: &Stage) {
    fs::write(stage.f2b.path("fatal"), "").unwrap();
    stage.f2b.offend("web", &stage.f2b.fresh_ip());
}

fn change(stage: &Stage) {
    let f2b = &stage.f2b;
    f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
}

fn faulty_change_and_crash(stage: &Stage) {
    stage.f2b.edit("filter.d/web.conf", SOUND, BAD);
    stage.f2b.kill();
}

fn junk_and_crash(stage: &Stage) {
    stage.f2b.write("jail.local", "junk\n");
    stage.f2b.kill();
}

/// Two jails change, and without both of them it starts.
fn two_changes_that_break_the_start(stage: &Stage) {
    stage.close_until(&["api", "web"]);
    for jail in ["api", "web"] {
        let file = format!("jail.d/{jail}.conf");
        stage.f2b.edit(&file, "maxretry = 3", "maxretry = 2");
    }
    stage.f2b.kill();
}

/// What keeps it down is not in the config, so nothing that is taken away helps.
fn change_and_a_start_that_never_works(stage: &Stage) {
    change(stage);
    fs::write(stage.f2b.path("gate"), "exit 1\n").unwrap();
    stage.f2b.kill();
}

/// The start command goes on without whoever gave it, and nothing is to be seen of the daemon at first.
fn crash_and_a_start_that_takes_long(stage: &Stage) {
    fs::write(stage.f2b.path("gate"), "sleep 3\n").unwrap();
    stage.f2b.kill();
}

/// Nothing starts it, until every way has failed; then it works again.
fn give_up_and_retry(stage: &Stage) {
    fs::write(stage.f2b.path("gate"), "exit 1\n").unwrap();
    stage.f2b.kill();
    let gate = stage.f2b.path("gate");
    // The first start has failed once its time is up; the retry comes ten seconds after that.
    let until = stage.comeback + Duration::from_secs(2);
    thread::spawn(move || {
        thread::sleep(until);
        let _ = fs::remove_file(gate);
    });
}

fn mended(stage: &Stage) {
    stage.f2b.edit("filter.d/web.conf", BAD, SOUND);
}

fn block_database_and_crash(stage: &Stage) {
    block_database(&stage.f2b);
    stage.f2b.kill();
}

fn free_database(stage: &Stage) {
    fs::remove_dir(stage.f2b.path("fail2ban.sqlite3")).unwrap();
}

/// Its pages are broken, which fail2ban finds out too late to make another.
fn damage_database_and_crash(stage: &Stage) {
    let database = stage.f2b.path("fail2ban.sqlite3");
    let mut content = fs::read(&database).unwrap();
    content[8192..].fill(0xde);
    stage.f2b.kill();
    fs::write(&database, content).unwrap();
}

/// fail2ban is restarted without it, so that it can take the change.
fn garbage_for_a_database_and_a_change(stage: &Stage) {
    fs::write(stage.f2b.path("fail2ban.sqlite3"), [0xad; 9000]).unwrap();
    change(stage);
}

fn pause_and_crash(stage: &Stage) {
    stage.jailwarden(&["pause", "--for", "3s", "--reason", "a test"]);
    wait_until(GUARD, || {
        let told = stage.warden.as_ref().unwrap().told();
        told.last()?.starts_with("STATUS=paused").then_some(())
    });
    stage.f2b.kill();
}

const HEALTHY: &str = "STATUS=healthy: 2 of 2 jails protect";
const IN_MEMORY: &str = "STATUS=degraded: 2 of 2 jails protect; the database is in memory, as its file could not be written";
const ROLLED_BACK: &str = "STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: web";

#[test]
fn a_crash() {
    at_each_step_of(&Scenario::new("a crash", crash, HEALTHY));
}

#[test]
fn a_start_that_takes_long() {
    let name = "a start that takes long";
    at_each_step_of(&Scenario::new(
        name,
        crash_and_a_start_that_takes_long,
        HEALTHY,
    ));
}

#[test]
fn a_hang() {
    at_each_step_of(&Scenario::new("a hang", hang, HEALTHY));
}

#[test]
fn a_jail_without_a_thread() {
    at_each_step_of(&Scenario {
        lay_out: one_fatal_ban,
        // A try that was on disk before it was made counts though a kill came between.
        passing: &["revived"],
        ..Scenario::new("a jail without a thread", lose_a_thread, HEALTHY)
    });
}

#[test]
fn a_change() {
    at_each_step_of(&Scenario::new("a change", change, HEALTHY));
}

#[test]
fn a_faulty_change_and_a_crash() {
    let name = "a faulty change and a crash";
    at_each_step_of(&Scenario::new(name, faulty_change_and_crash, ROLLED_BACK));
}

#[test]
fn a_file_that_does_not_parse_and_a_crash() {
    at_each_step_of(&Scenario {
        lay_out: two_good_jails,
        ..Scenario::new(
            "a file that does not parse and a crash",
            junk_and_crash,
            HEALTHY,
        )
    });
}

#[test]
fn several_jails_at_once() {
    at_each_step_of(&Scenario {
        jails: &["api", "mail", "web"],
        lay_out: three_jails,
        begins: "STATUS=healthy: 3 of 3 jails protect",
        ..Scenario::new(
            "several jails at once",
            two_changes_that_break_the_start,
            "STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: api, web",
        )
    });
}

#[test]
fn everything_in_vain() {
    at_each_step_of(&Scenario {
        lay_out: two_good_jails,
        passing: &["accepted", "start"],
        calm: Duration::from_secs(2),
        ..Scenario::new(
            "everything in vain",
            change_and_a_start_that_never_works,
            "STATUS=gave up: fail2ban is DOWN (tried 1 times); it is tried again by itself",
        )
    });
}

#[test]
fn given_up_and_tried_again() {
    at_each_step_of(&Scenario {
        ..Scenario::new("given up and tried again", give_up_and_retry, HEALTHY)
    });
}

#[test]
#[ignore = "a minute more; JAILWARDEN_ALL=1 make test"]
fn a_database_that_cannot_be_written_and_a_crash() {
    at_each_step_of(&Scenario::new(
        "a database that cannot be written and a crash",
        block_database_and_crash,
        IN_MEMORY,
    ));
}

/// fail2ban is restarted with it, once.
#[test]
fn a_database_that_can_be_written_again() {
    at_each_step_of(&Scenario {
        lay_out: in_memory,
        begins: IN_MEMORY,
        ..Scenario::new(
            "a database that can be written again",
            free_database,
            HEALTHY,
        )
    });
}

#[test]
#[ignore = "a minute more; JAILWARDEN_ALL=1 make test"]
fn a_damaged_database_and_a_crash() {
    at_each_step_of(&Scenario::new(
        "a damaged database and a crash",
        damage_database_and_crash,
        HEALTHY,
    ));
}

#[test]
fn garbage_for_a_database() {
    at_each_step_of(&Scenario::new(
        "garbage for a database",
        garbage_for_a_database_and_a_change,
        HEALTHY,
    ));
}

#[test]
fn a_mend() {
    at_each_step_of(&Scenario {
        lay_out: one_rolled_back,
        begins: ROLLED_BACK,
        ..Scenario::new("a mend", mended, HEALTHY)
    });
}

#[test]
fn a_probation_that_fails() {
    at_each_step_of(&Scenario {
        lay_out: on_probation,
        ..Scenario::new("a probation that fails", lose_a_thread, ROLLED_BACK)
    });
}

#[test]
fn a_pause_and_a_crash() {
    at_each_step_of(&Scenario::new(
        "a pause and a crash",
        pause_and_crash,
        HEALTHY,
    ));
}
