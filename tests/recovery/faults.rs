//! Faults of the running daemon: it is brought back, and only where it has to be.

use crate::on_each_release;
use crate::support::daemon::Version;

on_each_release! {
    a_killed_daemon_is_started_again
    a_stopped_process_is_continued
    a_hung_daemon_is_killed_and_started_again
    a_daemon_without_its_socket_file_is_restarted
    a_missing_pid_file_is_no_fault
    a_jail_with_a_dead_thread_is_revived_alone
    a_jail_that_reads_no_log_is_healed_alone
    a_daemon_that_may_open_no_more_files_is_restarted
    a_daemon_that_ends_since_it_may_open_no_file_is_started_again
}

#[test]
fn a_daemon_that_dies_again_and_again_is_not_started_for_ever() {
    scenario::a_daemon_that_dies_again_and_again_is_not_started_for_ever(Version::V102);
}

#[test]
fn the_time_without_protection_is_told_as_it_was() {
    scenario::the_time_without_protection_is_told_as_it_was(Version::V102);
}

#[test]
#[ignore = "half a minute more; JAILWARDEN_ALL=1 make test"]
fn a_log_that_only_another_process_sees_has_fail2ban_restarted() {
    scenario::a_log_that_only_another_process_sees_has_fail2ban_restarted();
}

#[test]
fn a_jail_whose_action_blocks_is_disabled_v1_0_2() {
    scenario::a_jail_whose_action_blocks_is_disabled(Version::V102);
}

#[test]
#[ignore = "a minute more; JAILWARDEN_ALL=1 make test"]
fn a_jail_whose_action_blocks_is_disabled_v1_1_1() {
    scenario::a_jail_whose_action_blocks_is_disabled(Version::V111);
}

/// It takes the processor for seconds each time, so one release has to do. `tests/host/slow.rs` has the same
/// with less to load.
#[test]
#[ignore = "the processor for ten seconds, and no machine under load; JAILWARDEN_ALL=1 make test"]
fn a_start_with_much_to_load_is_waited_for() {
    scenario::a_start_with_much_to_load_is_waited_for();
}

mod scenario {
    use std::fmt::Write as _;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};
    use std::{fs, thread};

    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    use nix::unistd::geteuid;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};

    use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
    use crate::support::{GUARD, skip, wait_until};
    use crate::{LONG, SHORT, settings, supervised};

    pub(super) fn a_killed_daemon_is_started_again(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let before = f2b.pid();
        let banned = f2b.fresh_ip();
        f2b.offend("web", &banned);
        assert!(f2b.is_banned_within(crate::support::GUARD, "web", &banned));
        f2b.kill();
        warden.wait_for("fail2ban is down");
        warden.wait_told("STATUS=restarting: 0 of 2 jails protect");
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        assert_ne!(f2b.pid(), before);
        f2b.wait_bans(&["mail", "web"]);
    }

    pub(super) fn a_stopped_process_is_continued(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["web"], LONG) else {
            return;
        };
        let before = f2b.pid();
        f2b.pause();
        warden.wait_for("was stopped by a signal (SIGSTOP)");
        warden.wait_for("fail2ban protects again");
        assert_eq!(f2b.pid(), before, "it was told to go on, and did");
        f2b.wait_ban("web");
    }

    /// One log line on which Python's regular expressions take longer than anybody waits, with the
    /// interpreter's lock held: neither the socket nor SIGTERM is served.
    pub(super) fn a_hung_daemon_is_killed_and_started_again(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        f2b.jail("mail", &JailSpec::default());
        f2b.jail(
            "web",
            &JailSpec {
                failregex: "(?:fail from <HOST>|(?:x+x+)+y)$",
                ..JailSpec::default()
            },
        );
        f2b.start();
        let impatient = settings(LONG)
            .replace("timeout: 2s", "timeout: 1s")
            .replace("busy_limit: 5s", "busy_limit: 3s");
        let warden = Warden::start(&f2b, &impatient);
        warden.wait_for("supervision begins");
        f2b.wait_bans(&["mail", "web"]);
        let before = f2b.pid();

        f2b.log_lines("web", &"x".repeat(60), 1);
        let said = warden.wait_for("fail2ban hangs");
        warden.wait_told("STATUS=restarting: 0 of 2 jails protect");
        assert!(said.contains("f2b/f.web"), "what it was doing: {said}");
        assert!(said.contains(&before.to_string()), "{said}");
        // The line is still there, and web would hang on it again.
        warden.wait_for("web disabled so that the others can run: its filter made fail2ban hang");
        warden.wait_for("fail2ban protects again");
        assert_ne!(f2b.pid(), before);
        f2b.wait_ban("mail");

        // Another expression and a log without that line, and it is back.
        fs::write(f2b.jail_log("web"), "").unwrap();
        f2b.edit("filter.d/web.conf", "|(?:x+x+)+y)$", ")");
        warden.wait_for("web passed a trial");
        f2b.wait_bans(&["mail", "web"]);
    }

    /// As when its log was away for two minutes: it is listed and alive, and sees nothing for good.
    pub(super) fn a_jail_that_reads_no_log_is_healed_alone(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let (before, mail) = (f2b.pid(), f2b.threads("mail"));
        let log = f2b.jail_log("web");
        f2b.client(&["set", "web", "dellogpath", log.to_str().unwrap()]);
        warden.wait_for("web is alive but does not protect: it reads no log file at all");
        warden.wait_for("fail2ban protects again");
        f2b.wait_bans(&["mail", "web"]);
        assert_eq!((f2b.pid(), f2b.threads("mail")), (before, mail));
    }

    /// fail2ban lives in a mount namespace of its own, and a disk is mounted where the log stands: whatever it is
    /// told, it reads what is below that.
    pub(super) fn a_log_that_only_another_process_sees_has_fail2ban_restarted() {
        if !geteuid().is_root() {
            skip("a mount takes root");
            return;
        }
        let Some(f2b) = Fail2ban::new(Version::V102) else {
            return;
        };
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let (none, private) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
        mount(none, "/", none, private, none).unwrap();
        f2b.jail("mail", &JailSpec::default());
        f2b.jail("web", &JailSpec::default());
        let folder = f2b.path("logs");
        fs::create_dir(&folder).unwrap();
        let (old, log) = (f2b.jail_log("web"), folder.join("web.log"));
        fs::rename(&old, &log).unwrap();
        std::os::unix::fs::symlink(&log, &old).unwrap();
        f2b.edit(
            "jail.d/web.conf",
            old.to_str().unwrap(),
            log.to_str().unwrap(),
        );
        let started = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .args(f2b.client_words())
            .args(["-x", "start"])
            .output()
            .unwrap();
        assert!(started.status.success(), "{started:?}");
        f2b.wait_bans(&["mail", "web"]);
        let before = f2b.pid();
        let warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");

        mount(
            Some("tmpfs"),
            &folder,
            Some("tmpfs"),
            MsFlags::empty(),
            none,
        )
        .unwrap();
        fs::write(&log, "").unwrap();
        assert!(f2b.client(&["reload", "--restart", "web"]).status.success());
        assert!(!f2b.bans_within(Duration::from_secs(3), "web"));
        f2b.client(&["set", "web", "dellogpath", log.to_str().unwrap()]);
        let said =
            warden.wait_for("web is alive but does not protect: fail2ban does not see the file");
        assert!(said.contains("jailwarden restarts fail2ban"), "{said}");
        warden.wait_for("fail2ban protects again");
        assert_ne!(f2b.pid(), before);
        f2b.wait_bans(&["mail", "web"]);
    }

    struct End<'a>(&'a AtomicBool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// All commands share one lock (server/action.py), so that no jail acts meanwhile.
    pub(super) fn a_jail_whose_action_blocks_is_disabled(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        f2b.jail("mail", &JailSpec::default());
        f2b.jail("web", &JailSpec::default());
        let (block, fifo) = (f2b.path("block"), f2b.path("fifo"));
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // With a process of its own, which holds the pipe that fail2ban reads from.
        let ban = format!(
            "if test -e {}; then cat {}; true; fi",
            block.display(),
            fifo.display()
        );
        f2b.write(
            "action.d/slow.conf",
            &format!("[Definition]\nactionban = {ban}\nactionunban =\n"),
        );
        f2b.edit("jail.d/web.conf", "action = ", "action = slow\n ");
        f2b.start();
        let warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_for("supervision begins");
        f2b.wait_bans(&["mail", "web"]);
        let (before, mail) = (f2b.pid(), f2b.threads("mail"));

        fs::write(&block, "").unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            // Also if this fails.
            let end = End(&over);
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for jail in ["web", "mail"] {
                        f2b.offend(jail, &f2b.fresh_ip());
                    }
                    thread::sleep(Duration::from_secs(1));
                }
            });
            warden.wait_for("web is alive but does not protect: a command of its actions has been");
            warden.wait_for("web keeps all jails from acting, again");
            warden.wait_for("web disabled so that the others can run: a command of its actions");
            warden.wait_for("config change applied: stopped web");
            f2b.wait_ban("mail");
            warden.wait_for("fail2ban protects again");
            drop(end);
        });
        assert_eq!((f2b.pid(), f2b.threads("mail")), (before, mail));
        assert!(f2b.threads("web").is_empty());
        let told = || warden.lines().join("\n").contains("action 'slow' blocked");
        let is_told = wait_until(GUARD, || told().then_some(())).is_some();
        assert!(is_told, "{}\n{}", warden.lines().join("\n"), f2b.log_text());

        // It comes back once its config changes.
        fs::remove_file(&block).unwrap();
        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
        warden.wait_for("web passed a trial");
        f2b.wait_bans(&["mail", "web"]);
    }

    /// Lets the daemon have so many files open.
    fn limit_files(f2b: &Fail2ban, most: u64) {
        let limit = Rlimit {
            current: Some(most),
            ..getrlimit(Resource::Nofile)
        };
        prlimit(Some(f2b.pid()), Resource::Nofile, limit).unwrap();
    }

    pub(super) fn a_daemon_that_may_open_no_more_files_is_restarted(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        f2b.wait_bans(&["mail", "web"]);
        let before = f2b.pid();
        let open = fs::read_dir(format!("/proc/{before}/fd")).unwrap().count();
        // Enough for a look at it, and too few for an action.
        limit_files(&f2b, u64::try_from(open).unwrap() + 2);
        let said = warden.wait_for("fail2ban may open no more files");
        assert!(said.contains("jailwarden restarts it"), "{said}");
        warden.wait_for("fail2ban protects again");
        assert_ne!(f2b.pid(), before);
        f2b.wait_bans(&["mail", "web"]);

        // Nor is it asked where it cannot accept one connection, which would end it.
        let before = f2b.pid();
        limit_files(&f2b, 3);
        warden.wait_for("though it was restarted for that less than an hour ago");
        warden.wait_told("STATUS=");
        limit_files(&f2b, 1024);
        warden.wait_for("fail2ban protects again");
        assert_eq!(f2b.pid(), before);
        f2b.wait_bans(&["mail", "web"]);
    }

    pub(super) fn a_daemon_that_ends_since_it_may_open_no_file_is_started_again(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        // What its log says counts from the first look at that on.
        warden.wait_calm();
        f2b.wait_bans(&["mail", "web"]);
        let before = f2b.pid();
        warden.signal(Signal::STOP);
        limit_files(&f2b, 3);
        f2b.client(&["ping"]);
        wait_until(GUARD, || (!f2b.pid_file().exists()).then_some(())).expect("it ends");
        warden.signal(Signal::CONT);
        warden.wait_for("fail2ban is down: it ended by itself");
        warden.wait_for("fail2ban protects again");
        assert_ne!(f2b.pid(), before);
        f2b.wait_bans(&["mail", "web"]);
    }

    pub(super) fn a_daemon_without_its_socket_file_is_restarted(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], SHORT) else {
            return;
        };
        let before = f2b.pid();
        fs::remove_file(f2b.socket()).unwrap();
        f2b.wait_ban("web");
        warden.wait_for("fail2ban lives but cannot be asked or told anything");
        warden.wait_for("fail2ban protects again");
        assert_ne!(f2b.pid(), before);
        assert!(f2b.socket().exists());
        f2b.wait_bans(&["mail", "web"]);
    }

    pub(super) fn a_missing_pid_file_is_no_fault(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["web"], LONG) else {
            return;
        };
        let (before, threads) = (f2b.pid(), f2b.threads("web"));
        fs::remove_file(f2b.pid_file()).unwrap();
        f2b.wait_ban("web");
        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
        warden.wait_for("config change applied");
        warden.wait_calm();
        f2b.wait_ban("web");
        assert_eq!(warden.rest(), [""; 0]);
        fs::write(f2b.pid_file(), before.to_string()).unwrap();
        assert_eq!(
            f2b.threads("web"),
            threads,
            "the same process, the same jail"
        );
    }

    /// The budget is five restarts; the next try is ten seconds and more after it gave up.
    pub(super) fn a_daemon_that_dies_again_and_again_is_not_started_for_ever(version: Version) {
        let Some((f2b, warden)) = supervised(version, &["mail", "web"], LONG) else {
            return;
        };
        let starts = f2b.logged("Starting Fail2ban");
        for _ in 0..5 {
            f2b.kill();
            warden.wait_for("fail2ban protects again");
        }
        f2b.kill();
        let said = warden.wait_for("restarted too often in a short time");
        assert!(said.contains("Nothing protects this host"), "{said}");
        assert_eq!(f2b.logged("Starting Fail2ban"), starts + 5);
        warden.wait_for("jailwarden tries to start fail2ban once more");
        warden.wait_for("fail2ban protects again");
        f2b.wait_bans(&["mail", "web"]);
        assert_eq!(f2b.logged("Starting Fail2ban"), starts + 6);
    }

    /// What jailwarden tells of each jail is what somebody measures who looks at the threads himself.
    pub(super) fn the_time_without_protection_is_told_as_it_was(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        f2b.jail("mail", &JailSpec::default());
        f2b.start();
        let (gate, client) = (f2b.path("gate"), f2b.client_words().join(" "));
        let gated = format!(
            "until test -e {}; do sleep 0.1; done; exec {client} -x start",
            gate.display()
        );
        let start = ["sh".to_owned(), "-c".to_owned(), gated];
        let warden = Warden::start_with(&f2b, &start, &settings(LONG));
        warden.wait_for("supervision begins");
        f2b.kill();
        let began = Instant::now();
        warden.wait_for("jailwarden starts it");
        thread::sleep(Duration::from_secs(3));
        fs::write(&gate, "").unwrap();
        let up = wait_until(GUARD, || f2b.threads_of_any("mail").then_some(()));
        up.expect("it is back");
        let dark = began.elapsed().as_secs_f64();
        let said = warden.wait_for("fail2ban protects again after");
        let told = said.split("meanwhile: mail ").nth(1).expect(&said);
        let told: f64 = told.split_whitespace().next().unwrap().parse().unwrap();
        // It looks ten times a second, on a machine that may be busy.
        assert!((told - dark).abs() < 1.5, "{dark:.1} s in truth: {said}");
    }

    /// A Python action can end its jail's actions thread: fail2ban catches `Exception`, which
    /// `SystemExit` is not (server/actions.py). A filter thread has no such hook.
    pub(super) fn a_jail_with_a_dead_thread_is_revived_alone(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        let fatal = f2b.path("fatal");
        let action = "import os\n\
            from fail2ban.server.action import ActionBase\n\
            class Action(ActionBase):\n\
            \x20   def __init__(self, jail, name, fatal):\n\
            \x20       super(Action, self).__init__(jail, name)\n\
            \x20       self.fatal = fatal\n\
            \x20   def ban(self, aInfo):\n\
            \x20       if os.path.exists(self.fatal):\n\
            \x20           os.unlink(self.fatal)\n\
            \x20           raise SystemExit\n";
        f2b.write("action.d/fatal.py", action);
        f2b.jail("mail", &JailSpec::default());
        f2b.jail("web", &JailSpec::default());
        let both = format!("action = fatal.py[fatal={}]\n ", fatal.display());
        f2b.edit("jail.d/web.conf", "action = ", &both);
        f2b.start();
        let warden = Warden::start(&f2b, &settings(LONG));
        warden.wait_for("supervision begins");
        f2b.wait_bans(&["mail", "web"]);
        let (before, mail) = (f2b.pid(), f2b.threads("mail"));

        fs::write(&fatal, "").unwrap();
        f2b.offend("web", &f2b.fresh_ip());
        let said = warden.wait_for("should run and does not protect");
        assert!(said.contains("web"), "{said}");
        warden.wait_for("fail2ban protects again");
        f2b.wait_bans(&["mail", "web"]);
        assert_eq!((f2b.pid(), f2b.threads("mail")), (before, mail));
    }

    /// A jail with so many expressions that they take some seconds to compile, which has just changed: it is at work, and not at fault.
    pub(super) fn a_start_with_much_to_load_is_waited_for() {
        let Some(f2b) = Fail2ban::new(Version::V102) else {
            return;
        };
        f2b.jail("mail", &JailSpec::default());
        let mut many = "fail from <HOST>".to_owned();
        for nth in 0..25_000 {
            let _ = write!(
                many,
                "\n    ^\\s*(?:service|daemon)-{nth}\\[\\d+\\]: (?:failed|refused) for \\S+ from <HOST>$"
            );
        }
        let spec = JailSpec {
            failregex: &many,
            ..JailSpec::default()
        };
        f2b.jail("web", &spec);
        f2b.start();
        let given = f2b.path("given");
        let start = format!(
            "touch {}; exec {} -x start",
            given.display(),
            f2b.client_words().join(" ")
        );
        let start = ["sh".into(), "-c".into(), start];
        let hasty = settings("1s").replace("busy_limit: 5s", "busy_limit: 180s");
        let warden = Warden::start_with(&f2b, &start, &hasty);
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 2");
        warden.wait_for("config change applied: loaded web");
        let (starts, before) = (f2b.logged("Starting Fail2ban"), f2b.pid());
        f2b.kill();
        // That Python takes its time on a machine under load is not what is meant.
        wait_until(GUARD, || given.exists().then_some(())).expect("it is started");
        warden.signal(Signal::STOP);
        wait_until(GUARD, || (f2b.pid() != before).then_some(())).expect("it has a pid file");
        warden.signal(Signal::CONT);
        warden.wait_for("does not answer yet and is at work; jailwarden waits");
        warden.wait_for("fail2ban protects again");
        warden.wait_told("STATUS=healthy: 2 of 2 jails protect");
        f2b.wait_bans(&["mail", "web"]);
        let said = warden.lines().join("\n");
        assert!(!said.contains("disabled so that"), "{said}");
        assert_eq!(f2b.logged("Starting Fail2ban"), starts + 1, "{said}");
    }
}
