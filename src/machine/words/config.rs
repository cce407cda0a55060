//! The words on config changes and on rollbacks.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::Machine;
use super::super::event::Finding;
use super::super::plan::{Change, Changes};
use super::super::report::Kind;
use super::{NAMES_SHOWN, fault, names, protecting};

impl Machine {
    /// What a person types to undo rollbacks.
    pub(super) fn undo_rollbacks(jails: &BTreeSet<String>) -> String {
        let names: Vec<_> = match jails.len() {
            0..=NAMES_SHOWN => jails.iter().map(String::as_str).collect(),
            _ => vec!["--all"],
        };
        format!("jailwarden rollback undo {}", names.join(" "))
    }

    /// The file that disables a jail.
    fn rollback_file(&self, jail: &str) -> PathBuf {
        let name = format!("zzz-jailwarden-{jail}.local");
        self.names.config_dir.join("jail.d").join(name)
    }

    pub(in super::super) fn say_applied(
        &mut self,
        changes: &Changes,
        server: bool,
        files: &[PathBuf],
    ) {
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
        report.file = files.first().cloned();
        self.say(report);
    }

    pub(in super::super) fn say_refused(&mut self) {
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

    pub(in super::super) fn say_check_failed(&mut self, why: &str) {
        let mut report = self.report(
            Kind::ChangeRefused,
            format!("a change of the config could not be checked, so it is not applied: {why}"),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_withdrawn(&mut self, before: &[Finding]) {
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

    pub(in super::super) fn reason_to_roll_back(&self, jails: &[String]) -> String {
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

    pub(in super::super) fn say_rolled_back(&mut self, jails: &[String]) {
        let set: BTreeSet<_> = jails.iter().cloned().collect();
        let reason = self.reason_to_roll_back(jails);
        let mut report = self.report(
            Kind::RolledBack,
            format!(
                "{} disabled so that the others can run: {reason}. It comes back by itself once \
                 that is mended; to have it back at once: {}",
                names(&set),
                Self::undo_rollbacks(&set),
            ),
        );
        report.file = jails.first().map(|jail| self.rollback_file(jail));
        report.jails = jails.to_vec();
        report.reason = Some(reason);
        self.say(report);
    }

    pub(in super::super) fn say_rollback_failed(&mut self, jails: &[String], why: &str) {
        let set: BTreeSet<_> = jails.iter().cloned().collect();
        let mut report = self.report(
            Kind::RollbackFailed,
            format!("{} could not be disabled: {why}", names(&set)),
        );
        report.jails = jails.to_vec();
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_undone(&mut self, undone: &BTreeSet<String>) {
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

    pub(in super::super) fn say_taken_back(&mut self, jails: &BTreeSet<String>) {
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

    pub(in super::super) fn say_not_taken_back(&mut self, jails: &BTreeSet<String>, why: &str) {
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

    pub(in super::super) fn say_not_kept(&mut self, why: &str) {
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
