//! What to take away from the config, and in which order, when the daemon does not come back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::event::{Culprit, Finding, Reading};
use super::plan::Plan;

/// One rung of the ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rung {
    pub(super) what: What,
    /// Nothing was found in it; it only changed. If it does not help, it is taken back.
    pub(super) guess: bool,
}

/// What is taken away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    /// These jails are disabled, together.
    Disable(Vec<String>),
    /// These files get their last known good content; all that differ, where none is named.
    PutBack(Vec<PathBuf>),
}

impl Rung {
    pub(super) fn blamed(what: What) -> Self {
        Self { what, guess: false }
    }

    fn guess(what: What) -> Self {
        Self { what, guess: true }
    }
}

/// The rungs in the order of trying: first what a finding blames, jails or files; then the last
/// changed jail; then all that changed since the daemon last started; then all files as they last
/// were good. Empty where the config did not change and nothing is found in it: then it is not to
/// blame. Where fail2ban cannot read the config at all, no jail is guessed: no overlay mends a file
/// that does not parse; and where fail2ban's surroundings are to blame, nothing either. `may_put_back`: a last known good config is at hand, and wanted.
#[must_use]
pub(super) fn rungs(
    reading: &Reading,
    culprit: &Culprit,
    proven: Option<&Plan>,
    recent: &[String],
    may_put_back: bool,
) -> Vec<Rung> {
    let mut rungs = known(&reading.findings, reading.plan.is_none(), may_put_back);
    let Some(plan) = &reading.plan else {
        return rungs;
    };
    match culprit {
        Culprit::Surroundings => return rungs,
        Culprit::Config { jail: Some(jail) } if plan.jails.contains_key(jail) => {
            rungs.push(Rung::blamed(What::Disable(vec![jail.clone()])));
        }
        Culprit::Config { .. } | Culprit::Unknown => {}
    }
    let changed = changed(reading, plan, proven, recent);
    let blamed = blamed(&reading.findings);
    if let Some(last) = changed.iter().find(|name| !blamed.contains(*name)) {
        rungs.push(Rung::guess(What::Disable(vec![last.clone()])));
    }
    if changed.len() > 1 {
        rungs.push(Rung::guess(What::Disable(changed.clone())));
    }
    let all = Rung::guess(What::PutBack(Vec::new()));
    if may_put_back && !changed.is_empty() && rungs.iter().all(|rung| rung.what != all.what) {
        rungs.push(all);
    }
    rungs
}

/// The rungs for what is known to keep the daemon from starting.
#[must_use]
pub(super) fn known(findings: &[Finding], unreadable: bool, may_put_back: bool) -> Vec<Rung> {
    let mut rungs = Vec::new();
    let jails = blamed(findings);
    if !jails.is_empty() {
        rungs.push(Rung::blamed(What::Disable(jails.into_iter().collect())));
    }
    let mut general = findings.iter().filter(|f| f.fatal && f.jail.is_none());
    if may_put_back && (unreadable || general.clone().next().is_some()) {
        let named: Option<BTreeSet<_>> = general.try_fold(BTreeSet::new(), |mut files, finding| {
            files.insert(finding.file.clone()?);
            Some(files)
        });
        let named = named.filter(|files| !files.is_empty());
        rungs.extend(named.map(|files| Rung::blamed(What::PutBack(files.into_iter().collect()))));
        rungs.push(Rung::blamed(What::PutBack(Vec::new())));
    }
    rungs
}

/// The jails that a finding says would keep the daemon from starting.
fn blamed(findings: &[Finding]) -> BTreeSet<String> {
    let fatal = findings.iter().filter(|f| f.fatal);
    fatal.filter_map(|f| f.jail.clone()).collect()
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
