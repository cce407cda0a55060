//! Why a daemon that was started did not come back: its config, its surroundings, or not known.
//!
//! fail2ban's own words since the start decide, and what the file system shows explains them. The
//! words are those of `server/*.py` and `client/*.py`, which are the same in 1.0.2, 1.1.0 and 1.1.1;
//! which of them end a start was measured with each (`tests/suite/cause.rs`):
//!
//! - A database that is none, or whose folder is not there, a pid file that cannot be written, a full
//!   log folder and a firewall tool that is missing do not stop a start.
//! - What does is said as `NOK: …` by the client, as `Command … has failed. Received …` by the server,
//!   as `Could not start server: …`, `Failed during configuration: …`, or as a traceback.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Instance;
use super::ownlog::{self, Line, Position};
use super::process::Pid;

use surroundings::{Part, Shown};

mod surroundings;
mod words;

/// The most evidence that is kept.
const EVIDENCE: usize = 8;

/// A start that led to nothing, and where its traces are.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// What was started.
    pub instance: &'a Instance,
    /// fail2ban's own log since the start.
    pub log: Log<'a>,
    /// What the start command, or the unit's processes, printed since the start (`journalctl -u UNIT
    /// -o cat`); also what `fail2ban-client -d` printed on stderr, if it failed.
    pub output: &'a str,
    /// The exit status of the start command, or of the unit's main process (`ExecMainStatus`).
    pub status: Option<i32>,
    /// What systemd says of the unit (`Result`), such as `oom-kill`.
    pub result: Option<&'a str>,
    /// The database, if it is a file ([`Stream::database`](super::stream::Stream::database)).
    pub database: Option<&'a Path>,
    /// Where jailwarden keeps its state, which it cannot do without room either.
    pub state_dir: &'a Path,
    /// A process with the mounts that the daemon gets, but for what its own unit adds; ours are taken if there is
    /// none. jailwarden's unit makes for it alone read-only what systemd (PID 1) and what that starts may write.
    pub mounts_of: Option<Pid>,
}

/// Where fail2ban says things.
#[derive(Debug, Clone, Copy)]
pub enum Log<'a> {
    /// In a file.
    File {
        /// The file that `logtarget` names.
        path: &'a Path,
        /// Its end when the start was given: [`ownlog::end`].
        since: &'a Position,
    },
    /// In the journal or syslog, of which this is what was said since the start, an entry a line. With
    /// the target `SYSTEMD-JOURNAL` the entries have no head that names their level: give only those
    /// of priority `err` and above.
    Text(&'a str),
    /// Nowhere that is known.
    Unknown,
}

/// Why a daemon did not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What is to blame.
    pub kind: Kind,
    /// It is about the database: without that, or with one in memory, fail2ban could start.
    pub database: bool,
    /// What shows it, the decisive first; empty only if nothing was found at all.
    pub evidence: Vec<Evidence>,
}

/// What is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// fail2ban refuses its config.
    Config {
        /// The jail at fault, if it is known.
        jail: Option<String>,
    },
    /// fail2ban cannot run as things are, whatever its config says of the jails. Where the fault
    /// concerns a path, it may still be `fail2ban.local` that names a wrong one.
    Environment(Trouble),
    /// Nothing was found that tells.
    Unknown,
}

/// What is wrong around fail2ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// A file system has no free blocks or inodes.
    NoRoom,
    /// A folder or file cannot be written to by anybody.
    ReadOnly,
    /// A folder that fail2ban does not make is not there.
    Missing,
    /// fail2ban may not do what it must.
    Denied,
    /// The database is damaged.
    DatabaseDamaged,
    /// Another process holds the database.
    DatabaseLocked,
    /// The database cannot be used, for a reason that is not known.
    DatabaseUnusable,
    /// The log cannot be written, for a reason that is not known.
    LogUnusable,
    /// The socket cannot be made, for a reason that is not known.
    SocketUnusable,
    /// An old socket is in the way, and the start command lacks `-x`; or a daemon runs already.
    SocketInTheWay,
    /// Python, or a module that fail2ban needs, is missing or does not fit.
    Python,
    /// A program is not there.
    MissingProgram,
    /// There are no more file descriptors, or inotify instances.
    TooManyFiles,
    /// There is no memory, or no thread more is allowed.
    OutOfMemory,
    /// systemd could not set up the unit.
    Unit,
}

/// One thing that shows a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The trouble that it shows; none for words about the config, or words that tell nothing.
    pub trouble: Option<Trouble>,
    /// The jail that it is about, if it is known.
    pub jail: Option<String>,
    /// Where the words stand: fail2ban's own log, or a file of its config.
    pub file: Option<PathBuf>,
    /// The line in `file`, from 1.
    pub line: Option<u32>,
    /// fail2ban's words on one line, or ours for what the system shows.
    pub words: String,
}

/// Finds the cause. It reads at most [`ownlog::LIMIT`] of the log and asks the file system, which may
/// block on a network mount, so it belongs on a thread that may wait. Nothing is changed.
#[must_use]
pub fn cause(start: &Start<'_>) -> Cause {
    let mut said = words::of_output(start.output);
    let shown = surroundings::survey(start);
    match start.log {
        Log::File { path, since } => match ownlog::since(path, since) {
            Ok(news) => said.extend_front(words::of_log(&news.lines, false)),
            Err(error) => said
                .other
                .push(Evidence::of(None, Some(path), error.to_string())),
        },
        Log::Text(text) => {
            let lines: Vec<Line> = text.lines().map(Line::of).collect();
            said.extend_front(words::of_log(&lines, true));
        }
        Log::Unknown => {}
    }
    let told = surroundings::told(start);
    judge(told.as_ref(), said, shown)
}

/// What keeps a daemon that runs from writing to its database now: a lock of another process, a disk that is
/// read-only, or that it is damaged, as far as that is seen from outside. fail2ban writes with each jail that it loads or stops, and loses the jail where it cannot
/// (`addJail` and `delJail` of `server/database.py`). A full disk need not keep it from that, as its journal is
/// in memory. Blocking; nothing is changed.
#[must_use]
pub fn of_database(database: &Path, daemon: Option<Pid>) -> Option<Evidence> {
    surroundings::of_database(database, daemon)
}

/// Whether nothing is seen that would keep a daemon from writing to its database: `daemon` is one that runs
/// now, with another. A file that is there is opened for writing, and not written to. One that is damaged gives way
/// to a new one at a start. Blocking.
#[must_use]
pub fn is_writable(database: &Path, daemon: Option<Pid>) -> bool {
    surroundings::is_writable(database, daemon)
}

/// The trouble with its database for which a daemon refuses whatever it is told, if its answer is about that.
/// That it is damaged does not pass before another start.
#[must_use]
pub fn trouble_of_database(answer: &str) -> Option<Trouble> {
    use Trouble::{DatabaseDamaged, DatabaseLocked, NoRoom, ReadOnly};
    let is_of_all = |trouble: &Trouble| {
        matches!(
            trouble,
            NoRoom | ReadOnly | DatabaseLocked | DatabaseDamaged
        )
    };
    words::trouble(answer).filter(is_of_all)
}

/// What systemd and exit codes tell comes first, then the words that ended the start; what else was
/// said or shown decides only where there are none.
fn judge(told: Option<&Evidence>, said: words::Said, shown: Vec<Shown>) -> Cause {
    let words::Said { fatal, other } = said;
    let shown_to_stop = shown.iter().filter(|shown| shown.stops);
    let hints = other
        .iter()
        .chain(shown_to_stop.map(|shown| &shown.evidence))
        .filter(|evidence| evidence.trouble.is_some());
    let decisive = told
        .or_else(|| fatal.first())
        .or_else(|| hints.into_iter().next())
        .cloned();
    let kind = match &decisive {
        None => Kind::Unknown,
        Some(evidence) => match evidence.trouble {
            Some(trouble) => Kind::Environment(explained(trouble, &shown)),
            None => Kind::Config {
                jail: fatal.iter().find_map(|evidence| evidence.jail.clone()),
            },
        },
    };
    // `No such file or directory` of an `OSError` names no path.
    let is_bare = |it: &Evidence| !it.words.contains('/');
    let is_shown = |it: &Evidence| {
        let mut of_database = shown.iter().filter(|shown| shown.part == Part::Database);
        of_database.any(|shown| {
            shown.evidence == *it || (is_bare(it) && shown.evidence.trouble == it.trouble)
        })
    };
    let of_database = |it: &Evidence| is_of_database(it) || is_shown(it);
    let database = decisive.as_ref().is_some_and(of_database);
    let shown = shown.into_iter().map(|shown| shown.evidence);
    let shown = shown.filter(|_| !matches!(kind, Kind::Config { .. }));
    let mut evidence: Vec<Evidence> = Vec::new();
    for found in decisive.into_iter().chain(fatal).chain(other).chain(shown) {
        if evidence.len() < EVIDENCE && !evidence.iter().any(|known| known.words == found.words) {
            evidence.push(found);
        }
    }
    Cause {
        kind,
        database,
        evidence,
    }
}

/// Whether it is the database that cannot be used: by its kind, or by the word, as `SQLite` has it in `attempt to
/// write a readonly database`.
fn is_of_database(evidence: &Evidence) -> bool {
    use Trouble::{DatabaseDamaged, DatabaseLocked, DatabaseUnusable};
    evidence.trouble.is_some_and(|trouble| {
        matches!(trouble, DatabaseDamaged | DatabaseLocked | DatabaseUnusable)
            || evidence.words.to_lowercase().contains("database")
    })
}

/// The reason that the system shows for a trouble of which fail2ban only says what it concerns.
fn explained(trouble: Trouble, shown: &[Shown]) -> Trouble {
    let of = match trouble {
        Trouble::DatabaseUnusable => Part::Database,
        Trouble::LogUnusable => Part::Log,
        Trouble::SocketUnusable => Part::Socket,
        _ => return trouble,
    };
    let reason = shown.iter().find(|shown| shown.part == of);
    reason
        .and_then(|shown| shown.evidence.trouble)
        .unwrap_or(trouble)
}

impl Trouble {
    /// What is to be done.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::NoRoom => "make room on that file system",
            Self::ReadOnly => "make it writable again; a disk error may have made it read-only",
            Self::Missing => "make the folder, or mount what belongs there",
            Self::Denied => "see owner and mode, and what AppArmor or SELinux logged",
            Self::DatabaseDamaged => {
                "move the database aside and restart fail2ban, which makes a new one"
            }
            Self::DatabaseLocked => "end the process that holds the database",
            Self::DatabaseUnusable => "see `dbfile`, its folder, owner and mode",
            Self::LogUnusable => "see `logtarget`, its folder, owner and mode",
            Self::SocketUnusable => "see `socket`, its folder, owner and mode",
            Self::SocketInTheWay => {
                "remove the old socket, or start with `-x`, if no fail2ban runs"
            }
            Self::Python => "reinstall fail2ban for the Python that is installed",
            Self::MissingProgram => "install the program",
            Self::TooManyFiles => {
                "raise LimitNOFILE= of the unit, or fs.inotify.max_user_instances"
            }
            Self::OutOfMemory => "free memory, or raise MemoryMax= or TasksMax= of the unit",
            Self::Unit => "see `systemctl status` of the unit",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom => "no room is left on a file system",
            Self::ReadOnly => "a file system is read-only",
            Self::Missing => "a folder is missing",
            Self::Denied => "permission is denied",
            Self::DatabaseDamaged => "the database is damaged",
            Self::DatabaseLocked => "the database is locked",
            Self::DatabaseUnusable => "the database cannot be used",
            Self::LogUnusable => "the log cannot be written",
            Self::SocketUnusable => "the socket cannot be made",
            Self::SocketInTheWay => "an old socket is in the way",
            Self::Python => "Python or a module of it is missing or does not fit",
            Self::MissingProgram => "a program is missing",
            Self::TooManyFiles => "too many files are open",
            Self::OutOfMemory => "memory or threads are used up",
            Self::Unit => "systemd cannot set up the unit",
        })
    }
}

impl Evidence {
    fn of(trouble: Option<Trouble>, file: Option<&Path>, words: impl Into<String>) -> Self {
        Self {
            trouble,
            jail: None,
            file: file.map(Path::to_owned),
            line: None,
            words: words.into(),
        }
    }
}

/// `FILE:LINE: jail 'NAME': WORDS`, as far as known.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if let Some(jail) = &self.jail {
            write!(f, "jail '{jail}': ")?;
        }
        f.write_str(&self.words)
    }
}

#[cfg(test)]
mod tests;
