//! A store with a config folder of its own.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;
use crate::fail2ban::folder::{Limits, Snapshot};

mod rejected;
mod restore;
mod snapshot;

const STREAM: &str = "['set', 'syslogsocket', 'auto']\n['add', 'web', 'polling']\n\
                      ['set', 'web', 'maxretry', 5]\n['start', 'web']\n";

/// A config folder, a state folder, and a folder for what lies elsewhere.
struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
    elsewhere: PathBuf,
    state: PathBuf,
    store: Store,
}

fn place() -> Place {
    place_in(&std::env::temp_dir())
}

/// In a folder, where it is there.
fn place_in(folder: &Path) -> Place {
    let dir = tempfile::tempdir_in(folder).or_else(|_| tempfile::tempdir());
    let dir = dir.unwrap();
    let base = dir.path().canonicalize().unwrap();
    let [root, elsewhere, state] = ["fail2ban", "elsewhere", "state"].map(|name| base.join(name));
    for name in ["jail.d", "filter.d"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::create_dir(&elsewhere).unwrap();
    fs::write(root.join("jail.conf"), "[DEFAULT]\n").unwrap();
    fs::write(root.join("jail.d/web.local"), "[web]\nenabled = true\n").unwrap();
    fs::write(root.join("filter.d/web.conf"), "[Definition]\n").unwrap();
    Place {
        _dir: dir,
        store: Store::open(&state, "jailwarden --instance second"),
        root,
        elsewhere,
        state,
    }
}

impl Place {
    fn keep(&self) -> Id {
        self.keep_with(STREAM)
    }

    fn keep_with(&self, stream: &str) -> Id {
        let fingerprint = Snapshot::take(&self.root, Limits::default()).fingerprint();
        let kept = self
            .store
            .keep(&self.root, fingerprint, stream, SystemTime::now());
        kept.unwrap()
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.root.join(path), content).unwrap();
    }

    fn all(&self, id: &Id) -> Restored {
        self.store
            .put_back(id, &self.root, &Which::All, "a test")
            .unwrap()
    }

    fn files(&self, id: &Id, paths: &[&str]) -> Restored {
        let paths = paths.iter().map(PathBuf::from).collect();
        self.store
            .put_back(id, &self.root, &Which::Files(paths), "a test")
            .unwrap()
    }

    fn undo(&self, restored: &Restored) -> Restored {
        let id = &restored.replaced.as_ref().unwrap().id;
        self.store.restore_rejected(id, "undone").unwrap()
    }

    /// Everything below the config folder, as bytes can tell it.
    fn state_of_root(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        look(&self.root, &mut found);
        found
    }
}

fn look(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let what = if meta.is_symlink() {
            format!("link {}", fs::read_link(&path).unwrap().display())
        } else if meta.is_dir() {
            look(&path, found);
            format!("folder {:o} {}", meta.mode(), meta.uid())
        } else if meta.is_file() {
            let content = fs::read(&path).unwrap();
            format!(
                "file {:o} {} {} {}",
                meta.mode(),
                meta.uid(),
                meta.mtime(),
                String::from_utf8_lossy(&content)
            )
        } else {
            "special".to_owned()
        };
        found.insert(path, what);
    }
}

fn changes(changes: &[FileChange]) -> Vec<String> {
    let one = |change: &FileChange| {
        let mark = match change.kind {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
            ChangeKind::Mode => 'm',
        };
        let elsewhere = if change.elsewhere { " elsewhere" } else { "" };
        format!("{mark}{}{elsewhere}", change.path.display())
    };
    changes.iter().map(one).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder with one of each kind of change against what was kept.
fn changed_in_every_way(place: &Place) -> Id {
    place.write("jail.local", "[DEFAULT]\nbantime = 1h\n");
    place.write("gone.conf", "gone\n");
    fs::create_dir(place.root.join("gone.d")).unwrap();
    place.write("gone.d/a.conf", "a\n");
    place.write("was-file", "file\n");
    fs::create_dir(place.root.join("was-folder")).unwrap();
    place.write("was-folder/b.conf", "b\n");
    symlink("jail.conf", place.root.join("was-link")).unwrap();
    symlink("jail.conf", place.root.join("moved-link")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.conf");
    fs::write(place.root.join(name), "latin\n").unwrap();
    let id = place.keep();

    place.write("jail.local", "junk\n");
    let mode = Permissions::from_mode(0o600);
    fs::set_permissions(place.root.join("jail.conf"), mode).unwrap();
    fs::remove_file(place.root.join("gone.conf")).unwrap();
    fs::remove_dir_all(place.root.join("gone.d")).unwrap();
    fs::remove_file(place.root.join("was-file")).unwrap();
    fs::create_dir(place.root.join("was-file")).unwrap();
    place.write("was-file/c.conf", "c\n");
    fs::remove_dir_all(place.root.join("was-folder")).unwrap();
    place.write("was-folder", "file\n");
    fs::remove_file(place.root.join("was-link")).unwrap();
    place.write("was-link", "file\n");
    fs::remove_file(place.root.join("moved-link")).unwrap();
    symlink("/nowhere", place.root.join("moved-link")).unwrap();
    fs::write(place.root.join(name), "other\n").unwrap();
    fs::create_dir_all(place.root.join("new.d/deep")).unwrap();
    place.write("new.d/deep/new.local", "new\n");
    place.write(
        "jail.d/zzz-jailwarden-web.local",
        "# jailwarden rollback file 1\n",
    );
    id
}

impl Place {
    fn keep_id(&self) -> Id {
        self.store.list().unwrap().entries[0].id
    }
}
