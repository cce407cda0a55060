//! What must hold at every step.

use super::super::*;
use super::*;

impl World {
    /// What must hold at the moment at which an effect is asked for.
    pub(super) fn check(&mut self, effect: &Effect) {
        let outstanding = |wanted: fn(&Effect) -> bool| {
            let hit = |(_, t): &&(MonoTime, Then)| matches!(t, Then::Answer(_, e, _) if wanted(e));
            self.later.iter().filter(hit).count()
        };
        let only_watches = matches!(
            effect,
            Effect::Look { .. }
                | Effect::ReadConfig { .. }
                | Effect::Save(_)
                | Effect::Keep { .. }
                | Effect::FindCulprit
                | Effect::FindPutBack { .. }
                | Effect::FindAside
                | Effect::FindRollbacks
                | Effect::EndPause
        );
        assert!(
            only_watches || !matches!(self.machine.state, State::Paused { .. }),
            "{} though it is paused",
            word(effect)
        );
        match effect {
            Effect::Apply { jails, .. } => self.check_jails(jails),
            Effect::Start { .. } => {
                assert_eq!(
                    outstanding(|e| matches!(e, Effect::Start { .. })),
                    0,
                    "two starts at once"
                );
                assert!(!self.stopped_by_admin, "started though an admin stopped it");
                let live = self.process.as_ref().map(|p| p.pid);
                assert!(
                    live.is_none_or(|pid| !self.shown.contains(&pid)),
                    "started over a process that was seen to live: {:?}",
                    self.machine.state
                );
                assert_eq!(
                    outstanding(|e| matches!(e, Effect::WriteRollback { .. })),
                    0,
                    "started before the rollback was on disk"
                );
                self.check_budget();
            }
            Effect::AskStop
            | Effect::Signal {
                signal: Signal::Terminate | Signal::Kill,
                ..
            } => {
                assert!(
                    !self.all_protect()
                        || self.was_hung()
                        || self.is_due_for_its_database()
                        || self.process.as_ref().is_some_and(|p| p.stopping),
                    "stopped though every jail protects: {:?}",
                    self.machine.state
                );
                assert!(
                    !self.barred || !self.protects_at_all() || self.was_hung(),
                    "stopped though none may be started: {:?}",
                    self.machine.state
                );
                let leaves = |p: &Process| p.hang == Some(Hang::Leaving);
                assert!(
                    !self.process.as_ref().is_some_and(leaves) || self.unit.restarts,
                    "ended though nobody needs it to be quick"
                );
            }
            Effect::PutBack { files, .. } => {
                self.assert_intended(&What::PutBack(files.clone()));
                assert!(
                    !self.all_protect() || self.was_hung(),
                    "files put back though every jail protects"
                );
            }
            Effect::KeepInMemory { .. } | Effect::SetAside | Effect::TakeBack { .. } => {
                self.check_database(effect);
            }
            Effect::WriteRollback { jails, .. } => self.check_rollback(jails),
            _ => {}
        }
    }

    /// Whether the config of a jail that was stopped by hand is again what it was then, whoever changed it in
    /// between.
    pub(in super::super) fn is_back(&self, jail: &str) -> bool {
        let held_as = self.machine.held_as.get(jail);
        self.released.contains(jail) && held_as == self.files.get(jail)
    }

    fn check_rollback(&self, jails: &[String]) {
        self.assert_intended(&What::Disable(jails.to_vec()));
        let on_probation = |jail| {
            let mend = self.machine.mends.get(jail);
            mend.is_some_and(|mend| mend.on_probation)
        };
        assert!(
            !self.all_protect() || self.was_hung() || jails.iter().all(on_probation),
            "rolled {jails:?} back though every jail protects"
        );
        for jail in jails {
            let faulty = self
                .files
                .get(jail)
                .is_some_and(|d| self.faults[d] != Fault::None);
            let changed = self.changed_ever.contains(jail);
            assert!(changed || faulty, "rolled {jail} back, which never changed");
            let known = self.machine.rollbacks.contains(jail);
            let stands = self.rollbacks.contains(jail) && !self.unheard;
            assert!(!known && !stands, "rolled {jail} back twice");
        }
    }

    /// What an admin stopped stays so, and nothing else is stopped that should run.
    fn check_jails(&self, changes: &Changes) {
        for (jail, change) in changes {
            let held = self.held.contains(jail);
            match change {
                Change::Load(_) | Change::Restart(_) => {
                    assert!(!held, "loads {jail}, which an admin stopped");
                }
                Change::Unload => {
                    let digest = self.enabled().get(jail).copied();
                    let sound = digest.is_some_and(|it| self.faults[&it] == Fault::None);
                    // That somebody changed it, and so wants it to run again, cannot be told.
                    let unknown = self.check_fails;
                    let held = held || self.is_back(jail) || self.unseen.contains(jail);
                    assert!(held || !sound || unknown, "stops {jail}, which should run");
                }
            }
        }
    }

    fn check_database(&self, effect: &Effect) {
        match effect {
            Effect::KeepInMemory { .. } => {
                self.assert_intended(&What::InMemory);
                assert!(
                    !self.all_protect() || self.was_hung(),
                    "put into memory though every jail protects"
                );
            }
            Effect::SetAside => {
                self.assert_intended(&What::Aside);
                assert!(
                    !self.all_protect() || self.was_hung(),
                    "the database moved aside though every jail protects"
                );
            }
            Effect::TakeBack {
                in_memory: true, ..
            } => {
                let runs = |it: &Process| it.in_memory && self.shown.contains(&it.pid);
                assert!(
                    !self.process.as_ref().is_some_and(runs) || !self.all_protect(),
                    "a reload by hand would lose every jail"
                );
            }
            _ => {}
        }
    }

    /// A restart begins only within the budget; another try only after its wait, unless somebody
    /// touched the config.
    fn check_budget(&mut self) {
        let since = self.now - Policy::BUDGET_WINDOW;
        let recent = self.starts.iter().filter(|at| **at > since).count();
        if let State::Restarting(restart) = &self.machine.state
            && restart.rungs.is_none()
        {
            let too_soon = |at| self.now.since(at) < Policy::BACKOFF_START;
            assert!(!self.gave_up_at.is_some_and(too_soon), "tried too soon");
            assert!(
                restart.cause == Cause::Retry || recent < Policy::RESTART_BUDGET,
                "the budget is spent: {recent}"
            );
        }
        assert!(recent < 40, "{recent} starts in ten minutes");
        self.starts.push(self.now);
    }

    /// Whatever the machine waits for is under way, or has a deadline.
    pub(in super::super) fn check_waits(&self) {
        let under_way = |awaits: &dyn Fn(ActionId) -> bool| {
            let answers = |then: &Then| matches!(then, Then::Answer(id, ..) if awaits(*id));
            self.later.iter().any(|(_, then)| answers(then))
        };
        let machine = &self.machine;
        let comes = match &machine.state {
            State::Starting {
                find, read, config, ..
            } => match find {
                Some(find) => under_way(&|id| id == *find),
                None => config.is_some() || under_way(&|id| id == *read),
            },
            State::Checking { read, .. } => under_way(&|id| id == *read),
            State::Mending(mending) => under_way(&|id| mending.awaits(id)),
            State::Reloading(reload) => reload.is_proving() || under_way(&|id| reload.awaits(id)),
            State::Restarting(restart) => {
                let ends = restart.looks() || restart.deadline().is_some();
                ends || under_way(&|id| restart.awaits(id))
            }
            State::GaveUp { read, undo, .. } => {
                let reads = read.iter().all(|(read, _)| under_way(&|id| id == *read));
                reads && undo.iter().all(|undo| under_way(&|id| undo.awaits(id)))
            }
            State::Watching
            | State::Suspect(_)
            | State::Standby { .. }
            | State::Paused { .. }
            | State::Ended => true,
        };
        assert!(comes, "waits for ever in {:?}", machine.state);
        if let Some(look) = machine.look {
            assert!(under_way(&|id| id == look), "waits for a look for ever");
        }
    }

    /// What is done to the config is on disk before it is begun.
    fn assert_intended(&self, what: &What) {
        if self.save_lost {
            return;
        }
        let intended = self.memory.intent.as_ref().map(|intent| &intent.what);
        assert_eq!(intended, Some(what));
    }

    /// Every jail that the machine expects protects, and it can be asked; and there are some. One that
    /// comes up in the very moment in which it was given up is not meant.
    pub(super) fn all_protect(&self) -> bool {
        let Some(process) = &self.process else {
            return false;
        };
        let expected = self.machine.expected();
        process.hang.is_none()
            && process.socket
            && !self.cramped
            && process.up_at + ms(500) <= self.now
            && !expected.is_empty()
            && expected
                .iter()
                .all(|j| process.jails.get(j).is_some_and(|j| j.alive))
    }

    /// Whether any jail protects that a stop would take away.
    fn protects_at_all(&self) -> bool {
        let is_left = |it: &Process| !it.stopping;
        self.process.as_ref().is_some_and(is_left) && !self.cramped && !self.protecting().is_empty()
    }

    pub(in super::super) fn protecting(&self) -> BTreeSet<String> {
        match &self.process {
            Some(p) if p.hang.is_none() && p.up_at <= self.now => {
                let alive = p.jails.iter().filter(|(_, j)| j.alive);
                alive.map(|(n, _)| n.clone()).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// It runs with a database in memory, and that has come to an end; or with one that is damaged, and has to take
    /// a change.
    fn is_due_for_its_database(&self) -> bool {
        let runs = self.process.as_ref().is_some_and(|p| p.in_memory);
        let cause = |restart: &Restart| restart.cause == Cause::Database;
        let damaged = |restart: &Restart| matches!(restart.cause, Cause::Damaged(_));
        match &self.machine.state {
            State::Restarting(restart) => runs && cause(restart) || damaged(restart),
            _ => false,
        }
    }

    /// Whether nothing is under way but looks.
    pub(in super::super) fn is_idle(&self) -> bool {
        let busy = |(_, t): &(MonoTime, Then)| !matches!(t, Then::Answer(_, e, _) if matches!(**e, Effect::Look { .. }));
        !self.later.iter().any(busy)
    }
}
