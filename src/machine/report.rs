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
    /// The daemon takes long to start, and nothing is known to be wrong; it is waited for.
    Waiting,
    /// The daemon answers, but a jail that should run does not protect.
    JailDead,
    /// The daemon answers and its jails are alive, but one of them sees or does nothing: an incident.
    JailAiling,
    /// Something about a jail is for a person to mend, or passes by itself.
    JailFaulty,
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
    /// Files of the config have their last known good content again.
    FilesPutBack,
    /// fail2ban is started with its database in memory, as it cannot be written.
    InMemory,
    /// The database is damaged: fail2ban is started without it, and it is kept.
    DatabaseDamaged,
    /// A rollback file could not be written.
    RollbackFailed,
    /// A rollback file of ours was removed by hand.
    RollbackUndone,
    /// A jail passed its trial without its rollback, which was removed.
    JailMended,
    /// Every way to bring the daemon back has failed; retries go on ever more slowly.
    GaveUp,
    /// The daemon was stopped on purpose; it is left alone.
    Standby,
    /// The daemon runs again by other hands.
    BackByHand,
    /// A jail was stopped by hand; it is left alone.
    JailHeld,
    /// A person paused jailwarden: it only watches.
    Paused,
    /// The pause is over.
    Resumed,
    /// The settings were read again.
    SettingsReloaded,
    /// The new settings are faulty; the old ones stay.
    SettingsRefused,
    /// Changes under the config folder may be noticed late or not at all.
    WatchIncomplete,
    /// The state file could not be written or read.
    StateNotKept,
    /// The admin's command for alerts failed.
    AlertNotSent,
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

impl Priority {
    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
        }
    }
}

impl Kind {
    /// Every kind, for the tests that hold the catalog and this list together.
    pub const ALL: [Self; 31] = [
        Self::Supervising,
        Self::Ending,
        Self::DaemonDown,
        Self::DaemonHung,
        Self::Waiting,
        Self::JailDead,
        Self::JailAiling,
        Self::JailFaulty,
        Self::Restarting,
        Self::AllClear,
        Self::ChangeApplied,
        Self::ChangeRefused,
        Self::ChangeWithdrawn,
        Self::RolledBack,
        Self::FilesPutBack,
        Self::InMemory,
        Self::DatabaseDamaged,
        Self::RollbackFailed,
        Self::RollbackUndone,
        Self::JailMended,
        Self::GaveUp,
        Self::Standby,
        Self::BackByHand,
        Self::JailHeld,
        Self::Paused,
        Self::Resumed,
        Self::SettingsReloaded,
        Self::SettingsRefused,
        Self::WatchIncomplete,
        Self::StateNotKept,
        Self::AlertNotSent,
    ];

    /// The journald `MESSAGE_ID`: 128 bits as 32 lower-case hex digits, never changed once shipped.
    #[must_use]
    pub fn message_id(self) -> &'static str {
        match self {
            Self::Supervising => "218af03bd2e64a4dbb567c6e70cefb53",
            Self::Ending => "7e993265b71d44288affb342407a25c7",
            Self::DaemonDown => "9b4408f410a747669605c8f0abb89e3c",
            Self::DaemonHung => "330c1275781c4fc3b3f4eef9c6b0fa8a",
            Self::Waiting => "e3e3655cb4d244bdb508b62850b58c82",
            Self::JailDead => "08d6fb9ba05247cd9b5777533f1804cb",
            Self::JailAiling => "e95afc8b073845f4b0a3f1231dcdc758",
            Self::JailFaulty => "d37eea162782415b9d91202b62f72480",
            Self::Restarting => "b7614b9eb2074de8a2db1ed2061cb722",
            Self::AllClear => "34266520018b4fcbaf71804444e38263",
            Self::ChangeApplied => "68f7185fd52843f38084fba7d93c1b4f",
            Self::ChangeRefused => "4f7d47da2e5c4a10badadd8ebddee176",
            Self::ChangeWithdrawn => "d0f057aa492b4fd789f5b3158ba06633",
            Self::RolledBack => "9e2a5a677b0144a58f10db59aaf0f8fa",
            Self::FilesPutBack => "2cc1eeeca6394508bdfadc36942483fd",
            Self::InMemory => "f67789af48654f0a82c73c1d828e41b4",
            Self::DatabaseDamaged => "079b695fd25e48df942dee386a177a38",
            Self::RollbackFailed => "e5b0b6893b4e4a0289cf6f1b9255d3c9",
            Self::RollbackUndone => "dae804ac247a49e3a0d22f40dddcc76c",
            Self::JailMended => "cd9dae7c50f64d69a4e6dac4f675306d",
            Self::GaveUp => "02c1c03ac9484dfb93ccf8a4cfd7ea6c",
            Self::Standby => "8d2aba1a74224dcf80fedec5b9f5a919",
            Self::BackByHand => "8ce8856de3fc41149023f7b82a9bdf43",
            Self::JailHeld => "9344f3aec3434d84978e77bc5aa70178",
            Self::Paused => "456d5b31c0364f5389c08b63a012d9f1",
            Self::Resumed => "f159dfa829624762866659958adb2317",
            Self::SettingsReloaded => "1987d0bedf104a8e90218ec4f2336183",
            Self::SettingsRefused => "ddfb9e0d8d1b42fb96dcc0fd4ad7c931",
            Self::WatchIncomplete => "fb7f4630ab2b485e805f9f22eca46393",
            Self::StateNotKept => "c0ae4db2b1684caf8f5234a88d3e2965",
            Self::AlertNotSent => "38d164a438af41d9a3099f0c034b67c7",
        }
    }

    /// Its name for programs: `rolled-back`, `all-clear`, …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Supervising => "supervising",
            Self::Ending => "ending",
            Self::DaemonDown => "daemon-down",
            Self::DaemonHung => "daemon-hung",
            Self::Waiting => "waiting",
            Self::JailDead => "jail-dead",
            Self::JailAiling => "jail-ailing",
            Self::JailFaulty => "jail-faulty",
            Self::Restarting => "restarting",
            Self::AllClear => "all-clear",
            Self::ChangeApplied => "change-applied",
            Self::ChangeRefused => "change-refused",
            Self::ChangeWithdrawn => "change-withdrawn",
            Self::RolledBack => "rolled-back",
            Self::FilesPutBack => "files-put-back",
            Self::InMemory => "in-memory",
            Self::DatabaseDamaged => "database-damaged",
            Self::RollbackFailed => "rollback-failed",
            Self::RollbackUndone => "rollback-undone",
            Self::JailMended => "jail-mended",
            Self::GaveUp => "gave-up",
            Self::Standby => "standby",
            Self::BackByHand => "back-by-hand",
            Self::JailHeld => "jail-held",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::SettingsReloaded => "settings-reloaded",
            Self::SettingsRefused => "settings-refused",
            Self::WatchIncomplete => "watch-incomplete",
            Self::StateNotKept => "state-not-kept",
            Self::AlertNotSent => "alert-not-sent",
        }
    }

    /// How loud a report of this kind is. What opens an incident that nobody asked for is critical, so that
    /// whoever is told of no less hears of each incident, and of its end.
    #[must_use]
    pub fn priority(self) -> Priority {
        match self {
            Self::GaveUp => Priority::Alert,
            Self::DaemonDown
            | Self::DaemonHung
            | Self::JailDead
            | Self::JailAiling
            | Self::DatabaseDamaged
            | Self::RollbackFailed => Priority::Critical,
            Self::ChangeRefused
            | Self::RolledBack
            | Self::FilesPutBack
            | Self::InMemory
            | Self::JailFaulty
            | Self::SettingsRefused => Priority::Error,
            Self::Waiting
            | Self::Restarting
            | Self::WatchIncomplete
            | Self::StateNotKept
            | Self::AlertNotSent => Priority::Warning,
            Self::AllClear
            | Self::ChangeWithdrawn
            | Self::RollbackUndone
            | Self::JailMended
            | Self::Paused
            | Self::Resumed
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
