//! A config change: waited for, read, checked, applied jail by jail, and judged by a probe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::event::{ActionId, Applied, ConfigRead, Daemon, Finding, Outcome, Reading, Sight};
use super::plan::{Change, Changes, Plan};
use super::policy::Policy;
use super::time::MonoTime;
use super::{Effect, Machine, State};

/// What is known of the config folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    burst: Option<Burst>,
    /// The last reading; `None` also after one that failed in the middle of a restart.
    pub(super) reading: Option<Reading>,
    /// Why the last check could not be made, once that was told.
    pub(super) failing: Option<String>,
}

/// Signs of change that have not been read yet.
#[derive(Debug, Clone, Copy)]
struct Burst {
    first: MonoTime,
    last: MonoTime,
    /// Read at once, and afresh even if no byte differs.
    urgent: bool,
}

impl Disk {
    /// Something under the folder may have changed.
    pub(super) fn touch(&mut self, now: MonoTime) {
        let burst = self.burst.get_or_insert(Burst {
            first: now,
            last: now,
            urgent: false,
        });
        burst.last = now;
    }

    /// The daemon may have read the disk without us.
    pub(super) fn distrust(&mut self, now: MonoTime) {
        self.touch(now);
        if let Some(burst) = &mut self.burst {
            burst.urgent = true;
        }
    }

    /// When the burst is over, if one is under way.
    pub(super) fn due(&self, policy: &Policy) -> Option<MonoTime> {
        let burst = self.burst?;
        if burst.urgent {
            return Some(burst.first);
        }
        Some((burst.last + policy.settle).min(burst.first + Policy::SETTLE_LIMIT))
    }

    /// Whether the last reading is of what is there now, as far as anybody told us.
    pub(super) fn is_read(&self) -> bool {
        self.burst.is_none() && self.reading.is_some()
    }

    /// Whether all that can be known of the config now is: it was read, or cannot be.
    pub(super) fn is_known(&self) -> bool {
        self.is_read() || self.failing.is_some()
    }

    /// Why the last check could not be made.
    pub(super) fn why_failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    pub(super) fn is_settling(&self) -> bool {
        self.burst.is_some()
    }

    /// Begins a reading: what comes from now on is the next burst. Gives the fingerprint that
    /// need not be read again.
    pub(super) fn begin(&mut self) -> Option<u128> {
        let urgent = self.burst.take().is_some_and(|b| b.urgent);
        if urgent {
            None
        } else {
            self.reading.as_ref().map(|r| r.fingerprint)
        }
    }
}

/// A change on disk that waits because fail2ban would refuse it.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) fingerprint: u128,
    pub(super) findings: Vec<Finding>,
}

impl Refusal {
    fn jails(&self) -> BTreeSet<String> {
        self.findings
            .iter()
            .filter_map(|f| f.jail.clone())
            .collect()
    }
}

/// What the daemon itself refused, though the check passed, with the digest of what was sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Spurned {
    server: Option<(u128, Finding)>,
    jails: BTreeMap<String, (u128, Finding)>,
}

/// Settings on their way into the daemon.
#[derive(Debug, Clone)]
pub(super) struct Reload {
    step: Step,
    /// What is applied; `None` while dead jails are revived with what they had.
    target: Option<Target>,
}

#[derive(Debug, Clone)]
struct Target {
    plan: Plan,
    server: bool,
    changes: Changes,
    /// The files that made the change.
    files: Vec<PathBuf>,
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
    pub(super) fn reviving(id: ActionId) -> Self {
        Self {
            step: Step::Applying(id),
            target: None,
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
    /// Reads the config now.
    pub(super) fn check(&mut self) {
        let known = self.disk.begin();
        let read = self.run(Effect::ReadConfig { known });
        self.state = State::Checking { read, ours: false };
    }

    /// Reads what jailwarden itself has just written or removed.
    pub(super) fn read_own_change(&mut self) {
        self.disk.begin();
        let read = self.run(Effect::ReadConfig { known: None });
        self.state = State::Checking { read, ours: true };
    }

    pub(super) fn checked(&mut self, config: ConfigRead, ours: bool) {
        self.watch();
        match config {
            ConfigRead::Unchanged => self.disk.failing = None,
            ConfigRead::Failed(why) => {
                if self.disk.failing.as_ref() != Some(&why) {
                    self.say_check_failed(&why);
                    self.disk.failing = Some(why);
                }
                self.disk.touch(self.now + self.policy.interval);
                self.next_look = self.now;
            }
            ConfigRead::Read(reading) => {
                self.disk.failing = None;
                let before = self.disk.reading.as_ref().map(|r| r.fingerprint);
                if !ours && before != Some(reading.fingerprint) {
                    self.hint_mends();
                }
                if ours {
                    self.say_if_overruled(&reading);
                }
                self.note_rollbacks(&reading.rollbacks);
                self.apply_reading(reading);
            }
        }
    }

    /// Sends what is sound in a reading to the daemon; what is not waits.
    pub(super) fn apply_reading(&mut self, reading: Reading) {
        let before = self.disk.reading.as_ref().map(|r| r.fingerprint);
        if before != Some(reading.fingerprint) {
            self.lost.clear();
            self.revived.clear();
        }
        let whole = reading.findings.iter().any(|f| f.jail.is_none());
        let plan = reading.plan.clone().filter(|_| !whole);
        let files = reading.changed_files.clone();
        self.note_reading(reading);
        if self.daemon.cold && self.daemon.started_with.is_none() {
            self.daemon.started_with.clone_from(&plan);
        }
        let Some(plan) = plan.filter(|_| self.daemon.ping.is_some()) else {
            return;
        };
        let refused = self.refused_jails();
        let mut changes = self.accepted.changes_to(&plan, &refused);
        let listed = &self.daemon.listed;
        self.doubt.settle(&plan, listed, &mut changes);
        changes.retain(|name, _| !refused.contains(name));
        let spurned = self
            .spurned
            .server
            .as_ref()
            .is_some_and(|(digest, _)| *digest == plan.server);
        let differs = plan.server != self.accepted.server || self.doubt.server;
        let server = differs && !spurned;
        if changes.is_empty() && !server {
            return;
        }
        // Jails that go missing from now on are not somebody else's doing.
        self.daemon.was_fine = false;
        let id = self.run(Effect::Apply {
            server: server.then_some(plan.server),
            jails: changes.clone(),
        });
        let target = Target {
            plan,
            server,
            changes,
            files,
        };
        self.reload(Reload {
            step: Step::Applying(id),
            target: Some(target),
        });
    }

    /// It is looked at meanwhile only if that takes longer than it ever does: fail2ban serves one
    /// connection after the other.
    pub(super) fn reload(&mut self, reload: Reload) {
        self.state = State::Reloading(reload);
        self.next_look = self.now + self.policy.interval;
    }

    /// Keeps what a reading says: what waits, and which jails changed last.
    pub(super) fn note_reading(&mut self, mut reading: Reading) {
        self.recall_spurned(&mut reading);
        let faulty: BTreeSet<_> = reading
            .findings
            .iter()
            .filter_map(|f| f.jail.clone())
            .collect();
        if let Some(plan) = &reading.plan {
            let changes = self.accepted.changes_to(plan, &faulty);
            self.remember_changed(&changes, &faulty);
        }
        self.refuse(reading.fingerprint, reading.findings.clone());
        self.disk.reading = Some(reading);
    }

    /// What the daemon itself refused is not tried again as long as it is the same: each try
    /// costs the jail a moment without protection.
    fn recall_spurned(&mut self, reading: &mut Reading) {
        let Some(plan) = &reading.plan else { return };
        self.spurned.jails.retain(|name, (digest, _)| {
            plan.jails
                .get(name)
                .is_some_and(|jail| jail.digest == *digest)
        });
        self.spurned.server = self
            .spurned
            .server
            .take()
            .filter(|(digest, _)| *digest == plan.server);
        let server = self
            .spurned
            .server
            .iter()
            .map(|(_, finding)| finding.clone());
        let jails = self
            .spurned
            .jails
            .values()
            .map(|(_, finding)| finding.clone());
        for finding in server.chain(jails) {
            if !reading.findings.contains(&finding) {
                reading.findings.push(finding);
            }
        }
    }

    /// Whether the daemon itself refused the jail as it stands on disk.
    pub(super) fn is_spurned(&self, jail: &str) -> bool {
        self.spurned.jails.contains_key(jail)
    }

    /// Keeps the order in which jails changed, the last change first.
    fn remember_changed(&mut self, changes: &Changes, faulty: &BTreeSet<String>) {
        let loaded = changes
            .iter()
            .filter(|(_, c)| **c != Change::Unload)
            .map(|(n, _)| n);
        for name in loaded.chain(faulty) {
            self.recent.retain(|n| n != name);
            self.recent.insert(0, name.clone());
        }
        for name in changes.keys() {
            self.held.remove(name);
        }
    }

    /// Notes what waits on disk. The same findings are told once, also across our own restarts.
    fn refuse(&mut self, fingerprint: u128, findings: Vec<Finding>) {
        let told = match &self.refusal {
            Some(before) => before.findings == findings,
            None => self.saved.refused == Some(fingerprint),
        };
        let before = self.refusal.take();
        if findings.is_empty() {
            if let Some(before) = before
                && !matches!(self.state, State::Restarting(_))
            {
                self.say_withdrawn(&before.findings);
            }
            return;
        }
        self.refusal = Some(Refusal {
            fingerprint,
            findings,
        });
        if !told {
            self.say_refused();
        }
    }

    pub(super) fn reload_done(&mut self, outcome: Outcome) {
        let applied = match outcome {
            Outcome::Applied(applied) => applied,
            _ => Applied {
                unreachable: Some("the reload was lost on its way".into()),
                ..Applied::default()
            },
        };
        let State::Reloading(reload) = &mut self.state else {
            return;
        };
        let Some(target) = reload.target.clone() else {
            if applied.unreachable.is_some()
                && let Some(incident) = &mut self.incident
            {
                // The dead jails were not loaded again: that is tried once more.
                incident.revived = std::mem::replace(&mut incident.missed, true);
            }
            return self.prove();
        };
        if matches!(reload.step, Step::Restoring(_)) {
            return self.prove();
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
            self.state = State::Reloading(Reload {
                step: Step::Restoring(ActionId(0)),
                target: Some(target),
            });
            return self.prove();
        }
        let id = self.run(Effect::Apply {
            server: None,
            jails: restore,
        });
        self.reload(Reload {
            step: Step::Restoring(id),
            target: Some(target),
        });
    }

    fn spurn(&mut self, plan: &Plan, applied: &Applied) {
        let finding = |jail: Option<&String>, words: &String| Finding {
            jail: jail.cloned(),
            file: None,
            line: None,
            words: words.clone(),
            fatal: jail.is_some(),
        };
        if let Some(words) = &applied.server {
            self.spurned.server = Some((plan.server, finding(None, words)));
        }
        for (name, words) in &applied.refused {
            if let Some(jail) = plan.jails.get(name) {
                self.spurned
                    .jails
                    .insert(name.clone(), (jail.digest, finding(Some(name), words)));
            }
        }
    }

    /// Only the probe says whether the daemon runs what it was told.
    fn prove(&mut self) {
        let until = self.now + Policy::PROOF_LIMIT;
        // One that began before may have seen what was there before.
        self.look = None;
        if let State::Reloading(reload) = &mut self.state {
            reload.step = Step::Proving { until };
        }
        self.next_look = self.now;
    }

    pub(super) fn reload_seen(&mut self, sight: &Sight) {
        let State::Reloading(Reload {
            step: Step::Proving { until },
            target,
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

    /// The jails that a waiting change concerns.
    pub(super) fn refused_jails(&self) -> BTreeSet<String> {
        self.refusal
            .as_ref()
            .map(Refusal::jails)
            .unwrap_or_default()
    }
}
