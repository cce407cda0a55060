//! Putting files back, and bringing back what that replaced.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};

use super::digest::Hasher;
use super::plan::{self, Act, Done, Left, Plan, Step, WhyLeft};
use super::rejected::Origin;
use super::root::Root;
use super::store::{Id, Store};
use super::tree::{Meta, Node, Regular, Tree, is_below};
use super::walk::{self, Scan, is_leftover};
use super::{Digest, HistoryError};
use crate::durable::{self, Batch};

/// Which files of a snapshot are to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All, so that the folder is what it was: what came later goes.
    All,
    /// These, below the config folder or told from it. One that came later goes.
    Files(Vec<PathBuf>),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// In the order in which it was done.
    pub done: Vec<Done>,
    /// What differs and was left as it is.
    pub left: Vec<Left>,
    /// What that replaced; none where there was nothing to do.
    pub replaced: Option<Replaced>,
}

/// Where replaced files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The id for [`Store::restore_rejected`].
    pub id: String,
    /// Their folder, under the same paths as in the config folder.
    pub files: PathBuf,
    /// The command that brings them back.
    pub undo: String,
    /// The config folder itself was gone, and was made again.
    pub folder: bool,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.done.is_empty() {
            return f.write_str("no file was put back before that");
        }
        let paths: Vec<_> = self.done.iter().map(|done| done.path.display()).collect();
        let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
        write!(f, "done before that: {}", paths.join(", "))?;
        if let Some(replaced) = &self.replaced {
            write!(f, "; `{}` brings back what stood there", replaced.undo)?;
        }
        Ok(())
    }
}

/// What putting back would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Each thing, with the file that holds the content where one is put back.
    pub would: Vec<(Done, Option<PathBuf>)>,
    /// What differs and would be left as it is.
    pub left: Vec<Left>,
}

/// Where contents come from.
enum Source<'a> {
    Snapshot(&'a Store),
    Rejected(&'a Store, &'a str),
}

impl Source<'_> {
    fn path(&self, step: &Step, file: &Regular) -> PathBuf {
        match self {
            Self::Snapshot(store) => store.blobs().path(&file.content),
            Self::Rejected(store, id) => store.aside_file(id, &step.path),
        }
    }
}

/// What a folder is to hold, and where.
struct Aim<'a> {
    wanted: Tree,
    scope: BTreeSet<PathBuf>,
    source: Source<'a>,
    origin: Origin,
    /// The folder's own owner and mode, where they are known.
    root: Option<Meta>,
    /// There was no folder, and none is to be there once it is empty.
    gone: bool,
}

impl Store {
    /// Puts files of a snapshot back into the config folder, with owner, mode and time.
    ///
    /// What is replaced or removed is kept first, whole and on disk ([`Store::rejected`]). Each file
    /// is then put back whole, beside which the former one stands until it gives way; run again after
    /// a crash, this finishes the job. No link below the folder is followed: see [`What`] and
    /// [`WhyLeft`] for what becomes of those. Our rollback files are not touched. Where the folder is gone as
    /// a whole, it is made again.
    ///
    /// [`What`]: super::What
    ///
    /// # Errors
    /// Nothing was touched, except with [`HistoryError::Halted`], which says what was done.
    pub fn put_back(
        &self,
        id: &Id,
        config_dir: &Path,
        which: &Which,
        reason: &str,
    ) -> Result<Restored, HistoryError> {
        let _lock = self.lock()?;
        let scan = walk::scan_or_gone(config_dir)?;
        let aim = self.aim(id, config_dir, which, &scan)?;
        self.reach(&aim, &scan, config_dir, reason)
    }

    /// What [`Store::put_back`] would do now.
    ///
    /// # Errors
    /// As there.
    pub fn preview(
        &self,
        id: &Id,
        config_dir: &Path,
        which: &Which,
    ) -> Result<Preview, HistoryError> {
        let scan = walk::scan_or_gone(config_dir)?;
        let aim = self.aim(id, config_dir, which, &scan)?;
        Ok(foresee(&aim, &scan, config_dir))
    }

    /// Brings back what a put-back replaced: the undo of it. What stands there now is kept in turn.
    ///
    /// # Errors
    /// As [`Store::put_back`].
    pub fn restore_rejected(&self, id: &str, reason: &str) -> Result<Restored, HistoryError> {
        let _lock = self.lock()?;
        let (aim, config_dir) = self.aim_back(id)?;
        let scan = walk::scan_or_gone(&config_dir)?;
        self.reach(&aim, &scan, &config_dir, reason)
    }

    /// As [`Store::restore_rejected`], for a put-back that nobody wants any more: what somebody has
    /// changed since stays as it is. Gives those paths too.
    ///
    /// # Errors
    /// As [`Store::put_back`].
    pub fn take_back(
        &self,
        id: &str,
        reason: &str,
    ) -> Result<(Restored, BTreeSet<PathBuf>), HistoryError> {
        let _lock = self.lock()?;
        let (mut aim, config_dir) = self.aim_back(id)?;
        let scan = walk::scan_or_gone(&config_dir)?;
        let mut changed = BTreeSet::new();
        if let Origin::Snapshot(put) = self.aside(id)?.origin {
            let put = self.load(&put)?.tree;
            let scope = std::mem::take(&mut aim.scope);
            let (as_put, others) = scope.into_iter().partition(|path| {
                let [now, put] = [&scan.tree, &put].map(|tree| tree.0.get(path));
                is_same(now, put)
            });
            (aim.scope, changed) = (as_put, others);
            changed.retain(|path| !is_same(scan.tree.0.get(path), aim.wanted.0.get(path)));
        }
        let restored = self.reach(&aim, &scan, &config_dir, reason)?;
        Ok((restored, changed))
    }

    /// What [`Store::restore_rejected`] would do now, and in which config folder.
    ///
    /// # Errors
    /// As there.
    pub fn preview_rejected(&self, id: &str) -> Result<(Preview, PathBuf), HistoryError> {
        let (aim, config_dir) = self.aim_back(id)?;
        let scan = walk::scan_or_gone(&config_dir)?;
        Ok((foresee(&aim, &scan, &config_dir), config_dir))
    }

    fn aim(
        &self,
        id: &Id,
        config_dir: &Path,
        which: &Which,
        scan: &Scan,
    ) -> Result<Aim<'_>, HistoryError> {
        let manifest = self.load(id)?;
        let mut asked = BTreeSet::new();
        match which {
            Which::All => {
                asked.extend(manifest.tree.0.keys().cloned());
                // What was there beyond the limits is not known to have come later.
                if !manifest.truncated {
                    asked.extend(scan.tree.0.keys().cloned());
                }
            }
            Which::Files(paths) => {
                for path in paths {
                    let inner = path.strip_prefix(config_dir).unwrap_or(path);
                    if !is_below(inner) {
                        let path = path.clone();
                        return Err(HistoryError::NotInside { path });
                    }
                    asked.insert(inner.to_owned());
                    let nodes = manifest.tree.0.keys().chain(scan.tree.0.keys());
                    asked.extend(nodes.filter(|it| it.starts_with(inner)).cloned());
                }
            }
        }
        Ok(Aim {
            scope: plan::scope(&asked, &manifest.tree, &scan.tree),
            wanted: manifest.tree,
            source: Source::Snapshot(self),
            origin: Origin::Snapshot(*id),
            root: manifest.root,
            gone: false,
        })
    }

    fn aim_back<'a>(&'a self, id: &'a str) -> Result<(Aim<'a>, PathBuf), HistoryError> {
        let aside = self.aside(id)?;
        let mut wanted = aside.tree;
        wanted.0.retain(|path, _| !is_leftover(path));
        let aim = Aim {
            scope: wanted.0.keys().cloned().collect(),
            wanted,
            source: Source::Rejected(self, id),
            origin: Origin::Rejected(id.to_owned()),
            root: None,
            gone: aside.gone,
        };
        Ok((aim, aside.config_dir.0))
    }

    fn reach(
        &self,
        aim: &Aim<'_>,
        scan: &Scan,
        config_dir: &Path,
        reason: &str,
    ) -> Result<Restored, HistoryError> {
        let Plan { steps, left } = plan::make(&aim.wanted, scan, &aim.scope, config_dir);
        let mut restored = Restored {
            left,
            ..Restored::default()
        };
        if steps.is_empty() {
            return Ok(restored);
        }
        for step in &steps {
            // Nothing is begun that cannot be finished.
            if let Some(file) = step.puts() {
                pour(&aim.source.path(step, file), file, &mut io::sink())?;
            }
        }
        let root = match &scan.root {
            Some(_) => Root::open(config_dir)?,
            None => Root::make(config_dir, aim.root.as_ref())?,
        };
        let id = self.set_aside(&root, &steps, &aim.origin, reason)?;
        restored.replaced = Some(Replaced {
            files: self.aside_file(&id, Path::new("")),
            undo: self.restore_command(&id),
            id: id.clone(),
            folder: root.is_new,
        });
        let mut batch = Batch::default();
        let ran = run(&root, &steps, &aim.source, &mut restored, &mut batch);
        let synced = batch.end(&root.path);
        let synced = synced.map_err(|error| HistoryError::io("sync", &root.path, error));
        if aim.gone {
            // It stays where anything is left in it.
            let _ = fs::remove_dir(&root.path);
        }
        match ran.and(synced).and_then(|()| self.finish(&id)) {
            Ok(()) => Ok(restored),
            Err(cause) => Err(HistoryError::Halted {
                cause: Box::new(cause),
                done: Box::new(restored),
            }),
        }
    }
}

fn run(
    root: &Root,
    steps: &[Step],
    source: &Source<'_>,
    restored: &mut Restored,
    batch: &mut Batch,
) -> Result<(), HistoryError> {
    let mut ahead = steps;
    while let [step, rest @ ..] = ahead {
        let files = ahead.iter().take_while(|step| step.puts().is_some());
        let (files, others) = ahead.split_at(files.count());
        if !files.is_empty() {
            let content = |step: &Step, to: &mut File| match step.puts() {
                Some(file) => pour(&source.path(step, file), file, to),
                None => Ok(()),
            };
            let done = |step: &Step| restored.done.push(step.done());
            root.put(files, content, done, batch)?;
            ahead = others;
            continue;
        }
        match root.run(step, batch) {
            Ok(()) if is_leftover(&step.path) => {}
            Ok(()) => restored.done.push(step.done()),
            Err(HistoryError::Io { source, .. })
                if step.act == Act::RemoveFolder
                    && source.kind() == io::ErrorKind::DirectoryNotEmpty =>
            {
                restored.left.push(Left {
                    path: step.path.clone(),
                    why: WhyLeft::NotEmpty,
                });
            }
            Err(error) => return Err(error),
        }
        ahead = rest;
    }
    Ok(())
}

fn foresee(aim: &Aim<'_>, scan: &Scan, config_dir: &Path) -> Preview {
    let Plan { steps, left } = plan::make(&aim.wanted, scan, &aim.scope, config_dir);
    let shown = steps.iter().filter(|step| !is_leftover(&step.path));
    let would = shown.map(|step| {
        let content = step.puts().map(|file| aim.source.path(step, file));
        (step.done(), content)
    });
    Preview {
        would: would.collect(),
        left,
    }
}

/// Whether what stands there is what was put there, a file in place of a link among it.
fn is_same(now: Option<&Node>, put: Option<&Node>) -> bool {
    match (now.unwrap_or(&Node::Absent), put.unwrap_or(&Node::Absent)) {
        (Node::Absent, Node::Absent) | (Node::Folder(_), Node::Folder(_)) => true,
        (
            Node::File(now),
            Node::File(put)
            | Node::Link {
                behind: Some(put), ..
            },
        ) => now.content == put.content,
        (Node::Link { target: now, .. }, Node::Link { target: put, .. }) => now == put,
        _ => false,
    }
}

/// Copies a kept content, which must be what it was.
fn pour(path: &Path, wanted: &Regular, to: &mut impl io::Write) -> Result<(), HistoryError> {
    let damaged = |why: &str| HistoryError::Damaged {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let read = |error| HistoryError::io("read", path, error);
    let mut from = match durable::open_regular(CWD, path, OFlags::NOFOLLOW) {
        Ok(Some(file)) => file,
        Ok(None) => return Err(damaged("it is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged("this kept content is missing"));
        }
        Err(error) => return Err(read(error)),
    };
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hasher.add(&buffer[..n]);
                to.write_all(&buffer[..n])
                    .map_err(|error| HistoryError::io("copy", path, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read(error)),
        }
    }
    let is: Digest = hasher.digest();
    if is == wanted.content {
        Ok(())
    } else {
        Err(damaged("this kept content is damaged"))
    }
}

#[cfg(test)]
mod tests;
