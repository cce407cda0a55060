//! The dry run: what fail2ban would refuse, asked of its own code before the daemon is told.
//!
//! One Python process first runs fail2ban's own client, which reads the config as `-d` does; then it
//! imports the server classes of that same fail2ban and gives them the commands of each jail, as the
//! daemon's socket would. It is no shadow daemon: nothing is started that could be left behind, no
//! socket, thread, database or log is made, and both its start and its end are cheaper (measured for 500
//! jails: 0.4 s against 1.1 s and more). Each jail gets a server of its own, so that it is rehearsed as
//! on a cold start, which refuses what a reload takes, such as an action that stands twice. So do the
//! server's own settings, which come as a jail named [`SERVER`].
//!
//! Nothing is executed, written, or sent: `start` is left out, so no action runs; backends watch
//! nothing; no journal and no log file is opened (a FIFO would hold the daemon for ever, and is a
//! fault); actions in Python are parsed, not imported. As fail2ban evaluates times and factors as
//! code (server/mytime.py, server/jail.py), an audit hook stops what acts all the same. What fail2ban
//! puts off to the first line of a log, the compilation of a `datepattern`, is done at once.
//!
//! Once the config is read, the process dies with its parent (`PR_SET_PDEATHSIG`), has limits on memory,
//! CPU time and files, and a lower priority for CPU and IO unless it is urgent. It then has no capability but to
//! read what root may read, can change no file and run no program where the kernel has Landlock, and opens no
//! socket (`cage.py`): whatever gets past the hook is stopped by the kernel. All that it writes is its own
//! `oom_score_adj`, so that it goes first where memory is short.

use std::io;
use std::time::Duration;

use super::Instance;
use super::dump::{self, Dump, DumpError};
use super::finding::{Finding, FindingKind};
use super::stream::{JailStream, SERVER, SERVER_SETTINGS};

mod interpreter;
mod json;
mod stage;
#[cfg(test)]
mod tests;

pub use interpreter::NoInterpreter;
pub use stage::Stage;

/// The address space that a rehearsal may use, in bytes. 500 jails do with 64 MiB; glibc may map 200 MiB
/// of locales.
const MEMORY: u64 = 512 << 20;

/// The CPU time that a rehearsal may use, in seconds, whatever limit its caller sets.
const CPU_SECONDS: u64 = 60;

/// Who waits for a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Nobody who could not wait a little longer: what else runs on the host comes first.
    Low,
    /// A daemon that is down, while nothing protects the host.
    High,
}

impl Urgency {
    /// The argument of nice(2).
    fn niceness(self) -> &'static str {
        match self {
            Self::Low => "10",
            Self::High => "0",
        }
    }
}

/// One command that fail2ban refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The jail, or [`SERVER`].
    pub jail: String,
    /// What is refused: `add`, or what follows the jail's name, such as `addfailregex`. Empty where
    /// that is not known.
    pub command: String,
    /// The option that made it: `failregex`, `backend`, `action`, `action NAME OPTION`.
    pub option: Option<String>,
    /// The option's value as fail2ban reads it, without expanded tags such as `<HOST>`; none if it is
    /// no number where there must be one.
    pub value: Option<String>,
    /// The option and fail2ban's words, on one line.
    pub words: String,
}

/// Why a rehearsal has no result for some jails: nothing speaks against those.
#[derive(Debug, thiserror::Error)]
#[error("the config cannot be tried on fail2ban's own code beforehand: {why}")]
pub struct Unproven {
    /// What went wrong.
    pub why: Why,
    /// What was found until then.
    pub faults: Vec<Fault>,
}

/// What can go wrong with a rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// There is no telling which Python runs this fail2ban.
    #[error(transparent)]
    NoInterpreter(#[from] NoInterpreter),
    /// The interpreter could not be run.
    #[error("`{program}` cannot be run: {error}")]
    CannotRun {
        /// The program.
        program: String,
        /// Why not.
        error: io::Error,
    },
    /// It did not come through reading the config, which fail2ban's client was asked for instead.
    #[error("it ended while it read the config: {words}")]
    NotRead {
        /// Its last words.
        words: String,
    },
    /// It did not end in time and was killed.
    #[error("it did not end within {after:?} and was killed, at jail '{jail}'")]
    TimedOut {
        /// The limit that passed.
        after: Duration,
        /// The jail at work.
        jail: String,
    },
    /// It gave up.
    #[error("{words}, at jail '{jail}'")]
    GaveUp {
        /// The jail at work.
        jail: String,
        /// Its words.
        words: String,
    },
    /// It ended, or said something else, before it was through.
    #[error("it broke off at jail '{jail}': {words}")]
    BrokeOff {
        /// The jail at work.
        jail: String,
        /// Its last words.
        words: String,
    },
}

/// Reads the config as [`dump`](dump::dump) does, for up to `limit`, in the process that then waits to
/// rehearse the jails: fail2ban's own client is run in it, with the words for `-d`, before any of the
/// limits of a rehearsal. So Python and what the client and the server share is loaded once, which
/// is most of the work for a few jails.
///
/// Where there is no such process, or it breaks off, the client is run by itself. Must be called
/// within a tokio runtime, on a thread that outlives the stage.
///
/// # Errors
/// For the reading as [`dump`](dump::dump); [`Unproven`] if nothing can be rehearsed.
pub async fn read(
    instance: &Instance,
    limit: Duration,
    urgency: Urgency,
) -> (Result<Dump, DumpError>, Result<Stage, Unproven>) {
    if let Err(error) = dump::look_before(instance).await {
        let words = error.to_string();
        return (Err(error), Err(unproven(Why::NotRead { words })));
    }
    let unproven = match Stage::set(instance, urgency) {
        Ok(stage) => match tokio::time::timeout(limit, stage.read(instance)).await {
            Ok(Ok((dump, stage))) => return (dump, Ok(stage)),
            Ok(Err(unproven)) => unproven,
            Err(_) => {
                let words = format!("it took longer than {limit:?}");
                let timed_out = dump::program(instance).and_then(|program| {
                    Err(DumpError::TimedOut {
                        program,
                        after: limit,
                    })
                });
                return (timed_out, Err(unproven(Why::NotRead { words })));
            }
        },
        Err(unproven) => unproven,
    };
    (dump::dump(instance, limit).await, Err(unproven))
}

impl Fault {
    /// What it means for the config.
    #[must_use]
    pub fn finding(&self) -> Finding {
        Finding::new(FindingKind::Refused, self.of_jail(), self.words.clone())
    }

    /// The jail, unless it is the server's own setting that is refused.
    #[must_use]
    pub fn of_jail(&self) -> Option<&str> {
        Some(self.jail.as_str()).filter(|jail| *jail != SERVER)
    }

    /// Whether `finding` is what `-d` says of the same fault.
    #[must_use]
    pub fn is_told_by(&self, finding: &Finding) -> bool {
        let same_option = || {
            let option = self.option.as_deref().unwrap_or_default();
            finding.words.starts_with(&format!("'{option}' "))
        };
        finding.jail.as_deref() == self.of_jail()
            && match finding.kind {
                FindingKind::ReservedName => true,
                FindingKind::BadNumber => same_option(),
                _ => false,
            }
    }
}

fn unproven(why: impl Into<Why>) -> Unproven {
    Unproven {
        why: why.into(),
        faults: Vec::new(),
    }
}

fn is_reserved(name: &str) -> bool {
    name == "--all" || SERVER_SETTINGS.contains(&name)
}

/// A jail at which fail2ban's own code hangs.
fn endless(jail: &str) -> Fault {
    Fault {
        jail: jail.to_owned(),
        command: String::new(),
        option: None,
        value: None,
        words: "one of its settings makes fail2ban compute, or wait, without an end".into(),
    }
}

/// It is not sent: fail2ban takes the options of such a jail for the server's own (transmitter.py).
fn reserved_name(jail: &JailStream) -> Fault {
    Fault {
        jail: jail.name.clone(),
        command: "add".into(),
        option: None,
        value: None,
        words: format!("Reserved name '{}'", jail.name),
    }
}
