//! What to take away from the config, and in which order, when the daemon does not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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
    /// No jail and no file of anybody's: the database is kept in memory.
    InMemory,
    /// The database, which is damaged, is moved aside.
    Aside,
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
/// that does not parse; and where fail2ban's surroundings are to blame, nothing either,
/// unless they fail a jail that changed; a database that cannot be used is done without, and a damaged one gives
/// way to a new one.
/// `changed` is as the function of that name gives it.
/// `may_put_back`: a last known good config is at hand, and wanted.
#[must_use]
pub(super) fn rungs(
    reading: &Reading,
    culprit: &Culprit,
    changed: &[String],
    may_put_back: bool,
) -> Vec<Rung> {
    let mut rungs = known(&reading.findings, Some(reading), may_put_back);
    let Some(plan) = &reading.plan else {
        return rungs;
    };
    match culprit {
        // A jail that was changed to need a module or a program that is not there is to blame itself.
        Culprit::Surroundings { jail, database } => {
            rungs.extend(database.then(|| Rung::guess(What::InMemory)));
            let new = jail.iter().filter(|jail| changed.contains(jail));
            rungs.extend(new.map(|jail| Rung::guess(What::Disable(vec![jail.clone()]))));
            return rungs;
        }
        Culprit::Damaged => {
            rungs.extend([Rung::blamed(What::Aside), Rung::guess(What::InMemory)]);
            return rungs;
        }
        Culprit::Config { jail: Some(jail) } if plan.jails.contains_key(jail) => {
            rungs.push(Rung::blamed(What::Disable(vec![jail.clone()])));
        }
        Culprit::Config { .. } | Culprit::Unknown => {}
    }
    let blamed = blamed(&reading.findings);
    if let Some(last) = changed.iter().find(|name| !blamed.contains(*name)) {
        rungs.push(Rung::guess(What::Disable(vec![last.clone()])));
    }
    if changed.len() > 1 {
        rungs.push(Rung::guess(What::Disable(changed.to_vec())));
    }
    let all = Rung::guess(What::PutBack(Vec::new()));
    if may_put_back && !changed.is_empty() && rungs.iter().all(|rung| rung.what != all.what) {
        rungs.push(all);
    }
    rungs
}

/// The rungs for what is known to keep the daemon from starting; `reading` is the config that the
/// findings are about, if it was read. Where one line takes down several jails, as a value in `[DEFAULT]` or in
/// a filter does, it is the line that is wrong: the files come first. So they do where every jail is to blame,
/// as a daemon without them would protect nobody. They are also what is left for jails that something enables
/// for all their rollbacks.
#[must_use]
pub(super) fn known(
    findings: &[Finding],
    reading: Option<&Reading>,
    may_put_back: bool,
) -> Vec<Rung> {
    let jails = blamed(findings);
    let unreadable = reading.is_some_and(|reading| reading.plan.is_none());
    let general = findings.iter().any(|f| f.fatal && f.jail.is_none());
    let plan = reading.and_then(|reading| reading.plan.as_ref());
    let none_left = plan.is_some_and(|plan| is_none_left(plan, findings));
    let stands_in_vain = |reading: &Reading| {
        let mut standing = jails.intersection(&reading.rollbacks);
        standing.any(|jail| reading.runs(jail))
    };
    let shared = shared_lines(findings);
    let files_first = none_left || !shared.is_empty();
    let of_jails = none_left || reading.is_some_and(stands_in_vain);
    let mut rungs = Vec::new();
    if may_put_back && (unreadable || general || of_jails || files_first) {
        let counts = |f: &Finding| of_jails || f.jail.is_none() || is_among(&shared, f);
        let named = files(findings.iter().filter(|f| f.fatal && counts(f)));
        // What else differs has nothing to do with jails that are known to be at fault.
        let all = unreadable || general || named.is_none();
        rungs.extend(named.map(|files| Rung::blamed(What::PutBack(files))));
        rungs.extend(all.then(|| Rung::blamed(What::PutBack(Vec::new()))));
    }
    if !jails.is_empty() {
        let disable = Rung::blamed(What::Disable(jails.into_iter().collect()));
        let at = if files_first { rungs.len() } else { 0 };
        rungs.insert(at, disable);
    }
    rungs
}

/// Whether there are jails, and each of them would keep the daemon from starting.
#[must_use]
pub(super) fn is_none_left(plan: &Plan, findings: &[Finding]) -> bool {
    let jails = blamed(findings);
    !jails.is_empty() && plan.jails.keys().all(|jail| jails.contains(jail))
}

/// The lines that each take down several jails.
#[must_use]
pub(super) fn shared_lines(findings: &[Finding]) -> BTreeSet<(&Path, u32)> {
    let mut first = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for finding in findings.iter().filter(|f| f.fatal) {
        if let (Some(jail), Some(line)) = (&finding.jail, line_of(finding))
            && *first.entry(line).or_insert(jail) != jail
        {
            shared.insert(line);
        }
    }
    shared
}

fn is_among(lines: &BTreeSet<(&Path, u32)>, finding: &Finding) -> bool {
    line_of(finding).is_some_and(|line| lines.contains(&line))
}

fn line_of(finding: &Finding) -> Option<(&Path, u32)> {
    Some((finding.file.as_deref()?, finding.line?))
}

/// The files that these blame, if all are known.
fn files<'a>(mut findings: impl Iterator<Item = &'a Finding>) -> Option<Vec<PathBuf>> {
    let files: BTreeSet<_> = findings.try_fold(BTreeSet::new(), |mut files, finding| {
        files.insert(finding.file.clone()?);
        Some(files)
    })?;
    (!files.is_empty()).then(|| files.into_iter().collect())
}

/// The jails that a finding says would keep the daemon from starting.
fn blamed(findings: &[Finding]) -> BTreeSet<String> {
    let fatal = findings.iter().filter(|f| f.fatal);
    fatal.filter_map(|f| f.jail.clone()).collect()
}

/// The jails that changed since the last good start, the last change first; those too that are
/// disabled by now, so that what follows is the same for a jailwarden that comes after one that was
/// killed.
pub(super) fn changed(reading: &Reading, proven: Option<&Plan>, recent: &[String]) -> Vec<String> {
    let Some(plan) = &reading.plan else {
        return recent.to_vec();
    };
    let is_there =
        |name: &&String| plan.jails.contains_key(*name) || reading.rollbacks.contains(*name);
    let mut changed: Vec<String> = recent.iter().filter(is_there).cloned().collect();
    let Some(proven) = proven else {
        if changed.is_empty() {
            let on_disk = |name: &&String| plan.jails.contains_key(*name);
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
