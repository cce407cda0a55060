//! How long each jail that should protect did not: from the first evidence to the proof that it does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::memory::Memory;
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
    /// The jails that were dark when jailwarden last kept its memory, and for how long by then.
    before: BTreeMap<String, Duration>,
    /// For how long nobody has looked since.
    unseen: Duration,
}

impl Protection {
    /// Goes on with what jailwarden knew before it ended.
    pub(super) fn carried(memory: &mut Memory) -> Self {
        Self {
            before: memory.dark.clone(),
            unseen: std::mem::take(&mut memory.age),
            ..Self::default()
        }
    }

    /// For how long a jail that is dark now was so before jailwarden started: also while nobody
    /// looked.
    fn before(&self, jail: &str) -> Duration {
        let before = self.before.get(jail);
        before.map_or(Duration::ZERO, |before| *before + self.unseen)
    }
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
            State::Restarting(restart) if matches!(restart.cause, Cause::Cramped(_)) => {
                self.incident.as_ref().map_or(self.now, |it| it.since)
            }
            _ => self.now,
        };
        for jail in wanted {
            if self.protects(&jail) == Some(false) {
                // What was dark before was so during the first reading too.
                let was_before = self.protection.before.contains_key(&jail);
                let since = if was_before { MonoTime::START } else { since };
                self.protection.dark.entry(jail).or_insert(since);
            }
        }
        self.settle_before();
    }

    /// What protects again when it is first looked at was dark for as long as somebody looked.
    fn settle_before(&mut self) {
        let wanted = self.wanted();
        let is_settled = |jail: &String| {
            let is_over = !wanted.contains(jail) || self.protects(jail) == Some(true);
            is_over && !self.protection.dark.contains_key(jail)
        };
        let before = self.protection.before.keys();
        let settled: Vec<_> = before.filter(|jail| is_settled(jail)).cloned().collect();
        for jail in settled {
            if let Some(lost) = self.protection.before.remove(&jail) {
                self.add(&jail, lost);
            }
        }
    }

    /// The jails that somebody counts on: none while fail2ban is stopped on purpose.
    fn wanted(&self) -> BTreeSet<String> {
        if matches!(
            self.state,
            State::Standby { .. } | State::Paused { stood_by: Some(_) }
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
            return Some(alive && !self.ails(jail) && !self.is_cramped());
        }
        let hung =
            matches!(&self.state, State::Restarting(r) if matches!(r.cause, Cause::Hung { .. }));
        (daemon.pid.is_none() || hung).then_some(false)
    }

    fn lighten(&mut self, jail: &str) {
        let Some(since) = self.protection.dark.remove(jail) else {
            return;
        };
        let lost = self.now.since(since) + self.protection.before(jail);
        self.protection.before.remove(jail);
        self.add(jail, lost);
    }

    fn add(&mut self, jail: &str, lost: Duration) {
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

    /// For how long each jail has been dark in the incident under way, so far.
    pub(super) fn lost_so_far(&self) -> BTreeMap<String, Duration> {
        let mut lost = self.protection.in_incident.clone();
        for (jail, lasts) in self.dark() {
            *lost.entry(jail).or_default() += lasts;
        }
        lost
    }

    /// For how long each jail has gone unprotected, what still lasts included.
    #[must_use]
    pub fn unprotected(&self) -> BTreeMap<String, Duration> {
        let mut all = self.unprotected.clone();
        for (jail, lasts) in self.dark() {
            *all.entry(jail).or_default() += lasts;
        }
        all
    }

    /// The jails that do not protect, and for how long so far.
    pub(super) fn dark(&self) -> BTreeMap<String, Duration> {
        let dark = self.protection.dark.iter();
        let lasts = |(jail, since): (&String, &MonoTime)| {
            let lasts = self.now.since(*since) + self.protection.before(jail);
            (jail.clone(), lasts)
        };
        dark.map(lasts).collect()
    }

    /// Since when a jail that should run is dark, the first of them.
    pub(super) fn dark_since(&self) -> Option<MonoTime> {
        let Protection { dark, before, .. } = &self.protection;
        let expected = self.expected();
        let before = before.keys().map(|jail| (jail, MonoTime::START));
        let all = dark
            .iter()
            .map(|(jail, since)| (jail, *since))
            .chain(before);
        let wanted = all.filter(|(jail, _)| expected.contains(*jail));
        wanted.map(|(_, since)| since).min()
    }

    /// For how long jails that should run were dark before jailwarden started.
    pub(super) fn dark_before(&self) -> Duration {
        let expected = self.expected();
        let spans = expected.iter().map(|jail| self.protection.before(jail));
        spans.max().unwrap_or_default()
    }
}
