//! What is about to be done to the config is on disk before it is begun: a jailwarden that is
//! killed meanwhile finds out what came of it, tells it, and takes it back if it does not help.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{ActionId, ConfigRead, Outcome, PutBack, Reading};
use super::ladder::{Rung, What, is_none_left, shared_lines};
use super::{Effect, Machine, State};

/// Why there is no telling whether it came to pass.
pub(super) const LOST: &str = "the answer was lost on its way";

/// Something that is about to be done to the config, or was begun and has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What is taken away.
    pub what: What,
    /// It is a guess: if it does not help, it is taken back.
    pub guess: bool,
    /// Why, in the words that lie with what is written.
    pub reason: String,
    /// A person wants it.
    #[serde(default)]
    pub asked: bool,
    /// Fingerprint of the config before it.
    pub before: Option<u128>,
    /// Digests of the commands that are held against the jails, where they are known.
    pub failed: BTreeMap<String, u128>,
}

impl Intent {
    /// How to find out whether it came to pass, where a reading of the config does not tell; of jails also where there
    /// is none.
    pub(super) fn search(&self) -> Option<Effect> {
        let reason = self.reason.clone();
        match self.what {
            What::PutBack(_) => Some(Effect::FindPutBack { reason }),
            What::Aside => Some(Effect::FindAside),
            What::Disable(_) => Some(Effect::FindRollbacks),
            What::InMemory => None,
        }
    }
}

impl Machine {
    pub(super) fn intent(&self, rung: &Rung, reason: String) -> Intent {
        let failed = match &rung.what {
            What::Disable(jails) => jails
                .iter()
                .filter_map(|jail| Some((jail.clone(), self.digest_at_fault(jail)?)))
                .collect(),
            What::PutBack(_) | What::InMemory | What::Aside => BTreeMap::new(),
        };
        let asked = match &rung.what {
            What::Disable(jails) => {
                jails.len() == 1 && self.asked_to_roll_back() == jails.first().map(String::as_str)
            }
            What::PutBack(_) | What::InMemory | What::Aside => false,
        };
        Intent {
            asked,
            what: rung.what.clone(),
            guess: rung.guess,
            reason,
            before: self.disk.reading.as_ref().map(|r| r.fingerprint),
            failed,
        }
    }

    /// Digest of the commands that are held against a jail.
    fn digest_at_fault(&self, jail: &str) -> Option<u128> {
        match &self.state {
            // The process hung with what it ran; what is on disk may be newer.
            State::Restarting(restart) if restart.burning.as_deref() == Some(jail) => {
                self.accepted.jails.get(jail).map(|plan| plan.digest)
            }
            _ => self.digest_on_disk(jail),
        }
    }

    /// Begins to write the intent down; what is intended has to wait for the end of that.
    pub(super) fn save_intent(&mut self, intent: &Intent) -> ActionId {
        self.account();
        let memory = self.memory_with(intent);
        self.save_as(memory)
    }

    /// Begins what is intended.
    pub(super) fn carry_out(&mut self, intent: &Intent) -> ActionId {
        let reason = intent.reason.clone();
        self.run(match &intent.what {
            What::Disable(jails) => Effect::WriteRollback {
                jails: jails.clone(),
                reason,
            },
            What::PutBack(files) => Effect::PutBack {
                files: files.clone(),
                reason,
            },
            What::InMemory => Effect::KeepInMemory { reason },
            What::Aside => Effect::SetAside,
        })
    }

    /// Jails were disabled as intended: what is known of them from now on.
    pub(super) fn note_rolled_back(&mut self, jails: &[String], intent: &Intent) {
        self.may_stand(jails, intent);
        if let Some(incident) = &mut self.incident {
            if incident.rolled_back.is_empty() {
                incident.before_rollbacks = intent.before;
            }
            incident.rolled_back.extend(jails.iter().cloned());
        }
        for jail in jails {
            self.note_disabled(jail, intent);
        }
        self.rollbacks.extend(jails.iter().cloned());
        self.say_rolled_back(jails, intent);
    }

    /// Whether jails were disabled as intended is not known: a guess is taken back all the same.
    pub(super) fn may_stand(&mut self, jails: &[String], intent: &Intent) {
        if intent.guess {
            self.guesses.before = self.guesses.before.or(intent.before);
            self.guesses.jails.extend(jails.iter().cloned());
        }
    }

    /// Files were put back as intended.
    pub(super) fn note_put_back(&mut self, done: &PutBack, intent: &Intent) {
        self.say_put_back(done, &intent.reason);
        self.put_back.clone_from(&done.replaced);
        if intent.guess {
            self.guess_replaced(done.replaced.as_ref(), intent.before);
        } else {
            // This stays, whatever is taken back.
            self.guesses.before = None;
            if let Some(incident) = &mut self.incident {
                incident.before_rollbacks = None;
            }
        }
    }

    /// What was replaced is brought back if the daemon does not come back.
    pub(super) fn guess_replaced(&mut self, replaced: Option<&String>, before: Option<u128>) {
        let Some(name) = replaced.filter(|name| !self.guesses.replaced.contains(name)) else {
            return;
        };
        self.guesses.before = self.guesses.before.or(before);
        self.guesses.replaced.push(name.clone());
    }

    /// jailwarden was killed between an intent and its outcome: the disk says what came of it. What did not come to
    /// pass, as far as is known, is decided afresh. Whether there is such.
    pub(super) fn settle_intent(&mut self, config: &ConfigRead, found: Option<Outcome>) -> bool {
        let Some(intent) = self.saved.intent.clone() else {
            return false;
        };
        let reading = match config {
            ConfigRead::Read(reading) => Some(reading.as_ref()),
            ConfigRead::Unchanged | ConfigRead::Failed(_) => None,
        };
        match &intent.what {
            What::Disable(jails) => {
                let found = match (reading, found) {
                    (Some(reading), _) => Ok(reading.rollbacks.clone()),
                    (None, Some(Outcome::Rollbacks(found))) => found,
                    (None, _) => Err(LOST.to_owned()),
                };
                let found = match found {
                    Ok(found) => found,
                    Err(why) => {
                        self.say_not_found_out(&intent.what, &why);
                        self.may_stand(jails, &intent);
                        return true;
                    }
                };
                let stands = |jail: &&String| found.contains(*jail);
                let standing: Vec<_> = jails.iter().filter(stands).cloned().collect();
                if !standing.is_empty() {
                    self.note_rolled_back(&standing, &intent);
                }
                standing.len() < jails.len()
            }
            What::InMemory => match reading {
                Some(reading) if reading.in_memory => {
                    self.note_in_memory(&intent);
                    false
                }
                Some(_) => true,
                None => {
                    self.guess_in_memory(&intent);
                    true
                }
            },
            What::Aside => match found {
                Some(Outcome::Aside(Ok(Some(path)))) => {
                    self.say_set_aside(path, &intent.reason);
                    false
                }
                _ => true,
            },
            What::PutBack(_) => match found {
                Some(Outcome::PutBack(Ok(done)))
                    if done.replaced.is_some() && done.replaced != self.put_back =>
                {
                    self.note_put_back(&done, &intent);
                    if reading.is_none_or(is_still_broken) {
                        self.guess_replaced(done.replaced.as_ref(), intent.before);
                    }
                    false
                }
                _ => true,
            },
        }
    }
}

/// What was replaced is not to blame for what is found all the same.
pub(super) fn is_still_broken(reading: &Reading) -> bool {
    let mut found = reading.findings.iter();
    let plan = reading.plan.as_ref();
    found.any(|finding| finding.fatal && finding.jail.is_none())
        || !shared_lines(&reading.findings).is_empty()
        || plan.is_some_and(|plan| is_none_left(plan, &reading.findings))
}
