//! Dead jails are loaded again, alone; one that dies each time waits ever longer for that.

use std::collections::BTreeSet;

use super::plan::{Change, Changes};
use super::reload::Reload;
use super::time::MonoTime;
use super::{Effect, Machine, Policy, State};

/// A jail that was loaded again since it had died.
#[derive(Debug, Clone)]
pub(super) struct Revived {
    /// How often, with less than `PROBATION` of life each time.
    times: u32,
    last: MonoTime,
    /// When that is due again; until then it counts as lost.
    again: Option<MonoTime>,
    /// It has waited for long enough.
    rested: bool,
}

impl Machine {
    pub(super) fn revive(&mut self, missing: &BTreeSet<String>) {
        if let Some(incident) = &mut self.incident {
            incident.revived = true;
        }
        self.note_revived(missing);
        let jails: Changes = missing
            .iter()
            .filter_map(|name| {
                Some((
                    name.clone(),
                    Change::Restart(self.accepted.jails.get(name)?.digest),
                ))
            })
            .collect();
        let id = self.run(Effect::Apply {
            server: None,
            jails,
        });
        self.reload(Reload::reviving(id));
        let now = self.now;
        for jail in missing {
            let revived = self.revived.entry(jail.clone()).or_insert(Revived {
                times: 0,
                last: now,
                again: None,
                rested: false,
            });
            revived.times += 1;
            (revived.last, revived.again, revived.rested) = (now, None, false);
        }
    }

    /// Nothing was loaded again, so that it is not counted.
    pub(super) fn was_not_revived(&mut self) {
        if let Some(incident) = &mut self.incident {
            incident.revived = false;
        }
        for jail in self.not_alive() {
            if let Some(it) = self.revived.get_mut(&jail) {
                it.times = it.times.saturating_sub(1);
            }
        }
    }

    /// Lets those of the dead jails rest that died each time soon after they were loaded again; whether
    /// there were any.
    pub(super) fn rest(&mut self, dead: &BTreeSet<String>) -> bool {
        let now = self.now;
        self.revived
            .retain(|_, it| it.again.is_some() || now.since(it.last) < Policy::PROBATION);
        let mut resting = BTreeSet::new();
        let mut longest = now;
        for (jail, it) in &mut self.revived {
            let over = it.times.checked_sub(Policy::REVIVALS);
            if let Some(over) = over.filter(|_| dead.contains(jail) && !it.rested) {
                let wait = Policy::BACKOFF_START.saturating_mul(1 << over.min(20));
                let again = now + wait.min(Policy::MEND_LIMIT);
                it.again = Some(again);
                longest = longest.max(again);
                resting.insert(jail.clone());
            }
        }
        if resting.is_empty() {
            return false;
        }
        self.say_jails_rest(&resting, longest.since(now));
        self.lost.extend(resting);
        true
    }

    /// The jails that rest.
    fn resting(&self) -> impl Iterator<Item = (&String, MonoTime)> {
        let lost = self
            .revived
            .iter()
            .filter(|(jail, _)| self.lost.contains(*jail));
        lost.filter_map(|(jail, it)| Some((jail, it.again?)))
    }

    pub(super) fn rest_deadline(&self) -> Option<MonoTime> {
        let watching = matches!(self.state, State::Watching);
        let next = self.resting().map(|(_, again)| again).min();
        next.filter(|_| watching)
    }

    /// A jail that has rested is one to be revived.
    pub(super) fn end_rest_if_due(&mut self) {
        if self.rest_deadline().is_none_or(|due| due > self.now) {
            return;
        }
        let due = self.resting().filter(|(_, again)| *again <= self.now);
        let due: Vec<_> = due.map(|(jail, _)| jail.clone()).collect();
        for jail in &due {
            self.lost.remove(jail);
            if let Some(it) = self.revived.get_mut(jail) {
                // It has been dead since: that is no time for which it ran.
                (it.last, it.again, it.rested) = (self.now, None, true);
            }
        }
        self.next_look = self.now;
    }
}
