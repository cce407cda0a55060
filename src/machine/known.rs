//! What was last seen of the daemon.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cramped::Cramped;
use super::event::{Daemon, Motion, Sight};
use super::plan::Plan;
use super::successor::Successor;
use super::time::MonoTime;
use super::{Machine, Spurned, State};

/// What was last seen of the daemon.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) pid: Option<u32>,
    pub(super) listed: BTreeSet<String>,
    pub(super) dead: BTreeSet<String>,
    pub(super) ping: Option<Duration>,
    /// Since when it answers nobody and uses the processor, with the same threads and children.
    pub(super) busy_since: Option<MonoTime>,
    /// Who else started it, if that was not yet told.
    pub(super) stranger: Option<Stranger>,
    /// The jails that it has listed, but for those that it was told to load or stop since.
    pub(super) had: BTreeSet<String>,
    /// When it is told again to stop the jails that are stopped by hand.
    pub(super) stop_again_at: MonoTime,
    /// Until when a change is kept back from it that it must not be told before it has the config with which it is
    /// being started.
    pub(super) held_back: Option<MonoTime>,
    /// Until when no dead jail is loaded again, as it can take no change.
    pub(super) spared_until: MonoTime,
    /// It was started while jailwarden looked on, and has not yet been seen fine with a config
    /// that is known: once it is, that config is proven to start.
    pub(super) cold: bool,
    /// What was loaded since is not proven.
    pub(super) started_with: StartedWith,
    pub(super) first_seen: MonoTime,
    /// Somebody else started it, with what was on disk, which has not been read since.
    pub(super) is_others: bool,
    /// That it cannot be asked, and is not restarted for that, was told.
    pub(super) told_unaskable: bool,
    /// It may open no more files.
    pub(super) cramped: Option<Cramped>,
    /// Whether another could be started in its place.
    pub(super) successor: Successor,
    /// Its database is damaged, so that it can take no change, in these words.
    pub(super) damaged: Option<String>,
    /// Why what was sent to it last did not arrive.
    pub(super) unreached: Option<String>,
}

/// The config that the daemon was started with.
#[derive(Debug, Clone, Default)]
pub(super) enum StartedWith {
    /// What is on disk, which was not read yet.
    #[default]
    Unread,
    /// That changed before it was read.
    Unknown,
    Read(Plan),
}

/// Who started the daemon, where jailwarden did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// Somebody, or systemd for whatever reason.
    Anybody,
    /// systemd by itself, since the one before had died.
    Systemd,
}

impl Machine {
    pub(super) fn forget_daemon(&mut self) {
        self.daemon = Known::default();
        self.in_memory.ended = false;
    }

    /// Keeps what a look says of the daemon, and tells whether it is a process not seen before.
    /// A new process means that somebody started it with what was on disk then; one that answers
    /// again after a silence may have been told anything before it: the disk is read again.
    pub(super) fn know(&mut self, sight: &Sight) -> bool {
        let before = self.daemon.ping.take();
        let since = self.daemon.busy_since.take();
        let (Daemon::Answers { pid, .. }
        | Daemon::Silent { pid: Some(pid), .. }
        | Daemon::Absent {
            process: Some(pid), ..
        }) = &sight.daemon
        else {
            return false;
        };
        self.met = true;
        let new = self.daemon.pid != Some(*pid);
        let first = matches!(self.state, State::Starting { .. });
        let others_doing = !first && !matches!(self.state, State::Restarting(_));
        if new {
            let ours = std::mem::take(&mut self.awaited);
            let stranger = if sight.revived {
                Stranger::Systemd
            } else {
                Stranger::Anybody
            };
            self.daemon = Known {
                pid: Some(*pid),
                stranger: (others_doing && !ours).then_some(stranger),
                cold: !first || self.saved.start.is_some(),
                started_with: self.started_with(),
                first_seen: self.now,
                is_others: others_doing && !ours,
                ..Known::default()
            };
            self.in_memory.ended = false;
            if first && self.saved.process != Some(*pid) && self.saved.start.is_none() {
                // Whoever started it did so with what is on disk.
                self.in_memory.stands = false;
            }
            if others_doing {
                self.forget_dead();
                self.spurned = Spurned::default();
            }
            if others_doing && !ours {
                self.note_others_start(sight);
            }
        }
        if let Daemon::Silent {
            motion: Motion::Busy,
            ..
        } = &sight.daemon
        {
            let since = since.filter(|_| !new);
            self.daemon.busy_since = since.or(Some(self.now - self.policy.timeout));
        }
        if let Daemon::Answers {
            ping, listed, dead, ..
        } = &sight.daemon
        {
            // As long as no config can be read, what it runs is what it should.
            if self.accepted.jails.is_empty() && self.disk.reading.is_none() {
                self.accepted = Plan::of_names(listed);
            }
            let is_loaded = !listed.is_empty() && self.daemon.held_back.take().is_some();
            if others_doing && (new || before.is_none() || is_loaded) {
                self.disk.distrust(self.now);
            }
            let is_sending =
                matches!(&self.state, State::Reloading(reload) if !reload.is_proving());
            if !is_sending {
                let accepted = &self.accepted.jails;
                self.daemon.had.retain(|jail| accepted.contains_key(jail));
                self.daemon.had.extend(listed.iter().cloned());
            }
            self.daemon.ping = Some(*ping);
            self.daemon.told_unaskable = false;
            self.daemon.listed.clone_from(listed);
            self.daemon.dead.clone_from(dead);
        }
        new
    }

    /// The config that jailwarden has started the daemon with, if it was read.
    fn started_with(&self) -> StartedWith {
        let ours = match self.state {
            State::Starting { .. } => self.saved.start.and(self.saved.accepted.clone()),
            State::Restarting(_) if self.disk.reading.is_some() => Some(self.accepted.clone()),
            _ => None,
        };
        ours.map_or(StartedWith::Unread, StartedWith::Read)
    }

    /// The jails that should be alive in the daemon now.
    pub(super) fn expected(&self) -> BTreeSet<String> {
        let mut names = self.accepted.names();
        names.retain(|n| !self.held.contains(n) && !self.lost.contains(n));
        names
    }

    /// Of the jails that should be alive, those that the last answer showed not to be.
    pub(super) fn not_alive(&self) -> BTreeSet<String> {
        let alive = |n: &String| self.daemon.listed.contains(n) && !self.daemon.dead.contains(n);
        self.expected().into_iter().filter(|n| !alive(n)).collect()
    }
}
