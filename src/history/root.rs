//! The config folder as it is written: by names below open folders, through no link.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::HistoryError;
use super::plan::{Act, Step, is_leftover};
use super::tree::{Meta, Regular};
use super::walk::{LEFTOVER, Stamp};
use crate::durable::{self, Batch};

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The config folder, held open. The folder itself may be reached by a link, as `/etc/fail2ban` may
/// be one; below it none is followed, so that one put there meanwhile leads nowhere.
pub(super) struct Root {
    fd: OwnedFd,
    /// Absolute, without links.
    pub(super) path: PathBuf,
}

impl Root {
    pub(super) fn open(config_dir: &Path) -> Result<Self, HistoryError> {
        let failed = |error: io::Error| HistoryError::io("open", config_dir, error);
        let path = fs::canonicalize(config_dir).map_err(failed)?;
        let fd = rustix::fs::openat(CWD, &path, FOLDER, Mode::empty());
        let fd = fd.map_err(|error| failed(error.into()))?;
        Ok(Self { fd, path })
    }

    /// A regular file, to read it; `None` if it is something else by now.
    pub(super) fn open_file(&self, path: &Path) -> Result<Option<File>, HistoryError> {
        let opened = self
            .parent(path)
            .and_then(|(folder, name)| durable::open_regular(folder, name, OFlags::NOFOLLOW));
        match opened {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => Ok(None),
            opened => {
                opened.map_err(|error| HistoryError::io("read", &self.path.join(path), error))
            }
        }
    }

    /// Does a step; on disk once the batch is. `content` gives what a file is to hold.
    pub(super) fn run(
        &self,
        step: &Step,
        content: impl FnOnce(&Regular, &mut File) -> Result<(), HistoryError>,
        batch: &mut Batch,
    ) -> Result<(), HistoryError> {
        let path = self.path.join(&step.path);
        let (doing, done) = match &step.act {
            Act::Remove => ("remove", self.remove(step)),
            Act::RemoveFolder => ("remove", self.remove_folder(&step.path)),
            Act::MakeFolder(meta) => ("make", self.make_folder(&step.path, meta)),
            Act::SetMeta(meta) => ("change the owner or mode of", self.set_meta(step, meta)),
            Act::PutLink(target) => ("write", self.put_link(step, &target.0)),
            Act::Put(file) | Act::PutForLink(file, _) => {
                ("write", self.put_file(step, file, content))
            }
        };
        match done {
            Ok(folder) => batch
                .add(&folder)
                .map_err(|error| HistoryError::io("sync", &path, error)),
            Err(Failed::System(error) | Failed::Stranded(error)) => {
                Err(HistoryError::io(doing, &path, error))
            }
            Err(Failed::Changed) => Err(HistoryError::Changed { path }),
            Err(Failed::Content(error)) => Err(error),
        }
    }

    /// The folder that holds a path, and its last name.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let bad = || io::Error::from(Errno::INVAL);
        let name = path.file_name().ok_or_else(bad)?;
        let mut at = self.fd.try_clone()?;
        for part in path.parent().into_iter().flat_map(Path::components) {
            let Component::Normal(part) = part else {
                return Err(bad());
            };
            at = rustix::fs::openat(&at, part, FOLDER, Mode::empty())?;
        }
        Ok((at, name))
    }

    fn put_file(
        &self,
        step: &Step,
        file: &Regular,
        content: impl FnOnce(&Regular, &mut File) -> Result<(), HistoryError>,
    ) -> Result<OwnedFd, Failed> {
        let (folder, name) = self.parent(&step.path)?;
        let mut new = durable::create(&folder, LEFTOVER, 0o600, &[])?;
        let filled = content(file, &mut new)
            .map_err(Failed::Content)
            .and_then(|()| Ok(dress(&new, &file.meta)?))
            .and_then(|()| Ok(new.sync_all()?));
        swap(folder, name, step.stamp, filled)
    }

    fn put_link(&self, step: &Step, target: &Path) -> Result<OwnedFd, Failed> {
        let (folder, name) = self.parent(&step.path)?;
        rustix::fs::symlinkat(target, &folder, LEFTOVER)?;
        swap(folder, name, step.stamp, Ok(()))
    }

    fn remove(&self, step: &Step) -> Result<OwnedFd, Failed> {
        let (folder, name) = self.parent(&step.path)?;
        let aside = OsStr::new(LEFTOVER);
        if is_leftover(&step.path) {
            if stamp(&folder, aside)? != step.stamp {
                return Err(Failed::Changed);
            }
        } else {
            rename(&folder, name, aside)?;
            if stamp(&folder, aside)? != step.stamp {
                // Where that fails, it stays as what the next put-back keeps.
                rename(&folder, aside, name)?;
                return Err(Failed::Changed);
            }
        }
        rustix::fs::unlinkat(&folder, aside, AtFlags::empty())?;
        Ok(folder)
    }

    fn remove_folder(&self, path: &Path) -> Result<OwnedFd, Failed> {
        let (folder, name) = self.parent(path)?;
        rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR)?;
        Ok(folder)
    }

    fn make_folder(&self, path: &Path, meta: &Meta) -> Result<OwnedFd, Failed> {
        let (folder, name) = self.parent(path)?;
        rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o700))?;
        let made = rustix::fs::openat(&folder, name, FOLDER, Mode::empty())?;
        dress_as(&made, meta)?;
        Ok(folder)
    }

    fn set_meta(&self, step: &Step, meta: &Meta) -> Result<OwnedFd, Failed> {
        let (folder, name) = self.parent(&step.path)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&folder, name, flags, Mode::empty())?);
        let now = file.metadata()?;
        if !now.is_dir() && Some(Stamp::of(&now)) != step.stamp {
            return Err(Failed::Changed);
        }
        dress_as(file.as_fd(), meta)?;
        Ok(folder)
    }
}

enum Failed {
    System(io::Error),
    /// What somebody put there meanwhile could not be given its name again. It stays as
    /// [`LEFTOVER`], which the next put-back sets aside.
    Stranded(io::Error),
    Changed,
    Content(HistoryError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Errno> for Failed {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

/// Gives what was written its name, if `filled` says that it is whole and what stands there is still
/// what was looked at.
fn swap(
    folder: OwnedFd,
    name: &OsStr,
    was: Option<Stamp>,
    filled: Result<(), Failed>,
) -> Result<OwnedFd, Failed> {
    let new = OsStr::new(LEFTOVER);
    let swapped = filled.and_then(|()| match was {
        None => rename(&folder, new, name).map(|()| true),
        Some(was) => exchange(&folder, name, was),
    });
    match swapped {
        Ok(true) => Ok(folder),
        Err(error @ Failed::Stranded(_)) => Err(error),
        failed => {
            // What stays, the next put-back sets aside.
            let _ = rustix::fs::unlinkat(&folder, new, AtFlags::empty());
            Err(failed.err().unwrap_or(Failed::Changed))
        }
    }
}

/// Lets the new file and the one that stands there change places, and removes the latter if it is
/// what was looked at: whatever else came there is not lost. False if it is not, and stands again.
fn exchange(folder: &OwnedFd, name: &OsStr, was: Stamp) -> Result<bool, Failed> {
    let swap = || rustix::fs::renameat_with(folder, LEFTOVER, folder, name, RenameFlags::EXCHANGE);
    match swap() {
        Ok(()) if stamp(folder, OsStr::new(LEFTOVER)) == Ok(Some(was)) => {
            rustix::fs::unlinkat(folder, LEFTOVER, AtFlags::empty())?;
            Ok(true)
        }
        Ok(()) => {
            swap().map_err(|error| Failed::Stranded(error.into()))?;
            Ok(false)
        }
        // The file system has no such rename.
        Err(Errno::INVAL | Errno::NOSYS) if stamp(folder, name)? == Some(was) => {
            rustix::fs::renameat(folder, LEFTOVER, folder, name)?;
            Ok(true)
        }
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Renames to a name that is free.
fn rename(folder: &OwnedFd, from: &OsStr, to: &OsStr) -> Result<(), Failed> {
    match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(Failed::Changed),
        // The file system has no such rename.
        Err(Errno::INVAL | Errno::NOSYS) => match stamp(folder, to)? {
            None => Ok(rustix::fs::renameat(folder, from, folder, to)?),
            Some(_) => Err(Failed::Changed),
        },
        Err(error) => Err(error.into()),
    }
}

fn stamp(folder: &OwnedFd, name: &OsStr) -> Result<Option<Stamp>, Errno> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Stamp::of_stat(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives a file owner, mode and time.
fn dress(file: &File, meta: &Meta) -> io::Result<()> {
    dress_as(file, meta)?;
    let last_modification = Timespec {
        tv_sec: meta.mtime,
        tv_nsec: meta.mtime_nsec,
    };
    let last_access = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_OMIT,
    };
    rustix::fs::futimens(
        file,
        &Timestamps {
            last_access,
            last_modification,
        },
    )?;
    Ok(())
}

fn dress_as(file: impl std::os::fd::AsFd, meta: &Meta) -> io::Result<()> {
    let now = rustix::fs::fstat(&file)?;
    if (now.st_uid, now.st_gid) != (meta.uid, meta.gid) {
        let (owner, group) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
        rustix::fs::fchown(&file, Some(owner), Some(group))?;
    }
    // After the owner, whose change takes the set-id bits away.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(meta.mode))?;
    Ok(())
}
