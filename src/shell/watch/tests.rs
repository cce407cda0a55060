use notify::event::{
    AccessKind, AccessMode, CreateKind, DataChange, Event, EventKind, Flag, MetadataKind,
    ModifyKind, RemoveKind, RenameMode,
};

use super::*;

#[test]
fn each_event_is_judged_by_kind_and_path() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let root = base.join("fail2ban");
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(base.join("elsewhere")).unwrap();
    let places = Places {
        folders: vec![root.clone()],
        links: vec![base.join("elsewhere/target.conf")],
    };
    let paths = WatchPaths {
        config_dir: root.clone(),
        socket: base.join("run/fail2ban.sock"),
        pause: base.join("elsewhere/pause.json"),
    };
    let filter = Plan::new(&paths, &places).filter;
    let check = |kind: EventKind, path: &str, expected: u8| {
        let got = judge(&filter, &Ok(Event::new(kind).add_path(base.join(path))));
        assert_eq!(got, expected, "{kind:?} {path}");
    };
    let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let mode = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
    let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
    let folder_made = EventKind::Create(CreateKind::Folder);
    check(data, "fail2ban/jail.local", plan::CONFIG);
    check(closed, "fail2ban/jail.local", plan::CONFIG);
    check(mode, "fail2ban/jail.local", plan::CONFIG);
    check(renamed, "fail2ban/jail.local", plan::CONFIG);
    check(folder_made, "fail2ban/jail.d", plan::CONFIG);
    check(open, "fail2ban/jail.local", 0);
    check(data, "fail2ban/.jail.local.swp", 0);
    check(EventKind::Create(CreateKind::File), "fail2ban/4913", 0);
    check(
        EventKind::Remove(RemoveKind::Folder),
        "fail2ban",
        plan::CONFIG | plan::STALE,
    );
    check(data, "elsewhere/target.conf", plan::CONFIG);
    check(renamed, "elsewhere/target.conf", plan::CONFIG | plan::STALE);
    check(data, "elsewhere/other.conf", 0);
    // The socket's folder is not there, so its name is awaited in the folder above.
    check(folder_made, "run", plan::SOCKET | plan::STALE);
    check(folder_made, "tmp", 0);
}

#[test]
fn a_lost_event_means_that_anything_may_have_happened() {
    let all = plan::CONFIG | plan::SOCKET | plan::PAUSE | plan::STALE;
    let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    assert_eq!(judge(&Filter::default(), &Ok(overflow)), all);
    let flagged = Event::new(EventKind::Access(AccessKind::Any)).set_flag(Flag::Rescan);
    assert_eq!(judge(&Filter::default(), &Ok(flagged)), all);
    let failed = Err(notify::Error::generic("x"));
    assert_eq!(judge(&Filter::default(), &failed), all);
}

#[test]
fn a_limit_is_told_with_the_sysctl_that_raises_it() {
    let watches = advice("/x", &notify::Error::new(ErrorKind::MaxFilesWatch));
    assert!(watches.contains("fs.inotify.max_user_watches"), "{watches}");
    let mfile = io::Error::from(rustix::io::Errno::MFILE);
    let instances = advice("anything", &notify::Error::io(mfile));
    assert!(
        instances.contains("fs.inotify.max_user_instances"),
        "{instances}"
    );
}
