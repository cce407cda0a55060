//! What was replaced is set aside, and brought back.

use super::*;

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
