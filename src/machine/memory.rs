//! What must survive jailwarden's own death.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mend::Mend;
use super::plan::Plan;

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
    /// For how long each jail has gone unprotected so far.
    pub unprotected: BTreeMap<String, Duration>,
}
