//! What the fail2ban config folder holds: the truth behind the file events.
//!
//! An event only says that it is time to look; two [`Snapshot`]s say whether anything changed.

mod trail;
mod walk;

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use self::walk::Walk;

pub(crate) use trail::{End, trail};

/// A folder's device and inode: the same pair is the same folder, whatever its path.
pub type FolderId = (u64, u64);

/// How much of the config folder is looked at, so that a strange tree costs bounded time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries kept one by one; what is beyond goes into one digest of sizes and times.
    pub entries: usize,
    /// Bytes of a file that are read; a longer file is known by size, time and inode.
    pub file_bytes: u64,
    /// Bytes of all files that are read; from there on they are known as a longer file is.
    pub bytes: u64,
    /// Folders below the root, one in another.
    pub depth: usize,
    /// Folders that are looked into, each of which is watched; fail2ban's own are five.
    pub folders: usize,
    /// Names outside of these folders that are watched, since links lead there.
    pub links: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 20_000,
            file_bytes: 4 << 20,
            bytes: 64 << 20,
            depth: 16,
            folders: 2_000,
            links: 5_000,
        }
    }
}

/// What must be watched so that no change to the config goes unseen, all canonical paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Folders in which every name matters: the root, its subfolders, and where symlinks lead.
    pub folders: Vec<PathBuf>,
    /// Single names outside of these: each hop and the target of every symlink in the tree, or,
    /// where a symlink dangles, the first name that is missing.
    pub links: Vec<PathBuf>,
}

/// The config folder at one moment: every path below it with a hash of its content.
///
/// Owner, mode and times of a file do not count, so a `touch` or a rewrite of the same bytes leaves
/// the [`fingerprint`](Self::fingerprint) as it was.
#[derive(Debug, Clone)]
pub struct Snapshot {
    root: PathBuf,
    root_id: Option<FolderId>,
    truncated: bool,
    places: Places,
    /// Sorted by path; the paths are relative to `root`.
    entries: Vec<(Box<Path>, u128)>,
    fingerprint: u128,
}

impl Snapshot {
    /// Reads everything under `root`, following symlinks.
    ///
    /// Blocking: call it where blocking is allowed. It never fails: a root that is not there or is
    /// no folder is a state of its own ([`exists`](Self::exists)), and what cannot be read is
    /// recorded as such. Only regular files are ever opened.
    #[must_use]
    pub fn take(root: &Path, limits: Limits) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let mut walk = Walk::new(limits);
        let root_id = folder_id(&root);
        if let (Some(id), End::Found(real)) = (root_id, trail(&root).end) {
            walk.run(real, id);
        }
        walk.finish(root, root_id)
    }

    /// Whether the root was there and a folder.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.root_id.is_some()
    }

    /// The root's device and inode, unless it does not [exist](Self::exists).
    #[must_use]
    pub fn root_id(&self) -> Option<FolderId> {
        self.root_id
    }

    /// Whether a limit was met, so that [`changed_since`](Self::changed_since) may name too little;
    /// the fingerprint still tells most changes.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// What to watch so that the next change is seen.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The number of paths recorded: files, folders and other entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing at all was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A 128-bit digest of every path and content; stable across runs of the same build.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// The full paths that were added, removed or changed since `old` was taken, sorted.
    #[must_use]
    pub fn changed_since(&self, old: &Self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        let (mut olds, mut news) = (
            old.entries.iter().peekable(),
            self.entries.iter().peekable(),
        );
        loop {
            let path = match (olds.peek(), news.peek()) {
                (None, None) => return changed,
                (Some((path, was)), Some((other, is))) if path == other => {
                    let same = was == is;
                    olds.next();
                    news.next();
                    if same {
                        continue;
                    }
                    path
                }
                (Some((gone, _)), Some((added, _))) if added < gone => {
                    news.next();
                    added
                }
                (Some((gone, _)), _) => {
                    olds.next();
                    gone
                }
                (None, Some((added, _))) => {
                    news.next();
                    added
                }
            };
            changed.push(self.root.join(path));
        }
    }
}

/// The device and inode of the folder at `path`, symlinks followed; `None` if there is no folder.
pub(crate) fn folder_id(path: &Path) -> Option<FolderId> {
    let meta = fs::metadata(path).ok().filter(Metadata::is_dir)?;
    Some((meta.dev(), meta.ino()))
}

/// Whether a name is one that fail2ban never reads and that something rewrites by itself: dotfiles
/// (its glob skips them, fail2ban 1.0.2 client/configreader.py:158), editors' backups, swap files
/// and vim's probe `4913`, and Python's cache, which the daemon itself writes beside `action.d/*.py`.
///
/// Any other name counts, since `[INCLUDES]` may name any file.
pub(crate) fn is_noise(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".")
        || name.ends_with(b"~")
        || name.ends_with(b".swp")
        || name.ends_with(b".pyc")
        || name == b"4913"
        || name == b"__pycache__"
        || (name.len() > 1 && name.starts_with(b"#") && name.ends_with(b"#"))
}

#[cfg(test)]
mod tests;
