//! What a look sees beyond who is alive: jails that are blind, a firewall that lost their bans, and
//! what fail2ban's own log complains of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::fail2ban::client::Connection;
use crate::fail2ban::firewall::{self, Wall, Walls};
use crate::fail2ban::ownlog::{self, Position};
use crate::fail2ban::process::Pid;
use crate::fail2ban::signs::{self, Blindness, Expected, Said, Signs};
use crate::fail2ban::stream::Stream;
use crate::machine::{Ailment, Complaint, Cure, Health};

use super::daemon::Handle;

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
    log: Option<(PathBuf, Position)>,
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

    /// What the jails of the config should watch, and have set up.
    pub(super) fn expect(&mut self, stream: &Stream) {
        self.expected = signs::expected(stream);
        self.walls = firewall::walls(stream);
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
        ailing.extend(blind.map(|(jail, blindness)| (jail, ailment(&blindness))));
    }
    for jail in lost_bans(handle, &after).await {
        let words = "the firewall has lost its bans, as when it is started again or flushed";
        let ailment = Ailment {
            words: words.to_owned(),
            cure: Some(Cure::Restart),
        };
        ailing.insert(jail, ailment);
    }
    handle.kept().looked.signs = Some(after);
    Health {
        ailing: Some(ailing),
        complaints: complaints(handle).await,
        ..Health::default()
    }
}

/// The least that was seen to cure it (`tests/suite/signs.rs`).
fn ailment(blindness: &Blindness) -> Ailment {
    let cure = match blindness {
        Blindness::NoFiles { .. } | Blindness::Idle { by_hand: false } => Some(Cure::Load),
        Blindness::Unread { .. } => Some(Cure::Restart),
        // Somebody wants it so or has to mend it, or fail2ban ends it by itself after a minute.
        Blindness::Idle { by_hand: true }
        | Blindness::Failing { .. }
        | Blindness::Blocked { .. } => None,
    };
    Ailment {
        words: blindness.to_string(),
        cure,
    }
}

async fn lost_bans(handle: &Handle, signs: &Signs) -> BTreeSet<String> {
    let (walls, before) = {
        let looked = &handle.kept().looked;
        (looked.walls.clone(), looked.firewall.clone())
    };
    if walls.is_empty() || !handle.settings().probe.firewall {
        return BTreeSet::new();
    }
    let banned = |jail: &str| signs.jails.get(jail).map_or(0, |jail| jail.banned);
    if walls.keys().all(|jail| banned(jail) == 0) {
        handle.kept().looked.firewall = None;
        return BTreeSet::new();
    }
    let (before, at) = before.unzip();
    let before = before.unwrap_or_default();
    let all_stand = before.values().all(|wall| wall.gone_since.is_none());
    if all_stand && at.is_some_and(|at: Instant| at.elapsed() < FIREWALL_PACE) {
        return BTreeSet::new();
    }
    let after = firewall::look(&walls, &before, banned, LISTING_LIMIT).await;
    let lost = firewall::lost(&before, &after);
    handle.kept().looked.firewall = Some((after, Instant::now()));
    lost
}

/// What fail2ban's log complains of since the last look, each thing once.
async fn complaints(handle: &Handle) -> Vec<Complaint> {
    let Some(log) = handle.kept().log.clone() else {
        return Vec::new();
    };
    let known = handle.kept().looked.log.clone();
    let from = known.filter(|(path, _)| *path == log).map(|(_, at)| at);
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
    handle.kept().looked.log = Some((log, said.end));
    let told = said.complaints.into_iter().map(|(complaint, times)| {
        let ended = times.ended.map(|ended| format!(" (a command {ended})"));
        Complaint {
            jail: complaint.jail().map(str::to_owned),
            words: format!("{complaint}{}", ended.unwrap_or_default()),
        }
    });
    told.collect()
}
