//! Reading a config folder into a tree.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};

use super::digest::Hasher;
use super::tree::{Meta, Name, Node, NotKept, Regular, Tree};
use super::{Digest, HistoryError};
use crate::durable;
use crate::fail2ban::folder::{FolderId, Limits, folder_id, is_noise};
use crate::rollback;

/// The most bytes of a file that is kept. fail2ban's own largest has 40 kB.
pub(super) const MOST_BYTES: u64 = 1 << 20;

/// What a put-back that is broken off leaves in a folder begins and ends so; fail2ban passes over
/// dotfiles.
const LEFTOVER: (&[u8], &[u8]) = (b".jailwarden-put", b".new");

/// Whether a path is what a broken-off put-back left.
pub(super) fn is_leftover(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.starts_with(LEFTOVER.0) && name.ends_with(LEFTOVER.1)
}

/// A config folder as it was read.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) tree: Tree,
    /// What tells that a file is still the one that was read; for those below no link alone.
    pub(super) stamps: BTreeMap<PathBuf, Stamp>,
    /// Our own rollback files, which are no part of the tree.
    pub(super) rollbacks: Vec<PathBuf>,
    /// What put-backs left that were broken off.
    pub(super) leftovers: Vec<(PathBuf, Node, Stamp)>,
    /// Whether there was more than [`Limits`] take.
    pub(super) truncated: bool,
    /// The folder's own owner and mode; none where there is no folder.
    pub(super) root: Option<Meta>,
}

/// A file's place on the disk, its size and the time of its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.len(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
        }
    }

    #[expect(
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "the widths are the architecture's"
    )]
    pub(super) fn of_stat(stat: &rustix::fs::Stat) -> Self {
        Self {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: stat.st_size as u64,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        }
    }
}

/// Reads the folder. Files are hashed, not held in memory.
pub(super) fn scan(config_dir: &Path) -> Result<Scan, HistoryError> {
    let failed = |error| HistoryError::io("read", config_dir, error);
    let root = fs::canonicalize(config_dir).map_err(failed)?;
    fs::read_dir(&root).map_err(failed)?;
    let mut walk = Walk {
        limits: Limits::default(),
        seen: HashSet::new(),
        linked: Vec::new(),
        scan: Scan::default(),
        root: root.clone(),
    };
    walk.seen.extend(folder_id(&root));
    walk.scan.root = fs::metadata(&root).ok().as_ref().map(Meta::of);
    walk.folder(Path::new(""), &root, 0, false);
    while let Some((shown, real, depth)) = walk.linked.pop() {
        if folder_id(&real).is_some_and(|id| walk.seen.insert(id)) {
            walk.folder(&shown, &real, depth, true);
        }
    }
    Ok(walk.scan)
}

/// As [`scan`], but a folder that is gone as a whole is one without anything in it. A link that leads
/// nowhere is no such folder: what it led to may be mounted again.
pub(super) fn scan_or_gone(config_dir: &Path) -> Result<Scan, HistoryError> {
    match fs::symlink_metadata(config_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Scan::default()),
        _ => scan(config_dir),
    }
}

/// A kept file's content once more; `None` if it is another by now.
pub(super) fn content(path: &Path, wanted: &Regular) -> Option<Vec<u8>> {
    let file = durable::open_regular(CWD, path, OFlags::empty()).ok()??;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).ok()?;
    (Digest::of(&bytes) == wanted.content).then_some(bytes)
}

struct Walk {
    limits: Limits,
    seen: HashSet<FolderId>,
    /// Folders behind links, for when the tree itself is read.
    linked: Vec<(PathBuf, PathBuf, usize)>,
    scan: Scan,
    root: PathBuf,
}

impl Walk {
    fn folder(&mut self, shown: &Path, real: &Path, depth: usize, elsewhere: bool) {
        let Ok(listing) = fs::read_dir(real) else {
            // The folder's own entry stays; that nothing is below it shows when it is compared.
            self.scan.truncated = true;
            return;
        };
        for entry in listing.flatten() {
            let name = entry.file_name();
            let (shown, real) = (shown.join(&name), entry.path());
            if is_leftover(&shown) && !elsewhere {
                self.leftover(shown, &real);
                continue;
            }
            if is_noise(&name) {
                continue;
            }
            if is_rollback(&shown) {
                self.scan.rollbacks.push(shown);
                continue;
            }
            if self.scan.tree.0.len() >= self.limits.entries {
                self.scan.truncated = true;
                return;
            }
            self.entry(shown, &real, depth, elsewhere);
        }
    }

    fn entry(&mut self, shown: PathBuf, real: &Path, depth: usize, elsewhere: bool) {
        let Ok(meta) = fs::symlink_metadata(real) else {
            return;
        };
        if !elsewhere {
            self.scan.stamps.insert(shown.clone(), Stamp::of(&meta));
        }
        if meta.is_symlink() {
            return self.link(shown, real, depth);
        }
        if meta.is_dir() {
            self.record(shown.clone(), Node::Folder(Meta::of(&meta)));
            if depth >= self.limits.depth {
                self.scan.truncated = true;
            } else if self.seen.insert((meta.dev(), meta.ino())) {
                self.folder(&shown, real, depth + 1, elsewhere);
            }
            return;
        }
        let node = file(real, &meta, OFlags::NOFOLLOW);
        self.record(shown, node);
    }

    fn leftover(&mut self, shown: PathBuf, real: &Path) {
        let Ok(meta) = fs::symlink_metadata(real) else {
            return;
        };
        let node = if meta.is_symlink() {
            fs::read_link(real).ok().map(|target| Node::Link {
                target: Name(target),
                behind: None,
            })
        } else {
            meta.is_file().then(|| file(real, &meta, OFlags::NOFOLLOW))
        };
        let stamp = Stamp::of(&meta);
        let found = node.map(|node| (shown, node, stamp));
        self.scan.leftovers.extend(found);
    }

    fn link(&mut self, shown: PathBuf, real: &Path, depth: usize) {
        let Ok(target) = fs::read_link(real) else {
            return;
        };
        let mut behind = None;
        if let Ok(end) = fs::canonicalize(real)
            && !end.starts_with(&self.root)
            // What holds the root leads to all of the host.
            && !self.root.starts_with(&end)
            && let Ok(meta) = fs::metadata(&end)
        {
            if meta.is_dir() && depth < self.limits.depth {
                self.linked.push((shown.clone(), end, depth + 1));
            } else if let Node::File(file) = file(&end, &meta, OFlags::NOFOLLOW) {
                behind = Some(file);
            }
        }
        let target = Name(target);
        self.record(shown, Node::Link { target, behind });
    }

    fn record(&mut self, shown: PathBuf, node: Node) {
        self.scan.tree.0.insert(shown, node);
    }
}

/// Whether a path below the config folder is one of our rollback files.
fn is_rollback(path: &Path) -> bool {
    let of_jail = path.parent() == Some(Path::new("jail.d")) && rollback::is_rollback_name(path);
    of_jail || rollback::is_in_memory(path)
}

fn file(path: &Path, meta: &Metadata, more: OFlags) -> Node {
    let not_kept = |why, meta: &Metadata| Node::NotKept {
        why,
        bytes: meta.len(),
        meta: Meta::of(meta),
        content: None,
    };
    if !meta.is_file() {
        return not_kept(NotKept::Special, meta);
    }
    if meta.len() > MOST_BYTES {
        return not_kept(NotKept::TooLarge, meta);
    }
    let opened = durable::open_regular(CWD, path, more);
    let read = match opened {
        Ok(Some(mut file)) => hash(&mut file),
        Ok(None) => return not_kept(NotKept::Special, meta),
        Err(error) => Err(error),
    };
    match read {
        Ok(Some((content, bytes))) => Node::File(Regular {
            content,
            bytes,
            meta: Meta::of(meta),
        }),
        Ok(None) => not_kept(NotKept::TooLarge, meta),
        Err(_) => not_kept(NotKept::Unreadable, meta),
    }
}

/// `None` for a file that grew beyond what is kept.
fn hash(file: &mut File) -> io::Result<Option<(Digest, u64)>> {
    let (mut hasher, mut bytes) = (Hasher::default(), 0);
    let mut buffer = [0; 16 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some((hasher.digest(), bytes))),
            Ok(n) => {
                hasher.add(&buffer[..n]);
                bytes += n as u64;
                if bytes > MOST_BYTES {
                    return Ok(None);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
