//! What is kept of a config, and what is passed over.

use super::*;

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
