//! What was kept is put back, or nothing is.

use super::*;

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
