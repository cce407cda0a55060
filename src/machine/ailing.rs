//! Jails that are listed and alive, and see or do nothing: healed alone, by what cures it, with limits.

use std::collections::BTreeMap;

use super::event::{Ailment, Cure, Health};
use super::plan::{Change, Changes};
use super::reload::Reload;
use super::time::MonoTime;
use super::{Effect, Machine, Policy, State};

/// A jail that was found to see or do nothing, now or lately.
#[derive(Debug, Clone)]
pub(super) struct Ailing {
    pub(super) ailment: Ailment,
    /// At how many looks in a row; none once it is well.
    looks: u32,
    told: bool,
    /// How often it was healed since `since`.
    cures: u32,
    since: MonoTime,
}

impl Ailing {
    pub(super) fn is_ill(&self) -> bool {
        self.looks > 0
    }

    /// Something is still done about it.
    fn is_treated(&self) -> bool {
        self.looks > 0 && self.ailment.cure.is_some() && self.cures <= Policy::CURES
    }
}

impl Machine {
    /// Takes in what a look says beside who is alive.
    pub(super) fn note_health(&mut self, health: &Health) {
        if matches!(self.state, State::Watching | State::Paused { .. }) {
            for complaint in &health.complaints {
                self.say_complaint(complaint);
            }
        }
        let Some(found) = &health.ailing else { return };
        for (jail, ailing) in &mut self.ailing {
            if !found.contains_key(jail) {
                ailing.looks = 0;
                ailing.told = false;
            }
        }
        let now = self.now;
        self.ailing
            .retain(|_, it| it.looks > 0 || now.since(it.since) < Policy::CURE_WINDOW);
        for (jail, ailment) in found {
            let ailing = self.ailing.entry(jail.clone()).or_insert_with(|| Ailing {
                ailment: ailment.clone(),
                looks: 0,
                told: false,
                cures: 0,
                since: now,
            });
            if now.since(ailing.since) >= Policy::CURE_WINDOW {
                (ailing.since, ailing.cures) = (now, 0);
            }
            ailing.looks += 1;
            ailing.ailment = ailment.clone();
        }
    }

    /// Whether a jail was found to see or do nothing at the last look at that.
    pub(super) fn ails(&self, jail: &str) -> bool {
        self.ailing.get(jail).is_some_and(Ailing::is_ill)
    }

    /// Whether an incident must stay open for the sake of a jail that is being healed.
    pub(super) fn is_healing(&self) -> bool {
        self.ailing.values().any(|it| it.told && it.is_treated())
    }

    /// Heals what has ailed for long enough: the least that cures it, then its restart, then nothing
    /// more for an hour.
    pub(super) fn heal_if_due(&mut self) {
        let ready = matches!(self.state, State::Watching)
            && self.daemon.ping.is_some()
            && self.disk.is_known();
        if !ready {
            return;
        }
        let expected = self.expected();
        let lasting: Vec<_> = self
            .ailing
            .iter()
            .filter(|(jail, it)| it.looks >= Policy::AILING_LOOKS && expected.contains(*jail))
            .map(|(jail, it)| (jail.clone(), it.clone()))
            .collect();
        let mut changes = Changes::new();
        for (jail, it) in lasting {
            let known = self.accepted.jails.get(&jail).map_or(0, |plan| plan.digest);
            let cure = it
                .ailment
                .cure
                .filter(|_| known != 0 && it.cures < Policy::CURES);
            let is_past = it.ailment.cure.is_some() && it.cures >= Policy::CURES;
            let given_up = is_past && (!it.told || it.cures == Policy::CURES);
            if cure.is_some() || given_up {
                self.open_incident();
            }
            if !it.told || cure.is_some() || given_up {
                self.say_ailing(&jail, &it.ailment, cure);
            }
            if given_up {
                self.lost.insert(jail.clone());
            }
            if let Some(ailing) = self.ailing.get_mut(&jail) {
                ailing.told = true;
                // One that was not healed is past treatment until it is well, or the hour is over.
                ailing.cures += 1;
                ailing.looks = 1;
            }
            match cure {
                Some(Cure::Load) if it.cures == 0 => {
                    changes.insert(jail, Change::Load(known));
                }
                Some(_) => {
                    changes.insert(jail, Change::Restart(known));
                }
                None => {}
            }
        }
        if changes.is_empty() {
            return;
        }
        let again = changes.keys().cloned().collect();
        let id = self.run(Effect::Apply {
            server: None,
            jails: changes,
        });
        self.reload(Reload::reviving(id, again));
    }

    /// It was not healed, so that it is not counted.
    pub(super) fn was_not_healed(&mut self, jail: &str) {
        if let Some(ailing) = self.ailing.get_mut(jail) {
            ailing.cures = ailing.cures.saturating_sub(1);
        }
    }

    /// Another process has other jails.
    pub(super) fn forget_ailing(&mut self) {
        self.ailing = BTreeMap::new();
    }
}
