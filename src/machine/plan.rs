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
