//! Writing, finding and removing rollback files.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{JailName, RollbackError};
use crate::durable;

/// The first line of every file of ours. It never changes: files written by older versions are
/// known by it.
pub(super) const MARK: &str = "# jailwarden rollback file 1";
/// The filter of every jail that is disabled; no file has that name.
pub(crate) const NO_FILTER: &str = "disabled-by-jailwarden";
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
    let folder = folder(config_dir, "jail.d")?;
    remove_leftovers(&folder);
    place(&folder, &file_name(jail), &text(jail, why))
}

/// Undoes [`write`](write()): removes the jail's rollback file; false if there was none. Blocking.
///
/// # Errors
/// [`RollbackError::NotOurs`] when jailwarden did not write it; else what kept it from being removed.
pub fn remove(config_dir: &Path, jail: &JailName) -> Result<bool, RollbackError> {
    take_away(&config_dir.join("jail.d"), &file_name(jail))
}

/// Writes a file of ours whole and durably, and gives its path.
pub(super) fn place(folder: &Path, name: &str, text: &str) -> Result<PathBuf, RollbackError> {
    let path = folder.join(name);
    match ours(&path)? {
        Some(old) if old == text.as_bytes() => {}
        Some(_) => put(folder, name, text, RenameFlags::empty())?,
        // Whoever makes a file there between the look and the rename keeps it.
        None => put(folder, name, text, RenameFlags::NOREPLACE)?,
    }
    sync(folder)?;
    Ok(path)
}

/// Removes a file of ours; false if there was none.
pub(super) fn take_away(folder: &Path, name: &str) -> Result<bool, RollbackError> {
    let path = folder.join(name);
    if ours(&path)?.is_none() {
        return Ok(false);
    }
    match fs::remove_file(&path) {
        Ok(()) => sync(folder).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(RollbackError::new("remove", &path, error)),
    }
}

/// The rollback files of ours that stand, sorted by jail; another's file is passed over, even with
/// a name like ours. Blocking.
///
/// # Errors
/// When `jail.d` is there but cannot be listed.
pub fn standing(config_dir: &Path) -> Result<Vec<Standing>, RollbackError> {
    let folder = config_dir.join("jail.d");
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
            && let Ok(Some(content)) = ours(&path)
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

/// A folder of the config, which is made if it is missing.
pub(super) fn folder(config_dir: &Path, name: &str) -> Result<PathBuf, RollbackError> {
    let folder = config_dir.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    if !config_dir.is_dir() {
        let path = config_dir.to_owned();
        return Err(RollbackError::NoConfigFolder { path });
    }
    match fs::DirBuilder::new().mode(0o755).create(&folder) {
        Ok(()) => sync(config_dir).map(|()| folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(folder),
        Err(error) => Err(RollbackError::new("make", &folder, error)),
    }
}

/// The content of our file at `path`; `None` if nothing is there.
pub(super) fn ours(path: &Path) -> Result<Option<Vec<u8>>, RollbackError> {
    let not_ours = |what| RollbackError::NotOurs {
        path: path.to_owned(),
        what,
    };
    let file = match durable::open_regular(CWD, path, OFlags::NOFOLLOW) {
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

fn put(folder: &Path, name: &str, text: &str, flags: RenameFlags) -> Result<(), RollbackError> {
    let path = folder.join(name);
    let stem = name.strip_suffix(SUFFIX).unwrap_or(name);
    let temporary = folder.join(format!(".{stem}{TEMPORARY_SUFFIX}"));
    let written = fill(&temporary, text).and_then(|()| {
        rustix::fs::renameat_with(CWD, &temporary, CWD, &path, flags)
            .map_err(|error| RollbackError::new("write", &path, error))
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn fill(path: &Path, text: &str) -> Result<(), RollbackError> {
    durable::create(CWD, path, 0o644, text.as_bytes())
        .and_then(|file| file.sync_all())
        .map_err(|error| RollbackError::new("write", path, error))
}

fn sync(folder: &Path) -> Result<(), RollbackError> {
    durable::sync_folder(folder).map_err(|error| RollbackError::new("sync", folder, error))
}

/// Removes the temporary files of writes that were broken off. One that stays is harmless, and the
/// write that needs its name says so.
fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let temporary = name.to_str().is_some_and(|name| {
            name.strip_prefix(TEMPORARY_PREFIX)
                .and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX))
                .is_some_and(|jail| JailName::new(jail).is_ok())
        });
        if temporary {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;
