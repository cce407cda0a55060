//! Which jails to disable, and in which order, when the daemon does not come back.

use std::collections::BTreeSet;

use super::event::Reading;
use super::plan::Plan;

/// Jails to disable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rung {
    pub(super) jails: Vec<String>,
    /// Nothing was found in them; they only changed. If it does not help, it is taken back.
    pub(super) guess: bool,
}

/// The rungs in the order of trying: first the jails that a finding blames; then the last changed
/// one; then all that changed since the daemon last started. Empty where the config did not change
/// and nothing is found in it: then it is not to blame. Where fail2ban cannot read the config at
/// all, nothing is guessed: no overlay mends a file that does not parse.
#[must_use]
pub(super) fn rungs(reading: &Reading, proven: Option<&Plan>, recent: &[String]) -> Vec<Rung> {
    let mut rungs = Vec::new();
    let fatal = reading.findings.iter().filter(|f| f.fatal);
    let blamed: BTreeSet<_> = fatal.filter_map(|f| f.jail.clone()).collect();
    if !blamed.is_empty() {
        rungs.push(Rung {
            jails: blamed.iter().cloned().collect(),
            guess: false,
        });
    }
    let Some(plan) = &reading.plan else {
        return rungs;
    };
    let changed = changed(reading, plan, proven, recent);
    if let Some(last) = changed.iter().find(|name| !blamed.contains(*name)) {
        rungs.push(Rung {
            jails: vec![last.clone()],
            guess: true,
        });
    }
    if changed.len() > 1 {
        rungs.push(Rung {
            jails: changed,
            guess: true,
        });
    }
    rungs
}

/// The jails that changed since the last good start, the last change first.
fn changed(
    reading: &Reading,
    plan: &Plan,
    proven: Option<&Plan>,
    recent: &[String],
) -> Vec<String> {
    let on_disk = |name: &&String| plan.jails.contains_key(*name);
    let mut changed: Vec<String> = recent.iter().filter(on_disk).cloned().collect();
    let Some(proven) = proven else {
        if changed.is_empty() {
            changed.extend(reading.newest.iter().find(on_disk).cloned());
        }
        return changed;
    };
    for (name, jail) in &plan.jails {
        if proven.jails.get(name) != Some(jail) && !changed.contains(name) {
            changed.push(name.clone());
        }
    }
    changed
}
