//! Dead jails are loaded again, alone; one that dies each time waits ever longer for that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::{Change, Changes};
use super::reload::Reload;
use super::restart::Cause;
use super::time::MonoTime;
use super::{Machine, Policy, State};

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
    /// The daemon was restarted for it, and it has not been alive since.
    restarted: bool,
}

/// What outlives jailwarden of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Revival {
    /// How often it was loaded again, and died soon after each time.
    pub times: u32,
    /// It rests until it is loaded again.
    pub rests: bool,
    /// The daemon was restarted for it.
    pub restarted: bool,
}

impl Revived {
    fn new(now: MonoTime) -> Self {
        Self {
            times: 0,
            last: now,
            again: None,
            rested: false,
            restarted: false,
        }
    }

    /// When that was is not known after jailwarden was killed: a rest begins anew.
    pub(super) fn carried(revival: Revival, now: MonoTime) -> Self {
        let Revival {
            times,
            rests,
            restarted,
        } = revival;
        Self {
            times,
            last: now,
            again: rests.then(|| {
                let least = if restarted {
                    Policy::LONG_REST
                } else {
                    Duration::ZERO
                };
                now + rest_after(times).max(least)
            }),
            rested: false,
            restarted,
        }
    }
}

/// The rest of a jail that died so often.
fn rest_after(times: u32) -> Duration {
    let over = times.saturating_sub(Policy::REVIVALS);
    let wait = Policy::BACKOFF_START.saturating_mul(1 << over.min(20));
    wait.min(Policy::MEND_LIMIT)
}

impl Machine {
    /// What a jailwarden has to know that comes after this one.
    pub(super) fn revivals(&self) -> BTreeMap<String, Revival> {
        let revival = |(jail, it): (&String, &Revived)| {
            let revival = Revival {
                times: it.times,
                rests: it.again.is_some() && self.lost.contains(jail),
                restarted: it.restarted,
            };
            (jail.clone(), revival)
        };
        self.revived.iter().map(revival).collect()
    }

    /// Another config has its own chances.
    pub(super) fn forget_dead(&mut self) {
        self.lost.clear();
        self.revived.clear();
    }

    /// The daemon is started again, perhaps for jails that could not be revived alone.
    pub(super) fn note_restarted_for_jails(&mut self) {
        if let State::Restarting(restart) = &self.state
            && let Cause::DeadJails(jails) = &restart.cause
        {
            let dead = self.revived.iter_mut();
            dead.filter(|(jail, _)| jails.contains(*jail))
                .for_each(|(_, it)| it.restarted = true);
        }
    }

    /// Whether the daemon was restarted for these jails, and none has been alive since.
    pub(super) fn was_restarted_for(&self, jails: &BTreeSet<String>) -> bool {
        let restarted = |jail| self.revived.get(jail).is_some_and(|it| it.restarted);
        jails.iter().all(restarted)
    }

    /// All jails that should run do.
    pub(super) fn note_alive(&mut self) {
        let lost = &self.lost;
        for (_, it) in self
            .revived
            .iter_mut()
            .filter(|(jail, _)| !lost.contains(*jail))
        {
            it.restarted = false;
        }
    }

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
        let id = self.send(None, jails);
        self.reload(Reload::reviving(id, missing.clone()));
        let now = self.now;
        for jail in missing {
            let revived = self.revived.entry(jail.clone());
            let revived = revived.or_insert(Revived::new(now));
            revived.times += 1;
            (revived.last, revived.again, revived.rested) = (now, None, false);
        }
    }

    /// These jails were not loaded again, so that it is not counted.
    pub(super) fn was_not_revived(&mut self, jails: &BTreeSet<String>) {
        if jails.is_empty() {
            return;
        }
        if let Some(incident) = &mut self.incident {
            incident.revived = false;
        }
        for jail in jails {
            if let Some(it) = self.revived.get_mut(jail) {
                it.times = it.times.saturating_sub(1);
                it.rested = it.times >= Policy::REVIVALS;
            }
            self.forget_death(jail);
            self.was_not_healed(jail);
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
            if it.times >= Policy::REVIVALS && dead.contains(jail) && !it.rested {
                let again = now + rest_after(it.times);
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

    /// What neither a load nor a restart has revived is loaded again after a long rest: what it dies of may be
    /// gone by then. `restarted`: else it waits, as a restart would not be safe.
    pub(super) fn rest_for_long(&mut self, dead: BTreeSet<String>, restarted: bool) {
        let now = self.now;
        let mut longest = now;
        for jail in &dead {
            // It may have died only after others were loaded again.
            let it = self
                .revived
                .entry(jail.clone())
                .or_insert(Revived::new(now));
            let again = now + rest_after(it.times).max(Policy::LONG_REST);
            it.again = Some(again);
            longest = longest.max(again);
        }
        self.say_jails_lost(&dead, restarted, longest.since(self.now));
        self.lost.extend(dead);
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
