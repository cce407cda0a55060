use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;

use super::*;

fn why() -> Why {
    Why {
        when: "2026-11-23T13:00:00Z".into(),
        reason: "Unable to read the filter 'web'".into(),
        incident: Some("i-1".into()),
    }
}

fn jail(name: &str) -> JailName {
    JailName::new(name).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_rollback_is_written_found_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    assert_eq!(standing(root).unwrap(), []);
    let path = write(root, &jail("web"), &why()).unwrap();
    assert_eq!(path, root.join("jail.d/zzz-jailwarden-web.local"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# jailwarden rollback file 1\n"), "{text}");
    assert!(text.contains("\n[web]\nenabled = false\n"), "{text}");
    for part in [
        "2026-11-23T13:00:00Z",
        "i-1",
        "filter 'web'",
        "delete this file",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&path), mode(&root.join("jail.d"))), (0o644, 0o755));
    let found = Standing {
        jail: jail("web"),
        path: path.clone(),
        note: why(),
    };
    assert_eq!(standing(root).unwrap(), [found]);
    assert!(remove(root, &jail("web")).unwrap());
    assert!(!remove(root, &jail("web")).unwrap());
    assert_eq!(names(&root.join("jail.d")), Vec::<String>::new());
}

#[test]
fn the_same_again_changes_nothing_and_other_words_replace_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &jail("web"), &why()).unwrap();
    let inode = || fs::metadata(&path).unwrap().ino();
    let before = inode();
    write(dir.path(), &jail("web"), &why()).unwrap();
    assert_eq!(inode(), before);
    let other = Why {
        reason: "another".into(),
        ..why()
    };
    write(dir.path(), &jail("web"), &other).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("another"));
    assert_eq!(names(&dir.path().join("jail.d")).len(), 1);
}

#[test]
fn what_is_not_ours_is_never_touched() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("jail.d");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("zzz-jailwarden-web.local");
    let target = dir.path().join("target");
    let refused = |what: &str| {
        for error in [
            write(dir.path(), &jail("web"), &why()).unwrap_err(),
            remove(dir.path(), &jail("web")).unwrap_err(),
        ] {
            assert!(matches!(error, RollbackError::NotOurs { .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}");
        }
        assert_eq!(standing(dir.path()).unwrap(), []);
    };
    fs::write(&path, "[web]\nenabled = true\n").unwrap();
    refused("not a file that jailwarden wrote");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "[web]\nenabled = true\n"
    );
    fs::write(&path, format!("{MARK}x\n")).unwrap();
    refused("not a file that jailwarden wrote");
    fs::remove_file(&path).unwrap();

    fs::write(&target, format!("{MARK}\nprecious\n")).unwrap();
    symlink(&target, &path).unwrap();
    refused("a symlink");
    assert_eq!(
        fs::read_to_string(&target).unwrap(),
        format!("{MARK}\nprecious\n")
    );
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    refused("not a regular file");
    fs::remove_dir(&path).unwrap();

    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    refused("not a regular file");
    assert_eq!(names(&folder), ["zzz-jailwarden-web.local"]);
}

#[test]
fn a_file_that_appears_at_the_last_moment_keeps_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zzz-jailwarden-x.local");
    fs::write(&path, "somebody's").unwrap();
    let folder = Folder::open(dir.path().to_owned()).unwrap().unwrap();
    folder
        .put("zzz-jailwarden-x.local", "ours", RenameFlags::NOREPLACE)
        .unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
    assert_eq!(names(dir.path()), ["zzz-jailwarden-x.local"]);
}

/// As root's own may be, which leads to where the config is kept.
#[test]
fn a_link_of_another_user_in_the_folders_place_is_not_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let link = dir.path().join("jail.d");
    symlink(&elsewhere, &link).unwrap();
    write(dir.path(), &jail("web"), &why()).unwrap();
    assert!(remove(dir.path(), &jail("web")).unwrap());
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
    let error = write(dir.path(), &jail("web"), &why()).unwrap_err();
    assert!(error.to_string().contains("is not followed"), "{error}");
    assert_eq!(names(&elsewhere), Vec::<String>::new());
}

#[test]
fn what_a_broken_off_write_left_is_cleaned_up() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("jail.d");
    fs::create_dir(&folder).unwrap();
    let precious = dir.path().join("precious");
    fs::write(&precious, "p").unwrap();
    fs::write(folder.join(".zzz-jailwarden-other.new"), "half").unwrap();
    symlink(&precious, folder.join(".zzz-jailwarden-web.new")).unwrap();
    fs::write(folder.join(".zzz-jailwarden-.new"), "theirs").unwrap();
    write(dir.path(), &jail("web"), &why()).unwrap();
    assert_eq!(
        names(&folder),
        [".zzz-jailwarden-.new", "zzz-jailwarden-web.local"]
    );
    assert_eq!(fs::read_to_string(&precious).unwrap(), "p");
}

#[test]
fn no_word_of_the_reason_becomes_config() {
    for nasty in [
        "x\n[DEFAULT]\nbantime = 1",
        "x\r[DEFAULT]\rbantime = 1",
        "x\u{85}[DEFAULT]\u{2028}b\u{c}c\u{1c}d\0e\u{202e}f",
        "%(nothing)s [x]",
    ] {
        let why = Why {
            when: nasty.into(),
            reason: nasty.repeat(200),
            incident: Some(nasty.into()),
        };
        let text = text(&jail("web"), &why);
        let config: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            config,
            [
                "[web]",
                "enabled = false",
                "backend = auto",
                "filter = disabled-by-jailwarden"
            ],
            "{text:?}"
        );
        assert_eq!(text.lines().count(), 12);
        let odd = |c: char| (c.is_control() && c != '\n') || is_invisible(c) || c == '\u{85}';
        assert!(!text.contains(odd), "{text:?}");
        assert!(text.len() < 8000);
    }
}

#[test]
fn errors_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let missing = write(&dir.path().join("gone"), &jail("web"), &why()).unwrap_err();
    assert!(
        matches!(missing, RollbackError::NoConfigFolder { .. }),
        "{missing}"
    );
    fs::write(dir.path().join("jail.d"), "a file").unwrap();
    let blocked = write(dir.path(), &jail("web"), &why()).unwrap_err();
    assert!(matches!(blocked, RollbackError::Io { .. }), "{blocked}");
    let cases = [
        (rustix::io::Errno::ROFS, "ReadWritePaths="),
        (rustix::io::Errno::NOSPC, "free some space"),
        (rustix::io::Errno::DQUOT, "free some space"),
        (rustix::io::Errno::ACCESS, "run as root"),
        (rustix::io::Errno::PERM, "chattr"),
        (rustix::io::Errno::IO, "check the disk"),
    ];
    for (errno, advice) in cases {
        let text = RollbackError::new("write", Path::new("/x"), errno).to_string();
        assert!(
            text.starts_with("cannot write /x: ") && text.contains(advice),
            "{text}"
        );
    }
}

/// The jails that fail2ban would start with this config.
fn started(root: &Path) -> Vec<String> {
    let run = Command::new("fail2ban-client")
        .args(["-c".as_ref(), root, "-d".as_ref()])
        .output()
        .unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    let jails = said
        .lines()
        .filter_map(|line| line.strip_prefix("['start', '")?.strip_suffix("']"));
    jails.map(str::to_owned).collect()
}

#[test]
fn real_fail2ban_leaves_the_jail_out_whatever_enables_it_and_whatever_is_wrong_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let put = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
    for folder in ["jail.d", "filter.d", "action.d"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    put("fail2ban.conf", "[Definition]\n");
    put(
        "filter.d/good.conf",
        "[Definition]\nfailregex = ^x <HOST>$\n",
    );
    put(
        "filter.d/broken.conf",
        "[Definition]\nfailregex = %(nowhere)s\n",
    );
    put(
        "jail.conf",
        "[DEFAULT]\nbackend = polling\nfilter = good\nlogpath = /dev/null\nenabled = true\n[good]\n[web]\n",
    );
    put("jail.local", "[web]\nenabled = true\n");
    put("jail.d/web.local", "[web]\nenabled = true\n");
    assert_eq!(started(root), ["good", "web"]);
    write(root, &jail("web"), &why()).unwrap();
    assert_eq!(started(root), ["good"]);
    for fault in [
        "filter = nowhere",
        "filter = broken",
        "maxretry = %(nowhere)s",
        "filter = %(nowhere)s",
        "backend = %(nowhere)s",
        "action = nowhere",
        "backend = nowhere",
        "logpath = /nowhere/*.log",
    ] {
        put(
            "jail.d/web.local",
            &format!("[web]\nenabled = true\n{fault}\n"),
        );
        assert_eq!(started(root), ["good"], "{fault}");
    }
    put("jail.d/web.local", "[web]\nenabled = true\n");
    put("jail.d/zzzz.local", "[web]\nenabled = true\n");
    assert_eq!(started(root), ["good"], "a later file enables it");
    remove(root, &jail("web")).unwrap();
    assert_eq!(started(root), ["good", "web"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_told_as_such() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("jail.d");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let error = write(dir.path(), &jail("web"), &why()).unwrap_err();
    assert!(matches!(error, RollbackError::Permission { .. }), "{error}");
}
