//! The words on a database in memory.

use std::path::PathBuf;

use super::super::Machine;
use super::super::State;
use super::super::report::Kind;
use super::super::restart::Cause;

impl Machine {
    /// What a person types to have the database in its file again.
    pub(super) fn undo_in_memory(&self) -> String {
        format!("{} rollback undo dbfile", self.names.called)
    }

    pub(in super::super) fn reason_to_set_aside(&self) -> String {
        match &self.state {
            State::Restarting(restart) => match &restart.cause {
                Cause::Damaged(why) => why.clone(),
                _ => restart.verdict.evidence.clone(),
            },
            _ => String::new(),
        }
    }

    pub(in super::super) fn say_set_aside(&mut self, path: PathBuf, reason: &str) {
        let mut report = self.report(
            Kind::DatabaseDamaged,
            format!(
                "the damaged database of fail2ban is moved aside, and kept as {}: {reason}. fail2ban makes a new \
                 one. Bans of before are not known to it; what was logged within findtime is read again",
                path.display()
            ),
        );
        report.file = Some(path);
        report.reason = Some(reason.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_not_set_aside(&mut self, why: &str) {
        let mut report = self.report(
            Kind::RollbackFailed,
            format!("the damaged database of fail2ban could not be moved aside: {why}"),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn reason_to_keep_in_memory(&self) -> String {
        match &self.state {
            State::Restarting(restart) if !restart.verdict.evidence.is_empty() => {
                restart.verdict.evidence.clone()
            }
            _ => "the database cannot be used".to_owned(),
        }
    }

    pub(in super::super) fn say_in_memory(&mut self, reason: &str) {
        let mut report = self.report(
            Kind::InMemory,
            format!(
                "fail2ban is started with its database in memory, so that it runs: {reason}. Bans of before are \
                 not known to it, and those of now are forgotten when it ends. Once the file can be written, \
                 jailwarden restarts fail2ban with it; to do so by hand: {}",
                self.undo_in_memory()
            ),
        );
        report.file = Some(self.names.in_memory.clone());
        report.reason = Some(reason.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_in_memory_failed(&mut self, why: &str) {
        let mut report = self.report(
            Kind::RollbackFailed,
            format!("fail2ban cannot be started with its database in memory: {why}"),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_in_memory_stays(&mut self, why: &str) {
        let mut report = self.report(
            Kind::RollbackFailed,
            format!(
                "the database can be in its file again, but stays in memory: {why}. Once that is mended: {}",
                self.undo_in_memory()
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }
}
