//! What must survive jailwarden's own death.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mend::Mend;
use super::plan::Plan;
use super::roll_back::Guesses;

/// The state file's content. All of it can be lost without harm to the host; with it jailwarden
/// knows after its own restart whose stop it was and which jails changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The daemon was stopped on purpose, by somebody else.
    pub standby: bool,
    /// jailwarden itself is stopping the daemon in order to start it again.
    pub stopping: bool,
    /// Jails that were stopped by hand.
    pub held: BTreeSet<String>,
    /// What the daemon should be running.
    pub accepted: Option<Plan>,
    /// What the daemon last came up with from a cold start.
    pub proven: Option<Plan>,
    /// Jails that changed since, the last one first.
    pub recent: Vec<String>,
    /// Fingerprint of a config whose refusal was already reported.
    pub refused: Option<u128>,
    /// The jails that a rollback disables, or did until lately.
    pub mends: BTreeMap<String, Mend>,
    /// What was done to the config on a guess, and has not yet proven to help.
    pub guesses: Guesses,
    /// Fingerprint of the config that was last kept as good.
    pub good: Option<u128>,
    /// For how long each jail has gone unprotected so far.
    pub unprotected: BTreeMap<String, Duration>,
    /// The jails that did not protect when this was written, and for how long by then.
    pub dark: BTreeMap<String, Duration>,
    /// How long ago it was written: for as long nobody looked.
    #[serde(skip)]
    pub age: Duration,
}

impl Memory {
    /// Whether it says the same; how long it has been dark changes all the time.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        let same = self.dark.keys().eq(other.dark.keys());
        let mut alike = self.clone();
        alike.dark.clone_from(&other.dark);
        same && alike == *other
    }
}
