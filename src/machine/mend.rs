//! Jails that a rollback disables come back by themselves: tried without it, and only what passes
//! runs again; what then fails in life is disabled again, and waits longer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{ActionId, Finding, Outcome, Trial};
use super::give_up::Backoff;
use super::intent::Intent;
use super::time::MonoTime;
use super::{Effect, Machine, Policy, State};

/// What is known of a jail that a rollback disables, or did until lately.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Mend {
    /// How often it was tried in vain by the clock; each time doubles the wait.
    pub tries: u32,
    /// How often it failed in life though its trial had passed.
    pub flaps: u32,
    /// Digest of the commands with which it last failed, if that is known.
    pub failed: Option<u128>,
    /// A command of it blocked when it was disabled, or shortly before.
    pub blocked: bool,
    /// Fingerprint of the config with which it was last tried.
    pub tried: Option<u128>,
    /// Its rollback was taken away, and it has not yet run for long enough to be called mended.
    pub on_probation: bool,
}

/// When a jail is tried again. Not kept across our own restarts: the wait then begins anew.
#[derive(Debug, Clone, Default)]
pub(super) struct Wait {
    pub(super) next: MonoTime,
    /// Its config may have changed, or what it lacked may have come: it is tried at once.
    hinted: bool,
    /// Nothing has changed yet: it is tried at once to learn what it lacks, such as a log file.
    pub(super) first: bool,
    /// Something beside its config changed, such as a package: the same config may pass now.
    pub(super) afresh: bool,
    /// When it died on probation, and was loaded again.
    pub(super) died: Option<MonoTime>,
    /// What the last trial found, once that was told.
    told: Option<Finding>,
    /// Since when it runs again.
    pub(super) runs_since: Option<MonoTime>,
}

/// A mend under way.
#[derive(Debug, Clone)]
pub(super) struct Mending {
    pub(super) step: Step,
    pub(super) jails: BTreeSet<String>,
    /// Every way back has failed, and this is what it is gone on with.
    pub(super) gave_up: Option<Backoff>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The jails are tried without their rollbacks; nothing is written.
    Trying(ActionId),
    /// That they are on probation goes to disk first.
    Saving(ActionId),
    /// The rollbacks are removed.
    Removing(ActionId),
    /// The jails failed in life; that they are to be disabled again goes to disk first.
    Intending { save: ActionId, intent: Intent },
    /// They are disabled again.
    PuttingBack { write: ActionId, intent: Intent },
}

impl Mending {
    pub(super) fn awaits(&self, id: ActionId) -> bool {
        match self.step {
            Step::Trying(i)
            | Step::Saving(i)
            | Step::Removing(i)
            | Step::Intending { save: i, .. }
            | Step::PuttingBack { write: i, .. } => i == id,
        }
    }

    pub(super) fn intent(&self) -> Option<&Intent> {
        match &self.step {
            Step::Intending { intent, .. } | Step::PuttingBack { intent, .. } => Some(intent),
            Step::Trying(_) | Step::Saving(_) | Step::Removing(_) => None,
        }
    }

    /// Whether a look, or the end of a process, may break it off: a mere trial can be made later. Not so where every
    /// way back has failed: it is waited on after it.
    pub(super) fn may_be_left(&self) -> bool {
        !self.writes() && self.gave_up.is_none()
    }

    /// Whether it is past the mere trial.
    pub(super) fn writes(&self) -> bool {
        !matches!(self.step, Step::Trying(_))
    }
}

impl Wait {
    pub(super) fn begin(now: MonoTime, tries: u32) -> Self {
        Self {
            next: now + wait_after(tries),
            hinted: true,
            first: true,
            ..Self::default()
        }
    }
}

/// The wait after so many tries in vain.
fn wait_after(tries: u32) -> Duration {
    Policy::MEND_START
        .saturating_mul(1 << tries.min(10))
        .min(Policy::MEND_LIMIT)
}

impl Machine {
    /// Keeps an entry for each rollback that stands and each jail on probation, and for no other.
    pub(super) fn keep_mends(&mut self) {
        if matches!(self.state, State::Starting { .. }) {
            return;
        }
        let rollbacks = &self.rollbacks;
        self.mends
            .retain(|jail, mend| rollbacks.contains(jail) || mend.on_probation);
        for jail in rollbacks {
            self.mends.entry(jail.clone()).or_default();
        }
        let config = self.disk.reading.as_ref().map(|r| r.fingerprint);
        for (jail, mend) in &self.mends {
            if !self.waits.contains_key(jail) {
                let wait = Wait {
                    // It may have changed while jailwarden did not look.
                    first: mend.tried.is_none() || mend.tried == config,
                    ..Wait::begin(self.now, mend.tries)
                };
                self.waits.insert(jail.clone(), wait);
            }
        }
        let mends = &self.mends;
        self.waits.retain(|jail, _| mends.contains_key(jail));
    }

    /// The config changed by other hands, or something came that it lacked.
    pub(super) fn hint_mends(&mut self) {
        for wait in self.waits.values_mut() {
            wait.hinted = true;
            wait.first = false;
        }
    }

    /// Something beside the config changed: what failed may pass now.
    pub(super) fn hint_mends_afresh(&mut self) {
        self.hint_mends();
        for wait in self.waits.values_mut() {
            wait.afresh = true;
        }
    }

    fn may_mend(&self) -> bool {
        matches!(self.state, State::Watching) && self.daemon.ping.is_some() && self.disk.is_read()
    }

    pub(super) fn mend_deadline(&self) -> Option<MonoTime> {
        if !self.may_mend() {
            return None;
        }
        if !self.to_put_back().is_empty() {
            return Some(self.now);
        }
        let waiting = self.rollbacks.iter().filter(|jail| !self.is_hopeless(jail));
        let next = |jail: &String| {
            let wait = self.waits.get(jail)?;
            Some(if wait.hinted { self.now } else { wait.next })
        };
        let probation = self.waits.iter().filter_map(|(jail, wait)| {
            let runs = wait.runs_since.filter(|_| !self.rollbacks.contains(jail));
            Some(runs? + Policy::PROBATION)
        });
        waiting.filter_map(next).chain(probation).min()
    }

    /// It flapped too often: only a change of its config, which a hint may bring, tries it again.
    fn is_hopeless(&self, jail: &str) -> bool {
        let flaps = self.mends.get(jail).map_or(0, |mend| mend.flaps);
        let hinted = self
            .waits
            .get(jail)
            .is_some_and(|wait| wait.hinted && !wait.first);
        flaps >= Policy::FLAP_LIMIT && !hinted
    }

    /// Begins whatever mend is due.
    pub(super) fn mend_if_due(&mut self) {
        if !self.may_mend() {
            return;
        }
        self.end_probations();
        let failed = self.to_put_back();
        if !failed.is_empty() {
            return self.put_back(failed);
        }
        let due = self.due();
        if !due.is_empty() {
            self.try_without_rollback(due, None);
        }
    }

    /// The jails whose next try it is time for.
    fn due(&self) -> BTreeSet<String> {
        let is_due = |jail: &&String| {
            let due = |wait: &Wait| wait.hinted || wait.next <= self.now;
            !self.is_hopeless(jail) && self.waits.get(*jail).is_some_and(due)
        };
        self.rollbacks.iter().filter(is_due).cloned().collect()
    }

    /// Nothing protects, as every way back has failed: a jail that may be mended by now could run without
    /// those that keep it down. Whether one is tried now.
    pub(super) fn mend_given_up(&mut self, backoff: Backoff) -> bool {
        let due = self.due();
        let tries = self.disk.is_read() && !due.is_empty();
        if tries {
            self.try_without_rollback(due, Some(backoff));
        }
        tries
    }

    fn try_without_rollback(&mut self, jails: BTreeSet<String>, gave_up: Option<Backoff>) {
        let id = self.run(Effect::TryMend {
            jails: jails.clone(),
        });
        self.state = State::Mending(Mending {
            step: Step::Trying(id),
            jails,
            gave_up,
        });
    }

    /// An action of the mend has ended.
    pub(super) fn mend_done(&mut self, outcome: Outcome) {
        let State::Mending(Mending {
            step,
            jails,
            gave_up,
        }) = std::mem::replace(&mut self.state, State::Watching)
        else {
            return;
        };
        self.watch();
        match (step, outcome) {
            (Step::Trying(_), Outcome::Tried(trial)) => self.tried(&jails, trial),
            (Step::Trying(_), _) => self.tried(&jails, Err("the trial was lost".to_owned())),
            (Step::Saving(_), outcome) => self.remove_rollbacks(jails, &outcome),
            (Step::Removing(_), Outcome::Effect(Ok(()))) => self.removed(&jails),
            (Step::Removing(_), outcome) => self.not_removed(&jails, &why_not(outcome)),
            (Step::Intending { intent, .. }, outcome) => {
                self.save_done(&outcome);
                let write = self.carry_out(&intent);
                let step = Step::PuttingBack { write, intent };
                self.state = State::Mending(Mending {
                    step,
                    jails,
                    gave_up,
                });
            }
            (Step::PuttingBack { intent, .. }, outcome) => {
                self.disabled_again(&jails, &intent, outcome);
            }
        }
        if let Some(backoff) = gave_up {
            self.wait_on(backoff);
        }
    }

    fn tried(&mut self, jails: &BTreeSet<String>, trial: Result<BTreeMap<String, Trial>, String>) {
        let trial = trial.unwrap_or_else(|why| {
            let none = |jail: &String| (jail.clone(), Trial::Unknown(why.clone()));
            jails.iter().map(none).collect()
        });
        let mut passed = BTreeSet::new();
        let config = self.disk.reading.as_ref().map(|r| r.fingerprint);
        for jail in jails {
            let is_mended = match trial.get(jail) {
                Some(Trial::Sound { digest }) => self.begin_probation(jail, *digest),
                Some(Trial::Gone) => true,
                Some(Trial::Faulty(finding)) => {
                    self.still_faulty(jail, finding);
                    false
                }
                Some(Trial::Unknown(_)) | None => {
                    self.try_again_soon(jail);
                    false
                }
            };
            if is_mended {
                passed.insert(jail.clone());
            }
            if let Some(mend) = self.mends.get_mut(jail) {
                mend.tried = config;
            }
            self.wait_longer(jail);
        }
        if passed.is_empty() {
            return;
        }
        let id = self.save();
        self.state = State::Mending(Mending {
            step: Step::Saving(id),
            jails: passed,
            gave_up: None,
        });
    }

    /// Told when somebody may be waiting for the answer, and once for each fault.
    fn still_faulty(&mut self, jail: &str, finding: &Finding) {
        let Some(wait) = self.waits.get_mut(jail) else {
            return;
        };
        if wait.first || !wait.hinted {
            return;
        }
        if wait.told.replace(finding.clone()).as_ref() != Some(finding) {
            self.say_still_faulty(jail, finding);
        }
    }

    /// There was a reason for the trial, and no telling how it ends, as on a machine that is overloaded.
    fn try_again_soon(&mut self, jail: &str) {
        if let Some(wait) = self.waits.get_mut(jail).filter(|wait| wait.hinted) {
            wait.next = wait.next.min(self.now + Policy::MEND_AGAIN);
        }
    }

    fn wait_longer(&mut self, jail: &str) {
        let (Some(mend), Some(wait)) = (self.mends.get_mut(jail), self.waits.get_mut(jail)) else {
            return;
        };
        if wait.next <= self.now {
            mend.tries += 1;
            wait.next = self.now + wait_after(mend.tries);
        }
        wait.hinted = false;
        wait.first = false;
        wait.afresh = false;
    }

    fn remove_rollbacks(&mut self, jails: BTreeSet<String>, saved: &Outcome) {
        self.save_done(saved);
        let id = self.run(Effect::TakeBack {
            jails: jails.iter().cloned().collect(),
            replaced: Vec::new(),
            in_memory: false,
        });
        self.state = State::Mending(Mending {
            step: Step::Removing(id),
            jails,
            gave_up: None,
        });
    }

    fn removed(&mut self, jails: &BTreeSet<String>) {
        // The reading of our own change holds whatever others changed meanwhile.
        self.hint_mends();
        self.rollbacks.retain(|jail| !jails.contains(jail));
        if let Some(incident) = &mut self.incident {
            // It may be to blame once more.
            incident.rolled_back.retain(|jail| !jails.contains(jail));
        }
        self.say_removed(jails);
        self.read_own_change();
    }

    /// Which of them still stand is for the reading to say.
    fn not_removed(&mut self, jails: &BTreeSet<String>, why: &str) {
        self.say_not_mended(jails, why);
        self.read_own_change();
    }

    /// Our rollback files as they are on disk now: one that is gone was removed by somebody, or is what
    /// a removal got done before it failed.
    pub(super) fn note_rollbacks(&mut self, standing: &BTreeSet<String>) {
        let gone: BTreeSet<_> = self.rollbacks.difference(standing).cloned().collect();
        let (ours, undone): (BTreeSet<_>, BTreeSet<_>) = gone
            .into_iter()
            .partition(|jail| self.is_on_probation(jail));
        if !ours.is_empty() {
            self.say_mended(&ours);
        }
        if !undone.is_empty() {
            self.say_undone(&undone);
        }
        for jail in standing {
            if let Some(mend) = self.mends.get_mut(jail) {
                mend.on_probation = false;
            }
        }
        self.rollbacks.clone_from(standing);
    }

    /// Those that passed are on probation; the others are no longer in the config.
    fn say_removed(&mut self, jails: &BTreeSet<String>) {
        let (mended, gone): (BTreeSet<_>, BTreeSet<_>) = jails
            .iter()
            .cloned()
            .partition(|jail| self.is_on_probation(jail));
        if !mended.is_empty() {
            self.say_mended(&mended);
        }
        if !gone.is_empty() {
            self.say_not_wanted(&gone);
        }
    }

    /// When the clock tries a jail again without its rollback.
    pub(super) fn next_try(&self, jail: &str) -> Option<MonoTime> {
        let waits = self.rollbacks.contains(jail) && !self.is_hopeless(jail);
        self.waits.get(jail).filter(|_| waits).map(|wait| wait.next)
    }

    /// Jails that wait for a person, as they failed too often.
    pub(super) fn hopeless(&self) -> BTreeSet<String> {
        let jails = self.rollbacks.iter();
        jails
            .filter(|jail| self.is_hopeless(jail))
            .cloned()
            .collect()
    }
}

/// Why an effect came to nothing.
pub(super) fn why_not(outcome: Outcome) -> String {
    match outcome {
        Outcome::Effect(Err(why)) | Outcome::PutBack(Err(why)) | Outcome::Aside(Err(why)) => why,
        _ => "it was lost on its way".to_owned(),
    }
}
