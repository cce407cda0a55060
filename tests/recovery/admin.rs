//! People and init systems: what they do to fail2ban and to jailwarden is respected.

use crate::on_each_release;

on_each_release! {
    a_daemon_stopped_by_hand_is_left_alone
    a_jail_stopped_by_hand_is_left_alone
    a_jail_stopped_by_hand_stays_so
    a_jail_stopped_by_hand_does_no_harm_to_its_namesake
    a_supervisor_killed_half_way_goes_on_where_it_was
    the_supervisor_ends_and_leaves_the_daemon_alone
    the_settings_are_read_again
}

mod scenario {
    use std::fs;
    use std::time::{Duration, Instant};

    use rustix::process::{Signal, test_kill_process};

    use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
    use crate::support::{GUARD, wait_until};
    use crate::{LONG, SHORT, settings, supervised};

    pub(super) fn a_daemon_stopped_by_hand_is_left_alone(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let starts = f2b.logged("Starting Fail2ban");
        f2b.stop();
        warden.wait_for("is stopped on purpose");
        warden.wait_told("STATUS=standby");
        // A change of the config is no reason to start it either.
        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
        assert!(!f2b.bans_within(Duration::from_secs(3), "mail"));
        assert_eq!(f2b.logged("Starting Fail2ban"), starts);
        assert_eq!(warden.rest(), [""; 0]);

        f2b.start();
        warden.wait_for("fail2ban runs again");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
        f2b.kill();
        warden.wait_for("fail2ban protects again");
        f2b.wait_bans(&["mail", "web"]);
    }

    /// The kernel keeps nine bytes of a jail's name in its threads' names, the same for both.
    pub(super) fn a_jail_stopped_by_hand_does_no_harm_to_its_namesake(version: Version) {
        let jails = ["wordpress-hard", "wordpress-soft"];
        let Some((f2b, warden)) = supervised(version, &jails, LONG) else {
            return;
        };
        warden.wait_told("STATUS=healthy");
        let reloads = f2b.logged("Reload jail");
        assert!(f2b.client(&["stop", "wordpress-hard"]).status.success());
        warden.wait_for("wordpress-hard was stopped by hand and is left alone");
        warden.wait_told("STATUS=healthy: 1 of 1 jails protect; stopped by hand: wordpress-hard");
        f2b.wait_ban("wordpress-soft");
        assert_eq!(f2b.logged("Reload jail"), reloads, "{}", f2b.log_text());
    }

    pub(super) fn a_jail_stopped_by_hand_is_left_alone(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        warden.wait_told("STATUS=healthy");
        assert!(f2b.client(&["stop", "web"]).status.success());
        warden.wait_for("web was stopped by hand and is left alone");
        warden.wait_told("STATUS=healthy: 1 of 1 jails protect; stopped by hand: web");
        f2b.edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 2");
        warden.wait_for("config change applied: loaded mail");
        f2b.wait_ban("mail");
        assert!(f2b.threads("web").is_empty());
        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
        warden.wait_for("config change applied: loaded web; 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
    }

    /// Over starts of jailwarden's own, and where another jail's faulty change waits.
    pub(super) fn a_jail_stopped_by_hand_stays_so(version: Version) {
        let Some((f2b, mut warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        warden.wait_told("STATUS=healthy");
        f2b.edit("filter.d/mail.conf", "fail from", "fail [from");
        warden.wait_for("a change of the config would fail and is not applied");
        assert!(f2b.client(&["stop", "web"]).status.success());
        warden.wait_for("web was stopped by hand and is left alone");
        f2b.edit("filter.d/mail.conf", "fail [from", "fail from");
        warden.wait_told("STATUS=healthy: 1 of 1 jails protect; stopped by hand: web");

        f2b.kill();
        warden.wait_for("web was stopped by hand and is stopped again");
        warden.wait_for("fail2ban protects again");
        assert!(f2b.threads("web").is_empty());
        f2b.wait_ban("mail");

        // It is remembered over jailwarden's own end, and a jail that somebody starts is not stopped again.
        warden.kill();
        let warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_told("STATUS=healthy: 1 of 1 jails protect; stopped by hand: web");
        f2b.kill();
        warden.wait_for("web was stopped by hand and is stopped again");
        warden.wait_for("fail2ban protects again");
        assert!(f2b.threads("web").is_empty());
        assert!(
            f2b.client(&["reload", "--if-exists", "web"])
                .status
                .success()
        );
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
    }

    /// It dies while the old daemon takes its time to stop, as it was told to.
    pub(super) fn a_supervisor_killed_half_way_goes_on_where_it_was(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        let (asked, may_end) = (f2b.path("asked"), f2b.path("may-end"));
        f2b.jail("mail", &JailSpec::default());
        f2b.jail("web", &JailSpec::default());
        let slow = format!(
            "actionstop = touch {}; until test -e {}; do sleep 0.1; done\n",
            asked.display(),
            may_end.display()
        );
        let mark = fs::read_to_string(f2b.config().join("action.d/mark.conf")).unwrap();
        f2b.write("action.d/mark.conf", &(mark + &slow));
        f2b.start();
        let old = f2b.pid();
        let mut warden = Warden::start(&f2b, &settings(SHORT));
        warden.wait_for("supervision begins");
        fs::remove_file(f2b.socket()).unwrap();
        wait_until(GUARD, || asked.exists().then_some(())).expect("it is told to stop");
        warden.kill();
        fs::write(&may_end, "").unwrap();
        wait_until(GUARD, || test_kill_process(old).err()).expect("it ends");
        assert!(!f2b.pid_file().exists(), "as after a stop on purpose");

        let warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_for("jailwarden was interrupted while restarting it");
        warden.wait_for("fail2ban protects again");
        f2b.wait_bans(&["mail", "web"]);
    }

    pub(super) fn the_supervisor_ends_and_leaves_the_daemon_alone(version: Version) {
        let Some((f2b, mut warden)) = supervised(version, &["web"], LONG) else {
            return;
        };
        warden.wait_told("READY=1");
        let before = f2b.pid();
        let asked = Instant::now();
        assert_eq!(warden.end(), 0);
        // It has one second; the rest is for a loaded machine.
        assert!(asked.elapsed() < Duration::from_secs(5));
        assert_eq!(warden.told().last().unwrap(), "STOPPING=1");
        f2b.wait_ban("web");
        assert_eq!(f2b.pid(), before);

        // In the middle of work it ends as well, and a daemon that it started lives on.
        let mut warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_for("supervision begins");
        f2b.kill();
        warden.wait_for("fail2ban protects again");
        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
        warden.wait_told("STATUS=settling");
        assert_eq!(warden.end(), 0);
        f2b.wait_ban("web");
        assert_ne!(f2b.pid(), before);
    }

    pub(super) fn the_settings_are_read_again(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["web"], LONG) else {
            return;
        };
        let file = Warden::settings_file(&f2b);
        let old = fs::read_to_string(&file).unwrap();
        warden.wait_told("READY=1");
        fs::write(&file, old.replace("settle: 100ms", "settle: 10 parsecs")).unwrap();
        warden.signal(Signal::HUP);
        let said = warden.wait_for("the new settings are faulty, the old ones stay");
        let line = 1 + old.lines().position(|l| l.starts_with("settle")).unwrap();
        assert!(
            said.contains(&format!("{}:{line}:", file.display())),
            "{said}"
        );
        warden.wait_told("RELOADING=1");
        warden.wait_told("MONOTONIC_USEC=");
        warden.wait_told("READY=1");

        fs::write(&file, old.replace("settle: 100ms", "settle: 200ms")).unwrap();
        warden.signal(Signal::HUP);
        warden.wait_for("the settings were read again");
        warden.wait_told("RELOADING=1");
        warden.wait_told("READY=1");
        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
        warden.wait_for("config change applied: loaded web");
        f2b.kill();
        warden.wait_for("fail2ban protects again");
        f2b.wait_ban("web");
    }
}
