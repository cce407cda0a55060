//! The words on a daemon that hangs, or takes long to start or to stop.

use std::time::Duration;

use super::super::Machine;
use super::super::event::Unit;
use super::super::report::Kind;
use super::super::successor::Successor;
use super::seconds;

impl Machine {
    pub(in super::super) fn say_hung(&mut self, diagnosis: &str) {
        let mut report = self.report(
            Kind::DaemonHung,
            "fail2ban hangs: it does not answer its socket; jailwarden ends it and starts it again. \
             What it was doing: journalctl -t jailwarden -o verbose, field JAILWARDEN_REASON",
        );
        report.reason = Some(diagnosis.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_silent(
        &mut self,
        waited: Duration,
        seen: bool,
        hangs: bool,
        at_work: bool,
    ) {
        let what = if at_work {
            "and systemd has a job on its unit (systemctl list-jobs); jailwarden waits".to_owned()
        } else if hangs {
            format!("and hangs; it is not restarted {}", self.while_barred())
        } else if seen {
            "but gets on with something, such as a stop or a reload of many jails; jailwarden waits"
                .to_owned()
        } else {
            "and its process cannot be seen from here; jailwarden waits".to_owned()
        };
        let mut report = self.report(
            Kind::DaemonHung,
            format!("fail2ban has not answered for {}, {what}", seconds(waited)),
        );
        report.reason = Some(what);
        self.say(report);
    }

    /// For how long a daemon that lives is not restarted; goes after "it is not restarted".
    pub(in super::super) fn while_barred(&self) -> String {
        match self.daemon.successor {
            Successor::Masked => format!(
                "while its unit is masked, since it could not be started again; to allow that: systemctl \
                 unmask {}",
                self.names.unit.as_deref().unwrap_or("fail2ban.service")
            ),
            Successor::Packages => "while packages are being installed".to_owned(),
            Successor::Job => {
                "while systemd has a job on its unit; what that waits for: systemctl list-jobs"
                    .to_owned()
            }
            Successor::Unknown | Successor::Possible => match self.disk.why_failing() {
                Some(failing) => format!(
                    "while it is not known whether it would start with the config on disk ({failing}): \
                     mend that, and it is"
                ),
                None => {
                    "while a faulty change waits on disk: mend that change, and it is".to_owned()
                }
            },
        }
    }

    pub(in super::super) fn say_stop_refused(&mut self, words: &str) {
        let mut report = self.report(
            Kind::Restarting,
            format!("fail2ban refused to stop ({words}); it is sent SIGTERM"),
        );
        report.reason = Some(words.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_stop_hangs(&mut self, pid: u32, unit: &Unit) {
        let left = match unit.stop_left {
            Some(left) => format!("for another {}", seconds(left)),
            None => "for ever".to_owned(),
        };
        let hangs = format!(
            "all its actions have ended, and its process {pid} does nothing any more, for which systemd would \
             wait {left}"
        );
        let (kind, message) = if unit.restarts {
            self.open_incident();
            let message = format!(
                "fail2ban hangs while systemd stops it for a restart: {hangs}; jailwarden ends it"
            );
            (Kind::DaemonHung, message)
        } else {
            let name = self.names.unit.as_deref().unwrap_or("fail2ban.service");
            let message = format!(
                "fail2ban hangs while systemd stops it: {hangs}. Nothing is lost by that; to end it at once: \
                 systemctl kill --signal=SIGKILL {name}"
            );
            (Kind::Waiting, message)
        };
        let report = self.report(kind, message);
        self.say(report);
    }

    pub(in super::super) fn say_slow_start(&mut self, waited: Duration) {
        let limit = self.policy.busy_limit;
        let report = self.report(
            Kind::Waiting,
            format!(
                "fail2ban was started {} ago, does not answer yet and is at work; jailwarden waits until {} \
                 after the start. To give it longer: restart.comeback in the settings",
                seconds(waited),
                seconds(limit)
            ),
        );
        self.say(report);
    }

    pub(in super::super) fn say_job_lasts(&mut self, waited: Duration) {
        let report = self.report(
            Kind::DaemonDown,
            format!(
                "fail2ban is down, and systemd has had a job on its unit for {}; jailwarden waits until \
                 that is done. What it waits for: systemctl list-jobs",
                seconds(waited)
            ),
        );
        self.say(report);
    }

    pub(in super::super) fn say_unaskable_waits(&mut self, why: &str) {
        let mut report = self.report(
            Kind::DaemonHung,
            format!(
                "fail2ban protects but cannot be asked or told anything: {why}; it is not restarted {}",
                self.while_barred()
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }
}
