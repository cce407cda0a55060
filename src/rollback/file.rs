//! Writing, finding and removing rollback files.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, renameat_with, unlinkat};
use rustix::io::Errno;

use super::{JailName, RollbackError};
use crate::durable;

/// The first line of every file of ours. It never changes: files written by older versions are
/// known by it.
pub(super) const MARK: &str = "# jailwarden rollback file 1";
/// The filter of every jail that is disabled; no file has that name.
pub(crate) const NO_FILTER: &str = "disabled-by-jailwarden";
const JAIL_D: &str = "jail.d";
const PREFIX: &str = "zzz-jailwarden-";
const SUFFIX: &str = ".local";
/// A dotfile, so that fail2ban's glob passes it over whatever its end.
const TEMPORARY_PREFIX: &str = ".zzz-jailwarden-";
const TEMPORARY_SUFFIX: &str = ".new";
/// Characters of one comment line, so that a long reason stays readable.
const LONGEST_NOTE: usize = 1000;

/// Why a jail is rolled back, for the file's comment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Why {
    /// When it was decided, as RFC 3339.
    pub when: String,
    /// What failed, in fail2ban's own words where it gave any.
    pub reason: String,
    /// The incident's id, as in the journal.
    pub incident: Option<String>,
}

/// A rollback file that stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// The jail that it takes out of service.
    pub jail: JailName,
    /// Where it is.
    pub path: PathBuf,
    /// When and why it was written, as its comment says.
    pub note: Why,
}

/// Disables a jail: writes `jail.d/zzz-jailwarden-<jail>.local` whole and durably, and gives its path.
///
/// The file is complete under its name or not there at all, whenever the power goes, and on disk
/// when this returns. Writing the same again changes nothing; a file of ours with other words is
/// replaced. `jail.d` is made if it is missing, and what a broken-off write left is cleaned up.
/// Blocking.
///
/// # Errors
/// [`RollbackError::NotOurs`] when another's file, a symlink or no file at all is in the place, which
/// is then left as it is; else what kept the file from being written.
pub fn write(config_dir: &Path, jail: &JailName, why: &Why) -> Result<PathBuf, RollbackError> {
    let folder = Folder::make(config_dir, JAIL_D)?;
    folder.remove_leftovers();
    folder.place(&file_name(jail), &text(jail, why))
}

/// Undoes [`write`](write()): removes the jail's rollback file; false if there was none. Blocking.
///
/// # Errors
/// [`RollbackError::NotOurs`] when jailwarden did not write it; else what kept it from being removed.
pub fn remove(config_dir: &Path, jail: &JailName) -> Result<bool, RollbackError> {
    take_away(config_dir.join(JAIL_D), &file_name(jail))
}

/// Removes a file of ours; false if there was none.
pub(super) fn take_away(folder: PathBuf, name: &str) -> Result<bool, RollbackError> {
    let Some(folder) = Folder::open(folder)? else {
        return Ok(false);
    };
    if folder.ours(name)?.is_none() {
        return Ok(false);
    }
    match unlinkat(&folder.fd, name, AtFlags::empty()) {
        Ok(()) => folder.sync().map(|()| true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(RollbackError::new("remove", &folder.path.join(name), error)),
    }
}

/// The rollback files of ours that stand, sorted by jail; another's file is passed over, even with
/// a name like ours. Blocking.
///
/// # Errors
/// When `jail.d` is there but cannot be listed.
pub fn standing(config_dir: &Path) -> Result<Vec<Standing>, RollbackError> {
    let folder = config_dir.join(JAIL_D);
    let listing = match fs::read_dir(&folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RollbackError::new("list", &folder, error)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry
            .map_err(|error| RollbackError::new("list", &folder, error))?
            .path();
        if let Some(jail) = jail_of(&path)
            && let Ok(Some(content)) = ours(CWD, &path, &path)
        {
            let note = noted(&String::from_utf8_lossy(&content));
            found.push(Standing { jail, path, note });
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a path is named as rollback files are, whoever wrote it.
pub(crate) fn is_rollback_name(path: &Path) -> bool {
    jail_of(path).is_some()
}

pub(crate) fn file_name(jail: &JailName) -> String {
    format!("{PREFIX}{jail}{SUFFIX}")
}

fn jail_of(path: &Path) -> Option<JailName> {
    let name = path.file_name()?.to_str()?;
    let jail = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    JailName::new(jail).ok()
}

fn text(jail: &JailName, why: &Why) -> String {
    format!(
        "{MARK}\n\
         # jailwarden disabled the jail {jail} so that fail2ban can protect the host with the others.\n\
         # When:     {}\n\
         # Incident: {}\n\
         # Why:      {}\n\
         # It comes back by itself once its config is mended. To have it back at once, delete this file.\n\
         # backend and filter stand here because fail2ban reads them even of a disabled jail; with a filter\n\
         # that is not there, it leaves the jail out also if a later file enables it.\n\
         [{jail}]\n\
         enabled = false\n\
         backend = auto\n\
         filter = {NO_FILTER}\n",
        note(&why.when),
        note(why.incident.as_deref().unwrap_or("-")),
        note(&why.reason),
    )
}

/// What the comment of a file of ours says.
pub(super) fn noted(text: &str) -> Why {
    Why {
        when: after(text, "# When:"),
        reason: after(text, "# Why:"),
        incident: Some(after(text, "# Incident:")).filter(|id| !id.is_empty() && id != "-"),
    }
}

/// What a line that begins so says.
pub(super) fn after(text: &str, head: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(head));
    line.unwrap_or_default().trim().to_owned()
}

/// One line of comment: nothing in it can end the line or hide what the file says.
pub(super) fn note(text: &str) -> String {
    let mut clean = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c)) {
        if !word.is_empty() && !clean.is_empty() {
            clean.push(' ');
        }
        clean.push_str(word);
    }
    match clean.char_indices().nth(LONGEST_NOTE) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// Marks that turn the reading direction around, and others without a shape.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A folder of the config, held open: what somebody puts in its place meanwhile is written to by nobody.
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// `None` if there is none.
    fn open(path: PathBuf) -> Result<Option<Self>, RollbackError> {
        match durable::open_folder(&path) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RollbackError::new("open", &path, error)),
        }
    }

    /// Makes it where it is missing.
    pub(super) fn make(config_dir: &Path, name: &str) -> Result<Self, RollbackError> {
        let path = config_dir.join(name);
        if let Some(folder) = Self::open(path.clone())? {
            return Ok(folder);
        }
        if !config_dir.is_dir() {
            let path = config_dir.to_owned();
            return Err(RollbackError::NoConfigFolder { path });
        }
        let failed = |error: io::Error| RollbackError::new("make", &path, error);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let fd = durable::open_folder(&path).map_err(failed)?;
        // Whatever the umask says, a fail2ban of another user reads it.
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755))
            .map_err(|error| failed(error.into()))?;
        durable::sync_folder(config_dir)
            .map_err(|error| RollbackError::new("sync", config_dir, error))?;
        Ok(Self { fd, path })
    }

    /// The content of our file of this name; `None` if nothing is there.
    fn ours(&self, name: &str) -> Result<Option<Vec<u8>>, RollbackError> {
        ours(&self.fd, Path::new(name), &self.path.join(name))
    }

    /// Writes a file of ours whole and durably, and gives its path.
    pub(super) fn place(&self, name: &str, text: &str) -> Result<PathBuf, RollbackError> {
        match self.ours(name)? {
            Some(old) if old == text.as_bytes() => {}
            Some(_) => self.put(name, text, RenameFlags::empty())?,
            // Whoever makes a file there between the look and the rename keeps it.
            None => self.put(name, text, RenameFlags::NOREPLACE)?,
        }
        self.sync()?;
        Ok(self.path.join(name))
    }

    fn put(&self, name: &str, text: &str, flags: RenameFlags) -> Result<(), RollbackError> {
        let stem = name.strip_suffix(SUFFIX).unwrap_or(name);
        let temporary = format!(".{stem}{TEMPORARY_SUFFIX}");
        let written = durable::create(&self.fd, &temporary, 0o644, text.as_bytes())
            .and_then(|file| file.sync_all())
            .and_then(|()| Ok(renameat_with(&self.fd, &temporary, &self.fd, name, flags)?));
        if written.is_err() {
            let _ = unlinkat(&self.fd, &temporary, AtFlags::empty());
        }
        written.map_err(|error| RollbackError::new("write", &self.path.join(name), error))
    }

    fn sync(&self) -> Result<(), RollbackError> {
        rustix::fs::fsync(&self.fd).map_err(|error| RollbackError::new("sync", &self.path, error))
    }

    /// Removes a temporary file of a write that was broken off, if there is one.
    pub(super) fn remove_leftover(&self, name: &str) {
        let _ = unlinkat(&self.fd, name, AtFlags::empty());
    }

    /// Removes the temporary files of writes that were broken off. One that stays is harmless, and the
    /// write that needs its name says so.
    fn remove_leftovers(&self) {
        for entry in Dir::read_from(&self.fd).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let jail = name.to_str().ok().and_then(|name| {
                name.strip_prefix(TEMPORARY_PREFIX)?
                    .strip_suffix(TEMPORARY_SUFFIX)
            });
            if jail.is_some_and(|jail| JailName::new(jail).is_ok()) {
                let _ = unlinkat(&self.fd, name, AtFlags::empty());
            }
        }
    }
}

/// The content of our file, which is `path` to people; `None` if nothing is there.
pub(super) fn ours(
    folder: impl AsFd,
    name: &Path,
    path: &Path,
) -> Result<Option<Vec<u8>>, RollbackError> {
    let not_ours = |what| RollbackError::NotOurs {
        path: path.to_owned(),
        what,
    };
    let file = match durable::open_regular(folder, name, OFlags::NOFOLLOW) {
        Ok(Some(file)) => file,
        Ok(None) => return Err(not_ours("not a regular file")),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => return Ok(None),
            Some(Errno::LOOP) => return Err(not_ours("a symlink")),
            _ => return Err(RollbackError::new("read", path, error)),
        },
    };
    let failed = |error| RollbackError::new("read", path, error);
    let mut reader = BufReader::new(file.take(64 << 10));
    let mut content = Vec::new();
    reader.read_until(b'\n', &mut content).map_err(failed)?;
    if content.trim_ascii_end() != MARK.as_bytes() {
        return Err(not_ours("not a file that jailwarden wrote"));
    }
    reader.read_to_end(&mut content).map_err(failed)?;
    Ok(Some(content))
}

#[cfg(test)]
mod tests;
