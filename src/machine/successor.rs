//! Whether another daemon could be started in the place of one that lives. Where none could, that one is left as
//! it is: it may protect, and what it lacks is less than what would be lost.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ailing::Ailing;
use super::assess::{Sign, Suspect};
use super::event::{Daemon, Sight, Unit};
use super::{Machine, Policy, State};

/// What is known of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Successor {
    /// The last look did not ask for it.
    #[default]
    Unknown,
    /// Nothing is known to keep it from being started.
    Possible,
    /// The unit is masked. systemd starts none then, and lets the one that runs go on (`systemctl mask` without
    /// `--now`, 252).
    Masked,
    /// Packages are being installed: fail2ban, or Python, may be half there.
    Packages,
    /// systemd has a job on the unit, which comes first.
    Job,
}

impl Machine {
    /// Takes in what a look says of that.
    pub(super) fn note_successor(&mut self, sight: &Sight) {
        let is_known = self.looks_at_unit || !matches!(sight.daemon, Daemon::Answers { .. });
        self.daemon.successor = match &sight.unit {
            Some(unit) if unit.is_masked() => Successor::Masked,
            _ if sight.packages => Successor::Packages,
            Some(Unit { job: true, .. }) => Successor::Job,
            Some(_) => Successor::Possible,
            None if is_known => Successor::Possible,
            None => Successor::Unknown,
        };
    }

    /// Whether the next look may be the one after which a daemon that answers is restarted.
    pub(super) fn must_look_at_unit(&self) -> bool {
        let decides = match &self.state {
            State::Suspect(Suspect {
                sign: Sign::Jails { looks, .. },
                ..
            }) => looks + 1 >= Policy::DEAD_LOOKS,
            State::GaveUp { .. } => true,
            _ => false,
        };
        let has_another_database = self.in_memory.stands || self.in_memory.ended;
        decides
            || has_another_database
            || self.daemon.cramped.is_some()
            || self.daemon.damaged.is_some()
            || self.ailing.values().any(Ailing::needs_another_daemon)
            || self.is_asked_to_restart()
            || self.client_restarts
    }

    /// Whether it may be stopped in order to start another: the one place where that is decided.
    pub(super) fn is_replaceable(&self) -> bool {
        self.daemon.successor == Successor::Possible
    }

    /// Whether what keeps another from being started may soon be over, so that it is waited for.
    pub(super) fn is_soon_replaceable(&self) -> bool {
        let waited = match &self.state {
            State::Suspect(suspect) => self.now.since(suspect.since),
            _ => Duration::ZERO,
        };
        !self.is_masked() && waited < Policy::PACKAGES_LIMIT
    }

    /// These jails could not be revived alone, and the others protect; so that is waited for, and told once.
    pub(super) fn wait_to_restart_for(&mut self, jails: BTreeSet<String>, looks: u32) {
        let is_known = self.daemon.successor != Successor::Unknown;
        if is_known && looks == Policy::DEAD_LOOKS {
            self.say_jails_wait(&jails);
        }
        // What is not known is so after the next look.
        let looks = looks.min(Policy::DEAD_LOOKS) - u32::from(!is_known);
        self.suspect(Sign::Jails { jails, looks }, Policy::SUSPECT_PACE);
    }

    /// Whether none could be started for as long as somebody wants it so, or installs packages.
    pub(super) fn is_barred(&self) -> bool {
        matches!(
            self.daemon.successor,
            Successor::Masked | Successor::Packages
        )
    }

    /// Whether it is of no use to end it, though it protects nobody.
    pub(super) fn is_masked(&self) -> bool {
        self.daemon.successor == Successor::Masked
    }
}
