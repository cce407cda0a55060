//! Jails that somebody stopped by hand: they stay stopped until somebody starts them, or fail2ban, or changes
//! their config.

use std::collections::BTreeSet;

use super::event::{ActionId, ConfigRead, Sight};
use super::plan::{Change, Changes, Plan};
use super::reload::Reload;
use super::{Effect, Known, Machine};

impl Machine {
    /// Sends jails to the daemon. One of them that goes missing from now on is not somebody else's doing.
    pub(super) fn send(&mut self, server: Option<u128>, jails: Changes) -> ActionId {
        self.daemon.had.retain(|jail| !jails.contains_key(jail));
        self.run(Effect::Apply { server, jails })
    }

    /// Of the jails that are missing, those that somebody took out of a daemon that had them, as
    /// `fail2ban-client stop JAIL` does. So does a failed reload by hand: of the jail whose faulty change waits,
    /// or of all, which leaves none (`reloadJails` of `server/server.py`, 1.0.2).
    pub(super) fn stopped_by_hand(&self, missing: &BTreeSet<String>) -> BTreeSet<String> {
        let expected = self.expected().len();
        let is_only_one = expected == 1 && self.refusal.is_none() && self.incident.is_none();
        if missing.len() == expected && !is_only_one {
            return BTreeSet::new();
        }
        let mut stopped = missing - &self.refused_jails();
        stopped.retain(|jail| self.daemon.had.contains(jail) && !self.daemon.listed.contains(jail));
        stopped
    }

    /// They are left alone from now on.
    pub(super) fn hold(&mut self, stopped: BTreeSet<String>) {
        self.say_held(&stopped, "left alone");
        self.held_as.retain(|jail, _| self.held.contains(jail));
        let accepted = |jail: &String| self.accepted.jails.get(jail).map(|plan| plan.digest);
        let digest = |jail: &String| self.digest_on_disk(jail).or_else(|| accepted(jail));
        let digests: Vec<_> = stopped
            .iter()
            .filter_map(|jail| Some((jail.clone(), digest(jail)?)))
            .collect();
        self.held_as.extend(digests);
        self.held.extend(stopped);
    }

    /// Of the jails whose config differs from what fail2ban runs, those that somebody has changed are no longer
    /// left alone.
    pub(super) fn release_changed(&mut self, changes: &Changes, plan: &Plan) {
        for jail in changes.keys() {
            if !self.is_as_held(jail, plan) {
                self.held.remove(jail);
                self.to_stop.remove(jail);
            }
        }
    }

    /// Whether its config is the one that it had when it was stopped, or jailwarden alone has changed it since.
    fn is_as_held(&self, jail: &str, plan: &Plan) -> bool {
        match plan.jails.get(jail) {
            Some(as_read) => self.held_as.get(jail) == Some(&as_read.digest),
            None => self.rollbacks.contains(jail),
        }
    }

    /// What jailwarden itself has written is no change of somebody's.
    pub(super) fn hold_as_read(&mut self, config: &ConfigRead) {
        let ConfigRead::Read(reading) = config else {
            return;
        };
        let jails = reading.plan.iter().flat_map(|plan| &plan.jails);
        let held = jails.filter(|(jail, _)| self.held.contains(*jail));
        self.held_as
            .extend(held.map(|(jail, plan)| (jail.clone(), plan.digest)));
    }

    /// Somebody wants fail2ban to run, with all that its config has.
    pub(super) fn release_all(&mut self) {
        self.held.clear();
        self.to_stop.clear();
    }

    /// Another process runs that jailwarden did not start. systemd restarts what has died by itself: nobody
    /// asked for that.
    pub(super) fn note_others_start(&mut self, sight: &Sight) {
        if sight.revived {
            self.to_stop.clone_from(&self.held);
        } else {
            self.release_all();
        }
    }

    /// Stops again what a start that nobody asked for has brought back; whether that was begun.
    pub(super) fn stop_again_if_due(&mut self) -> bool {
        let back: BTreeSet<_> = &self.to_stop & &self.daemon.listed;
        if back.is_empty() || self.daemon.stop_again_at > self.now {
            return false;
        }
        self.daemon.stop_again_at = self.now + self.policy.interval;
        let jails = back.into_iter().map(|jail| (jail, Change::Unload));
        let id = self.send(None, jails.collect());
        self.reload(Reload::stopping(id));
        true
    }

    /// All jails that the daemon was started with run: what it does not list need not be stopped.
    pub(super) fn forget_what_is_not_back(&mut self) {
        let Known {
            listed, first_seen, ..
        } = &self.daemon;
        // It answers before it has any jail.
        let has_loaded = !listed.is_empty() || self.now.since(*first_seen) >= self.policy.comeback;
        self.to_stop
            .retain(|jail| !has_loaded || listed.contains(jail));
    }

    /// The daemon was told to stop them; `refused` are those that it does not stop, and why.
    pub(super) fn stopped_again(&mut self, refused: &[(String, String)]) {
        let mut stopped = std::mem::take(&mut self.to_stop);
        for (jail, words) in refused {
            stopped.remove(jail);
            self.say_not_held(jail, words);
        }
        if !stopped.is_empty() {
            self.say_held(&stopped, "stopped again, as fail2ban was started anew");
        }
    }
}
