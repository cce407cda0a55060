//! What the shell holds of the one daemon: its paths, its process, the settings it was given.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::UnboundedSender;

use crate::fail2ban::Instance;
use crate::fail2ban::client::Connection;
use crate::fail2ban::database::{self, Identity};
use crate::fail2ban::folder::{Places, Snapshot};
use crate::fail2ban::process::{Pid, Process};
use crate::history::mask::Secrets;
use crate::machine::report::Kind;
use crate::machine::{Event, Observed, Policy};
use crate::rollback::Standing;
use crate::settings::Settings;

use super::culprit::Begun;
use super::health::Looked;
use super::packages;
use super::policy;
use super::start::Given;
use super::unit::{self, Shown};

/// What the tasks tell the loop.
#[derive(Debug)]
pub(super) enum Message {
    /// For the machine.
    Event(Box<Event>),
    /// For people, from a task that runs on its own.
    Say(Kind, String),
    /// For the watch: where a reading of the config found folders and links.
    Places(Places),
}

/// One daemon, shared by the tasks that work on it.
#[derive(Debug, Clone)]
pub(super) struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    instance: Instance,
    to_loop: UnboundedSender<Message>,
    kept: Mutex<Kept>,
    policy: Mutex<Policy>,
}

/// What is kept between actions.
#[derive(Debug, Default)]
pub(super) struct Kept {
    process: Option<Arc<Process>>,
    /// Whether that answered the last look, and so is not to be disturbed.
    pub(super) answers: bool,
    /// The last look at the config folder.
    pub(super) folder: Option<Arc<Snapshot>>,
    /// Commands as `fail2ban-client -d` printed them, by digest: the machine names only digests.
    pub(super) commands: HashMap<u128, Arc<str>>,
    /// Patterns of log files that were not there at the last reading.
    pub(super) awaited: Vec<String>,
    /// The same of the jails that a rollback disables, as if it did not.
    pub(super) awaited_by_rollbacks: Vec<String>,
    /// The process of the last look, and how often systemd had started it by itself.
    pub(super) restarts: Option<Restarts>,
    /// When packages last came or went, as of the last look.
    packages: Option<SystemTime>,
    /// What is to be said to nobody, as of the last time that anything was told of the config.
    pub(super) secrets: Secrets,
    /// The digests of the jails that passed a rehearsal.
    pub(super) rehearsed: HashSet<u128>,
    /// Why the last rehearsal had no result, if it had none.
    pub(super) unproven: Option<String>,
    /// fail2ban's own log, where it is a file.
    pub(super) log: Option<PathBuf>,
    /// Its database, where it is a file.
    pub(super) database: Option<PathBuf>,
    /// The file whose place a database in memory takes.
    pub(super) usual_database: Option<PathBuf>,
    /// `database`, as it was when it was last seen to be damaged.
    pub(super) damaged: Option<Identity>,
    /// The jails of the last reading.
    pub(super) jails: Vec<String>,
    /// The rollback files that stood at the last reading.
    pub(super) standing: Vec<Standing>,
    /// What the daemon said of itself.
    pub(super) about: Option<About>,
    /// What was seen of its jails beyond who is alive.
    pub(super) looked: Looked,
    /// The start command that was given last.
    pub(super) start: Option<Given>,
    /// Where the traces of the last start begin.
    pub(super) begun: Option<Begun>,
    /// When the unit was seen last that can be started as it is, if it was so at the last look.
    down: Option<Instant>,
}

impl Kept {
    pub(super) fn saw_down(&mut self, shown: Option<&Shown>) {
        let can_be_started = shown.is_some_and(Shown::can_be_started);
        self.down = can_be_started.then(Instant::now);
    }

    /// Whether the unit was seen down within that time, and needs nothing but a start. That is used once.
    pub(super) fn is_unit_down(&mut self, within: Duration) -> bool {
        self.down
            .take()
            .is_some_and(|seen| seen.elapsed() <= within)
    }
}

/// The process that was looked at last, and how it came about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restarts {
    pub(super) pid: Pid,
    /// `NRestarts` of its unit then.
    pub(super) count: u32,
    /// systemd had started it by itself.
    pub(super) revived: bool,
}

/// What is asked once of each process that answers.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// The process.
    pub(super) pid: u32,
    /// fail2ban's version.
    pub(super) version: String,
    /// When the process was started, if that could be read.
    pub(super) started: Option<Instant>,
}

impl Handle {
    pub(super) fn new(settings: Settings, to_loop: UnboundedSender<Message>) -> Self {
        let instance = instance(&settings);
        let policy = Mutex::new(policy(&settings));
        Self(Arc::new(Inner {
            settings,
            instance,
            to_loop,
            policy,
            kept: Mutex::default(),
        }))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The timing in force.
    pub(super) fn policy(&self) -> Policy {
        *self.0.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_policy(&self, policy: Policy) {
        *self.0.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.0.instance
    }

    /// Tells the loop; one that is gone needs to know nothing.
    pub(super) fn tell(&self, message: Message) {
        let _ = self.0.to_loop.send(message);
    }

    pub(super) fn tell_event(&self, event: Event) {
        self.tell(Message::Event(Box::new(event)));
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the loop if a log file has come that the last reading missed.
    pub(super) async fn look_for_logs(&self) {
        let awaited = {
            let kept = self.kept();
            [kept.awaited.clone(), kept.awaited_by_rollbacks.clone()].concat()
        };
        if awaited.is_empty() {
            return;
        }
        // fail2ban passes over a link that leads nowhere (`client/jailreader.py` of 1.0.2).
        let exists = |pattern: &String| {
            glob::glob(pattern).is_ok_and(|found| found.flatten().any(|path| path.exists()))
        };
        let come = tokio::task::spawn_blocking(move || awaited.iter().any(exists)).await;
        if come.unwrap_or_default() {
            let mut kept = self.kept();
            kept.awaited.clear();
            kept.awaited_by_rollbacks.clear();
            drop(kept);
            self.tell_event(Event::Observed(Observed::ConfigStale));
        }
    }

    /// Tells the loop if packages came or went since the last look, once nobody works on them.
    pub(super) fn look_for_packages(&self) {
        let change = packages::last_change();
        let mut kept = self.kept();
        if kept.packages == change || (kept.packages.is_some() && packages::are_changing()) {
            return;
        }
        if kept.packages.is_some() {
            kept.rehearsed.clear();
            self.tell_event(Event::Observed(Observed::PackagesChanged));
        }
        kept.packages = change;
    }

    /// Keeps which file the database is, if it was seen to be damaged. Blocking.
    pub(super) fn note_damage(&self, is_damaged: bool) {
        let database = self.kept().database.clone();
        let seen = database.filter(|_| is_damaged);
        self.kept().damaged = seen.and_then(|path| database::identity(&path).ok());
    }

    /// Forgets the commands that the machine can no longer ask for.
    pub(super) fn keep_only(&self, digests: &HashSet<u128>) {
        let mut kept = self.kept();
        kept.commands.retain(|digest, _| digests.contains(digest));
        kept.rehearsed.retain(|digest| digests.contains(digest));
    }

    /// systemd's view of the unit, if a unit runs fail2ban here.
    pub(super) async fn show(&self) -> Option<Shown> {
        let name = self.settings().daemon.unit.as_deref()?;
        unit::show(name).await.unwrap_or_else(|error| {
            tracing::warn!("{error}");
            None
        })
    }

    /// The process behind a connection, held so that it can be signalled and its end is noticed.
    pub(super) async fn process_behind(&self, connection: &Connection) -> Option<Arc<Process>> {
        let pid = Pid::from_raw(connection.peer_pid()?)?;
        if let Some(process) = self.held().filter(|p| p.pid() == pid) {
            return Some(process);
        }
        match Process::of_peer(pid, &self.instance().socket).await {
            Ok(process) => Some(self.hold(process)),
            Err(error) => {
                tracing::debug!("{error}");
                self.living().await
            }
        }
    }

    /// The daemon's process where its socket does not tell: the one held, the unit's main
    /// process, or the one that the pid file hints at.
    pub(super) async fn living(&self) -> Option<Arc<Process>> {
        match self.held() {
            Some(process) => Some(process),
            None => self.find(self.show().await.as_ref()).await,
        }
    }

    /// The same where none is held, by what systemd says of the unit, if a unit runs fail2ban here.
    pub(super) async fn find(&self, shown: Option<&Shown>) -> Option<Arc<Process>> {
        let process = if let Some(shown) = shown {
            let process = Process::open(Pid::from_raw(shown.main_pid)?).ok()?;
            if !process.is_alive() {
                return None;
            }
            // The number may have been given away between systemd's word and the pidfd.
            let still = self.show().await.map(|again| again.main_pid);
            if still != Some(shown.main_pid) {
                return None;
            }
            process
        } else {
            let Instance {
                pid_file,
                socket,
                config_dir,
                ..
            } = self.instance();
            Process::find(pid_file, socket, config_dir).ok()??
        };
        process.is_alive().then(|| self.hold(process))
    }

    /// The process that is held, while it lives.
    pub(super) fn held(&self) -> Option<Arc<Process>> {
        self.kept().process.clone().filter(|p| p.is_alive())
    }

    /// The process that was held last, whether it lives or not.
    pub(super) fn last_held(&self) -> Option<Pid> {
        self.kept().process.as_ref().map(|process| process.pid())
    }

    /// Holds a process and tells the loop when it ends.
    fn hold(&self, process: Process) -> Arc<Process> {
        let process = Arc::new(process);
        self.kept().process = Some(Arc::clone(&process));
        let (handle, watched) = (self.clone(), Arc::clone(&process));
        tokio::spawn(async move {
            if watched.exited().await.is_ok() {
                handle.tell_exit(&watched);
            }
        });
        process
    }

    pub(super) fn tell_exit(&self, process: &Process) {
        let pid = number(process.pid());
        self.tell_event(Event::Observed(Observed::DaemonExited { pid }));
    }
}

/// Where the settings say that fail2ban lives.
pub(super) fn instance(settings: &Settings) -> Instance {
    Instance {
        client: settings.daemon.client.clone(),
        config_dir: settings.config_dir.clone(),
        socket: settings.daemon.socket.clone(),
        pid_file: settings.daemon.pid_file.clone(),
    }
}

/// A process id as the machine has it.
pub(super) fn number(pid: Pid) -> u32 {
    pid.as_raw_pid().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn a_link_that_leads_nowhere_is_no_log_that_has_come() {
        let dir = tempfile::tempdir().unwrap();
        let (to_loop, mut inbox) = unbounded_channel();
        let handle = Handle::new(Settings::default(), to_loop);
        let (log, target) = (dir.path().join("a.log"), dir.path().join("elsewhere"));
        symlink(&target, log).unwrap();
        let pattern = dir.path().join("*.log").display().to_string();
        handle.kept().awaited_by_rollbacks = vec![pattern];
        handle.look_for_logs().await;
        assert!(inbox.try_recv().is_err());
        std::fs::write(target, "").unwrap();
        handle.look_for_logs().await;
        assert!(inbox.try_recv().is_ok());
    }
}
