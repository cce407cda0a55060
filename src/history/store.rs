//! Keeping snapshots, listing them, and dropping the oldest.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::blobs::{self, Blobs};
use super::draft::{draft, needed};
use super::manifest::{self, Kept, Manifest};
use super::tree::{FileChange, Node, NotKept};
use super::walk;
use super::{Digest, HistoryError, Warning};
use crate::durable::{self, Batch};
use crate::fail2ban::folder::{Limits, Snapshot};
use crate::fail2ban::stream::{Diff, Digests, Stream};

/// How many snapshots are kept at most.
pub(super) const MOST_SNAPSHOTS: usize = 10;
/// The most bytes of all snapshots together; the newest is kept even so.
pub(super) const MOST_BYTES: u64 = 8 << 20;
/// How long to wait for another jailwarden that is at work here.
const PATIENCE: Duration = Duration::from_secs(5);

/// The snapshots and replaced files below jailwarden's state folder.
///
/// Everything in it is readable by root alone, since configs hold secrets. Blocking.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) folder: PathBuf,
    pub(super) rejected: PathBuf,
    /// How a person calls jailwarden for it, to be followed by a command.
    pub(super) called: String,
}

/// The id of a snapshot: a hash of what it holds.
pub type Id = Digest;

/// A snapshot as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: Id,
    /// When it was taken, to the second.
    pub when: SystemTime,
    /// The folder's fingerprint then ([`Snapshot::fingerprint`]), rollback files included.
    pub fingerprint: u128,
    /// How many files it holds.
    pub files: usize,
    /// How long they are together.
    pub bytes: u64,
    /// The jails that ran with it; none where the command stream is not kept.
    pub jails: Option<Vec<String>>,
    /// What changed against the one before; none for the oldest.
    pub since: Option<Since>,
    /// Our own rollback files that stood then, and are not part of it.
    pub rollbacks: Vec<String>,
    /// Files whose content is not kept, and why.
    pub not_kept: Vec<(PathBuf, NotKept)>,
}

/// What changed between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Since {
    /// The files.
    pub files: Vec<FileChange>,
    /// The jails; none where a command stream is not kept.
    pub jails: Option<Diff>,
}

/// What is kept, and what was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The newest first.
    pub entries: Vec<T>,
    /// What could not be read.
    pub warnings: Vec<Warning>,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl Store {
    /// The history below this state folder, which need not exist; looks at nothing yet. `called` is how a
    /// person calls the jailwarden whose it is, in the commands that are named.
    #[must_use]
    pub fn open(state_dir: &Path, called: &str) -> Self {
        Self {
            folder: state_dir.join("history"),
            rejected: state_dir.join("rejected"),
            called: called.to_owned(),
        }
    }

    /// Keeps the config folder as it is now, and what `fail2ban-client -d` gives for it
    /// ([`Stream::text`]).
    ///
    /// Nothing is written where the newest snapshot holds the same. `fingerprint` is the folder's
    /// ([`Snapshot::fingerprint`]) for which the daemon is known to be healthy: a folder that is
    /// another by now is not kept. The oldest snapshots give way to the limits.
    ///
    /// # Errors
    /// [`HistoryError::Moved`]; else what kept it from being written, and the former ones stand.
    pub fn keep(
        &self,
        config_dir: &Path,
        fingerprint: u128,
        stream: &str,
        when: SystemTime,
    ) -> Result<Id, HistoryError> {
        let scan = walk::scan(config_dir)?;
        let _lock = self.lock()?;
        let mut kept = self.manifests()?.entries;
        let newest = kept.first();
        let number = newest.map_or(0, |it| it.manifest.number.saturating_add(1));
        let (manifest, sources) = draft(scan, fingerprint, stream, when, number);
        let json = |error| HistoryError::io("write", &self.folder, io::Error::from(error));
        let id = manifest.id().map_err(json)?;
        let text = serde_json::to_vec(&manifest).map_err(json)?;
        let blobs = self.blobs();
        if newest.is_some_and(|it| it.id == id)
            && needed(&manifest).iter().all(|digest| blobs.has(digest))
        {
            // A crash may have come before this the last time.
            self.prune(&kept)?;
            return Ok(id);
        }
        let moved = || HistoryError::Moved {
            folder: config_dir.to_owned(),
        };
        let mut batch = Batch::default();
        for (file, path) in sources.values() {
            if !blobs.has(&file.content) {
                let content = walk::content(&config_dir.join(path), file).ok_or_else(moved)?;
                blobs.put(&content, &mut batch)?;
            }
        }
        if manifest.stream.is_some() {
            blobs.put(stream.as_bytes(), &mut batch)?;
        }
        if Snapshot::take(config_dir, Limits::default()).fingerprint() != fingerprint {
            return Err(moved());
        }
        sync(&blobs.0, batch)?;
        let (snapshots, mut batch) = (self.snapshots(), Batch::default());
        let path = manifest::path(&snapshots, &id);
        blobs::write(&path, &text, &mut batch)
            .map_err(|error| HistoryError::io("write", &path, error))?;
        sync(&snapshots, batch)?;
        kept.retain(|it| it.id != id);
        let bytes = text.len() as u64;
        let newest = Kept {
            id,
            manifest,
            bytes,
        };
        kept.insert(0, newest);
        self.prune(&kept)?;
        Ok(id)
    }

    /// The snapshots, each with what changed against the one before.
    ///
    /// # Errors
    /// When the folder is there but cannot be listed.
    pub fn list(&self) -> Result<Listing<Entry>, HistoryError> {
        let Listing {
            entries: kept,
            warnings,
        } = self.manifests()?;
        let digests = |it: &Kept| Some(self.stream_of(&it.manifest).ok()??.digests());
        let digests: Vec<Option<Digests>> = kept.iter().map(digests).collect();
        let mut entries = Vec::new();
        for (at, it) in kept.iter().enumerate() {
            let digests = |at: usize| digests.get(at)?.as_ref();
            let since = kept.get(at + 1).map(|before| Since {
                files: it.manifest.tree.since(&before.manifest.tree),
                jails: digests(at).and_then(|new| Some(new.since(digests(at + 1)?))),
            });
            let jails = digests(at).map(|digests| digests.jails.keys().cloned().collect());
            entries.push(entry(it.id, &it.manifest, jails, since));
        }
        Ok(Listing { entries, warnings })
    }

    /// The snapshot whose id begins with these digits.
    ///
    /// # Errors
    /// When nothing is kept, none fits, or several do.
    pub fn find(&self, prefix: &str) -> Result<Id, HistoryError> {
        let kept = self.manifests()?.entries;
        if kept.is_empty() {
            return Err(HistoryError::NothingKept {
                folder: self.folder.clone(),
            });
        }
        let fits = kept.iter().map(|it| it.id);
        let found: Vec<Id> = fits
            .filter(|id| !prefix.is_empty() && id.to_string().starts_with(prefix))
            .collect();
        match found.as_slice() {
            [id] => Ok(*id),
            [] => Err(self.no_such(prefix)),
            _ => Err(HistoryError::Ambiguous {
                id: prefix.to_owned(),
                found,
            }),
        }
    }

    /// The command streams that are kept and can be read, the newest first.
    ///
    /// # Errors
    /// When the folder is there but cannot be listed.
    pub fn streams(&self) -> Result<impl Iterator<Item = Stream>, HistoryError> {
        let kept = self.manifests()?.entries.into_iter();
        Ok(kept.filter_map(|it| self.stream_of(&it.manifest).ok().flatten()))
    }

    /// When a snapshot was taken.
    ///
    /// # Errors
    /// When there is no such snapshot.
    pub fn when(&self, id: &Id) -> Result<SystemTime, HistoryError> {
        Ok(self.load(id)?.when)
    }

    /// The command stream kept with a snapshot; none where it was too long.
    ///
    /// # Errors
    /// When there is no such snapshot, or the stream is damaged.
    pub fn stream(&self, id: &Id) -> Result<Option<Stream>, HistoryError> {
        self.stream_of(&self.load(id)?)
    }

    /// What differs between a snapshot and the config folder as it is now.
    ///
    /// # Errors
    /// When there is no such snapshot, or the folder cannot be read.
    pub fn changes(&self, id: &Id, config_dir: &Path) -> Result<Vec<FileChange>, HistoryError> {
        let manifest = self.load(id)?;
        Ok(walk::scan(config_dir)?.tree.since(&manifest.tree))
    }

    /// The command that puts back what has this id.
    pub(super) fn restore_command(&self, id: &str) -> String {
        format!("{} restore {id}", self.called)
    }

    pub(super) fn no_such(&self, id: &str) -> HistoryError {
        HistoryError::NoSuch {
            id: id.escape_debug().to_string(),
            called: self.called.clone(),
        }
    }

    pub(super) fn blobs(&self) -> Blobs {
        Blobs(self.folder.join("contents"))
    }

    fn snapshots(&self) -> PathBuf {
        self.folder.join("snapshots")
    }

    pub(super) fn load(&self, id: &Id) -> Result<Manifest, HistoryError> {
        let path = manifest::path(&self.snapshots(), id);
        match manifest::read::<Manifest>(&path) {
            Ok((manifest, _)) if manifest.id().is_ok_and(|is| is == *id) => Ok(manifest),
            Ok(_) => Err(HistoryError::Damaged {
                path,
                why: "it is not what its name says".to_owned(),
            }),
            Err(None) => Err(self.no_such(&id.short())),
            Err(Some(warning)) => Err(HistoryError::Damaged {
                path,
                why: warning.to_string(),
            }),
        }
    }

    fn stream_of(&self, manifest: &Manifest) -> Result<Option<Stream>, HistoryError> {
        let Some(digest) = manifest.stream else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&self.blobs().get(&digest)?).into_owned();
        let stream = Stream::parse(&text).map_err(|error| HistoryError::Damaged {
            path: self.blobs().path(&digest),
            why: error.to_string(),
        })?;
        Ok(Some(stream))
    }

    /// What can be read, the newest first.
    fn manifests(&self) -> Result<Listing<Kept>, HistoryError> {
        let mut all = manifest::all(&self.snapshots())?;
        let newest_first = |it: &Kept| (Reverse(it.manifest.number), it.id);
        all.entries.sort_by_key(newest_first);
        Ok(all)
    }

    /// Drops the oldest until the limits are met, and contents that nothing needs any more.
    fn prune(&self, kept: &[Kept]) -> Result<(), HistoryError> {
        let mut used = BTreeSet::new();
        let mut bytes = 0;
        let (mut full, mut removed) = (false, false);
        for (at, it) in kept.iter().enumerate() {
            let needed = needed(&it.manifest);
            let more: u64 = needed
                .difference(&used)
                .map(|digest| fs::metadata(self.blobs().path(digest)).map_or(0, |meta| meta.len()))
                .sum();
            full |= at >= MOST_SNAPSHOTS || (at > 0 && bytes + it.bytes + more > MOST_BYTES);
            if full {
                let path = manifest::path(&self.snapshots(), &it.id);
                fs::remove_file(&path).map_err(|error| HistoryError::io("remove", &path, error))?;
                removed = true;
            } else {
                bytes += it.bytes + more;
                used.extend(needed);
            }
        }
        // In this order a crash leaves contents too many, never too few.
        if removed {
            sync(&self.snapshots(), Batch::default())?;
        }
        self.blobs().keep_only(&used)
    }

    /// Makes the folders where they are missing, and keeps every other jailwarden out.
    pub(super) fn lock(&self) -> Result<File, HistoryError> {
        for folder in [&self.folder, &self.snapshots(), &self.blobs().0] {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder);
            made.map_err(|error| HistoryError::io("make", folder, error))?;
        }
        let path = self.folder.join("lock");
        let failed = |error| HistoryError::io("lock", &path, error);
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let step = Duration::from_millis(50);
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if waited >= PATIENCE => {
                    return Err(HistoryError::Busy { path });
                }
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(step);
                    waited += step;
                }
            }
        }
    }
}

fn entry(id: Id, manifest: &Manifest, jails: Option<Vec<String>>, since: Option<Since>) -> Entry {
    let nodes = || manifest.tree.0.iter();
    let files = || nodes().filter_map(|(_, node)| node.regular());
    Entry {
        id,
        when: manifest.when,
        fingerprint: manifest.fingerprint,
        files: files().count(),
        bytes: files().map(|file| file.bytes).sum(),
        jails,
        since,
        rollbacks: manifest.rollbacks.clone(),
        not_kept: nodes()
            .filter_map(|(path, node)| match node {
                Node::NotKept { why, .. } => Some((path.clone(), *why)),
                _ => None,
            })
            .collect(),
    }
}

/// Returns when what was written to the folder lasts.
pub(super) fn sync(folder: &Path, batch: Batch) -> Result<(), HistoryError> {
    batch
        .end(folder)
        .and_then(|()| durable::sync_folder(folder))
        .map_err(|error| HistoryError::io("sync", folder, error))
}
