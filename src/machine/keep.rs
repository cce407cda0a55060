//! The last known good config: kept once the daemon has been healthy with it for a minute.

use super::event::{ActionId, Outcome};
use super::mend::why_not;
use super::time::MonoTime;
use super::{Effect, Machine, Policy, State};

/// What is on its way to be kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Keeping {
    /// The fingerprint that the daemon is healthy with, and when it is to be kept.
    candidate: Option<(u128, MonoTime)>,
    under_way: Option<(ActionId, u128)>,
    /// Why the last one could not be kept, once that was told.
    failing: Option<String>,
}

impl Machine {
    /// The fingerprint of a config that the daemon runs as it is on disk, whole and without a flaw.
    fn healthy_with(&self) -> Option<u128> {
        let reading = self.disk.reading.as_ref()?;
        // One with which a jail is still on probation is better than none.
        let is_settled = self.mends.is_empty() || self.good.is_none();
        let sound = matches!(self.state, State::Watching)
            && self.daemon.ping.is_some()
            && self.disk.is_read()
            && self.incident.is_none()
            && self.refusal.is_none()
            && self.rollbacks.is_empty()
            && !self.in_memory.stands
            && self.lost.is_empty()
            && is_settled
            && reading.plan.as_ref() == Some(&self.accepted)
            && !self.accepted.jails.is_empty()
            && self.not_alive().is_empty();
        sound.then_some(reading.fingerprint)
    }

    /// Keeps the config when it has been good for long enough.
    pub(super) fn keep_if_due(&mut self) {
        if self.is_undecided() {
            return;
        }
        let good = self.healthy_with();
        let known = self.keeping.candidate.map(|(fingerprint, _)| fingerprint);
        if good != known {
            let due = self.now + Policy::GOOD_AFTER;
            self.keeping.candidate = good.map(|fingerprint| (fingerprint, due));
        }
        let Some((fingerprint, due)) = self.keeping.candidate else {
            return;
        };
        let is_kept = self.good == Some(fingerprint) || self.keeping.under_way.is_some();
        if is_kept || due > self.now {
            return;
        }
        let plan = self.accepted.clone();
        let id = self.run(Effect::Keep { fingerprint, plan });
        self.keeping.under_way = Some((id, fingerprint));
    }

    /// A moment's state, after which it is as good as before or not.
    fn is_undecided(&self) -> bool {
        matches!(self.state, State::Suspect(_) | State::Checking { .. })
    }

    pub(super) fn keep_deadline(&self) -> Option<MonoTime> {
        if self.is_undecided() {
            return None;
        }
        let (fingerprint, due) = self.keeping.candidate?;
        let waits = self.good != Some(fingerprint) && self.keeping.under_way.is_none();
        waits.then_some(due)
    }

    pub(super) fn is_keeping(&self, id: ActionId) -> bool {
        self.keeping.under_way.is_some_and(|(i, _)| i == id)
    }

    pub(super) fn kept(&mut self, outcome: Outcome) {
        let Some((_, fingerprint)) = self.keeping.under_way.take() else {
            return;
        };
        if matches!(outcome, Outcome::Effect(Ok(()))) {
            self.good = Some(fingerprint);
            self.keeping.failing = None;
            return;
        }
        let why = why_not(outcome);
        if let Some((_, due)) = &mut self.keeping.candidate {
            *due = self.now + Policy::GOOD_RETRY;
        }
        if self.keeping.failing.as_ref() != Some(&why) {
            self.say_not_kept(&why);
            self.keeping.failing = Some(why);
        }
    }
}
