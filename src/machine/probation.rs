//! A jail that came back is on probation: if it fails in life, it is disabled again, and waits longer.

use std::collections::BTreeSet;

use super::mend::Mend;
use super::{Machine, Policy};

impl Machine {
    /// The commands with which it failed run again by the clock, or when something else than the
    /// config changed; others at once, and with a clean slate; and so do those that had passed when
    /// jailwarden was killed.
    pub(super) fn begin_probation(&mut self, jail: &str, digest: u128) -> bool {
        let (Some(mend), Some(wait)) = (self.mends.get_mut(jail), self.waits.get(jail)) else {
            return false;
        };
        if mend.failed.is_some_and(|failed| failed != digest) {
            *mend = Mend::default();
        } else if mend.on_probation {
            return true;
        } else if mend.failed.is_some() || wait.first {
            let its_time = wait.afresh || wait.next <= self.now;
            if !its_time || mend.flaps >= Policy::FLAP_LIMIT {
                return false;
            }
        }
        mend.on_probation = true;
        true
    }

    /// A jail that has run for long enough is mended; one that somebody took out of the config, or
    /// stopped, is none of ours.
    pub(super) fn end_probations(&mut self) {
        let alive =
            |jail: &String| self.daemon.listed.contains(jail) && !self.daemon.dead.contains(jail);
        let waiting = self.refused_jails();
        let plan = self.disk.reading.as_ref().and_then(|r| r.plan.as_ref());
        let (rollbacks, held) = (&self.rollbacks, &self.held);
        let runs =
            |(jail, mend): &(&String, &mut Mend)| mend.on_probation && !rollbacks.contains(*jail);
        for (jail, mend) in self.mends.iter_mut().filter(runs) {
            let Some(wait) = self.waits.get_mut(jail) else {
                continue;
            };
            let gone = plan.is_some_and(|plan| !plan.jails.contains_key(jail));
            if (gone && !waiting.contains(jail)) || held.contains(jail) {
                mend.on_probation = false;
            }
            if !alive(jail) {
                wait.runs_since = None;
                continue;
            }
            let since = *wait.runs_since.get_or_insert(self.now);
            if self.now.since(since) >= Policy::PROBATION {
                mend.on_probation = false;
            }
        }
    }

    pub(super) fn is_on_probation(&self, jail: &str) -> bool {
        self.mends.get(jail).is_some_and(|mend| mend.on_probation)
    }

    /// It is on probation, died, was loaded again, and died again, in whatever incident.
    pub(super) fn failed_twice(&self, jail: &str) -> bool {
        self.is_on_probation(jail) && self.waits.get(jail).is_some_and(|wait| wait.died.is_some())
    }

    pub(super) fn note_revived(&mut self, jails: &BTreeSet<String>) {
        // What ends all of them at once says nothing against one.
        if jails.len() > 1 && *jails == self.expected() {
            return;
        }
        for jail in jails {
            if let Some(wait) = self.waits.get_mut(jail) {
                wait.died = Some(self.now);
            }
        }
    }

    /// It was not loaded again after its death.
    pub(super) fn forget_death(&mut self, jail: &str) {
        if let Some(wait) = self.waits.get_mut(jail) {
            wait.died = None;
        }
    }
}
