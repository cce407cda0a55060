//! A host on which the installed jailwarden guards fail2ban.

use std::cell::RefCell;
use std::ops::Deref;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::host::Host;
use crate::support::{GUARD, wait_until};

/// Looks so often that a wait of seconds covers many looks.
pub(crate) const QUICK: &str = "probe:\n  interval: 1s\n  timeout: 2s\n";

/// A host, and the place in its journal from which on a test reads.
pub(crate) struct Guarded {
    host: Host,
    mark: RefCell<String>,
}

impl Deref for Guarded {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Guarded {
    /// A host without jailwarden, whose fail2ban has not been started.
    pub(crate) fn boot() -> Option<Self> {
        let host = Host::boot()?;
        let mark = RefCell::default();
        let guarded = Self { host, mark };
        guarded.mark();
        Some(guarded)
    }

    /// Installs jailwarden, with frequent probes, on a host whose fail2ban has not been started.
    pub(crate) fn install() -> Option<Self> {
        let host = Self::boot()?;
        host.install_jailwarden();
        host.write("/etc/jailwarden/jailwarden.yaml", QUICK);
        Some(host)
    }

    /// As [`Self::install`]; then fail2ban protects with two jails, and jailwarden has looked at it.
    pub(crate) fn begin() -> Option<Self> {
        let host = Self::install()?;
        host.make_auth_log();
        host.jail("web");
        host.sh("systemctl start fail2ban");
        host.wait_protects("sshd");
        host.sh("systemctl enable --now --quiet jailwarden");
        host.wait_said("supervision begins: fail2ban runs");
        host.mark();
        Some(host)
    }

    /// The host itself, to be rebooted.
    pub(crate) fn host_mut(&mut self) -> &mut Host {
        &mut self.host
    }

    /// From here on: what is said before is not read again.
    pub(crate) fn mark(&self) {
        let shown = self.sh(
            "echo mark | systemd-cat --identifier mark; journalctl --sync; \
             journalctl --quiet --identifier mark --lines 1 --output cat --show-cursor",
        );
        let cursor = shown.rsplit("-- cursor: ").next().unwrap().trim();
        *self.mark.borrow_mut() = cursor.to_owned();
    }

    /// The journal since the mark, as far as `filter` lets it through.
    pub(crate) fn journal_since(&self, filter: &str) -> String {
        let mark = self.mark.borrow();
        // Not --after-cursor: systemd 252 passes one record over if the filter hides the mark.
        self.sh(&format!(
            "journalctl --quiet --no-pager --output cat --cursor '{mark}' {filter}"
        ))
    }

    /// What jailwarden has said since the mark.
    pub(crate) fn said(&self) -> String {
        self.journal_since("--identifier jailwarden")
    }

    /// Waits until jailwarden says something.
    pub(crate) fn wait_said(&self, words: &str) {
        let heard = wait_until(GUARD, || self.said().contains(words).then_some(()));
        assert!(
            heard.is_some(),
            "{words:?} was not said, but:\n{}\nand of fail2ban.service:\n{}",
            self.said(),
            self.host.journal("fail2ban")
        );
    }

    /// Nothing was said since the mark that would wake anybody.
    pub(crate) fn assert_no_alarm(&self) {
        let alarms = self.journal_since("--identifier jailwarden --priority warning");
        assert_eq!(alarms, "", "of all that was said:\n{}", self.said());
    }

    /// Waits until `systemctl status` would begin its status text like this.
    pub(crate) fn wait_status(&self, words: &str) {
        let status = || self.property("jailwarden", "StatusText");
        let seen = wait_until(GUARD, || status().starts_with(words).then_some(()));
        assert!(
            seen.is_some(),
            "the status is not {words:?} but {:?}\n{}",
            status(),
            self.said()
        );
    }

    /// Each of jailwarden's records has an explanation for `journalctl -x`, in which no field is
    /// missing: journalctl would show its bare name.
    pub(crate) fn assert_explained(&self) {
        let shown = self.sh("journalctl --no-pager --catalog --identifier jailwarden");
        assert!(shown.contains("Defined-By: jailwarden"), "{shown}");
        let mut bare = shown
            .lines()
            .filter(|line| line.starts_with('░') && line.contains("JAILWARDEN_"))
            .filter(|line| !line.contains("JAILWARDEN_INCIDENT="));
        assert_eq!(bare.next(), None, "{shown}");
    }

    /// Both jails ban.
    pub(crate) fn wait_all_protect(&self) {
        self.wait_protects("sshd");
        self.wait_protects("web");
    }

    /// A property of a unit.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        let shown = self.sh(&format!("systemctl show -P {name} {unit}"));
        shown.trim().to_owned()
    }

    pub(crate) fn main_pid(&self, unit: &str) -> String {
        self.property(unit, "MainPID")
    }

    /// What a process may do at most, and what is filtered of its system calls.
    pub(crate) fn rights(&self, pid: &str) -> String {
        self.sh(&format!(
            "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/{pid}/status"
        ))
    }

    /// Signals the main process of a unit.
    pub(crate) fn kill(&self, unit: &str, signal: &str) {
        self.sh(&format!("kill -{signal} {}", self.main_pid(unit)));
    }

    /// Waits until a unit has another main process than before.
    pub(crate) fn wait_new_process(&self, unit: &str, before: &str) {
        let new = wait_until(GUARD, || {
            let now = self.main_pid(unit);
            (now != before && now != "0").then_some(())
        });
        assert!(new.is_some(), "{unit} has no new process\n{}", self.said());
    }

    /// Nobody starts fail2ban for as long as many looks take.
    pub(crate) fn assert_stays_down(&self) {
        let end = Instant::now() + Duration::from_secs(12);
        while Instant::now() < end {
            let processes = self.run(&["pgrep", "-f", "fail2ban-server"]);
            assert!(
                !processes.status.success(),
                "somebody started fail2ban\n{}",
                self.said()
            );
            thread::sleep(Duration::from_millis(200));
        }
    }
}
