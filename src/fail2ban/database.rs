//! The file of fail2ban's database, looked at from outside: is it one, and does somebody hold it?
//!
//! A daemon that runs does not notice that its database was overwritten until its next reload or
//! start. A *start* with a file that is no database moves it aside to `FILE.YYYYMMDD-HHMMSS` and makes
//! a new one (`server/database.py`, `repairDB`), but one whose damage lies behind the first page is
//! noticed too late for that and refused (measured with 1.0.2, 1.1.0 and 1.1.1). Until then it bans, and loses
//! each jail that it is told to load or to stop.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::OFlags;

use super::proc;
use super::process::Pid;
use crate::durable;

/// The first bytes of a database (sqlite.org/fileformat.html, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// What is added to the name of one that was set aside, before the time.
const ASIDE: &str = ".damaged-";
/// The header's length.
const HEADER: usize = 100;
/// Where the locks stand in the file (`PENDING_BYTE` of `os.h`), and how many bytes they take.
const LOCKS: (i64, i64) = (0x4000_0000, 512);

/// What is wrong with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its first bytes are not those of a database.
    #[error("it is no SQLite database: its first bytes are not `SQLite format 3`")]
    NoDatabase,
    /// It is shorter than a header.
    #[error("it is cut off: {length} bytes are no whole header")]
    NoHeader {
        /// Its length in bytes.
        length: u64,
    },
    /// It is shorter than its header says.
    #[error("it is cut off: it has {length} of {expected} bytes")]
    CutOff {
        /// Its length in bytes.
        length: u64,
        /// What its header says.
        expected: u64,
    },
    /// It is a folder, or anything else that is no file.
    #[error("it is not a file")]
    NoFile,
}

/// One file among all that may have its name one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// A process that holds a lock on a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number; none if it is of another pid namespace.
    pub pid: Option<Pid>,
    /// Its name, as far as it can be read.
    pub name: String,
}

/// Says what is wrong with a database as far as its first bytes and its length tell, which is cheap:
/// it reads 100 bytes. An empty file is a database without tables.
///
/// It may be asked while a daemon uses it. One that is being written may be shorter than its header
/// says for an instant, so that is only said of a file that nobody has locked.
///
/// # Errors
/// What opening or reading the file gives; `NotFound` if there is none.
pub fn damage(database: &Path) -> io::Result<Option<Damage>> {
    match look(database)? {
        Some(Damage::CutOff { .. }) if holder(database)?.is_some() => Ok(None),
        Some(Damage::CutOff { .. }) => look(database),
        seen => Ok(seen),
    }
}

fn look(database: &Path) -> io::Result<Option<Damage>> {
    let file = open(database)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Some(Damage::NoFile));
    }
    let mut header = Vec::with_capacity(HEADER);
    (&file).take(HEADER as u64).read_to_end(&mut header)?;
    Ok(judge(&header, file.metadata()?.len()))
}

/// Who holds a lock that keeps fail2ban from writing (`man 2 fcntl_locking`), ourselves never.
///
/// A running daemon holds one for an instant with each ban. A database in WAL mode, which fail2ban
/// never makes, is locked elsewhere.
///
/// # Errors
/// What opening the file or asking for the lock gives.
pub fn holder(database: &Path) -> io::Result<Option<Holder>> {
    let file = open(database)?;
    let mut lock = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: LOCKS.0,
        l_len: LOCKS.1,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock))?;
    if i32::from(lock.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    let pid = Some(lock.l_pid)
        .filter(|&pid| pid > 0)
        .and_then(Pid::from_raw);
    let name = pid.and_then(|pid| proc::name(pid).ok()).unwrap_or_default();
    Ok(Some(Holder {
        pid,
        name: String::from_utf8_lossy(&name).into_owned(),
    }))
}

/// Which file a database is now.
///
/// # Errors
/// What the system says; `NotFound` if there is none.
pub fn identity(database: &Path) -> io::Result<Identity> {
    let found = fs::metadata(database)?;
    Ok(Identity {
        device: found.dev(),
        inode: found.ino(),
    })
}

/// Moves a database aside, durably, to a name that none has: the next start makes a new one. Gives where it
/// lies, or none if there is no database, or another than was `seen` to be damaged: a start moves it away too.
///
/// # Errors
/// What the system says, or that it is no file.
pub fn set_aside(database: &Path, seen: Option<Identity>) -> io::Result<Option<PathBuf>> {
    match fs::metadata(database) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(io::Error::other(Damage::NoFile)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    if seen.is_some_and(|seen| identity(database).is_ok_and(|now| now != seen)) {
        return Ok(None);
    }
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut aside = database.as_os_str().to_owned();
    aside.push(ASIDE);
    aside.push(now.replace([':', '-'], ""));
    let aside = PathBuf::from(aside);
    durable::rename_to_new(database, &aside)?;
    durable::sync_folder(database.parent().unwrap_or(Path::new("/")))?;
    Ok(Some(aside))
}

/// The database that was set aside last, if that was not before `since`.
///
/// # Errors
/// What listing the folder gives.
pub fn aside_since(database: &Path, since: SystemTime) -> io::Result<Option<PathBuf>> {
    let (Some(folder), Some(name)) = (database.parent(), database.file_name()) else {
        return Ok(None);
    };
    let mut begin = name.to_owned();
    begin.push(ASIDE);
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let named = entry.file_name();
        if named
            .as_encoded_bytes()
            .starts_with(begin.as_encoded_bytes())
        {
            // A new name changes the time of the inode alone.
            let moved = changed(&entry.metadata()?);
            newest = newest.max((moved >= since).then(|| (moved, entry.path())));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

fn changed(metadata: &fs::Metadata) -> SystemTime {
    let seconds = Duration::from_secs(metadata.ctime().try_into().unwrap_or_default());
    let nanos = Duration::from_nanos(metadata.ctime_nsec().try_into().unwrap_or_default());
    UNIX_EPOCH + seconds + nanos
}

fn open(database: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(database)
}

fn judge(header: &[u8], length: u64) -> Option<Damage> {
    if header.is_empty() {
        return None;
    }
    if !header.starts_with(&MAGIC[..header.len().min(MAGIC.len())]) {
        return Some(Damage::NoDatabase);
    }
    if header.len() < HEADER {
        return Some(Damage::NoHeader { length });
    }
    let number = |at: usize| {
        let bytes: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_be_bytes(bytes)))
    };
    // The page size is two bytes, of which 1 means 65536; the page count holds only if the change
    // counter is the one that the count was written with (1.3.2, 1.3.7 and 1.3.8 of the format).
    let page = Some(number(16)? >> 16).filter(|&page| page > 1);
    let page = page.unwrap_or(65536);
    let expected = page * number(28)?;
    (number(24)? == number(92)? && length < expected).then_some(Damage::CutOff { length, expected })
}

/// `PID (NAME)`, as far as known.
impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid} ({})", self.name),
            None => f.write_str("a process that cannot be seen from here"),
        }
    }
}

#[cfg(test)]
mod tests;
