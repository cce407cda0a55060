//! The words for people: each report says what, why, and what to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::event::{Daemon, Finding, Sight};
use super::incident::Incident;
use super::plan::{Change, Changes};
use super::report::{Kind, Report};
use super::restart::Cause;
use super::{Action, Machine};

/// More names than this are counted, not listed.
const NAMES_SHOWN: usize = 8;

/// What the words need to know of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// fail2ban's config folder.
    pub config_dir: PathBuf,
    /// The unit that runs fail2ban, if one does.
    pub unit: Option<String>,
}

impl Machine {
    fn say(&mut self, report: Report) {
        self.out.push(Action::Report(report));
    }

    fn report(&self, kind: Kind, message: impl Into<String>) -> Report {
        Report {
            kind,
            state: self.state_name(),
            incident: self.incident.as_ref().map(|i| i.id.clone()),
            jails: Vec::new(),
            file: None,
            line: None,
            reason: None,
            message: message.into(),
        }
    }

    pub(super) fn say_supervising(&mut self, sight: &Sight) {
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

    pub(super) fn say_ending(&mut self) {
        let report = self.report(Kind::Ending, "supervision ends; fail2ban is left as it is");
        self.say(report);
    }

    pub(super) fn say_trouble(&mut self, cause: &Cause) {
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
            Cause::DeadJails(dead) => (
                Kind::Restarting,
                None,
                format!("{} could not be revived alone; jailwarden restarts fail2ban", names(dead)),
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
            Cause::Retry => (Kind::Restarting, None, "jailwarden tries to start fail2ban once more".to_owned()),
        };
        let mut report = self.report(kind, message);
        report.reason = reason;
        if let Cause::DeadJails(dead) = cause {
            report.jails = dead.iter().cloned().collect();
        }
        self.say(report);
    }

    pub(super) fn say_crashed(&mut self, why: &str) {
        let mut report = self.report(
            Kind::DaemonDown,
            format!("fail2ban is down: {why}; systemd starts it again"),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(super) fn say_hung(&mut self, diagnosis: &str) {
        let mut report = self.report(
            Kind::DaemonHung,
            "fail2ban hangs: it does not answer its socket; jailwarden ends it and starts it again. \
             What it was doing: journalctl -t jailwarden -o verbose, field JAILWARDEN_REASON",
        );
        report.reason = Some(diagnosis.to_owned());
        self.say(report);
    }

    pub(super) fn say_unaskable_waits(&mut self, why: &str) {
        let mut report = self.report(
            Kind::DaemonHung,
            format!(
                "fail2ban protects but cannot be asked or told anything: {why}; it is not restarted \
                 while a faulty change waits on disk: mend that change, and it is"
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(super) fn say_jails_dead(&mut self, dead: &BTreeSet<String>, then: &str) {
        let mut report = self.report(
            Kind::JailDead,
            format!(
                "{} should run and does not protect: missing, or without its threads; {then}",
                names(dead)
            ),
        );
        report.jails = dead.iter().cloned().collect();
        self.say(report);
    }

    pub(super) fn say_held(&mut self, held: &BTreeSet<String>) {
        let first = held.iter().next().cloned().unwrap_or_default();
        let mut report = self.report(
            Kind::JailHeld,
            format!(
                "{} was stopped by hand and is left alone; to run it again: fail2ban-client start {first}, \
                 or change its config, or restart fail2ban",
                names(held)
            ),
        );
        report.jails = held.iter().cloned().collect();
        self.say(report);
    }

    pub(super) fn say_all_clear(&mut self, incident: &Incident) {
        let expected = self.expected();
        let took = seconds(self.now.since(incident.since));
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
        if !incident.rolled_back.is_empty() {
            let _ = write!(
                message,
                "; disabled for it: {}. To undo: {}",
                names(&incident.rolled_back),
                self.undo_rollbacks(&incident.rolled_back),
            );
        }
        if !self.lost.is_empty() {
            let _ = write!(message, "; still without protection: {}", names(&self.lost));
        }
        let mut report = self.report(kind, message);
        report.jails = incident.rolled_back.iter().cloned().collect();
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

    /// What a person types to undo rollbacks.
    fn undo_rollbacks(&self, jails: &BTreeSet<String>) -> String {
        let folder = self.names.config_dir.join("jail.d");
        let files = jails.iter().take(NAMES_SHOWN);
        let files = files.map(|j| {
            folder
                .join(format!("zzz-jailwarden-{j}.local"))
                .display()
                .to_string()
        });
        format!(
            "mend the config, then rm {}",
            files.collect::<Vec<_>>().join(" ")
        )
    }

    pub(super) fn say_applied(&mut self, changes: &Changes, server: bool) {
        let by = |wanted: fn(&Change) -> bool| {
            let set: BTreeSet<_> = changes
                .iter()
                .filter(|(_, c)| wanted(c))
                .map(|(n, _)| n.clone())
                .collect();
            set
        };
        let groups = [
            ("loaded", by(|c| matches!(c, Change::Load(_)))),
            ("restarted", by(|c| matches!(c, Change::Restart(_)))),
            ("stopped", by(|c| matches!(c, Change::Unload))),
        ];
        let mut parts: Vec<_> = groups
            .into_iter()
            .filter(|(_, set)| !set.is_empty())
            .map(|(verb, set)| format!("{verb} {}", names(&set)))
            .collect();
        if server {
            parts.push("server settings set".to_owned());
        }
        let alive = protecting(self.expected().len());
        let mut report = self.report(
            Kind::ChangeApplied,
            format!("config change applied: {}; {alive}", parts.join(", ")),
        );
        report.jails = changes.keys().cloned().collect();
        self.say(report);
    }

    pub(super) fn say_refused(&mut self) {
        let Some(refusal) = &self.refusal else { return };
        let Some(first) = refusal.findings.first().cloned() else {
            return;
        };
        let jails = refusal.findings.iter();
        let jails = jails.filter_map(|f| f.jail.clone()).collect();
        let more = match refusal.findings.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let what = if self.daemon.ping.is_some() {
            "a change of the config would fail and is not applied; every jail keeps what it has: "
        } else {
            "the config on disk keeps fail2ban from running all its jails: "
        };
        let mut report = self.report(
            Kind::ChangeRefused,
            format!(
                "{what}{}{more}. Mend it and save: it is checked again at once",
                fault(&first)
            ),
        );
        report.jails = jails;
        report.file = first.file;
        report.line = first.line;
        report.reason = Some(first.words);
        self.say(report);
    }

    pub(super) fn say_check_failed(&mut self, why: &str) {
        let mut report = self.report(
            Kind::ChangeRefused,
            format!("a change of the config could not be checked, so it is not applied: {why}"),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(super) fn say_withdrawn(&mut self, before: &[Finding]) {
        let what = before.first().map(fault).unwrap_or_default();
        let more = match before.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let report = self.report(
            Kind::ChangeWithdrawn,
            format!("what waited on disk is mended or withdrawn: {what}{more}"),
        );
        self.say(report);
    }

    pub(super) fn reason_to_roll_back(&self, jails: &[String]) -> String {
        let found = self.refusal.iter().flat_map(|r| &r.findings);
        let words: Vec<_> = found
            .filter(|f| f.jail.as_ref().is_some_and(|j| jails.contains(j)))
            .map(|f| f.words.as_str())
            .collect();
        if words.is_empty() {
            "fail2ban did not come back, and this jail was the last to change".to_owned()
        } else {
            words.join("; ")
        }
    }

    pub(super) fn say_rolled_back(&mut self, jails: &[String]) {
        let set: BTreeSet<_> = jails.iter().cloned().collect();
        let reason = self.reason_to_roll_back(jails);
        let mut report = self.report(
            Kind::RolledBack,
            format!(
                "{} disabled so that the others can run: {reason}. To undo: {}",
                names(&set),
                self.undo_rollbacks(&set),
            ),
        );
        report.jails = jails.to_vec();
        report.reason = Some(reason);
        self.say(report);
    }

    pub(super) fn say_rollback_failed(&mut self, jails: &[String], why: &str) {
        let set: BTreeSet<_> = jails.iter().cloned().collect();
        let mut report = self.report(
            Kind::RollbackFailed,
            format!("{} could not be disabled: {why}", names(&set)),
        );
        report.jails = jails.to_vec();
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(super) fn say_undone(&mut self, undone: &BTreeSet<String>) {
        let mut report = self.report(
            Kind::RollbackUndone,
            format!(
                "the rollback of {} was removed; its config counts again",
                names(undone)
            ),
        );
        report.jails = undone.iter().cloned().collect();
        self.say(report);
    }

    pub(super) fn say_taken_back(&mut self, jails: &BTreeSet<String>) {
        let mut report = self.report(
            Kind::RollbackUndone,
            format!(
                "disabling {} did not help, so it is taken back",
                names(jails)
            ),
        );
        report.jails = jails.iter().cloned().collect();
        self.say(report);
    }

    pub(super) fn say_not_taken_back(&mut self, jails: &BTreeSet<String>, why: &str) {
        let mut report = self.report(
            Kind::RollbackFailed,
            format!(
                "disabling {} did not help, but could not be taken back: {why}",
                names(jails)
            ),
        );
        report.jails = jails.iter().cloned().collect();
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(super) fn say_stop_refused(&mut self, words: &str) {
        let mut report = self.report(
            Kind::Restarting,
            format!("fail2ban refused to stop ({words}); it is sent SIGTERM"),
        );
        report.reason = Some(words.to_owned());
        self.say(report);
    }

    pub(super) fn say_gave_up(&mut self, why: &str, wait: Duration) {
        let faults = self.refusal.iter().flat_map(|r| &r.findings);
        let look = match faults.clone().find(|f| f.fatal).or(faults.clone().next()) {
            Some(finding) => format!("The config is faulty: {}.", fault(finding)),
            None => "Look at: journalctl -u fail2ban -n 50.".to_owned(),
        };
        let mut report = self.report(
            Kind::GaveUp,
            format!(
                "fail2ban is down and does not come back: {why}. Nothing protects this host. {look} \
                 It is tried again in {}, and at once when the config changes",
                seconds(wait),
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(super) fn say_standby(&mut self, why: &str) {
        let start = match &self.names.unit {
            Some(unit) if why.contains("masked") => {
                format!("systemctl unmask {unit} && systemctl start {unit}")
            }
            Some(unit) => format!("systemctl start {unit}"),
            None => "fail2ban-client start".to_owned(),
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

    pub(super) fn say_back_by_hand(&mut self) {
        let pid = self
            .daemon
            .pid
            .map(|p| format!(" (process {p})"))
            .unwrap_or_default();
        let report = self.report(
            Kind::BackByHand,
            format!("fail2ban runs again{pid}, started by systemd or by hand"),
        );
        self.say(report);
    }

    pub(super) fn say_not_kept(&mut self, why: &str) {
        let mut report = self.report(
            Kind::StateNotKept,
            format!(
                "what jailwarden must remember could not be written: {why}; it goes on without"
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }
}

/// `FILE:LINE: jail NAME: WORDS`, as far as known.
fn fault(finding: &Finding) -> String {
    let mut text = String::new();
    if let Some(file) = &finding.file {
        let _ = write!(text, "{}:", file.display());
        if let Some(line) = finding.line {
            let _ = write!(text, "{line}:");
        }
        text.push(' ');
    }
    if let Some(jail) = &finding.jail {
        let _ = write!(text, "jail {jail}: ");
    }
    text.push_str(finding.words.trim_end_matches('.'));
    text
}

/// A few names in full, more as a number.
pub(super) fn names(set: &BTreeSet<String>) -> String {
    let shown: Vec<_> = set.iter().take(NAMES_SHOWN).map(String::as_str).collect();
    match set.len().saturating_sub(NAMES_SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn jails(count: usize) -> String {
    format!("{count} jail{}", if count == 1 { "" } else { "s" })
}

fn protecting(count: usize) -> String {
    format!(
        "{} protect{}",
        jails(count),
        if count == 1 { "s" } else { "" }
    )
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
