//! The config folder as it is written: by names below open folders, through no link.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::HistoryError;
use super::plan::{Act, Step};
use super::tree::Meta;
use super::walk::{Stamp, is_leftover};
use crate::durable::{self, Batch};

/// The set-id bits of a mode.
const SET_ID: u32 = 0o6000;

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
    /// It was gone, and was made for what is to be put into it.
    pub(super) is_new: bool,
}

impl Root {
    pub(super) fn open(config_dir: &Path) -> Result<Self, HistoryError> {
        let failed = |error: io::Error| HistoryError::io("open", config_dir, error);
        let path = fs::canonicalize(config_dir).map_err(failed)?;
        let fd = rustix::fs::openat(CWD, &path, FOLDER, Mode::empty());
        let fd = fd.map_err(|error| failed(error.into()))?;
        Ok(Self {
            fd,
            path,
            is_new: false,
        })
    }

    /// Makes the folder, which must not be there, with this owner and mode if they are known, and is on
    /// disk. Those of fail2ban's packages are root and 0755.
    pub(super) fn make(config_dir: &Path, meta: Option<&Meta>) -> Result<Self, HistoryError> {
        let failed = |error: io::Error| HistoryError::io("make", config_dir, error);
        let mut builder = fs::DirBuilder::new();
        let mode = if meta.is_some() { 0o700 } else { 0o755 };
        builder.mode(mode).create(config_dir).map_err(failed)?;
        let root = Self::open(config_dir)?;
        if let Some(meta) = meta {
            dress_as(&root.fd, meta).map_err(failed)?;
        }
        let above = root.path.parent().unwrap_or(&root.path);
        durable::sync_folder(above).map_err(failed)?;
        Ok(Self {
            is_new: true,
            ..root
        })
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

    /// Puts files back: writes all beside where they belong, and when they are on disk, gives each
    /// its name. `content` fills one, `done` is told of each.
    pub(super) fn put(
        &self,
        steps: &[Step],
        content: impl Fn(&Step, &mut File) -> Result<(), HistoryError>,
        mut done: impl FnMut(&Step),
        batch: &mut Batch,
    ) -> Result<(), HistoryError> {
        let mut contents = Batch::default();
        for (at, step) in steps.iter().enumerate() {
            let wrote = self.write(step, &being_put(at), &content, &mut contents);
            if wrote.is_err() {
                self.discard(steps, 0..at);
            }
            self.told("write", step, wrote)?;
        }
        if let Err(error) = contents.end(&self.path) {
            self.discard(steps, 0..steps.len());
            return Err(HistoryError::io("sync", &self.path, error));
        }
        for (at, step) in steps.iter().enumerate() {
            let placed = self.place(step, &being_put(at));
            if placed.is_err() {
                self.discard(steps, at + 1..steps.len());
            }
            let folder = self.told("write", step, placed)?;
            self.told("sync", step, batch.add(&folder).map_err(Failed::from))?;
            done(step);
        }
        Ok(())
    }

    /// Does any other step; on disk once the batch is.
    pub(super) fn run(&self, step: &Step, batch: &mut Batch) -> Result<(), HistoryError> {
        let (doing, ran) = match &step.act {
            Act::Remove => ("remove", self.remove(step)),
            Act::RemoveFolder => ("remove", self.remove_folder(&step.path)),
            Act::MakeFolder(meta) => ("make", self.make_folder(&step.path, meta)),
            Act::SetMeta(meta) => ("change the owner or mode of", self.set_meta(step, meta)),
            Act::PutLink(target) => ("write", self.put_link(step, &target.0)),
            Act::Put(_) | Act::PutForLink(..) => return Ok(()),
        };
        let folder = self.told(doing, step, ran)?;
        self.told("sync", step, batch.add(&folder).map_err(Failed::from))
    }

    fn told<T>(
        &self,
        doing: &'static str,
        step: &Step,
        ran: Result<T, Failed>,
    ) -> Result<T, HistoryError> {
        let path = || self.path.join(&step.path);
        ran.map_err(|failed| match failed {
            Failed::System(error) | Failed::Stranded(error) => {
                HistoryError::io(doing, &path(), error)
            }
            Failed::Changed => HistoryError::Changed { path: path() },
            Failed::Content(error) => error,
        })
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

    fn write(
        &self,
        step: &Step,
        new: &OsStr,
        content: impl Fn(&Step, &mut File) -> Result<(), HistoryError>,
        batch: &mut Batch,
    ) -> Result<(), Failed> {
        let Some(wanted) = step.puts() else {
            return Ok(());
        };
        let (folder, _) = self.parent(&step.path)?;
        let mut file = durable::create(&folder, new, 0o600, &[])?;
        let filled = content(step, &mut file)
            .map_err(Failed::Content)
            .and_then(|()| Ok(dress(&file, &wanted.meta)?))
            .and_then(|()| Ok(batch.add(&file)?));
        if filled.is_err() {
            unlink(&folder, new);
        }
        filled
    }

    /// Gives what was written its name, if what stands there is still what was looked at.
    fn place(&self, step: &Step, new: &OsStr) -> Result<OwnedFd, Failed> {
        let (folder, name) = self.parent(&step.path)?;
        let placed = match step.stamp {
            None => rename(&folder, new, name),
            Some(was) => exchange(&folder, new, name, was),
        };
        match placed {
            Ok(()) => return Ok(folder),
            Err(Failed::Stranded(_)) => {}
            Err(_) => unlink(&folder, new),
        }
        placed.map(|()| folder)
    }

    /// Removes what was written for some of the steps.
    fn discard(&self, steps: &[Step], which: Range<usize>) {
        for (at, step) in steps.iter().enumerate() {
            if which.contains(&at)
                && let Ok((folder, _)) = self.parent(&step.path)
            {
                unlink(&folder, &being_put(at));
            }
        }
    }

    fn put_link(&self, step: &Step, target: &Path) -> Result<OwnedFd, Failed> {
        let (folder, _) = self.parent(&step.path)?;
        let new = being_put(0);
        rustix::fs::symlinkat(target, &folder, &new)?;
        self.place(step, &new)
    }

    fn remove(&self, step: &Step) -> Result<OwnedFd, Failed> {
        let (folder, name) = self.parent(&step.path)?;
        let mut aside = name.to_owned();
        if !is_leftover(&step.path) {
            aside = being_put(0);
            rename(&folder, name, &aside)?;
        }
        if stamp(&folder, &aside)? != step.stamp {
            if aside != name {
                // Where that fails, it stays as what the next put-back keeps.
                rename(&folder, &aside, name)?;
            }
            return Err(Failed::Changed);
        }
        rustix::fs::unlinkat(&folder, &aside, AtFlags::empty())?;
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

/// The name of a file until it gets its own: [`is_leftover`] if it stays.
fn being_put(at: usize) -> OsString {
    format!(".jailwarden-put-{at}.new").into()
}

enum Failed {
    System(io::Error),
    /// What somebody put there meanwhile could not be given its name again. It stays as a leftover,
    /// which the next put-back sets aside.
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

/// Removes what is ours; what stays, the next put-back sets aside.
fn unlink(folder: &OwnedFd, name: &OsStr) {
    let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
}

/// Lets the new file and the one that stands there change places, and removes the latter if it is
/// what was looked at: whatever else came there is not lost, and stands again.
fn exchange(folder: &OwnedFd, new: &OsStr, name: &OsStr, was: Stamp) -> Result<(), Failed> {
    let swap = || rustix::fs::renameat_with(folder, new, folder, name, RenameFlags::EXCHANGE);
    match swap() {
        Ok(()) if stamp(folder, new) == Ok(Some(was)) => {
            Ok(rustix::fs::unlinkat(folder, new, AtFlags::empty())?)
        }
        Ok(()) => {
            swap().map_err(|error| Failed::Stranded(error.into()))?;
            Err(Failed::Changed)
        }
        // The file system has no such rename.
        Err(Errno::INVAL | Errno::NOSYS) if stamp(folder, name)? == Some(was) => {
            Ok(rustix::fs::renameat(folder, new, folder, name)?)
        }
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS) => Err(Failed::Changed),
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
    match rustix::fs::fchmod(&file, Mode::from_raw_mode(meta.mode)) {
        // `RestrictSUIDSGID=` of the unit refuses these bits.
        Err(Errno::PERM) if meta.mode & SET_ID != 0 => {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(meta.mode & !SET_ID))?;
        }
        done => done?,
    }
    Ok(())
}
