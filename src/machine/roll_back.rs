//! Taking the rungs of the ladder: what they write is on disk and read back before anything is
//! touched.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::event::{ConfigRead, Outcome, PutBack, Reading};
use super::intent::{Intent, is_still_broken};
use super::ladder::{self, Rung, What};
use super::mend::why_not;
use super::restart::Step;
use super::{Effect, Machine, State};

/// What was done to the config on a guess, until the daemon is back: if it does not come back, all
/// of it is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Guesses {
    /// The jails that were disabled.
    pub jails: BTreeSet<String>,
    /// Where the files are that were replaced, the first first.
    pub replaced: Vec<String>,
    /// The database is kept in memory.
    pub in_memory: bool,
    /// Fingerprint of the config before the first of these.
    pub before: Option<u128>,
}

impl Guesses {
    pub(super) fn is_empty(&self) -> bool {
        self.jails.is_empty() && self.replaced.is_empty() && !self.in_memory
    }
}

/// What was done on a guess and did not help: it is not tried again before the config changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InVain {
    /// The jails that were disabled.
    pub jails: BTreeSet<String>,
    /// All files had their last good content.
    pub files: bool,
    /// The database was put into memory since, with which the others were worth another try.
    pub in_memory: bool,
    /// Fingerprint of the config, without what was done.
    pub config: Option<u128>,
}

impl Machine {
    /// Whether a last known good config is there to be put back, and may be. Not while whoever installs
    /// packages has taken the whole folder away.
    fn may_put_back(&self) -> bool {
        let gone = self.disk.reading.as_ref().is_some_and(|it| it.gone);
        self.policy.replace_files && self.good.is_some() && !(gone && self.disk.packages)
    }

    /// A fault that is known to keep the daemon from starting is rolled back before the start, so
    /// that one start is enough.
    pub(super) fn roll_back_known_faults(&mut self) {
        let findings = self.refusal.iter().flat_map(|r| r.findings.iter().cloned());
        let findings: Vec<_> = findings.collect();
        let reading = self.disk.reading.as_ref();
        let mut known = ladder::known(&findings, reading, self.may_put_back());
        if let State::Restarting(restart) = &self.state
            && let Some(jail) = &restart.burning
        {
            known.push(Rung::blamed(What::Disable(vec![jail.clone()])));
        }
        if let Some(jail) = self.asked_to_roll_back() {
            known.push(Rung::blamed(What::Disable(vec![jail.to_owned()])));
        }
        match known.into_iter().find_map(|rung| self.worth_taking(rung)) {
            Some(rung) => self.take(&rung),
            None => self.proceed(),
        }
    }

    /// The rung without what was done already, in this incident or before it. A mere guess is not worth
    /// the last jail: fail2ban would run, and protect nothing.
    pub(super) fn worth_taking(&self, mut rung: Rung) -> Option<Rung> {
        let incident = self.incident.as_ref();
        let asked = self.asked_to_roll_back();
        match &mut rung.what {
            What::Disable(jails) => jails.retain(|jail| {
                let tried = incident.is_some_and(|i| i.rolled_back.contains(jail));
                let in_vain = self.in_vain.jails.contains(jail) && asked != Some(jail.as_str());
                !tried && !in_vain && !self.rollbacks.contains(jail)
            }),
            What::PutBack(_) if self.in_vain.files => return None,
            What::InMemory if self.in_memory.stands => return None,
            What::PutBack(_) | What::InMemory | What::Aside => {}
        }
        let empty = match &rung.what {
            What::Disable(jails) if rung.guess => {
                let plan = self.disk.reading.as_ref().and_then(|r| r.plan.as_ref());
                let stays = |name: &String| !jails.contains(name);
                jails.is_empty() || plan.is_some_and(|plan| !plan.jails.keys().any(stays))
            }
            What::Disable(jails) => jails.is_empty(),
            What::PutBack(_) | What::InMemory | What::Aside => false,
        };
        let tried = matches!(&self.state, State::Restarting(r) if r.tried.contains(&rung.what));
        (!empty && !tried).then_some(rung)
    }

    pub(super) fn take(&mut self, rung: &Rung) {
        if let State::Restarting(restart) = &mut self.state {
            restart.tried.insert(rung.what.clone());
        }
        let reason = match &rung.what {
            What::Disable(jails) => self.reason_to_roll_back(jails),
            What::PutBack(_) => self.reason_to_put_back(),
            What::InMemory => self.reason_to_keep_in_memory(),
            What::Aside => self.reason_to_set_aside(),
        };
        let intent = self.intent(rung, reason);
        let save = self.save_intent(&intent);
        self.saving = Some(save);
        self.step(Step::Intending { save, intent });
    }

    pub(super) fn rolled_back(&mut self, intent: &Intent, outcome: Outcome) {
        let why = match (&intent.what, outcome) {
            (What::Disable(jails), Outcome::Effect(Ok(()))) => {
                self.note_rolled_back(jails, intent);
                return self.verify(&intent.what);
            }
            (What::InMemory, Outcome::Effect(Ok(()))) => {
                self.note_in_memory(intent);
                return self.verify(&intent.what);
            }
            (What::Aside, Outcome::Aside(Ok(moved))) => {
                return self.was_set_aside(moved, &intent.reason);
            }
            (What::PutBack(_), Outcome::PutBack(Ok(PutBack { files, .. }))) if files.is_empty() => {
                "no file differs from the last known good".to_owned()
            }
            (What::PutBack(_), Outcome::PutBack(Ok(done))) => {
                return self.was_put_back(&done, intent);
            }
            (what @ What::PutBack(_), Outcome::HalfPutBack(done, why)) => {
                self.say_rung_failed(what, &why);
                return self.was_put_back(&done, intent);
            }
            (what, outcome) => {
                let why = why_not(outcome);
                self.say_rung_failed(what, &why);
                match what {
                    What::Disable(jails) => self.may_stand(jails, intent),
                    What::InMemory => self.guess_in_memory(intent),
                    What::PutBack(_) | What::Aside => {}
                }
                why
            }
        };
        let State::Restarting(restart) = &mut self.state else {
            return;
        };
        // A finding may be wrong, and the start succeed all the same.
        if restart.rungs.is_none() {
            return self.roll_back_known_faults();
        }
        if restart.failure.is_empty() {
            restart.failure = why;
        }
        self.next_rung();
    }

    /// Rollbacks that stand although the write of several failed, for want of room for the others.
    pub(super) fn note_half_done(&mut self, standing: &BTreeSet<String>) {
        let Some(incident) = &self.incident else {
            return;
        };
        let half = standing.difference(&self.rollbacks);
        let half = half.filter(|jail| incident.expected.contains(*jail));
        let refused = self.refused_jails();
        let (blamed, guessed): (Vec<_>, Vec<_>) =
            half.cloned().partition(|jail| refused.contains(jail));
        for (jails, guess) in [(blamed, false), (guessed, true)] {
            if jails.is_empty() {
                continue;
            }
            let reason = self.reason_to_roll_back(&jails);
            let what = What::Disable(jails.clone());
            let intent = self.intent(&Rung { what, guess }, reason);
            self.note_rolled_back(&jails, &intent);
        }
    }

    /// Rollbacks that somebody removed meanwhile: what was done before that is no reason not to do it again, should
    /// the daemon not start without.
    pub(super) fn note_undone(&mut self, standing: &BTreeSet<String>) {
        let undone = |jail: &String| self.rollbacks.contains(jail) && !standing.contains(jail);
        if let Some(incident) = &mut self.incident {
            incident.rolled_back.retain(|jail| !undone(jail));
        }
        if let State::Restarting(restart) = &mut self.state {
            let is_undone =
                |what: &What| matches!(what, What::Disable(jails) if jails.iter().any(undone));
            restart.tried.retain(|what| !is_undone(what));
        }
    }

    fn was_put_back(&mut self, done: &PutBack, intent: &Intent) {
        self.note_put_back(done, intent);
        self.verify(&intent.what);
        if let State::Restarting(restart) = &mut self.state
            && let Step::Verifying { put_back, .. } = &mut restart.step
        {
            let replaced = done.replaced.clone();
            *put_back = replaced.map(|name| (name, intent.before));
        }
    }

    fn verify(&mut self, what: &What) {
        self.disk.begin();
        let read = self.run(Effect::ReadConfig { known: None });
        self.step(Step::Verifying {
            read,
            what: what.clone(),
            put_back: None,
        });
    }

    /// The config as fail2ban reads it now says whether the rung took hold.
    pub(super) fn verified(
        &mut self,
        what: &What,
        put_back: Option<(String, Option<u128>)>,
        config: ConfigRead,
    ) {
        let jails = match what {
            What::Disable(jails) => jails.as_slice(),
            What::PutBack(_) | What::InMemory | What::Aside => &[],
        };
        let overruled = match &config {
            ConfigRead::Read(reading) => self.note_overruled(jails, reading),
            ConfigRead::Unchanged | ConfigRead::Failed(_) => BTreeSet::new(),
        };
        self.take_own_reading(what, config);
        let in_vain = *what == What::InMemory && self.is_in_memory_in_vain();
        if let Some((name, before)) = put_back
            && self.disk.reading.as_ref().is_some_and(is_still_broken)
        {
            self.guess_replaced(Some(&name), before);
        }
        let State::Restarting(restart) = &self.state else {
            return;
        };
        match restart.rungs {
            None => self.roll_back_known_faults(),
            Some(_) if overruled.is_empty() && !in_vain => self.proceed(),
            Some(_) => self.next_rung(),
        }
    }

    /// Takes the next rung; the first time, the config is read afresh to find who is to blame.
    pub(super) fn next_rung(&mut self) {
        if self.pause.is_some() {
            return self.enter_pause();
        }
        let State::Restarting(restart) = &mut self.state else {
            return;
        };
        let rungs = restart.rungs.take();
        let Some(rungs) = rungs.filter(|_| !std::mem::take(&mut restart.cured)) else {
            let id = self.run(Effect::FindCulprit);
            return self.step(Step::FindingCulprit(id));
        };
        let failure = restart.failure.clone();
        let mut rungs = rungs.into_iter();
        let next = rungs.find_map(|rung| self.worth_taking(rung));
        if let State::Restarting(restart) = &mut self.state {
            restart.rungs = Some(rungs.collect());
        }
        match next {
            Some(rung) => self.take(&rung),
            None => self.give_up(&failure),
        }
    }

    pub(super) fn culprit_found(&mut self, outcome: Outcome) {
        if let Outcome::Verdict(verdict) = outcome
            && let State::Restarting(restart) = &mut self.state
        {
            if !verdict.evidence.is_empty() {
                restart.failure = format!("{}: {}", restart.failure, verdict.evidence);
            }
            restart.verdict = verdict;
        }
        self.disk.begin();
        let id = self.run(Effect::ReadConfig { known: None });
        self.step(Step::Judging(id));
    }

    pub(super) fn judge(&mut self, config: ConfigRead) {
        self.take_others_reading(config);
        let State::Restarting(restart) = &self.state else {
            return;
        };
        let mut rungs = Vec::new();
        if let Some(reading) = &self.disk.reading {
            let changed = ladder::changed(reading, self.proven.as_ref(), &self.recent);
            let culprit = &restart.verdict.culprit;
            rungs = ladder::rungs(reading, culprit, &changed, self.may_put_back());
            // What is disabled can no longer be compared with what was proven.
            self.recent = changed;
        }
        if let State::Restarting(restart) = &mut self.state {
            restart.rungs = Some(rungs.into());
        }
        self.next_rung();
    }

    /// Rollbacks whose jails something enables all the same, such as a later `.local`; told once of each.
    pub(super) fn say_if_overruled(&mut self, reading: &Reading) {
        let before = self.disk.reading.take();
        for jail in &reading.rollbacks {
            let by = reading.overruled.get(jail);
            let is_known = before
                .as_ref()
                .is_some_and(|it| it.rollbacks.contains(jail) && it.overruled.get(jail) == by);
            if is_known {
                continue;
            }
            if reading.runs(jail) {
                self.say_overruled(jail, by);
            } else if let Some(by) = by {
                self.say_left_out(jail, by);
            }
        }
        self.disk.reading = before;
    }

    /// Of these jails, those that run for all their rollbacks, which are taken back with whatever else does
    /// not help.
    fn note_overruled(&mut self, jails: &[String], reading: &Reading) -> BTreeSet<String> {
        if reading.plan.is_none() {
            // It is not the jails that keep the daemon from starting.
            if let Some(incident) = &self.incident {
                let jails = incident.rolled_back.iter().cloned();
                self.guesses.jails.extend(jails);
                self.guesses.before = self.guesses.before.or(incident.before_rollbacks);
            }
            return BTreeSet::new();
        }
        let in_vain = jails.iter().filter(|jail| reading.runs(jail));
        let in_vain: BTreeSet<_> = in_vain.cloned().collect();
        self.guesses.jails.extend(in_vain.iter().cloned());
        if let Some(incident) = &mut self.incident {
            incident.rolled_back.retain(|jail| !in_vain.contains(jail));
        }
        in_vain
    }
}
