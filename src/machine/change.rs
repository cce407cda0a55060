//! A config change: waited for, read, checked, applied jail by jail, and judged by a probe.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::{Applied, ConfigRead, Finding, Reading};
use super::known::StartedWith;
use super::plan::{Change, Changes, Plan};
use super::reload::{Reload, Target};
use super::{Effect, Machine, State};

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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spurned {
    server: Option<(u128, Finding)>,
    jails: BTreeMap<String, (u128, Finding)>,
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
            ConfigRead::Unchanged => {
                self.disk.failing = None;
                if let Some(mut reading) = self.disk.reading.clone() {
                    // It may not have been sent yet, or not be what the daemon runs.
                    reading.changed_files.clear();
                    self.apply_reading(reading);
                }
            }
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
                if before != Some(reading.fingerprint) {
                    if !ours {
                        self.hint_mends();
                    }
                    self.forget_dead();
                }
                self.note_rollbacks(&reading.rollbacks);
                self.apply_reading(*reading);
            }
        }
    }

    /// Sends what is sound in a reading to the daemon; what is not waits.
    pub(super) fn apply_reading(&mut self, reading: Reading) {
        let whole = reading.findings.iter().any(|f| f.jail.is_none());
        let plan = reading.plan.clone().filter(|_| !whole);
        let files = reading.changed_files.clone();
        self.note_reading(reading);
        if let (true, StartedWith::Unread, Some(plan)) =
            (self.daemon.cold, &self.daemon.started_with, &plan)
        {
            self.daemon.started_with = StartedWith::Read(plan.clone());
        }
        let Some(plan) = plan.filter(|_| self.daemon.ping.is_some()) else {
            return;
        };
        let refused = self.refused_jails();
        let is_others = std::mem::take(&mut self.daemon.is_others);
        if is_others {
            // It runs them as they are on disk, and not as they ran before.
            let run = refused.iter().filter(|jail| plan.jails.contains_key(*jail));
            self.doubt.add(run, &plan);
        }
        let mut changes = self.accepted.changes_to(&plan, &refused);
        let listed = &self.daemon.listed;
        self.doubt.settle(&plan, listed, &mut changes);
        let held = &self.held;
        changes.retain(|name, _| !refused.contains(name) && !held.contains(name));
        let spurned = self
            .spurned
            .server
            .as_ref()
            .is_some_and(|(digest, _)| *digest == plan.server);
        let differs = plan.server != self.accepted.server || self.doubt.server;
        // What it was started without cannot be set in a daemon that has jails.
        let server = differs && !spurned && !self.in_memory.ended;
        if changes.is_empty() && !server {
            return;
        }
        if self.is_being_loaded() {
            self.daemon.is_others = is_others;
            let until = self.daemon.first_seen + self.policy.comeback;
            self.daemon.held_back = Some(until);
            self.disk.distrust(until);
            return;
        }
        let id = self.send(server.then_some(plan.server), changes.clone());
        let target = Target {
            plan,
            server,
            changes,
            files,
        };
        self.reload(Reload::applying(id, target));
    }

    /// Keeps what a reading says: what waits, and which jails changed last.
    pub(super) fn note_reading(&mut self, mut reading: Reading) {
        self.recall_spurned(&mut reading);
        self.in_memory.read(reading.in_memory);
        self.say_if_overruled(&reading);
        self.say_if_misread(&reading);
        let faulty: BTreeSet<_> = reading
            .findings
            .iter()
            .filter_map(|f| f.jail.clone())
            .collect();
        if let Some(plan) = &reading.plan {
            let changes = self.accepted.changes_to(plan, &faulty);
            self.remember_changed(&changes, &faulty);
            self.release_changed(&changes, plan);
        }
        self.refuse(reading.fingerprint, reading.findings.clone());
        self.disk.reading = Some(reading);
    }

    /// Tells what is new of what fail2ban takes for something else than was meant; not again after our own
    /// restart.
    fn say_if_misread(&mut self, reading: &Reading) {
        let before = match &self.disk.reading {
            Some(before) => before.misread.as_slice(),
            None if self.saved.config == Some(reading.fingerprint) => return,
            None => &[],
        };
        let mut news = reading.misread.clone();
        news.retain(|finding| !before.contains(finding));
        self.say_misread(&news);
    }

    /// What the daemon itself refused is not tried again as long as it is the same: each try
    /// costs the jail a moment without protection.
    pub(super) fn recall_spurned(&mut self, reading: &mut Reading) {
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
    }

    /// Notes what waits on disk. The same findings are told once, also across our own restarts.
    pub(super) fn refuse(&mut self, fingerprint: u128, findings: Vec<Finding>) {
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

    pub(super) fn spurn(&mut self, plan: &Plan, applied: &Applied) {
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

    /// Whoever has started it is about to send it the config: with a jail that it has by then, all of that is
    /// refused (`Cannot change database when there are jails present`, `server/server.py`, 1.0.2).
    fn is_being_loaded(&self) -> bool {
        let daemon = &self.daemon;
        let is_young = self.now.since(daemon.first_seen) < self.policy.comeback;
        daemon.listed.is_empty() && is_young
    }

    /// A daemon that somebody else has started, or jailwarden in the dark, runs what was on disk then: if that
    /// changes before it was read, nobody knows what that is.
    pub(super) fn doubt_if_unread(&mut self) {
        let is_read = matches!(self.daemon.started_with, StartedWith::Read(_));
        if self.daemon.cold && !is_read {
            self.daemon.started_with = StartedWith::Unknown;
            self.doubt.server = true;
            self.doubt.add(self.accepted.jails.keys(), &self.accepted);
        }
    }

    /// The jails that a waiting change concerns.
    pub(super) fn refused_jails(&self) -> BTreeSet<String> {
        self.refusal
            .as_ref()
            .map(Refusal::jails)
            .unwrap_or_default()
    }
}
