//! The daemon's process, systemd, and what befalls them.

use super::super::*;
use super::*;

impl World {
    /// A process starts from what is on disk now.
    pub(super) fn spawn(&mut self) -> bool {
        let enabled = self.enabled();
        let any = |fault: Fault| enabled.values().any(|d| self.faults[d] == fault);
        let database = (self.locked || self.damaged) && !self.in_memory;
        let broken = self.surroundings || database || self.doomed || any(Fault::ColdOnly);
        let ends = self.unreadable || any(Fault::Fatal) || any(Fault::Hidden);
        if ends || broken && !self.lingers {
            self.unit = unit_failed(255);
            self.note(|| "# the start fails".into());
            return false;
        }
        let alive = !broken && !any(Fault::Phantom);
        let burns = enabled.values().any(|digest| self.burning == Some(*digest));
        self.next_pid += 1;
        self.gave_up_at = None;
        self.stopped_jails.clear();
        self.process = Some(Process {
            pid: self.next_pid,
            up_at: self.now + self.start_takes,
            jails: enabled
                .iter()
                .filter(|(_, d)| self.faults[*d] != Fault::Skipped)
                .map(|(n, d)| {
                    let alive = alive && self.frail != Some(n.as_str());
                    (n.clone(), Jail { digest: *d, alive })
                })
                .collect(),
            hang: burns.then_some(Hang::Busy),
            socket: true,
            stopping: false,
            in_memory: self.in_memory,
        });
        self.unit = unit(ActiveState::Active, "success", ExitKind::None, 0);
        let pid = self.next_pid;
        self.note(|| format!("# process {pid} starts"));
        true
    }

    /// systemd starts it: since it has died, or since an admin has it restarted.
    pub(super) fn restarts_by_itself(&mut self) {
        if !std::mem::take(&mut self.revives) {
            self.held.clear();
            self.spawn();
        } else if self.spawn() {
            self.revived = Some(self.next_pid);
        }
    }

    pub(super) fn die(&mut self, how: &str) {
        let Some(process) = self.process.take() else {
            return;
        };
        self.revives = how == "killed";
        self.unit = match how {
            "asked" => unit_failed(0),
            "systemctl" => unit_stopped(),
            "timeout" => unit(ActiveState::Failed, "timeout", ExitKind::Killed, 9),
            // systemd restarts nothing that it is stopping (`service_stop` of `core/service.c`, 252).
            "killed" if process.stopping && self.stopped_by_admin => unit_killed(),
            // What is masked has no `Restart=` (252).
            _ if self.masked => unit_killed(),
            _ => {
                self.after(ms(200), Then::Spawn);
                unit_restarting()
            }
        };
        if !self.has_unit {
            self.later.retain(|(_, t)| !matches!(t, Then::Spawn));
        }
        self.note(|| format!("# process {} ends ({how})", process.pid));
        self.traces(how);
        self.tell(Event::Observed(Observed::DaemonExited { pid: process.pid }));
    }

    /// Without a unit, the unit's result stands for the socket file that was left behind.
    pub(super) fn traces(&mut self, how: &str) {
        if !self.has_unit {
            self.unit = if how == "killed" {
                unit_killed()
            } else {
                unit_stopped()
            };
        }
    }

    /// If an admin was stopping it and no look saw that, it is a crash as any other.
    pub(in super::super) fn crash(&mut self) {
        let stopping = self.process.as_ref().is_some_and(|it| it.stopping);
        self.stopped_by_admin &= self.machine.being_stopped || !stopping;
        self.die("killed");
    }

    pub(in super::super) fn hang(&mut self, hang: Hang) {
        if let Some(process) = &mut self.process {
            process.hang = Some(hang);
        }
    }

    /// An admin has systemd stop or restart it, and it hangs before its end.
    pub(in super::super) fn hangs_in_stop(&mut self, restarts: bool) {
        let Some(process) = &mut self.process else {
            return;
        };
        process.hang = Some(Hang::Leaving);
        process.stopping = true;
        let pid = process.pid;
        self.stopped_by_admin |= !restarts;
        let mut unit = with_job(unit(
            ActiveState::Deactivating,
            "success",
            ExitKind::None,
            0,
        ));
        unit.restarts = restarts;
        self.unit = unit;
        let end = if restarts { "ended" } else { "timeout" };
        self.after(secs(90), Then::Die(pid, end));
    }

    pub(in super::super) fn unhang(&mut self) {
        if let Some(process) = &mut self.process {
            process.hang = None;
        }
    }

    pub(in super::super) fn kill_jail(&mut self, jail: &str) {
        if let Some(jail) = self.process.as_mut().and_then(|p| p.jails.get_mut(jail)) {
            jail.alive = false;
        }
    }

    pub(in super::super) fn stop_jail(&mut self, jail: &str) {
        if let Some(process) = &mut self.process {
            process.jails.remove(jail);
            self.stopped_jails.insert(jail.to_owned());
        }
    }

    pub(in super::super) fn remove_socket(&mut self) {
        if let Some(process) = &mut self.process {
            process.socket = false;
        }
        self.tell(Event::Observed(Observed::SocketMoved));
    }

    /// A pause, with or without an end.
    pub(in super::super) fn pauses(&mut self, left: Option<Duration>) {
        self.paused = Some(left.map(|left| self.now + left));
        let why = "root: a test".to_owned();
        self.tell(Event::Operator(Operator::Pause { left, why }));
    }

    pub(in super::super) fn resumes(&mut self) {
        self.paused = None;
        self.gave_up_at = None;
        self.untried = true;
        self.tell(Event::Operator(Operator::Resume));
    }

    /// Only while jailwarden is not itself restarting it: whose stop it was is then past telling.
    pub(in super::super) fn admin_stops(&mut self, systemctl: bool) {
        if self.can_be_stopped() {
            // Without a unit, and to a jailwarden that never saw any, nothing tells a daemon that nobody saw from none.
            let pid = self.process.as_ref().map(|p| p.pid);
            let seen = self.machine.met || pid.is_some_and(|pid| self.shown.contains(&pid));
            self.stopped_by_admin = self.has_unit || seen || self.memory.standby;
            self.die(if systemctl { "systemctl" } else { "asked" });
        }
    }

    pub(in super::super) fn can_be_stopped(&self) -> bool {
        let ours = self.machine.stopping
            || matches!(
                self.machine.state,
                State::Starting { .. } | State::Restarting(_) | State::GaveUp { .. }
            );
        !ours && self.process.as_ref().is_some_and(|p| p.hang.is_none())
    }

    /// Not between jailwarden's last look and its own start: which of the two starts counted, and
    /// so which config was read, is then past telling. Nor before it has seen the end of a stop: a start that
    /// fails at once then looks as that end.
    pub(in super::super) fn admin_starts(&mut self) {
        let stands_by = matches!(self.machine.state, State::Standby { .. }) && self.memory.standby;
        if self.process.is_none() && self.machine.being_stopped && !stands_by {
            return;
        }
        self.stopped_by_admin = false;
        self.masked = false;
        let ours = matches!(self.machine.state, State::Restarting(_));
        if self.process.is_none() && !ours {
            self.held.clear();
            let came_up = self.spawn();
            if !came_up && matches!(self.machine.state, State::Starting { .. }) {
                self.unseen.extend(self.machine.held_as.keys().cloned());
            }
            self.tell(Event::Observed(Observed::SocketMoved));
        }
    }

    /// A line in the jail's log makes its filter run for ever.
    pub(in super::super) fn burn(&mut self, jail: &str) {
        if let Some(process) = &mut self.process
            && let Some(Jail { digest, .. }) = process.jails.get(jail)
        {
            self.burning = Some(*digest);
            process.hang = Some(Hang::Busy);
            self.changed_ever.insert(jail.to_owned());
        }
    }

    /// The process uses the processor: it is being started, or hangs while doing so.
    pub(super) fn is_at_work(&self) -> bool {
        let at_work = |p: &Process| p.up_at > self.now || p.hang == Some(Hang::Busy);
        self.process.as_ref().is_some_and(at_work)
    }

    pub(super) fn burning_jail(&self) -> Option<String> {
        let mut jails = self.process.as_ref()?.jails.iter();
        let (name, _) = jails.find(|(_, jail)| self.burning == Some(jail.digest))?;
        Some(name.clone())
    }

    /// The action at this place of what is under way is lost, and was done all the same or not.
    pub(in super::super) fn lose(&mut self, at: usize, done: bool) {
        if let (_, Then::Answer(id, effect, peer)) = self.later.remove(at) {
            self.unheard |= match *effect {
                Effect::WriteRollback { .. } => done,
                Effect::FindRollbacks => true,
                _ => false,
            };
            if done {
                self.execute(id, &effect, peer);
            } else if matches!(*effect, Effect::Save(_)) {
                self.save_lost = true;
            }
            self.tell(super::super::done(id, Outcome::Lost));
        }
    }

    /// jailwarden dies, and comes back with what it had kept.
    pub(in super::super) fn jailwarden_restarts(&mut self) {
        self.jailwarden_is_killed(&[]);
    }

    /// jailwarden is killed: of what was under way (by its place in that list), this was done,
    /// though nobody was told.
    pub(in super::super) fn jailwarden_is_killed(&mut self, done: &[usize]) {
        self.deaf = true;
        for (at, (_, then)) in self.later.clone().into_iter().enumerate() {
            if let (true, Then::Answer(id, effect, peer)) = (done.contains(&at), then) {
                self.execute(id, &effect, peer);
            }
        }
        self.deaf = false;
        self.doings += 1;
        // Without a unit nothing tells a stop that nobody saw from a host that has just booted.
        self.stopped_by_admin &= self.has_unit || self.memory.standby;
        for (at, (_, then)) in self.later.iter().enumerate() {
            if !done.contains(&at)
                && matches!(then, Then::Answer(_, effect, _) if matches!(**effect, Effect::Start { .. }))
            {
                // It never took place.
                self.starts.pop();
            }
        }
        self.later.retain(|(_, t)| !matches!(t, Then::Answer(..)));
        // What was just taken back may look like somebody's change.
        let known = [self.memory.config, self.memory.in_vain.config];
        let is_known = self.check_fails || known.contains(&Some(self.read().fingerprint));
        if self.memory.gave_up.left.is_none() || !is_known {
            self.gave_up_at = None;
        }
        // One clock for the world, a new one for each machine, would only obscure the tests.
        let mut memory = self.memory.clone();
        memory.age = self.now.since(self.kept_at);
        self.unheard |= self.save_lost;
        if self.save_lost {
            // Of what could not be written the next one knows nothing.
            let since = self.now - Policy::BUDGET_WINDOW;
            self.starts.retain(|at| *at > since);
            self.starts.truncate(memory.starts().count());
        }
        // It stands on disk, and nobody knows which it is.
        self.good = self.good.take().filter(|_| memory.good.is_some());
        // It was about to try.
        let is_due = |left| left <= memory.age + secs(1);
        self.untried |= memory.gave_up.left.is_some_and(is_due);
        // A start that came to nothing looks as the end of that stop.
        self.stopped_by_admin |= memory.being_stopped && self.process.is_none();
        if self.process.is_none() && self.unit == unit_killed() {
            // That it was stopped is known of such an end only if somebody has kept it.
            self.stopped_by_admin &= memory.being_stopped || memory.standby;
        }
        self.held.retain(|jail| memory.held.contains(jail));
        if !self.knows_who_started(&memory) {
            self.held.clear();
            (self.revives, self.revived) = (false, None);
        }
        let (machine, actions) = Machine::begin(self.now, Policy::default(), names(), memory, 1);
        self.machine = machine;
        self.saved = ActionId::NONE;
        self.take(actions);
        if let Some(until) = self.paused {
            self.pauses(until.map(|until| until.since(self.now)));
        }
        self.tell(Event::Timeout);
    }

    /// Whether systemd starts it by itself, or has.
    pub(in super::super) fn how_it_was_started(&self) -> (bool, bool) {
        let pid = self.process.as_ref().map(|p| p.pid);
        (self.revives, self.revived.is_some() && self.revived == pid)
    }

    /// Whether a jailwarden that has just been started can tell that nobody asked for the start of the daemon
    /// that runs, or will.
    fn knows_who_started(&self, memory: &Memory) -> bool {
        let spawns = |(_, then): &(MonoTime, Then)| matches!(then, Then::Spawn);
        match &self.process {
            Some(process) => {
                let ours = memory.start.is_some() || memory.stopping;
                ours || memory.process == Some(process.pid)
            }
            None => !self.later.iter().any(spawns),
        }
    }

    /// A daemon that was found hung may come round in the very next moment.
    pub(super) fn was_hung(&self) -> bool {
        matches!(&self.machine.state, State::Restarting(r) if matches!(r.cause, Cause::Hung { .. }))
    }
}
