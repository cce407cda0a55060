//! Files that are read without hanging and written without halves.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::path::Arg;
use tempfile::TempDir;

/// Files that are synced one by one; from there on syncing the whole file system is cheaper.
const MOST_SINGLE_SYNCS: u32 = 32;

/// Opens a regular file to read it; `None` for what is none. Never waits, as opening a FIFO does.
///
/// # Errors
/// What the system says; with [`OFlags::NOFOLLOW`] in `more`, `ELOOP` for a symlink.
pub(crate) fn open_regular(
    dir: impl AsFd,
    path: impl Arg,
    more: OFlags,
) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY | more;
    let file = match rustix::fs::openat(dir, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A socket, or a device without a driver.
        Err(rustix::io::Errno::NXIO | rustix::io::Errno::NODEV) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

/// A new file with this mode and content, not yet synced.
///
/// # Errors
/// What the system says; the name must not exist.
pub(crate) fn create(
    dir: impl AsFd,
    name: impl Arg,
    mode: u32,
    content: &[u8],
) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(mode);
    let mut file = File::from(rustix::fs::openat(dir, name, flags, mode)?);
    // The umask may have taken bits away.
    rustix::fs::fchmod(&file, mode)?;
    file.write_all(content)?;
    Ok(file)
}

/// A new folder for temporary files, which only its owner can look into: configs hold passwords, and
/// tempfile by itself leaves it to the umask.
///
/// # Errors
/// What the system says.
pub(crate) fn private_folder(prefix: &str) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
}

/// Syncs a folder, so that a new name in it lasts.
///
/// # Errors
/// What the system says.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Many files and folders, on disk together.
#[derive(Default)]
pub(crate) struct Batch {
    count: u32,
}

impl Batch {
    /// Syncs one now, or leaves it to [`Self::end`].
    pub(crate) fn add(&mut self, it: impl AsFd) -> io::Result<()> {
        self.count = self.count.saturating_add(1);
        if self.count > MOST_SINGLE_SYNCS {
            return Ok(());
        }
        Ok(rustix::fs::fsync(it)?)
    }

    /// Returns when all that was added is on disk; `folder` is on the same file system.
    pub(crate) fn end(self, folder: &Path) -> io::Result<()> {
        if self.count <= MOST_SINGLE_SYNCS {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
        Ok(rustix::fs::syncfs(folder)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_folder_is_its_owners_alone() {
        let folder = private_folder("jailwarden-test-").unwrap();
        let mode = folder.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
}
