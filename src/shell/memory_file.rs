//! The files in the state folder: small JSON documents, written whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::durable;

/// The only version there is; a file of another is set aside.
const VERSION: u32 = 1;
/// Far above what thousands of jails need.
const MAX_BYTES: u64 = 4 << 20;
/// So many files that could not be understood are kept.
const MOST_ASIDE: u32 = 9;

/// Which boot of the host this is (`man 5 proc`).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

#[derive(Serialize, Deserialize)]
struct Document<M> {
    version: u32,
    memory: M,
    #[serde(default)]
    written: Option<Written>,
}

/// When a document was written, by a clock that nobody sets.
#[derive(Serialize, Deserialize)]
struct Written {
    /// The boot of the host.
    boot: String,
    /// For how long it had been up.
    up: Duration,
}

/// How long ago a document was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since {
    /// As far as this machine has been up since.
    pub(super) age: Duration,
    /// It was booted since.
    pub(super) booted: bool,
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
        match durable::rename_to_new(path, &aside) {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    let last = path.with_extension(format!("json.unreadable-{MOST_ASIDE}"));
    fs::rename(path, &last)?;
    Ok(last)
}

/// How long ago the memory was written. What the wall clock says counts only where the file does not say it, as
/// one of an earlier release, or another boot wrote it.
pub(super) fn since(path: &Path) -> Since {
    let document: Option<Document<IgnoredAny>> = document(path).ok();
    let (now, written) = (written(), document.and_then(|it| it.written));
    if let (Some(now), Some(written)) = (&now, &written)
        && now.boot == written.boot
    {
        let age = now.up.saturating_sub(written.up);
        let booted = false;
        return Since { age, booted };
    }
    let modified = fs::metadata(path).and_then(|file| file.modified());
    let age = modified.ok().and_then(|at| at.elapsed().ok());
    let (age, up) = (age.unwrap_or_default(), up());
    Since {
        age: age.min(up),
        booted: age > up || now.is_some() && written.is_some(),
    }
}

/// For how long the host has been up, asleep or not.
fn up() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

fn written() -> Option<Written> {
    let boot = fs::read_to_string(BOOT).ok()?.trim().to_owned();
    Some(Written { boot, up: up() })
}

/// Reads what is remembered, and leaves the file as it is.
///
/// # Errors
/// What the system says, `NotFound` where none was written yet; or that it cannot be understood.
pub(super) fn read<M: DeserializeOwned>(path: &Path) -> io::Result<M> {
    document(path).map(|document| document.memory)
}

fn document<M: DeserializeOwned>(path: &Path) -> io::Result<Document<M>> {
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
    Ok(document)
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
        written: written(),
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
    use std::time::SystemTime;

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
    fn how_long_ago_it_was_written_is_no_matter_of_the_wall_clock() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        save(&file, &memory()).unwrap();
        let day = Duration::from_secs(24 * 3600);
        let now = SystemTime::now();
        for modified in [now - day, now, now + day] {
            let set = File::options().write(true).open(&file).unwrap();
            set.set_modified(modified).unwrap();
            let Since { age, booted } = since(&file);
            assert!(age < day / 2 && !booted, "{age:?}, {booted}");
        }
    }

    #[test]
    fn one_of_another_boot_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        save(&file, &memory()).unwrap();
        let boot = fs::read_to_string(BOOT).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(boot.trim(), "another")).unwrap();
        assert!(since(&file).booted);
        assert_eq!(load(&file), (memory(), None));
    }

    /// It says nothing of that, and of nothing else that is new.
    #[test]
    fn one_of_an_earlier_release_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        let text = r#"{"version":1,"memory":{"standby":true,"recent":["a b"],"starts":2}}"#;
        fs::write(&file, text).unwrap();
        let earlier = Memory {
            standby: true,
            recent: vec!["a b".into()],
            starts: 2,
            ..Memory::default()
        };
        assert_eq!(load(&file), (earlier, None));
        let set = File::options().write(true).open(&file).unwrap();
        let hour = Duration::from_secs(3600).min(up() / 2);
        set.set_modified(SystemTime::now() - hour).unwrap();
        let Since { age, booted } = since(&file);
        assert!(age >= hour && !booted, "{age:?}, {booted}");
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
