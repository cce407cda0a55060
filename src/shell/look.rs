//! The health probe: one look at the daemon, as the machine asks for it.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fail2ban::cause;
use crate::fail2ban::client::{CallError, Connection, JailList, Unreachable};
use crate::fail2ban::client_restart;
use crate::fail2ban::descriptors::descriptors;
use crate::fail2ban::process::{Pid, Process};
use crate::fail2ban::threads;
use crate::fail2ban::vitals::{Activity, Vitals, uptime, vitals};
use crate::machine::absence::{self, Absence};
use crate::machine::{ActiveState, Daemon, Health, Motion, Sight, Unit};

use super::daemon::{About, Handle, Restarts, number};
use super::unit::Shown;
use super::{health, packages};

/// How long an answer may be on its way before the process is watched for signs of life.
const PROMPT: Duration = Duration::from_secs(1);

/// The least time over which a process is watched before it is called frozen.
const WINDOW: Duration = Duration::from_secs(3);

/// How long systemd may take to notice that its process has ended before what it says is taken for true. It
/// hears of it when we do.
const NOTICED: Duration = Duration::from_millis(100);

/// How often it is asked until then.
const NOTICE_PACE: Duration = Duration::from_millis(2);

/// Looks once; `unit` says whether systemd is asked for the unit also where the daemon answers.
pub(super) async fn look(handle: &Handle, expect: &BTreeSet<String>, unit: bool) -> Sight {
    let missed = match handle.held() {
        Some(_) => None,
        None => Some(Missed::find(handle).await),
    };
    if let Some(why) = missed.as_ref().and_then(Missed::must_not_connect) {
        return absent(handle, why, missed).await;
    }
    if let Some(sight) = spent(handle).await {
        return sight;
    }
    let timeout = handle.policy().timeout;
    let (opened, before) = {
        let mut open = pin!(Connection::open(&handle.instance().socket, timeout));
        if let Ok(prompt) = tokio::time::timeout(PROMPT.min(timeout / 2), &mut open).await {
            (prompt, None)
        } else {
            // Its signs of life are watched while it is waited for, as in `ask`.
            let process = handle.held();
            let before = process.and_then(|it| Some((it.pid(), sample(&it)?)));
            (open.await, before)
        }
    };
    match opened {
        Ok(connection) => ask(handle, connection, expect, unit).await,
        Err(CallError::Unreachable { why, .. }) if is_absence(&why) => {
            absent(handle, why.to_string(), missed).await
        }
        Err(_) => {
            let process = handle.living().await;
            let pid = process.as_deref().map(Process::pid);
            let before = before.filter(|(of, _)| Some(*of) == pid);
            let before = if let Some((_, before)) = before {
                Some(before)
            } else {
                let before = process.as_deref().and_then(sample);
                tokio::time::sleep(PROMPT).await;
                before
            };
            silent(handle, process, before).await
        }
    }
}

/// A daemon that cannot accept one connection is not asked, as that would end it.
async fn spent(handle: &Handle) -> Option<Sight> {
    let process = handle.held()?;
    let files = process.look(descriptors).ok()?;
    if !files.are_spent() {
        return None;
    }
    let cramped = health::cramped(&process);
    let sight = silent(handle, Some(process), None).await;
    Some(Sight {
        health: Health {
            cramped,
            ..Health::default()
        },
        ..sight
    })
}

/// What there is of a daemon whose process is not held. systemd is asked only once for it, as nothing protects
/// meanwhile.
struct Missed {
    process: Option<Arc<Process>>,
    shown: Option<Shown>,
}

impl Missed {
    async fn find(handle: &Handle) -> Self {
        let began = Instant::now();
        let mut shown = handle.show().await;
        while shown.as_ref().is_some_and(Shown::is_late) && began.elapsed() < NOTICED {
            tokio::time::sleep(NOTICE_PACE).await;
            shown = handle.show().await;
        }
        let process = handle.find(shown.as_ref()).await;
        handle.kept().saw_down(shown.as_ref());
        Self { process, shown }
    }

    /// With socket activation (fail2ban 1.1.1) a connect would start a daemon that is stopped.
    fn must_not_connect(&self) -> Option<String> {
        let shown = self.shown.as_ref().filter(|_| self.process.is_none())?;
        let stopped = matches!(
            shown.unit.active,
            ActiveState::Inactive | ActiveState::Failed
        );
        (!shown.triggers.is_empty() && stopped)
            .then(|| "its unit is stopped, and a connect would start it".to_owned())
    }
}

fn is_absence(why: &Unreachable) -> bool {
    matches!(
        why,
        Unreachable::NoSocket | Unreachable::ConnectionRefused | Unreachable::Io(_)
    )
}

async fn ask(
    handle: &Handle,
    mut connection: Connection,
    expect: &BTreeSet<String>,
    unit: bool,
) -> Sight {
    let process = handle.process_behind(&connection).await;
    let peer = connection.peer_pid();
    let timeout = handle.policy().timeout;
    let asked = Instant::now();
    let mut before = None;
    let answer = {
        let mut answer = pin!(answer(&mut connection, timeout));
        if let Ok(prompt) = tokio::time::timeout(PROMPT.min(timeout / 2), &mut answer).await {
            prompt
        } else {
            before = process.as_deref().and_then(sample);
            answer.await
        }
    };
    let ping = asked.elapsed();
    let listed = match answer {
        Ok(listed) => listed,
        Err(error) if process.as_deref().is_some_and(Process::is_alive) => {
            let before = before.or_else(|| process.as_deref().and_then(sample));
            let sight = silent(handle, process, before).await;
            return if is_silence(&error) {
                sight
            } else {
                not_frozen(sight)
            };
        }
        Err(_) if is_a_strangers(peer) => return silent(handle, None, None).await,
        Err(error) => return absent(handle, error.to_string(), None).await,
    };
    let Some(process) = process else {
        connection.close();
        return silent(handle, None, None).await;
    };

    let names: BTreeSet<String> = listed
        .names()
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .chain(expect.iter().filter(|name| listed.has(name)).cloned())
        .collect();
    // A jail that is not listed has no threads to claim of those that share its first nine bytes.
    let asked_for: Vec<String> = names.iter().cloned().collect();
    let dead = match process.look(threads::census) {
        Ok(census) => {
            let judged = census.judge(&asked_for).into_iter();
            judged
                .filter(|(_, threads)| !threads.complete())
                .map(|(name, _)| name)
                .collect()
        }
        Err(_) => asked_for.into_iter().collect(),
    };
    ask_about(handle, &mut connection, &process, timeout).await;
    let mut health = health::look(handle, &mut connection, process.pid(), &names, timeout).await;
    health.cramped = health::cramped(&process);
    health.writable = is_writable(handle, process.pid(), timeout).await;
    connection.close();
    let revived = revived(handle, Some(&process), None).await;
    let unit = if unit {
        let shown = handle.show().await;
        // A unit that is stopped would seem to have been before this daemon came.
        if !process.is_alive() {
            return absent(handle, "it ended while it was asked".to_owned(), None).await;
        }
        shown.map(|shown| shown.unit)
    } else {
        None
    };
    let daemon = Daemon::Answers {
        pid: number(process.pid()),
        ping,
        listed: names,
        dead,
    };
    Sight {
        daemon,
        unit,
        revived,
        packages: packages::are_changing(),
        idle: false,
        health,
    }
}

/// Whether the file can be written whose place a database in memory takes.
async fn is_writable(handle: &Handle, daemon: Pid, limit: Duration) -> bool {
    let Some(database) = handle.kept().usual_database.clone() else {
        return false;
    };
    let look = move || cause::is_writable(&database, Some(daemon));
    let looked = tokio::time::timeout(limit, tokio::task::spawn_blocking(look)).await;
    matches!(looked, Ok(Ok(true)))
}

/// Asks a process that is new for its version. One that does not say it is asked at the next look.
async fn ask_about(
    handle: &Handle,
    connection: &mut Connection,
    process: &Process,
    limit: Duration,
) {
    let pid = number(process.pid());
    if handle.kept().about.as_ref().is_some_and(|it| it.pid == pid) {
        return;
    }
    let Ok(version) = connection.version(limit).await else {
        return;
    };
    let uptime = process.look(uptime).ok();
    let started = uptime.and_then(|uptime| Instant::now().checked_sub(uptime));
    handle.kept().about = Some(About {
        pid,
        version,
        started,
    });
}

/// Whether systemd has started this process by itself, after the one that was looked at before. `shown`: what it
/// says of the unit, if it was asked just now.
async fn revived(handle: &Handle, process: Option<&Process>, shown: Option<&Shown>) -> bool {
    let Some(pid) = process.map(Process::pid) else {
        return false;
    };
    let before = handle.kept().restarts;
    // The look that found it out may have been ended before it could tell.
    if let Some(known) = before.filter(|it| it.pid == pid) {
        return known.revived;
    }
    let restarts = match shown {
        Some(shown) => shown.restarts,
        None => handle.show().await.map_or(0, |shown| shown.restarts),
    };
    let revived = before.is_some_and(|it| restarts > 0 && restarts != it.count);
    handle.kept().restarts = Some(Restarts {
        pid,
        count: restarts,
        revived,
    });
    revived
}

/// Whether somebody who is no fail2ban goes on serving the socket. systemd does for one that comes later.
fn is_a_strangers(peer: Option<i32>) -> bool {
    let peer = peer.filter(|pid| *pid != 1).and_then(Pid::from_raw);
    peer.is_some_and(|pid| Process::open(pid).is_ok_and(|process| process.is_alive()))
}

fn is_silence(error: &CallError) -> bool {
    let CallError::Unreachable { why, .. } = error else {
        return false;
    };
    matches!(why, Unreachable::TimedOut { .. } | Unreachable::Busy { .. })
}

/// Whoever sends an answer, if only one of no use, is not frozen, whatever its CPU time says.
fn not_frozen(mut sight: Sight) -> Sight {
    if let Daemon::Silent { motion, .. } = &mut sight.daemon
        && *motion == Motion::Frozen
    {
        *motion = Motion::Busy;
    }
    sight
}

async fn answer(connection: &mut Connection, limit: Duration) -> Result<JailList, CallError> {
    connection.ping(limit).await?;
    connection.status(limit).await
}

/// A daemon that did not answer, and what its process did since `before`; without a sample from
/// before it gets the benefit of the doubt.
async fn silent(
    handle: &Handle,
    process: Option<Arc<Process>>,
    before: Option<(Vitals, Instant)>,
) -> Sight {
    let (motion, idle) = match (process.as_deref(), before) {
        (Some(process), Some(before)) => motion_since(process, before).await,
        _ => (Motion::Progressing, false),
    };
    let shown = handle.show().await;
    let revived = revived(handle, process.as_deref(), shown.as_ref()).await;
    let pid = process.map(|p| number(p.pid()));
    let unit = shown.map(|shown| shown.unit);
    let idle = idle && unit.as_ref().is_some_and(Unit::is_being_stopped);
    Sight {
        daemon: Daemon::Silent { pid, motion },
        unit,
        revived,
        packages: false,
        idle,
        health: Health::default(),
    }
}

/// `missed`: what was found of it just now, if that was looked for.
async fn absent(handle: &Handle, why: String, missed: Option<Missed>) -> Sight {
    let Missed { process, shown } = match (missed, handle.held()) {
        (Some(missed), _) => missed,
        (None, None) => Missed::find(handle).await,
        (None, process) => Missed {
            process,
            shown: handle.show().await,
        },
    };
    let revived = revived(handle, process.as_deref(), shown.as_ref()).await;
    let unit = shown.map(|shown| shown.unit);
    let idle = match process.as_deref() {
        Some(process) if unit.as_ref().is_some_and(Unit::is_being_stopped) => {
            is_idle(process).await
        }
        _ => false,
    };
    let process = process.map(|p| number(p.pid()));
    let instance = handle.instance();
    let traces = instance.socket.exists() || instance.pid_file.exists();
    // The client may be through with it by the time the unit has ended.
    let looks_stopped = process.is_none()
        && matches!(
            absence::read(unit.as_ref(), traces),
            Absence::Deliberate(_) | Absence::AtWork
        );
    Sight {
        daemon: Daemon::Absent {
            process,
            traces,
            why,
        },
        unit,
        revived,
        packages: packages::are_changing(),
        idle,
        health: Health {
            gave_out: process.is_none() && health::gave_out(handle).await,
            client_restarts: looks_stopped && client_restarts(handle).await,
            ..Health::default()
        },
    }
}

async fn client_restarts(handle: &Handle) -> bool {
    let instance = handle.instance();
    let (socket, config) = (instance.socket.clone(), instance.config_dir.clone());
    let looked =
        tokio::task::spawn_blocking(move || client_restart::is_under_way(&socket, &config));
    looked.await.unwrap_or(false)
}

/// A sample of what the process does, with its time.
fn sample(process: &Process) -> Option<(Vitals, Instant)> {
    Some((process.look(vitals).ok()?, Instant::now()))
}

/// A daemon at rest may do nothing for two seconds (its server loop's timeout, `utils.py` of
/// 1.0.2), so none is called frozen in less than that. Gives also whether it is idle.
async fn motion_since(process: &Process, (before, then): (Vitals, Instant)) -> (Motion, bool) {
    let at_least = WINDOW.saturating_sub(then.elapsed());
    // Even a sleep of no time lasts until the next tick of a millisecond.
    if before.state != 'T' && !at_least.is_zero() {
        tokio::time::sleep(at_least).await;
    }
    match sample(process) {
        Some((after, now)) => {
            let idle = after.is_idle_since(&before, now - then);
            (motion(&before, &after), idle)
        }
        None => (Motion::Progressing, false),
    }
}

/// Whether a process does nothing, as [`Sight::idle`] has it.
async fn is_idle(process: &Process) -> bool {
    match sample(process) {
        Some(before) => motion_since(process, before).await.1,
        None => false,
    }
}

/// What a process did between two samples, in the machine's words.
pub(super) fn motion(before: &Vitals, after: &Vitals) -> Motion {
    if after.traced {
        // Somebody looks into it with a debugger, which is no hang.
        return Motion::Progressing;
    }
    if after.state == 'T' {
        return Motion::Stopped;
    }
    match after.since(before) {
        Activity::Frozen => Motion::Frozen,
        Activity::Busy => Motion::Busy,
        Activity::Progressing => Motion::Progressing,
    }
}
