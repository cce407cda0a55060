//! The process that rehearses: what it is told, and what it says.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};

use super::super::Instance;
use super::super::dump::{self, Dump, DumpError};
use super::super::proc::tasks;
use super::super::process::Pid;
use super::super::stream::JailStream;
use super::super::vitals::waiting_time;
use super::{
    CPU_SECONDS, Fault, MEMORY, Unproven, Urgency, Why, endless, interpreter, is_reserved, json,
    reserved_name, unproven,
};

const CLIENT: &str = include_str!("client.py");
const REHEARSAL: &str = concat!(include_str!("cage.py"), include_str!("rehearse.py"));

/// The longest answer for one jail, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// A process that waits for jails to rehearse. It is killed when dropped.
#[derive(Debug)]
pub struct Stage {
    child: Child,
    answers: BufReader<OwnedReadHalf>,
    jails: OwnedWriteHalf,
}

impl Stage {
    /// Starts the process. Must be called within a tokio runtime, on a thread that outlives it.
    pub(super) fn set(instance: &Instance, urgency: Urgency) -> Result<Self, Unproven> {
        let (python, script, words) = interpreter::of_client(&instance.client).map_err(unproven)?;
        let mut python = python.into_iter();
        let program = python.next().unwrap_or_default();
        let cannot_run = |error| {
            let program = program.to_string_lossy().into_owned();
            unproven(Why::CannotRun { program, error })
        };
        let (ours, theirs) = pair().map_err(cannot_run)?;
        let mut command = Command::new(&program);
        command
            .args(python)
            .args(["-B", "-c", CLIENT, REHEARSAL])
            .args([std::process::id().into(), MEMORY, CPU_SECONDS].map(|n: u64| n.to_string()))
            .arg(urgency.niceness())
            .arg(script)
            .args(words)
            .args(instance.options(dump::WORDS))
            .stdin(theirs);
        dump::set_up(&mut command);
        let child = dump::spawn(&mut command).map_err(cannot_run)?;
        let (answers, jails) = ours.into_split();
        Ok(Self {
            child,
            answers: BufReader::new(answers),
            jails,
        })
    }

    /// Takes what the client prints and how it ends.
    pub(super) async fn read(
        mut self,
        instance: &Instance,
    ) -> Result<(Result<Dump, DumpError>, Self), Unproven> {
        let printed = match dump::program(instance) {
            Ok(program) => dump::printed(&program, &mut self.child).await,
            Err(error) => Err(error),
        };
        let printed = match printed {
            Ok(printed) => printed,
            Err(error) => return Ok((Err(error), self)),
        };
        let ended = line(&mut self.answers).await.ok().flatten();
        let ended = ended.and_then(|line| serde_json::from_slice(&line).ok());
        if let Some(Ended { ended }) = ended {
            // As wait(2) tells it.
            let status = ExitStatus::from_raw(i32::from(ended) << 8);
            return Ok((printed.read(status), self));
        }
        let words = printed.last_words();
        let words = words.unwrap_or_else(|| "without a word".into());
        Err(unproven(Why::NotRead { words }))
    }

    /// Rehearses the jails for up to `limit`, one after another, and tells all faults.
    ///
    /// A jail that took more than half the limit by itself is at fault: it would hang the daemon too. What the
    /// process waited for a processor does not count, as on an overloaded machine any jail takes long.
    ///
    /// # Errors
    /// [`Unproven`], with the faults of the jails up to the one at which it ended.
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
            answers: 0,
            at: Instant::now(),
            cannot: None,
            odd: None,
        };
        let talked = tokio::time::timeout(limit, self.talk(&jails, &mut heard)).await;
        let Some(jail) = jails.get(heard.answers) else {
            return Ok(heard.faults);
        };
        let jail = jail.name.clone();
        let took = heard.at.elapsed().saturating_sub(self.waited());
        if talked.is_err() && took > limit / 2 {
            heard.faults.push(endless(&jail));
        }
        let why = match (talked, heard.cannot) {
            (Err(_), _) => Why::TimedOut { after: limit, jail },
            (Ok(_), Some(words)) => Why::GaveUp { jail, words },
            (Ok(words), None) => Why::BrokeOff { jail, words },
        };
        let faults = heard.faults;
        Err(Unproven { why, faults })
    }

    /// How long the process has waited for a processor in all.
    fn waited(&self) -> Duration {
        let pid = self.child.id().and_then(|pid| pid.try_into().ok());
        let tasks = pid.and_then(Pid::from_raw).and_then(|pid| tasks(pid).ok());
        let waited = |task| waiting_time(task).unwrap_or_default();
        tasks.iter().flatten().map(waited).sum()
    }

    /// Asks and listens until the process ends, and returns its last words.
    async fn talk(&mut self, jails: &[&JailStream], heard: &mut Heard) -> String {
        let ((), ()) = tokio::join!(
            ask(&mut self.jails, jails),
            heard.listen(&mut self.answers, jails)
        );
        let ended = self.child.wait().await;
        heard.odd.take().unwrap_or_else(|| match ended {
            Ok(status) => format!("it ended with {status}"),
            Err(error) => error.to_string(),
        })
    }
}

fn pair() -> io::Result<(UnixStream, Stdio)> {
    let (ours, theirs) = Pair::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, OwnedFd::from(theirs).into()))
}

/// The next line, if there is one.
async fn line(answers: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = answers
        .take(MAX_ANSWER)
        .read_until(b'\n', &mut line)
        .await?;
    Ok((read > 0).then_some(line))
}

/// Sends one line for each jail. A process that no longer reads shows in its answers.
async fn ask(to: &mut OwnedWriteHalf, jails: &[&JailStream]) {
    for jail in jails {
        if to.write_all(json::line(jail).as_bytes()).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// The first line of the process: how the client ended.
#[derive(Deserialize)]
struct Ended {
    ended: u8,
}

/// What the process has said.
struct Heard {
    answers: usize,
    /// When it began with the jail at work.
    at: Instant,
    faults: Vec<Fault>,
    cannot: Option<String>,
    /// The last line that is no answer: what Python itself says at its end.
    odd: Option<String>,
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
    /// Takes the answers until there are no more.
    async fn listen(&mut self, answers: &mut BufReader<OwnedReadHalf>, jails: &[&JailStream]) {
        while let Some(jail) = jails.get(self.answers) {
            let Ok(Some(line)) = line(answers).await else {
                return;
            };
            match serde_json::from_slice(&line) {
                Ok(Answer::Faults(refusals)) => {
                    self.answers += 1;
                    self.at = Instant::now();
                    let faults = refusals.into_iter().map(|refusal| refusal.of(jail));
                    self.faults.extend(faults);
                }
                Ok(Answer::Cannot(words)) => {
                    self.cannot = Some(words);
                    return;
                }
                Err(_) => self.note_odd(&line),
            }
        }
    }

    fn note_odd(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        if !line.trim().is_empty() {
            self.odd = Some(line.trim().to_owned());
        }
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
