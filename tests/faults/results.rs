//! docs/comparison.json: what was measured, cell by cell. A cell that is measured again replaces the former.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cell::Outcome;
use crate::contestants::Contestant;
use crate::fault::{Class, Fault};
use crate::support::docs::root;

/// By fault.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results(BTreeMap<String, BTreeMap<Contestant, Outcome>>);

impl Results {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(file()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Writes what concerns a fault that there still is.
    pub(crate) fn write(&mut self, classes: &[Class]) {
        let mut faults = classes.iter().flat_map(|class| class.faults);
        self.0
            .retain(|name, _| faults.clone().any(|fault| fault.name == name));
        debug_assert!(faults.next().is_some());
        let text = serde_json::to_string_pretty(self).unwrap();
        fs::write(file(), text + "\n").unwrap();
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
        self.protecting(outcome) == self.able.len() && outcome.broken.is_empty()
    }
}
