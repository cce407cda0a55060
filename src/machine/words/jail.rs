//! The words on single jails.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::Machine;
use super::super::event::{Ailment, Complaint, Cure};
use super::super::report::Kind;
use super::{NAMES_SHOWN, names, seconds};

impl Machine {
    pub(in super::super) fn say_jails_dead(&mut self, dead: &BTreeSet<String>, then: &str) {
        let mut report = self.report(
            Kind::JailDead,
            format!(
                "{} should run and {} not protect: missing, or without its threads; {then}",
                names(dead),
                if dead.len() == 1 { "does" } else { "do" },
            ),
        );
        report.jails = dead.iter().cloned().collect();
        report.reason = Some(then.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_jails_rest(&mut self, dead: &BTreeSet<String>, wait: Duration) {
        let then = format!(
            "loaded again it died each time; it is loaded again in {}, and at once when the config \
             changes. Why it dies: fail2ban's own log, at the last lines of the jail",
            seconds(wait)
        );
        self.say_jails_dead(dead, &then);
    }

    pub(in super::super) fn say_jails_lost(
        &mut self,
        dead: &BTreeSet<String>,
        restarted: bool,
        wait: Duration,
    ) {
        let tried = if restarted {
            "neither loading it again nor a restart of fail2ban helped".to_owned()
        } else {
            self.jails_barred()
        };
        let then = format!(
            "{tried}; it is loaded again in {}, and at once when the config changes. Why it dies: fail2ban's \
             own log, at the last lines of the jail",
            seconds(wait)
        );
        self.say_jails_dead(dead, &then);
    }

    pub(in super::super) fn say_jails_wait(&mut self, dead: &BTreeSet<String>) {
        let then = self.jails_barred();
        self.say_jails_dead(dead, &then);
    }

    fn jails_barred(&self) -> String {
        let barred = self.while_barred();
        format!("loading it again did not help, and fail2ban is not restarted {barred}")
    }

    pub(in super::super) fn say_ailing(
        &mut self,
        jail: &str,
        ailment: &Ailment,
        cure: Option<Cure>,
    ) {
        let then = match (cure, ailment.cure) {
            (Some(Cure::Load), _) => "it is loaded again, alone".to_owned(),
            (Some(Cure::Restart), _) => "it is restarted, alone".to_owned(),
            (Some(Cure::Free), _) => {
                "that command is ended; which it was: fail2ban's own log".to_owned()
            }
            (Some(Cure::Daemon), _) | (None, Some(Cure::Daemon)) => {
                format!(
                    "nothing cures that but a restart of fail2ban, which jailwarden does once, and only where that \
                     is safe; to do it now: {} restart",
                    self.names.called
                )
            }
            (None, Some(_)) => {
                format!(
                    "what cures that did not help; to try by hand: {} restart {jail}",
                    self.names.client
                )
            }
            (None, None) => "jailwarden leaves it alone".to_owned(),
        };
        let kind = match ailment.cure {
            Some(_) => Kind::JailAiling,
            None => Kind::JailFaulty,
        };
        let mut report = self.report(
            kind,
            format!(
                "{jail} is alive but does not protect: {}; {then}",
                ailment.words
            ),
        );
        report.jails = vec![jail.to_owned()];
        report.reason = Some(ailment.words.clone());
        self.say(report);
    }

    pub(in super::super) fn say_blocks_again(&mut self, jail: &str, ailment: &Ailment) {
        let mut report = self.report(
            Kind::JailAiling,
            format!(
                "{jail} keeps all jails from acting, again: {}; it is disabled",
                ailment.words
            ),
        );
        report.jails = vec![jail.to_owned()];
        report.reason = Some(format!("again: {}", ailment.words));
        self.say(report);
    }

    pub(in super::super) fn say_not_freed(&mut self, jail: &str, why: &str) {
        let mut report = self.report(
            Kind::JailAiling,
            format!(
                "a command of {jail} that keeps all jails from acting could not be ended: {why}; fail2ban itself \
                 ends one after 60 s. Which it is: fail2ban's own log"
            ),
        );
        report.jails = vec![jail.to_owned()];
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_complaint(&mut self, complaint: &Complaint) {
        let mut report = self.report(
            Kind::JailFaulty,
            format!("fail2ban's own log says: {}", complaint.words),
        );
        report.jails = complaint.jail.iter().cloned().collect();
        report.reason = Some(complaint.words.clone());
        self.say(report);
    }

    /// `how` goes after "are".
    pub(in super::super) fn say_held(&mut self, held: &BTreeSet<String>, how: &str) {
        let (were, it) = if held.len() == 1 {
            ("was stopped by hand and is", "it")
        } else {
            ("were stopped by hand and are", "them")
        };
        let reload = |jail: &str| format!("{} reload --if-exists {jail}", self.names.client);
        let reload = if held.len() > NAMES_SHOWN {
            format!("{} for each", reload("JAIL"))
        } else {
            let each: Vec<_> = held.iter().map(|jail| reload(jail)).collect();
            each.join(" && ")
        };
        let mut report = self.report(
            Kind::JailHeld,
            format!(
                "{} {were} {how}; to run {it} again: {reload}; or change the config, or restart \
                 fail2ban",
                names(held),
            ),
        );
        report.jails = held.iter().cloned().collect();
        self.say(report);
    }

    pub(in super::super) fn say_not_held(&mut self, jail: &str, words: &str) {
        let mut report = self.report(
            Kind::JailHeld,
            format!(
                "{jail} was stopped by hand, and runs again, as fail2ban was started anew and refuses to stop it: \
                 {words}. To stop it: {} stop {jail}",
                self.names.client
            ),
        );
        report.jails = vec![jail.to_owned()];
        report.reason = Some(words.to_owned());
        self.say(report);
    }
}
