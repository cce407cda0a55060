//! A daemon that systemd stops, and that hangs before its end.
//!
//! A filter that cannot write to the database when it is told to stop goes on for ever, and the stop waits for
//! it (`stop` and `onStop` of `server/filter.py`, `stop` of `server/jail.py`, 1.0.2 to 1.1.1); systemd waits for
//! that until `TimeoutStopSec=`, 90 s by default. By then every thread that bans and unbans has ended, so that
//! nothing is lost with the process.

use super::absence::Absence;
use super::assess::{Sign, Suspect};
use super::event::{ActiveState, Daemon, Sight};
use super::time::MonoTime;
use super::{Machine, Policy, Signal, State};

/// How it ended does not matter then.
pub(super) const WHILE_STOPPED: &str = ", while systemd stopped it";

/// How far that has got.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Leaving {
    /// Since when it does nothing, and has nothing left that acts.
    idle: Option<MonoTime>,
    /// That it hangs was told.
    pub(super) told: bool,
    /// When it was sent SIGTERM.
    ended: Option<MonoTime>,
}

impl Machine {
    /// Keeps whether systemd stops it for good: how it ends then is known only after it is gone.
    pub(super) fn note_leaving(&mut self, sight: &Sight) {
        let gone = matches!(sight.daemon, Daemon::Absent { process: None, .. });
        self.being_stopped = match &sight.unit {
            Some(unit) if unit.is_being_stopped() => !unit.restarts,
            Some(unit) if unit.active == ActiveState::Activating => false,
            _ => gone && self.being_stopped,
        };
    }

    /// Why it is left alone, if it failed while systemd stopped it.
    pub(super) fn ended_in_stop(&self, absence: &Absence) -> Option<String> {
        match absence {
            Absence::Failed(why) | Absence::Broken(why) | Absence::Unpacked(why)
                if self.being_stopped =>
            {
                Some(format!("{why}{WHILE_STOPPED}"))
            }
            _ => None,
        }
    }

    /// Whoever asked for a restart wants it to run: one that hangs is ended, so that systemd starts it. One that
    /// is only to be stopped loses nothing while systemd waits.
    pub(super) fn assess_leaving(&mut self, pid: Option<u32>, sight: &Sight) {
        let mut leaving = match &self.state {
            State::Suspect(Suspect {
                sign: Sign::Leaving(leaving),
                ..
            }) => *leaving,
            _ => Leaving::default(),
        };
        let began = self.look_began;
        leaving.idle = sight.idle.then(|| leaving.idle.unwrap_or(began));
        let now = self.now;
        let is_long = |since: MonoTime| now.since(since) >= Policy::HUNG_GRACE;
        if let (Some(pid), Some(unit)) = (pid, &sight.unit)
            && leaving.idle.is_some_and(is_long)
        {
            if !leaving.told {
                self.say_stop_hangs(pid, unit);
                leaving.told = true;
            }
            match leaving.ended {
                _ if !unit.restarts => {}
                None => {
                    self.signal(pid, Signal::Terminate);
                    leaving.ended = Some(now);
                }
                Some(at) if is_long(at) => {
                    self.signal(pid, Signal::Kill);
                }
                Some(_) => {}
            }
        }
        self.suspect(Sign::Leaving(leaving), Policy::SUSPECT_PACE);
    }
}
