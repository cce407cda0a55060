//! The file events and the snapshot together, on a real inotify and a real file system.
//!
//! Each test drives them as the supervisor does: hint, snapshot, follow. No test depends on how long
//! anything takes; [`LIMIT`] only ends a test that would hang. That no hint comes is told by a second
//! event after it: inotify keeps the order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jailwarden::fail2ban::folder::{Limits, Snapshot};
use jailwarden::shell::watch::{Hints, Watch, WatchPaths};

const LIMIT: Duration = Duration::from_secs(30);

struct Host {
    _dir: tempfile::TempDir,
    base: PathBuf,
    watch: Watch,
    last: Snapshot,
    hints: usize,
}

impl Host {
    /// A host whose config folder has two jail files, watched.
    async fn new() -> Self {
        Self::with("mkdir etc/fail2ban etc/fail2ban/jail.d run/fail2ban; echo '[sshd]' >etc/fail2ban/jail.conf; echo '[web]' >etc/fail2ban/jail.d/web.local").await
    }

    /// A host that a shell script sets up in a folder with `etc`, `run` and `srv`.
    async fn with(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        sh(&base, "mkdir etc run srv");
        sh(&base, script);
        let paths = WatchPaths {
            config_dir: base.join("etc/fail2ban"),
            socket: base.join("run/fail2ban/fail2ban.sock"),
            pause: base.join("var/lib/jailwarden/pause.json"),
        };
        let mut host = Self {
            watch: Watch::start(&paths).await,
            last: Snapshot::take(&paths.config_dir, Limits::default()),
            _dir: dir,
            base,
            hints: 0,
        };
        let first = host.next().await;
        assert!(first.config && first.incomplete.is_none(), "{first:?}");
        let places = host.last.places().clone();
        if host.watch.follow(&places).await {
            assert!(host.next().await.config);
        }
        host
    }

    fn sh(&self, script: &str) {
        sh(&self.base, script);
    }

    async fn next(&mut self) -> Hints {
        self.hints += 1;
        let hints = tokio::time::timeout(LIMIT, self.watch.next()).await;
        hints.expect("no hint came")
    }

    /// Waits until all that happened before is judged, and says whether the config was hinted at.
    async fn hinted(&mut self) -> bool {
        // Each of these is a single event.
        self.sh("cd run/fail2ban; if [ -e fail2ban.sock ]; then rm fail2ban.sock; else mkfifo fail2ban.sock; fi");
        let mut config = false;
        loop {
            let hints = self.next().await;
            assert_eq!(hints.incomplete, None);
            config |= hints.config;
            if hints.socket {
                return config;
            }
        }
    }

    /// What changed, as hints lead to it: nothing without a hint, and again while `follow` asks so.
    async fn changes(&mut self) -> Vec<String> {
        let before = self.last.clone();
        let mut looks = 0;
        while self.hinted().await {
            looks += 1;
            assert!(looks < 10, "looking makes hints of its own");
            self.last = Snapshot::take(&self.base.join("etc/fail2ban"), Limits::default());
            let places = self.last.places().clone();
            self.watch.follow(&places).await;
        }
        let changed = self.last.changed_since(&before);
        let same = self.last.fingerprint() == before.fingerprint();
        assert_eq!(changed.is_empty(), same);
        let root = self.base.join("etc/fail2ban");
        let relative = changed.iter().map(|path| path.strip_prefix(&root).unwrap());
        relative.map(|path| path.display().to_string()).collect()
    }

    /// Runs a script and checks which paths below the config folder are then found changed.
    async fn check(&mut self, script: &str, expected: &[&str]) {
        self.sh(script);
        assert_eq!(self.changes().await, expected, "{script}");
    }

    /// Every folder is still watched: a change in each is seen.
    async fn check_alive(&mut self) {
        self.check("date +%N >>etc/fail2ban/jail.conf", &["jail.conf"])
            .await;
        self.check(
            "date +%N >>etc/fail2ban/jail.d/web.local",
            &["jail.d/web.local"],
        )
        .await;
        assert!(!self.watch.verify().await);
    }
}

fn sh(base: &Path, script: &str) {
    let mut sh = Command::new("sh");
    let status = sh.arg("-ec").arg(script).current_dir(base).status();
    assert!(status.unwrap().success(), "{script}");
}

#[tokio::test]
async fn every_way_of_writing_a_file_is_seen() {
    let mut host = Host::new().await;
    for script in [
        "echo 'a = 1' >etc/fail2ban/jail.conf",
        "echo 'b = 1' >>etc/fail2ban/jail.conf",
        "sed -i s/1/2/ etc/fail2ban/jail.conf",
        "cd etc/fail2ban; echo x >.jail.conf.swp; mv jail.conf jail.conf~; echo 'c = 1' >jail.conf; rm jail.conf~ .jail.conf.swp",
        "echo 'd = 1' >srv/new; mv srv/new etc/fail2ban/jail.conf",
        "echo 'e = 1' >etc/fail2ban/.new; mv etc/fail2ban/.new etc/fail2ban/jail.conf",
        "ln -f etc/fail2ban/jail.conf srv/twin; echo 'f = 1' >etc/fail2ban/jail.conf",
        "truncate -s 3 etc/fail2ban/jail.conf",
        "python3 -c 'import mmap\nf = open(\"etc/fail2ban/jail.conf\", \"r+b\")\nm = mmap.mmap(f.fileno(), 3)\nm[:] = b\"abc\"\nm.close()\nf.close()'",
        "rm etc/fail2ban/jail.conf",
    ] {
        host.check(script, &["jail.conf"]).await;
    }
    host.check(
        "mv etc/fail2ban/jail.d/web.local etc/fail2ban/jail.d/web.off",
        &["jail.d/web.local", "jail.d/web.off"],
    )
    .await;
}

#[tokio::test]
async fn what_leaves_the_content_as_it_was_changes_nothing() {
    let mut host = Host::new().await;
    for script in [
        "touch etc/fail2ban/jail.conf",
        "chmod 600 etc/fail2ban/jail.conf; chmod 700 etc/fail2ban",
        "cat etc/fail2ban/jail.conf >srv/x; cat srv/x >etc/fail2ban/jail.conf",
        "cp -p etc/fail2ban/jail.conf srv/x; mv srv/x etc/fail2ban/jail.conf",
        "echo x >etc/fail2ban/4913; rm etc/fail2ban/4913",
    ] {
        host.check(script, &[]).await;
    }
    host.check_alive().await;
}

#[tokio::test]
async fn readers_and_editors_scraps_give_no_hint() {
    let mut host = Host::new().await;
    host.sh("cat etc/fail2ban/jail.conf etc/fail2ban/jail.d/* >/dev/null; ls -lR etc >/dev/null; echo x >etc/fail2ban/.x.swp; echo x >etc/other; rm etc/other");
    host.sh("fail2ban-client -c etc/fail2ban -d >/dev/null 2>&1 || true");
    assert!(!host.hinted().await);
}

#[tokio::test]
async fn a_file_made_at_once_in_a_new_folder_is_seen_and_so_are_later_ones() {
    let mut host = Host::new().await;
    host.check(
        "mkdir -p etc/fail2ban/filter.d/x.d; echo a >etc/fail2ban/filter.d/x.d/a.conf",
        &["filter.d", "filter.d/x.d", "filter.d/x.d/a.conf"],
    )
    .await;
    host.check(
        "echo b >etc/fail2ban/filter.d/x.d/a.conf",
        &["filter.d/x.d/a.conf"],
    )
    .await;
    host.check(
        "mkdir srv/f; echo a >srv/f/a.conf; mv srv/f etc/fail2ban/action.d",
        &["action.d", "action.d/a.conf"],
    )
    .await;
    host.check("echo b >etc/fail2ban/action.d/a.conf", &["action.d/a.conf"])
        .await;
}

#[tokio::test]
async fn a_folder_inside_may_be_replaced_moved_out_and_back() {
    let mut host = Host::new().await;
    host.check(
        "cp -r etc/fail2ban/jail.d srv/new; echo 1 >srv/new/x.conf; mv etc/fail2ban/jail.d srv/old; mv srv/new etc/fail2ban/jail.d",
        &["jail.d/x.conf"],
    )
    .await;
    host.check_alive().await;
    host.check(
        "mv etc/fail2ban/jail.d srv/d; mv srv/d etc/fail2ban/jail.d",
        &[],
    )
    .await;
    host.check_alive().await;
    host.check("rm -r etc/fail2ban/jail.d; mkdir etc/fail2ban/jail.d; echo 1 >etc/fail2ban/jail.d/web.local", &["jail.d/web.local", "jail.d/x.conf"]).await;
    host.check_alive().await;
    // What was moved out is nothing to us any more.
    host.sh("echo x >srv/old/web.local");
    assert!(!host.hinted().await);
}

#[tokio::test]
async fn the_root_may_be_deleted_and_made_again() {
    let mut host = Host::new().await;
    host.sh("cp -r etc/fail2ban srv/copy; rm -r etc/fail2ban");
    host.changes().await;
    assert!(!host.last.exists());
    host.sh("cp -r srv/copy etc/fail2ban; echo x >etc/fail2ban/new.conf");
    host.changes().await;
    assert!(host.last.exists());
    host.check_alive().await;
}

#[tokio::test]
async fn the_root_may_be_replaced_moved_away_and_back() {
    let mut host = Host::new().await;
    host.check(
        "cp -r etc/fail2ban srv/new; echo x >srv/new/new.conf; mv etc/fail2ban srv/old; mv srv/new etc/fail2ban",
        &["new.conf"],
    )
    .await;
    host.check_alive().await;
    host.check("mv etc/fail2ban srv/x; mv srv/x etc/fail2ban", &[])
        .await;
    host.check_alive().await;
    host.sh("mv etc/fail2ban srv/x");
    host.changes().await;
    assert!(!host.last.exists());
    host.sh("mv srv/x etc/fail2ban");
    host.changes().await;
    assert!(host.last.exists());
    host.check_alive().await;
}

#[tokio::test]
async fn a_root_that_is_missing_at_the_start_is_awaited_with_all_above_it() {
    let mut host = Host::with("rmdir etc; mkdir run/fail2ban").await;
    assert!(!host.last.exists());
    host.sh("mkdir etc");
    host.changes().await;
    host.sh("mkdir -p etc/fail2ban/jail.d; echo 1 >etc/fail2ban/jail.d/web.local");
    host.changes().await;
    assert!(host.last.exists());
    host.check("echo 1 >etc/fail2ban/jail.conf", &["jail.conf"])
        .await;
    host.check_alive().await;
}

#[tokio::test]
async fn symlinks_out_of_the_root_are_followed() {
    let mut host = Host::with(
        "mkdir -p run/fail2ban etc/fail2ban/jail.d srv/v1/jail.d srv/v2/jail.d srv/log
         echo 1 >srv/v1/jail.conf; echo 1 >srv/v1/jail.d/web.local
         echo 2 >srv/v2/jail.conf; echo 2 >srv/v2/jail.d/web.local
         rmdir etc/fail2ban/jail.d; ln -s v1 srv/now
         ln -s ../../srv/now/jail.conf etc/fail2ban/jail.conf
         ln -s ../../srv/now/jail.d etc/fail2ban/jail.d",
    )
    .await;
    host.check_alive().await;
    host.check(
        "echo x >srv/new; mv srv/new srv/v1/jail.conf",
        &["jail.conf"],
    )
    .await;
    // Both at once by one symlink, as configuration managers do it.
    host.check(
        "ln -s v2 srv/next; mv -T srv/next srv/now",
        &["jail.conf", "jail.d/web.local"],
    )
    .await;
    host.check_alive().await;
    host.sh("echo y >srv/v1/jail.conf; echo y >srv/v2/neighbour");
    assert!(!host.hinted().await);
    host.check(
        "ln -s ../../srv/log/later.conf etc/fail2ban/later.conf",
        &["later.conf"],
    )
    .await;
    host.check("echo 1 >srv/log/later.conf", &["later.conf"])
        .await;
    host.check(
        "mkdir srv/f; ln -s ../../srv/f etc/fail2ban/filter.d; echo 1 >srv/f/f.conf",
        &["filter.d", "filter.d/f.conf"],
    )
    .await;
    host.check("echo 2 >srv/f/f.conf", &["filter.d/f.conf"])
        .await;
}

#[tokio::test]
async fn a_root_that_is_a_symlink_may_be_pointed_elsewhere() {
    let mut host = Host::with(
        "mkdir -p run/fail2ban srv/a/jail.d srv/b/jail.d; ln -s ../srv/a etc/fail2ban
         for d in a b; do echo $d >srv/$d/jail.conf; echo $d >srv/$d/jail.d/web.local; done",
    )
    .await;
    host.check_alive().await;
    host.check(
        "ln -s ../srv/b etc/.new; mv -T etc/.new etc/fail2ban",
        &["jail.conf", "jail.d/web.local"],
    )
    .await;
    host.check_alive().await;
}

#[tokio::test]
async fn the_sockets_folder_may_go_and_come_back() {
    let mut host = Host::new().await;
    for _ in 0..3 {
        host.sh("mkfifo run/fail2ban/fail2ban.sock");
        assert!(host.next().await.socket);
        host.sh("rm -r run/fail2ban; mkdir run/fail2ban");
        // The config's event comes after all of the socket's, and takes them along.
        host.sh("date +%N >>etc/fail2ban/jail.conf");
        while !host.next().await.config {}
        assert!(!host.watch.verify().await);
        host.changes().await;
        host.sh("rm -f run/fail2ban/fail2ban.sock; echo 1 >run/fail2ban/fail2ban.pid");
        host.changes().await;
        host.sh("rm -rf run/fail2ban/*");
        host.changes().await;
        host.sh("rm -r run/fail2ban");
        assert!(host.next().await.socket);
        host.sh("mkdir run/fail2ban");
        assert!(host.next().await.socket);
    }
}

#[tokio::test]
async fn verify_sees_what_inotify_does_not_tell() {
    let mut host = Host::new().await;
    assert!(!host.watch.verify().await);
    // As long as something holds a folder open, its removal is not told.
    let held = fs::File::open(host.base.join("run/fail2ban")).unwrap();
    host.sh("rmdir run/fail2ban");
    assert!(host.watch.verify().await);
    assert!(host.next().await.socket);
    assert!(!host.watch.verify().await);
    host.sh("mkdir run/fail2ban");
    assert!(host.next().await.socket);
    host.sh("mkfifo run/fail2ban/fail2ban.sock");
    assert!(host.next().await.socket);
    drop(held);
    assert!(!host.watch.verify().await);
}

#[tokio::test]
async fn a_burst_is_few_hints() {
    let mut host = Host::new().await;
    host.hints = 0;
    host.sh("cd etc/fail2ban/jail.d; i=0; while [ $i -lt 10000 ]; do echo $i >f$((i % 50)).conf; i=$((i + 1)); done");
    assert_eq!(host.changes().await.len(), 50);
    // Nobody waited while it went on, so it is one hint, and one more for each look.
    assert!(host.hints <= 8, "{}", host.hints);
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let mut host = Host::new().await;
    host.sh("mv etc/fail2ban srv/x; mv srv/x etc/fail2ban");
    let impatient = async {
        loop {
            match tokio::time::timeout(Duration::ZERO, host.watch.next()).await {
                Ok(hints) if hints.config => break,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(LIMIT, impatient).await.unwrap();
    host.changes().await;
    host.check_alive().await;
}

/// The limit on open files holds for a whole process, so this test has one of its own.
#[test]
fn without_inotify_it_says_so_and_recovers_at_a_probe() {
    let test = std::env::current_exe().unwrap();
    let args = ["--ignored", "--exact", "watch::in_a_process_of_its_own"];
    let run = Command::new(test).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "run by without_inotify_it_says_so_and_recovers_at_a_probe"]
async fn in_a_process_of_its_own() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let paths = WatchPaths {
        config_dir: base.clone(),
        socket: base.join("run/fail2ban.sock"),
        pause: base.join("pause.json"),
    };
    let usual = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(3),
        ..usual
    };
    setrlimit(Resource::Nofile, none).unwrap();
    let mut watch = Watch::start(&paths).await;
    let hints = watch.next().await;
    let reason = hints.incomplete.unwrap();
    assert!(reason.contains("fs.inotify.max_user_instances"), "{reason}");
    assert!(hints.config && hints.socket);
    // Each probe looks for itself as long as it lasts, and the reason is told once.
    assert!(watch.verify().await);
    let hints = watch.next().await;
    assert!(hints.config && hints.incomplete.is_none(), "{hints:?}");
    setrlimit(Resource::Nofile, usual).unwrap();
    assert!(watch.verify().await);
    assert_eq!(watch.trouble(), None);
    assert!(watch.next().await.config);
    assert!(!watch.verify().await);
    fs::write(base.join("jail.local"), "x").unwrap();
    assert!(watch.next().await.config);
}
