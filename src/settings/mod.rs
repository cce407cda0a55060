//! The settings: YAML with positions in, checked values out, every mistake named with its place.
//!
//! `config/jailwarden.yaml` shows each key with its default and says what it is for; tests hold it and this
//! together, and make docs/settings.md of both.

mod error;
mod fields;
mod keys;
mod show;
#[cfg(test)]
mod tests;
mod values;
mod yaml;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str;
use std::time::Duration;

pub use error::{Mistake, SettingsError};
use fields::{Fields, Lines};
pub use show::Shown;
use yaml::{Fault, Position};

use crate::text::called;

/// The settings file that is read where none is named; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/jailwarden/jailwarden.yaml";

/// Where the settings of further instances are, beside [`DEFAULT_FILE`].
const FOLDER: &str = "/etc/jailwarden";

/// What the host's own instance is called in units and paths.
const HOST: &str = "jailwarden";

/// The largest settings file, in bytes.
const SIZE_LIMIT: u64 = 64 * 1024;

/// Checked settings. [`Settings::default`] is right for Debian's package, and by its spec file for Fedora's,
/// where nothing was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which instance it is, as in `jailwarden@second.service`; none for the host's own fail2ban.
    pub instance: Option<String>,
    /// fail2ban's config folder; an absolute path.
    pub config_dir: PathBuf,
    /// Where jailwarden keeps what it must remember across its own restarts; not in `config_dir`.
    pub state_dir: PathBuf,
    /// A burst of file changes is one change once it was quiet for this long.
    pub settle: Duration,
    /// The supervised daemon.
    pub daemon: Daemon,
    /// The health probe.
    pub probe: Probe,
    /// The limits of a restart.
    pub restart: Restart,
    /// Alerts beside those in the journal.
    pub alerts: Alerts,
    /// Where the metrics are written for `node_exporter`'s textfile collector.
    pub metrics_textfile: Option<PathBuf>,
    /// The control API.
    pub control: Control,
    /// Where the status page is served, a loopback address; without one it is not.
    pub page_listen: Option<SocketAddr>,
}

/// Alerts beside those in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// Gets each alert as JSON on its standard input: a program and its words. Never empty.
    pub command: Option<Vec<OsString>>,
    /// The least severity that it gets.
    pub severity: Severity,
}

/// How loud an alert is, as in syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody must act now.
    Alert,
    /// Protection is lost or about to be.
    Critical,
    /// Something failed.
    Error,
    /// Something is odd or reduced.
    Warning,
    /// Normal, but worth a note.
    Notice,
    /// Normal.
    Info,
}

impl Severity {
    /// Every one, the loudest first.
    pub(crate) const ALL: [Self; 6] = [
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Info,
    ];

    /// As a settings file has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
        }
    }
}

/// How the supervised fail2ban is found, asked and started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// The systemd service that runs fail2ban; without one, `start_command` starts it.
    pub unit: Option<String>,
    /// The daemon's socket; an absolute path that fits into a socket address.
    pub socket: PathBuf,
    /// The daemon's pid file; an absolute path.
    pub pid_file: PathBuf,
    /// fail2ban's client: a program and the words that always follow it. Never empty.
    pub client: Vec<OsString>,
    /// Starts the daemon in the background: a program and its words. Never empty.
    pub start_command: Vec<OsString>,
}

/// How often the daemon is asked, and when its silence counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The time between two probes while all is well.
    pub interval: Duration,
    /// A ping without an answer for this long, with the process frozen, means hung.
    pub timeout: Duration,
    /// The same while the process still uses CPU time; never shorter than `timeout`.
    pub busy_limit: Duration,
    /// Whether the firewall is looked at for the bans of jails.
    pub firewall: bool,
}

/// The limits of a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The time the daemon has to be back, from the start command on.
    pub comeback: Duration,
    /// The time the daemon has for a lawful stop.
    pub stop_timeout: Duration,
    /// Whether files of the config may be replaced by their last known good content.
    pub replace_files: bool,
}

/// The control API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Where it is served, an absolute path that fits into a socket address; without one it is not.
    pub socket: Option<PathBuf>,
    /// The users beside root who may change something through it.
    pub admins: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self::read(&mut Fields::empty(Path::new("")))
    }
}

impl Settings {
    /// The settings in `file`, or in [`DEFAULT_FILE`] where none is named; the defaults where
    /// that does not exist.
    ///
    /// # Errors
    /// The file cannot be read, a named one does not exist, or it holds mistakes.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::traced(file).map(|(settings, _)| settings)
    }

    /// The same, with the line of each key that the file sets.
    fn traced(file: Option<&Path>) -> Result<(Self, Lines), SettingsError> {
        match file {
            Some(file) => Self::of_file(file),
            None => Self::of_file_if_any(Path::new(DEFAULT_FILE)),
        }
    }

    /// How a person calls jailwarden for this instance, to be followed by a command.
    #[must_use]
    pub fn called(&self) -> String {
        called(self.instance.as_deref())
    }

    /// How a person calls the client of this fail2ban, to be followed by a command: with the places that are
    /// not those of the host's own.
    #[must_use]
    pub fn client_called(&self) -> String {
        let words: Vec<_> = self
            .daemon
            .client
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        let (mut called, usual) = (words.join(" "), Self::default());
        for (option, is, usual) in [
            ("-c", &self.config_dir, &usual.config_dir),
            ("-s", &self.daemon.socket, &usual.daemon.socket),
        ] {
            if is != usual {
                let _ = write!(called, " {option} {}", is.display());
            }
        }
        called
    }

    /// The service of this instance, as `systemctl` takes it.
    #[must_use]
    pub fn service(&self) -> String {
        match &self.instance {
            Some(name) => format!("{HOST}@{name}"),
            None => HOST.to_owned(),
        }
    }

    /// These settings once a file with `new` was read again: the timing and what a restart may do take
    /// effect at once, all else when jailwarden is restarted.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        Self {
            settle: new.settle,
            probe: Probe {
                firewall: self.probe.firewall,
                ..new.probe
            },
            restart: new.restart,
            ..self.clone()
        }
    }

    /// The settings in `text`; `origin` is the file that mistakes name.
    ///
    /// # Errors
    /// [`SettingsError::Faulty`] with every mistake; broken YAML hides the others.
    pub fn parse(text: &str, origin: &Path) -> Result<Self, SettingsError> {
        Self::parse_traced(text, origin).map(|(settings, _)| settings)
    }

    fn parse_traced(text: &str, origin: &Path) -> Result<(Self, Lines), SettingsError> {
        let root = yaml::parse(text).map_err(|fault| faulty(origin, fault))?;
        let mut fields = Fields::of(root, origin);
        let settings = Self::read(&mut fields);
        let (mistakes, lines) = fields.finish();
        if mistakes.is_empty() {
            Ok((settings, lines))
        } else {
            Err(SettingsError::Faulty { mistakes })
        }
    }

    fn of_file_if_any(file: &Path) -> Result<(Self, Lines), SettingsError> {
        match Self::of_file(file) {
            Err(SettingsError::Unreadable { cause, .. })
                if cause.kind() == io::ErrorKind::NotFound =>
            {
                Ok((Self::default(), Lines::new()))
            }
            outcome => outcome,
        }
    }

    fn of_file(file: &Path) -> Result<(Self, Lines), SettingsError> {
        let bytes = read_bounded(file)?;
        let text = str::from_utf8(&bytes).map_err(|error| {
            let (sound, _) = bytes.split_at(error.valid_up_to());
            let what = "not UTF-8 text from here on".to_owned();
            faulty(
                file,
                Fault {
                    at: end_of(sound),
                    what,
                },
            )
        })?;
        Self::parse_traced(text, file)
    }
}

/// Where a further instance has its settings: `jailwarden@second.service` reads `second.yaml`.
#[must_use]
pub fn file_of(instance: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{instance}.yaml"))
}

/// Whether it can be the name of an instance, in a unit's name as well as in paths.
#[must_use]
pub fn is_instance(name: &str) -> bool {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b":_.-".contains(&byte);
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    begins_well && name.len() <= INSTANCE_LIMIT && name.bytes().all(lawful)
}

/// So that the control socket's path fits into a socket address.
const INSTANCE_LIMIT: usize = 64;

/// The instance whose settings `file` is to hold, however its folder is spelled.
fn instance_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?.strip_suffix(".yaml")?;
    let folder = match file.parent()? {
        here if here.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    let whole = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let is_further = name != HOST && is_instance(name);
    (is_further && whole(folder) == whole(Path::new(FOLDER))).then(|| name.to_owned())
}

fn faulty(file: &Path, fault: Fault) -> SettingsError {
    SettingsError::Faulty {
        mistakes: vec![Mistake::new(file, "", fault)],
    }
}

/// A pipe or a device could block for ever, so only a regular file is opened.
fn read_bounded(file: &Path) -> Result<Vec<u8>, SettingsError> {
    let unreadable = |cause| SettingsError::Unreadable {
        file: file.to_path_buf(),
        cause,
    };
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(SettingsError::NotAFile {
            file: file.to_path_buf(),
        });
    }
    let mut bytes = Vec::new();
    let reader = File::open(file).map_err(unreadable)?;
    let read = reader.take(SIZE_LIMIT + 1).read_to_end(&mut bytes);
    if read.map_err(unreadable)? as u64 > SIZE_LIMIT {
        return Err(SettingsError::TooLarge {
            file: file.to_path_buf(),
        });
    }
    Ok(bytes)
}

/// The position right after `text`, which is sound UTF-8.
fn end_of(text: &[u8]) -> Position {
    let mut lines = text.split(|byte| *byte == b'\n');
    let last = lines.next_back().unwrap_or_default();
    let counted = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
    Position {
        line: counted(lines.count()),
        column: counted(String::from_utf8_lossy(last).chars().count()),
    }
}
