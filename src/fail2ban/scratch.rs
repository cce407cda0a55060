//! A copy of a config folder with some files in place of others: what would be if they were there.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

use crate::durable;

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

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct ScratchError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why not.
    pub error: io::Error,
}

/// A copy that is removed when dropped; only its owner can read it, as configs hold passwords.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    original: PathBuf,
}

impl Scratch {
    /// Copies a config folder, with some files in place of others. Blocking.
    ///
    /// # Errors
    /// [`ScratchError`] for the first file that cannot be copied.
    pub fn of(original: &Path, stand_ins: &[StandIn]) -> Result<Self, ScratchError> {
        let folder = durable::private_folder("jailwarden-check-");
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

    /// The copy.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that this is a copy of.
    #[must_use]
    pub fn original(&self) -> &Path {
        &self.original
    }

    /// Words that name the copy, as if they were of the original.
    #[must_use]
    pub fn told(&self, words: &str) -> String {
        let (copy, original) = (self.path().display(), self.original.display());
        words.replace(&copy.to_string(), &original.to_string())
    }

    /// A path in the copy as one in the original.
    #[must_use]
    pub fn place(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.path())
            .map_or_else(|_| path.to_owned(), |inner| self.original.join(inner))
    }
}

/// A place that does not lead out of the folder.
fn inside(place: &Path) -> Result<&Path, ScratchError> {
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
fn clear(place: &Path) -> Result<(), ScratchError> {
    let removed = match fs::symlink_metadata(place) {
        Ok(it) if it.is_dir() => fs::remove_dir_all(place),
        Ok(_) => fs::remove_file(place),
        Err(_) => Ok(()),
    };
    removed.map_err(|error| failed(place, error))
}

fn put(content: &Path, to: &Path) -> Result<(), ScratchError> {
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
fn copy(from: &Path, to: &Path, depth: u32) -> Result<(), ScratchError> {
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

fn failed(path: &Path, error: io::Error) -> ScratchError {
    ScratchError {
        path: path.to_owned(),
        error,
    }
}
