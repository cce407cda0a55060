//! The words on what people do to jailwarden, and on jails that come back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::Machine;
use super::super::event::Finding;
use super::super::report::Kind;
use super::{fault, names};

impl Machine {
    /// ` for another 30m`, or nothing for a pause without an end.
    pub(in super::super) fn pause_end(&self) -> String {
        let minutes = |left: Duration| left.as_secs().div_ceil(60);
        self.pause_left()
            .map(|left| format!(" for another {} min", minutes(left)))
            .unwrap_or_default()
    }

    pub(in super::super) fn say_paused(&mut self) {
        let Some(pause) = &self.pause else { return };
        let why = pause.why.clone();
        let mut report = self.report(
            Kind::Paused,
            format!(
                "jailwarden is paused{} ({why}): it watches and does nothing, whatever happens to \
                 fail2ban. To end the pause: {} resume",
                self.pause_end(),
                self.names.called
            ),
        );
        report.reason = Some(why);
        self.say(report);
    }

    pub(in super::super) fn say_resumed(&mut self, why: &str) {
        let mut report = self.report(
            Kind::Resumed,
            format!("the pause is over ({why}); jailwarden supervises again"),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_mended(&mut self, jails: &BTreeSet<String>) {
        let mut report = self.report(
            Kind::JailMended,
            format!(
                "{} passed a trial, so the rollback is removed and {} started again",
                names(jails),
                if jails.len() == 1 {
                    "it is"
                } else {
                    "they are"
                },
            ),
        );
        report.jails = jails.iter().cloned().collect();
        self.say(report);
    }

    pub(in super::super) fn say_not_wanted(&mut self, jails: &BTreeSet<String>) {
        let mut report = self.report(
            Kind::RollbackUndone,
            format!(
                "{} {} not enabled in the config any more, so the rollback is removed",
                names(jails),
                if jails.len() == 1 { "is" } else { "are" },
            ),
        );
        report.jails = jails.iter().cloned().collect();
        self.say(report);
    }

    pub(in super::super) fn say_not_mended(&mut self, jails: &BTreeSet<String>, why: &str) {
        let mut report = self.report(
            Kind::RollbackFailed,
            format!(
                "{} passed a trial, but the rollback could not be removed: {why}. It is tried again \
                 later; by hand: {}",
                names(jails),
                self.undo_rollbacks(jails),
            ),
        );
        report.jails = jails.iter().cloned().collect();
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_still_faulty(&mut self, jail: &str, finding: &Finding) {
        let mut report = self.report(
            Kind::ChangeRefused,
            format!(
                "{jail} stays disabled by its rollback, as it would still fail: {}. Mend it and \
                 save: it is tried again at once",
                fault(finding)
            ),
        );
        report.jails = vec![jail.to_owned()];
        report.file.clone_from(&finding.file);
        report.line = finding.line;
        report.reason = Some(finding.words.clone());
        self.say(report);
    }
}
