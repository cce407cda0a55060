//! Files that are read without hanging and written without halves.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;
use tempfile::TempDir;

/// Files that are synced one by one; from there on syncing the whole file system is cheaper.
const MOST_SINGLE_SYNCS: u32 = 32;
/// Links that lead to one another.
const MOST_LINKS: u32 = 8;

/// Opens a folder to write in it. Links that stand for it have to be root's or our own, as
/// `fs.protected_symlinks` asks of those in `/tmp`: another user's leads our writes nowhere.
///
/// # Errors
/// What the system says; which link is not followed.
pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) => path = behind_link(&path)?,
            opened => return Ok(opened?),
        }
    }
    Err(Errno::LOOP.into())
}

/// Where a link leads. It is held, so that the one whose owner is looked at is the one that is read.
fn behind_link(path: &Path) -> io::Result<PathBuf> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let owner = rustix::fs::fstat(&link)?.st_uid;
    let target = rustix::fs::readlinkat(&link, "", Vec::new()).map_err(|_| Errno::NOTDIR)?;
    if owner != 0 && owner != geteuid().as_raw() {
        let path = path.display();
        let why = format!(
            "{path} is a link that user {owner} put there, and is not followed; if it is meant: chown -h root {path}"
        );
        return Err(io::Error::other(why));
    }
    let beside = path.parent().unwrap_or(Path::new("/"));
    Ok(beside.join(OsStr::from_bytes(target.as_bytes())))
}

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
        Err(Errno::NXIO | Errno::NODEV) => return Ok(None),
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

/// Makes a folder, and those above it, for their owner alone; where it is there, it stays as it is.
///
/// # Errors
/// What the system says.
pub(crate) fn private_folders(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Gives a file a name that none has.
///
/// # Errors
/// What the system says; `AlreadyExists` if one has it.
pub(crate) fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can do that.
        Err(Errno::INVAL) if !to.exists() => std::fs::rename(from, to),
        renamed => Ok(renamed?),
    }
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
    fn only_links_of_root_and_our_own_are_followed_to_write() {
        use std::os::unix::fs::{lchown, symlink};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        symlink("folder", at("one")).unwrap();
        symlink(at("one"), at("two")).unwrap();
        symlink("round", at("round")).unwrap();
        let inode = |fd: OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        let folder = inode(open_folder(&at("folder")).unwrap());
        assert_eq!(inode(open_folder(&at("two")).unwrap()), folder);
        open_folder(&at("round")).unwrap_err();
        open_folder(&at("nothing")).unwrap_err();
        if !geteuid().is_root() {
            return;
        }
        lchown(at("one"), Some(65534), None).unwrap();
        let why = open_folder(&at("two")).unwrap_err().to_string();
        assert!(
            why.contains("one is a link that user 65534 put there"),
            "{why}"
        );
    }

    #[test]
    fn a_private_folder_is_its_owners_alone() {
        let folder = private_folder("jailwarden-test-").unwrap();
        let mode = folder.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
}
