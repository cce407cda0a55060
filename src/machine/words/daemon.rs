//! The words on the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::super::Machine;
use super::super::absence::MASKED;
use super::super::event::{Daemon, Sight};
use super::super::incident::Incident;
use super::super::report::Kind;
use super::super::restart::Cause;
use super::{fault, jails, names, protecting, seconds, spans};

impl Machine {
    pub(in super::super) fn say_supervising(&mut self, sight: &Sight) {
        let found = match &sight.daemon {
            Daemon::Answers { pid, .. } => {
                let expected = self.expected();
                let alive = expected.len() - self.not_alive().len();
                format!(
                    "fail2ban runs (process {pid}); {alive} of {}",
                    protecting(expected.len())
                )
            }
            Daemon::Silent { .. } => "fail2ban does not answer".to_owned(),
            Daemon::Absent {
                process: Some(pid), ..
            } => format!("fail2ban lives (process {pid}) but has no socket yet, or no longer"),
            Daemon::Absent { .. } => "fail2ban is not running".to_owned(),
        };
        let mut message = format!("supervision begins: {found}");
        if !self.rollbacks.is_empty() {
            let _ = write!(
                message,
                "; disabled by a rollback: {}",
                names(&self.rollbacks)
            );
        }
        if self.refusal.is_some() {
            message.push_str("; a faulty change waits on disk");
        }
        let report = self.report(Kind::Supervising, message);
        self.say(report);
    }

    pub(in super::super) fn say_ending(&mut self) {
        let report = if self.stopping {
            self.report(
                Kind::DaemonDown,
                "supervision ends in the middle of a restart: fail2ban may be DOWN until jailwarden \
                 runs again, or somebody starts it",
            )
        } else {
            self.report(Kind::Ending, "supervision ends; fail2ban is left as it is")
        };
        self.say(report);
    }

    pub(in super::super) fn say_trouble(&mut self, cause: &Cause) {
        let (kind, reason, message) = match cause {
            Cause::Down(why) => (
                Kind::DaemonDown,
                Some(why.clone()),
                format!("fail2ban is down: {why}{}; jailwarden starts it", self.known_fault()),
            ),
            // Told once it is known what it was doing.
            Cause::Hung { stopped: false } => return,
            Cause::Hung { stopped: true } => (
                Kind::DaemonHung,
                None,
                "fail2ban was stopped by a signal (SIGSTOP) and protects nothing; jailwarden tells it to continue (SIGCONT)".to_owned(),
            ),
            Cause::Unaskable(why) => (
                Kind::DaemonHung,
                Some(why.clone()),
                format!("fail2ban lives but cannot be asked or told anything: {why}; jailwarden restarts it"),
            ),
            Cause::Cramped(why) => (
                Kind::JailAiling,
                Some(why.clone()),
                format!(
                    "fail2ban may open no more files, so that it can run no action and read no log: {why}; \
                     jailwarden restarts it"
                ),
            ),
            Cause::Blind { jail, why } => (
                Kind::JailAiling,
                Some(why.clone()),
                format!(
                    "{jail} is alive but does not protect: {why}; as nothing cures that but another process, \
                     jailwarden restarts fail2ban"
                ),
            ),
            Cause::DeadJails(dead) => (
                Kind::Restarting,
                None,
                format!("{} could not be revived alone; jailwarden restarts fail2ban", names(dead)),
            ),
            Cause::Interrupted if self.daemon.pid.is_some() => (
                Kind::Restarting,
                None,
                "fail2ban answers and runs no jail, and jailwarden was interrupted before it restarted it; jailwarden \
                 restarts it"
                    .to_owned(),
            ),
            Cause::Interrupted => (
                Kind::DaemonDown,
                None,
                "fail2ban is down since jailwarden was interrupted while restarting it; jailwarden starts it".to_owned(),
            ),
            Cause::NotRunning => (
                Kind::DaemonDown,
                None,
                "fail2ban is not running, and no unit runs it; jailwarden starts it".to_owned(),
            ),
            Cause::Asked => (Kind::Restarting, None, "fail2ban is restarted, as was asked for".to_owned()),
            Cause::Database if self.in_memory.ended => (
                Kind::Restarting,
                None,
                "fail2ban is restarted with its database in its file again, since somebody removed the file that \
                 kept it in memory"
                    .to_owned(),
            ),
            Cause::Database => (
                Kind::Restarting,
                None,
                "fail2ban is restarted with its database in its file again, which can be written now; what was \
                 banned meanwhile and logged within findtime is banned again"
                    .to_owned(),
            ),
            Cause::Damaged(why) => (
                Kind::DatabaseDamaged,
                Some(why.clone()),
                format!(
                    "fail2ban bans, but loses each jail that it is told to load, as {why}; jailwarden moves the \
                     database aside and restarts it"
                ),
            ),
            Cause::Retry => (Kind::Restarting, None, "jailwarden tries to start fail2ban once more".to_owned()),
        };
        let mut report = self.report(kind, message);
        report.reason = reason;
        report.jails = match cause {
            Cause::DeadJails(dead) => dead.iter().cloned().collect(),
            Cause::Blind { jail, .. } => vec![jail.clone()],
            Cause::Cramped(_) => self.expected().into_iter().collect(),
            _ => Vec::new(),
        };
        self.say(report);
    }

    /// `due`: a restart for that is, and may not be given.
    pub(in super::super) fn say_still_cramped(&mut self, why: &str, due: bool) {
        let mend = match &self.names.unit {
            Some(unit) => format!("LimitNOFILE= in its unit (systemctl edit {unit})"),
            None => "the limit of whoever starts it (ulimit -n)".to_owned(),
        };
        let message = if due {
            format!(
                "fail2ban may open no more files: {why}. None of its jails protects, and it is not restarted {}",
                self.while_barred()
            )
        } else {
            format!(
                "fail2ban may open no more files, though it was restarted for that less than an hour ago: \
                 {why}. None of its jails protects. Raise {mend} and restart it"
            )
        };
        let mut report = self.report(Kind::JailAiling, message);
        report.jails = self.expected().into_iter().collect();
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_crashed(&mut self, why: &str) {
        let mut report = self.report(
            Kind::DaemonDown,
            format!("fail2ban is down: {why}; systemd starts it again"),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_revived(&mut self) {
        let report = self.report(
            Kind::DaemonDown,
            "fail2ban had died, and systemd has started it again",
        );
        self.say(report);
    }

    pub(in super::super) fn say_unpacked(&mut self, why: &str) {
        let mut report = self.report(
            Kind::DaemonDown,
            format!(
                "fail2ban is down: {why}; packages are being installed, so it is not started before \
                 that is done"
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_all_clear(
        &mut self,
        incident: &Incident,
        lost: &BTreeMap<String, Duration>,
    ) {
        let expected = self.expected();
        let took = seconds(self.now.since(incident.since) + incident.before);
        let (kind, mut message) = match expected.len() {
            0 => (
                Kind::JailDead,
                "fail2ban runs again, but no jail is left: this host is NOT protected".to_owned(),
            ),
            count => (
                Kind::AllClear,
                format!(
                    "fail2ban protects again after {took}: {} ({})",
                    jails(count),
                    names(&expected)
                ),
            ),
        };
        if !lost.is_empty() {
            let _ = write!(message, "; without protection meanwhile: {}", spans(lost));
        }
        // What a jailwarden before this one has disabled is disabled for the same reason.
        let before = incident.expected.intersection(&self.rollbacks);
        let disabled = before.chain(&incident.rolled_back);
        // One that something enables all the same is not.
        let disabled: BTreeSet<_> = disabled
            .filter(|jail| !expected.contains(*jail))
            .cloned()
            .collect();
        let mut gone = incident.expected.clone();
        gone.retain(|jail| {
            ![&expected, &disabled, &self.lost, &self.held]
                .iter()
                .any(|set| set.contains(jail))
        });
        // Their rollbacks were taken back, and they are loaded once that is read.
        let (due, gone): (BTreeSet<_>, BTreeSet<_>) =
            gone.into_iter().partition(|jail| self.is_taken_back(jail));
        if !due.is_empty() {
            let _ = write!(message, "; to be loaded again: {}", names(&due));
        }
        if !gone.is_empty() {
            let _ = write!(message, "; no longer in the config: {}", names(&gone));
        }
        if !disabled.is_empty() {
            let _ = write!(
                message,
                "; disabled for it: {}. To undo: {}",
                names(&disabled),
                self.undo_rollbacks(&disabled),
            );
        }
        if !self.lost.is_empty() {
            let _ = write!(message, "; still without protection: {}", names(&self.lost));
        }
        let mut report = self.report(kind, message);
        report.jails = disabled.into_iter().collect();
        self.say(report);
    }

    /// The fault that is known to keep the daemon from starting.
    fn known_fault(&self) -> String {
        let mut faults = self.refusal.iter().flat_map(|r| &r.findings);
        match faults.find(|f| f.fatal) {
            Some(finding) => format!(", as its config is faulty ({})", fault(finding)),
            None => String::new(),
        }
    }

    pub(in super::super) fn say_gave_up(&mut self, why: &str, wait: Duration) {
        let faults = self.refusal.iter().flat_map(|r| &r.findings);
        let look = match faults.clone().find(|f| f.fatal).or(faults.clone().next()) {
            Some(finding) => format!("The config is faulty: {}.", fault(finding)),
            None => match &self.names.unit {
                Some(unit) => format!("Look at: journalctl -u {unit} -n 50."),
                None => "Look at fail2ban's own log.".to_owned(),
            },
        };
        let state = if self.daemon.pid.is_some() {
            "fail2ban lives, but is not restarted again for now"
        } else {
            "Nothing protects this host: fail2ban is down and does not come back"
        };
        let mut report = self.report(
            Kind::GaveUp,
            format!(
                "{state}: {why}. {look} {}",
                if self.is_masked() {
                    format!("It is not restarted {}", self.while_barred())
                } else {
                    let wait = seconds(wait);
                    format!("It is tried again in {wait}, and at once when the config changes")
                }
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_standby(&mut self, why: &str) {
        let start = match &self.names.unit {
            Some(unit) if why == MASKED => {
                format!("systemctl unmask {unit} && systemctl start {unit}")
            }
            Some(unit) => format!("systemctl start {unit}"),
            None => format!("{} start", self.names.client),
        };
        let mut report = self.report(
            Kind::Standby,
            format!(
                "fail2ban is stopped on purpose ({why}) and is left alone; this host is not \
                 protected. To start it: {start}"
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_back_by_hand(&mut self) {
        let pid = self
            .daemon
            .pid
            .map(|p| format!(" (process {p})"))
            .unwrap_or_default();
        // A start that was given up may have been slow.
        let gave_up = self.incident.as_ref().is_some_and(|it| it.given_up > 0);
        let by = if gave_up {
            "started by jailwarden, and late, or by systemd or by hand"
        } else {
            "started by systemd or by hand"
        };
        let report = self.report(Kind::BackByHand, format!("fail2ban runs again{pid}, {by}"));
        self.say(report);
    }
}
