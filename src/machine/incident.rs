//! An incident: from the first sign that protection is lost to the proof that it is back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::report::Report;
use super::time::MonoTime;
use super::{Action, Machine, State};

/// What is kept of the incident under way.
#[derive(Debug, Clone)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) since: MonoTime,
    /// The first words that were said of it.
    pub(super) what: Option<String>,
    /// For how long it had lasted before jailwarden started.
    pub(super) before: Duration,
    /// The jails that should have protected when it began.
    pub(super) expected: BTreeSet<String>,
    /// Dead jails were loaded again.
    pub(super) revived: bool,
    /// Loading them again did not reach the daemon.
    pub(super) missed: bool,
    /// The daemon was restarted.
    pub(super) restarted: bool,
    /// Whether its unit was disabled when it was first seen.
    pub(super) was_disabled: Option<bool>,
    /// The jails that were disabled in its course.
    pub(super) rolled_back: BTreeSet<String>,
    /// Fingerprint of the config before the first of them was; none once files were put back for good.
    pub(super) before_rollbacks: Option<u128>,
    /// How often every way back had failed.
    pub(super) given_up: u32,
}

/// An incident for whoever reads about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentView {
    /// As in the journal's `JAILWARDEN_INCIDENT`.
    pub id: String,
    /// When protection was lost, as far as can be told.
    pub since: MonoTime,
    /// How and when it ended, if it did.
    pub ended: Option<(End, MonoTime)>,
    /// What was said of it first.
    pub what: String,
    /// For how long each jail went unprotected in it.
    pub unprotected: BTreeMap<String, Duration>,
    /// The jails that were disabled in its course.
    pub rolled_back: BTreeSet<String>,
    /// How often every way back had failed.
    pub given_up: u32,
}

/// How an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every jail that can protect was seen to.
    Protected,
    /// Somebody stopped fail2ban on purpose meanwhile.
    StoodBy,
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
            what: None,
            before: self.dark_before(),
            expected: self.expected(),
            revived: false,
            missed: false,
            restarted: false,
            was_disabled: None,
            rolled_back: BTreeSet::new(),
            before_rollbacks: None,
            given_up: std::mem::take(&mut self.gave_up_before),
        });
    }

    /// The first report of an incident says what it is.
    pub(super) fn note_incident(&mut self, report: &Report) {
        if let Some(incident) = &mut self.incident
            && report.incident.as_ref() == Some(&incident.id)
        {
            incident.what.get_or_insert_with(|| report.message.clone());
        }
    }

    /// Every jail that should run was seen alive: the incident, if there is one, is over.
    pub(super) fn close_incident(&mut self) {
        self.gave_up_before = 0;
        if let Some(incident) = self.incident.clone() {
            let lost = self.lost_in_incident();
            self.say_all_clear(&incident, &lost);
            self.end_incident(End::Protected, lost);
        }
    }

    /// What went unprotected until somebody stopped the daemon is counted.
    pub(super) fn abandon_incident(&mut self) {
        self.gave_up_before = 0;
        let lost = self.lost_so_far();
        self.forget_lost();
        self.end_incident(End::StoodBy, lost);
    }

    fn end_incident(&mut self, end: End, lost: BTreeMap<String, Duration>) {
        let Some(incident) = self.incident.take() else {
            return;
        };
        let mut view = incident.view(lost);
        view.ended = Some((end, self.now));
        self.out.push(Action::Record(view));
    }

    /// The incident under way.
    pub(super) fn incident_view(&self) -> Option<IncidentView> {
        let incident = self.incident.clone()?;
        Some(incident.view(self.lost_so_far()))
    }
}

impl Incident {
    fn view(self, unprotected: BTreeMap<String, Duration>) -> IncidentView {
        IncidentView {
            id: self.id,
            since: self.since,
            ended: None,
            what: self.what.unwrap_or_default(),
            unprotected,
            rolled_back: self.rolled_back,
            given_up: self.given_up,
        }
    }
}
