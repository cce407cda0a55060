//! docs/comparison.json: what was measured, cell by cell. A cell that is measured again replaces the former.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::contestants::Contestant;
use super::fault::{Class, Fault};
use crate::support::docs::root;

/// What came of a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// How long was looked on, in seconds.
    pub(crate) seconds: u64,
    pub(crate) jails: BTreeMap<String, Jail>,
    /// Whether there is a fail2ban in the end.
    pub(crate) runs: bool,
    /// Records in the journal that are warnings or worse, of the contestant or of systemd about fail2ban.
    pub(crate) alerts: u64,
    /// The admin's files that are not as the admin left them, below `/etc/fail2ban`.
    pub(crate) files_changed: Vec<String>,
    /// The jails that lost a ban which stood before, of those that can protect.
    pub(crate) bans_lost: Vec<String>,
    /// What an admin did or wants, and what is not so.
    pub(crate) broken: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Jail {
    /// How many seconds' offenders were not stopped.
    pub(crate) unprotected: u64,
    /// Whether it stopped those of the last seconds.
    pub(crate) protects: bool,
}

/// By fault.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results(BTreeMap<String, BTreeMap<Contestant, Outcome>>);

impl Results {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(file()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Puts a cell into the file, beside whoever else does, and leaves there only what concerns a fault
    /// that there still is.
    pub(crate) fn keep(
        classes: &[Class],
        fault: &Fault,
        contestant: Contestant,
        outcome: Outcome,
    ) -> Self {
        let lock = File::create(root().join("target/comparison.lock")).unwrap();
        lock.lock().unwrap();
        let mut results = Self::read();
        results.put(fault, contestant, outcome);
        let faults = classes.iter().flat_map(|class| class.faults);
        let names: BTreeSet<_> = faults.map(|fault| fault.name).collect();
        results.0.retain(|name, _| names.contains(name.as_str()));
        let text = serde_json::to_string_pretty(&results).unwrap();
        fs::write(file(), text + "\n").unwrap();
        results
    }

    pub(crate) fn put(&mut self, fault: &Fault, contestant: Contestant, outcome: Outcome) {
        let cells = self.0.entry(fault.name.to_owned()).or_default();
        cells.insert(contestant, outcome);
    }

    pub(crate) fn get(&self, fault: &Fault, contestant: Contestant) -> Option<&Outcome> {
        self.0.get(fault.name)?.get(&contestant)
    }
}

fn file() -> PathBuf {
    root().join("docs/comparison.json")
}

impl Fault {
    /// How many of the jails that can protect do so in the end.
    pub(crate) fn protecting(&self, outcome: &Outcome) -> usize {
        let protects = |jail: &&&str| outcome.jails[**jail].protects;
        self.able.iter().filter(protects).count()
    }

    /// For how long the worst of them did not, and all together.
    pub(crate) fn unprotected(&self, outcome: &Outcome) -> (u64, u64) {
        let seconds = self
            .able
            .iter()
            .map(|jail| outcome.jails[*jail].unprotected);
        (seconds.clone().max().unwrap_or(0), seconds.sum())
    }

    /// Whether each that can protects, and nothing of the admin's was lost.
    pub(crate) fn is_mastered(&self, outcome: &Outcome) -> bool {
        self.protecting(outcome) == self.able.len()
            && outcome.broken.is_empty()
            && outcome.bans_lost.is_empty()
    }
}
