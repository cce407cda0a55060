//! How long each jail that should protect did not: from the first evidence to the proof that it does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::restart::Cause;
use super::time::MonoTime;
use super::{Machine, State};

/// The account of what went unprotected.
#[derive(Debug, Clone, Default)]
pub(super) struct Protection {
    /// The jails that should protect and do not, and since when.
    dark: BTreeMap<String, MonoTime>,
    /// For how long each jail was dark in the incident under way.
    in_incident: BTreeMap<String, Duration>,
}

impl Machine {
    /// Takes over what is known now; to be called whenever that may have changed.
    pub(super) fn account(&mut self) {
        if matches!(self.state, State::Starting { .. } | State::Ended) {
            return;
        }
        let wanted = self.wanted();
        let over: Vec<_> = self.protection.dark.keys().cloned().collect();
        for jail in over {
            if !wanted.contains(&jail) || self.protects(&jail) == Some(true) {
                self.lighten(&jail);
            }
        }
        let since = match &self.state {
            State::Restarting(restart) if matches!(restart.cause, Cause::Hung { .. }) => {
                self.last_fine.unwrap_or(self.now)
            }
            _ => self.now,
        };
        for jail in wanted {
            if self.protects(&jail) == Some(false) {
                self.protection.dark.entry(jail).or_insert(since);
            }
        }
    }

    /// The jails that somebody counts on: none while fail2ban is stopped on purpose.
    fn wanted(&self) -> BTreeSet<String> {
        if matches!(
            self.state,
            State::Standby { .. } | State::Paused { stood_by: true }
        ) {
            return BTreeSet::new();
        }
        let mut wanted = self.accepted.names();
        wanted.retain(|jail| !self.held.contains(jail));
        wanted.extend(self.rollbacks.iter().cloned());
        wanted
    }

    /// Whether a jail protects, as far as is known.
    pub(super) fn protects(&self, jail: &str) -> Option<bool> {
        let daemon = &self.daemon;
        if daemon.ping.is_some() {
            let alive = daemon.listed.contains(jail) && !daemon.dead.contains(jail);
            return Some(alive && !self.ails(jail));
        }
        let hung =
            matches!(&self.state, State::Restarting(r) if matches!(r.cause, Cause::Hung { .. }));
        (daemon.pid.is_none() || hung).then_some(false)
    }

    fn lighten(&mut self, jail: &str) {
        let Some(since) = self.protection.dark.remove(jail) else {
            return;
        };
        let lost = self.now.since(since);
        *self.unprotected.entry(jail.to_owned()).or_default() += lost;
        if self.incident.is_some() {
            let all = self.protection.in_incident.entry(jail.to_owned());
            *all.or_default() += lost;
        }
    }

    /// For how long each jail was dark in the incident that ends.
    pub(super) fn lost_in_incident(&mut self) -> BTreeMap<String, Duration> {
        self.account();
        std::mem::take(&mut self.protection.in_incident)
    }

    pub(super) fn forget_lost(&mut self) {
        self.protection.in_incident.clear();
    }

    /// When the first of the jails that are dark, or were until now, became so.
    pub(super) fn dark_since(&self) -> MonoTime {
        self.protection
            .dark
            .values()
            .min()
            .copied()
            .unwrap_or(self.now)
    }

    /// For how long each jail has been dark in the incident under way, so far.
    pub(super) fn lost_so_far(&self) -> BTreeMap<String, Duration> {
        let mut lost = self.protection.in_incident.clone();
        for (jail, since) in &self.protection.dark {
            *lost.entry(jail.clone()).or_default() += self.now.since(*since);
        }
        lost
    }

    /// For how long each jail has gone unprotected, what still lasts included.
    #[must_use]
    pub fn unprotected(&self) -> BTreeMap<String, Duration> {
        let mut all = self.unprotected.clone();
        for (jail, since) in &self.protection.dark {
            *all.entry(jail.clone()).or_default() += self.now.since(*since);
        }
        all
    }
}
