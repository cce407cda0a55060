//! The walk through the config folder that makes a snapshot.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::hash::Hasher as _;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::{End, FolderId, Limits, Places, Snapshot, is_noise, trail};
use crate::durable;

/// What an entry is, as the first byte of what is hashed for it.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Content,
    TooLong,
    Folder,
    Special,
    Unreadable,
    Dangling,
    Beyond,
}

struct Folder {
    /// Relative to the root, as a person sees it.
    shown: PathBuf,
    /// Canonical.
    real: PathBuf,
    id: FolderId,
    depth: usize,
}

pub(super) struct Walk {
    limits: Limits,
    root: PathBuf,
    bytes_left: u64,
    /// Folders of the tree itself go before those behind symlinks, so that a file that is reached
    /// both ways is shown by its own path.
    near: Vec<Folder>,
    linked: VecDeque<Folder>,
    seen: HashSet<FolderId>,
    entries: Vec<(Box<Path>, u128)>,
    folders: Vec<PathBuf>,
    /// What links are and where they lead, also within the folders.
    links: BTreeSet<PathBuf>,
    truncated: bool,
    beyond: u128,
    beyond_count: usize,
    buffer: Vec<u8>,
}

impl Walk {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            root: PathBuf::new(),
            bytes_left: limits.bytes,
            near: Vec::new(),
            linked: VecDeque::new(),
            seen: HashSet::new(),
            entries: Vec::new(),
            folders: Vec::new(),
            links: BTreeSet::new(),
            truncated: false,
            beyond: 0,
            beyond_count: 0,
            buffer: vec![0; 32 << 10],
        }
    }

    /// Looks at the root, a canonical path, and at all that it leads to.
    pub(super) fn run(&mut self, real: PathBuf, id: FolderId) {
        self.root.clone_from(&real);
        self.near.push(Folder {
            shown: PathBuf::new(),
            real,
            id,
            depth: 0,
        });
        while let Some(folder) = self.near.pop().or_else(|| self.linked.pop_front()) {
            if self.seen.contains(&folder.id) {
                continue;
            }
            if self.seen.len() >= self.limits.folders {
                self.truncated = true;
                continue;
            }
            self.seen.insert(folder.id);
            self.folder(&folder);
            self.folders.push(folder.real);
        }
    }

    fn folder(&mut self, folder: &Folder) {
        let Ok(listing) = fs::read_dir(&folder.real) else {
            return self.record(&folder.shown, hash(Kind::Unreadable, &[]));
        };
        let room = self.limits.entries.saturating_sub(self.entries.len());
        let mut names: Vec<OsString> = Vec::new();
        for name in listing.flatten().map(|entry| entry.file_name()) {
            if is_noise(&name) {
                continue;
            }
            if names.len() < room {
                names.push(name);
            } else if !self.beyond(&folder.real.join(name)) {
                break;
            }
        }
        names.sort_unstable();
        for name in names {
            let shown = folder.shown.join(&name);
            self.entry(shown, folder.real.join(name), folder.depth);
        }
    }

    fn entry(&mut self, shown: PathBuf, real: PathBuf, depth: usize) {
        let meta = match fs::symlink_metadata(&real) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => return self.record(&shown, hash(Kind::Unreadable, &[])),
        };
        if !meta.is_symlink() {
            return self.target(shown, real, &meta, depth, false);
        }
        let trail = trail(&real);
        trail.hops.into_iter().for_each(|hop| self.link(hop));
        match trail.end {
            End::Found(target) => match fs::symlink_metadata(&target) {
                Ok(meta) => {
                    if !meta.is_dir() {
                        self.link(target.clone());
                    }
                    self.target(shown, target, &meta, depth, true);
                }
                Err(_) => self.record(&shown, hash(Kind::Dangling, &[])),
            },
            End::Missing(name) => {
                self.link(name);
                self.record(&shown, hash(Kind::Dangling, &[]));
            }
            End::Lost => self.record(&shown, hash(Kind::Unreadable, &[])),
        }
    }

    /// Names in a folder that was looked into are known already; in one that is still to come, they count.
    fn link(&mut self, path: PathBuf) {
        if self.links.len() < self.limits.links {
            self.links.insert(path);
        } else if !self.links.contains(&path) {
            self.truncated = true;
        }
    }

    fn target(
        &mut self,
        shown: PathBuf,
        real: PathBuf,
        meta: &Metadata,
        depth: usize,
        linked: bool,
    ) {
        if meta.is_file() {
            let stamp = self.file(&real);
            return self.record(&shown, stamp);
        }
        if !meta.is_dir() {
            return self.record(&shown, hash(Kind::Special, &[]));
        }
        self.record(&shown, hash(Kind::Folder, &[]));
        // A link to what holds the root leads to all of the host.
        if linked && self.root.starts_with(&real) {
            return;
        }
        if depth >= self.limits.depth {
            self.truncated = true;
            return;
        }
        let folder = Folder {
            shown,
            real,
            id: (meta.dev(), meta.ino()),
            depth: depth + 1,
        };
        if linked {
            self.linked.push_back(folder);
        } else {
            self.near.push(folder);
        }
    }

    fn file(&mut self, path: &Path) -> u128 {
        match self.read(path) {
            Ok(stamp) => stamp,
            Err(_) => hash(Kind::Unreadable, &[]),
        }
    }

    fn read(&mut self, path: &Path) -> io::Result<u128> {
        // It may have become a FIFO since it was looked at.
        let Some(mut file) = durable::open_regular(CWD, path, OFlags::empty())? else {
            return Ok(hash(Kind::Special, &[]));
        };
        let meta = file.metadata()?;
        if meta.len() > self.limits.file_bytes.min(self.bytes_left) {
            return Ok(by_looks(Kind::TooLong, &meta));
        }
        let mut hasher = SipHasher13::new();
        hasher.write_u8(Kind::Content as u8);
        let mut left = self.limits.file_bytes.min(self.bytes_left);
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => return Ok(hasher.finish128().as_u128()),
                Ok(n) => {
                    hasher.write(&self.buffer[..n]);
                    self.bytes_left = self.bytes_left.saturating_sub(n as u64);
                    let Some(rest) = left.checked_sub(n as u64) else {
                        return Ok(by_looks(Kind::TooLong, &file.metadata()?));
                    };
                    left = rest;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds an entry for which there is no room to the digest; false when enough were looked at.
    fn beyond(&mut self, path: &Path) -> bool {
        self.truncated = true;
        let looks = fs::metadata(path).map_or(0, |meta| by_looks(Kind::Beyond, &meta));
        let stamp = hash(
            Kind::Beyond,
            &[path.as_os_str().as_bytes(), &looks.to_le_bytes()],
        );
        // A sum, because a folder's order is not the same each time.
        self.beyond = self.beyond.wrapping_add(stamp);
        self.beyond_count += 1;
        self.beyond_count < self.limits.entries.saturating_mul(10)
    }

    fn record(&mut self, shown: &Path, stamp: u128) {
        self.entries.push((shown.into(), stamp));
    }

    pub(super) fn finish(mut self, root: PathBuf, root_id: Option<FolderId>) -> Snapshot {
        self.entries.sort_unstable();
        self.entries.shrink_to_fit();
        self.folders.sort_unstable();
        let folders = &self.folders;
        let is_covered = |folder: &Path| {
            folders
                .binary_search_by(|f| f.as_path().cmp(folder))
                .is_ok()
        };
        let outside = |link: &PathBuf| !link.parent().is_some_and(is_covered);
        let links = self.links.into_iter().filter(outside).collect();
        let mut hasher = SipHasher13::new();
        hasher.write_u8(u8::from(root_id.is_some()));
        hasher.write_u128(self.beyond);
        for (path, stamp) in &self.entries {
            let path = path.as_os_str().as_bytes();
            hasher.write_usize(path.len());
            hasher.write(path);
            hasher.write_u128(*stamp);
        }
        Snapshot {
            root,
            root_id,
            truncated: self.truncated,
            places: Places {
                folders: self.folders,
                links,
            },
            entries: self.entries,
            fingerprint: hasher.finish128().as_u128(),
        }
    }
}

fn hash(kind: Kind, parts: &[&[u8]]) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write_u8(kind as u8);
    for part in parts {
        hasher.write(part);
    }
    hasher.finish128().as_u128()
}

/// A stamp for what is not read: by size, time of the last change to the content, device and inode.
fn by_looks(kind: Kind, meta: &Metadata) -> u128 {
    hash(
        kind,
        &[
            &meta.len().to_le_bytes(),
            &meta.mtime().to_le_bytes(),
            &meta.mtime_nsec().to_le_bytes(),
            &meta.dev().to_le_bytes(),
            &meta.ino().to_le_bytes(),
        ],
    )
}
