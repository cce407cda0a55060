use std::fs::File;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::SystemTime;

use super::*;

fn take(root: &Path) -> Snapshot {
    Snapshot::take(root, Limits::default())
}

/// A config folder, beside a folder for what lies outside of it.
struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let (root, outside) = (base.join("fail2ban"), base.join("outside"));
    fs::create_dir_all(root.join("jail.d")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(root.join("jail.conf"), "[sshd]\n").unwrap();
    fs::write(root.join("jail.d/web.local"), "[web]\n").unwrap();
    Place {
        _dir: dir,
        root,
        outside,
    }
}

#[test]
fn content_counts_and_times_modes_and_rewrites_do_not() {
    let place = place();
    let (root, jail) = (&place.root, place.root.join("jail.conf"));
    let before = take(root);
    fs::write(&jail, "[sshd]\n").unwrap();
    fs::set_permissions(&jail, fs::Permissions::from_mode(0o600)).unwrap();
    File::options()
        .write(true)
        .open(&jail)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    let same = take(root);
    assert_eq!(same.fingerprint(), before.fingerprint());
    assert!(same.changed_since(&before).is_empty());

    fs::write(&jail, "[sshe]\n").unwrap();
    fs::remove_file(root.join("jail.d/web.local")).unwrap();
    fs::write(root.join("jail.d/new.conf"), "").unwrap();
    let after = take(root);
    assert_ne!(after.fingerprint(), before.fingerprint());
    let expected = ["jail.conf", "jail.d/new.conf", "jail.d/web.local"].map(|name| root.join(name));
    assert_eq!(after.changed_since(&before), expected);
    assert_eq!(before.changed_since(&after), expected);
}

#[test]
fn a_missing_root_is_a_state_of_its_own() {
    let place = place();
    let empty = place.root.join("empty");
    let missing = take(&empty);
    assert!(!missing.exists() && missing.is_empty() && missing.root_id().is_none());
    fs::create_dir(&empty).unwrap();
    let there = take(&empty);
    assert!(there.exists() && there.root_id().is_some());
    assert_ne!(there.fingerprint(), missing.fingerprint());
    assert!(!take(&place.root.join("jail.conf")).exists());
    let all_gone = take(&empty.join("x")).changed_since(&take(&place.root));
    assert_eq!(all_gone.len(), 4, "{all_gone:?}");
}

#[test]
fn what_only_editors_and_python_write_is_passed_over() {
    let place = place();
    let before = take(&place.root);
    fs::create_dir_all(place.root.join("action.d/__pycache__")).unwrap();
    let with_folder = take(&place.root);
    assert_ne!(with_folder.fingerprint(), before.fingerprint());
    for name in [
        ".jail.local.swp",
        "jail.local~",
        "4913",
        "#jail.local#",
        "x.swp",
        "action.d/__pycache__/smtp.pyc",
    ] {
        fs::write(place.root.join(name), "x").unwrap();
    }
    assert_eq!(take(&place.root).fingerprint(), with_folder.fingerprint());
    for name in ["#", "common.inc", "action.d/smtp.py", "jail.conf.dpkg-new"] {
        let before = take(&place.root);
        fs::write(place.root.join(name), "x").unwrap();
        assert_ne!(
            take(&place.root).fingerprint(),
            before.fingerprint(),
            "{name}"
        );
    }
}

#[test]
fn symlinks_are_followed_and_every_hop_is_to_be_watched() {
    let Place { root, outside, .. } = &place();
    fs::create_dir_all(outside.join("v1/filters")).unwrap();
    fs::write(outside.join("v1/jail.local"), "[a]\n").unwrap();
    fs::write(outside.join("v1/filters/f.conf"), "x").unwrap();
    symlink("v1", outside.join("current")).unwrap();
    symlink(outside.join("current/jail.local"), root.join("jail.local")).unwrap();
    symlink("../outside/v1/filters", root.join("filter.d")).unwrap();
    symlink(outside.join("later/x.conf"), root.join("dangling.conf")).unwrap();
    let before = take(root);
    let places = before.places();
    let folders = [
        root.clone(),
        root.join("jail.d"),
        outside.join("v1/filters"),
    ];
    assert_eq!(places.folders, folders);
    let links = ["current", "later", "v1/jail.local"].map(|name| outside.join(name));
    assert_eq!(places.links, links);

    fs::write(outside.join("v1/jail.local"), "[b]\n").unwrap();
    fs::write(outside.join("v1/filters/f.conf"), "y").unwrap();
    fs::create_dir(outside.join("later")).unwrap();
    let within = take(root);
    let expected = ["filter.d/f.conf", "jail.local"].map(|name| root.join(name));
    assert_eq!(within.changed_since(&before), expected);
    assert!(
        within
            .places()
            .links
            .contains(&outside.join("later/x.conf"))
    );

    fs::create_dir(outside.join("v2")).unwrap();
    fs::write(outside.join("v2/jail.local"), "[c]\n").unwrap();
    fs::remove_file(outside.join("current")).unwrap();
    symlink("v2", outside.join("current")).unwrap();
    assert_eq!(take(root).changed_since(&within), [root.join("jail.local")]);
}

#[test]
fn a_folder_that_is_reached_twice_or_in_a_circle_is_read_once_by_its_own_path() {
    let Place { root, .. } = &place();
    symlink(".", root.join("a-loop")).unwrap();
    symlink("jail.d", root.join("a-twin")).unwrap();
    symlink("self", root.join("self")).unwrap();
    let snapshot = take(root);
    let shown: Vec<_> = snapshot
        .entries
        .iter()
        .map(|(path, _)| path.to_str().unwrap())
        .collect();
    let expected = [
        "a-loop",
        "a-twin",
        "jail.conf",
        "jail.d",
        "jail.d/web.local",
        "self",
    ];
    assert_eq!(shown, expected);
    assert!(snapshot.places().links.is_empty());
}

#[test]
fn what_is_no_regular_file_is_recorded_and_never_opened() {
    let Place { root, .. } = &place();
    let before = take(root);
    let fifo = root.join("jail.d/fifo.conf");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let _listener = UnixListener::bind(root.join("sock")).unwrap();
    symlink("/dev/zero", root.join("zero.conf")).unwrap();
    let after = take(root);
    let expected = ["jail.d/fifo.conf", "sock", "zero.conf"].map(|name| root.join(name));
    assert_eq!(after.changed_since(&before), expected);
}

#[test]
fn limits_bound_what_is_read_and_changes_beyond_them_still_show() {
    let Place { root, .. } = &place();
    let limits = Limits {
        entries: 2,
        file_bytes: 8,
        depth: 1,
        ..Limits::default()
    };
    let take = || Snapshot::take(root, limits);
    fs::remove_dir_all(root.join("jail.d")).unwrap();
    assert!(!take().truncated());
    fs::write(root.join("long.conf"), "0123456789").unwrap();
    let before = take();
    assert!(!before.truncated());
    fs::write(root.join("long.conf"), "0123456789abc").unwrap();
    assert_eq!(take().changed_since(&before), [root.join("long.conf")]);

    for n in 0..10 {
        fs::write(root.join(format!("{n}.conf")), "x").unwrap();
    }
    let many = take();
    assert!(many.truncated());
    assert_eq!(many.len(), 2);
    assert_eq!(take().fingerprint(), many.fingerprint());
    fs::write(root.join("one-more.conf"), "x").unwrap();
    assert_ne!(take().fingerprint(), many.fingerprint());

    fs::remove_dir_all(root).unwrap();
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    assert!(
        Snapshot::take(
            root,
            Limits {
                entries: 99,
                ..limits
            }
        )
        .truncated()
    );
}

#[test]
fn a_link_to_what_holds_the_folder_is_not_followed_and_of_too_many_bytes_the_looks_count() {
    let Place { root, outside, .. } = &place();
    symlink("..", root.join("up")).unwrap();
    symlink("/", root.join("all")).unwrap();
    assert_eq!(take(root).len(), 5, "{:?}", take(root).entries);
    let limits = Limits {
        bytes: 10,
        ..Limits::default()
    };
    symlink(outside, root.join("zzz")).unwrap();
    fs::write(outside.join("a"), "0123456789").unwrap();
    let before = Snapshot::take(root, limits);
    fs::write(outside.join("a"), "0123456789abc").unwrap();
    let after = Snapshot::take(root, limits);
    assert_eq!(after.changed_since(&before), [root.join("zzz/a")]);
}

#[test]
fn of_too_many_folders_and_links_some_are_watched() {
    let Place { root, outside, .. } = &place();
    for n in 0..10 {
        fs::create_dir(root.join(format!("folder-{n}"))).unwrap();
        // One leads to the next, and the last one nowhere.
        symlink((n + 1).to_string(), outside.join(n.to_string())).unwrap();
        symlink(outside.join(n.to_string()), root.join(format!("link-{n}"))).unwrap();
    }
    let limits = Limits {
        folders: 4,
        links: 5,
        ..Limits::default()
    };
    let snapshot = Snapshot::take(root, limits);
    assert!(snapshot.truncated());
    assert_eq!(snapshot.places().folders.len(), 4);
    // The link in the folder counts, which is watched with that.
    assert_eq!(snapshot.places().links.len(), 4);
    let all = take(root);
    assert!(!all.truncated());
    assert_eq!(all.places().folders.len(), 12);
    assert_eq!(all.places().links.len(), 11);
    assert_eq!(all.len(), snapshot.len());
}

#[test]
fn names_that_are_not_utf_8_are_told_apart() {
    let Place { root, .. } = &place();
    let name = |byte| root.join(OsStr::from_bytes(&[b'x', byte]));
    fs::write(name(0xff), "").unwrap();
    let before = take(root);
    fs::rename(name(0xff), name(0xfe)).unwrap();
    assert_eq!(take(root).changed_since(&before), [name(0xfe), name(0xff)]);
}

#[test]
fn a_trail_ends_at_the_first_missing_name() {
    let Place { root, outside, .. } = &place();
    let end = |path: &Path| trail(path).end;
    assert_eq!(end(root), End::Found(root.clone()));
    assert_eq!(end(&root.join("x/y/z")), End::Missing(root.join("x")));
    assert_eq!(
        end(&root.join("jail.conf/y")),
        End::Missing(root.join("jail.conf"))
    );
    assert_eq!(end(&root.join("../outside/.")), End::Found(outside.clone()));
    symlink("b", outside.join("a")).unwrap();
    symlink("a", outside.join("b")).unwrap();
    assert_eq!(end(&outside.join("a")), End::Lost);
}
