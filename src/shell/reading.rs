//! Reading the config: what changed on disk, and what fail2ban makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::fail2ban::blame::{At, Blame};
use crate::fail2ban::dump::{Dump, DumpError};
use crate::fail2ban::finding::{self, FindingKind};
use crate::fail2ban::folder::{Limits, Snapshot};
use crate::fail2ban::jailfile;
use crate::fail2ban::literal;
use crate::fail2ban::pickle::Value;
use crate::fail2ban::rehearsal::{self, Fault, Stage, Unproven, Urgency};
use crate::fail2ban::stream::{JailStream, Stream};
use crate::machine::{ConfigRead, Finding, JailPlan, Plan, Reading};
use crate::rollback;

use super::daemon::{Handle, Message};
use super::masked;

/// How long `fail2ban-client -d` may take; measured: 0.75 s for 500 jails.
pub(super) const DUMP_LIMIT: Duration = Duration::from_secs(60);
/// How long a rehearsal may take; measured: 0.4 s for 500 jails.
pub(super) const REHEARSAL_LIMIT: Duration = Duration::from_secs(15);
/// How often a config that changes while it is read is read again.
const TRIES: u32 = 5;

/// Whether the config folder has other content than that of the fingerprint; not if that cannot be told.
pub(super) async fn is_another(handle: &Handle, known: u128) -> bool {
    let folder = snapshot(handle).await;
    folder.is_ok_and(|folder| folder.fingerprint() != known)
}

/// Reads the config folder, unless its content is the `known` one.
pub(super) async fn read(handle: &Handle, known: Option<u128>) -> ConfigRead {
    let mut folder = match snapshot(handle).await {
        Ok(folder) => folder,
        Err(why) => return ConfigRead::Failed(why),
    };
    if known == Some(folder.fingerprint()) {
        return ConfigRead::Unchanged;
    }
    let urgency = match handle.held() {
        Some(_) if handle.kept().answers => Urgency::Low,
        _ => Urgency::High,
    };
    for _ in 0..TRIES {
        let (dumped, stage) = rehearsal::read(handle.instance(), DUMP_LIMIT, urgency).await;
        let after = match snapshot(handle).await {
            Ok(after) => after,
            Err(why) => return ConfigRead::Failed(why),
        };
        let steady = after.fingerprint() == folder.fingerprint();
        folder = after;
        if steady {
            return finish(handle, folder, dumped, stage).await;
        }
    }
    ConfigRead::Failed(
        "the files under the config folder change faster than they can be read".into(),
    )
}

async fn snapshot(handle: &Handle) -> Result<Snapshot, String> {
    let root = handle.instance().config_dir.clone();
    let taken = tokio::task::spawn_blocking(move || Snapshot::take(&root, Limits::default())).await;
    let folder = taken.map_err(|error| error.to_string())?;
    handle.tell(Message::Places(folder.places().clone()));
    Ok(folder)
}

async fn finish(
    handle: &Handle,
    folder: Snapshot,
    dumped: Result<Dump, DumpError>,
    stage: Result<Stage, Unproven>,
) -> ConfigRead {
    let root = handle.instance().config_dir.clone();
    let (plan, mut findings, misread) = match dumped {
        Ok(Dump {
            stream,
            findings,
            missing_logs,
        }) => {
            handle.kept().awaited = missing_logs;
            let mut findings = findings;
            findings.retain(|finding| finding.kind != FindingKind::LogAwaited);
            let faults = rehearse(handle, &stream, stage, &findings).await;
            let findings = place(root.clone(), findings, faults).await;
            let misread = misread(root, &stream).await;
            (Some(keep(handle, stream)), findings, misread)
        }
        Err(DumpError::Unreadable { findings }) => {
            let findings = place(root, findings, Vec::new()).await;
            (None, findings, Vec::new())
        }
        Err(error) => return ConfigRead::Failed(error.to_string()),
    };
    let root = handle.instance().config_dir.clone();
    let looked = tokio::task::spawn_blocking(move || Looked {
        standing: rollback::standing(&root),
        newest: newest(&root),
        in_memory: rollback::in_memory(&root),
        gone: !root.exists(),
    });
    let Ok(Looked {
        standing,
        newest,
        in_memory,
        gone,
    }) = looked.await
    else {
        return ConfigRead::Failed("the config folder could not be looked at".to_owned());
    };
    let standing = standing.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        Vec::new()
    });
    handle.kept().standing.clone_from(&standing);
    let rollbacks: BTreeSet<_> = standing
        .iter()
        .map(|s| s.jail.as_str().to_owned())
        .collect();
    let in_memory = in_memory.filter(|_| plan.is_none() || handle.kept().database.is_none());
    handle.kept().usual_database = in_memory.as_ref().map(|it| it.database.clone());
    let is_left_out = |finding: &mut finding::Finding| {
        // Where no other jail is left, fail2ban refuses the config for it.
        let is_ours = finding.words.contains(rollback::NO_FILTER);
        plan.is_some() && finding.kind == FindingKind::JailSkipped && is_ours
    };
    let left_out = findings.extract_if(.., is_left_out);
    let left_out: BTreeSet<_> = left_out.filter_map(|finding| finding.jail).collect();
    let enabled = |jail: &&String| {
        left_out.contains(*jail) || plan.as_ref().is_some_and(|p| p.jails.contains_key(*jail))
    };
    let enabled = rollbacks.iter().filter(enabled).cloned().collect();
    let overruled = overruled(handle, enabled).await;
    let folder = Arc::new(folder);
    let before = handle.kept().folder.replace(Arc::clone(&folder));
    ConfigRead::Read(Box::new(Reading {
        fingerprint: folder.fingerprint(),
        changed_files: before.map(|b| folder.changed_since(&b)).unwrap_or_default(),
        plan,
        findings: findings.into_iter().map(in_machine_words).collect(),
        misread: misread.into_iter().map(in_machine_words).collect(),
        unproven: handle.kept().unproven.clone(),
        rollbacks,
        overruled,
        newest,
        gone,
        in_memory: in_memory.is_some(),
    }))
}

/// What is seen of the config folder besides what fail2ban reads of it.
struct Looked {
    standing: Result<Vec<rollback::Standing>, rollback::RollbackError>,
    newest: Vec<String>,
    in_memory: Option<rollback::InMemory>,
    gone: bool,
}

/// What is taken for false though it is no word for it.
async fn misread(root: PathBuf, stream: &Stream) -> Vec<finding::Finding> {
    let running: BTreeSet<_> = stream.started().map(str::to_owned).collect();
    let read = tokio::task::spawn_blocking(move || Blame::open(&root).misread(&running));
    read.await.unwrap_or_default()
}

/// The jails of the file that changed last, but for ours.
fn newest(config_dir: &Path) -> Vec<String> {
    let mut files = jailfile::last_changed_jails(config_dir).into_iter();
    let newest = files.find(|file| !rollback::is_rollback_name(&file.path));
    newest.map(|file| file.jails).unwrap_or_default()
}

/// What enables jails that a rollback file of ours disables.
async fn overruled(handle: &Handle, jails: Vec<String>) -> BTreeMap<String, (PathBuf, u32)> {
    if jails.is_empty() {
        return BTreeMap::new();
    }
    let root = handle.instance().config_dir.clone();
    let placed = tokio::task::spawn_blocking(move || {
        let mut blame = Blame::open(&root);
        let at = At::from_option("enabled", None);
        let place = |jail: String| Some((blame.place(&jail, &at)?, jail));
        let placed = jails.into_iter().filter_map(place);
        placed
            .map(|(place, jail)| (jail, (place.file, place.line)))
            .collect()
    });
    placed.await.unwrap_or_default()
}

pub(super) fn in_machine_words(finding: finding::Finding) -> Finding {
    let hint = match finding.kind {
        FindingKind::NoLogFile => {
            " (create it, or set backend = systemd for a jail whose service logs to the journal)"
        }
        _ => "",
    };
    Finding {
        fatal: finding.kind.stops_start(),
        jail: finding.jail,
        file: finding.file,
        line: finding.line,
        words: finding.words + hint,
    }
}

/// What fail2ban's own code refuses of the jails, and of the server's settings, that have not passed
/// it before, beyond what was found already.
async fn rehearse(
    handle: &Handle,
    stream: &Stream,
    stage: Result<Stage, Unproven>,
    findings: &[finding::Finding],
) -> Vec<Fault> {
    let server = stream.server_part();
    let jails: Vec<_> = {
        let rehearsed = &handle.kept().rehearsed;
        let to_run = stream.jails.iter().filter(|jail| jail.starts);
        iter::once(&server)
            .chain(to_run)
            .filter(|jail| !rehearsed.contains(&jail.digest))
            .collect()
    };
    if jails.is_empty() {
        handle.kept().unproven = None;
        return Vec::new();
    }
    let result = match stage {
        Ok(stage) => stage.rehearse(&jails, REHEARSAL_LIMIT).await,
        Err(unproven) => Err(unproven),
    };
    let (faults, unproven) = match result {
        Ok(faults) => {
            let sound = |jail: &JailStream| faults.iter().all(|fault| fault.jail != jail.name);
            let sound = jails.iter().filter(|jail| sound(jail));
            let mut kept = handle.kept();
            kept.rehearsed.extend(sound.map(|jail| jail.digest));
            (faults, None)
        }
        Err(unproven) => {
            let words = unproven.to_string();
            (unproven.faults, Some(words))
        }
    };
    let is_news = handle.kept().unproven != unproven;
    if let Some(words) = unproven.clone().filter(|_| is_news) {
        let words = masked::said(handle, words).await;
        tracing::warn!("{words}; changes are judged by `fail2ban-client -d` alone");
    }
    handle.kept().unproven = unproven;
    let is_news = |fault: &Fault| !findings.iter().any(|known| fault.is_told_by(known));
    faults.into_iter().filter(is_news).collect()
}

/// All that was found, each with the file and line at fault where they can be told.
pub(super) async fn place(
    root: PathBuf,
    findings: Vec<finding::Finding>,
    faults: Vec<Fault>,
) -> Vec<finding::Finding> {
    if findings.is_empty() && faults.is_empty() {
        return findings;
    }
    let unplaced: Vec<_> = faults.iter().map(Fault::finding).collect();
    let unplaced = [findings.clone(), unplaced].concat();
    let placed = tokio::task::spawn_blocking(move || {
        let mut blame = Blame::open(&root);
        let mut placed = blame.settle(findings);
        placed.extend(faults.iter().map(|fault| place_fault(&mut blame, fault)));
        placed
    });
    placed.await.unwrap_or_else(|error| {
        tracing::warn!("the lines at fault cannot be told: {error}");
        unplaced
    })
}

fn place_fault(blame: &mut Blame, fault: &Fault) -> finding::Finding {
    let mut finding = fault.finding();
    if let Some(place) = blame.place_of(fault) {
        finding.file = Some(place.file);
        finding.line = Some(place.line);
    }
    finding
}

/// Keeps the commands for later use and gives their digests.
pub(super) fn keep(handle: &Handle, stream: Stream) -> Plan {
    let server = stream.digests().server;
    let mut kept = handle.kept();
    let log = stream.setting("logtarget").map(PathBuf::from);
    kept.log = log.filter(|log| log.is_absolute());
    kept.database = stream.database();
    let log = kept.log.clone();
    kept.looked.expect(&stream, log.as_deref());
    kept.jails = stream.started().map(str::to_owned).collect();
    kept.commands
        .insert(server, stream.server.join("\n").into());
    let mut plan = Plan {
        server,
        ..Plan::default()
    };
    for jail in stream.jails.into_iter().filter(|j| j.starts) {
        let planned = JailPlan {
            digest: jail.digest,
            actions: actions_digest(&jail),
        };
        plan.jails.insert(jail.name, planned);
        kept.commands.insert(jail.digest, jail.text.into());
    }
    plan
}

/// A digest of the names of a jail's actions: `['set', JAIL, 'addaction', NAME, …]`.
fn actions_digest(jail: &JailStream) -> u128 {
    let mut names = BTreeSet::new();
    for line in jail.text.lines().filter(|line| line.contains("addaction")) {
        if let Ok(Value::List(words)) = literal::parse(line)
            && let [
                Value::Str(_),
                Value::Str(_),
                Value::Str(verb),
                Value::Str(name),
                ..,
            ] = words.as_slice()
            && verb == "addaction"
        {
            names.insert(name.clone());
        }
    }
    let mut hasher = SipHasher13::new();
    for name in names {
        hasher.write(name.as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.finish128().as_u128()
}
