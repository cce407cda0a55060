//! A copy of a config folder with some files in place of others: what would be if they were there.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

use super::{CheckError, Report, denied};
use crate::text::safe;

/// How deep folders may lie in one another; a link can lead in a circle.
const DEPTH: u32 = 8;

/// A file that is to stand in for one of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// Where, told from the config folder; there need not be such a file.
    pub place: PathBuf,
    /// The file with the new content; without one, it is as if nothing were there.
    pub content: Option<PathBuf>,
}

/// A copy that is removed when dropped; only its owner can read it, as configs hold passwords.
pub(super) struct Scratch {
    folder: TempDir,
    original: PathBuf,
}

impl Scratch {
    pub(super) fn of(original: &Path, stand_ins: &[StandIn]) -> Result<Self, CheckError> {
        let folder = TempDir::with_prefix("jailwarden-check-");
        let folder = folder.map_err(|error| failed(&std::env::temp_dir(), error))?;
        copy(original, folder.path(), DEPTH)?;
        for StandIn { place, content } in stand_ins {
            let place = folder.path().join(inside(place)?);
            clear(&place)?;
            if let Some(content) = content {
                put(content, &place)?;
            }
        }
        Ok(Self {
            folder,
            original: original.to_owned(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The report as if it were of the original.
    pub(super) fn told(&self, mut report: Report) -> Report {
        let (copy, original) = (
            self.path().display().to_string(),
            self.original.display().to_string(),
        );
        let moved = |words: &mut String| *words = words.replace(&copy, &original);
        report.config_dir.clone_from(&self.original);
        for diagnostic in &mut report.diagnostics {
            moved(&mut diagnostic.words);
            diagnostic.value.as_mut().map(moved);
            let below = diagnostic.file.as_ref();
            let below = below.and_then(|file| file.strip_prefix(self.path()).ok());
            diagnostic.file = below
                .map(|file| self.original.join(file))
                .or(diagnostic.file.take());
        }
        report
    }
}

/// A place that does not lead out of the folder.
fn inside(place: &Path) -> Result<&Path, CheckError> {
    let is_name = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if place.components().all(is_name) && place.file_name().is_some() {
        return Ok(place);
    }
    let words = "it must be told from the config folder, such as jail.d/web.conf";
    Err(failed(
        place,
        io::Error::new(io::ErrorKind::InvalidInput, words),
    ))
}

/// Removes what the copy has there, so that nothing is written through a link that leads out of it.
fn clear(place: &Path) -> Result<(), CheckError> {
    let removed = match fs::symlink_metadata(place) {
        Ok(it) if it.is_dir() => fs::remove_dir_all(place),
        Ok(_) => fs::remove_file(place),
        Err(_) => Ok(()),
    };
    removed.map_err(|error| failed(place, error))
}

fn put(content: &Path, to: &Path) -> Result<(), CheckError> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(to, error))?;
    }
    if !fs::metadata(content)
        .map_err(|error| failed(content, error))?
        .is_file()
    {
        return Err(failed(content, io::Error::other("not a regular file")));
    }
    fs::copy(content, to).map_err(|error| failed(content, error))?;
    Ok(())
}

/// Copies what links lead to; a link that leads nowhere stays one, and what is neither a file nor a
/// folder is left out.
fn copy(from: &Path, to: &Path, depth: u32) -> Result<(), CheckError> {
    for entry in fs::read_dir(from).map_err(|error| failed(from, error))? {
        let entry = entry.map_err(|error| failed(from, error))?;
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        let copied = match fs::metadata(&old) {
            Ok(it) if it.is_dir() && depth > 0 => {
                fs::create_dir(&new).map_err(|error| failed(&new, error))?;
                copy(&old, &new, depth - 1)?;
                Ok(())
            }
            Ok(it) if it.is_file() => fs::copy(&old, &new).map(drop),
            Ok(_) => Ok(()),
            Err(_) => fs::read_link(&old).and_then(|target| symlink(target, &new)),
        };
        copied.map_err(|error| failed(&old, error))?;
    }
    Ok(())
}

fn failed(path: &Path, error: io::Error) -> CheckError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => denied(path),
        _ => CheckError::Copy {
            path: safe(&path.display().to_string()),
            error,
        },
    }
}
