//! What is wrong with a config, in fail2ban's words.

use std::fmt;
use std::path::PathBuf;

/// One thing that fail2ban says is wrong with its config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What follows from it.
    pub kind: FindingKind,
    /// The jail concerned, if fail2ban names one; the fault may still stand in `[DEFAULT]`.
    pub jail: Option<String>,
    /// The file at fault, or the missing file, if fail2ban names one.
    pub file: Option<PathBuf>,
    /// The line in `file`, from 1.
    pub line: Option<u32>,
    /// fail2ban's words on one line.
    pub words: String,
}

/// What follows from a finding, as measured with 1.0.2, 1.1.0 and 1.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// fail2ban refuses the whole config: neither start nor reload works.
    Unreadable,
    /// The jail is left out; the others run.
    JailSkipped,
    /// The file is left out, and what it says is not in effect; the rest runs. 1.1.1 refuses the
    /// whole config instead, except for a filter or an action, which skips the jail.
    FileIgnored,
    /// No log file is there for the jail, which is left out as `skip_if_nologs` says (1.1.1): no fault.
    LogAwaited,
    /// No log file is there for the jail: neither start nor reload works, though `-d` exits with 0.
    NoLogFile,
    /// A number is missing or none: neither start nor reload works, though `-d` exits with 0.
    BadNumber,
    /// A word that fail2ban takes for false, though nobody means that by it (helpers.py `_as_bool`).
    NotBoolean,
    /// The jail bears the name of a server setting or of a keyword: it changes that instead.
    ReservedName,
    /// fail2ban's server refuses a command that `-d` prints, or fails at the first line of a log.
    Refused,
    /// Another error of fail2ban; what follows is not known. Jails start all the same, but one whose
    /// filter has no `[Definition]` sees nothing.
    Other,
}

impl FindingKind {
    /// Whether a start or a full reload of this config fails.
    #[must_use]
    pub fn stops_start(self) -> bool {
        match self {
            Self::Unreadable
            | Self::NoLogFile
            | Self::BadNumber
            | Self::ReservedName
            | Self::Refused => true,
            Self::JailSkipped
            | Self::FileIgnored
            | Self::LogAwaited
            | Self::NotBoolean
            | Self::Other => false,
        }
    }
}

impl Finding {
    /// A finding without a place.
    #[must_use]
    pub fn new(kind: FindingKind, jail: Option<&str>, words: impl Into<String>) -> Self {
        Self {
            kind,
            jail: jail.map(str::to_owned),
            file: None,
            line: None,
            words: words.into(),
        }
    }
}

/// `FILE:LINE: jail 'NAME': WORDS`, as far as known.
impl fmt::Display for Finding {
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
