//! What a config asks of the daemon, as digests that can be compared jail by jail.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// One jail of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JailPlan {
    /// Digest of all the jail's commands in `fail2ban-client -d`.
    pub digest: u128,
    /// Digest of the names of its actions alone: fail2ban leaves actions that a reload added or
    /// renamed unstarted (fail2ban issue 3860, `server/actions.py` of 1.0.2), so such a change
    /// needs the jail restarted.
    pub actions: u128,
}

/// The jails that should run and the server-wide settings, as `fail2ban-client -d` printed them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Digest of the server-wide commands (`set loglevel …`).
    pub server: u128,
    /// Each jail with a `start` line.
    pub jails: BTreeMap<String, JailPlan>,
}

/// How one jail has to be brought from one plan to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Load the jail, or reload it in place; its bans and failure counts stay.
    Load(u128),
    /// Stop the jail, if it runs, and load it again; its bans come back from the database.
    Restart(u128),
    /// Stop the jail.
    Unload,
}

/// The jail changes that lead from one plan to another.
pub type Changes = BTreeMap<String, Change>;

/// What a daemon may run otherwise than a plan says, as it is not known whether it took a change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Doubt {
    /// The server-wide settings.
    pub server: bool,
    /// As they run, if not as the plan says.
    pub jails: BTreeMap<String, JailPlan>,
}

impl Doubt {
    /// It runs one of two plans, or some of both.
    pub(super) fn between(one: &Plan, other: &Plan) -> Self {
        let changes = one.changes_to(other, &BTreeSet::new());
        let mut doubt = Self {
            server: one.server != other.server,
            ..Self::default()
        };
        doubt.add(changes.keys(), one);
        doubt
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.server && self.jails.is_empty()
    }

    /// These jails may run as a plan says, or not at all if they are not in it.
    pub(super) fn add<'a>(&mut self, jails: impl Iterator<Item = &'a String>, plan: &Plan) {
        let as_planned = |name: &String| plan.jails.get(name).copied().unwrap_or_default();
        self.jails
            .extend(jails.map(|name| (name.clone(), as_planned(name))));
    }

    /// What makes sure that a daemon that lists these jails runs what `plan` says, beside the changes
    /// that are known to be needed.
    pub(super) fn settle(&self, plan: &Plan, listed: &BTreeSet<String>, changes: &mut Changes) {
        for (name, maybe) in &self.jails {
            let change = match plan.jails.get(name) {
                Some(jail) if jail.actions == maybe.actions => Change::Load(jail.digest),
                Some(jail) => Change::Restart(jail.digest),
                None if listed.contains(name) => Change::Unload,
                None => continue,
            };
            if !matches!(changes.get(name), Some(Change::Restart(_))) {
                changes.insert(name.clone(), change);
            }
        }
    }
}

impl Plan {
    /// A plan of which only the names are known: every reading of the config differs from it.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a String>) -> Self {
        let jails = names.into_iter().map(|n| (n.clone(), JailPlan::default()));
        Self {
            server: 0,
            jails: jails.collect(),
        }
    }

    /// The names of the jails that should run.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.jails.keys().cloned().collect()
    }

    /// What brings a daemon that runs `self` to run `new`; jails in `untouched` stay as they are.
    #[must_use]
    pub fn changes_to(&self, new: &Self, untouched: &BTreeSet<String>) -> Changes {
        let mut changes = Changes::new();
        for (name, jail) in &new.jails {
            let change = match self.jails.get(name) {
                Some(old) if old == jail => continue,
                Some(old) if old.actions != jail.actions => Change::Restart(jail.digest),
                _ => Change::Load(jail.digest),
            };
            changes.insert(name.clone(), change);
        }
        for name in self.jails.keys().filter(|n| !new.jails.contains_key(*n)) {
            changes.insert(name.clone(), Change::Unload);
        }
        changes.retain(|name, _| !untouched.contains(name));
        changes
    }

    /// Takes over one jail of `new`, which may mean that it is no longer there.
    pub fn adopt(&mut self, new: &Self, name: &str) {
        match new.jails.get(name) {
            Some(jail) => self.jails.insert(name.to_owned(), *jail),
            None => self.jails.remove(name),
        };
    }
}
