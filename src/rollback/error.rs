//! What can go wrong with a rollback file, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a rollback file could not be written, removed or looked for.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// Something that jailwarden did not write is in the file's place. It was not touched.
    #[error(
        "{} is {what}, so jailwarden leaves it alone; move it away", path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The fail2ban config folder is not there.
    #[error(
        "the fail2ban config folder {} does not exist, so no rollback file can be put there; install \
         fail2ban or correct the folder in jailwarden's settings", path.display()
    )]
    NoConfigFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The file system takes no writes.
    #[error(
        "cannot {doing} {}: the file system is read-only; remount it writable, or add the folder to \
         ReadWritePaths= of jailwarden's unit", path.display()
    )]
    ReadOnly {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The disk or the quota is full.
    #[error("cannot {doing} {}: no room on the disk ({source}); free some space", path.display())]
    NoSpace {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer: no space, no inodes, or over quota.
        source: io::Error,
    },
    /// The right to do it is lacking.
    #[error(
        "cannot {doing} {}: permission denied; jailwarden must run as root, and no `chattr +i` or \
         security policy may forbid it", path.display()
    )]
    Permission {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot {doing} {}: {source}; check the disk and the folder", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl RollbackError {
    /// Sorts a system error by what to do about it.
    pub(super) fn new(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let path = path.to_owned();
        let source = source.into();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { doing, path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace {
                doing,
                path,
                source,
            },
            io::ErrorKind::PermissionDenied => Self::Permission { doing, path },
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }
}
