//! Disabling jails in a daemon that lives: those that failed in life though their trial had passed, and
//! those of which a person wants it.

use std::collections::BTreeSet;

use super::event::Outcome;
use super::intent::Intent;
use super::ladder::{Rung, What};
use super::mend::{Mending, Step, Wait, why_not};
use super::{Answer, Machine, Policy, State};

impl Machine {
    /// A jail was disabled as intended.
    pub(super) fn note_disabled(&mut self, jail: &str, intent: &Intent) {
        let has_blocked = self.has_blocked(jail);
        let mend = self.mends.entry(jail.to_owned()).or_default();
        mend.blocked |= has_blocked;
        if std::mem::take(&mut mend.on_probation) {
            mend.flaps += 1;
            mend.tries += 1;
        }
        mend.failed = intent.failed.get(jail).copied().or(mend.failed);
        if intent.asked {
            // It is a person's to bring back, or to mend.
            mend.flaps = Policy::FLAP_LIMIT;
        }
        let wait = Wait::begin(self.now, mend.tries);
        self.waits.insert(jail.to_owned(), wait);
    }

    /// Jails on probation that the daemon refused, or that died in it.
    pub(super) fn to_put_back(&self) -> BTreeSet<String> {
        if self.is_cramped() {
            // No jail is to blame for that.
            return BTreeSet::new();
        }
        let on_probation = self.mends.iter().filter(|(_, mend)| mend.on_probation);
        on_probation
            .map(|(jail, _)| jail)
            .filter(|jail| self.is_spurned(jail) || self.lost.contains(*jail))
            .filter(|jail| !self.rollbacks.contains(*jail))
            .cloned()
            .collect()
    }

    pub(super) fn put_back(&mut self, jails: BTreeSet<String>) {
        let names: Vec<_> = jails.iter().cloned().collect();
        let reason = format!(
            "{}; it had passed its trial, and is tried again later",
            self.reason_to_roll_back(&names)
        );
        self.disable_for(jails, &names, reason);
    }

    /// Disables jails in a daemon that answers.
    pub(super) fn disable(&mut self, jails: BTreeSet<String>) {
        let names: Vec<_> = jails.iter().cloned().collect();
        let reason = self.reason_to_roll_back(&names);
        self.disable_for(jails, &names, reason);
    }

    pub(super) fn disable_for(
        &mut self,
        jails: BTreeSet<String>,
        names: &[String],
        reason: String,
    ) {
        let rung = Rung::blamed(What::Disable(names.to_vec()));
        let intent = self.intent(&rung, reason);
        let save = self.save_intent(&intent);
        self.saving = Some(save);
        self.state = State::Mending(Mending {
            step: Step::Intending { save, intent },
            jails,
            gave_up: None,
        });
    }

    pub(super) fn disabled_again(
        &mut self,
        jails: &BTreeSet<String>,
        intent: &Intent,
        outcome: Outcome,
    ) {
        if !matches!(outcome, Outcome::Effect(Ok(()))) {
            for jail in jails {
                if let Some(mend) = self.mends.get_mut(jail) {
                    mend.on_probation = false;
                }
            }
            let names: Vec<_> = jails.iter().cloned().collect();
            let why = why_not(outcome);
            self.say_rollback_failed(&names, &why);
            if !intent.asked {
                return;
            }
            return self.fail_command(Answer::Refused {
                why: format!("the rollback could not be written: {why}"),
                findings: Vec::new(),
            });
        }
        self.hint_mends();
        let names: Vec<_> = jails.iter().cloned().collect();
        self.note_rolled_back(&names, intent);
        self.read_own_change();
    }

    /// The digest of the jail's commands as last read, for what is held against it.
    pub(super) fn digest_on_disk(&self, jail: &str) -> Option<u128> {
        let plan = self.disk.reading.as_ref()?.plan.as_ref()?;
        Some(plan.jails.get(jail)?.digest)
    }
}
