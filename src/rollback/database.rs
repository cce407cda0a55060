//! The file that keeps fail2ban's database in memory while its file cannot be written.
//!
//! fail2ban does not start with a database that it cannot write (`addJail` and `delAllJails` of
//! `server/database.py`, 1.0.2, 1.1.0 and 1.1.1), and with `dbfile = :memory:` all works that needs one,
//! increments of ban times too. It knows no earlier ban then, and forgets all at its end.

use std::path::{Path, PathBuf};

use rustix::fs::CWD;

use super::file::{Folder, MARK, after, note, noted, ours, take_away};
use super::{RollbackError, Why};

const FOLDER: &str = "fail2ban.d";
/// It is read after `fail2ban.local` and all in its folder that sorts before it.
const NAME: &str = "zzz-jailwarden.local";
/// What a write that was broken off leaves.
const LEFTOVER: &str = ".zzz-jailwarden.new";

/// What jailwarden calls it where jails have their names; no jail can have a rollback of this name.
pub const DBFILE: &str = "dbfile";

/// The file, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InMemory {
    /// Where it is.
    pub path: PathBuf,
    /// The file of the database that it takes the place of.
    pub database: PathBuf,
    /// When and why it was written.
    pub note: Why,
}

/// Keeps the database in memory from the next start of fail2ban on: writes
/// `fail2ban.d/zzz-jailwarden.local` whole and durably. Blocking.
///
/// # Errors
/// As of [`write`](super::write()).
pub fn keep_in_memory(
    config_dir: &Path,
    database: &Path,
    why: &Why,
) -> Result<PathBuf, RollbackError> {
    let folder = Folder::make(config_dir, FOLDER)?;
    folder.remove_leftover(LEFTOVER);
    folder.place(NAME, &text(database, why))
}

/// Undoes [`keep_in_memory`], for the next start of fail2ban; false if there was nothing to undo. Blocking.
///
/// # Errors
/// As of [`remove`](super::remove).
pub fn end_in_memory(config_dir: &Path) -> Result<bool, RollbackError> {
    take_away(config_dir.join(FOLDER), NAME)
}

/// The path of the file.
#[must_use]
pub fn in_memory_file(config_dir: &Path) -> PathBuf {
    config_dir.join(FOLDER).join(NAME)
}

/// The file of ours, if it stands; another's is passed over. Blocking.
#[must_use]
pub fn in_memory(config_dir: &Path) -> Option<InMemory> {
    let path = in_memory_file(config_dir);
    let content = ours(CWD, &path, &path).ok()??;
    let text = String::from_utf8_lossy(&content);
    Some(InMemory {
        database: after(&text, "# Database:").into(),
        note: noted(&text),
        path,
    })
}

/// Whether a path below the config folder is that of the file, whoever wrote it.
pub(crate) fn is_in_memory(path: &Path) -> bool {
    path == Path::new(FOLDER).join(NAME)
}

fn text(database: &Path, why: &Why) -> String {
    format!(
        "{MARK}\n\
         # jailwarden keeps fail2ban's database in memory, as its file cannot be written, so that fail2ban runs.\n\
         # When:     {}\n\
         # Incident: {}\n\
         # Why:      {}\n\
         # Database: {}\n\
         # It goes by itself once that file can be written. To end it at once, delete this file and restart\n\
         # fail2ban: a reload would lose every jail, as fail2ban cannot change its database while it has jails.\n\
         [Definition]\n\
         dbfile = :memory:\n",
        note(&why.when),
        note(why.incident.as_deref().unwrap_or("-")),
        note(&why.reason),
        note(&database.display().to_string()),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_written_known_again_and_removed_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let why = Why {
            when: "2026-11-25T00:00:00Z".into(),
            reason: "a file system\nis read-only".into(),
            incident: None,
        };
        let database = Path::new("/var/lib/fail2ban/fail2ban.sqlite3");
        assert_eq!(in_memory(dir.path()), None);
        let path = keep_in_memory(dir.path(), database, &why).unwrap();
        assert!(is_in_memory(path.strip_prefix(dir.path()).unwrap()));
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.ends_with("\n[Definition]\ndbfile = :memory:\n"),
            "{text}"
        );
        let stands = in_memory(dir.path()).unwrap();
        assert_eq!((stands.database.as_path(), &stands.path), (database, &path));
        assert_eq!(stands.note.reason, "a file system is read-only");
        assert!(end_in_memory(dir.path()).unwrap());
        assert!(!end_in_memory(dir.path()).unwrap());

        fs::write(&path, "[Definition]\ndbfile = /mine\n").unwrap();
        assert_eq!(in_memory(dir.path()), None);
        for refused in [
            keep_in_memory(dir.path(), database, &why).map(drop),
            end_in_memory(dir.path()).map(drop),
        ] {
            assert!(matches!(refused, Err(RollbackError::NotOurs { .. })));
        }
    }
}
