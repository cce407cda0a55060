//! Taking the rungs of the ladder: rollbacks are written and read back before anything is touched.

use super::change::Refusal;
use super::event::{ConfigRead, Outcome};
use super::ladder::{self, Rung};
use super::plan::Plan;
use super::restart::Step;
use super::{Effect, Machine, State};

impl Machine {
    /// A fault that is known to keep the daemon from starting is rolled back before the start, so
    /// that one start is enough.
    pub(super) fn roll_back_known_faults(&mut self) {
        let fatal = self
            .refusal
            .as_ref()
            .map(Refusal::fatal_jails)
            .unwrap_or_default();
        let in_vain = |jail: &&String| {
            let incident = self.incident.as_ref();
            incident.is_some_and(|i| i.rolled_back.contains(*jail) || i.in_vain.contains(*jail))
        };
        let jails = fatal.difference(&self.rollbacks);
        let jails: Vec<_> = jails.filter(|jail| !in_vain(jail)).cloned().collect();
        if jails.is_empty() {
            self.proceed();
        } else {
            self.write_rollback(Rung {
                jails,
                guess: false,
            });
        }
    }

    pub(super) fn write_rollback(&mut self, rung: Rung) {
        let reason = self.reason_to_roll_back(&rung.jails);
        let write = self.run(Effect::WriteRollback {
            jails: rung.jails.clone(),
            reason,
        });
        self.step(Step::RollingBack { write, rung });
    }

    pub(super) fn rolled_back(&mut self, Rung { jails, guess }: Rung, outcome: Outcome) {
        let why = match outcome {
            Outcome::Effect(Ok(())) => None,
            Outcome::Effect(Err(why)) => Some(why),
            _ => Some("the write was lost on its way".to_owned()),
        };
        if let Some(why) = why {
            self.say_rollback_failed(&jails, &why);
            let State::Restarting(restart) = &mut self.state else {
                return;
            };
            restart.failure = why;
            // A finding may be wrong, and the start succeed all the same.
            return match restart.rungs {
                None => self.proceed(),
                Some(_) => self.next_rung(),
            };
        }
        if let Some(incident) = &mut self.incident {
            let before = self.disk.reading.as_ref().map(|r| r.fingerprint);
            incident.before = incident.before.or(before);
            incident.rolled_back.extend(jails.iter().cloned());
            if guess {
                incident.before_guess = incident.before_guess.or(before);
                incident.guessed.extend(jails.iter().cloned());
            }
        }
        for jail in &jails {
            let failed = self.digest_on_disk(jail);
            self.note_disabled(jail, failed);
        }
        self.say_rolled_back(&jails);
        self.rollbacks.extend(jails);
        self.disk.begin();
        let id = self.run(Effect::ReadConfig { known: None });
        self.step(Step::Verifying(id));
    }

    pub(super) fn verified(&mut self, config: ConfigRead) {
        if let ConfigRead::Read(reading) = &config {
            self.say_if_without_effect(reading.plan.as_ref());
        }
        self.take_reading(config);
        self.proceed();
    }

    /// A later `.local` may enable the jail all the same, or the fault is not one of the jail.
    pub(super) fn say_if_without_effect(&mut self, plan: Option<&Plan>) {
        let Some(plan) = plan else {
            if let Some(incident) = &mut self.incident {
                incident.guessed.clone_from(&incident.rolled_back);
                incident.before_guess = incident.before;
            }
            return;
        };
        let names = plan.names();
        let still: Vec<_> = self.rollbacks.intersection(&names).cloned().collect();
        if !still.is_empty() {
            self.say_rollback_failed(&still, "fail2ban enables it all the same");
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
        let Some(rungs) = &mut restart.rungs else {
            self.disk.begin();
            let id = self.run(Effect::ReadConfig { known: None });
            return self.step(Step::Judging(id));
        };
        let mut next = None;
        while let Some(mut rung) = rungs.pop_front() {
            let in_vain = self.incident.as_ref().map(|i| &i.in_vain);
            rung.jails.retain(|jail| {
                !self.rollbacks.contains(jail) && !in_vain.is_some_and(|set| set.contains(jail))
            });
            if !rung.jails.is_empty() {
                next = Some(rung);
                break;
            }
        }
        let failure = restart.failure.clone();
        match next {
            Some(rung) => self.write_rollback(rung),
            None => self.give_up(&failure),
        }
    }

    pub(super) fn judge(&mut self, config: ConfigRead) {
        self.take_reading(config);
        let rungs = match &self.disk.reading {
            Some(reading) => ladder::rungs(reading, self.proven.as_ref(), &self.recent),
            None => Vec::new(),
        };
        if let State::Restarting(restart) = &mut self.state {
            restart.rungs = Some(rungs.into());
        }
        self.next_rung();
    }
}
