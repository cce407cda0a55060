//! A throwaway host: this machine's own root under an overlay, booted by systemd-nspawn with
//! systemd as PID 1, journald, and the installed fail2ban.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, geteuid};
use tempfile::TempDir;

use super::{GUARD, program, skip, wait_until};

/// As many hosts run at a time, over all test processes.
const HOSTS_AT_A_TIME: usize = 3;

/// What boots the host, in namespaces of its own: when the first process in there is killed, all that
/// it started and mounted ends, whatever becomes of the test. The overlay lies on a tmpfs, as
/// overlayfs cannot write to another overlayfs, which a container's root is.
const BOOT: &str = r#"
set -e
for group in $GROUPS_OF_HOST; do echo 0 >"$group/cgroup.procs"; done
mount -t tmpfs -o mode=755,size=1g tmpfs "$BASE"
mkdir "$BASE/up" "$BASE/work" "$BASE/root"
mount -t overlay -o "lowerdir=/,upperdir=$BASE/up,workdir=$BASE/work" overlay "$BASE/root"
cd "$BASE/root"
rm -f etc/systemd/system/*.target.wants/*
rm -f etc/systemd/system/fail2ban.service etc/systemd/system/jailwarden.service
rm -rf etc/systemd/system/fail2ban.service.d etc/jailwarden var/lib/jailwarden* var/lib/fail2ban/*
rm -rf var/log/auth.log var/log/fail2ban.log var/log/journal/*
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
cd /
# With --keep-unit, a host that reboots ends with 133 (nspawn.c, systemd 252).
while
    systemd-nspawn --quiet --directory="$BASE/root" --machine="$NAME" --register=no --keep-unit \
        --private-network --link-journal=no --console=pipe --boot && status=0 || status=$?
    [ "$status" = 133 ]
do :; done
"#;

/// A running host. It ends, and leaves nothing behind, when this is dropped.
pub(crate) struct Host {
    unshare: Child,
    leader: String,
    next_ip: AtomicU32,
    // Dropped in this order, after the host has ended.
    groups: Groups,
    folder: TempDir,
    _turn: Option<File>,
}

impl Host {
    /// Boots a host whose fail2ban is as Debian installs it: enabled, and without a log for its one
    /// jail. It is not started. `None` if this machine cannot: it takes root and systemd-nspawn.
    pub(crate) fn boot() -> Option<Self> {
        Self::can_be().then(|| Self::boot_with(Some(turn())))
    }

    /// As [`Self::boot`], beside however many others run: the caller has to bound them.
    pub(crate) fn boot_at_once() -> Option<Self> {
        Self::can_be().then(|| Self::boot_with(None))
    }

    fn can_be() -> bool {
        if !geteuid().is_root() {
            skip("a throwaway host takes root");
            return false;
        }
        for needed in ["systemd-nspawn", "nsenter", "setpriv", "unshare", "make"] {
            if program(needed).is_none() {
                skip(&format!(
                    "a throwaway host takes {needed}, which is not in the PATH"
                ));
                return false;
            }
        }
        true
    }

    fn boot_with(turn: Option<File>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("jw-host-")
            .tempdir()
            .unwrap();
        let base = folder.path().join("base");
        fs::create_dir(&base).unwrap();
        // Not after the process: a host that was killed with its test leaves its groups, and numbers come again.
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        let groups = Groups::make(name);
        let console = File::create(folder.path().join("console")).unwrap();
        // The host dies with the thread that booted it.
        let unshare = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--mount",
                "--propagation",
                "private",
            ])
            .args(["--pid", "--mount-proc", "--fork", "--kill-child"])
            .args(["sh", "-c", BOOT])
            .env("BASE", &base)
            .env("NAME", name)
            .env("GROUPS_OF_HOST", groups.words())
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn()
            .unwrap();
        let leader = String::new();
        let next_ip = AtomicU32::new(1);
        let mut host = Self {
            unshare,
            leader,
            next_ip,
            groups,
            folder,
            _turn: turn,
        };
        host.wait_booted();
        // After the boot, so that it is not started. systemd forgets how a unit ended that nothing
        // refers to, as it does not forget an enabled one.
        host.sh("systemctl --quiet enable fail2ban");
        host
    }

    fn wait_booted(&mut self) {
        let id = self.unshare.id().to_string();
        let before = self.leader.clone();
        let booted = wait_until(GUARD, || {
            let ended = self.unshare.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the host did not boot: {ended:?}\n{}",
                self.console()
            );
            let leader = only_child(&only_child(&only_child(&id)?)?)?;
            if leader == before {
                return None;
            }
            self.leader = leader;
            let state = self.run(&["systemctl", "is-system-running"]);
            matches!(state.stdout.trim_ascii(), b"running" | b"degraded").then_some(())
        });
        assert!(
            booted.is_some(),
            "the host is not up yet\n{}",
            self.console()
        );
    }

    /// Reboots the host as its admin would, and waits until it is up again.
    pub(crate) fn reboot(&mut self) {
        self.sh("systemctl --no-block reboot");
        self.wait_booted();
    }

    /// The host's files, as seen from here.
    pub(crate) fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.leader).into()
    }

    fn console(&self) -> String {
        fs::read_to_string(self.folder.path().join("console")).unwrap_or_default()
    }

    /// A command as root of the host.
    pub(crate) fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.leader,
                "--all",
                "env",
                "-i",
                "HOME=/root",
                "LANG=C.UTF-8",
            ])
            .arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
            .args(words)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command as root of the host.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.inside(words).output().unwrap()
    }

    /// Runs a shell script, which must succeed within five minutes, and returns what it printed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let done = self.run(&["timeout", "300", "sh", "-ec", script]);
        assert!(done.status.success(), "{script}: {done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Writes a file of the host, and the folders above it.
    pub(crate) fn write(&self, path: &str, content: &str) {
        self.put(path, 0o644, content.as_bytes());
    }

    fn put(&self, path: &str, mode: u32, content: &[u8]) {
        let mut install = self
            .inside(&[
                "install",
                "-D",
                "-m",
                &format!("{mode:o}"),
                "/dev/stdin",
                path,
            ])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        install.stdin.take().unwrap().write_all(content).unwrap();
        assert!(install.wait().unwrap().success(), "{path} was not written");
    }

    /// The messages of a unit, as `journalctl -x` shows them.
    pub(crate) fn journal(&self, unit: &str) -> String {
        self.sh(&format!("journalctl --no-pager --catalog --unit {unit}"))
    }

    /// Whether a unit is in this state, such as `active`.
    pub(crate) fn wait_state(&self, unit: &str, state: &str) {
        let seen = wait_until(GUARD, || {
            let now = self.run(&["systemctl", "is-active", unit]);
            (now.stdout.trim_ascii() == state.as_bytes()).then_some(())
        });
        assert!(
            seen.is_some(),
            "{unit} is not {state}\n{}",
            self.journal(unit)
        );
    }

    /// Installs jailwarden as `make install` does, and has systemd and journald read what is new.
    /// The service is neither enabled nor started.
    pub(crate) fn install_jailwarden(&self) {
        self.install(Path::new(env!("CARGO_BIN_EXE_jailwarden")));
    }

    /// As [`Self::install_jailwarden`], of a program that was built elsewhere.
    pub(crate) fn install(&self, program: &Path) {
        let done = Command::new("make")
            .args([
                "--directory",
                env!("CARGO_MANIFEST_DIR"),
                "install",
                "PREFIX=/usr",
            ])
            // What a `make test` above this was told is not meant for it.
            .env_remove("MAKEFLAGS")
            .arg(format!("DESTDIR={}", self.root().display()))
            .arg(format!("BINARY={}", program.display()))
            .output()
            .unwrap();
        assert!(done.status.success(), "make install: {done:?}");
        self.sh("systemctl daemon-reload; journalctl --update-catalog");
    }

    /// Gives Debian's `[sshd]` jail the log that it lacks on a fresh host without rsyslog.
    pub(crate) fn make_auth_log(&self) {
        self.write(
            "/etc/fail2ban/jail.d/backend.local",
            "[sshd]\nbackend = polling\n",
        );
        self.sh("touch /var/log/auth.log");
    }

    /// Writes an action that notes whom it bans in `/var/log/bans`.
    pub(crate) fn write_mark(&self) {
        self.write_mark_in("/etc/fail2ban");
    }

    fn write_mark_in(&self, config: &str) {
        self.write(
            &format!("{config}/action.d/mark.conf"),
            "[Definition]\nactionban = echo '<name> <ip>' >>/var/log/bans\nactionunban =\n",
        );
    }

    /// Writes a jail that reads `/var/log/NAME.log`, and marks whom it bans.
    pub(crate) fn jail(&self, name: &str) {
        self.jail_in("/etc/fail2ban", name);
    }

    /// The same for the fail2ban that has its config there.
    pub(crate) fn jail_in(&self, config: &str, name: &str) {
        self.write_mark_in(config);
        self.write(
            &format!("{config}/filter.d/{name}.conf"),
            "[Definition]\nfailregex = fail from <HOST>\ndatepattern = {^LN-BEG}EPOCH\n",
        );
        let jail = format!(
            "[{name}]\nenabled = true\nbackend = polling\nlogpath = /var/log/{name}.log\n\
             maxretry = 5\nusedns = no\naction = mark[name=\"{name}\"]\n"
        );
        self.write(&format!("{config}/jail.d/{name}.conf"), &jail);
        self.sh(&format!("touch /var/log/{name}.log"));
    }

    /// The truth about a jail: whether failing lines in its log lead to a rule of the firewall
    /// (Debian's `sshd`) or to its mark (those of [`Self::jail`]), within `limit`.
    pub(crate) fn protects_within(&self, limit: Duration, jail: &str) -> bool {
        let ip = format!(
            "198.51.100.{}",
            self.next_ip.fetch_add(1, Ordering::Relaxed)
        );
        let (line, log, seen) = if jail == "sshd" {
            let line = format!(
                "$(date '+%b %e %T') host sshd[7]: Failed password for root from {ip} port 22 ssh2"
            );
            (
                line,
                "auth".to_owned(),
                format!("iptables -w -n -L f2b-sshd | grep -qw {ip}"),
            )
        } else {
            let seen = format!("grep -qx '{jail} {ip}' /var/log/bans");
            (format!("$(date +%s) fail from {ip}"), jail.to_owned(), seen)
        };
        self.sh(&format!(
            "for n in 1 2 3 4 5; do echo \"{line}\"; done >>/var/log/{log}.log"
        ));
        wait_until(limit, || {
            self.run(&["sh", "-c", &seen])
                .status
                .success()
                .then_some(())
        })
        .is_some()
    }

    /// The processes of a service, by their numbers as seen from here.
    pub(crate) fn processes(&self, service: &str) -> Vec<Pid> {
        // nspawn makes a group of its own for the host in the unified hierarchy.
        let list = format!("payload/system.slice/{service}/cgroup.procs");
        let lists = self.groups.0.iter().map(|group| group.join(&list));
        let mut lists = lists.filter_map(|list| fs::read_to_string(list).ok());
        let list = lists.find(|list| !list.is_empty()).unwrap_or_default();
        let numbers = list.lines().filter_map(|line| line.parse().ok());
        numbers.filter_map(Pid::from_raw).collect()
    }

    /// Waits until failing lines lead to a ban, as they must.
    pub(crate) fn wait_protects(&self, jail: &str) {
        if !self.protects_within(GUARD, jail) {
            let log = self.run(&["tail", "-n", "40", "/var/log/fail2ban.log"]);
            panic!(
                "{jail} does not protect\n{}\nand of jailwarden.service:\n{}",
                String::from_utf8_lossy(&log.stdout),
                self.journal("jailwarden")
            );
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

fn only_child(pid: &str) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

/// The host's own cgroups: nspawn uses the caller's, in which several hosts would stop each other's
/// services.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn make(name: &str) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = [root.to_owned(), root.join("unified"), root.join("systemd")];
        let groups = hierarchies
            .into_iter()
            .filter(|hierarchy| hierarchy.join("cgroup.procs").is_file())
            .map(|hierarchy| hierarchy.join(name))
            .inspect(|group| fs::create_dir(group).unwrap())
            .collect();
        Self(groups)
    }

    fn words(&self) -> String {
        self.0
            .iter()
            .map(|group| group.display().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            // A group can be removed once the last of its processes has been reaped.
            if wait_until(GUARD, || remove_group(group).ok()).is_none() {
                eprintln!("{} could not be removed", group.display());
            }
        }
    }
}

fn remove_group(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

/// Waits for one of the places for a host; the place is free again when the file is closed.
fn turn() -> File {
    let places: Vec<File> = (0..HOSTS_AT_A_TIME)
        .map(|place| {
            File::create(std::env::temp_dir().join(format!("jw-host-{place}.lock"))).unwrap()
        })
        .collect();
    let free = wait_until(Duration::from_secs(15 * 60), || {
        let free = |place: &File| match place.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => panic!("flock: {error}"),
        };
        places.iter().position(free)
    });
    let mut places = places;
    places.swap_remove(free.expect("a place for a host"))
}
