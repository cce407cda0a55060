//! What the machine knows, in the words that programs read.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use crate::control::link::{Feed, Reply};
use crate::machine::report::Report;
use crate::machine::{self, Answer, IncidentView, MonoTime, Snapshot};
use crate::status::{
    self, Condition, Daemon, End, Finding, Happening, Incident, Jail, Pause, Protection, Rollback,
    SCHEMA, Status, Timestamp,
};

use super::chronicle::Chronicle;
use super::daemon::Handle;

/// How many past incidents come with the status.
const LAST_INCIDENTS: usize = 10;

/// Turns the machine's times into those of the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    /// When the supervisor started.
    started: Instant,
}

impl Clocks {
    pub(super) fn new(started: Instant) -> Self {
        Self { started }
    }

    pub(super) fn now(self) -> MonoTime {
        MonoTime::new(self.started.elapsed())
    }

    /// By the host's clock as it goes now, whatever was set meanwhile.
    fn host(self, at: MonoTime) -> Timestamp {
        let (now, host) = (self.now(), SystemTime::now());
        let ago = now.since(at);
        let ahead = at.since(now);
        let time = host
            .checked_sub(ago)
            .and_then(|time| time.checked_add(ahead));
        Timestamp::from(time.unwrap_or(host))
    }
}

/// Tells whoever listens what happens.
#[derive(Debug)]
pub(super) struct Happenings {
    feed: Feed,
    seq: u64,
}

impl Happenings {
    pub(super) fn new(feed: Feed) -> Self {
        Self { feed, seq: 0 }
    }

    pub(super) fn report(&mut self, report: &Report) {
        self.tell(Happening {
            seq: 0,
            at: Timestamp::now(),
            state: report.state.to_owned(),
            kind: Some(report.kind.name().to_owned()),
            incident: report.incident.clone(),
            jails: report.jails.clone(),
            text: report.message.clone(),
        });
    }

    pub(super) fn state(&mut self, state: &str, text: &str) {
        self.tell(Happening {
            seq: 0,
            at: Timestamp::now(),
            state: state.to_owned(),
            kind: None,
            incident: None,
            jails: Vec::new(),
            text: text.to_owned(),
        });
    }

    fn tell(&mut self, mut happening: Happening) {
        self.seq += 1;
        happening.seq = self.seq;
        self.feed.tell(happening);
    }
}

/// Everything that is known now.
pub(super) fn status(
    snapshot: &Snapshot,
    handle: &Handle,
    chronicle: &Chronicle,
    clocks: Clocks,
) -> Status {
    let settings = handle.settings();
    Status {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: settings.instance.clone(),
        at: Timestamp::now(),
        state: snapshot.state.to_owned(),
        since: clocks.host(snapshot.since),
        text: snapshot.text.clone(),
        protection: protection(snapshot),
        deadline: snapshot.deadline.map(|at| clocks.host(at)),
        daemon: daemon(snapshot, handle, clocks),
        jails: jails(snapshot, handle, chronicle, clocks),
        findings: snapshot.findings.iter().map(finding).collect(),
        pause: snapshot.pause.as_ref().map(|(why, until)| Pause {
            why: why.clone(),
            until: until.map(|at| clocks.host(at)),
        }),
        incident: snapshot.incident.clone().map(|it| incident(it, clocks)),
        incidents: chronicle
            .incidents()
            .take(LAST_INCIDENTS)
            .cloned()
            .collect(),
        started: clocks.host(MonoTime::START),
    }
}

fn daemon(snapshot: &Snapshot, handle: &Handle, clocks: Clocks) -> Daemon {
    let settings = &handle.settings().daemon;
    let about = handle.kept().about.clone();
    let about = about.filter(|about| snapshot.pid == Some(about.pid));
    let started = about.as_ref().and_then(|about| about.started);
    let started = started.and_then(|at| SystemTime::now().checked_sub(at.elapsed()));
    Daemon {
        pid: snapshot.pid,
        first_seen: snapshot.first_seen.map(|at| clocks.host(at)),
        started: started.map(Timestamp::from),
        version: about.map(|about| about.version),
        in_memory: snapshot.in_memory,
        ping: snapshot.ping.map(|ping| ping.as_secs_f64()),
        unit: settings.unit.clone(),
        socket: settings.socket.clone(),
    }
}

fn protection(snapshot: &Snapshot) -> Protection {
    let mut wanted = snapshot.jails.values().map(|jail| jail.condition);
    if snapshot.state == "starting" || wanted.clone().any(|it| it == machine::Condition::Unknown) {
        return Protection::Unknown;
    }
    if snapshot.pid.is_none() && wanted.clone().all(|it| it == machine::Condition::Held) {
        return Protection::Unwanted;
    }
    let protects = |it: machine::Condition| it == machine::Condition::Protects;
    let counts = |it: &machine::Condition| {
        // What waits on disk has never run, and what is held is so by somebody's will.
        !matches!(it, machine::Condition::Held | machine::Condition::Waiting)
    };
    if !wanted.clone().any(protects) {
        return Protection::None;
    }
    if wanted.all(|it| !counts(&it) || protects(it)) {
        Protection::Full
    } else {
        Protection::Partial
    }
}

fn jails(snapshot: &Snapshot, handle: &Handle, chronicle: &Chronicle, clocks: Clocks) -> Vec<Jail> {
    let (standing, told) = {
        let kept = handle.kept();
        (kept.standing.clone(), kept.looked.told())
    };
    let standing: HashMap<_, _> = standing.iter().map(|it| (it.jail.as_str(), it)).collect();
    let now = SystemTime::now();
    let views = snapshot.jails.iter().map(|(name, view)| {
        let total = snapshot.unprotected.get(name).copied().unwrap_or_default();
        let rollback = standing.get(name.as_str()).map(|it| Rollback {
            file: it.path.clone(),
            when: it.note.when.clone(),
            reason: it.note.reason.clone(),
            next_try: view.next_try.map(|at| clocks.host(at)),
        });
        Jail {
            name: name.clone(),
            condition: condition(view.condition),
            listed: view.listed,
            why: view.why.clone(),
            banned: told.get(name).map(|told| told.banned),
            last_read: told
                .get(name)
                .and_then(|told| told.last_read)
                .map(Timestamp::from),
            rollback,
            unprotected: chronicle.unprotected(name, total, now),
        }
    });
    views.collect()
}

fn condition(condition: machine::Condition) -> Condition {
    match condition {
        machine::Condition::Protects => Condition::Protects,
        machine::Condition::Unknown => Condition::Unknown,
        machine::Condition::Dead => Condition::Dead,
        machine::Condition::Ailing => Condition::Ailing,
        machine::Condition::Lost => Condition::Lost,
        machine::Condition::Held => Condition::Held,
        machine::Condition::RolledBack => Condition::RolledBack,
        machine::Condition::Waiting => Condition::Waiting,
    }
}

fn finding(finding: &machine::Finding) -> Finding {
    Finding {
        jail: finding.jail.clone(),
        file: finding.file.clone(),
        line: finding.line,
        words: finding.words.clone(),
        fatal: finding.fatal,
    }
}

/// An incident by the host's clock.
pub(super) fn incident(view: IncidentView, clocks: Clocks) -> Incident {
    let spans = view.unprotected.into_iter();
    let (end, ended) = view.ended.unzip();
    Incident {
        id: view.id,
        began: clocks.host(view.since),
        ended: ended.map(|at| clocks.host(at)),
        end: end.map(|end| match end {
            machine::End::Protected => End::Protected,
            machine::End::StoodBy => End::StoodBy,
        }),
        what: view.what,
        unprotected: spans
            .map(|(jail, span)| (jail, span.as_secs_f64()))
            .collect(),
        rolled_back: view.rolled_back.into_iter().collect(),
        given_up: view.given_up,
    }
}

/// The machine's answer to a command.
pub(super) fn reply(answer: Answer) -> Reply {
    match answer {
        Answer::Done { alive } => Reply::Done { alive },
        Answer::Refused { why, findings } => Reply::Refused {
            why,
            findings: findings
                .iter()
                .map(finding)
                .collect::<Vec<status::Finding>>(),
        },
        Answer::Unreachable { why } => Reply::Unreachable { why },
        Answer::NotBack { why, suspect } => Reply::NotBack { why, suspect },
        Answer::UnknownJail => Reply::UnknownJail,
    }
}
