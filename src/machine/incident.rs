//! An incident: from the first sign that protection is lost to the proof that it is back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::time::MonoTime;
use super::{Machine, State};

/// What is kept of the incident under way.
#[derive(Debug, Clone)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) since: MonoTime,
    /// For how long it had lasted before jailwarden started.
    pub(super) before: Duration,
    /// The jails that should have protected when it began.
    pub(super) expected: BTreeSet<String>,
    /// Dead jails were loaded again.
    pub(super) revived: bool,
    /// The daemon was restarted.
    pub(super) restarted: bool,
    /// Whether its unit was disabled when it was first seen.
    pub(super) was_disabled: Option<bool>,
    /// The jails that were disabled in its course.
    pub(super) rolled_back: BTreeSet<String>,
    /// Putting the last good config back did not help, and was taken back.
    pub(super) files_in_vain: bool,
    /// The jails whose disabling did not help and was taken back.
    pub(super) in_vain: BTreeSet<String>,
    /// How often every way back had failed.
    pub(super) given_up: u32,
}

impl Machine {
    pub(super) fn open_incident(&mut self) {
        let first_sign = match &self.state {
            State::Suspect(suspect) => suspect.since,
            _ => self.now,
        };
        self.open_incident_since(first_sign);
    }

    /// `since` is when protection was lost, as far as can be told.
    pub(super) fn open_incident_since(&mut self, since: MonoTime) {
        if self.incident.is_some() {
            return;
        }
        // A daemon that systemd was stopping, say, was gone before it was seen to have failed.
        let since = self.dark_since().map_or(since, |dark| dark.min(since));
        self.incidents += 1;
        self.incident = Some(Incident {
            id: format!("{:08x}-{}", self.seed, self.incidents),
            since,
            before: self.dark_before(),
            expected: self.expected(),
            revived: false,
            restarted: false,
            was_disabled: None,
            rolled_back: BTreeSet::new(),
            files_in_vain: false,
            in_vain: BTreeSet::new(),
            given_up: 0,
        });
    }

    /// Every jail that should run was seen alive: the incident, if there is one, is over.
    pub(super) fn close_incident(&mut self) {
        if let Some(incident) = self.incident.clone() {
            let lost = self.lost_in_incident();
            self.say_all_clear(&incident, &lost);
            self.incident = None;
        }
    }
}
