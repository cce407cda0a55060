//! The files in the state folder: small JSON documents, written whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::durable;

/// The only version there is; a file of another is set aside.
const VERSION: u32 = 1;
/// Far above what thousands of jails need.
const MAX_BYTES: u64 = 4 << 20;
/// So many files that could not be understood are kept.
const MOST_ASIDE: u32 = 9;

#[derive(Serialize, Deserialize)]
struct Document<M> {
    version: u32,
    memory: M,
}

/// Where the machine's memory lies in the state folder.
pub(super) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("state.json")
}

/// Reads what is remembered. None written yet is an empty one. A file that cannot be understood is
/// moved aside and said, and jailwarden goes on from what it sees.
pub(super) fn load<M: Default + DeserializeOwned>(path: &Path) -> (M, Option<String>) {
    let why = match read(path) {
        Ok(memory) => return (memory, None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (M::default(), None),
        Err(error) => error,
    };
    let moved = match set_aside(path) {
        Ok(aside) => format!("it is kept as {}", aside.display()),
        Err(error) => format!("and could not be moved aside: {error}"),
    };
    (
        M::default(),
        Some(format!("{}: {why}; {moved}", path.display())),
    )
}

/// Moves a file aside, to a name that none set aside before it has; of too many the last gives way.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..MOST_ASIDE {
        let aside = path.with_extension(match number {
            1 => "json.unreadable".to_owned(),
            _ => format!("json.unreadable-{number}"),
        });
        match renameat_with(CWD, path, CWD, &aside, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(aside),
            Err(Errno::EXIST) => {}
            // Not every file system can do that.
            Err(Errno::INVAL) if !aside.exists() => {
                fs::rename(path, &aside)?;
                return Ok(aside);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let last = path.with_extension(format!("json.unreadable-{MOST_ASIDE}"));
    fs::rename(path, &last)?;
    Ok(last)
}

/// How long ago the memory was written, as far as this machine has been up since.
pub(super) fn age(path: &Path) -> Duration {
    let written = fs::metadata(path).and_then(|file| file.modified());
    let age = written.ok().and_then(|written| written.elapsed().ok());
    let up = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default();
    age.unwrap_or_default().min(up)
}

/// Reads what is remembered, and leaves the file as it is.
///
/// # Errors
/// What the system says, `NotFound` where none was written yet; or that it cannot be understood.
pub(super) fn read<M: DeserializeOwned>(path: &Path) -> io::Result<M> {
    let length = fs::metadata(path)?.len();
    if length > MAX_BYTES {
        return Err(io::Error::other(format!(
            "{length} bytes are too many for a state file"
        )));
    }
    let document: Document<M> = serde_json::from_slice(&fs::read(path)?)?;
    if document.version != VERSION {
        return Err(io::Error::other(format!(
            "version {} is not known here",
            document.version
        )));
    }
    Ok(document.memory)
}

/// Writes what is to be remembered whole: either the old or the new content is there, whatever
/// happens.
///
/// # Errors
/// What the system says, with the path.
pub(super) fn save<M: Serialize>(path: &Path, memory: &M) -> Result<(), String> {
    write(path, memory).map_err(|error| format!("{}: {error}", path.display()))
}

fn write<M: Serialize>(path: &Path, memory: &M) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    durable::private_folders(folder)?;
    let text = serde_json::to_vec(&Document {
        version: VERSION,
        memory,
    })?;
    let temporary = path.with_extension("json.new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{JailPlan, Memory, Plan};

    fn memory() -> Memory {
        let jail = JailPlan {
            digest: u128::MAX,
            actions: 7,
        };
        let plan = Plan {
            server: 1 << 100,
            jails: [("sshd".to_owned(), jail)].into(),
        };
        Memory {
            standby: true,
            accepted: Some(plan),
            recent: vec!["a b".into()],
            ..Memory::default()
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("made");
        save(&path(&folder), &memory()).unwrap();
        save(&path(&folder), &memory()).unwrap();
        assert_eq!(load(&path(&folder)), (memory(), None));
    }

    #[test]
    fn no_file_is_an_empty_memory() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(&path(dir.path())), (Memory::default(), None));
    }

    #[test]
    fn what_cannot_be_understood_is_kept_aside() {
        for text in ["", "{", "{\"version\":2,\"memory\":{}}", "[1]"] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(path(dir.path()), text).unwrap();
            let (memory, said): (Memory, _) = load(&path(dir.path()));
            assert_eq!(memory, Memory::default());
            assert!(said.unwrap().contains("state.json.unreadable"));
            assert_eq!(
                fs::read_to_string(dir.path().join("state.json.unreadable")).unwrap(),
                text
            );
            assert_eq!(load(&path(dir.path())), (Memory::default(), None));
        }
    }

    #[test]
    fn one_that_was_set_aside_is_not_lost_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let aside =
            |end: &str| fs::read_to_string(dir.path().join(format!("state.json.{end}"))).ok();
        for number in 1..=11 {
            fs::write(path(dir.path()), number.to_string()).unwrap();
            let (_, said): (Memory, _) = load(&path(dir.path()));
            assert!(said.unwrap().contains("it is kept as"));
        }
        assert_eq!(aside("unreadable").as_deref(), Some("1"));
        assert_eq!(aside("unreadable-2").as_deref(), Some("2"));
        assert_eq!(aside("unreadable-8").as_deref(), Some("8"));
        assert_eq!(aside("unreadable-9").as_deref(), Some("11"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 9);
    }
}
