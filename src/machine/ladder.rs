//! Which jails to disable, and in which order, when the daemon does not come back.

use std::collections::BTreeSet;

use super::event::Reading;
use super::plan::Plan;

/// The rungs in the order of trying, each a set of jails to disable: first those that a finding
/// blames; then the last changed one; then all that changed since the daemon last started.
/// Empty where the config did not change and nothing is found in it: then it is not to blame.
#[must_use]
pub(super) fn rungs(
    reading: &Reading,
    proven: Option<&Plan>,
    recent: &[String],
) -> Vec<Vec<String>> {
    let mut rungs = Vec::new();
    let blamed: BTreeSet<_> = reading
        .findings
        .iter()
        .filter_map(|f| f.jail.clone())
        .collect();
    if !blamed.is_empty() {
        rungs.push(blamed.iter().cloned().collect());
    }
    let changed = changed(reading, proven, recent);
    if let Some(last) = changed.iter().find(|name| !blamed.contains(*name)) {
        rungs.push(vec![last.clone()]);
    }
    if changed.len() > 1 {
        rungs.push(changed);
    }
    rungs
}

/// The jails that changed since the last good start, the last change first.
fn changed(reading: &Reading, proven: Option<&Plan>, recent: &[String]) -> Vec<String> {
    let on_disk = |name: &String| {
        reading
            .plan
            .as_ref()
            .is_none_or(|plan| plan.jails.contains_key(name))
    };
    let mut changed: Vec<String> = recent.iter().filter(|n| on_disk(n)).cloned().collect();
    if let (Some(plan), Some(proven)) = (&reading.plan, proven) {
        for (name, jail) in &plan.jails {
            if proven.jails.get(name) != Some(jail) && !changed.contains(name) {
                changed.push(name.clone());
            }
        }
    }
    let nobody_knows = proven.is_none() || reading.plan.is_none();
    if changed.is_empty() && nobody_knows {
        changed = reading
            .newest
            .iter()
            .filter(|n| on_disk(n))
            .take(1)
            .cloned()
            .collect();
    }
    changed
}
