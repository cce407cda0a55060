//! Files that were replaced or removed, kept whole: nothing of the admin's is ever lost.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, RenameFlags};
use serde::{Deserialize, Serialize};

use super::blobs::BEING_WRITTEN;
use super::digest::Hasher;
use super::manifest::{self, VERSION};
use super::plan::Step;
use super::root::Root;
use super::store::{Listing, Store};
use super::tree::{Meta, Name, Node, Regular, Tree};
use super::walk::{Stamp, is_leftover};
use super::{Digest, HistoryError, Warning};
use crate::durable::Batch;

const MANIFEST: &str = "manifest.json";
const FILES: &str = "files";
/// An empty file that says that all was put back for which this was set aside.
const FINISHED: &str = "finished";

/// A set of files that were replaced together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its id, by which it is brought back.
    pub id: String,
    /// When they were replaced, to the second.
    pub when: SystemTime,
    /// Why.
    pub reason: String,
    /// The config folder that they were in.
    pub config_dir: PathBuf,
    /// The paths below it, of files that were not there before too.
    pub paths: Vec<PathBuf>,
    /// Where their contents are, under the same paths.
    pub files: PathBuf,
    /// Whether all was put back for which they were replaced.
    pub finished: bool,
    /// Whether the config folder itself was gone.
    pub folder: bool,
    /// The command that brings them back.
    pub undo: String,
}

/// What took the place of what is set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    Snapshot(Digest),
    Rejected(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Aside {
    version: u64,
    #[serde(with = "manifest::time")]
    when: SystemTime,
    reason: String,
    pub(super) origin: Origin,
    pub(super) config_dir: Name,
    /// The folder itself was not there.
    #[serde(default)]
    pub(super) gone: bool,
    /// What stood there; [`Node::Absent`] where nothing did.
    pub(super) tree: Tree,
}

impl Store {
    /// The sets of files that were replaced, of which none is ever dropped by itself.
    ///
    /// # Errors
    /// When the folder is there but cannot be listed.
    pub fn rejected(&self) -> Result<Listing<Rejected>, HistoryError> {
        let all = self.asides()?;
        let entries = all.entries.into_iter().rev().map(|(id, aside)| {
            let folder = self.rejected.join(&id);
            Rejected {
                when: aside.when,
                reason: aside.reason,
                config_dir: aside.config_dir.0,
                folder: aside.gone,
                paths: aside
                    .tree
                    .0
                    .into_keys()
                    .filter(|p| !is_leftover(p))
                    .collect(),
                files: folder.join(FILES),
                finished: folder.join(FINISHED).exists(),
                undo: self.restore_command(&id),
                id,
            }
        });
        Ok(Listing {
            entries: entries.collect(),
            warnings: all.warnings,
        })
    }

    pub(super) fn aside(&self, id: &str) -> Result<Aside, HistoryError> {
        if order(id).is_none() {
            return Err(self.no_such(id));
        }
        let path = self.rejected.join(id).join(MANIFEST);
        match manifest::read::<Aside>(&path) {
            Ok((aside, _)) => Ok(aside),
            Err(None) => Err(self.no_such(id)),
            Err(Some(warning)) => Err(HistoryError::Damaged {
                path,
                why: warning.to_string(),
            }),
        }
    }

    /// The content of a file that is set aside.
    pub(super) fn aside_file(&self, id: &str, path: &Path) -> PathBuf {
        self.rejected.join(id).join(FILES).join(path)
    }

    /// Says that all was put back.
    pub(super) fn finish(&self, id: &str) -> Result<(), HistoryError> {
        let path = self.rejected.join(id).join(FINISHED);
        let made = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        made.map(drop)
            .map_err(|error| HistoryError::io("write", &path, error))
    }

    /// Keeps whole what the steps replace, on disk when this returns, and gives its id.
    ///
    /// What an earlier, broken-off run for the same sake set aside is not kept twice, so that one
    /// command brings it all back.
    pub(super) fn set_aside(
        &self,
        root: &Root,
        steps: &[Step],
        origin: &Origin,
        reason: &str,
    ) -> Result<String, HistoryError> {
        if let Some((id, last)) = self.asides()?.entries.last()
            && last.origin == *origin
            && last.config_dir.0 == root.path
            && !self.rejected.join(id).join(FINISHED).exists()
            && steps.iter().all(|step| holds(&last.tree, step))
        {
            return Ok(id.clone());
        }
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        let make = |path: &Path| {
            let made = folder.create(path);
            made.map_err(|error| HistoryError::io("make", path, error))
        };
        let new = self.rejected.join(BEING_WRITTEN);
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(HistoryError::io("remove", &new, error));
            }
            _ => {}
        }
        make(&new.join(FILES))?;
        let mut batch = Batch::default();
        let mut nodes = BTreeMap::new();
        for step in steps {
            if nodes.contains_key(&step.path) {
                continue;
            }
            let node = match (&step.was, step.stamp) {
                (Node::File(_) | Node::NotKept { .. }, Some(stamp)) => {
                    let to = new.join(FILES).join(&step.path);
                    make(to.parent().unwrap_or(&new))?;
                    Node::File(copy(root, &step.path, stamp, &to, &mut batch)?)
                }
                (node, _) => node.clone(),
            };
            nodes.insert(step.path.clone(), node);
        }
        let when = SystemTime::now();
        let aside = Aside {
            version: VERSION,
            when,
            reason: reason.to_owned(),
            origin: origin.clone(),
            config_dir: Name(root.path.clone()),
            gone: root.is_new,
            tree: Tree(nodes),
        };
        let path = new.join(MANIFEST);
        serde_json::to_vec(&aside)
            .map_err(io::Error::from)
            .and_then(|text| super::blobs::write(&path, &text, &mut batch))
            .map_err(|error| HistoryError::io("write", &path, error))?;
        sync_folders(&new, &mut batch).map_err(|error| HistoryError::io("sync", &new, error))?;
        super::store::sync(&new, batch)?;
        let id = self.name(&new, when)?;
        super::store::sync(&self.rejected, Batch::default())?;
        Ok(id)
    }

    /// Gives what is complete its name, which is that of the newest: the clock may have been set back.
    fn name(&self, new: &Path, when: SystemTime) -> Result<String, HistoryError> {
        let time = humantime::format_rfc3339_seconds(when).to_string();
        let time = time.replace(['-', ':'], "");
        let newest = self.asides()?.entries.pop().and_then(|(id, _)| order(&id));
        let later = newest.filter(|(newest, _)| *newest > time);
        let (time, mut n) = later.map_or((time, 0), |(newest, n)| (newest, n.saturating_add(1)));
        loop {
            let id = format!("{time}-{n}");
            let to = self.rejected.join(&id);
            match rustix::fs::renameat_with(CWD, new, CWD, &to, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(id),
                Err(rustix::io::Errno::EXIST) => n += 1,
                Err(error) => return Err(HistoryError::io("write", &to, error)),
            }
        }
    }

    /// All that can be read, the oldest first, and what was passed over.
    fn asides(&self) -> Result<Listing<(String, Aside)>, HistoryError> {
        let folder = &self.rejected;
        let mut all = Listing::default();
        let listing = match fs::read_dir(folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            Err(error) => return Err(HistoryError::io("list", folder, error)),
        };
        for entry in listing {
            let entry = entry.map_err(|error| HistoryError::io("list", folder, error))?;
            let name = entry.file_name();
            if name == BEING_WRITTEN {
                continue;
            }
            let path = entry.path();
            let Some(id) = name.to_str().filter(|name| order(name).is_some()) else {
                all.warnings.push(Warning::Foreign { path });
                continue;
            };
            match manifest::read::<Aside>(&path.join(MANIFEST)) {
                Ok((aside, _)) => all.entries.push((id.to_owned(), aside)),
                Err(None) => all.warnings.push(Warning::Damaged {
                    path: path.join(MANIFEST),
                    why: "it is missing".to_owned(),
                }),
                Err(Some(warning)) => all.warnings.push(warning),
            }
        }
        all.entries.sort_by_cached_key(|(id, _)| order(id));
        Ok(all)
    }
}

/// By what ids are ordered; none for a name that is no id, such as `20261125T181510Z-0`.
fn order(id: &str) -> Option<(String, u32)> {
    let (time, n) = id.split_once('-')?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (day, rest) = time.split_once('T')?;
    let clock = rest.strip_suffix('Z')?;
    let fits = day.len() == 8 && clock.len() == 6 && is_digits(day) && is_digits(clock);
    let n = n.parse().ok().filter(|_| is_digits(n))?;
    fits.then(|| (time.to_owned(), n))
}

/// Whether what a step replaces is in this already.
fn holds(tree: &Tree, step: &Step) -> bool {
    match (tree.0.get(&step.path), &step.was) {
        (Some(Node::File(kept)), Node::File(now)) => {
            kept.content == now.content && kept.meta == now.meta
        }
        (Some(Node::Folder(kept)), Node::Folder(now)) => kept.same(now),
        // What stood there was taken away by the run that was broken off.
        (Some(_), Node::Absent) => true,
        (Some(kept), now) => kept == now,
        (None, _) => is_leftover(&step.path),
    }
}

/// Copies a file of the config folder, whatever its size, if it is still the one that was looked at.
fn copy(
    root: &Root,
    path: &Path,
    stamp: Stamp,
    to: &Path,
    batch: &mut Batch,
) -> Result<Regular, HistoryError> {
    let shown = root.path.join(path);
    let read = |error| HistoryError::io("read", &shown, error);
    let write = |error| HistoryError::io("write", to, error);
    let changed = || HistoryError::Changed {
        path: shown.clone(),
    };
    let mut file = root.open_file(path)?.ok_or_else(changed)?;
    let meta = file.metadata().map_err(read)?;
    let mut copy = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(write)?;
    let (mut hasher, mut bytes) = (Hasher::default(), 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hasher.add(&buffer[..n]);
                copy.write_all(&buffer[..n]).map_err(write)?;
                bytes += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read(error)),
        }
    }
    let after = file.metadata().map_err(read)?;
    if Stamp::of(&meta) != stamp || Stamp::of(&after) != stamp {
        return Err(changed());
    }
    batch.add(&copy).map_err(write)?;
    Ok(Regular {
        content: hasher.digest(),
        bytes,
        meta: Meta::of(&meta),
    })
}

/// Syncs a folder and those in it.
fn sync_folders(folder: &Path, batch: &mut Batch) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path(), batch)?;
        }
    }
    batch.add(File::open(folder)?)
}
