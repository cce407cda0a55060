//! The dry run by hand: what fail2ban would refuse of a config, with the line that says it.
//!
//! Three sources make one [`Report`]: how `fail2ban-client -d` reads the config, a rehearsal of its
//! jails on fail2ban's own code, and fail2ban's files for the places. No daemon is needed, none is
//! asked, and nothing is written. The words in a report are fail2ban's and the config's: they may
//! hold anything, and each renderer makes them safe for where it prints them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::Access;
use tokio::process::Command;

use crate::fail2ban::Instance;
use crate::fail2ban::blame::Blame;
use crate::fail2ban::dump::{Dump, DumpError, NOT_FOR_CHILDREN};
use crate::fail2ban::finding::Finding;
use crate::fail2ban::rehearsal::{self, Fault, Stage, Unproven, Urgency, Why};
use crate::fail2ban::stream::{JailStream, Stream};
use crate::history::mask::Secrets;
use crate::rollback;
use crate::text;

mod diagnostic;
pub mod diff;
pub mod github;
pub mod human;
pub mod json;
mod place;
pub mod sarif;
mod settings;
pub mod since;
#[cfg(test)]
mod tests;

pub use crate::fail2ban::scratch::StandIn;
use crate::fail2ban::scratch::{Scratch, ScratchError};
pub use diagnostic::{Diagnostic, Kind, Level};

/// How long each of the two runs of fail2ban's code may take; 500 jails take under a second each.
const LIMIT: Duration = Duration::from_secs(60);

/// The folders of a config besides its own; one that cannot be listed looks empty to fail2ban.
const FOLDERS: [&str; 4] = ["fail2ban.d", "jail.d", "filter.d", "action.d"];

/// What is to be checked, and with which fail2ban.
#[derive(Debug, Clone)]
pub struct Request {
    /// fail2ban's client: a program and the words that always follow it.
    pub client: Vec<OsString>,
    /// The config folder.
    pub config_dir: PathBuf,
    /// The jails to look at; all where none is named.
    pub jails: BTreeSet<String>,
    /// Whether a log file that is not there is none of our business: on a machine other than the
    /// one that the config is for.
    pub allow_missing_logs: bool,
    /// Files that are to be read in place of, or beside, those of the config folder.
    pub stand_ins: Vec<StandIn>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The config folder, absolute.
    pub config_dir: PathBuf,
    /// The jails that were looked at; none where fail2ban cannot read its config.
    pub jails: BTreeSet<String>,
    /// The jails that jailwarden has disabled; they were looked at as if it had not.
    pub rolled_back: BTreeSet<String>,
    /// What is wrong, in the order of fail2ban's files.
    pub diagnostics: Vec<Diagnostic>,
    /// Why some jails were judged by `fail2ban-client -d` alone, if so.
    pub unproven: Option<Unjudged>,
}

/// Why the rehearsal has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unjudged {
    /// In words.
    pub why: String,
    /// Whether it took too long.
    pub timed_out: bool,
}

/// Why a config could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no such folder.
    #[error("{folder}: {error}; is fail2ban installed? --config-dir names another folder")]
    NoFolder {
        /// The folder.
        folder: String,
        /// Why not.
        error: io::Error,
    },
    /// We may not read what fail2ban reads.
    #[error(
        "{path}: permission denied; without it there is no telling what fail2ban would do. \
             Run as a user who may read it, such as root"
    )]
    Denied {
        /// The file or folder.
        path: String,
    },
    /// fail2ban itself does not run here.
    #[error("`{client}` does not work on this machine: {words}; is fail2ban installed whole?")]
    Broken {
        /// The program.
        client: String,
        /// Its last words.
        words: String,
    },
    /// The config cannot be copied, or a file cannot stand in for one of its own.
    #[error("{path}: {error}")]
    Copy {
        /// The file or folder.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// The system gives us no event loop.
    #[error("nothing can be run here: {0}")]
    Runtime(io::Error),
    /// fail2ban cannot be asked.
    #[error(transparent)]
    Dump(#[from] DumpError),
}

impl CheckError {
    /// Whether it took too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Dump(DumpError::TimedOut { .. }))
    }
}

impl Report {
    /// Whether nothing is wrong, as far as was looked.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faulty().next().is_none()
    }

    /// What is wrong, without mere remarks.
    pub fn faulty(&self) -> impl Iterator<Item = &Diagnostic> {
        let is_fault = |d: &&Diagnostic| d.level() != Level::Note;
        self.diagnostics.iter().filter(is_fault)
    }

    /// The jails with something wrong.
    #[must_use]
    pub fn faulty_jails(&self) -> BTreeSet<&str> {
        let jails = self.faulty().flat_map(|diagnostic| &diagnostic.jails);
        jails.map(String::as_str).collect()
    }
}

/// Checks a config, as if jailwarden had disabled no jail of it. Must be called within a tokio runtime, on a thread that outlives it.
///
/// # Errors
/// [`CheckError`] if there is no telling. A rehearsal that fails is none: see [`Report::unproven`].
pub async fn gather(request: &Request) -> Result<Report, CheckError> {
    let config_dir = readable_folder(&request.config_dir)?;
    let (rolled_back, mut stand_ins) = without_rollbacks(&config_dir);
    stand_ins.extend_from_slice(&request.stand_ins);
    let mut report = if stand_ins.is_empty() {
        look(request, config_dir).await?
    } else {
        let scratch = Scratch::of(&config_dir, &stand_ins)?;
        let report = look(request, scratch.path().to_owned()).await?;
        report.told_of(&scratch)
    };
    report.rolled_back = rolled_back;
    if !request.jails.is_empty() {
        report
            .rolled_back
            .retain(|jail| request.jails.contains(jail));
    }
    Ok(report)
}

/// The jails that rollback files disable, and the folder without those files: what they hide is what
/// somebody who checks wants to know.
fn without_rollbacks(config_dir: &Path) -> (BTreeSet<String>, Vec<StandIn>) {
    // A folder that cannot be listed is told of by who reads the config.
    let standing = rollback::standing(config_dir).unwrap_or_default();
    let without = standing.iter().filter_map(|it| {
        let place = it.path.strip_prefix(config_dir).ok()?;
        Some(StandIn {
            place: place.to_owned(),
            content: None,
        })
    });
    let stand_ins = without.collect();
    let jails = standing.iter().map(|it| it.jail.as_str().to_owned());
    (jails.collect(), stand_ins)
}

async fn look(request: &Request, config_dir: PathBuf) -> Result<Report, CheckError> {
    let instance = instance(&request.client, config_dir.clone());
    let (dumped, stage) = rehearsal::read(&instance, LIMIT, Urgency::Low).await;
    let (stream, findings) = match dumped {
        Ok(Dump {
            stream,
            mut findings,
            ..
        }) => {
            let running = stream.started().map(str::to_owned).collect();
            findings.extend(Blame::open(&config_dir).misread(&running));
            (stream, findings)
        }
        Err(DumpError::Unreadable { findings }) => {
            client_must_work(&instance.client).await?;
            (Stream::default(), findings)
        }
        Err(error) => return Err(error.into()),
    };
    all_must_be_readable(&findings)?;
    let is_wanted = |jail: &str| request.jails.is_empty() || request.jails.contains(jail);
    let jails: Vec<_> = stream
        .jails
        .iter()
        .filter(|jail| jail.starts && is_wanted(&jail.name))
        .collect();
    let server = stream.server_part();
    let (faults, unproven) = rehearse(stage, &jails, &server).await;
    let mut blame = Blame::open(&config_dir);
    let diagnostics = place::diagnostics(&mut blame, findings, faults, &jails);
    let mut report = Report {
        jails: jails.iter().map(|jail| jail.name.clone()).collect(),
        rolled_back: BTreeSet::new(),
        diagnostics,
        unproven,
        config_dir,
    };
    report.narrow(request);
    if report
        .diagnostics
        .iter()
        .all(|d| d.kind != Kind::Unreadable)
    {
        report.add_missing(&mut blame, &request.jails);
    }
    let named = report.diagnostics.iter().flat_map(|d| d.jails.clone());
    report.jails.extend(named.collect::<Vec<_>>());
    report.mask();
    Ok(report)
}

fn instance(client: &[OsString], config_dir: PathBuf) -> Instance {
    Instance {
        client: client.to_vec(),
        config_dir,
        // Neither is made nor opened: `-d` only reads.
        socket: "/run/fail2ban/fail2ban.sock".into(),
        pid_file: "/run/fail2ban/fail2ban.pid".into(),
    }
}

async fn rehearse(
    stage: Result<Stage, Unproven>,
    jails: &[&JailStream],
    server: &JailStream,
) -> (Vec<Fault>, Option<Unjudged>) {
    if jails.is_empty() && server.text.is_empty() {
        return (Vec::new(), None);
    }
    let parts = [&[server], jails].concat();
    let rehearsed = match stage {
        Ok(stage) => stage.rehearse(&parts, LIMIT).await,
        Err(unproven) => Err(unproven),
    };
    match rehearsed {
        Ok(faults) => (faults, None),
        Err(unproven) => {
            let unjudged = Unjudged {
                why: unproven.to_string(),
                timed_out: matches!(unproven.why, Why::TimedOut { .. }),
            };
            (unproven.faults, Some(unjudged))
        }
    }
}

impl From<ScratchError> for CheckError {
    fn from(ScratchError { path, error }: ScratchError) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => denied(&path),
            _ => Self::Copy {
                path: text::safe(&path.display().to_string()),
                error,
            },
        }
    }
}

impl Report {
    /// The report on a copy as if it were on the original.
    fn told_of(mut self, scratch: &Scratch) -> Self {
        let told = |words: &mut String| *words = scratch.told(words);
        scratch.original().clone_into(&mut self.config_dir);
        for diagnostic in &mut self.diagnostics {
            told(&mut diagnostic.words);
            diagnostic.value.as_mut().map(told);
            diagnostic.file = diagnostic.file.take().map(|file| scratch.place(&file));
        }
        self
    }

    /// Without the secrets of the config: a report goes to logs, into files and to other hosts.
    fn mask(&mut self) {
        if self.diagnostics.is_empty() && self.unproven.is_none() {
            return;
        }
        let mut secrets = Secrets::default();
        secrets.learn_config(&self.config_dir);
        for diagnostic in &mut self.diagnostics {
            let option = diagnostic.option.as_deref();
            diagnostic.words = secrets.mask_words(&diagnostic.words);
            if let Some(source) = &mut diagnostic.source {
                *source = secrets.mask_line(option, source);
            }
            if let Some(value) = &mut diagnostic.value {
                *value = secrets.mask_setting(option.unwrap_or_default(), value);
            }
        }
        if let Some(unproven) = &mut self.unproven {
            unproven.why = secrets.mask_words(&unproven.why);
        }
    }

    /// Leaves out what nobody asked for.
    fn narrow(&mut self, request: &Request) {
        if request.allow_missing_logs {
            self.diagnostics
                .retain(|d| !matches!(d.kind, Kind::NoLogFile | Kind::LogAwaited));
        }
        if request.jails.is_empty() {
            return;
        }
        self.diagnostics.retain_mut(|diagnostic| {
            let is_general = diagnostic.jails.is_empty();
            diagnostic.jails.retain(|jail| request.jails.contains(jail));
            is_general || !diagnostic.jails.is_empty()
        });
    }

    /// Says which of the jails that were asked for are not even read.
    fn add_missing(&mut self, blame: &mut Blame, wanted: &BTreeSet<String>) {
        for jail in wanted.difference(&self.jails) {
            if !self.diagnostics.iter().any(|d| d.jails.contains(jail)) {
                self.diagnostics.push(place::not_enabled(blame, jail));
            }
        }
    }
}

/// The folder as an absolute path, if fail2ban can list what it lists.
fn readable_folder(folder: &Path) -> Result<PathBuf, CheckError> {
    let no_folder = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => denied(folder),
        _ => CheckError::NoFolder {
            folder: text::safe(&folder.display().to_string()),
            error,
        },
    };
    fs::read_dir(folder).map_err(no_folder)?;
    for name in FOLDERS {
        let inner = folder.join(name);
        let allowed = rustix::fs::access(&inner, Access::READ_OK | Access::EXEC_OK);
        if allowed == Err(rustix::io::Errno::ACCESS) {
            return Err(denied(&inner));
        }
    }
    std::path::absolute(folder).map_err(no_folder)
}

/// The error as it may be printed: fail2ban quotes the lines that it cannot read.
fn without_secrets(mut error: DumpError, config_dir: &Path) -> DumpError {
    if let DumpError::Unreadable { findings } = &mut error {
        let mut secrets = Secrets::default();
        secrets.learn_config(config_dir);
        for finding in findings {
            finding.words = secrets.mask_words(&finding.words);
        }
    }
    error
}

/// A file that fail2ban cannot read only because of who asks says nothing about the config.
fn all_must_be_readable(findings: &[Finding]) -> Result<(), CheckError> {
    let files = findings
        .iter()
        .filter_map(|finding| finding.file.as_deref());
    let is_denied =
        |file: &&Path| rustix::fs::access(*file, Access::READ_OK) == Err(rustix::io::Errno::ACCESS);
    files
        .clone()
        .find(is_denied)
        .map_or(Ok(()), |file| Err(denied(file)))
}

fn denied(path: &Path) -> CheckError {
    CheckError::Denied {
        path: text::safe(&path.display().to_string()),
    }
}

/// Tells a config that fail2ban refuses from a fail2ban that does not run at all.
async fn client_must_work(client: &[OsString]) -> Result<(), CheckError> {
    let mut words = client.iter();
    let program = words.next().cloned().unwrap_or_default();
    let mut command = Command::new(&program);
    command
        .args(words)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for name in NOT_FOR_CHILDREN {
        command.env_remove(name);
    }
    let broken = |words: &str| CheckError::Broken {
        client: text::safe(&program.to_string_lossy()),
        words: text::safe(words),
    };
    match tokio::time::timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| !line.trim().is_empty());
            Err(broken(last.unwrap_or("`--version` failed")))
        }
        Ok(Err(error)) => Err(broken(&error.to_string())),
        Err(_) => Err(broken("`--version` does not end")),
    }
}
