//! What can go wrong with the history, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::{Digest, Restored};

/// Why something could not be kept, found or put back.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// jailwarden has kept nothing here yet.
    #[error(
        "{}: nothing is kept yet; jailwarden keeps the config once fail2ban was healthy with it for a \
         minute", folder.display()
    )]
    NothingKept {
        /// Where it would be.
        folder: PathBuf,
    },
    /// No snapshot and no set of replaced files has such an id.
    #[error("nothing is kept as \"{id}\"; `{called} history` lists what is")]
    NoSuch {
        /// The id, as it was given.
        id: String,
        /// How a person calls jailwarden.
        called: String,
    },
    /// Several have.
    #[error("\"{id}\" fits {}; give more digits", among(found))]
    Ambiguous {
        /// The id, as it was given.
        id: String,
        /// What it fits.
        found: Vec<Digest>,
    },
    /// A path that is asked for is not below the config folder.
    #[error("{} is not in the config folder; give paths below it", path.display())]
    NotInside {
        /// The path.
        path: PathBuf,
    },
    /// The config folder is not what the daemon was healthy with any more.
    #[error("{} changed while it was being read, so it is not kept", folder.display())]
    Moved {
        /// The config folder.
        folder: PathBuf,
    },
    /// Something changed a file between our look at it and our replacing it. It was left alone.
    #[error("{} changed while it was being replaced, and was left alone; try again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file of the history is not what jailwarden wrote.
    #[error("{}: {why}; take another snapshot of the history", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another jailwarden is at work on the history.
    #[error("{}: another jailwarden is at work on it; try again in a moment", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot {doing} {}: {}", path.display(), advice(source))]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Files were put back, but not all. What they replaced is kept; doing the same again goes on
    /// from here.
    #[error("{cause}; {done}")]
    Halted {
        /// What came between.
        cause: Box<HistoryError>,
        /// What was done until then.
        done: Box<Restored>,
    },
}

impl HistoryError {
    pub(super) fn io(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// The system's answer, if it was the system that refused.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::Halted { cause, .. } => cause.io_kind(),
            _ => None,
        }
    }
}

fn among(found: &[Digest]) -> String {
    let each: Vec<_> = found.iter().map(Digest::short).collect();
    each.join(" and ")
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only; remount it writable".to_owned()
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("no room on the disk ({error}); free some space")
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; it takes root, and no `chattr +i` or security policy may forbid it"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// Something in the history that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// jailwarden did not put it there.
    #[error("{}: jailwarden did not write this here; it is passed over", path.display())]
    Foreign {
        /// What.
        path: PathBuf,
    },
    /// A newer jailwarden wrote it.
    #[error("{}: version {version} is not known here; it is passed over", path.display())]
    Version {
        /// What.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It is broken.
    #[error("{}: {why}; it is passed over", path.display())]
    Damaged {
        /// What.
        path: PathBuf,
        /// How.
        why: String,
    },
}
