//! Asking fail2ban how it reads its config: `fail2ban-client -d`.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::finding::Finding;
use super::stream::{Stream, StreamError};
use super::{Instance, endless};

mod messages;
#[cfg(test)]
mod tests;

/// The most output that is read from one run, in bytes, since a client may print for ever. The 91 stock jails of
/// 1.0.2 print 236 kB, a hundred that ignore 5,000 addresses each 9 MB. As long as a config is in force its
/// commands are kept; while another one is read, that is in memory twice beside them.
pub const MAX_OUTPUT: usize = 16 << 20;

/// The most that is read of its messages, in bytes: a line for each file and each fault. 33,000 files in `jail.d` are
/// 5 MB.
const MAX_MESSAGES: usize = 8 << 20;

/// The address space that a client may use, in bytes; 500 jails do with 64 MiB. It reads files whole.
const MEMORY: u64 = 1 << 30;

/// Has the client print its commands, and say on standard error which files it reads.
pub(super) const WORDS: [&str; 2] = ["-v", "-d"];

/// What systemd gives to us alone: a child that saw these could speak in our name.
pub const NOT_FOR_CHILDREN: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
];

/// The config as fail2ban reads it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// What a start or reload would send; a jail that fail2ban skips is not in it.
    pub stream: Stream,
    /// What is wrong all the same. A start can still fail: see
    /// [`FindingKind::stops_start`](super::finding::FindingKind::stops_start).
    pub findings: Vec<Finding>,
    /// The `logpath` patterns that no file matches: what they stand for comes with the file.
    pub missing_logs: Vec<String>,
}

/// Why there is no dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The client could not be run.
    #[error("`{program}` cannot be run: {error}; is fail2ban installed, and is the path right?")]
    CannotRun {
        /// The program.
        program: String,
        /// Why not.
        error: io::Error,
    },
    /// No program is given at all.
    #[error("no fail2ban client is configured")]
    NoProgram,
    /// Its output could not be read.
    #[error("the output of `{program} -d` cannot be read: {error}")]
    Output {
        /// The program.
        program: String,
        /// Why not.
        error: io::Error,
    },
    /// It did not end in time and was killed.
    #[error("`{program} -d` did not end within {after:?} and was killed")]
    TimedOut {
        /// The program.
        program: String,
        /// The limit that passed.
        after: Duration,
    },
    /// It printed more than [`MAX_OUTPUT`], or more messages than are read.
    #[error(
        "`{program} -d` printed more than {limit} bytes, more than jailwarden reads, and was killed; this is no \
         fault of the config. Where it is `ignoreip`, which each jail repeats, set that in the jails that need it, or \
         let `ignorecommand` take its place"
    )]
    TooMuch {
        /// The program.
        program: String,
        /// The limit that was passed.
        limit: usize,
    },
    /// fail2ban refuses the config as a whole: no start and no reload would work.
    #[error("fail2ban cannot read its config: {}", joined(findings))]
    Unreadable {
        /// Why; at least one.
        findings: Vec<Finding>,
    },
    /// fail2ban was content, but printed something else than commands.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

fn joined(findings: &[Finding]) -> String {
    let each: Vec<_> = findings.iter().map(Finding::to_string).collect();
    each.join("; ")
}

/// Runs `fail2ban-client -d` for `instance` and reads what it prints, for up to `limit`.
///
/// # Errors
/// [`DumpError`]; a client that does not end is killed.
pub async fn dump(instance: &Instance, limit: Duration) -> Result<Dump, DumpError> {
    look_before(instance).await?;
    let words = instance.client_command(WORDS);
    let program = program(instance)?;
    let ran = tokio::time::timeout(limit, run(&program, &words)).await;
    let (status, printed) = ran.map_err(|_| DumpError::TimedOut {
        program,
        after: limit,
    })??;
    printed.read(status)
}

/// Refuses what no client would come through.
pub(super) async fn look_before(instance: &Instance) -> Result<(), DumpError> {
    let root = instance.config_dir.clone();
    let findings = tokio::task::spawn_blocking(move || endless::find(&root)).await;
    match findings.unwrap_or_default() {
        findings if findings.is_empty() => Ok(()),
        findings => Err(DumpError::Unreadable { findings }),
    }
}

/// The program in messages.
pub(super) fn program(instance: &Instance) -> Result<String, DumpError> {
    let program = instance.client.first().ok_or(DumpError::NoProgram)?;
    Ok(program.to_string_lossy().into_owned())
}

/// What a client printed.
pub(super) struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

async fn run(program: &str, words: &[OsString]) -> Result<(ExitStatus, Printed), DumpError> {
    let mut command = Command::new(program);
    command.args(words.iter().skip(1)).stdin(Stdio::null());
    set_up(&mut command);
    let mut child = spawn(&mut command).map_err(|error| DumpError::CannotRun {
        program: program.to_owned(),
        error,
    })?;
    let printed = printed(program, &mut child).await?;
    let status = child.wait().await.map_err(|error| DumpError::Output {
        program: program.to_owned(),
        error,
    })?;
    Ok((status, printed))
}

/// Prepares a command that is or works as fail2ban's client.
pub(super) fn set_up(command: &mut Command) {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // Python then prints UTF-8 whatever our locale, and escapes what is not.
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONIOENCODING", "utf-8:backslashreplace");
    for name in NOT_FOR_CHILDREN {
        command.env_remove(name);
    }
}

/// Starts it with a limit on its memory.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    let child = command.spawn()?;
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let limit = Rlimit {
        current: Some(MEMORY),
        maximum: Some(MEMORY),
    };
    // One that has ended by now needs none.
    let _ = pid.map(|pid| prlimit(Some(pid), Resource::As, limit));
    Ok(child)
}

/// What a process prints until it closes both pipes.
pub(super) async fn printed(program: &str, child: &mut Child) -> Result<Printed, DumpError> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(
        bounded(program, stdout, MAX_OUTPUT),
        bounded(program, stderr, MAX_MESSAGES)
    )?;
    Ok(Printed { stdout, stderr })
}

async fn bounded(
    program: &str,
    pipe: Option<impl AsyncRead + Unpin>,
    limit: usize,
) -> Result<Vec<u8>, DumpError> {
    let mut read = Vec::new();
    let Some(pipe) = pipe else {
        return Ok(read);
    };
    let mut pipe = pipe.take(limit as u64 + 1);
    let program = program.to_owned();
    match pipe.read_to_end(&mut read).await {
        Ok(_) if read.len() > limit => Err(DumpError::TooMuch { program, limit }),
        Ok(_) => Ok(read),
        Err(error) => Err(DumpError::Output { program, error }),
    }
}

impl Printed {
    /// What a client that printed this and ended so makes of the config.
    pub(super) fn read(&self, status: ExitStatus) -> Result<Dump, DumpError> {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let stderr = String::from_utf8_lossy(&self.stderr);
        read(status, &stdout, &stderr)
    }

    /// Its last words on standard error.
    pub(super) fn last_words(&self) -> Option<String> {
        let words = String::from_utf8_lossy(&self.stderr);
        let last = words.lines().rfind(|line| !line.trim().is_empty());
        last.map(|line| line.trim().to_owned())
    }
}

fn read(status: ExitStatus, stdout: &str, stderr: &str) -> Result<Dump, DumpError> {
    if !status.success() {
        return Err(DumpError::Unreadable {
            findings: messages::refusal(status, stdout, stderr),
        });
    }
    let mut stream = Stream::parse(stdout)?;
    let mut findings = std::mem::take(&mut stream.findings);
    messages::complete(&mut findings, stderr);
    Ok(Dump {
        stream,
        findings,
        missing_logs: messages::missing_logs(stderr),
    })
}
