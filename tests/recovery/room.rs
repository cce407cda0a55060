//! Disks that are full or read-only: what needs no write goes on, and what could not be written is
//! told. Real mounts, in a namespace of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use jailwarden::fail2ban::process::Process;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use rustix::process::Signal;

use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
use crate::support::{GUARD, skip, wait_until};
use crate::{SHORT, give_time, patient, settings};

const BAD: &str = "fail [from";
const SOUND: &str = "fail from";

/// A fail2ban with two jails on mounts that only this test and what it starts see.
fn laid_out() -> Option<Fail2ban> {
    if !geteuid().is_root() {
        skip("a mount takes root");
        return None;
    }
    let f2b = Fail2ban::new(Version::V102)?;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
    for jail in ["mail", "web"] {
        f2b.jail(jail, &JailSpec::default());
    }
    fs::create_dir(f2b.path("state")).unwrap();
    Some(f2b)
}

/// A disk of its own for a folder and what is in it; `fill` of [`Disk`] leaves no room on it.
struct Disk<'a> {
    f2b: &'a Fail2ban,
}

impl<'a> Disk<'a> {
    fn below(f2b: &'a Fail2ban, folder: &Path) -> Self {
        let disk = f2b.path("disk");
        fs::create_dir(&disk).unwrap();
        let none = MsFlags::empty();
        mount(Some("tmpfs"), &disk, Some("tmpfs"), none, Some("size=8m")).unwrap();
        let copy = disk.join("copy");
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([folder, &copy])
            .status();
        assert!(copied.unwrap().success());
        let bind = MsFlags::MS_BIND;
        mount(Some(&copy), folder, None::<&str>, bind, None::<&str>).unwrap();
        Self { f2b }
    }

    fn fill(&self) {
        // It is written as far as there is room.
        let _ = fs::write(self.f2b.path("disk/fill"), vec![0; 16 << 20]);
    }

    fn free(&self) {
        fs::remove_file(self.f2b.path("disk/fill")).unwrap();
    }
}

/// From now on nothing can be written below a folder, or again.
fn make_read_only(folder: &Path, read_only: bool) {
    let none = None::<&str>;
    if read_only {
        mount(Some(folder), folder, none, MsFlags::MS_BIND, none).unwrap();
    }
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
    let flags = if read_only {
        flags | MsFlags::MS_RDONLY
    } else {
        flags
    };
    mount(none, folder, none, flags, none).unwrap();
}

fn supervised(f2b: &Fail2ban) -> Warden {
    supervised_with(f2b, &settings(SHORT))
}

fn supervised_with(f2b: &Fail2ban, settings: &str) -> Warden {
    f2b.start();
    let warden = Warden::start(f2b, settings);
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    warden
}

/// All that is in the config folder, our rollbacks and leftovers too.
fn names(f2b: &Fail2ban) -> Vec<String> {
    let all = fs::read_dir(f2b.config().join("jail.d")).unwrap();
    let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// The state cannot be written; both recoveries go on.
fn recovers_without_state(f2b: &Fail2ban, warden: &Warden, why: &str) {
    f2b.kill();
    let said = warden.wait_for("what jailwarden must remember could not be written");
    assert!(said.contains(why) && said.contains("state.json"), "{said}");
    warden.wait_for("fail2ban protects again");
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    f2b.wait_bans(&["mail", "web"]);

    f2b.edit("filter.d/web.conf", SOUND, BAD);
    f2b.kill();
    warden.wait_for("web disabled so that the others can run");
    warden.wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: web");
    f2b.wait_ban("mail");
}

#[test]
fn a_full_disk_below_the_state_keeps_nobody_from_recovery() {
    let Some(f2b) = laid_out() else { return };
    let disk = Disk::below(&f2b, &f2b.path("state"));
    let warden = supervised(&f2b);
    disk.fill();
    recovers_without_state(&f2b, &warden, "No space left on device");

    // Once there is room, it is written without being asked.
    disk.free();
    let state = f2b.path("state/state.json");
    let kept = || fs::read_to_string(&state).is_ok_and(|text| text.contains("\"mends\":{\"web\""));
    assert!(wait_until(GUARD, || kept().then_some(())).is_some());
}

#[test]
fn a_read_only_state_keeps_nobody_from_recovery() {
    let Some(f2b) = laid_out() else { return };
    let warden = supervised(&f2b);
    make_read_only(&f2b.path("state"), true);
    recovers_without_state(&f2b, &warden, "Read-only file system");
}

/// The rollback cannot be written: that is told, nothing is left half, and it is written as soon as
/// that can be done.
fn recovers_once_it_can_write(f2b: &Fail2ban, warden: &Warden, why: &str, mend: impl Fn()) {
    let before = names(f2b);
    f2b.kill();
    let said = warden.wait_for("web could not be disabled");
    assert!(said.contains(why), "{said}");
    warden.wait_told("STATUS=gave up");
    assert_eq!(names(f2b), before);
    mend();
    warden.wait_for("web disabled so that the others can run");
    warden.wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: web");
    f2b.wait_ban("mail");
    assert_eq!(
        names(f2b),
        [&before[..], &["zzz-jailwarden-web.local".into()]].concat()
    );
}

#[test]
fn a_disk_that_is_full_when_a_jail_is_to_be_disabled() {
    let Some(f2b) = laid_out() else { return };
    let disk = Disk::below(&f2b, &f2b.config());
    let warden = supervised(&f2b);
    f2b.edit("filter.d/web.conf", SOUND, BAD);
    warden.wait_for("is not applied");
    disk.fill();
    recovers_once_it_can_write(&f2b, &warden, "no room on the disk", || disk.free());
}

#[test]
fn a_config_that_is_read_only_when_a_jail_is_to_be_disabled() {
    let Some(f2b) = laid_out() else { return };
    let warden = supervised(&f2b);
    // What needs no write is none the worse for it.
    make_read_only(&f2b.config(), true);
    f2b.kill();
    warden.wait_for("fail2ban protects again");
    f2b.wait_bans(&["mail", "web"]);
    make_read_only(&f2b.config(), false);

    f2b.edit("filter.d/web.conf", SOUND, BAD);
    warden.wait_for("is not applied");
    make_read_only(&f2b.config(), true);
    let mend = || make_read_only(&f2b.config(), false);
    recovers_once_it_can_write(&f2b, &warden, "read-only", mend);
}

/// Has the database in a folder of its own.
fn database_apart(f2b: &Fail2ban) -> PathBuf {
    let folder = f2b.path("db");
    fs::create_dir(&folder).unwrap();
    f2b.edit(
        "fail2ban.local",
        "/fail2ban.sqlite3",
        "/db/fail2ban.sqlite3",
    );
    folder
}

/// A database that is there needs no room for a change, and a start finds none for a new one: no jail is to
/// blame for that, not even one that has just changed.
#[test]
fn a_full_disk_below_the_database_disables_no_jail() {
    let Some(f2b) = laid_out() else { return };
    let folder = database_apart(&f2b);
    let disk = Disk::below(&f2b, &folder);
    let warden = supervised_with(&f2b, &patient());
    f2b.wait_bans(&["mail", "web"]);
    disk.fill();
    f2b.edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 2");
    warden.wait_for("config change applied: loaded mail");
    f2b.wait_bans(&["mail", "web"]);

    // jailwarden sees all of it at once.
    warden.signal(Signal::STOP);
    f2b.edit("jail.d/mail.conf", "maxretry = 2", "maxretry = 1");
    // What it has open takes room until it is gone.
    let process = Process::open(f2b.pid()).unwrap();
    f2b.kill();
    assert!(wait_until(GUARD, || (!process.is_alive()).then_some(())).is_some());
    fs::remove_file(folder.join("fail2ban.sqlite3")).unwrap();
    disk.fill();
    warden.signal(Signal::CONT);
    let said = warden.wait_for("fail2ban is started with its database in memory");
    give_time(&f2b, &warden, SHORT);
    for words in ["no room is left on a file system", "/db"] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    does_without_its_database(&f2b, &warden, || disk.free());
}

/// Every jail protects, and once the database can be written, with that again.
fn does_without_its_database(f2b: &Fail2ban, warden: &Warden, mend: impl Fn()) {
    warden.wait_for("fail2ban protects again");
    warden.wait_told("STATUS=degraded: 2 of 2 jails protect; the database is in memory");
    f2b.wait_bans(&["mail", "web"]);
    mend();
    warden.wait_for("fail2ban is restarted with its database in its file again");
    warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    f2b.wait_bans(&["mail", "web"]);
    let said = warden.lines().join("\n");
    assert!(!said.contains("disabled so that"), "{said}");
}

#[test]
fn a_read_only_database_is_done_without_until_it_can_be_written() {
    let Some(f2b) = laid_out() else { return };
    let folder = database_apart(&f2b);
    let warden = supervised_with(&f2b, &patient());
    f2b.wait_bans(&["mail", "web"]);
    make_read_only(&folder, true);
    f2b.kill();
    let said = warden.wait_for("fail2ban is started with its database in memory");
    give_time(&f2b, &warden, SHORT);
    assert!(said.contains("a file system is read-only"), "{said}");
    does_without_its_database(&f2b, &warden, || make_read_only(&folder, false));
}
