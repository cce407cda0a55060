//! Why settings could not be had.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::SIZE_LIMIT;
use super::yaml::Fault;

/// One thing to mend in a settings file, as a line such as
/// `/etc/jailwarden/jailwarden.yaml:7:13: probe.interval: "10 parsecs" is not a duration: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The settings file.
    pub file: PathBuf,
    /// The line in `file`, from 1.
    pub line: u32,
    /// The column in `line`, in characters, from 1.
    pub column: u32,
    /// The key with its section, such as `probe.interval`, or the section alone; empty at the top
    /// level and where the YAML itself is broken.
    pub key: String,
    /// What is wrong, what was expected, and a near match where there is one.
    pub what: String,
}

impl Mistake {
    pub(super) fn new(file: &Path, key: &str, fault: Fault) -> Self {
        Self {
            file: file.to_path_buf(),
            line: fault.at.line,
            column: fault.at.column,
            key: key.to_owned(),
            what: fault.what,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// Why settings could not be had; its text is for the admin.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file says what cannot be. The text has a line for each mistake.
    #[error("{}", lines(mistakes))]
    Faulty {
        /// Every mistake found, in the file's order; never empty.
        mistakes: Vec<Mistake>,
    },
    /// The file could not be read.
    #[error("{}: cannot be read: {cause}{}", file.display(), advice(cause.kind()))]
    Unreadable {
        /// The settings file.
        file: PathBuf,
        /// What the system answered.
        cause: io::Error,
    },
    /// The path names a folder, a pipe or a device, which could block for ever when read.
    #[error("{}: is not a regular file: name a settings file", file.display())]
    NotAFile {
        /// What was to be the settings file.
        file: PathBuf,
    },
    /// The file is too large to be a settings file.
    #[error("{}: is larger than {} KiB: that is no settings file", file.display(), SIZE_LIMIT / 1024)]
    TooLarge {
        /// What was to be the settings file.
        file: PathBuf,
    },
}

fn lines(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn advice(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => ": run jailwarden as root",
        io::ErrorKind::NotFound => ": name an existing file, or none to use the defaults",
        _ => "",
    }
}
