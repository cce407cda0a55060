//! A scripted daemon in the place of a private fail2ban's, for what the real one does not do on
//! demand. Its config is real, and read by the real client.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::daemon::{Fail2ban, Version};
use super::{GUARD, wait_until};

/// A fake daemon's files in the folder of a private fail2ban.
pub(crate) struct Fake {
    f2b: Fail2ban,
}

impl Fake {
    /// Lays out the config with the jails `mail` and `web`, which was changed last. Nothing is
    /// started.
    pub(crate) fn new() -> Option<Self> {
        let f2b = Fail2ban::new(Version::V102)?;
        for jail in ["mail", "web"] {
            f2b.jail(jail, &super::daemon::JailSpec::default());
        }
        // The clock that files are dated with may not tick between two of them.
        let web = File::options()
            .append(true)
            .open(f2b.config().join("jail.d/web.conf"))
            .unwrap();
        web.set_modified(SystemTime::now() + Duration::from_secs(1))
            .unwrap();
        let fake = Self { f2b };
        // The name makes its process one that jailwarden takes for a fail2ban.
        fake.file("fail2ban-server", include_str!("fake_daemon.py"));
        fake.file("calls", "");
        fake.behave("well");
        // The jails that are not disabled, as the real one would find them.
        fake.script(
            "start",
            "live=''; for jail in mail web; do \
             test -e \"$dir/etc/jail.d/zzz-jailwarden-$jail.local\" || live=\"$live $jail\"; done\n\
             exec python3 \"$dir/fail2ban-server\" \"$dir\" $live",
        );
        Some(fake)
    }

    /// The config and the paths.
    pub(crate) fn f2b(&self) -> &Fail2ban {
        &self.f2b
    }

    fn file(&self, name: &str, content: &str) {
        fs::write(self.f2b.path(name), content).unwrap();
    }

    /// Changes what the daemon does from the next request on; see `fake_daemon.py`.
    pub(crate) fn behave(&self, mode: &str) {
        // Renamed into place, so that no half of it is read.
        self.file("mode.new", mode);
        fs::rename(self.f2b.path("mode.new"), self.f2b.path("mode")).unwrap();
    }

    /// Writes a start command, a shell script in which `$dir` is the folder. That it is run is
    /// noted before all else, with the daemons that live at that time.
    pub(crate) fn script(&self, name: &str, body: &str) {
        let dir = self.f2b.path("");
        let script = format!(
            "#!/bin/sh\ndir={}\nstate=enabled\n\
             grep -qs '^enabled = false' \"$dir\"/etc/jail.d/zzz-jailwarden-*.local && state=disabled\n\
             others=0\n\
             for comm in /proc/[0-9]*/comm; do\n\
             read -r name <\"$comm\" 2>/dev/null && [ \"$name\" = fail2ban-server ] || continue\n\
             grep -qsF \"$dir\" \"${{comm%comm}}cmdline\" && others=$((others + 1))\n\
             done\n\
             echo \"$state start beside $others\" >>\"$dir/calls\"\n\
             {body}\n",
            dir.display().to_string().trim_end_matches('/'),
        );
        self.file(name, &script);
        fs::set_permissions(self.f2b.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The words of the start command of this name.
    pub(crate) fn start_command(&self, name: &str) -> Vec<String> {
        vec![self.f2b.path(name).display().to_string()]
    }

    /// Starts the daemon by hand and waits until it listens.
    pub(crate) fn start(&self) {
        // It is killed with the folder.
        drop(
            Command::new(self.f2b.path("start"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        self.wait_calls(1, "up");
    }

    /// What happened to the daemon so far, in order: each line begins with whether a rollback file
    /// was on disk (`disabled`) or not (`enabled`).
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.f2b.path("calls")).unwrap();
        calls.lines().map(str::to_owned).collect()
    }

    /// How many calls hold `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.contains(text))
            .count()
    }

    /// Waits until `count` calls hold `text`.
    pub(crate) fn wait_calls(&self, count: usize, text: &str) {
        wait_until(GUARD, || (self.count(text) >= count).then_some(())).unwrap_or_else(|| {
            panic!("{text:?} is not {count} times in {:#?}", self.calls());
        });
    }
}
