//! Settings on their way into the running daemon, jail by jail; the probe has the last word.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::event::{ActionId, Applied, Daemon, Outcome, Sight};
use super::plan::{Change, Changes, Plan};
use super::time::MonoTime;
use super::{Machine, Policy, State};

/// Settings on their way into the daemon.
#[derive(Debug, Clone)]
pub(super) struct Reload {
    step: Step,
    /// What is applied; `None` while jails are loaded again with what they had, or stopped again.
    target: Option<Target>,
    /// The jails that are loaded again.
    again: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) plan: Plan,
    pub(super) server: bool,
    pub(super) changes: Changes,
    /// The files that made the change.
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
enum Step {
    /// The new settings were sent.
    Applying(ActionId),
    /// Jails that the daemon refused, and lost thereby, get back what they had.
    Restoring(ActionId),
    /// The probe has the last word, until the deadline.
    Proving { until: MonoTime },
}

impl Reload {
    pub(super) fn reviving(id: ActionId, again: BTreeSet<String>) -> Self {
        Self {
            step: Step::Applying(id),
            target: None,
            again,
        }
    }

    pub(super) fn stopping(id: ActionId) -> Self {
        Self::reviving(id, BTreeSet::new())
    }

    pub(super) fn applying(id: ActionId, target: Target) -> Self {
        Self {
            step: Step::Applying(id),
            target: Some(target),
            again: BTreeSet::new(),
        }
    }

    pub(super) fn awaits(&self, id: ActionId) -> bool {
        matches!(self.step, Step::Applying(i) | Step::Restoring(i) if i == id)
    }

    pub(super) fn is_proving(&self) -> bool {
        matches!(self.step, Step::Proving { .. })
    }
}

impl Machine {
    /// It is looked at meanwhile only if that takes longer than it ever does: fail2ban serves one
    /// connection after the other.
    pub(super) fn reload(&mut self, reload: Reload) {
        self.state = State::Reloading(reload);
        self.next_look = self.now + self.policy.interval;
    }

    pub(super) fn reload_done(&mut self, outcome: Outcome) {
        let applied = match outcome {
            Outcome::Applied(applied) => applied,
            _ => Applied {
                unreachable: Some("the reload was lost on its way".into()),
                ..Applied::default()
            },
        };
        if let Some(why) = &applied.hindered {
            self.daemon.damaged = Some(why.clone()).filter(|_| applied.damaged);
            return self.hindered(why, !applied.refused.is_empty());
        }
        let before = std::mem::replace(&mut self.daemon.unreached, applied.unreachable.clone());
        // One that answers each look and takes nothing all the same is not asked after each of them.
        if let (Some(_), Some(why)) = (before, &applied.unreachable)
            && self.is_changing()
        {
            return self.hindered(why, true);
        }
        (self.hindrance, self.daemon.damaged) = (None, None);
        let State::Reloading(reload) = &mut self.state else {
            return;
        };
        let Some(target) = reload.target.clone() else {
            let (stops, reached) = (reload.again.is_empty(), applied.unreachable.is_none());
            if stops && reached {
                self.stopped_again(&applied.refused);
            } else if !stops
                && !reached
                && let Some(incident) = &mut self.incident
            {
                // The dead jails were not loaded again: that is tried once more.
                incident.revived = std::mem::replace(&mut incident.missed, true);
            }
            return self.prove(None);
        };
        if matches!(reload.step, Step::Restoring(_)) {
            return self.prove(Some(target));
        }
        if applied.unreachable.is_some() {
            self.doubt_reload();
            // It may hang: nothing is sent again before a look has found it to answer.
            self.daemon.ping = None;
            self.disk.distrust(self.now);
            self.watch();
            self.next_look = self.now;
            return;
        }
        self.adopt(target, &applied);
    }

    /// A change of the config is on its way to the daemon.
    fn is_changing(&self) -> bool {
        let State::Reloading(reload) = &self.state else {
            return false;
        };
        reload.target.is_some() && !matches!(reload.step, Step::Restoring(_))
    }

    /// No jail is to blame for what keeps the daemon from taking anything: all of it is tried again. `sent` says
    /// that the daemon may have taken some of it, and lost the jail that it refused.
    fn hindered(&mut self, why: &str, sent: bool) {
        if sent {
            self.doubt_reload();
        }
        if let State::Reloading(Reload { again, .. }) = &mut self.state {
            let again = std::mem::take(again);
            self.was_not_revived(&again);
        }
        if self.hindrance.as_deref() != Some(why) {
            self.say_hindered(why);
            self.hindrance = Some(why.to_owned());
        }
        self.disk.failing = self.hindrance.clone();
        let again = self.now + self.policy.interval;
        if self.daemon.damaged.is_some() {
            self.daemon.spared_until = again;
        }
        self.disk.distrust(again);
        self.watch();
        self.next_look = match self.daemon.damaged {
            // Whether it can be restarted for that is for a look to say, before it is tried again.
            Some(_) => self.now,
            None => self.now + Policy::SUSPECT_PACE,
        };
    }

    /// Nobody knows how much of what is on its way to the daemon has arrived, or still will.
    pub(super) fn doubt_reload(&mut self) {
        let State::Reloading(reload) = &self.state else {
            return;
        };
        if let Some(target) = reload.target.as_ref().filter(|_| !reload.is_proving()) {
            self.doubt.server |= target.server;
            self.doubt.add(target.changes.keys(), &target.plan);
        }
    }

    /// Takes over what the daemon took, and puts back what it refused.
    fn adopt(&mut self, mut target: Target, applied: &Applied) {
        target.server &= applied.server.is_none();
        if target.server {
            self.accepted.server = target.plan.server;
            self.doubt.server = false;
        }
        self.spurn(&target.plan, applied);
        let refused: BTreeSet<_> = applied
            .refused
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        let mut restore = Changes::new();
        for name in target.changes.keys() {
            self.doubt.jails.remove(name);
            if !refused.contains(name) {
                self.accepted.adopt(&target.plan, name);
                continue;
            }
            let old = self.accepted.jails.get(name).filter(|j| j.digest != 0);
            restore.insert(
                name.clone(),
                old.map_or(Change::Unload, |j| Change::Restart(j.digest)),
            );
        }
        if let Some(mut reading) = self.disk.reading.clone() {
            self.recall_spurned(&mut reading);
            self.refuse(reading.fingerprint, reading.findings);
        }
        target.changes.retain(|name, _| !refused.contains(name));
        if restore.is_empty() {
            return self.prove(Some(target));
        }
        let id = self.send(None, restore);
        self.reload(Reload {
            step: Step::Restoring(id),
            target: Some(target),
            again: BTreeSet::new(),
        });
    }

    /// Only the probe says whether the daemon runs what it was told.
    fn prove(&mut self, target: Option<Target>) {
        let until = self.now + Policy::PROOF_LIMIT;
        // One that began before may have seen what was there before.
        self.look = None;
        self.state = State::Reloading(Reload {
            step: Step::Proving { until },
            target,
            again: BTreeSet::new(),
        });
        self.next_look = self.now;
    }

    pub(super) fn reload_seen(&mut self, sight: &Sight) {
        let State::Reloading(Reload {
            step: Step::Proving { until },
            target,
            ..
        }) = &self.state
        else {
            return;
        };
        let (until, target) = (*until, target.clone());
        let alive = matches!(sight.daemon, Daemon::Answers { .. }) && self.not_alive().is_empty();
        let gone = matches!(sight.daemon, Daemon::Absent { .. });
        if !alive && !gone && self.now < until {
            self.next_look = self.now + Policy::FAST_PACE;
            return;
        }
        if let Some(target) = target.filter(|t| alive && (t.server || !t.changes.is_empty())) {
            self.say_applied(&target.changes, target.server, &target.files);
        }
        self.watch();
        self.assess(sight.clone());
    }
}
