//! A config that the daemon cannot start with: the culprit is disabled, and the others ban.

use crate::on_each_release;

on_each_release! {
    the_last_changed_jail_is_rolled_back
    what_is_known_to_be_faulty_is_rolled_back_before_the_start
    two_faulty_jails_are_both_rolled_back
    a_daemon_that_was_down_from_the_beginning_is_brought_up
    a_file_that_no_rollback_can_mend_disables_no_jail
    an_innocent_jail_is_not_rolled_back
    a_rollback_that_did_not_help_does_not_stay
    a_later_file_that_enables_a_disabled_jail_is_named
    a_rollback_that_a_later_file_overrules_gives_way_to_the_last_good_files
    what_no_rollback_can_mend_gets_its_last_good_content_back
    no_file_is_replaced_against_the_settings
    a_config_folder_that_was_moved_away_is_put_back
}

mod scenario {
    use std::fs;

    use jailwarden::history::Store;

    use crate::support::admins_files;
    use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
    use crate::{LONG, SHORT, give_time, settings, supervised};

    const BAD: &str = "fail [from";
    const SOUND: &str = "fail from";

    /// The change and the crash come at once, so the fault is not yet known when it is started.
    pub(super) fn the_last_changed_jail_is_rolled_back(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], SHORT) else {
            return;
        };
        f2b.edit("filter.d/web.conf", SOUND, BAD);
        f2b.kill();
        let said = warden.wait_for("web disabled so that the others can run");
        assert!(said.contains("jail.d/zzz-jailwarden-web.local"), "{said}");
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: web");
        f2b.wait_ban("mail");
        assert!(f2b.threads("web").is_empty());
        let rollback = fs::read_to_string(f2b.rollback("web")).unwrap();
        assert!(
            rollback.contains("\n[web]\nenabled = false\n"),
            "{rollback}"
        );

        f2b.edit("filter.d/web.conf", BAD, SOUND);
        fs::remove_file(f2b.rollback("web")).unwrap();
        warden.wait_for("the rollback of web was removed");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
    }

    pub(super) fn what_is_known_to_be_faulty_is_rolled_back_before_the_start(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        fs::remove_file(f2b.jail_log("web")).unwrap();
        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
        warden.wait_for("is not applied");
        let starts = f2b.logged("Starting Fail2ban");
        f2b.kill();
        warden.wait_for("web disabled so that the others can run");
        warden.wait_for("fail2ban protects again");
        f2b.wait_ban("mail");
        assert_eq!(
            f2b.logged("Starting Fail2ban"),
            starts + 1,
            "one start is enough"
        );
    }

    pub(super) fn two_faulty_jails_are_both_rolled_back(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["a", "mail", "web"], SHORT) else {
            return;
        };
        f2b.edit("filter.d/a.conf", SOUND, BAD);
        f2b.edit("filter.d/web.conf", SOUND, BAD);
        f2b.kill();
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: a, web");
        f2b.wait_ban("mail");
        assert!(f2b.rollback("a").exists() && f2b.rollback("web").exists());
        assert!(!f2b.rollback("mail").exists());
    }

    pub(super) fn a_daemon_that_was_down_from_the_beginning_is_brought_up(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        f2b.jail("mail", &JailSpec::default());
        f2b.jail("web", &JailSpec::default());
        f2b.start();
        f2b.kill();
        f2b.edit(
            "jail.d/web.conf",
            "maxretry = 3",
            "maxretry = 3\nfailregex = fail [from <HOST>",
        );
        assert!(!f2b.try_start().status.success());
        f2b.kill();

        let warden = Warden::start(&f2b, &settings(SHORT));
        warden.wait_for("web disabled so that the others can run");
        warden.wait_for("fail2ban protects again");
        f2b.wait_ban("mail");
        assert!(f2b.rollback("web").exists() && !f2b.rollback("mail").exists());
    }

    pub(super) fn a_file_that_no_rollback_can_mend_disables_no_jail(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], SHORT) else {
            return;
        };
        f2b.edit("jail.d/web.conf", "[web]", "junk\n[web]");
        let said = warden.wait_for("is not applied");
        assert!(said.contains("jail.d/web.conf:1:"), "{said}");
        f2b.kill();
        warden.wait_for("fail2ban is down and does not come back");
        assert!(!f2b.rollback("web").exists() && !f2b.rollback("mail").exists());
        f2b.edit("jail.d/web.conf", "junk\n[web]", "[web]");
        warden.wait_for("fail2ban protects again");
        f2b.wait_bans(&["mail", "web"]);
    }

    /// Nothing is remembered, and the fault is not in the jail file that changed last.
    pub(super) fn an_innocent_jail_is_not_rolled_back(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        f2b.jail("mail", &JailSpec::default());
        f2b.jail("web", &JailSpec::default());
        f2b.start();
        f2b.kill();
        f2b.edit("filter.d/web.conf", SOUND, BAD);
        f2b.edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 2");
        let warden = Warden::start(&f2b, &settings(SHORT));
        warden.wait_for("web disabled so that the others can run");
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: web");
        f2b.wait_ban("mail");
        assert!(!f2b.rollback("mail").exists());
    }

    /// What keeps it down is nothing that a check of the config can find, and no jail.
    pub(super) fn a_rollback_that_did_not_help_does_not_stay(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        f2b.jail("mail", &JailSpec::default());
        f2b.jail("web", &JailSpec::default());
        let warden = Warden::start_with(&f2b, &["false".to_owned()], &settings("1s"));
        warden.wait_for("disabled so that the others can run");
        warden.wait_for("fail2ban is down and does not come back");
        warden.wait_for("did not help, so it is taken back");
        assert!(!f2b.rollback("mail").exists() && !f2b.rollback("web").exists());
        f2b.start();
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
    }

    const MINE: &str = "jail.d/zzzz-mine.local";

    /// A fail2ban with two jails and a file that sorts after our rollbacks, whose config is the last good
    /// one.
    fn good(version: Version, settings: &str, mine: &str) -> Option<(Fail2ban, Warden)> {
        let f2b = Fail2ban::new(version)?;
        f2b.jail("mail", &JailSpec::default());
        f2b.jail("web", &JailSpec::default());
        f2b.write(MINE, mine);
        f2b.keep_as_good();
        f2b.start();
        let warden = Warden::start(&f2b, settings);
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        Some((f2b, warden))
    }

    /// The jail that is to blame is left out all the same, and runs again once it is mended.
    pub(super) fn a_later_file_that_enables_a_disabled_jail_is_named(version: Version) {
        let mine = "# mine\n[web]\nenabled = true\n";
        let Some((f2b, warden)) = good(version, &settings(LONG), mine) else {
            return;
        };
        let starts = f2b.logged("Starting Fail2ban");
        f2b.edit("filter.d/web.conf", SOUND, BAD);
        warden.wait_for("is not applied");
        f2b.kill();
        let said = warden.wait_for("web stays disabled by its rollback");
        assert!(said.contains("jail.d/zzzz-mine.local:3 enables"), "{said}");
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: web");
        f2b.wait_ban("mail");
        assert!(f2b.threads("web").is_empty());
        assert_eq!(f2b.logged("Starting Fail2ban"), starts + 1);

        f2b.edit("filter.d/web.conf", BAD, SOUND);
        warden.wait_for("web passed a trial");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
    }

    /// Nothing that the rollback says counts, so the next rung is taken.
    pub(super) fn a_rollback_that_a_later_file_overrules_gives_way_to_the_last_good_files(
        version: Version,
    ) {
        let mine = "# mine\n[web]\nenabled = true\nfilter = web\nbackend = polling\n";
        let Some((f2b, warden)) = good(version, &settings(LONG), mine) else {
            return;
        };
        let files = admins_files(&f2b.config());
        let starts = f2b.logged("Starting Fail2ban");
        f2b.edit("filter.d/web.conf", SOUND, BAD);
        warden.wait_for("is not applied");
        f2b.kill();
        let said = warden.wait_for("web could not be disabled");
        assert!(said.contains("jail.d/zzzz-mine.local:3 enables"), "{said}");
        let said = warden.wait_for("the last good content of");
        assert!(
            said.contains("filter.d/web.conf was put back so that"),
            "{said}"
        );
        let said = warden.wait_for("fail2ban protects again");
        assert!(!said.contains("disabled for it"), "{said}");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
        assert!(!f2b.rollback("web").exists());
        assert_eq!(admins_files(&f2b.config()), files);
        assert_eq!(f2b.logged("Starting Fail2ban"), starts + 1);
    }

    /// The daemon's own settings, and those of all jails.
    pub(super) fn what_no_rollback_can_mend_gets_its_last_good_content_back(version: Version) {
        let Some((f2b, warden)) = good(version, &settings(LONG), "") else {
            return;
        };
        let files = admins_files(&f2b.config());
        for (file, junk) in [
            ("fail2ban.local", "junk\n"),
            ("jail.local", "[DEFAULT]\nfindtime = 10 parsecs\n"),
        ] {
            let starts = f2b.logged("Starting Fail2ban");
            f2b.write(file, junk);
            f2b.kill();
            let said = warden.wait_for(&format!("{file} was put back so that"));
            assert!(said.contains("jailwarden restore "), "{said}");
            warden.wait_for("fail2ban protects again");
            f2b.wait_bans(&["mail", "web"]);
            assert_eq!(admins_files(&f2b.config()), files);
            assert!(!f2b.rollback("mail").exists() && !f2b.rollback("web").exists());
            assert_eq!(f2b.logged("Starting Fail2ban"), starts + 1);
        }
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
    }

    /// What was moved away stays as it is, and jailwarden's own restore makes way for it.
    pub(super) fn a_config_folder_that_was_moved_away_is_put_back(version: Version) {
        let Some((f2b, warden)) = good(version, &settings(LONG), "") else {
            return;
        };
        let (config, away) = (f2b.config(), f2b.path("away"));
        let files = admins_files(&config);
        fs::rename(&config, &away).unwrap();
        f2b.kill();
        let said = warden.wait_for("was gone as a whole");
        assert!(said.contains("jailwarden restore "), "{said}");
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
        assert_eq!(admins_files(&config), files);

        // As the journal says: the way is free then, and the daemon keeps what it has.
        let (_, id) = said.split_once("jailwarden restore ").unwrap();
        let id = id.split_whitespace().next().unwrap();
        Store::open(&f2b.path("state"), "jailwarden")
            .restore_rejected(id, "a test")
            .unwrap();
        assert!(!config.exists());
        fs::rename(&away, &config).unwrap();
        f2b.edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 2");
        warden.wait_for("config change applied: loaded mail");
        f2b.wait_bans(&["mail", "web"]);
        assert_eq!(f2b.servers(), 1);
    }

    pub(super) fn no_file_is_replaced_against_the_settings(version: Version) {
        let forbidding = settings("3s") + "  replace_files: false\n";
        let Some((f2b, warden)) = good(version, &forbidding, "") else {
            return;
        };
        f2b.write("jail.local", "junk\n");
        let said = warden.wait_for("is not applied");
        assert!(said.contains("jail.local:1:"), "{said}");
        f2b.wait_bans(&["mail", "web"]);
        let all = || {
            let names = fs::read_dir(f2b.config().join("jail.d")).unwrap();
            (admins_files(&f2b.config()), names.count())
        };
        let before = all();
        f2b.kill();
        let said = warden.wait_for("Nothing protects this host");
        assert!(said.contains("jail.local:1:"), "{said}");
        assert_eq!(all(), before);

        f2b.write("jail.local", "other junk\n");
        let before = all();
        warden.wait_for("jailwarden tries to start fail2ban once more");
        warden.wait_told("STATUS=gave up: fail2ban is DOWN (tried 2 times)");
        assert_eq!(all(), before);
        assert!(!f2b.path("state/rejected").exists());

        give_time(&f2b, &warden, "3s");
        fs::remove_file(f2b.config().join("jail.local")).unwrap();
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
    }
}
