//! What is being done.

use super::Machine;
use super::assess::{Sign, Suspect};
use super::event::{ActionId, ConfigRead, Outcome, Sight};
use super::give_up::{By, Undo};
use super::intent::Intent;
use super::mend::Mending;
use super::reload::Reload;
use super::restart::Restart;
use super::time::MonoTime;

/// What is being done.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Taking stock: the first reading of the config and the first look at the daemon.
    Starting {
        /// What came of something that was begun before jailwarden was killed is being found out.
        find: Option<ActionId>,
        found: Option<Outcome>,
        read: ActionId,
        config: Option<ConfigRead>,
        sight: Option<Sight>,
    },
    /// Watching a daemon that answers.
    Watching,
    /// A sign of trouble is being watched.
    Suspect(Suspect),
    /// The config is being read and checked.
    Checking {
        read: ActionId,
        /// It is our own change that is read.
        ours: bool,
    },
    /// Settings are on their way into the daemon.
    Reloading(Reload),
    /// The daemon is being brought back.
    Restarting(Restart),
    /// A jail that a rollback disables is brought back, or back to its rollback.
    Mending(Mending),
    /// The daemon was stopped on purpose.
    Standby { why: String },
    /// A person paused jailwarden; whether it stood by before.
    Paused { stood_by: Option<String> },
    /// Every way back has failed so far.
    GaveUp {
        attempt: u32,
        retry_at: MonoTime,
        /// The config is being read: if it differs, it is tried again at once.
        read: Option<(ActionId, By)>,
        /// What was disabled in vain is being taken back.
        undo: Option<Undo>,
        /// Packages are being installed, and it is not tried before that is done.
        packages: bool,
    },
    /// jailwarden ends.
    Ended,
}

impl State {
    /// What is about to be done to the config, or is being done.
    pub(super) fn intent(&self) -> Option<&Intent> {
        match self {
            Self::Restarting(restart) => restart.intent(),
            Self::Mending(mending) => mending.intent(),
            _ => None,
        }
    }

    /// The daemon is being started, and was not yet seen to be back.
    pub(super) fn has_started(&self) -> bool {
        matches!(self, Self::Restarting(restart) if restart.has_started())
    }
}

impl Machine {
    pub(super) fn looks_in_this_state(&self) -> bool {
        match &self.state {
            State::Starting { sight, .. } => sight.is_none(),
            State::Watching
            | State::Suspect(_)
            | State::Standby { .. }
            | State::Paused { .. }
            | State::GaveUp { .. }
            | State::Checking { .. }
            | State::Reloading(_) => true,
            State::Mending(mending) => mending.may_be_left(),
            State::Restarting(restart) => restart.looks(),
            State::Ended => false,
        }
    }

    /// Whether a config change may be taken up now. A daemon that may be hung comes first; one
    /// that cannot be asked for want of a socket is not restarted before what waits is known.
    pub(super) fn reads_in_this_state(&self) -> bool {
        match &self.state {
            State::Watching => self.daemon.ping.is_some(),
            State::GaveUp { read, undo, .. } => read.is_none() && undo.is_none(),
            State::Suspect(suspect) => {
                matches!(suspect.sign, Sign::Jails { .. } | Sign::Unaskable)
            }
            _ => false,
        }
    }
}
