//! A crash after each step, and within each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::*;
use crate::fail2ban::folder::{Limits, Snapshot};

const LEFTOVER: &str = ".jailwarden-put-0.new";

struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
    store: Store,
    id: Id,
}

/// A folder of which every file and folder is another than was kept.
fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("fail2ban");
    let store = Store::open(&dir.path().join("state"), "jailwarden");
    fs::create_dir_all(root.join("jail.d")).unwrap();
    fs::create_dir_all(root.join("gone.d")).unwrap();
    let write = |path: &str, content: &str| fs::write(root.join(path), content).unwrap();
    for path in [
        "jail.conf",
        "jail.d/a.conf",
        "jail.d/b.conf",
        "gone.d/c.conf",
        "turned",
    ] {
        write(path, "good\n");
    }
    let fingerprint = Snapshot::take(&root, Limits::default()).fingerprint();
    let kept = store.keep(&root, fingerprint, "", SystemTime::UNIX_EPOCH);
    for path in ["jail.conf", "jail.d/a.conf", "jail.d/new.conf"] {
        write(path, "bad\n");
    }
    fs::remove_file(root.join("jail.d/b.conf")).unwrap();
    fs::remove_dir_all(root.join("gone.d")).unwrap();
    fs::remove_file(root.join("turned")).unwrap();
    fs::create_dir(root.join("turned")).unwrap();
    write("turned/d.conf", "bad\n");
    Place {
        _dir: dir,
        root,
        store,
        id: kept.unwrap(),
    }
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).unwrap().to_owned();
                found.insert(below, fs::read(&path).unwrap());
            }
        }
    }
    found
}

impl Place {
    /// Runs as [`Store::put_back`] does, up to a step, and gives the step that was next.
    fn crash_after(&self, count: usize) -> Option<Step> {
        let scan = walk::scan(&self.root).unwrap();
        let aim = self
            .store
            .aim(&self.id, &self.root, &Which::All, &scan)
            .unwrap();
        let plan = plan::make(&aim.wanted, &scan, &aim.scope, &self.root);
        let root = Root::open(&self.root).unwrap();
        self.store
            .set_aside(&root, &plan.steps, &aim.origin, "first")
            .unwrap();
        let (steps, rest) = plan.steps.split_at(count.min(plan.steps.len()));
        let mut batch = Batch::default();
        run(
            &root,
            steps,
            &aim.source,
            &mut Restored::default(),
            &mut batch,
        )
        .unwrap();
        rest.first().cloned()
    }

    fn again(&self) -> Restored {
        let again = self
            .store
            .put_back(&self.id, &self.root, &Which::All, "again");
        assert!(self.store.changes(&self.id, &self.root).unwrap().is_empty());
        again.unwrap()
    }

    /// Brings back all that was replaced, the last first.
    fn undo_all(&self) {
        for rejected in self.store.rejected().unwrap().entries {
            if rejected.reason != "undone" {
                self.store.restore_rejected(&rejected.id, "undone").unwrap();
            }
        }
    }
}

#[test]
fn after_a_crash_between_any_two_steps_it_is_finished_and_undone_as_one() {
    let mut count = 0;
    loop {
        let place = place();
        let before = contents(&place.root);
        let next = place.crash_after(count);
        place.again();
        let asides = place.store.rejected().unwrap().entries;
        assert_eq!(
            asides.len(),
            1,
            "after {count} steps: one set for both runs"
        );
        place.undo_all();
        assert_eq!(contents(&place.root), before, "after {count} steps");
        count += 1;
        if next.is_none() {
            break;
        }
    }
    assert!(count > 8, "{count}");
}

#[test]
fn after_a_crash_within_any_step_nothing_is_lost() {
    for within in [
        "the new file is half written",
        "the two have changed places",
    ] {
        for count in 0.. {
            let place = place();
            let before = contents(&place.root);
            let Some(next) = place.crash_after(count) else {
                break;
            };
            let path = place.root.join(&next.path);
            let left = path.with_file_name(LEFTOVER);
            let is_file = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
            match next.act {
                _ if !left.parent().unwrap().is_dir() => continue,
                _ if within.contains("half") => fs::write(&left, "go").unwrap(),
                Act::Put(_) if is_file => {
                    fs::rename(&path, &left).unwrap();
                    fs::write(&path, "good\n").unwrap();
                }
                Act::Remove => fs::rename(&path, &left).unwrap(),
                _ => continue,
            }
            place.again();
            assert!(!left.exists(), "{within}: {next:?}");
            place.undo_all();
            assert_eq!(contents(&place.root), before, "{within}: {next:?}");
        }
    }
}

#[test]
fn a_file_that_changes_at_the_last_moment_keeps_its_content() {
    let place = place();
    let scan = walk::scan(&place.root).unwrap();
    let aim = place
        .store
        .aim(&place.id, &place.root, &Which::All, &scan)
        .unwrap();
    let plan = plan::make(&aim.wanted, &scan, &aim.scope, &place.root);
    let root = Root::open(&place.root).unwrap();
    place
        .store
        .set_aside(&root, &plan.steps, &aim.origin, "first")
        .unwrap();
    for path in ["jail.conf", "jail.d/new.conf", "jail.d/b.conf"] {
        fs::write(place.root.join(path), "saved just now\n").unwrap();
        let step = plan.steps.iter().find(|step| step.path == Path::new(path));
        let ran = run(
            &root,
            std::slice::from_ref(step.unwrap()),
            &aim.source,
            &mut Restored::default(),
            &mut Batch::default(),
        );
        assert!(
            matches!(ran, Err(HistoryError::Changed { .. })),
            "{path}: {ran:?}"
        );
        let content = fs::read_to_string(place.root.join(path)).unwrap();
        assert_eq!(content, "saved just now\n", "{path}");
        let folder = place.root.join(path).with_file_name(LEFTOVER);
        assert!(!folder.exists(), "{path}");
    }
    // What changed before it was set aside is not set aside either.
    let aside = place
        .store
        .set_aside(&root, &plan.steps, &Origin::Rejected(String::new()), "");
    assert!(
        matches!(aside, Err(HistoryError::Changed { .. })),
        "{aside:?}"
    );
}
