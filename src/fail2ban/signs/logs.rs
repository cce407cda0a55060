//! Log files from outside: did they grow, and has anybody read them since?

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

/// File systems of this machine, on which a read of a file moves its access time at once, unless they
/// are mounted `noatime` (`statfs.f_type`, `man 2 statfs`): ext4, XFS, Btrfs, tmpfs, F2FS, overlay, ZFS.
const LOCAL: [u64; 7] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0x0102_1994,
    0xF2F5_2010,
    0x794C_7630,
    0x2FC1_2FC1,
];

/// What one look at a log file shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSigns {
    /// Device and inode.
    pub id: (u64, u64),
    /// Its length in bytes.
    pub size: u64,
    /// When it was last read, in nanoseconds since 1970.
    pub read: i128,
    /// Whether the daemon has it open, and so is reading it.
    pub open: bool,
    /// Whether reads are known to move `read`: they are seen to have done so on this file system.
    pub honest: bool,
    /// Since when it is longer than when it was last seen to be read.
    pub grown_at: Option<Instant>,
    /// Its length when it was last seen to be read, or first seen at all.
    pub(super) base: u64,
}

/// Looks at log files, of which `before` is the look before.
pub(super) fn look<'a>(
    pid: i32,
    wanted: impl Iterator<Item = &'a PathBuf>,
    before: Option<&BTreeMap<PathBuf, LogSigns>>,
    now: Instant,
) -> BTreeMap<PathBuf, LogSigns> {
    let open = open_files(pid);
    let wanted: BTreeSet<&PathBuf> = wanted.collect();
    let honest = before.into_iter().flatten().filter(|(_, log)| log.honest);
    let proven: BTreeSet<u64> = honest.map(|(_, log)| log.id.0).collect();
    let there = wanted.into_iter().filter_map(|path| {
        let file = fs::metadata(path).ok().filter(Metadata::is_file)?;
        let old = before.and_then(|logs| logs.get(path));
        let seen = Seen {
            id: (file.dev(), file.ino()),
            size: file.len(),
            read: i128::from(file.atime()) * 1_000_000_000 + i128::from(file.atime_nsec()),
            open: open.contains(&(file.dev(), file.ino())),
        };
        let can_tell = keeps_access_times(path);
        let proven = proven.contains(&file.dev());
        Some((path.clone(), LogSigns::of(seen, old, can_tell, proven, now)))
    });
    there.collect()
}

/// The bare facts of one look.
#[derive(Clone, Copy)]
struct Seen {
    id: (u64, u64),
    size: u64,
    read: i128,
    open: bool,
}

impl LogSigns {
    /// What a look means after an `old` one; `proven` says that reads on this file system were seen to
    /// move access times.
    fn of(seen: Seen, old: Option<&Self>, can_tell: bool, proven: bool, now: Instant) -> Self {
        let same = old.filter(|old| old.id == seen.id);
        let was_read = same.is_some_and(|old| seen.read != old.read);
        let honest = can_tell && (proven || was_read);
        let unread = same.filter(|old| !was_read && !seen.open && seen.size >= old.base);
        let base = unread.map_or(seen.size, |old| old.base);
        let grown_at = unread
            .filter(|_| seen.size > base)
            .map(|old| old.grown_at.unwrap_or(now));
        Self {
            id: seen.id,
            size: seen.size,
            read: seen.read,
            open: seen.open,
            honest,
            grown_at,
            base,
        }
    }
}

fn keeps_access_times(path: &Path) -> bool {
    let told = statvfs(path).is_ok_and(|vfs| !vfs.f_flag.contains(StatVfsMountFlags::NOATIME));
    let local = statfs(path).is_ok_and(|system| {
        let kind = u64::try_from(system.f_type).unwrap_or_default() & 0xFFFF_FFFF;
        LOCAL.contains(&kind)
    });
    told && local
}

/// Device and inode of what a process has open, as far as we may see it.
fn open_files(pid: i32) -> BTreeSet<(u64, u64)> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    let files = descriptors.into_iter().flatten().flatten();
    let files = files.filter_map(|descriptor| fs::metadata(descriptor.path()).ok());
    files
        .filter(Metadata::is_file)
        .map(|file| (file.dev(), file.ino()))
        .collect()
}

#[cfg(test)]
mod tests;
