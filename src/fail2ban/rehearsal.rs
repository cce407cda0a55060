//! The dry run: what fail2ban would refuse, asked of its own code before the daemon is told.
//!
//! One Python process imports the server classes of the fail2ban that the client belongs to and gives
//! them the commands of each jail, as the daemon's socket would. It is no shadow daemon: nothing is
//! started that could be left behind, no socket, thread, database or log is made, and both its start
//! and its end are cheaper (measured for 500 jails: 0.4 s against 1.1 s and more). Each jail gets a
//! server of its own, so that it is rehearsed as on a cold start, which refuses what a reload takes,
//! such as an action that stands twice. So do the server's own settings, which come as a jail named
//! [`SERVER`].
//!
//! Nothing is executed, written, or sent: `start` is left out, so no action runs; backends watch
//! nothing; no journal and no log file is opened (a FIFO would hold the daemon for ever, and is a
//! fault); actions in Python are parsed, not imported. As fail2ban evaluates times and factors as
//! code (server/mytime.py, server/jail.py), an audit hook stops what acts all the same. What fail2ban
//! puts off to the first line of a log, the compilation of a `datepattern`, is done at once.
//!
//! The process dies with its parent (`PR_SET_PDEATHSIG`), has limits on memory, CPU time and files,
//! a lower priority for CPU and IO, and no network where it may give that up. All that it writes is its
//! own `oom_score_adj`, so that it goes first where memory is short.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::Instance;
use super::dump::NOT_FOR_CHILDREN;
use super::finding::{Finding, FindingKind};
use super::stream::{JailStream, SERVER, SERVER_SETTINGS};

mod interpreter;
mod json;
#[cfg(test)]
mod tests;

pub use interpreter::NoInterpreter;

const SCRIPT: &str = include_str!("rehearsal/rehearse.py");

/// The address space that a rehearsal may use, in bytes. 500 jails do with 64 MiB; glibc may map 200 MiB
/// of locales.
const MEMORY: u64 = 512 << 20;

/// The CPU time that a rehearsal may use, in seconds, whatever limit its caller sets.
const CPU_SECONDS: u64 = 60;

/// The longest answer for one jail, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// One command that fail2ban refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The jail, or [`SERVER`].
    pub jail: String,
    /// What is refused: `add`, or what follows the jail's name, such as `addfailregex`.
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

/// A rehearsal that is set up and waits for its jails. It is killed when dropped.
///
/// Importing fail2ban takes longer than rehearsing ten jails, so set it up while `-d` runs.
#[derive(Debug)]
pub struct Stage(Child);

/// Rehearses the jails for up to `limit`, one after another, and tells all faults.
///
/// # Errors
/// [`Unproven`], with the faults of the jails before the one at which it ended.
pub async fn rehearse(
    instance: &Instance,
    jails: &[&JailStream],
    limit: Duration,
) -> Result<Vec<Fault>, Unproven> {
    Stage::set(instance)?.rehearse(jails, limit).await
}

impl Stage {
    /// Starts the process. Must be called within a tokio runtime, on a thread that outlives it.
    ///
    /// # Errors
    /// [`Unproven`] if it cannot be started.
    pub fn set(instance: &Instance) -> Result<Self, Unproven> {
        let (python, script) = interpreter::of_client(&instance.client).map_err(unproven)?;
        let mut words = python.into_iter();
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(&program);
        command
            .args(words)
            .args(["-B", "-c", SCRIPT])
            .arg(script)
            .args([std::process::id().into(), MEMORY, CPU_SECONDS].map(|n: u64| n.to_string()))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .env("LC_ALL", "C.UTF-8");
        for name in NOT_FOR_CHILDREN {
            command.env_remove(name);
        }
        match command.spawn() {
            Ok(child) => Ok(Self(child)),
            Err(error) => Err(unproven(Why::CannotRun {
                program: program.to_string_lossy().into_owned(),
                error,
            })),
        }
    }

    /// Rehearses the jails for up to `limit`, one after another, and tells all faults.
    ///
    /// # Errors
    /// [`Unproven`], with the faults of the jails before the one at which it ended.
    pub async fn rehearse(
        mut self,
        jails: &[&JailStream],
        limit: Duration,
    ) -> Result<Vec<Fault>, Unproven> {
        let (reserved, jails): (Vec<_>, Vec<_>) = jails
            .iter()
            .copied()
            .partition(|jail| is_reserved(&jail.name));
        let mut heard = Heard {
            faults: reserved.into_iter().map(reserved_name).collect(),
            ..Heard::default()
        };
        let talked = tokio::time::timeout(limit, self.talk(&jails, &mut heard)).await;
        let Some(jail) = jails.get(heard.answers) else {
            return Ok(heard.faults);
        };
        let jail = jail.name.clone();
        let why = match (talked, heard.cannot) {
            (Err(_), _) => Why::TimedOut { after: limit, jail },
            (Ok(_), Some(words)) => Why::GaveUp { jail, words },
            (Ok(words), None) => Why::BrokeOff { jail, words },
        };
        let faults = heard.faults;
        Err(Unproven { why, faults })
    }

    /// Asks and listens until the process ends, and returns its last words.
    async fn talk(&mut self, jails: &[&JailStream], heard: &mut Heard) -> String {
        let child = &mut self.0;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return "its pipes are gone".into();
        };
        let ((), odd, words) = tokio::join!(
            ask(stdin, jails),
            heard.listen(stdout, jails),
            last_words(stderr)
        );
        let ended = child.wait().await;
        odd.or(words).unwrap_or_else(|| match ended {
            Ok(status) => format!("it ended with {status}"),
            Err(error) => error.to_string(),
        })
    }
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

/// Sends one line for each jail. A process that no longer reads shows in its answers.
async fn ask(mut stdin: ChildStdin, jails: &[&JailStream]) {
    for jail in jails {
        if stdin.write_all(json::line(jail).as_bytes()).await.is_err() {
            return;
        }
    }
    let _ = stdin.shutdown().await;
}

/// The last line on standard error, of which all is read.
async fn last_words(mut stderr: ChildStderr) -> Option<String> {
    let mut words = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut piece).await {
        words.extend_from_slice(piece.get(..read).unwrap_or_default());
        let from = words.len().saturating_sub(piece.len());
        words.drain(..from);
    }
    let words = String::from_utf8_lossy(&words);
    let last = words.lines().rfind(|line| !line.trim().is_empty());
    last.map(|line| line.trim().to_owned())
}

/// What the process has said.
#[derive(Default)]
struct Heard {
    answers: usize,
    faults: Vec<Fault>,
    cannot: Option<String>,
}

/// One line of the process; other versions of it are never met, as it is part of this program.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Faults(Vec<Refusal>),
    Cannot(String),
}

#[derive(Deserialize)]
struct Refusal {
    command: String,
    option: String,
    value: Option<String>,
    words: String,
}

impl Heard {
    /// Takes the answers until there are no more; a line that is none is returned.
    async fn listen(&mut self, stdout: ChildStdout, jails: &[&JailStream]) -> Option<String> {
        let mut stdout = BufReader::new(stdout);
        for jail in jails {
            let mut line = Vec::new();
            let mut bounded = (&mut stdout).take(MAX_ANSWER);
            if !matches!(bounded.read_until(b'\n', &mut line).await, Ok(1..)) {
                return None;
            }
            match serde_json::from_slice(&line) {
                Ok(Answer::Faults(refusals)) => {
                    self.answers += 1;
                    self.faults
                        .extend(refusals.into_iter().map(|refusal| refusal.of(jail)));
                }
                Ok(Answer::Cannot(words)) => {
                    self.cannot = Some(words);
                    return None;
                }
                Err(error) => return Some(format!("its answer is odd: {error}")),
            }
        }
        None
    }
}

impl Refusal {
    fn of(self, jail: &JailStream) -> Fault {
        Fault {
            jail: jail.name.clone(),
            command: self.command,
            option: Some(self.option),
            value: self.value,
            words: self.words,
        }
    }
}
