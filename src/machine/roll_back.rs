//! Taking the rungs of the ladder: what they write is on disk and read back before anything is
//! touched.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::event::{ConfigRead, Outcome, PutBack, Reading};
use super::ladder::{self, Rung, What};
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
    /// Fingerprint of the config before the first of these.
    pub before: Option<u128>,
}

impl Guesses {
    pub(super) fn is_empty(&self) -> bool {
        self.jails.is_empty() && self.replaced.is_empty()
    }
}

impl Machine {
    /// Whether a last known good config is there to be put back, and may be.
    fn may_put_back(&self) -> bool {
        self.policy.replace_files && self.good.is_some()
    }

    /// A fault that is known to keep the daemon from starting is rolled back before the start, so
    /// that one start is enough.
    pub(super) fn roll_back_known_faults(&mut self) {
        let findings = self.refusal.iter().flat_map(|r| r.findings.iter().cloned());
        let findings: Vec<_> = findings.collect();
        let reading = self.disk.reading.as_ref();
        let unreadable = reading.is_some_and(|reading| reading.plan.is_none());
        let mut known = ladder::known(&findings, unreadable, self.may_put_back());
        if let State::Restarting(restart) = &self.state
            && let Some(jail) = &restart.burning
        {
            known.push(Rung::blamed(What::Disable(vec![jail.clone()])));
        }
        match known.into_iter().find_map(|rung| self.worth_taking(rung)) {
            Some(rung) => self.take(rung),
            None => self.proceed(),
        }
    }

    /// The rung without what was done already, in this incident or before it.
    fn worth_taking(&self, mut rung: Rung) -> Option<Rung> {
        let incident = self.incident.as_ref();
        match &mut rung.what {
            What::Disable(jails) => jails.retain(|jail| {
                let tried = incident
                    .is_some_and(|i| i.rolled_back.contains(jail) || i.in_vain.contains(jail));
                !tried && !self.rollbacks.contains(jail)
            }),
            What::PutBack(_) if incident.is_some_and(|i| i.files_in_vain) => {
                return None;
            }
            What::PutBack(_) => {}
        }
        let empty = matches!(&rung.what, What::Disable(jails) if jails.is_empty());
        let tried = matches!(&self.state, State::Restarting(r) if r.tried.contains(&rung.what));
        (!empty && !tried).then_some(rung)
    }

    fn take(&mut self, rung: Rung) {
        if let State::Restarting(restart) = &mut self.state {
            restart.tried.insert(rung.what.clone());
        }
        let write = match &rung.what {
            What::Disable(jails) => {
                let reason = self.reason_to_roll_back(jails);
                self.run(Effect::WriteRollback {
                    jails: jails.clone(),
                    reason,
                })
            }
            What::PutBack(files) => {
                let reason = self.reason_to_put_back();
                self.run(Effect::PutBack {
                    files: files.clone(),
                    reason,
                })
            }
        };
        self.step(Step::RollingBack { write, rung });
    }

    pub(super) fn rolled_back(&mut self, rung: Rung, outcome: Outcome) {
        let why = match (rung.what, outcome) {
            (What::Disable(jails), Outcome::Effect(Ok(()))) => {
                return self.disabled(&jails, rung.guess);
            }
            (What::PutBack(_), Outcome::PutBack(Ok(PutBack { files, .. }))) if files.is_empty() => {
                "no file differs from the last known good".to_owned()
            }
            (What::PutBack(_), Outcome::PutBack(Ok(done))) => {
                return self.was_put_back(done, rung.guess);
            }
            (what, Outcome::Effect(Err(why)) | Outcome::PutBack(Err(why))) => {
                self.say_rung_failed(&what, &why);
                why
            }
            (what, _) => {
                let why = "the write was lost on its way".to_owned();
                self.say_rung_failed(&what, &why);
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

    fn disabled(&mut self, jails: &[String], guess: bool) {
        self.note_guess(guess, |guesses| guesses.jails.extend(jails.iter().cloned()));
        if let Some(incident) = &mut self.incident {
            incident.rolled_back.extend(jails.iter().cloned());
        }
        for jail in jails {
            let failed = match &self.state {
                // The process hung with what it ran; what is on disk may be newer.
                State::Restarting(restart) if restart.burning.as_ref() == Some(jail) => {
                    self.accepted.jails.get(jail).map(|plan| plan.digest)
                }
                _ => self.digest_on_disk(jail),
            };
            self.note_disabled(jail, failed);
        }
        self.say_rolled_back(jails);
        self.rollbacks.extend(jails.iter().cloned());
        self.verify(jails.to_vec());
    }

    fn was_put_back(&mut self, done: PutBack, guess: bool) {
        self.say_put_back(&done);
        let before = self.disk.reading.as_ref().map(|r| r.fingerprint);
        let blamed = done.replaced.clone().filter(|_| !guess);
        self.note_guess(guess, |guesses| guesses.replaced.extend(done.replaced));
        self.verify(Vec::new());
        if let State::Restarting(restart) = &mut self.state
            && let Step::Verifying { put_back, .. } = &mut restart.step
        {
            *put_back = blamed.map(|name| (name, before));
        }
    }

    fn note_guess(&mut self, guess: bool, note: impl FnOnce(&mut Guesses)) {
        if guess {
            let before = self.disk.reading.as_ref().map(|r| r.fingerprint);
            self.guesses.before = self.guesses.before.or(before);
            note(&mut self.guesses);
        }
    }

    fn verify(&mut self, jails: Vec<String>) {
        self.disk.begin();
        let read = self.run(Effect::ReadConfig { known: None });
        self.step(Step::Verifying {
            read,
            jails,
            put_back: None,
        });
    }

    /// The config as fail2ban reads it now says whether the rung took hold.
    pub(super) fn verified(
        &mut self,
        jails: &[String],
        put_back: Option<(String, Option<u128>)>,
        config: ConfigRead,
    ) {
        let overruled = match &config {
            ConfigRead::Read(reading) => self.overruled(jails, reading),
            ConfigRead::Unchanged | ConfigRead::Failed(_) => BTreeSet::new(),
        };
        self.take_reading(config);
        if let Some((name, before)) = put_back.filter(|_| self.is_still_broken()) {
            self.guesses.before = self.guesses.before.or(before);
            self.guesses.replaced.push(name);
        }
        let State::Restarting(restart) = &self.state else {
            return;
        };
        match restart.rungs {
            None => self.roll_back_known_faults(),
            Some(_) if overruled.is_empty() => self.proceed(),
            Some(_) => self.next_rung(),
        }
    }

    /// What was replaced is not to blame for what is found all the same.
    fn is_still_broken(&self) -> bool {
        let mut found = self.refusal.iter().flat_map(|r| &r.findings);
        found.any(|f| f.fatal && f.jail.is_none())
    }

    /// Takes the next rung; the first time, the config is read afresh to find who is to blame.
    pub(super) fn next_rung(&mut self) {
        if self.pause.is_some() {
            return self.enter_pause();
        }
        let State::Restarting(restart) = &mut self.state else {
            return;
        };
        let Some(rungs) = &mut restart.rungs else {
            let id = self.run(Effect::FindCulprit);
            return self.step(Step::FindingCulprit(id));
        };
        let rungs = std::mem::take(rungs);
        let failure = restart.failure.clone();
        let mut rungs = rungs.into_iter();
        let next = rungs.find_map(|rung| self.worth_taking(rung));
        if let State::Restarting(restart) = &mut self.state {
            restart.rungs = Some(rungs.collect());
        }
        match next {
            Some(rung) => self.take(rung),
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
        self.take_reading(config);
        let State::Restarting(restart) = &self.state else {
            return;
        };
        let rungs = match &self.disk.reading {
            Some(reading) => ladder::rungs(
                reading,
                &restart.verdict.culprit,
                self.proven.as_ref(),
                &self.recent,
                self.may_put_back(),
            ),
            None => Vec::new(),
        };
        if let State::Restarting(restart) = &mut self.state {
            restart.rungs = Some(rungs.into());
        }
        self.next_rung();
    }

    /// Of these jails, those that something enables all the same, such as a later `.local`.
    fn overruled(&mut self, jails: &[String], reading: &Reading) -> BTreeSet<String> {
        let Some(plan) = &reading.plan else {
            // It is not the jails that keep the daemon from starting.
            if let Some(incident) = &self.incident {
                self.guesses
                    .jails
                    .extend(incident.rolled_back.iter().cloned());
            }
            return BTreeSet::new();
        };
        let still = jails.iter().filter(|jail| plan.jails.contains_key(*jail));
        let still: BTreeSet<_> = still.cloned().collect();
        for jail in &still {
            self.say_overruled(jail, reading.overruled.get(jail));
        }
        still
    }
}
