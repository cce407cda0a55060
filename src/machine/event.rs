//! What the machine is told: a closed set of events, each a plain value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::{Command, CommandId};
use super::plan::Plan;
use super::policy::Policy;

/// Names an [`super::Action`], so that its outcome finds its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u64);

impl ActionId {
    /// Of a step whose action has no id yet: ids begin at 1 ([`super::Machine`]).
    pub(super) const NONE: Self = Self(0);
}

/// Everything that can happen to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The deadline of `poll_timeout` has passed.
    Timeout,
    /// Something was seen from outside, without being asked for.
    Observed(Observed),
    /// An action has ended.
    Done {
        /// The action's id.
        id: ActionId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A person at the command line asked for something.
    Operator(Operator),
    /// The settings were read again and are sound.
    SettingsChanged(Policy),
    /// jailwarden was told to end.
    Shutdown,
}

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// Do nothing but watch.
    Pause {
        /// For how long; without an end if none is given.
        left: Option<Duration>,
        /// Who wants it, and why.
        why: String,
    },
    /// Go on.
    Resume,
    /// Do something, and say how it went.
    Do(CommandId, Command),
}

/// A sign from outside. Each is a hint that something should be looked at afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// Something under the config folder may have changed.
    ConfigTouched,
    /// Something outside the config folder that the config depends on has changed.
    ConfigStale,
    /// Packages were installed, upgraded or removed: fail2ban, Python or what an action runs may be
    /// another now.
    PackagesChanged,
    /// The socket file may have come or gone.
    SocketMoved,
    /// The daemon's process has ended (its pidfd says so).
    DaemonExited {
        /// Its process id.
        pid: u32,
    },
}

/// How an action ended. Every action has one, but for a look or an apply that a later one has replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of `Look`.
    Seen(Sight),
    /// Of `ReadConfig`.
    Config(ConfigRead),
    /// Of `Apply`.
    Applied(Applied),
    /// Of `TryMend`: how each jail fares without its rollback, or why there is no telling.
    Tried(Result<BTreeMap<String, Trial>, String>),
    /// Of `AskStop`: what the daemon said.
    StopAsked(StopAnswer),
    /// Of `PutBack`: what was done, or why not. Of `FindPutBack`: what was found, or why there is no
    /// telling.
    PutBack(Result<PutBack, String>),
    /// Of `FindRollbacks`: the jails of which a rollback file of ours stands, or why there is no telling.
    Rollbacks(Result<BTreeSet<String>, String>),
    /// Of `PutBack`: what was done before it failed, and why it failed.
    HalfPutBack(PutBack, String),
    /// Of `Signal`, `EndCommands`, `Start`, `WriteRollback`, `KeepInMemory`, `TakeBack`, `Keep`, `Save` and
    /// `EndPause`: done, or why not.
    Effect(Result<(), String>),
    /// Of `SetAside` and `FindAside`: where the database lies now, none if there was nothing to move or it was not
    /// moved; or why not.
    Aside(Result<Option<PathBuf>, String>),
    /// Of `Start`: somebody else had systemd stop the daemon meanwhile; it was not started.
    Forestalled(String),
    /// Of `Start`: the config is another than was known; it was not started.
    ConfigMoved,
    /// Of `Start`: somebody else had started it meanwhile, with what was on disk at that time.
    Overtaken,
    /// Of `Sample`: whether the process moved.
    Motion(Motion),
    /// Of `Diagnose`: what the process was doing.
    Diagnosis(Diagnosis),
    /// Of `FindCulprit`.
    Verdict(Verdict),
    /// The shell lost the action; the machine goes on as if it had failed.
    Lost,
}

/// One look at the daemon: the health probe's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// What was found at the socket.
    pub daemon: Daemon,
    /// What systemd says, where a unit runs fail2ban and the daemon did not answer, or the look was to ask.
    pub unit: Option<Unit>,
    /// It is a new process, and systemd started it by itself since the one before had died
    /// (`NRestarts` of `systemctl show` rose).
    pub revived: bool,
    /// Packages are being installed just now; not looked at where the daemon is silent.
    pub packages: bool,
    /// It does not answer, and for some seconds nothing was left of it that acts, nor did it do anything; looked
    /// at only while systemd stops it.
    pub idle: bool,
    /// What was seen beside who is alive.
    pub health: Health,
}

/// The daemon as a look finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Daemon {
    /// It answered in time.
    Answers {
        /// The peer of its socket.
        pid: u32,
        /// How long the ping took.
        ping: Duration,
        /// The jails that its `status` lists.
        listed: BTreeSet<String>,
        /// Of the jails listed, those without both their threads.
        dead: BTreeSet<String>,
    },
    /// It listens but did not answer within `probe.timeout`.
    Silent {
        /// The peer of its socket, if it is known.
        pid: Option<u32>,
        /// What its process did meanwhile.
        motion: Motion,
    },
    /// Nobody listens at the socket.
    Absent {
        /// A daemon that lives all the same and cannot be asked (its socket file was removed).
        process: Option<u32>,
        /// A socket or pid file was left behind, as a crash does and a clean stop does not.
        traces: bool,
        /// Why it cannot be reached, in the system's words.
        why: String,
    },
}

/// What a process did between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// Stopped by a signal (SIGSTOP, a terminal).
    Stopped,
    /// It used no processor time at all.
    Frozen,
    /// It used processor time; its threads and children are the same.
    Busy,
    /// Its threads or children changed: it gets on with something.
    Progressing,
}

/// systemd's view of the unit, as `systemctl show` has it (systemd 252).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are facts that do not exclude each other"
)]
pub struct Unit {
    /// `LoadState`.
    pub load: String,
    /// `ActiveState`.
    pub active: ActiveState,
    /// `SubState`, such as `running`, `auto-restart`, `dead`.
    pub sub: String,
    /// `Result`, such as `success`, `exit-code`, `signal`, `start-limit-hit`.
    pub result: String,
    /// `ExecMainCode`: how the main process ended.
    pub main_code: ExitKind,
    /// `ExecMainStatus`: its exit status, or the signal's number.
    pub main_status: i32,
    /// A job (start, stop, restart) is queued or running.
    pub job: bool,
    /// That job is a restart, or a start that waits for the end of a stop: who asked for it wants the daemon to run.
    pub restarts: bool,
    /// systemd ended it by itself, as a time of its unit was over that is none of a stop: `TimeoutStartSec=`, or
    /// `RuntimeMaxSec=`.
    pub timed_out: bool,
    /// How long systemd still waits for the end of a stop (`TimeoutStopUSec`), if one is under way and has one.
    pub stop_left: Option<Duration>,
    /// `UnitFileState` is `disabled`: nothing starts it by itself.
    pub disabled: bool,
}

impl Unit {
    /// Whether systemd refuses to start it, whoever asks.
    pub(super) fn is_masked(&self) -> bool {
        self.load == "masked"
    }

    /// Whether systemd stops it by a job, as also for a restart. The job of a start that took too long lasts until
    /// what was started has ended (252).
    pub(crate) fn is_being_stopped(&self) -> bool {
        self.job && self.active == ActiveState::Deactivating && !self.timed_out
    }
}

/// systemd's `ActiveState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveState {
    /// Running.
    Active,
    /// Being reloaded.
    Reloading,
    /// Not running; the last run, if any, ended well.
    Inactive,
    /// Not running; the last run ended badly.
    Failed,
    /// Being started, or waiting for a restart by systemd.
    Activating,
    /// Being stopped.
    Deactivating,
    /// Some other state.
    Other,
}

/// How a unit's main process ended (`CLD_*` of `sigaction(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    /// It has not run, or still runs.
    None,
    /// By itself, with a status.
    Exited,
    /// By a signal.
    Killed,
}

/// The config as `ReadConfig` found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigRead {
    /// Same bytes as at the reading whose fingerprint was given.
    Unchanged,
    /// It differs, or was not read before.
    Read(Box<Reading>),
    /// It could not be checked at all (no fail2ban-client, no Python, no time left): why.
    Failed(String),
}

/// One reading of the config folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Digest of all files' content.
    pub fingerprint: u128,
    /// The files that differ from the reading before.
    pub changed_files: Vec<PathBuf>,
    /// What fail2ban makes of it; `None` if it cannot read it.
    pub plan: Option<Plan>,
    /// What fail2ban would refuse.
    pub findings: Vec<Finding>,
    /// What fail2ban takes, but for something else than was meant; it holds nothing back.
    pub misread: Vec<Finding>,
    /// Why the jails were not tried on fail2ban's own code, but judged by how it reads them alone.
    pub unproven: Option<String>,
    /// The jails that a rollback file of ours disables.
    pub rollbacks: BTreeSet<String>,
    /// Jails that are enabled though a rollback file of ours disables them, and what enables them; those that
    /// are not in the plan are left out by fail2ban all the same.
    pub overruled: BTreeMap<String, (PathBuf, u32)>,
    /// The jails that the most recently modified jail file names, for want of better evidence.
    pub newest: Vec<String>,
    /// There is no config folder.
    pub gone: bool,
    /// A file of ours has the database in memory.
    pub in_memory: bool,
}

impl Reading {
    /// Whether fail2ban would run this jail.
    pub(super) fn runs(&self, jail: &str) -> bool {
        let plan = self.plan.as_ref();
        plan.is_some_and(|plan| plan.jails.contains_key(jail))
    }
}

/// One thing in the config that fail2ban would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// The jail that it takes down, if fail2ban names one.
    pub jail: Option<String>,
    /// The file at fault, if known.
    pub file: Option<PathBuf>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// fail2ban's own words.
    pub words: String,
    /// It keeps the whole daemon from starting; otherwise fail2ban skips the jail by itself.
    pub fatal: bool,
}

/// What a look sees of jails that are listed and alive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// The jails that see or do nothing; none if that was not looked at this time.
    pub ailing: Option<BTreeMap<String, Ailment>>,
    /// What fail2ban's own log complained of since the last look.
    pub complaints: Vec<Complaint>,
    /// Why the daemon can neither run a command nor read a log, if it may open no more files.
    pub cramped: Option<String>,
    /// fail2ban's own log says that it ended by itself, after errors.
    pub gave_out: bool,
    /// A `fail2ban-client restart` of somebody's is under way; looked at only where it seems to have been, or
    /// to be, stopped.
    pub client_restarts: bool,
    /// The database is in memory, and its file can be written.
    pub writable: bool,
}

/// Why a jail sees or does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ailment {
    /// In words that go after the jail's name and a colon.
    pub words: String,
    /// The least that cures it, if jailwarden can.
    pub cure: Option<Cure>,
    /// It ails only from what that jail does.
    pub behind: Option<String>,
}

/// What is done to a jail in a living daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// It is loaded again in place.
    Load,
    /// It is stopped and loaded again; its bans come back from the database.
    Restart,
    /// Another process has to take the daemon's place: nothing that this one is told cures it.
    Daemon,
    /// The command that keeps all jails from acting is ended; if that comes again, the jail is disabled.
    Free,
}

/// Something that fail2ban's own log complains of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The jail, if it is named.
    pub jail: Option<String>,
    /// In words.
    pub words: String,
}

/// What a process that hangs was doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnosis {
    /// For people.
    pub words: String,
    /// The jail whose filter burns the CPU, if that is sure: what makes its expression run for ever
    /// is still in its log, and would make it hang again.
    pub burning: Option<String>,
    /// A thread of it that is no such filter used the processor all the time, as one that loads its
    /// config does.
    pub busy: bool,
}

/// Why a start came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// What is to blame.
    pub culprit: Culprit,
    /// What shows it, in fail2ban's or the system's words; empty if nothing was found.
    pub evidence: String,
}

/// What is to blame for a start that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Culprit {
    /// fail2ban says that its config is.
    Config {
        /// The jail at fault, if it names one.
        jail: Option<String>,
    },
    /// No room, a database that cannot be used, a Python that does not fit: whatever jail were
    /// disabled for it, fail2ban would not run.
    Surroundings {
        /// The jail that needs a program or a Python module that is not there, if it is one.
        jail: Option<String>,
        /// It is the database: with one in memory fail2ban may run.
        database: bool,
    },
    /// The database is damaged: with another fail2ban may run.
    Damaged,
    /// Nothing was found that tells.
    #[default]
    Unknown,
}

/// Files that have their last known good content again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutBack {
    /// The files; none if none differed.
    pub files: Vec<PathBuf>,
    /// The name of what stood there before, by which it can be brought back.
    pub replaced: Option<String>,
    /// The config folder itself was gone.
    pub folder: bool,
}

/// How a jail fares without its rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// fail2ban would run it.
    Sound {
        /// Digest of its commands.
        digest: u128,
    },
    /// fail2ban would refuse it.
    Faulty(Finding),
    /// The config does not enable it any more.
    Gone,
    /// It could not be tried: why.
    Unknown(String),
}

/// What came of an `Apply`, part by part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The daemon's words if it refused a server-wide setting.
    pub server: Option<String>,
    /// The daemon's words for each jail that it refused; the jail may be gone from it.
    pub refused: Vec<(String, String)>,
    /// Why the daemon could not be reached half way, if so.
    pub unreachable: Option<String>,
    /// What keeps the daemon from taking anything, whatever it says, if so: nothing was sent, or nothing after
    /// the jail that it refused for that.
    pub hindered: Option<String>,
    /// What hinders it is that its database is damaged, which another start ends.
    pub damaged: bool,
}

/// The daemon's answer to `["stop"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopAnswer {
    /// It agreed.
    Agreed,
    /// It refused, in these words.
    Refused(String),
    /// It could not be reached or gave no answer in time.
    Unreachable(String),
}
