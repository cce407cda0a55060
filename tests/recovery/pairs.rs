//! Two faults in a row, the second in the middle of what is done about the first.

use crate::on_each_release;

on_each_release! {
    a_bad_edit_during_a_restart
    a_hang_during_a_reload
    a_mend_during_a_rollback
    a_second_bad_edit_before_the_first_is_mended
    an_end_of_jailwarden_in_the_middle_of_an_incident
}

mod scenario {
    use std::fs;
    use std::time::{Duration, Instant};

    use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
    use crate::support::{GUARD, admins_files, wait_until};
    use crate::{LONG, settings};

    const BAD: &str = "fail [from";
    const SOUND: &str = "fail from";

    /// An action whose end begins (`asked` is there) and goes on until `may-end` is.
    fn slow_to_stop(f2b: &Fail2ban) {
        let slow = format!(
            "actionstop = touch {}; until test -e {}; do sleep 0.1; done\n",
            f2b.path("asked").display(),
            f2b.path("may-end").display()
        );
        let mark = fs::read_to_string(f2b.config().join("action.d/mark.conf")).unwrap();
        f2b.write("action.d/mark.conf", &(mark + &slow));
    }

    fn wait_asked(f2b: &Fail2ban) {
        let asked = wait_until(GUARD, || f2b.path("asked").exists().then_some(()));
        asked.expect("an action is told to stop");
    }

    fn with_jails(version: Version, jails: &[&str]) -> Option<Fail2ban> {
        let f2b = Fail2ban::new(version)?;
        for jail in jails {
            f2b.jail(jail, &JailSpec::default());
        }
        Some(f2b)
    }

    /// The all-clear, which names the jails that went unprotected and for how long.
    fn wait_all_clear(warden: &Warden, dark: &[&str]) -> String {
        let said = warden.wait_for("fail2ban protects again after");
        let account = said.split("without protection meanwhile: ").nth(1);
        let account = account.unwrap_or_else(|| panic!("no account: {said}"));
        for jail in dark {
            assert!(account.contains(jail), "{jail}: {said}");
        }
        eprintln!("{said}");
        said
    }

    /// The old daemon takes its time to stop, as it was told to for want of a socket.
    pub(super) fn a_bad_edit_during_a_restart(version: Version) {
        let Some(f2b) = with_jails(version, &["mail", "web"]) else {
            return;
        };
        slow_to_stop(&f2b);
        f2b.start();
        let files = admins_files(&f2b.config());
        // It is restarted after as long, and must be back in that time.
        let warden = Warden::start(&f2b, &settings("15s"));
        warden.wait_for("supervision begins");
        let starts = f2b.logged("Starting Fail2ban");
        fs::remove_file(f2b.socket()).unwrap();
        wait_asked(&f2b);
        f2b.edit("filter.d/web.conf", SOUND, BAD);
        let edited = admins_files(&f2b.config());
        fs::write(f2b.path("may-end"), "").unwrap();

        warden.wait_for("filter.d/web.conf:2:");
        warden.wait_for("web disabled so that the others can run");
        wait_all_clear(&warden, &["mail", "web"]);
        f2b.wait_ban("mail");
        assert_eq!(f2b.logged("Starting Fail2ban"), starts + 1, "one is enough");
        assert!(f2b.rollback("web").exists() && !f2b.rollback("mail").exists());
        assert_eq!(admins_files(&f2b.config()), edited);

        f2b.edit("filter.d/web.conf", BAD, SOUND);
        warden.wait_for("web passed a trial");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
        assert!(!f2b.rollback("web").exists());
        assert_eq!(admins_files(&f2b.config()), files);
    }

    /// A reload waits for an action to end when the filter of another jail meets the line on which
    /// its expression never ends.
    pub(super) fn a_hang_during_a_reload(version: Version) {
        let Some(f2b) = with_jails(version, &["mail", "web"]) else {
            return;
        };
        slow_to_stop(&f2b);
        f2b.edit(
            "filter.d/web.conf",
            "fail from <HOST>",
            "(?:fail from <HOST>|(?:x+x+)+y)$",
        );
        f2b.start();
        let impatient = settings(LONG)
            .replace("timeout: 2s", "timeout: 1s")
            .replace("busy_limit: 5s", "busy_limit: 3s");
        let warden = Warden::start(&f2b, &impatient);
        warden.wait_for("supervision begins");
        f2b.wait_bans(&["mail", "web"]);
        let before = f2b.pid();
        f2b.edit(
            "jail.d/mail.conf",
            "name=\"mail\"",
            "name=\"mail\", actname=\"two\"",
        );
        let edited = admins_files(&f2b.config());
        warden.wait_told("STATUS=reloading");
        wait_asked(&f2b);
        f2b.log_lines("web", &"x".repeat(60), 1);

        let said = warden.wait_for("fail2ban hangs");
        assert!(said.contains(&before.to_string()), "{said}");
        warden.wait_for("web disabled so that the others can run: its filter made fail2ban hang");
        wait_all_clear(&warden, &["mail", "web"]);
        assert_ne!(f2b.pid(), before);
        f2b.wait_ban("mail");
        let actions = f2b.client(&["get", "mail", "actions"]);
        let actions = String::from_utf8_lossy(&actions.stdout).into_owned();
        assert!(actions.contains("two"), "the change counts: {actions}");
        assert!(f2b.rollback("web").exists() && !f2b.rollback("mail").exists());
        assert_eq!(admins_files(&f2b.config()), edited);

        fs::write(f2b.jail_log("web"), "").unwrap();
        f2b.edit("filter.d/web.conf", "|(?:x+x+)+y)$", ")");
        warden.wait_for("web passed a trial");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
    }

    /// The rollback is on its way to the disk, or just there, when the admin saves the mend.
    pub(super) fn a_mend_during_a_rollback(version: Version) {
        let Some(f2b) = with_jails(version, &["mail", "web"]) else {
            return;
        };
        f2b.start();
        let files = admins_files(&f2b.config());
        let warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_for("supervision begins");
        f2b.edit("filter.d/web.conf", SOUND, BAD);
        warden.wait_for("is not applied");
        f2b.kill();
        warden.wait_told("STATUS=rolling-back");
        f2b.edit("filter.d/web.conf", BAD, SOUND);

        warden.wait_for("web disabled so that the others can run");
        wait_all_clear(&warden, &["mail"]);
        warden.wait_for("web passed a trial");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
        assert!(!f2b.rollback("web").exists() && !f2b.rollback("mail").exists());
        assert_eq!(admins_files(&f2b.config()), files);
    }

    /// One fault has cost its jail already, and the next one is saved.
    pub(super) fn a_second_bad_edit_before_the_first_is_mended(version: Version) {
        let Some(f2b) = with_jails(version, &["a", "mail", "web"]) else {
            return;
        };
        f2b.start();
        let files = admins_files(&f2b.config());
        let warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_for("supervision begins");
        f2b.edit("filter.d/web.conf", SOUND, BAD);
        warden.wait_for("is not applied");
        f2b.kill();
        wait_all_clear(&warden, &["a", "mail", "web"]);
        f2b.wait_bans(&["a", "mail"]);

        f2b.edit("filter.d/mail.conf", SOUND, BAD);
        let said = warden.wait_for("is not applied");
        assert!(said.contains("filter.d/mail.conf:2:"), "{said}");
        f2b.wait_bans(&["a", "mail"]);
        assert!(!f2b.rollback("mail").exists(), "it runs with what it had");
        f2b.kill();
        warden.wait_for("mail disabled so that the others can run");
        wait_all_clear(&warden, &["a", "mail"]);
        warden
            .wait_told("STATUS=degraded: 1 of 1 jails protect; disabled by a rollback: mail, web");
        f2b.wait_ban("a");
        assert!(!f2b.rollback("a").exists());

        f2b.edit("filter.d/web.conf", BAD, SOUND);
        warden.wait_for("web passed a trial");
        warden.wait_told("STATUS=degraded: 2 of 2 jails protect; disabled by a rollback: mail");
        f2b.wait_bans(&["a", "web"]);
        f2b.edit("filter.d/mail.conf", BAD, SOUND);
        warden.wait_for("mail passed a trial");
        warden.wait_told("STATUS=healthy: 3 of 3 jails protect");
        f2b.wait_bans(&["a", "mail", "web"]);
        assert_eq!(admins_files(&f2b.config()), files);
    }

    /// The next jailwarden ends what the first one could not, and knows for how long it lasted.
    pub(super) fn an_end_of_jailwarden_in_the_middle_of_an_incident(version: Version) {
        let Some(f2b) = with_jails(version, &["mail", "web"]) else {
            return;
        };
        f2b.start();
        let mut warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_for("supervision begins");
        f2b.kill();
        // That the config starts is remembered, although it ends at once.
        wait_all_clear(&warden, &["mail", "web"]);
        warden.end();

        let mut warden = Warden::start_with(&f2b, &["false".to_owned()], &settings("1s"));
        warden.wait_for("supervision begins");
        f2b.kill();
        warden.wait_for("fail2ban is down");
        let down = Instant::now();
        warden.wait_for("fail2ban is down and does not come back");
        warden.kill();
        let warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_for("supervision begins: fail2ban is not running");
        let at_least = down.elapsed();
        let said = wait_all_clear(&warden, &["mail", "web"]);
        let lasted = said.split("again after ").nth(1).unwrap();
        let lasted: f64 = lasted.split(' ').next().unwrap().parse().unwrap();
        // It is told in tenths.
        let told = Duration::from_secs_f64(lasted + 0.05);
        assert!(told >= at_least, "it lasted {at_least:?} before: {said}");
        f2b.wait_bans(&["mail", "web"]);
        assert!(!f2b.rollback("web").exists() && !f2b.rollback("mail").exists());
    }
}
