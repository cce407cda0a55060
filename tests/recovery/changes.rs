//! Changes of the config: what is sound reaches the daemon, what is not never does.

use crate::on_each_release;

on_each_release! {
    a_sound_change_touches_its_own_jail_alone
    jails_come_and_go
    what_does_not_differ_is_not_reloaded
    a_filter_that_does_not_compile_never_reaches_the_daemon
    two_filters_that_do_not_compile_never_reach_the_daemon
    a_fault_that_fail2ban_names_never_reaches_the_daemon
    a_file_that_is_not_text_never_reaches_the_daemon
    of_three_changed_jails_the_faulty_one_waits
    an_action_that_is_renamed_is_started
    a_word_that_is_neither_true_nor_false_is_told_and_holds_nothing_back
    a_server_wide_change_touches_no_jail
    a_jail_is_taken_up_when_its_log_appears
}

/// Earlier releases do not know `skip_if_nologs`.
#[test]
fn a_jail_that_may_wait_for_its_log_does_so_in_silence() {
    scenario::a_jail_that_may_wait_for_its_log_does_so_in_silence();
}

#[test]
fn a_config_that_is_too_long_to_be_read_is_no_faulty_one() {
    scenario::a_config_that_is_too_long_to_be_read_is_no_faulty_one();
}

mod scenario {
    use std::fs;
    use std::process::Command;
    use std::time::Duration;

    use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
    use crate::support::{GUARD, wait_until};
    use crate::{LONG, settings, supervised};

    pub(super) fn a_sound_change_touches_its_own_jail_alone(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let (mail, web) = (f2b.threads("mail"), f2b.threads("web"));
        assert_eq!((mail.len(), web.len()), (2, 2));
        let half = f2b.fresh_ip();
        f2b.log_lines("mail", &format!("fail from {half}"), 2);
        f2b.wait_logged(&format!("[mail] Found {half}"), 2);

        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 1");
        warden.wait_for("config change applied: loaded web");
        let once = f2b.fresh_ip();
        f2b.log_lines("web", &format!("fail from {once}"), 1);
        assert!(f2b.is_banned_within(crate::support::GUARD, "web", &once));

        f2b.write(
            "filter.d/web.conf",
            "[Definition]\nfailregex = denied to <HOST>\ndatepattern = {^LN-BEG}EPOCH\n",
        );
        warden.wait_for("config change applied: loaded web");
        let other = f2b.fresh_ip();
        f2b.log_lines("web", &format!("denied to {other}"), 1);
        assert!(f2b.is_banned_within(crate::support::GUARD, "web", &other));

        let third = f2b.fresh_ip();
        f2b.edit(
            "jail.d/web.conf",
            "action = ",
            "action = mark[name=\"two\", actname=\"two\"]\n ",
        );
        warden.wait_for("config change applied: restarted web");
        f2b.log_lines("web", &format!("denied to {third}"), 1);
        assert!(f2b.is_banned_within(crate::support::GUARD, "web", &third));
        assert!(f2b.is_banned_within(crate::support::GUARD, "two", &third));

        assert_eq!(f2b.threads("mail"), mail, "mail was touched");
        f2b.log_lines("mail", &format!("fail from {half}"), 1);
        assert!(
            f2b.is_banned_within(crate::support::GUARD, "mail", &half),
            "its third failure bans, so the two before it were kept"
        );
    }

    pub(super) fn jails_come_and_go(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let mail = f2b.threads("mail");
        f2b.jail("new", &JailSpec::default());
        warden.wait_for("config change applied: loaded new; 3 jails protect");
        f2b.wait_bans(&["new", "mail", "web"]);

        fs::remove_file(f2b.config().join("jail.d/web.conf")).unwrap();
        warden.wait_for("config change applied: stopped web; 2 jails protect");
        assert!(f2b.threads("web").is_empty());
        f2b.edit("jail.d/new.conf", "enabled = true", "enabled = false");
        warden.wait_for("config change applied: stopped new; 1 jail protect");
        assert!(f2b.threads("new").is_empty());
        assert_eq!(f2b.threads("mail"), mail);
        f2b.wait_ban("mail");
    }

    pub(super) fn a_word_that_is_neither_true_nor_false_is_told_and_holds_nothing_back(
        version: Version,
    ) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let mail = f2b.threads("mail");
        f2b.edit("jail.d/web.conf", "enabled = true", "enabled = ture");
        warden.wait_for("/jail.d/web.conf:2: jail web: `enabled = ture` is read as false");
        warden.wait_for("config change applied: stopped web; 1 jail protect");
        f2b.edit("jail.d/mail.conf", "maxretry = 3", "maxretry = 1");
        warden.wait_for("config change applied: loaded mail");
        assert_eq!(f2b.threads("mail"), mail);
        f2b.wait_ban("mail");

        f2b.edit("jail.d/web.conf", "enabled = ture", "enabled = true");
        warden.wait_for("config change applied: loaded web; 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
        let told = warden.lines();
        let told = told.iter().filter(|line| line.contains("is read as false"));
        assert_eq!(told.count(), 1);
    }

    /// Editors save in place, over a new file, or beside the old one.
    pub(super) fn what_does_not_differ_is_not_reloaded(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["web"], LONG) else {
            return;
        };
        let file = f2b.config().join("jail.d/web.conf");
        let sh = |script: &str| {
            let done = Command::new("sh")
                .args(["-ec", script, "sh"])
                .arg(&file)
                .status();
            assert!(done.unwrap().success());
        };
        for (script, retries) in [
            ("sed -i s/^maxretry.*/maxretry=1/ \"$1\"", 1),
            (
                "sed s/^maxretry.*/maxretry=3/ \"$1\" > \"$1.new\"; mv \"$1.new\" \"$1\"",
                3,
            ),
            (
                "mv \"$1\" \"$1~\"; sed s/^maxretry.*/maxretry=2/ \"$1~\" > \"$1\"; rm \"$1~\"",
                2,
            ),
        ] {
            sh(script);
            warden.wait_for("config change applied: loaded web");
            let ip = f2b.fresh_ip();
            f2b.log_lines("web", &format!("fail from {ip}"), retries);
            assert!(f2b.is_banned_within(crate::support::GUARD, "web", &ip));
        }

        let reloads = f2b.logged("Reload jail");
        for in_vain in [
            "touch \"$1\"",
            "cp \"$1\" \"$1~\"; cat \"$1~\" > \"$1\"; rm \"$1~\"",
            "cp \"$1\" \"$1.new\"; mv \"$1.new\" \"$1\"",
            "sed -i s/nothing/of-it/ \"$1\"",
        ] {
            warden.wait_calm();
            sh(in_vain);
            warden.wait_told("STATUS=settling");
            warden.wait_told("STATUS=healthy");
        }
        assert_eq!(f2b.logged("Reload jail"), reloads, "{}", f2b.log_text());
        assert_eq!(warden.rest(), [""; 0]);
    }

    pub(super) fn a_filter_that_does_not_compile_never_reaches_the_daemon(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let (pid, mail, web) = (f2b.pid(), f2b.threads("mail"), f2b.threads("web"));
        f2b.edit("filter.d/web.conf", "fail from", "fail (from");
        let said = warden.wait_for("is not applied");
        assert!(
            said.contains("filter.d/web.conf:2: jail web: failregex: Unable to compile"),
            "{said}"
        );
        warden.wait_told("STATUS=degraded: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
        assert_eq!(f2b.threads("web"), web);

        f2b.edit("filter.d/web.conf", "fail (from", "failure from");
        warden.wait_for("config change applied: loaded web");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        let ip = f2b.fresh_ip();
        f2b.log_lines("web", &format!("failure from {ip}"), 3);
        assert!(f2b.is_banned_within(crate::support::GUARD, "web", &ip));
        f2b.wait_ban("mail");
        assert_eq!((f2b.pid(), f2b.threads("mail")), (pid, mail));
    }

    pub(super) fn two_filters_that_do_not_compile_never_reach_the_daemon(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["a", "mail", "web"], LONG) else {
            return;
        };
        let (pid, mail) = (f2b.pid(), f2b.threads("mail"));
        f2b.edit("filter.d/a.conf", "fail from", "fail (from");
        f2b.edit("filter.d/web.conf", "fail from", "fail [from");
        // Two writes are one burst or two.
        warden
            .wait_told("STATUS=degraded: 3 of 3 jails protect; a faulty change waits for: a, web");
        f2b.wait_bans(&["a", "mail", "web"]);
        assert_eq!((f2b.pid(), f2b.threads("mail")), (pid, mail));

        f2b.edit("filter.d/a.conf", "fail (from", "fail from");
        warden.wait_told("STATUS=degraded: 3 of 3 jails protect; a faulty change waits for: web");
        f2b.edit("filter.d/web.conf", "fail [from", "fail from");
        warden.wait_told("STATUS=healthy: 3 of 3 jails protect");
        f2b.wait_bans(&["a", "mail", "web"]);
    }

    pub(super) fn of_three_changed_jails_the_faulty_one_waits(version: Version) {
        let jails = ["a", "calm", "mail", "web"];
        let Some((f2b, warden)) = supervised(version, &jails, LONG) else {
            return;
        };
        let (calm, mail) = (f2b.threads("calm"), f2b.threads("mail"));
        f2b.edit("filter.d/mail.conf", "fail from", "fail (from");
        for jail in ["a", "web"] {
            f2b.edit(
                &format!("jail.d/{jail}.conf"),
                "maxretry = 3",
                "maxretry = 1",
            );
        }
        // Three writes are one burst or several.
        let at_once = |jail| {
            wait_until(GUARD, || {
                let ip = f2b.fresh_ip();
                f2b.log_lines(jail, &format!("fail from {ip}"), 1);
                f2b.is_banned_within(Duration::from_secs(1), jail, &ip)
                    .then_some(())
            })
        };
        assert!(at_once("a").is_some() && at_once("web").is_some());
        warden.wait_told("STATUS=degraded: 4 of 4 jails protect; a faulty change waits for: mail");
        f2b.wait_bans(&jails);
        assert_eq!((f2b.threads("calm"), f2b.threads("mail")), (calm, mail));
        let refused = warden.lines().join("\n");
        assert!(
            refused.contains("filter.d/mail.conf:2: jail mail: "),
            "{refused}"
        );
        assert!(!refused.contains("jail a: ") && !refused.contains("jail web: "));
    }

    /// A plain reload leaves it unstarted (fail2ban issue 3860): it would find and never ban.
    pub(super) fn an_action_that_is_renamed_is_started(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let mail = f2b.threads("mail");
        f2b.edit(
            "jail.d/web.conf",
            "mark[name=\"web\"]",
            "mark[name=\"web\", actname=\"renamed\"]",
        );
        warden.wait_for("config change applied: restarted web");
        f2b.wait_ban("web");
        assert_eq!(f2b.threads("mail"), mail);
    }

    pub(super) fn a_server_wide_change_touches_no_jail(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let threads = || (f2b.pid(), f2b.threads("mail"), f2b.threads("web"));
        let before = threads();
        let get = || String::from_utf8(f2b.client(&["get", "dbpurgeage"]).stdout).unwrap();
        assert!(!get().contains("172800"));
        let settings = fs::read_to_string(f2b.config().join("fail2ban.local")).unwrap();
        f2b.write("fail2ban.local", &format!("{settings}dbpurgeage = soon\n"));
        let said = warden.wait_for("is not applied");
        let line = settings.lines().count() + 1;
        assert!(said.contains(&format!("fail2ban.local:{line}: ")), "{said}");
        f2b.write("fail2ban.local", &format!("{settings}dbpurgeage = 2d\n"));
        warden.wait_for("config change applied: server settings set");
        assert!(get().contains("172800"), "{}", get());
        f2b.wait_bans(&["mail", "web"]);
        assert_eq!(threads(), before);
    }

    pub(super) fn a_jail_is_taken_up_when_its_log_appears(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail"], LONG) else {
            return;
        };
        let mail = f2b.threads("mail");
        let without = JailSpec {
            with_log: false,
            ..JailSpec::default()
        };
        f2b.jail("new", &without);
        let said = warden.wait_for("is not applied");
        assert!(
            said.contains("jail new: Have not found any log file"),
            "{said}"
        );
        f2b.wait_ban("mail");
        fs::write(f2b.jail_log("new"), "").unwrap();
        warden.wait_for("config change applied: loaded new; 2 jails protect");
        f2b.wait_bans(&["mail", "new"]);
        assert_eq!(f2b.threads("mail"), mail);
    }

    pub(super) fn a_jail_that_may_wait_for_its_log_does_so_in_silence() {
        let Some((f2b, warden)) = supervised(Version::V111, &["mail"], LONG) else {
            return;
        };
        warden.wait_calm();
        let without = JailSpec {
            with_log: false,
            extra: "skip_if_nologs = true",
            ..JailSpec::default()
        };
        f2b.jail("new", &without);
        warden.wait_told("STATUS=settling");
        warden.wait_told("STATUS=healthy: 1 of 1 jails protect");
        assert_eq!(warden.rest(), [""; 0]);
        fs::write(f2b.jail_log("new"), "").unwrap();
        warden.wait_for("config change applied: loaded new; 2 jails protect");
        f2b.wait_bans(&["mail", "new"]);
    }

    fn line_of(text: &str, option: &str) -> usize {
        text.lines()
            .position(|line| line.starts_with(option))
            .unwrap()
    }

    /// Each fault is put on disk, told, and mended, in one daemon's life.
    pub(super) fn a_fault_that_fail2ban_names_never_reaches_the_daemon(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let (pid, mail, web) = (f2b.pid(), f2b.threads("mail"), f2b.threads("web"));
        let file = "jail.d/web.conf";
        let sound = fs::read_to_string(f2b.config().join(file)).unwrap();
        let junk_line = 1 + sound.trim_end().lines().count();
        for (faulty, expected) in [
            (
                sound.replace("filter = web", "filter = nowhere"),
                format!("{file}:{}: jail web: ", 1 + line_of(&sound, "filter")),
            ),
            (
                sound.replace("web.log", "nowhere.log"),
                "jail web: Have not found any log file".to_owned(),
            ),
            (
                format!("{}\nthis is junk\n", sound.trim_end()),
                format!("{file}:{junk_line}: "),
            ),
        ] {
            let reloads = f2b.logged("Reload jail");
            f2b.write(file, &faulty);
            let said = warden.wait_for("is not applied");
            assert!(said.contains(&expected), "no {expected:?} in {said:?}");
            warden.wait_told("STATUS=degraded: 2 of 2 jails protect");
            assert_eq!(f2b.logged("Reload jail"), reloads, "{}", f2b.log_text());

            f2b.write(file, &sound);
            warden.wait_for("is mended or withdrawn");
            warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        }
        f2b.write(
            "jail.d/zz.conf",
            "[new]\nenabled = true\nfilter = nowhere\n",
        );
        let said = warden.wait_for("is not applied");
        assert!(said.contains("jail.d/zz.conf:3: jail new: "), "{said}");
        f2b.jail("new", &JailSpec::default());
        fs::remove_file(f2b.config().join("jail.d/zz.conf")).unwrap();
        warden.wait_for("config change applied: loaded new");
        f2b.wait_bans(&["mail", "new", "web"]);
        let now = (f2b.pid(), f2b.threads("mail"), f2b.threads("web"));
        assert_eq!(now, (pid, mail, web), "the live daemon was touched");
    }

    /// 1.0.2 passes such a file over with exit status 0, so a reload would stop the jail in it.
    pub(super) fn a_file_that_is_not_text_never_reaches_the_daemon(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let (pid, mail, web) = (f2b.pid(), f2b.threads("mail"), f2b.threads("web"));
        let file = f2b.config().join("jail.d/web.conf");
        let sound = fs::read(&file).unwrap();
        fs::write(&file, [&sound[..], b"# caf\xe9\n"].concat()).unwrap();
        let said = warden.wait_for("is not applied");
        assert!(said.contains(&file.display().to_string()), "{said}");
        warden.wait_told("STATUS=degraded: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);

        fs::write(&file, [&sound[..], b"maxretry = 1\n"].concat().as_slice()).unwrap();
        let said = warden.wait_for("is not applied");
        assert!(said.contains("maxretry"), "a doubled option: {said}");
        fs::write(
            &file,
            String::from_utf8(sound)
                .unwrap()
                .replace("maxretry = 3", "maxretry = 1"),
        )
        .unwrap();
        warden.wait_for("config change applied: loaded web");
        let ip = f2b.fresh_ip();
        f2b.log_lines("web", &format!("fail from {ip}"), 1);
        assert!(f2b.is_banned_within(crate::support::GUARD, "web", &ip));
        f2b.wait_ban("mail");
        let now = (f2b.pid(), f2b.threads("mail"), f2b.threads("web"));
        assert_eq!(now, (pid, mail, web), "the live daemon was touched");
    }

    /// Whether it runs, or has to be started.
    pub(super) fn a_config_that_is_too_long_to_be_read_is_no_faulty_one() {
        let Some(mut f2b) = Fail2ban::new(Version::V102) else {
            return;
        };
        for jail in ["mail", "web"] {
            f2b.jail(jail, &JailSpec::default());
        }
        let long = f2b.path("long");
        let script = format!("test ! -e {} || exec yes \"['set']\"", long.display());
        f2b.wrap_client("long-client", &script);
        f2b.start();
        let warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_for("supervision begins");
        let threads = f2b.threads("web");

        fs::write(&long, "").unwrap();
        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 1");
        let said = warden.wait_for("could not be checked, so it is not applied");
        assert!(said.contains("this is no fault of the config"), "{said}");
        f2b.wait_bans(&["mail", "web"]);
        assert_eq!(f2b.threads("web"), threads);

        f2b.kill();
        warden.wait_for("fail2ban protects again");
        f2b.wait_bans(&["mail", "web"]);
        let text = fs::read_to_string(f2b.config().join("jail.d/web.conf")).unwrap();
        assert!(text.contains("maxretry = 1"), "{text}");
        assert!(!f2b.rollback("web").exists() && !f2b.rollback("mail").exists());

        fs::remove_file(&long).unwrap();
        f2b.edit("jail.d/web.conf", "maxretry = 1", "maxretry = 2");
        // What it was started with was never read.
        warden.wait_for("config change applied: loaded mail, web");
        f2b.wait_bans(&["mail", "web"]);
    }
}
