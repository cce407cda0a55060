//! Whose doing it is that no daemon answers: an admin's stop, systemd at work, or a failure.

use super::Machine;
use super::event::{ActiveState, ExitKind, Sight, Unit};
use super::incident::Incident;

/// Why a daemon is left alone that may not be started.
pub(super) const MASKED: &str = "its unit is masked";

/// Why a daemon ends with status 0 that nobody stopped (`AsyncServer.handle_accept`, 1.0.2 to 1.1.1).
const GAVE_OUT: &str =
    "it ended by itself after too many connections that it could not accept, as its own log says";

/// Whoever asked for that wants it to run.
pub(super) const CLIENT_FAILED: &str =
    "a restart by its own client stopped it, and its start came to nothing";

/// What the absence of the daemon means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// systemd stops, starts or restarts it just now, or has not yet noticed that it is gone.
    AtWork,
    /// Somebody stopped it on purpose, or never started it.
    Deliberate(String),
    /// It failed.
    Failed(String),
    /// systemd could not run it: no config is to blame for that.
    Broken(String),
    /// It failed while packages are being installed, and so may be half there.
    Unpacked(String),
}

/// Reads the unit, or the traces that a process without a unit left.
///
/// Measured with Debian's unit on systemd 252: `systemctl stop` ends in inactive/success;
/// `fail2ban-client stop` and a SIGTERM by hand end in failed/exit-code though the process exited
/// with status 0, since `ExecStop=` then fails on the dead daemon; a broken config exits with 255;
/// a crash shows `signal` and, with `Restart=on-failure`, activating/auto-restart.
/// A clean stop takes the socket and the pid file away (`server/server.py` of 1.0.2), a crash
/// leaves them.
#[must_use]
pub fn read(unit: Option<&Unit>, traces: bool) -> Absence {
    let Some(unit) = unit else {
        return if traces {
            Absence::Failed("its process is gone and left its socket or pid file behind".into())
        } else {
            Absence::Deliberate("it took its socket and pid file away, as a clean stop does".into())
        };
    };
    if unit.is_masked() {
        return Absence::Deliberate(MASKED.into());
    }
    if unit.job {
        return Absence::AtWork;
    }
    match unit.active {
        ActiveState::Active
        | ActiveState::Reloading
        | ActiveState::Activating
        | ActiveState::Deactivating => Absence::AtWork,
        ActiveState::Inactive => {
            Absence::Deliberate("its unit was stopped, or never started".into())
        }
        ActiveState::Failed | ActiveState::Other => read_failed(unit),
    }
}

impl Machine {
    /// What the absence of a daemon means that jailwarden is not just restarting.
    ///
    /// A unit that somebody disabled is not started, unless it was jailwarden who stopped it, and it
    /// was disabled before that. While packages are installed, fail2ban may be half there, and whoever
    /// installs them starts it.
    pub(super) fn absence(&self, sight: &Sight, traces: bool) -> Absence {
        // A second start command would take the socket from the daemon that the first one starts.
        if self.awaited && sight.unit.is_none() {
            return Absence::AtWork;
        }
        // Whoever masked it, or had it ended otherwise, means that.
        let masked = sight.unit.as_ref().is_some_and(Unit::is_masked);
        let by_itself = sight.health.gave_out
            && sight.unit.as_ref().is_none_or(|unit| {
                let ended = (unit.main_code, unit.main_status) == (ExitKind::Exited, 0);
                !masked && unit.result != "timeout" && ended
            });
        let found = match read(sight.unit.as_ref(), traces) {
            Absence::Deliberate(_) if sight.health.client_restarts && !masked => Absence::AtWork,
            Absence::Deliberate(_) if self.client_restarts && !masked => {
                Absence::Failed(CLIENT_FAILED.into())
            }
            Absence::Deliberate(_) if by_itself => Absence::Failed(GAVE_OUT.into()),
            found => found,
        };
        let (Absence::Failed(why) | Absence::Broken(why)) = &found else {
            return found;
        };
        let restarted = |i: &Incident| i.restarted && i.was_disabled != Some(false);
        let ours = self.stopping || self.incident.as_ref().is_some_and(restarted);
        if sight.unit.as_ref().is_some_and(|u| u.disabled) && !ours {
            return Absence::Deliberate(format!("{why}, and its unit is disabled"));
        }
        if sight.packages {
            return Absence::Unpacked(why.clone());
        }
        found
    }
}

/// How the process ended, where systemd starts it again by itself (`Restart=` of its unit).
#[must_use]
pub fn crash(unit: &Unit) -> Option<String> {
    let restarting = unit.active == ActiveState::Activating && unit.sub == "auto-restart";
    match read_failed(unit) {
        Absence::Failed(why) | Absence::Broken(why) if restarting => Some(why),
        _ => None,
    }
}

fn read_failed(unit: &Unit) -> Absence {
    if unit.timed_out {
        return Absence::Broken(
            "systemd ended it, as it may not take longer to start, or not run for longer (timeout; see \
             TimeoutStartSec= and RuntimeMaxSec= in systemctl cat)"
                .into(),
        );
    }
    if unit.result == "timeout" {
        return Absence::Deliberate("its stop through systemd took too long and was forced".into());
    }
    // With `OOMPolicy=stop`, the default, systemd ends all of a unit of which one process was killed so, and
    // fail2ban ends well when it is told to (`man 5 systemd.service`, 252).
    if unit.result == "oom-kill" {
        return Absence::Failed(
            "the kernel killed it, or a command of it, for want of memory (oom-kill)".into(),
        );
    }
    if unit.result == "start-limit-hit" {
        return Absence::Failed("systemd gave up after too many starts (start-limit-hit)".into());
    }
    match (unit.main_code, unit.main_status) {
        (ExitKind::Exited, 0) => {
            Absence::Deliberate("its process ended as after fail2ban-client stop".into())
        }
        // systemd's own, before the program runs: 203/EXEC and the like (systemd.exec(5)).
        (ExitKind::Exited, status @ 200..=245) => Absence::Broken(format!(
            "systemd could not run it (status {status}; see systemctl status)"
        )),
        (ExitKind::Exited, status) => {
            Absence::Failed(format!("its process exited with status {status}"))
        }
        // fail2ban ends well on SIGTERM; systemd may kill it by one before it listens to any.
        (ExitKind::Killed, 15) => {
            Absence::Deliberate("its process was told to end by SIGTERM".into())
        }
        (ExitKind::Killed, signal) => {
            Absence::Failed(format!("its process was killed by signal {signal}"))
        }
        (ExitKind::None, _) => Absence::Failed(format!("its unit failed ({})", unit.result)),
    }
}
