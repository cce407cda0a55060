//! Jails that are listed and alive, and see or do nothing: healed alone, by what cures it, with limits.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{Ailment, Cure, Health};
use super::mend::why_not;
use super::plan::{Change, Changes};
use super::reload::Reload;
use super::restart::Cause;
use super::successor::Successor;
use super::time::MonoTime;
use super::{ActionId, Effect, Machine, Outcome, Policy, State};

/// A jail that was found to see or do nothing, now or lately.
#[derive(Debug, Clone)]
pub(super) struct Ailing {
    pub(super) ailment: Ailment,
    /// At how many looks in a row; none once it is well.
    looks: u32,
    told: bool,
    /// How often it was healed within `CURE_WINDOW`, and when that is over.
    cures: u32,
    until: MonoTime,
    /// When a command of it was last ended.
    freed: Option<MonoTime>,
    /// The effect that ends it.
    freeing: Option<ActionId>,
}

/// What outlives jailwarden of it, as long as nothing else than jailwarden begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cures {
    /// How often the jail was healed lately.
    pub times: u32,
    /// A command of it was ended lately.
    pub freed: bool,
    /// For how long these count, when this was written.
    pub left: Duration,
}

impl Ailing {
    /// Goes on with what a jailwarden knew that ended `age` ago; none of it, if that was too long ago.
    pub(super) fn carried(before: Cures, age: Duration, now: MonoTime) -> Option<Self> {
        let left = before.left.checked_sub(age).filter(|it| !it.is_zero())?;
        Some(Self {
            ailment: Ailment {
                words: String::new(),
                cure: None,
                behind: None,
            },
            looks: 0,
            told: false,
            cures: before.times.min(Policy::CURES),
            until: now + left.min(Policy::CURE_WINDOW),
            freed: before.freed.then_some(now),
            freeing: None,
        })
    }

    pub(super) fn is_ill(&self) -> bool {
        self.looks > 0
    }

    pub(super) fn needs_another_daemon(&self) -> bool {
        self.ailment.cure == Some(Cure::Daemon)
    }

    fn blocks(&self) -> bool {
        self.ailment.cure == Some(Cure::Free)
    }

    /// Something is still done about it.
    fn is_treated(&self) -> bool {
        self.is_ill() && self.ailment.cure.is_some() && self.cures <= Policy::CURES
    }

    /// Whether the next command of it may still prove to block.
    fn is_watched(&self, now: MonoTime) -> bool {
        self.freed
            .is_some_and(|at| now.since(at) < Policy::FREED_FOR)
    }
}

impl Machine {
    /// Takes in what a look says beside who is alive.
    pub(super) fn note_health(&mut self, health: &Health) {
        for complaint in &health.complaints {
            self.say_complaint(complaint);
        }
        let Some(found) = &health.ailing else { return };
        let now = self.now;
        for (jail, ailing) in &mut self.ailing {
            if !found.contains_key(jail) {
                ailing.looks = 0;
                ailing.told &= ailing.is_watched(now);
            }
        }
        self.ailing.retain(|_, it| it.is_ill() || it.until > now);
        for (jail, ailment) in found {
            let ailing = self.ailing.entry(jail.clone()).or_insert_with(|| Ailing {
                ailment: ailment.clone(),
                looks: 0,
                told: false,
                cures: 0,
                until: now,
                freed: None,
                freeing: None,
            });
            if ailing.until <= now {
                let until = now + Policy::CURE_WINDOW;
                (ailing.until, ailing.cures, ailing.freed) = (until, 0, None);
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
        let is_open = |it: &Ailing| it.is_treated() || it.is_watched(self.now);
        self.ailing.values().any(|it| it.told && is_open(it))
    }

    /// Heals what has ailed for long enough: the least that cures it, then its restart, then nothing
    /// more for an hour.
    ///
    /// The daemon is restarted only where that is known to cure it ([`Cure::Daemon`]), and it may be. A restart of
    /// the jail makes its filter and actions anew (`reloadJails` of `server/server.py`, 1.0.2), so that what it did
    /// not cure lies in the log, the config or the firewall, and another process would find the same; and each
    /// restart lifts all bans and leaves every jail without protection, for over a minute where there are many.
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
            .filter(|(jail, it)| expected.contains(*jail) && it.ailment.behind.is_none())
            .filter(|(_, it)| it.looks >= Policy::AILING_LOOKS)
            .map(|(jail, it)| (jail.clone(), it.clone()))
            .collect();
        if let Some((jail, it)) = lasting
            .iter()
            .find(|(jail, it)| self.blocks_again(jail, it))
        {
            return self.disable_blocking(jail, &it.ailment);
        }
        let may_be_cured = self.relieved_until <= self.now;
        if may_be_cured
            && self.is_replaceable()
            && self.is_safe_to_start()
            && !self.budget_is_spent()
            && let Some((jail, it)) = lasting.iter().find(|(_, it)| it.needs_another_daemon())
        {
            self.relieved_until = self.now + Policy::CURE_WINDOW;
            let (jail, why) = (jail.clone(), it.ailment.words.clone());
            return self.restart(Cause::Blind { jail, why }, self.daemon.pid);
        }
        let mut changes = Changes::new();
        for (jail, it) in lasting {
            let known = self.accepted.jails.get(&jail).map_or(0, |plan| plan.digest);
            let cure = it
                .ailment
                .cure
                .filter(|_| known != 0 && it.cures < Policy::CURES)
                .filter(|cure| *cure != Cure::Daemon);
            let waits = it.needs_another_daemon() && may_be_cured;
            if waits && self.daemon.successor == Successor::Unknown {
                // The next look asks for it.
                continue;
            }
            let is_past = if it.needs_another_daemon() {
                !waits
            } else {
                it.ailment.cure.is_some() && it.cures >= Policy::CURES
            };
            let given_up = is_past && (!it.told || it.cures == Policy::CURES);
            if cure.is_some() || given_up || waits {
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
                ailing.cures += if waits {
                    0
                } else if it.needs_another_daemon() {
                    Policy::CURES + 1
                } else {
                    u32::from(it.ailment.cure.is_some())
                };
                ailing.looks = 1;
            }
            match cure {
                Some(Cure::Free) => self.free(&jail),
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
        let id = self.send(None, changes);
        self.reload(Reload::reviving(id, again));
    }

    /// Ends the command that keeps all jails from acting.
    fn free(&mut self, jail: &str) {
        let Some(pid) = self.daemon.pid else { return };
        let ending = self.end_commands(pid, jail, false);
        if let Some(ailing) = self.ailing.get_mut(jail) {
            // Only another look says whether the next command blocks.
            (ailing.freed, ailing.looks) = (Some(self.now), 0);
            ailing.freeing = Some(ending);
        }
    }

    fn end_commands(&mut self, pid: u32, jail: &str, all: bool) -> ActionId {
        let jail = jail.to_owned();
        self.run(Effect::EndCommands { pid, jail, all })
    }

    /// The jail of which this effect ends a command.
    pub(super) fn freed_by(&self, id: ActionId) -> Option<String> {
        let mut ailing = self.ailing.iter();
        let found = ailing.find(|(_, it)| it.freeing == Some(id));
        found.map(|(jail, _)| jail.clone())
    }

    /// A command that could not be ended is not one that came again: its jail is not disabled for that.
    pub(super) fn freed(&mut self, jail: &str, outcome: Outcome) {
        let ended = matches!(outcome, Outcome::Effect(Ok(())));
        if let Some(ailing) = self.ailing.get_mut(jail) {
            ailing.freeing = None;
            ailing.freed = ailing.freed.filter(|_| ended);
        }
        if !ended {
            self.say_not_freed(jail, &why_not(outcome));
        }
    }

    /// Whether it keeps all jails from acting, though a command of it was ended less than an hour ago, or it was
    /// disabled for that before.
    fn blocks_again(&self, jail: &str, it: &Ailing) -> bool {
        let mend = self.mends.get(jail);
        let has_blocked = mend.is_some_and(|mend| mend.on_probation && mend.blocked);
        it.blocks() && (it.freed.is_some() || has_blocked)
    }

    /// Whether a command of it kept all jails from acting, just now or within the hour.
    pub(super) fn has_blocked(&self, jail: &str) -> bool {
        self.ailing.get(jail).is_some_and(Ailing::blocks)
    }

    /// It goes, so that the others act. It cannot before its commands have ended.
    fn disable_blocking(&mut self, jail: &str, ailment: &Ailment) {
        self.open_incident();
        self.say_blocks_again(jail, ailment);
        let ending = self.daemon.pid;
        let ending = ending.map(|pid| self.end_commands(pid, jail, true));
        if let Some(ailing) = self.ailing.get_mut(jail) {
            ailing.cures += 1;
            (ailing.looks, ailing.told, ailing.freed) = (0, true, None);
            ailing.freeing = ending;
        }
        let jails = [jail.to_owned()];
        self.disable_for(jails.clone().into(), &jails, ailment.words.clone());
    }

    /// It was not healed, so that it is not counted.
    pub(super) fn was_not_healed(&mut self, jail: &str) {
        if let Some(ailing) = self.ailing.get_mut(jail) {
            ailing.cures = ailing.cures.saturating_sub(1);
        }
    }

    /// What a jailwarden has to know that comes after this one.
    pub(super) fn cures(&self) -> BTreeMap<String, Cures> {
        let treated = |it: &Ailing| it.cures > 0 || it.freed.is_some();
        let counts = self.ailing.iter().filter(|(_, it)| treated(it));
        let cures = |(jail, it): (&String, &Ailing)| {
            let cures = Cures {
                times: it.cures,
                freed: it.freed.is_some(),
                left: it.until.since(self.now),
            };
            (jail.clone(), cures)
        };
        counts.map(cures).collect()
    }

    /// Another process has other jails, unless it is only new to a jailwarden that comes after another.
    pub(super) fn forget_ailing(&mut self) {
        let is_known =
            matches!(self.state, State::Starting { .. }) && self.daemon.pid == self.saved.process;
        if !is_known {
            self.ailing = BTreeMap::new();
        }
    }
}
