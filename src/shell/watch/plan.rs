//! Which folders to watch, and which of their events matter.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};

use super::WatchPaths;
use crate::fail2ban::folder::{End, FolderId, Places, folder_id, is_noise, trail};

/// The config folder may have changed.
pub(super) const CONFIG: u8 = 1;
/// The socket may have come or gone.
pub(super) const SOCKET: u8 = 2;
/// Whether a pause is asked for may have changed.
pub(super) const PAUSE: u8 = 8;
/// Something watched came, went or moved, so that the plan must be made anew.
pub(super) const STALE: u8 = 4;

/// What each event path is about.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Folders in which every name matters.
    whole: HashMap<PathBuf, u8>,
    /// Single names.
    names: HashMap<PathBuf, u8>,
    /// Every watched folder itself.
    own: HashMap<PathBuf, u8>,
}

impl Filter {
    /// What a watched folder is watched for.
    pub(super) fn about(&self, folder: &Path) -> u8 {
        self.own.get(folder).copied().unwrap_or(0)
    }

    fn bits(&self, path: &Path, moved: bool) -> u8 {
        let known = self.about(path) | self.names.get(path).copied().unwrap_or(0);
        let stale = if moved && known != 0 { STALE } else { 0 };
        let inside = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if !is_noise(name) => self.whole.get(folder).copied(),
            _ => None,
        };
        known | stale | inside.unwrap_or(0)
    }
}

/// What to do about an event, as bits; 0 for one that does not matter.
pub(super) fn judge(filter: &Filter, event: &notify::Result<notify::Event>) -> u8 {
    // The kernel's queue overflowed (such an event has no paths), or could not be read.
    let Some(event) = event.as_ref().ok().filter(|event| !event.need_rescan()) else {
        return CONFIG | SOCKET | PAUSE | STALE;
    };
    let moved = match event.kind {
        // A file written through a memory map tells nothing until it is closed.
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => false,
        // Every reader, `fail2ban-client ping` too, opens and closes.
        EventKind::Access(_) => return 0,
        _ => true,
    };
    let paths = event.paths.iter();
    paths.fold(0, |bits, path| bits | filter.bits(path, moved))
}

/// What should be watched as things stand now.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The folders to watch, each inode once.
    pub(super) folders: BTreeMap<PathBuf, FolderId>,
    pub(super) filter: Filter,
    paths: HashMap<FolderId, PathBuf>,
}

impl Plan {
    /// Looks at the file system: a handful of `stat` calls a folder.
    ///
    /// The parent of something that is there is not watched: its going shows on itself, and notify
    /// would wake for every file that anybody opens in `/etc` or `/run`. The parent of what is not
    /// there is.
    pub(super) fn new(paths: &WatchPaths, places: &Places) -> Self {
        let mut plan = Self::default();
        let config = trail(&paths.config_dir);
        plan.names(&config.hops, CONFIG);
        match config.end {
            End::Found(folder) => plan.whole(&folder, CONFIG),
            End::Missing(name) => plan.name(&name, CONFIG),
            End::Lost => {}
        }
        for folder in &places.folders {
            plan.whole(folder, CONFIG);
        }
        plan.names(&places.links, CONFIG);
        for (path, about) in [(&paths.socket, SOCKET), (&paths.pause, PAUSE)] {
            let trail = trail(path);
            plan.names(&trail.hops, about);
            match trail.end {
                End::Found(name) | End::Missing(name) => plan.name(&name, about),
                End::Lost => {}
            }
        }
        plan
    }

    fn names(&mut self, paths: &[PathBuf], about: u8) {
        for path in paths {
            self.name(path, about);
        }
    }

    fn name(&mut self, path: &Path, about: u8) {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        if let Some(folder) = self.folder(folder, about) {
            *self.filter.names.entry(folder.join(name)).or_default() |= about;
        }
    }

    fn whole(&mut self, path: &Path, about: u8) {
        if let Some(folder) = self.folder(path, about) {
            *self.filter.whole.entry(folder).or_default() |= about;
        }
    }

    /// Adds a folder and gives the path by which notify will call it: one inode has one watch, even
    /// if a bind mount shows it twice.
    fn folder(&mut self, path: &Path, about: u8) -> Option<PathBuf> {
        let id = folder_id(path)?;
        let path = self.paths.entry(id).or_insert_with(|| path.to_owned());
        self.folders.insert(path.clone(), id);
        *self.filter.own.entry(path.clone()).or_default() |= about;
        Some(path.clone())
    }
}
