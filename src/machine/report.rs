//! What jailwarden tells people: one [`Report`] is one record in the journal.

use std::fmt;
use std::path::PathBuf;

/// The kind of a report; each has a fixed journald `MESSAGE_ID` and priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The first look is done and supervision has begun.
    Supervising,
    /// jailwarden ends; fail2ban is left as it is.
    Ending,
    /// The daemon is gone, and nobody meant it.
    DaemonDown,
    /// The daemon lives but does not answer.
    DaemonHung,
    /// The daemon answers, but a jail that should run does not protect.
    JailDead,
    /// A restart of the daemon begins.
    Restarting,
    /// The incident is over: what was lost, for how long, what undoes what was done.
    AllClear,
    /// A config change was applied and the probe found every jail alive.
    ChangeApplied,
    /// A config change waits on disk: fail2ban would not run it.
    ChangeRefused,
    /// A change that waited is no longer on disk, or is sound now.
    ChangeWithdrawn,
    /// A jail was disabled by a rollback file so that the others can run.
    RolledBack,
    /// A rollback file could not be written.
    RollbackFailed,
    /// A rollback file of ours was removed by hand.
    RollbackUndone,
    /// Every way to bring the daemon back has failed; retries go on ever more slowly.
    GaveUp,
    /// The daemon was stopped on purpose; it is left alone.
    Standby,
    /// The daemon runs again by other hands.
    BackByHand,
    /// A jail was stopped by hand; it is left alone.
    JailHeld,
    /// The settings were read again.
    SettingsReloaded,
    /// The new settings are faulty; the old ones stay.
    SettingsRefused,
    /// Changes under the config folder may be noticed late or not at all.
    WatchIncomplete,
    /// The state file could not be written or read.
    StateNotKept,
}

/// A syslog priority, as journald's `PRIORITY` field has it (`man 3 syslog`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// 1: somebody must act now.
    Alert = 1,
    /// 2: protection is lost or about to be.
    Critical = 2,
    /// 3: something failed.
    Error = 3,
    /// 4: something is odd or reduced.
    Warning = 4,
    /// 5: normal, but worth a note.
    Notice = 5,
    /// 6: normal.
    Info = 6,
}

impl Kind {
    /// Every kind, for the tests that hold the catalog and this list together.
    pub const ALL: [Self; 21] = [
        Self::Supervising,
        Self::Ending,
        Self::DaemonDown,
        Self::DaemonHung,
        Self::JailDead,
        Self::Restarting,
        Self::AllClear,
        Self::ChangeApplied,
        Self::ChangeRefused,
        Self::ChangeWithdrawn,
        Self::RolledBack,
        Self::RollbackFailed,
        Self::RollbackUndone,
        Self::GaveUp,
        Self::Standby,
        Self::BackByHand,
        Self::JailHeld,
        Self::SettingsReloaded,
        Self::SettingsRefused,
        Self::WatchIncomplete,
        Self::StateNotKept,
    ];

    /// The journald `MESSAGE_ID`: 128 bits as 32 lower-case hex digits, never changed once shipped.
    #[must_use]
    pub fn message_id(self) -> &'static str {
        match self {
            Self::Supervising => "a2c1d6c0b5f94c0e9d0c1f7a6b3e8d01",
            Self::Ending => "5b0e7a3c9f414d2f8a6e2c7d1b94f302",
            Self::DaemonDown => "c7f3a1e85d6b4f0a9b2d8e4c6a17f503",
            Self::DaemonHung => "0d9e4b7a2c3f4e518f6a1b5c7d28e604",
            Self::JailDead => "e81b5c2f7a9d4c36a04f3d6e9b52c705",
            Self::Restarting => "3f6a9d1c8e2b4705b9c4e7f0a1d63806",
            Self::AllClear => "94d2c7e6b1a84f3d8c5a0e9f7b36d907",
            Self::ChangeApplied => "6e1f8b3a4d7c49e2a5b0c9d8f217ea08",
            Self::ChangeRefused => "b8a4e0d7c6f1432e9d7b5a3c8e40fb09",
            Self::ChangeWithdrawn => "27c5f9e1b3d84a6f80e2d7c4a95b1c10",
            Self::RolledBack => "d1e7b4a9c8f24053b6a3f5e0d7c92d11",
            Self::RollbackFailed => "7a0c3e5f9b1d4826ae8f4c6b2d95e312",
            Self::RollbackUndone => "4c8d2b6e0fa94713b5d1e9c7a3f64813",
            Self::GaveUp => "f05b9e7c3a1d4f82964e8d2c7b0a5e14",
            Self::Standby => "18e6c4a2f7d04b9ba1c3e5f79d8b2615",
            Self::BackByHand => "a96f0d3e8b5c4271bd7e2f4a6c91d716",
            Self::JailHeld => "5d2b8f7e1c6a4390a8c4d0b9e3f57a17",
            Self::SettingsReloaded => "c30a7d9e5f8b4162b9e6a4c1d2f78b18",
            Self::SettingsRefused => "8b7e1f4c2d9a4056a3d5c8e0f6b19c19",
            Self::WatchIncomplete => "e4c9a8d6b0f34717952b6e1d3f7ca020",
            Self::StateNotKept => "71f5b3e9d8c24a0e8b6d7c4f1a92e521",
        }
    }

    /// How loud a report of this kind is.
    #[must_use]
    pub fn priority(self) -> Priority {
        match self {
            Self::GaveUp => Priority::Alert,
            Self::DaemonDown | Self::DaemonHung | Self::JailDead | Self::RollbackFailed => {
                Priority::Critical
            }
            Self::ChangeRefused | Self::RolledBack | Self::SettingsRefused => Priority::Error,
            Self::Restarting | Self::WatchIncomplete | Self::StateNotKept => Priority::Warning,
            Self::AllClear
            | Self::ChangeWithdrawn
            | Self::RollbackUndone
            | Self::Standby
            | Self::BackByHand
            | Self::JailHeld => Priority::Notice,
            Self::Supervising | Self::Ending | Self::ChangeApplied | Self::SettingsReloaded => {
                Priority::Info
            }
        }
    }
}

/// One record for the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What kind of thing happened.
    pub kind: Kind,
    /// The supervisor's state after it, as in `STATUS=` (`healthy`, `restarting`, …).
    pub state: &'static str,
    /// The incident that this belongs to, if one is under way.
    pub incident: Option<String>,
    /// The jails concerned.
    pub jails: Vec<String>,
    /// The file at fault or written.
    pub file: Option<PathBuf>,
    /// The line in `file`, from 1.
    pub line: Option<u32>,
    /// Why, in fail2ban's or systemd's own words where they gave any.
    pub reason: Option<String>,
    /// One sentence or a few: what happened, and what to do next.
    pub message: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
