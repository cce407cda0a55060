//! Contents by hash, one file each.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};

use super::{Digest, HistoryError};
use crate::durable::{self, Batch};

/// The name of a file that is being written; what a broken-off write left is removed.
pub(super) const BEING_WRITTEN: &str = ".new";

/// The folder of the contents.
pub(super) struct Blobs(pub(super) PathBuf);

impl Blobs {
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join(digest.to_string())
    }

    /// A content, which is what its name says.
    pub(super) fn get(&self, digest: &Digest) -> Result<Vec<u8>, HistoryError> {
        let path = self.path(digest);
        let damaged = |why: &str| HistoryError::Damaged {
            path: path.clone(),
            why: why.to_owned(),
        };
        let mut bytes = Vec::new();
        match durable::open_regular(CWD, &path, OFlags::NOFOLLOW) {
            Ok(Some(mut file)) => file.read_to_end(&mut bytes),
            Ok(None) => return Err(damaged("it is no regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("this kept content is missing"));
            }
            Err(error) => Err(error),
        }
        .map_err(|error| HistoryError::io("read", &path, error))?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(damaged("this kept content is damaged"))
        }
    }

    /// Whether a content is there and whole.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.get(digest).is_ok()
    }

    /// Adds a content; on disk once the batch is.
    pub(super) fn put(&self, content: &[u8], batch: &mut Batch) -> Result<(), HistoryError> {
        let digest = Digest::of(content);
        // One that is there may be half of one, since its name reaches the disk before its bytes.
        if self.has(&digest) {
            return Ok(());
        }
        let path = self.path(&digest);
        write(&path, content, batch).map_err(|error| HistoryError::io("write", &path, error))
    }

    /// Removes all others.
    pub(super) fn keep_only(&self, used: &BTreeSet<Digest>) -> Result<(), HistoryError> {
        let failed = |path: &Path, error| HistoryError::io("remove", path, error);
        for entry in fs::read_dir(&self.0).map_err(|error| failed(&self.0, error))? {
            let path = entry.map_err(|error| failed(&self.0, error))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let is_ours = name.is_some_and(|name| {
                let digest = Digest::from_hex(name);
                name == BEING_WRITTEN || digest.is_some_and(|digest| !used.contains(&digest))
            });
            if is_ours {
                fs::remove_file(&path).map_err(|error| failed(&path, error))?;
            }
        }
        Ok(())
    }
}

/// Puts a file of ours in its place, whole, readable by root alone; on disk once the batch is, and
/// the folder synced.
pub(super) fn write(path: &Path, content: &[u8], batch: &mut Batch) -> io::Result<()> {
    let temporary = path.with_file_name(BEING_WRITTEN);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = durable::create(CWD, &temporary, 0o600, content)
        .and_then(|file| batch.add(&file))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The next write cleans up what this cannot.
        let _ = fs::remove_file(&temporary);
    }
    written
}
