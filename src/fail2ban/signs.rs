//! Which jails of a daemon that answers are blind, though they are listed and have their threads.
//!
//! What can be known from outside, as measured with 1.0.2, 1.1.0 and 1.1.1 (`tests/suite/signs.rs`):
//!
//! - **The file list** is in `status J short`. The polling backend drops a file that was absent for
//!   about 100 s, for good (`server/filterpoll.py`); pyinotify goes on waiting for it.
//! - **Idleness** cannot be asked for: the socket only takes `set J idle`. It shows in how often a
//!   thread wakes: an idle one 0.5 times a second, a live one 2 times or more, a filter whose log is
//!   missing 0.8 times.
//! - **A filter that fails at each line** sleeps as an idle one does, but with its log open.
//! - **How far a filter has read** is not to be seen: polling and pyinotify open the log for each read
//!   and close it again, so that no descriptor has a position, and the database lags by up to 20 s.
//!   But a read moves the file's access time, except where the file system is mounted `noatime`. So a
//!   log that grew and was not read is known by that, on file systems where reads were seen to move it.
//! - **The systemd backend** maps its journals into memory and shows nothing of that: only idleness.
//!
//! Where nothing can be known there is no verdict. All signs need two looks, and mean more the longer
//! they last.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::client::{CallError, Connection};
use super::pickle::Value;
use super::process::Pid;

mod expected;
mod logs;
mod pulse;
mod said;

pub use expected::{Expected, expected};
pub use logs::LogSigns;
pub use pulse::{Gait, Pulse};
pub use said::{Complaint, Replaced, Said, Times, gave_out, said};

/// The least time between two looks that tells idle threads from live ones.
pub const IDLE_AFTER: Duration = Duration::from_secs(10);

/// How long one command must run to be called blocked.
pub const BLOCKED_AFTER: Duration = Duration::from_secs(10);

/// How long what a log has grown by must stay unread. The polling backend looks every 2 s.
pub const UNREAD_AFTER: Duration = Duration::from_secs(30);

/// What one look at a daemon's jails shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Signs {
    /// When it was taken.
    pub at: Instant,
    /// The daemon's process: looks at different ones say nothing of each other.
    pub pid: i32,
    /// The jails that the daemon has.
    pub jails: BTreeMap<String, JailSigns>,
    /// The log files that any of them should read and that are there.
    pub logs: BTreeMap<PathBuf, LogSigns>,
}

impl Signs {
    /// When what was new in a jail's logs was last read. None where access times do not tell, or for a
    /// jail without log files.
    ///
    /// With `relatime` a file's access time moves at the first read after each write (`man 8 mount`), so
    /// that it is the time of the last new line, whoever looks into the file besides.
    #[must_use]
    pub fn last_read(&self, jail: &JailSigns) -> Option<SystemTime> {
        let files = jail.files.iter().flatten();
        let honest = files.filter_map(|file| self.logs.get(file).filter(|log| log.honest));
        let nanos = u64::try_from(honest.map(|log| log.read).max()?).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
    }
}

/// What one look at a jail shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JailSigns {
    /// The log files that it should read, as its config says.
    pub wanted: BTreeSet<PathBuf>,
    /// The log files that it says it reads; none for the systemd backend.
    pub files: Option<BTreeSet<PathBuf>>,
    /// How many addresses it says it bans.
    pub banned: u64,
    /// How many failures it has found since it was started.
    pub failed: u64,
    /// Its filter's thread, where its name belongs to no other jail.
    pub filter: Option<Pulse>,
    /// Its actions' thread, where its name belongs to no other jail.
    pub actions: Option<Pulse>,
}

/// Why a jail sees nothing, or does nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blindness {
    /// It reads no file, though its config names some, and this one is there.
    #[error("it reads no log file at all, though {} is there", .log.display())]
    NoFiles {
        /// One of the files.
        log: PathBuf,
    },
    /// It is idle: after 100 errors in a row (`server/filter.py`, `commonError`), or as somebody
    /// said `set JAIL idle on`.
    #[error("it is idle{}", if *.by_hand { " as somebody told it to be" } else { ", after too many errors" })]
    Idle {
        /// Whether its actions are idle too, as only that command makes them.
        by_hand: bool,
    },
    /// Each line of a log leads to an error, after which its filter sleeps 2 s (`server/filter.py`,
    /// `commonError`), as with a date pattern that does not compile. After 100 it goes idle.
    #[error("each line of {} leads to an error, as fail2ban's own log says", .log.display())]
    Failing {
        /// The log.
        log: PathBuf,
    },
    /// One command of it has been running for all this time: of an action, or an `ignorecommand`. No jail
    /// bans meanwhile, as all commands share one lock (`server/action.py`); fail2ban kills it after 60 s.
    #[error("a command of its {} has been running for {} s, and no jail acts meanwhile",
        if *.by_filter { "filter" } else { "actions" }, .since.as_secs())]
    Blocked {
        /// Whether its filter runs it, as an `ignorecommand`.
        by_filter: bool,
        /// For how long at least.
        since: Duration,
        /// Whether another jail wants to act meanwhile.
        others_wait: bool,
    },
    /// It wants to run a command, and waits for that of another jail.
    #[error("it waits for a command of {jail}, which has been running for {} s", .since.as_secs())]
    Behind {
        /// The other jail.
        jail: String,
        /// For how long at least.
        since: Duration,
    },
    /// A log has grown, and nobody has read it since.
    #[error("{} has grown, and has not been read for {} s", .log.display(), .since.as_secs())]
    Unread {
        /// The log.
        log: PathBuf,
        /// For how long at least.
        since: Duration,
    },
}

/// Looks at all jails of a daemon, of which `connection` asks and `pid` is the process.
///
/// One call a jail over the socket, each for `limit` at most, and a pass over the daemon's `/proc`: for
/// 100 jails some 30 ms, of which the daemon works 5. A jail that the daemon does not have is left out, and one
/// of which it says too much. `before` is the look before this one, from which is known how long a log has been
/// unread.
///
/// # Errors
/// As [`Connection::call`] if the daemon does not answer.
pub async fn gather(
    connection: &mut Connection,
    pid: Pid,
    expected: &BTreeMap<String, Expected>,
    before: Option<&Signs>,
    limit: Duration,
) -> Result<Signs, CallError> {
    let mut jails = BTreeMap::new();
    for (name, jail) in expected {
        let command: [Value; 3] = ["status".into(), name.as_str().into(), "short".into()];
        let reply = match connection.call(&command, limit).await {
            Err(CallError::Refused { .. }) => continue,
            Err(error) if error.is_too_big() => continue,
            reply => reply?,
        };
        let mut signs = read(&reply);
        signs.wanted.clone_from(&jail.logs);
        signs.leave_out_unknown();
        jails.insert(name.clone(), signs);
    }
    pulse::take(pid, &mut jails);
    let pid = pid.as_raw_pid();
    let at = Instant::now();
    let before = before.filter(|before| before.pid == pid);
    let wanted = jails.values().flat_map(|jail| jail.wanted.iter());
    let logs = logs::look(pid, wanted, before.map(|before| &before.logs), at);
    Ok(Signs {
        at,
        pid,
        jails,
        logs,
    })
}

/// Says which jails are blind, of two looks at the same daemon; what lasts is for the caller to see.
#[must_use]
pub fn judge(before: &Signs, after: &Signs) -> BTreeMap<String, Blindness> {
    if before.pid != after.pid {
        return BTreeMap::new();
    }
    let both = after.jails.iter().filter_map(|(name, now)| {
        let then = before.jails.get(name)?;
        let passed = after.at.saturating_duration_since(before.at);
        let blind = no_files(before, after, then, now)
            .or_else(|| idle(before, after, passed, then, now))
            .or_else(|| blocked(passed, then, now))
            .or_else(|| unread(before, after, then, now))?;
        Some((name.clone(), blind))
    });
    let mut blind = both.collect();
    queue(before, after, &mut blind);
    blind
}

/// Who waits for a jail that blocks.
fn queue(before: &Signs, after: &Signs, blind: &mut BTreeMap<String, Blindness>) {
    let passed = after.at.saturating_duration_since(before.at);
    let mut blocking = blind.iter().filter_map(|(name, it)| match it {
        Blindness::Blocked { since, .. } => Some((name.clone(), *since)),
        _ => None,
    });
    let Some((jail, since)) = blocking.next() else {
        return;
    };
    for (name, now) in &after.jails {
        let is_still = |then: Option<Pulse>, now: Option<Pulse>| {
            let waits_for_own = now.is_some_and(|pulse| pulse.command.is_some());
            gait(then, now, passed) == Some(Gait::Still) && !waits_for_own
        };
        let waits = before.jails.get(name).is_some_and(|then| {
            is_still(then.actions, now.actions) || is_still(then.filter, now.filter)
        });
        if waits && !blind.contains_key(name) {
            let jail = jail.clone();
            blind.insert(name.clone(), Blindness::Behind { jail, since });
        }
    }
    let waits = blind
        .values()
        .any(|it| matches!(it, Blindness::Behind { .. }));
    for it in blind.values_mut() {
        if let Blindness::Blocked { others_wait, .. } = it {
            *others_wait = waits;
        }
    }
}

/// Whether the file at this path is another for a process than for us: it lives in a mount namespace of its own, to
/// which later mounts do not come (`man 7 mount_namespaces`). Where that cannot be told, it is not.
#[must_use]
pub fn is_hidden_from(pid: Pid, log: &Path) -> bool {
    let Ok(below) = log.strip_prefix("/") else {
        return false;
    };
    let root = PathBuf::from(format!("/proc/{}/root", pid.as_raw_pid()));
    let file = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    match (file(log), file(&root.join(below))) {
        (Ok(ours), Ok(its)) => ours != its,
        (Ok(_), Err(error)) => error.kind() == ErrorKind::NotFound && root.join("proc").exists(),
        (Err(_), _) => false,
    }
}

fn no_files(before: &Signs, after: &Signs, then: &JailSigns, now: &JailSigns) -> Option<Blindness> {
    let reads_none = |jail: &JailSigns| jail.files.as_ref().is_some_and(BTreeSet::is_empty);
    if !reads_none(then) || !reads_none(now) {
        return None;
    }
    let there = |log: &&PathBuf| before.logs.contains_key(*log) && after.logs.contains_key(*log);
    let log = now.wanted.iter().find(there)?;
    Some(Blindness::NoFiles { log: log.clone() })
}

fn idle(
    before: &Signs,
    after: &Signs,
    passed: Duration,
    then: &JailSigns,
    now: &JailSigns,
) -> Option<Blindness> {
    if passed < IDLE_AFTER || gait(then.filter, now.filter, passed) != Some(Gait::Idle) {
        return None;
    }
    // A filter that is idle has closed its logs.
    let files = now.files.iter().flatten();
    let mut open = files.filter(|log| is_open(before, log) && is_open(after, log));
    if let Some(log) = open.next() {
        return Some(Blindness::Failing { log: log.clone() });
    }
    match gait(then.actions, now.actions, passed)? {
        Gait::Idle => Some(Blindness::Idle { by_hand: true }),
        Gait::Live => Some(Blindness::Idle { by_hand: false }),
        Gait::Still | Gait::Starved | Gait::Unclear => None,
    }
}

fn gait(then: Option<Pulse>, now: Option<Pulse>, passed: Duration) -> Option<Gait> {
    Some(now?.since(&then?, passed))
}

fn is_open(signs: &Signs, log: &Path) -> bool {
    signs.logs.get(log).is_some_and(|log| log.open)
}

fn blocked(passed: Duration, then: &JailSigns, now: &JailSigns) -> Option<Blindness> {
    let same = |then: Option<Pulse>, now: Option<Pulse>| {
        let command = now.and_then(|pulse| pulse.command);
        command.is_some() && command == then.and_then(|pulse| pulse.command)
    };
    let by_filter = same(then.filter, now.filter);
    let blocked = passed >= BLOCKED_AFTER && (by_filter || same(then.actions, now.actions));
    blocked.then_some(Blindness::Blocked {
        by_filter,
        since: passed,
        others_wait: false,
    })
}

fn unread(before: &Signs, after: &Signs, then: &JailSigns, now: &JailSigns) -> Option<Blindness> {
    let files = now.files.as_ref()?;
    // It may be idle, and so by hand, or wants to read and is not let; or there is no telling before the next look,
    // as an idle thread that has to wait for others wakes more often.
    let passed = after.at.saturating_duration_since(before.at);
    let gait = gait(then.filter, now.filter, passed);
    if let Some(Gait::Idle | Gait::Starved | Gait::Unclear) = gait {
        return None;
    }
    // A filter that is at work on one of its logs may lawfully take its time for the others.
    let at_work = |signs: &Signs| files.iter().any(|log| is_open(signs, log));
    if at_work(before) || at_work(after) {
        return None;
    }
    files.iter().find_map(|log| {
        let signs = after.logs.get(log).filter(|signs| signs.honest)?;
        let grown = signs.grown_at.filter(|&grown| grown <= before.at)?;
        let since = after.at.saturating_duration_since(grown);
        (since >= UNREAD_AFTER).then(|| Blindness::Unread {
            log: log.clone(),
            since,
        })
    })
}

impl JailSigns {
    /// A daemon may name any number of files; of those that the config does not know, one is enough to tell
    /// that it reads some.
    fn leave_out_unknown(&mut self) {
        let Self { wanted, files, .. } = self;
        let Some(files) = files else { return };
        let unknown = files.iter().find(|file| !wanted.contains(*file)).cloned();
        files.retain(|file| wanted.contains(file));
        files.extend(unknown);
    }
}

/// Reads `[('Filter', [('Total failed', 3), ('File list', ['/a']), …]), ('Actions', [('Currently
/// banned', 1), …])]`; with the systemd backend there are journal matches instead of a file list.
fn read(reply: &Value) -> JailSigns {
    let mut signs = JailSigns::default();
    let parts = reply.as_list().unwrap_or_default().iter();
    let parts = parts.filter_map(|part| part.as_list()?.get(1)?.as_list());
    for pair in parts.flatten() {
        let Some([key, value]) = pair.as_list() else {
            continue;
        };
        let number = || value.as_int().and_then(|n| n.try_into().ok()).unwrap_or(0);
        match key.as_str() {
            Some("Total failed") => signs.failed = number(),
            Some("Currently banned") => signs.banned = number(),
            Some("File list") => {
                let files = value.as_list().unwrap_or_default().iter();
                signs.files = Some(files.filter_map(Value::as_str).map(Into::into).collect());
            }
            _ => {}
        }
    }
    signs
}

#[cfg(test)]
mod tests;
