//! Which files concern one jail, then and now.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use super::HistoryError;
use super::store::{Id, Store};
use super::tree::Node;
use crate::durable;
use crate::fail2ban::blame::Blame;

impl Store {
    /// The files below the config folder that a jail is read from, in the snapshot or now: those
    /// with a section for it, and those of its filter and actions with what they include. Empty if
    /// neither has the jail.
    ///
    /// # Errors
    /// When there is no such snapshot, or the folder cannot be read.
    pub fn files_of(
        &self,
        id: &Id,
        config_dir: &Path,
        jail: &str,
    ) -> Result<Vec<PathBuf>, HistoryError> {
        let then = durable::private_folder("jailwarden-restore-")
            .map_err(|error| HistoryError::io("make", &std::env::temp_dir(), error))?;
        self.lay_out(id, config_dir, then.path())?;
        let mut files = BTreeSet::new();
        for dir in [then.path(), config_dir] {
            let paths = Blame::open(dir).files_of(jail);
            files.extend(paths.iter().filter_map(|path| below(dir, path)));
        }
        Ok(files.into_iter().collect())
    }

    /// Writes the files of a snapshot into a folder of ours, to be read there.
    fn lay_out(&self, id: &Id, config_dir: &Path, to: &Path) -> Result<(), HistoryError> {
        for (path, node) in &self.load(id)?.tree.0 {
            let at = to.join(path);
            let failed = |error: io::Error| HistoryError::io("write", &at, error);
            if let Some(folder) = at.parent() {
                fs::create_dir_all(folder).map_err(failed)?;
            }
            match node {
                Node::Folder(_) => fs::create_dir_all(&at).map_err(failed)?,
                // A link to a folder elsewhere: what is behind it comes with paths of its own.
                Node::Link { .. } if at.is_dir() => {}
                Node::Link {
                    target,
                    behind: None,
                } => {
                    let target = match target.0.strip_prefix(config_dir) {
                        Ok(inner) => to.join(inner),
                        Err(_) => target.0.clone(),
                    };
                    let is_folder = config_dir.join(path).is_dir() && target.is_absolute();
                    if !is_folder {
                        symlink(target, &at).map_err(failed)?;
                    }
                }
                node => {
                    if let Some(file) = node.regular() {
                        fs::write(&at, self.blobs().get(&file.content)?).map_err(failed)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A path told from the folder, with `..` taken by its name; none if it leads out.
fn below(dir: &Path, path: &Path) -> Option<PathBuf> {
    let mut inner = PathBuf::new();
    for part in path.strip_prefix(dir).ok()?.components() {
        match part {
            Component::Normal(name) => inner.push(name),
            Component::ParentDir if !inner.pop() => return None,
            _ => {}
        }
    }
    Some(inner)
}
