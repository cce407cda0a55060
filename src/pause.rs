//! The file that asks jailwarden to pause: it outlives both the command that writes it and the
//! supervisor that obeys it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::durable;

/// The only version there is.
const VERSION: u32 = 1;
/// Far above what a reason needs.
const MAX_BYTES: u64 = 64 << 10;

/// A pause that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// When it ends by itself.
    pub until: Option<SystemTime>,
    /// Why, in the words of who asked.
    pub reason: Option<String>,
    /// Who asked, as the system calls them.
    pub by: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    /// RFC 3339.
    until: Option<String>,
    reason: Option<String>,
    by: String,
}

/// Where it lies in the state folder.
#[must_use]
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("pause.json")
}

/// Asks for a pause, in place of one that was asked for before.
///
/// # Errors
/// What kept the file from being written.
pub fn ask(state_dir: &Path, pause: &Pause) -> io::Result<()> {
    let document = Document {
        version: VERSION,
        until: pause
            .until
            .map(|at| humantime::format_rfc3339_seconds(at).to_string()),
        reason: pause.reason.clone(),
        by: pause.by.clone(),
    };
    durable::private_folders(state_dir)?;
    let mut file = NamedTempFile::with_prefix_in(".pause-", state_dir)?;
    file.write_all(&serde_json::to_vec(&document)?)?;
    file.as_file().sync_all()?;
    file.persist(path(state_dir))?;
    fs::File::open(state_dir)?.sync_all()
}

/// Ends a pause; false if there was none.
///
/// # Errors
/// What kept the file from being removed.
pub fn end(state_dir: &Path) -> io::Result<bool> {
    match fs::remove_file(path(state_dir)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The pause in force at `now`, if one is. Where the clock was set back since, it lasts no longer than was asked for.
///
/// # Errors
/// The file is there but cannot be read or understood: whoever wrote it wanted something.
pub fn in_force(state_dir: &Path, now: SystemTime) -> io::Result<Option<Pause>> {
    let path = path(state_dir);
    let (mut pause, asked) = match read(&path).and_then(|it| Ok((it, modified(&path)?))) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if let Some(until) = &mut pause.until
        && let Ok(lasts) = until.duration_since(asked)
    {
        *until = now.checked_add(lasts).map_or(*until, |end| end.min(*until));
    }
    Ok(Some(pause).filter(|pause| pause.until.is_none_or(|until| until > now)))
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

fn read(path: &Path) -> io::Result<Pause> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(invalid("too long for a pause".to_owned()));
    }
    let document: Document = serde_json::from_slice(&fs::read(path)?)?;
    if document.version != VERSION {
        return Err(invalid(format!(
            "version {} is not known here",
            document.version
        )));
    }
    let until = document.until.map(|at| humantime::parse_rfc3339(&at));
    Ok(Pause {
        until: until
            .transpose()
            .map_err(|error| invalid(error.to_string()))?,
        reason: document.reason,
        by: document.by,
    })
}

impl Pause {
    /// Who asked for it, and why.
    #[must_use]
    pub fn why(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        format!("{}: {reason}", self.by)
    }

    /// How long it still lasts, if it ends by itself.
    #[must_use]
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        Some(self.until?.duration_since(now).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(until: Option<SystemTime>) -> Pause {
        Pause {
            until,
            reason: Some("a \"move\"\nof hosts".to_owned()),
            by: "root".to_owned(),
        }
    }

    #[test]
    fn it_lasts_until_its_end_or_until_it_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let end_at = begin + Duration::from_secs(60);
        assert_eq!(in_force(dir.path(), begin).unwrap(), None);
        ask(dir.path(), &pause(Some(end_at))).unwrap();
        assert_eq!(
            in_force(dir.path(), begin).unwrap(),
            Some(pause(Some(end_at)))
        );
        assert_eq!(in_force(dir.path(), end_at).unwrap(), None);
        ask(dir.path(), &pause(None)).unwrap();
        assert_eq!(in_force(dir.path(), end_at).unwrap(), Some(pause(None)));
        assert!(end(dir.path()).unwrap());
        assert!(!end(dir.path()).unwrap());
        assert_eq!(in_force(dir.path(), begin).unwrap(), None);
    }

    #[test]
    fn it_lasts_no_longer_where_the_clock_is_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 3600));
        let minute = Duration::from_secs(60);
        ask(dir.path(), &pause(Some(now + minute))).unwrap();
        let left = |now| Some(in_force(dir.path(), now).unwrap()?.left(now).unwrap());
        assert!(left(now - day) <= Some(minute), "{:?}", left(now - day));
        assert!(left(now - day).is_some());
        assert_eq!(left(now + day), None);
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "",
            "{}",
            r#"{"version":2,"until":null,"reason":null,"by":""}"#,
        ] {
            fs::write(path(dir.path()), text).unwrap();
            assert!(
                in_force(dir.path(), SystemTime::UNIX_EPOCH).is_err(),
                "{text}"
            );
        }
    }
}
