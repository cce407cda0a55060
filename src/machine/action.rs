//! What the machine asks of the shell.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::command::{Answer, CommandId};
use super::event::ActionId;
use super::incident::IncidentView;
use super::memory::Memory;
use super::plan::{Changes, Plan};
use super::report::Report;

/// One thing for the shell to do. Those with an id end in `Event::Done` with that id, always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Do this beside the loop and tell how it ended.
    Run(ActionId, Effect),
    /// Tell people; what cannot be written is the shell's to count.
    Report(Report),
    /// Tell whoever gave this command how it went.
    Answer(CommandId, Answer),
    /// An incident has ended: keep it for whoever asks later.
    Record(IncidentView),
    /// The first look is over: systemd may be told that the service is ready.
    Ready,
    /// End the program.
    Exit,
}

/// Work that touches the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Probe the daemon once. Only one look is under way at a time: a new one ends the one before.
    Look {
        /// The jails whose threads are to be counted, whether listed or not.
        expect: BTreeSet<String>,
        /// Whether systemd is asked for the unit also where the daemon answers: that takes a process.
        unit: bool,
    },
    /// Read the config folder; run `fail2ban-client -d` unless the fingerprint is `known`.
    ReadConfig {
        /// The fingerprint of the last reading.
        known: Option<u128>,
    },
    /// Send settings to the daemon over its socket: server-wide ones first, then jail by jail,
    /// so that one bad jail leaves the others alone.
    Apply {
        /// Digest of the server-wide commands to send, if they changed.
        server: Option<u128>,
        /// The jails to load, restart or unload.
        jails: Changes,
    },
    /// Send `["stop"]` over the socket.
    AskStop,
    /// Send a signal to the daemon's process through its pidfd.
    Signal {
        /// The process that is meant.
        pid: u32,
        /// The signal.
        signal: Signal,
    },
    /// End the commands that run for a jail in the daemon and do not end by themselves.
    EndCommands {
        /// The daemon's process.
        pid: u32,
        /// The jail.
        jail: String,
        /// Not once: until it has gone, whatever it runs that is known to block.
        all: bool,
    },
    /// Look whether the process moves.
    Sample {
        /// The process that is meant.
        pid: u32,
    },
    /// Write down what the process is doing.
    Diagnose {
        /// The process that is meant.
        pid: u32,
    },
    /// Start the daemon: the unit, or the start command.
    Start {
        /// Not with another config than the one with this fingerprint, if one is given.
        known: Option<u128>,
    },
    /// Find out why the last start came to nothing.
    FindCulprit,
    /// Write the rollback files of these jails, whole and durable.
    WriteRollback {
        /// The jails to disable.
        jails: Vec<String>,
        /// Why, for the file's comment.
        reason: String,
    },
    /// Find the jails of which a rollback file of ours stands; unlike `ReadConfig` it needs no fail2ban.
    FindRollbacks,
    /// Put the last known good content of files back; what stands there is kept aside first, whole.
    PutBack {
        /// The files; all that differ, where none is named.
        files: Vec<PathBuf>,
        /// Why, for the note that lies with what is kept aside.
        reason: String,
    },
    /// Find the files that the last `PutBack` with this reason replaced, if they are the newest.
    FindPutBack {
        /// The reason that was given.
        reason: String,
    },
    /// Take back what was done to the config.
    TakeBack {
        /// The jails whose rollback files are removed.
        jails: Vec<String>,
        /// The names of the replaced files that are brought back, the first replaced first.
        replaced: Vec<String>,
        /// From the next start on, the database is in its file again.
        in_memory: bool,
    },
    /// Write the file that keeps the database in memory from the next start on, whole and durable.
    KeepInMemory {
        /// Why, for the file's comment.
        reason: String,
    },
    /// Move the database aside, durably and under a name that none has, so that the next start makes a new one.
    SetAside,
    /// Find the database that was moved aside since the state file was written, if one was.
    FindAside,
    /// Keep the config as the last known good one, if it is still the one with this fingerprint.
    Keep {
        /// Of all files.
        fingerprint: u128,
        /// What the daemon runs with it.
        plan: Plan,
    },
    /// Read the config as if these jails had no rollback, and try what fail2ban would refuse of
    /// them; nothing on disk and in the daemon is touched.
    TryMend {
        /// The jails, each disabled by a rollback of ours.
        jails: BTreeSet<String>,
    },
    /// Remove the file that asks for a pause, whose time is up.
    EndPause,
    /// Write what must survive jailwarden itself.
    Save(Box<Memory>),
}

/// The signals that the machine may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGCONT.
    Continue,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}
