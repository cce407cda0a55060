//! What a look sees beyond who is alive: jails that are blind, a firewall that lost their bans, and
//! what fail2ban's own log complains of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::fail2ban::client::Connection;
use crate::fail2ban::descriptors::{self, Descriptors};
use crate::fail2ban::firewall::{self, Banned, Wall, Walls};
use crate::fail2ban::ownlog::{self, Position};
use crate::fail2ban::pickle::Value;
use crate::fail2ban::process::{Pid, Process};
use crate::fail2ban::signs::{self, Blindness, Expected, Replaced, Said, Signs};
use crate::fail2ban::stream::Stream;
use crate::machine::report::Kind;
use crate::machine::{Ailment, Complaint, Cure, Health};

use super::daemon::{Handle, Message};

/// How often the firewall is listed, while somebody is banned.
const FIREWALL_PACE: Duration = Duration::from_secs(60);
/// How long one listing of it may take.
const LISTING_LIMIT: Duration = Duration::from_secs(5);

/// What is kept from look to look.
#[derive(Debug, Default)]
pub(super) struct Looked {
    expected: BTreeMap<String, Expected>,
    walls: BTreeMap<String, BTreeSet<Wall>>,
    signs: Option<Signs>,
    firewall: Option<(Walls, Instant)>,
    /// The jails of which fail2ban's own log says that something had gone from the firewall, with the bans that
    /// were not there at the last look.
    missing: Banned,
    log: Option<Read>,
    /// What was read of it, until a look has told it: one that is given up tells nothing.
    untold: Vec<Complaint>,
}

/// How far fail2ban's own log was read.
#[derive(Debug, Clone)]
struct Read {
    log: PathBuf,
    /// At the look before the last.
    before: Position,
    end: Position,
}

/// What is told of a jail beyond whether it is alive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// How many addresses it bans.
    pub(super) banned: u64,
    /// When it last read a line, as far as can be told.
    pub(super) last_read: Option<SystemTime>,
}

impl Looked {
    /// What the last look at that told of each jail.
    pub(super) fn told(&self) -> HashMap<String, Told> {
        let of_all = self.signs.iter().flat_map(|signs| {
            signs.jails.iter().map(|(jail, of_jail)| {
                let told = Told {
                    banned: of_jail.banned,
                    last_read: signs.last_read(of_jail),
                };
                (jail.clone(), told)
            })
        });
        of_all.collect()
    }

    /// A look has told the machine this.
    pub(super) fn is_told(&mut self, health: &Health) {
        if !health.complaints.is_empty() {
            self.untold.clear();
        }
    }

    /// What the jails of the config should watch, and have set up.
    pub(super) fn expect(&mut self, stream: &Stream, log: Option<&Path>) {
        self.expected = signs::expected(stream);
        self.walls = firewall::walls(stream);
        // What it said before jailwarden looked is past.
        if let Some(log) = log.filter(|_| self.log.is_none()) {
            let end = ownlog::end(log);
            self.log = Some(Read {
                log: log.to_owned(),
                before: end,
                end,
            });
        }
    }
}

/// Looks over a connection that has just answered; at most every ten seconds, since what tells idle
/// jails from others takes that long to show.
pub(super) async fn look(
    handle: &Handle,
    connection: &mut Connection,
    pid: Pid,
    listed: &BTreeSet<String>,
    limit: Duration,
) -> Health {
    let (mut expected, before) = {
        let kept = handle.kept();
        (kept.looked.expected.clone(), kept.looked.signs.clone())
    };
    // fail2ban logs an error for each that it does not have.
    expected.retain(|jail, _| listed.contains(jail));
    let is_recent = |signs: &Signs| signs.at.elapsed() < signs::IDLE_AFTER;
    if expected.is_empty() || before.as_ref().is_some_and(is_recent) {
        return Health::default();
    }
    let Ok(after) = signs::gather(connection, pid, &expected, before.as_ref(), limit).await else {
        return Health::default();
    };
    let mut ailing = BTreeMap::new();
    if let Some(before) = &before {
        let blind = signs::judge(before, &after).into_iter();
        ailing.extend(blind.map(|(jail, blindness)| (jail, ailment(&blindness, pid))));
    }
    let complaints = complaints(handle).await;
    for jail in lost_bans(handle, connection, &after, limit).await {
        let words = "the firewall has lost its bans, as when it is started again or flushed";
        ailing.entry(jail).or_insert_with(|| Ailment {
            words: words.to_owned(),
            cure: Some(Cure::Restart),
            behind: None,
        });
    }
    handle.kept().looked.signs = Some(after);
    Health {
        ailing: Some(ailing),
        complaints,
        ..Health::default()
    }
}

/// Why the daemon can neither run a command nor read a log, if it may open no more files.
pub(super) fn cramped(process: &Process) -> Option<String> {
    let files = process.look(descriptors::descriptors).ok()?;
    let Descriptors { open, most } = files;
    files.are_short().then(|| {
        let commonest = descriptors::commonest(process.pid());
        format!(
            "of the {most} files that its limit allows (LimitNOFILE), {open} are open: {commonest}"
        )
    })
}

/// Whether the daemon that was looked at last ended by itself after errors, as its own log says.
pub(super) async fn gave_out(handle: &Handle) -> bool {
    let known = handle.kept().looked.log.clone();
    let (Some(known), Some(pid)) = (known, handle.last_held()) else {
        return false;
    };
    // The look that read the end of it may have been too early to see that nobody listens.
    let said = tokio::task::spawn_blocking(move || signs::gave_out(&known.log, &known.before, pid));
    said.await.unwrap_or_default()
}

/// The least that was seen to cure it (`tests/suite/signs.rs`).
fn ailment(blindness: &Blindness, pid: Pid) -> Ailment {
    if let Blindness::NoFiles { log } | Blindness::Unread { log, .. } = blindness
        && signs::is_hidden_from(pid, log)
    {
        return Ailment {
            words: format!(
                "fail2ban does not see the file that stands at {}, as when something was mounted there since it was \
                 started",
                log.display()
            ),
            cure: Some(Cure::Daemon),
            behind: None,
        };
    }
    let cure = match blindness {
        Blindness::NoFiles { .. } | Blindness::Idle { by_hand: false } => Some(Cure::Load),
        Blindness::Unread { .. } => Some(Cure::Restart),
        Blindness::Blocked {
            others_wait: true, ..
        } => Some(Cure::Free),
        // Somebody wants it so or has to mend it, or fail2ban ends it by itself after a minute.
        Blindness::Idle { by_hand: true }
        | Blindness::Failing { .. }
        | Blindness::Blocked { .. }
        | Blindness::Behind { .. } => None,
    };
    let behind = match blindness {
        Blindness::Behind { jail, .. } => Some(jail.clone()),
        _ => None,
    };
    Ailment {
        words: blindness.to_string(),
        cure,
        behind,
    }
}

/// The jails whose bans stand in the firewall no more, at two looks.
async fn lost_bans(
    handle: &Handle,
    connection: &mut Connection,
    signs: &Signs,
    limit: Duration,
) -> BTreeSet<String> {
    let (walls, before, missing) = {
        let looked = &handle.kept().looked;
        (
            looked.walls.clone(),
            looked.firewall.clone(),
            looked.missing.clone(),
        )
    };
    if walls.is_empty() || !handle.settings().probe.firewall {
        return BTreeSet::new();
    }
    let count = |jail: &str| signs.jails.get(jail).map_or(0, |jail| jail.banned);
    if walls.keys().all(|jail| count(jail) == 0) {
        let looked = &mut handle.kept().looked;
        (looked.firewall, looked.missing) = (None, Banned::new());
        return BTreeSet::new();
    }
    let (before, at) = before.unzip();
    let before = before.unwrap_or_default();
    let all_stand = before.values().all(|wall| wall.gone_since.is_none());
    let is_recent = at.is_some_and(|at: Instant| at.elapsed() < FIREWALL_PACE);
    if all_stand && missing.is_empty() && is_recent {
        return BTreeSet::new();
    }
    let seen = firewall::look(&walls, LISTING_LIMIT).await;
    let mut asked = firewall::doubtful(&before, &seen);
    asked.extend(missing.keys().cloned());
    let banned = banned(connection, &asked, limit).await;
    let after = firewall::take(&seen, &before, count, &banned);
    let mut lost = firewall::lost(&before, &after);
    let mut still_missing = firewall::missing(&seen, &banned);
    still_missing.retain(|jail, _| missing.contains_key(jail));
    let lasting = still_missing.iter().filter(|(jail, addresses)| {
        let then = missing.get(*jail);
        then.is_some_and(|then| !then.is_disjoint(addresses))
    });
    lost.extend(lasting.map(|(jail, _)| jail.clone()));
    let looked = &mut handle.kept().looked;
    looked.firewall = Some((after, Instant::now()));
    looked.missing = still_missing;
    lost
}

/// The addresses that these jails ban; a jail that gives no answer is left out.
async fn banned(connection: &mut Connection, jails: &BTreeSet<String>, limit: Duration) -> Banned {
    let mut banned = Banned::new();
    for jail in jails {
        let command: [Value; 3] = ["get".into(), jail.as_str().into(), "banip".into()];
        let Ok(reply) = connection.call(&command, limit).await else {
            continue;
        };
        let addresses = reply.as_list().unwrap_or_default().iter();
        let addresses = addresses.filter_map(|address| address.message().parse().ok());
        banned.insert(jail.clone(), addresses.collect());
    }
    banned
}

/// What fail2ban's log complains of since the last look that told it, each thing once.
async fn complaints(handle: &Handle) -> Vec<Complaint> {
    let Some(log) = handle.kept().log.clone() else {
        return Vec::new();
    };
    let known = handle.kept().looked.log.clone();
    let from = known
        .filter(|known| known.log == log)
        .map(|known| known.end);
    let path = log.clone();
    let read = tokio::task::spawn_blocking(move || match from {
        Some(from) => signs::said(&path, &from),
        // What it said before jailwarden looked is past.
        None => Ok(Said {
            end: ownlog::end(&path),
            ..Said::default()
        }),
    });
    let Ok(Ok(said)) = read.await else {
        return Vec::new();
    };
    let mut kept = handle.kept();
    let looked = &mut kept.looked;
    looked.log = Some(Read {
        log,
        before: from.unwrap_or(said.end),
        end: said.end,
    });
    for (jail, walls) in &looked.walls {
        let is_of = |command: &String| walls.iter().any(|wall| wall.is_of(command));
        if said.gone.iter().any(is_of) {
            looked.missing.entry(jail.clone()).or_default();
        }
    }
    let complaints = said.complaints.into_iter().map(|(complaint, times)| {
        let ended = times.ended.map(|ended| format!(" (a command {ended})"));
        Complaint {
            jail: complaint.jail().map(str::to_owned),
            words: format!("{complaint}{}", ended.unwrap_or_default()),
        }
    });
    for complaint in complaints {
        if !looked.untold.contains(&complaint) {
            looked.untold.push(complaint);
        }
    }
    let untold = looked.untold.clone();
    drop(kept);
    for Replaced { database, aside } in said.replaced {
        let database = database.display();
        let aside = match aside {
            Some(path) => path.display().to_string(),
            None => format!("{database}, with the date and the time after its name"),
        };
        let words = format!(
            "fail2ban found its database {database} to be damaged, made a new one, and keeps it as {aside}. Bans of \
             before are not known to it; what was logged within findtime is read again"
        );
        handle.tell(Message::Say(Kind::DatabaseDamaged, words));
    }
    untold
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::settings::Settings;

    #[tokio::test]
    async fn what_a_look_that_was_given_up_has_read_is_told_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("f2b.log");
        fs::write(&log, "").unwrap();
        let mut settings = Settings::default();
        settings.daemon.unit = None;
        let handle = Handle::new(settings, unbounded_channel().0);
        handle.kept().log = Some(log.clone());
        assert_eq!(complaints(&handle).await, []);
        let failed = "2026-11-28 00:00:00,000 fail2ban.actions [7]: ERROR Failed to execute ban jail 'web' action \
                      'mark' info 'ActionInfo({})': Error banning 192.0.2.1\n";
        fs::write(&log, failed).unwrap();
        let told = complaints(&handle).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(complaints(&handle).await, told);
        let mut health = Health::default();
        handle.kept().looked.is_told(&health);
        assert_eq!(complaints(&handle).await, told, "a look told nothing");
        health.complaints = told;
        handle.kept().looked.is_told(&health);
        assert_eq!(complaints(&handle).await, []);
    }
}
