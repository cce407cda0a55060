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

#[test]
fn the_same_is_kept_once_and_what_changed_is_listed() {
    let place = place();
    assert!(place.store.list().unwrap().entries.is_empty());
    let missing = place.store.find("ab").unwrap_err();
    assert!(matches!(missing, HistoryError::NothingKept { .. }));

    let first = place.keep();
    File::open(place.root.join("jail.conf"))
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(9))
        .unwrap();
    assert_eq!(place.keep(), first, "a touch is no change");
    place.write("jail.d/web.local", "[web]\nenabled = false\n");
    place.write("jail.d/mail.local", "[mail]\n");
    fs::remove_file(place.root.join("filter.d/web.conf")).unwrap();
    let stream = "['add', 'mail', 'polling']\n['start', 'mail']\n";
    let second = place.keep_with(stream);
    assert_ne!(first, second);

    let listed = place.store.list().unwrap();
    assert_eq!(listed.warnings, []);
    let [newest, oldest] = listed.entries.as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!((newest.id, oldest.id), (second, first));
    assert_eq!((newest.files, oldest.files), (3, 3));
    assert_eq!(newest.jails.as_deref(), Some(&["mail".to_owned()][..]));
    let since = newest.since.as_ref().unwrap();
    let expected = [
        "-filter.d/web.conf",
        "+jail.d/mail.local",
        "~jail.d/web.local",
    ];
    assert_eq!(changes(&since.files), expected);
    let jails = since.jails.as_ref().unwrap();
    assert_eq!(
        (&jails.added[..], &jails.removed[..]),
        (&["mail".into()][..], &["web".into()][..])
    );
    assert!(jails.server);
    assert_eq!(oldest.since, None);

    assert_eq!(place.store.find(&second.short()).unwrap(), second);
    let both = place.store.find("").unwrap_err();
    assert!(matches!(both, HistoryError::NoSuch { .. }), "{both}");
    let stream = place.store.stream(&first).unwrap().unwrap();
    assert_eq!(stream.text(), STREAM);
    let streams: Vec<_> = place.store.streams().unwrap().collect();
    assert_eq!(streams.len(), 2);
    assert_eq!(streams[1], stream);
    assert_eq!(
        changes(&place.store.changes(&second, &place.root).unwrap()),
        [""; 0]
    );
}

#[test]
fn a_state_that_comes_back_is_the_newest_again() {
    let place = place();
    let first = place.keep();
    place.write("jail.conf", "other\n");
    let second = place.keep();
    place.write("jail.conf", "[DEFAULT]\n");
    assert_eq!(place.keep(), first);
    let ids: Vec<_> = place
        .store
        .list()
        .unwrap()
        .entries
        .iter()
        .map(|e| e.id)
        .collect();
    assert_eq!(ids, [first, second]);
}

#[test]
fn a_folder_that_changed_meanwhile_is_not_kept() {
    let place = place();
    let kept = place.store.keep(&place.root, 1, STREAM, SystemTime::now());
    assert!(matches!(kept, Err(HistoryError::Moved { .. })), "{kept:?}");
    assert!(place.store.list().unwrap().entries.is_empty());
}

#[test]
fn everything_is_for_root_alone() {
    let place = place();
    let id = place.keep();
    place.write("jail.conf", "changed\n");
    place.all(&id);
    let mut found = BTreeMap::new();
    look(&place.state, &mut found);
    assert!(found.len() > 8, "{found:?}");
    for path in found.keys() {
        let meta = fs::metadata(path).unwrap();
        let expected = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(meta.mode() & 0o7777, expected, "{}", path.display());
    }
}

#[test]
fn the_oldest_give_way() {
    let place = place();
    let mut ids = Vec::new();
    for n in 0..store::MOST_SNAPSHOTS + 3 {
        place.write("jail.conf", &format!("# {n}\n"));
        ids.push(place.keep());
    }
    let listed = place.store.list().unwrap().entries;
    let newest: Vec<_> = ids
        .iter()
        .rev()
        .take(store::MOST_SNAPSHOTS)
        .copied()
        .collect();
    assert_eq!(
        listed.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        newest
    );
    let contents = fs::read_dir(place.store.blobs().0).unwrap().count();
    assert_eq!(
        contents,
        store::MOST_SNAPSHOTS + 3,
        "one each, two shared, the stream"
    );

    // Three of these are more than there is room for.
    for n in 0..3 {
        let name = |k| format!("filter.d/{n}{k}.conf");
        for k in 0..3 {
            let byte = u8::try_from(65 + n * 3 + k).unwrap();
            place.write(&name(k), &String::from_utf8(vec![byte; 1 << 20]).unwrap());
        }
        place.keep();
        (0..3).for_each(|k| fs::remove_file(place.root.join(name(k))).unwrap());
    }
    let listed = place.store.list().unwrap().entries;
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.iter().map(|entry| entry.bytes).sum::<u64>() <= store::MOST_BYTES);
}

#[test]
fn what_is_not_kept_is_named_and_never_touched() {
    let place = place();
    let large = "x".repeat(1 << 20);
    for n in 0..4 {
        place.write(&format!("notes{n}"), &format!("{large}{n}")[..1 << 20]);
    }
    for n in 0..4 {
        let text = format!("{n}{large}");
        place.write(&format!("jail.d/{n}.conf"), &text[..1 << 20]);
    }
    place.write("huge.conf", &format!("{large}y"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.root.join("fifo.conf"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(place.root.join("socket.local")).unwrap();
    let id = place.keep();
    let listed = place.store.list().unwrap().entries;
    let not_kept: Vec<_> = listed[0]
        .not_kept
        .iter()
        .map(|(path, why)| (path.to_str().unwrap(), *why))
        .collect();
    let expected = [
        ("fifo.conf", NotKept::Special),
        ("huge.conf", NotKept::TooLarge),
        ("jail.d/3.conf", NotKept::NoRoom),
        ("notes0", NotKept::NoRoom),
        ("notes1", NotKept::NoRoom),
        ("notes2", NotKept::NoRoom),
        ("notes3", NotKept::NoRoom),
        ("socket.local", NotKept::Special),
    ];
    assert_eq!(not_kept, expected);
    assert!(place.store.changes(&id, &place.root).unwrap().is_empty());
    let before = place.state_of_root();
    assert_eq!(place.all(&id), Restored::default());
    assert_eq!(place.state_of_root(), before);

    place.write("huge.conf", "small\n");
    place.write("jail.d/3.conf", "small\n");
    let restored = place.all(&id);
    assert_eq!(restored.done, []);
    let left: Vec<_> = restored
        .left
        .iter()
        .map(|left| left.path.display().to_string())
        .collect();
    assert_eq!(left, ["huge.conf", "jail.d/3.conf"]);
}

#[test]
fn a_special_file_in_the_place_of_one_is_left_and_not_opened() {
    let place = place();
    let id = place.keep();
    let path = place.root.join("jail.d/web.local");
    fs::remove_file(&path).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let restored = place.all(&id);
    assert_eq!(restored.done, []);
    assert_eq!(restored.left[0].why, WhyLeft::Special);
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

#[test]
fn every_kind_of_change_is_put_back_and_undone() {
    let place = place();
    let id = changed_in_every_way(&place);
    let broken = place.state_of_root();
    let restored = place.all(&id);
    assert_eq!(restored.left, []);
    let still = place.store.changes(&id, &place.root).unwrap();
    assert_eq!(changes(&still), [""; 0]);
    let rollback = place.root.join("jail.d/zzz-jailwarden-web.local");
    assert!(rollback.exists(), "a rollback is no part of it");

    let whole = place.state_of_root();
    let replaced = restored.replaced.as_ref().unwrap();
    let kept = fs::read_to_string(replaced.files.join("new.d/deep/new.local")).unwrap();
    assert_eq!(kept, "new\n");
    let undone = place.undo(&restored);
    assert_eq!(place.state_of_root(), broken);
    place.undo(&undone);
    assert_eq!(place.state_of_root(), whole);

    let listed = place.store.rejected().unwrap();
    assert_eq!(listed.warnings, []);
    let reasons: Vec<_> = listed.entries.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(reasons, ["undone", "undone", "a test"]);
    assert!(listed.entries.iter().all(|it| it.finished));
}

#[test]
fn what_is_replaced_after_the_clock_was_set_back_is_the_newest() {
    let place = place();
    let id = place.keep();
    place.write("jail.conf", "bad\n");
    let first = place.all(&id).replaced.unwrap();
    let rejected = place.state.join("rejected");
    let of_tomorrow = rejected.join("20991231T235959Z-4");
    fs::rename(rejected.join(&first.id), of_tomorrow).unwrap();
    for n in [5, 6] {
        place.write("jail.conf", "bad again\n");
        let second = place.all(&id).replaced.unwrap();
        assert_eq!(second.id, format!("20991231T235959Z-{n}"));
        let listed = place.store.rejected().unwrap().entries;
        assert_eq!(listed[0].id, second.id);
    }
}

#[test]
fn a_folder_that_is_gone_as_a_whole_is_made_again_and_its_undo_takes_it_away() {
    let place = place();
    fs::set_permissions(&place.root, Permissions::from_mode(0o750)).unwrap();
    let id = place.keep();
    let whole = place.state_of_root();
    let away = place.elsewhere.join("fail2ban");
    fs::rename(&place.root, &away).unwrap();

    let restored = place.all(&id);
    assert_eq!(restored.left, []);
    assert!(restored.replaced.as_ref().unwrap().folder);
    assert_eq!(place.state_of_root(), whole);
    assert_eq!(fs::metadata(&place.root).unwrap().mode() & 0o7777, 0o750);
    let listed = place.store.rejected().unwrap().entries;
    assert!(listed[0].folder && listed[0].finished, "{listed:?}");

    // The way is free for the one that was moved away.
    place.undo(&restored);
    assert!(!place.root.exists());
    fs::rename(&away, &place.root).unwrap();
    assert_eq!(place.state_of_root(), whole);

    // What somebody has put there since stays.
    fs::rename(&place.root, &away).unwrap();
    let restored = place.all(&id);
    fs::create_dir(place.root.join("mine")).unwrap();
    fs::write(place.root.join("mine/x"), "mine\n").unwrap();
    place.undo(&restored);
    let left: Vec<_> = place.state_of_root().into_keys().collect();
    assert_eq!(left, [place.root.join("mine"), place.root.join("mine/x")]);
}

#[test]
fn a_link_in_the_place_of_the_folder_that_leads_nowhere_is_left_alone() {
    let place = place();
    let id = place.keep();
    let away = place.elsewhere.join("fail2ban");
    fs::rename(&place.root, &away).unwrap();
    symlink(place.elsewhere.join("not-mounted"), &place.root).unwrap();
    let refused = place
        .store
        .put_back(&id, &place.root, &Which::All, "a test");
    assert!(
        matches!(refused, Err(HistoryError::Io { .. })),
        "{refused:?}"
    );
    assert!(place.root.is_symlink() && !place.root.exists());
}

#[test]
fn only_the_files_that_were_asked_for_are_put_back() {
    let place = place();
    let id = changed_in_every_way(&place);
    let restored = place.files(&id, &["jail.local", "gone.d/a.conf", "new.d"]);
    let done: Vec<_> = restored
        .done
        .iter()
        .map(|done| done.path.display().to_string())
        .collect();
    let expected = [
        "gone.d",
        "gone.d/a.conf",
        "jail.local",
        "new.d/deep/new.local",
        "new.d/deep",
        "new.d",
    ];
    assert_eq!(done, expected);
    let absolute = place.root.join("was-folder/b.conf");
    let restored = place.files(&id, &[absolute.to_str().unwrap()]);
    assert_eq!(restored.done.len(), 3, "{restored:?}");
    let outside = Which::Files(vec!["../elsewhere/x".into()]);
    let refused = place.store.put_back(&id, &place.root, &outside, "");
    assert!(
        matches!(refused, Err(HistoryError::NotInside { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_link_into_a_checkout_is_never_written_through() {
    let place = place();
    let Place {
        root, elsewhere, ..
    } = &place;
    let outside = elsewhere.join("jail.local");
    fs::write(&outside, "good\n").unwrap();
    symlink(&outside, root.join("jail.local")).unwrap();
    fs::create_dir(elsewhere.join("action.d")).unwrap();
    fs::write(elsewhere.join("action.d/x.conf"), "good\n").unwrap();
    symlink("../elsewhere/action.d", root.join("action.d")).unwrap();
    let id = place.keep();
    let before = place.state_of_root();
    fs::write(&outside, "bad\n").unwrap();
    fs::write(elsewhere.join("action.d/x.conf"), "bad\n").unwrap();
    fs::write(elsewhere.join("action.d/y.conf"), "new\n").unwrap();
    let expected = [
        "~action.d/x.conf elsewhere",
        "+action.d/y.conf elsewhere",
        "~jail.local",
    ];
    assert_eq!(changes(&place.store.changes(&id, root).unwrap()), expected);

    let restored = place.all(&id);
    let done = Done {
        path: "jail.local".into(),
        what: What::FileForLink(outside.clone()),
    };
    assert_eq!(restored.done, [done]);
    let left: Vec<_> = restored
        .left
        .iter()
        .map(|it| (it.path.clone(), it.why))
        .collect();
    let expected = ["action.d/x.conf", "action.d/y.conf"]
        .map(|path| (PathBuf::from(path), WhyLeft::Elsewhere));
    assert_eq!(left, expected);
    assert_eq!(
        fs::read_to_string(root.join("jail.local")).unwrap(),
        "good\n"
    );
    assert!(
        !fs::symlink_metadata(root.join("jail.local"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read_to_string(&outside).unwrap(), "bad\n");
    assert!(place.all(&id).done.is_empty(), "it stays so");

    place.undo(&restored);
    assert_eq!(fs::read_link(root.join("jail.local")).unwrap(), outside);
    // Once the checkout is mended, the link is enough.
    fs::remove_file(root.join("jail.local")).unwrap();
    fs::write(&outside, "good\n").unwrap();
    place.all(&id);
    assert_eq!(place.state_of_root(), before);
}

#[test]
fn a_link_planted_in_the_way_is_not_followed() {
    let place = place();
    let id = place.keep();
    let victim = place.elsewhere.join("web.local");
    fs::write(&victim, "victim\n").unwrap();
    fs::rename(place.root.join("jail.d"), place.root.join("old.d")).unwrap();
    symlink(&place.elsewhere, place.root.join("jail.d")).unwrap();
    let restored = place.files(&id, &["jail.d/web.local"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "victim\n");
    let folder = fs::symlink_metadata(place.root.join("jail.d")).unwrap();
    assert!(folder.is_dir(), "{restored:?}");
    let text = fs::read_to_string(place.root.join("jail.d/web.local")).unwrap();
    assert_eq!(text, "[web]\nenabled = true\n");
    place.undo(&restored);
    let link = fs::read_link(place.root.join("jail.d")).unwrap();
    assert_eq!(link, place.elsewhere);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "victim\n");
}

#[test]
fn owners_and_special_bits_come_back() {
    if !is_root() {
        return;
    }
    let place = place();
    let path = place.root.join("jail.d/web.local");
    std::os::unix::fs::chown(&path, Some(12), Some(34)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o2640)).unwrap();
    std::os::unix::fs::chown(place.root.join("jail.d"), Some(56), None).unwrap();
    let id = place.keep();
    let before = place.state_of_root();
    std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
    let listed = place.store.changes(&id, &place.root).unwrap();
    assert_eq!(changes(&listed), ["mjail.d/web.local"]);
    place.all(&id);
    assert_eq!(place.state_of_root(), before);
    fs::remove_dir_all(place.root.join("jail.d")).unwrap();
    place.all(&id);
    assert_eq!(place.state_of_root(), before);
}

#[test]
fn a_content_that_is_damaged_stops_it_before_anything_is_touched() {
    let place = place();
    let id = place.keep();
    let content = place.store.blobs().path(&Digest::of(b"[DEFAULT]\n"));
    place.write("jail.conf", "bad\n");
    place.write("jail.d/web.local", "bad\n");
    for damage in [Some("other"), None] {
        match damage {
            Some(text) => fs::write(&content, text).unwrap(),
            None => fs::remove_file(&content).unwrap(),
        }
        let before = place.state_of_root();
        let refused = place.store.put_back(&id, &place.root, &Which::All, "");
        assert!(
            matches!(refused, Err(HistoryError::Damaged { .. })),
            "{refused:?}"
        );
        assert_eq!(place.state_of_root(), before);
        assert!(place.store.rejected().unwrap().entries.is_empty());
    }
    place.write("jail.conf", "[DEFAULT]\n");
    place.write("jail.d/web.local", "[web]\nenabled = true\n");
    assert_eq!(place.keep(), id, "what was lost is kept again");
    place.write("jail.conf", "bad\n");
    place.all(&id);
}

#[test]
fn what_is_not_ours_in_the_store_is_passed_over() {
    let place = place();
    let id = place.keep();
    let snapshots = place.state.join("history/snapshots");
    let text = fs::read_to_string(snapshots.join(format!("{id}.json"))).unwrap();
    let named = |byte: &str| snapshots.join(format!("{}.json", byte.repeat(32)));
    fs::write(named("00"), "{").unwrap();
    fs::write(named("01"), "{\"version\":2,\"more\":[]}").unwrap();
    fs::write(named("02"), &text).unwrap();
    fs::write(
        named("03"),
        text.replace("\"jail.conf\"", "\"../jail.conf\""),
    )
    .unwrap();
    fs::create_dir(named("04")).unwrap();
    symlink(snapshots.join(format!("{id}.json")), named("05")).unwrap();
    fs::write(snapshots.join("notes"), "").unwrap();
    fs::write(snapshots.join(".new"), &text[..text.len() / 2]).unwrap();
    let rejected = place.state.join("rejected");
    fs::create_dir_all(rejected.join("20261125T181510Z-0")).unwrap();
    fs::create_dir_all(rejected.join(".new/files")).unwrap();
    fs::create_dir_all(rejected.join("other")).unwrap();

    let listed = place.store.list().unwrap();
    assert_eq!(listed.entries.len(), 1);
    let mut kinds: Vec<_> = listed
        .warnings
        .iter()
        .map(|warning| match warning {
            Warning::Foreign { .. } => 'f',
            Warning::Version { version: 2, .. } => 'v',
            Warning::Version { .. } => '?',
            Warning::Damaged { .. } => 'd',
        })
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ['d', 'd', 'd', 'd', 'd', 'f', 'v']);
    assert_eq!(place.store.rejected().unwrap().warnings.len(), 2);
    place.write("jail.conf", "changed\n");
    place.keep();
    place.all(&id);
    assert_eq!(place.store.list().unwrap().entries.len(), 2);
    assert!(named("00").exists() && snapshots.join("notes").exists());
}

#[test]
fn a_crash_while_keeping_leaves_the_store_as_it_was() {
    let place = place();
    let first = place.keep();
    place.write("jail.conf", "second\n");
    let contents = place.store.blobs();
    // A content without its bytes, one without a snapshot, and files that were being written.
    fs::write(contents.path(&Digest::of(b"second\n")), "").unwrap();
    fs::write(
        contents.path(&Digest::of(b"nothing needs this")),
        "nothing needs this",
    )
    .unwrap();
    fs::write(contents.0.join(".new"), "sec").unwrap();
    let being_written = place.state.join("history/snapshots/.new");
    fs::write(&being_written, "{\"version\":1").unwrap();
    assert_eq!(place.store.list().unwrap().entries[0].id, first);
    let second = place.keep();
    assert_eq!(contents.get(&Digest::of(b"second\n")).unwrap(), b"second\n");
    assert!(!contents.has(&Digest::of(b"nothing needs this")));
    assert!(!contents.0.join(".new").exists() && !being_written.exists());
    let ids: Vec<_> = place
        .store
        .list()
        .unwrap()
        .entries
        .iter()
        .map(|e| e.id)
        .collect();
    assert_eq!(ids, [second, first]);
}

#[test]
fn a_crash_before_the_oldest_is_dropped_is_made_up_for() {
    let place = place();
    for n in 0..store::MOST_SNAPSHOTS {
        place.write("jail.conf", &format!("# {n}\n"));
        place.keep();
    }
    let oldest = place.store.list().unwrap().entries.pop().unwrap().id;
    let path = place.state.join(format!("history/snapshots/{oldest}.json"));
    let text = fs::read(&path).unwrap();
    place.write("jail.conf", "newest\n");
    let newest = place.keep();
    fs::write(&path, text).unwrap();
    assert_eq!(
        place.store.list().unwrap().entries.len(),
        store::MOST_SNAPSHOTS + 1
    );
    assert_eq!(place.keep(), newest);
    assert_eq!(
        place.store.list().unwrap().entries.len(),
        store::MOST_SNAPSHOTS
    );
    assert!(!path.exists());
}

#[test]
fn another_at_work_is_waited_for_and_then_named() {
    let place = place();
    place.keep();
    let lock = File::open(place.state.join("history/lock")).unwrap();
    lock.lock().unwrap();
    let busy = place
        .store
        .put_back(&place.keep_id(), &place.root, &Which::All, "");
    assert!(matches!(busy, Err(HistoryError::Busy { .. })), "{busy:?}");
}

impl Place {
    fn keep_id(&self) -> Id {
        self.store.list().unwrap().entries[0].id
    }
}

#[test]
fn an_immutable_file_is_named_with_what_was_done_so_far() {
    let place = place();
    let id = place.keep();
    place.write("filter.d/web.conf", "bad\n");
    place.write("jail.d/web.local", "bad\n");
    let path = place.root.join("jail.d/web.local");
    let set = |flag: &str| {
        let ran = std::process::Command::new("chattr")
            .arg(flag)
            .arg(&path)
            .output();
        ran.is_ok_and(|ran| ran.status.success())
    };
    if !is_root() || !set("+i") {
        return;
    }
    let halted = place.store.put_back(&id, &place.root, &Which::All, "");
    assert!(set("-i"));
    let Err(halted) = halted else {
        panic!("{halted:?}")
    };
    assert_eq!(halted.io_kind(), Some(io::ErrorKind::PermissionDenied));
    let words = halted.to_string();
    for part in [
        "cannot write",
        "jail.d/web.local",
        "chattr +i",
        "done before that: filter.d/web.conf",
        "`jailwarden --instance second restore 2",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "bad\n");
    let again = place.all(&id);
    assert_eq!(again.done.len(), 1);
    place.undo(&again);
    for path in ["jail.d/web.local", "filter.d/web.conf"] {
        let text = fs::read_to_string(place.root.join(path)).unwrap();
        assert_eq!(text, "bad\n", "one undo brings back both: {path}");
    }
}

#[test]
fn ten_thousand_files_are_kept_and_put_back() {
    let place = place_in(Path::new("/dev/shm"));
    let folder = place.root.join("many.d");
    fs::create_dir(&folder).unwrap();
    for n in 0..10_000 {
        fs::write(folder.join(format!("{n}.conf")), format!("{n}\n")).unwrap();
    }
    let id = place.keep();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(place.all(&id).done.len(), 10_001);
    assert!(place.store.changes(&id, &place.root).unwrap().is_empty());
}
