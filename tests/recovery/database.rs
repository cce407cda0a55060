//! A database that cannot be written to is no jail's fault: none is disabled for it, it is named, and fail2ban
//! does without it until it can be. One that is damaged is moved aside, kept and named, and fail2ban makes another.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::on_each_release;
use crate::support::daemon::Fail2ban;

on_each_release! {
    a_locked_database_when_the_daemon_dies
    a_locked_database_when_a_jail_changes
    a_database_that_is_locked_while_a_jail_is_restarted
    garbage_for_a_database_when_a_jail_changes
    garbage_for_a_database_when_the_daemon_dies
    a_database_with_a_broken_page_when_a_jail_changes
    a_database_with_a_broken_page_when_the_daemon_dies
}

/// Another process's hold on the database, until it is dropped.
struct Hold(Child);

impl Hold {
    fn on(f2b: &Fail2ban) -> Self {
        let script = "import sqlite3, sys, time\n\
                      held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n\
                      held.execute('begin exclusive')\n\
                      print('held', flush=True)\n\
                      time.sleep(600)\n";
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", script])
            .arg(f2b.path("fail2ban.sqlite3"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut said).unwrap();
        assert_eq!(said, "held\n");
        Self(child)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

mod scenario {
    use std::fs;
    use std::thread;
    use std::time::Duration;

    use super::Hold;
    use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
    use crate::support::{GUARD, wait_until};
    use crate::{LONG, SHORT, give_time, patient, settings, supervised};

    const JAILS: [&str; 2] = ["mail", "web"];

    /// The alert names the database and who holds it, and nothing was disabled.
    fn assert_named(f2b: &Fail2ban, warden: &Warden, said: &str, hold: &Hold) {
        let holder = format!("process {} (python3) holds it", hold.0.id());
        for words in ["the database is locked", "fail2ban.sqlite3", &holder] {
            assert!(said.contains(words), "no {words:?} in {said}");
        }
        assert_none_disabled(f2b, warden);
    }

    fn assert_none_disabled(f2b: &Fail2ban, warden: &Warden) {
        let said = warden.lines().join("\n");
        assert!(!said.contains("disabled so that"), "{said}");
        assert!(JAILS.iter().all(|jail| !f2b.rollback(jail).exists()));
    }

    /// The first jail that is loaded is the one that changed, and the one that fails for the lock.
    pub(super) fn a_locked_database_when_the_daemon_dies(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        for jail in JAILS {
            f2b.jail(jail, &JailSpec::default());
        }
        f2b.start();
        let warden = Warden::start(&f2b, &patient());
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        let hold = Hold::on(&f2b);
        f2b.edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 2");
        f2b.kill();
        let said = warden.wait_for("fail2ban is started with its database in memory");
        give_time(&f2b, &warden, SHORT);
        assert_named(&f2b, &warden, &said, &hold);
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=degraded: 2 of 2 jails protect; the database is in memory");
        f2b.wait_bans(&JAILS);
        drop(hold);
        warden.wait_for("fail2ban is restarted with its database in its file again");
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&JAILS);
        assert_none_disabled(&f2b, &warden);
        assert!(
            !f2b.config()
                .join("fail2ban.d/zzz-jailwarden.local")
                .exists()
        );
        let said = f2b.client(&["get", "dbfile"]).stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("fail2ban.sqlite3"), "{said}");
    }

    /// fail2ban would lose the jail, so it is not told of the change before the lock is gone.
    pub(super) fn a_locked_database_when_a_jail_changes(version: Version) {
        let Some((f2b, warden)) = supervised(version, &JAILS, LONG) else {
            return;
        };
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        let threads = || JAILS.map(|jail| f2b.threads(jail));
        let before = threads();
        let hold = Hold::on(&f2b);
        f2b.edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 1");
        let said = warden.wait_for("fail2ban can take no change now");
        assert_named(&f2b, &warden, &said, &hold);
        f2b.wait_bans(&JAILS);
        assert_eq!(threads(), before);
        drop(hold);
        warden.wait_for("config change applied: loaded mail");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        let once = f2b.fresh_ip();
        f2b.log_lines("mail", &format!("fail from {once}"), 1);
        assert!(f2b.is_banned_within(GUARD, "mail", &once));
        f2b.wait_ban("web");
        assert_none_disabled(&f2b, &warden);
    }

    /// The lock comes when the jail is on its way out of the daemon already.
    pub(super) fn a_database_that_is_locked_while_a_jail_is_restarted(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        for jail in JAILS {
            f2b.jail(jail, &JailSpec::default());
        }
        let (asked, may_end) = (f2b.path("asked"), f2b.path("may-end"));
        let slow = format!(
            "actionstop = touch {}; until test -e {}; do sleep 0.1; done\n",
            asked.display(),
            may_end.display()
        );
        let mark = fs::read_to_string(f2b.config().join("action.d/mark.conf")).unwrap();
        f2b.write("action.d/mark.conf", &(mark + &slow));
        f2b.start();
        // The wait for a lock is none for ever.
        let patient = settings(LONG).replace("interval: 1s", "interval: 10s");
        let warden = Warden::start(&f2b, &patient);
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&JAILS);
        let web = f2b.threads("web");
        let named = "name=\"mail\"";
        f2b.edit(
            "jail.d/mail.conf",
            named,
            &format!("{named}, actname=\"two\""),
        );
        wait_until(GUARD, || asked.exists().then_some(())).expect("mail is told to stop");
        let hold = Hold::on(&f2b);
        fs::write(&may_end, "").unwrap();
        let said = warden.wait_for("fail2ban can take no change now");
        assert!(said.contains("database is locked"), "{said}");
        f2b.wait_ban("web");
        assert_none_disabled(&f2b, &warden);
        drop(hold);
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&JAILS);
        assert_eq!(f2b.threads("web"), web);
        assert_none_disabled(&f2b, &warden);
    }

    /// What lies beside the database, by what it holds.
    fn is_kept(f2b: &Fail2ban, content: &[u8]) -> Option<String> {
        let files = fs::read_dir(f2b.path("")).unwrap().map(Result::unwrap);
        let named = files.map(|file| file.file_name().into_string().unwrap());
        let mut beside = named.filter(|name| name.starts_with("fail2ban.sqlite3."));
        beside.find(|name| fs::read(f2b.path(name)).unwrap() == content)
    }

    /// fail2ban runs with a database in its file, the damaged one is kept, and it is said where.
    fn assert_set_aside(f2b: &Fail2ban, warden: &Warden, damaged: &[u8]) {
        f2b.wait_bans(&JAILS);
        assert_none_disabled(f2b, warden);
        let kept = is_kept(f2b, damaged).expect("the damaged database is kept");
        wait_until(GUARD, || {
            let named = |line: &String| line.contains("damaged") && line.contains(&kept);
            warden.lines().iter().any(named).then_some(())
        })
        .unwrap_or_else(|| panic!("no {kept} in {:#?}", warden.lines()));
        let said = f2b.client(&["get", "dbfile"]).stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("fail2ban.sqlite3"), "{said}");
        let said = warden.lines().join("\n");
        assert!(!said.contains("database in memory"), "{said}");
    }

    /// Overwrites the database in place, as a disk that fails does, once all bans are in it.
    fn overwrite(f2b: &Fail2ban, damaged: fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
        f2b.wait_bans(&JAILS);
        let database = f2b.path("fail2ban.sqlite3");
        let read = || fs::read(&database).unwrap();
        let mut before = read();
        let rests = wait_until(GUARD, || {
            thread::sleep(Duration::from_millis(200));
            let last = std::mem::replace(&mut before, read());
            (before == last).then_some(())
        });
        assert!(rests.is_some(), "it is written all the time");
        let content = damaged(before);
        fs::write(&database, &content).unwrap();
        content
    }

    fn garbage(_: Vec<u8>) -> Vec<u8> {
        vec![0xad; 9000]
    }

    /// The header is sound, and says that somebody wrote the rest, so that nothing of it is taken from memory.
    fn broken_pages(mut content: Vec<u8>) -> Vec<u8> {
        content[8192..].fill(0xde);
        for counter in [24, 92] {
            content[counter + 3] = content[counter + 3].wrapping_add(1);
        }
        content
    }

    fn a_damaged_database_when_a_jail_changes(version: Version, damage: fn(Vec<u8>) -> Vec<u8>) {
        let Some((f2b, warden)) = supervised(version, &JAILS, LONG) else {
            return;
        };
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        let damaged = overwrite(&f2b, damage);
        f2b.edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 1");
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        assert_set_aside(&f2b, &warden, &damaged);
        let once = f2b.fresh_ip();
        f2b.log_lines("mail", &format!("fail from {once}"), 1);
        assert!(f2b.is_banned_within(GUARD, "mail", &once));
    }

    pub(super) fn garbage_for_a_database_when_a_jail_changes(version: Version) {
        a_damaged_database_when_a_jail_changes(version, garbage);
    }

    pub(super) fn a_database_with_a_broken_page_when_a_jail_changes(version: Version) {
        a_damaged_database_when_a_jail_changes(version, broken_pages);
    }

    /// fail2ban moves it aside itself.
    pub(super) fn garbage_for_a_database_when_the_daemon_dies(version: Version) {
        let Some((f2b, warden)) = supervised(version, &JAILS, LONG) else {
            return;
        };
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        let damaged = overwrite(&f2b, garbage);
        f2b.kill();
        warden.wait_for("fail2ban protects again");
        assert_set_aside(&f2b, &warden, &damaged);
    }

    /// fail2ban does not start with it, and is started once more, without it.
    pub(super) fn a_database_with_a_broken_page_when_the_daemon_dies(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        for jail in JAILS {
            f2b.jail(jail, &JailSpec::default());
        }
        f2b.start();
        let warden = Warden::start(&f2b, &patient());
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        let damaged = overwrite(&f2b, broken_pages);
        f2b.kill();
        warden.wait_for("is moved aside");
        give_time(&f2b, &warden, SHORT);
        warden.wait_for("fail2ban protects again");
        assert_set_aside(&f2b, &warden, &damaged);
    }
}
