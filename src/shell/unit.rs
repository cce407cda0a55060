//! The systemd unit that runs fail2ban, through `systemctl`: it works as root also while D-Bus is
//! down, and costs nothing while nobody asks.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::process::Command;

use crate::fail2ban::process::{Pid, Process};
use crate::machine::{ActiveState, ExitKind, Unit};

use super::notify;

/// How long one `systemctl` may take; measured: 7 ms.
const LIMIT: Duration = Duration::from_secs(10);

/// How often a job of somebody else is looked at.
const JOB_PACE: Duration = Duration::from_millis(200);
/// How long one is waited for: longer than systemd gives a unit to stop (`DefaultTimeoutStopSec`).
const JOB_LIMIT: Duration = Duration::from_secs(120);

/// What `systemctl show` says of a unit, and its main process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) unit: Unit,
    /// `MainPID`; 0 where there is none.
    pub(super) main_pid: i32,
    /// `NRestarts`: how often systemd started it by itself since somebody last did.
    pub(super) restarts: u32,
    /// The units that start it by themselves (`TriggeredBy`): with socket activation, at a connect.
    pub(super) triggers: Vec<String>,
    /// systemd may refuse a start for its own limit, as it gave one so short a time ago.
    may_be_refused: bool,
}

impl Shown {
    /// Its main process lives: what systemd says may be older than the end of that.
    fn lives(&self) -> bool {
        let pid = Pid::from_raw(self.main_pid);
        pid.is_some_and(|pid| Process::open(pid).is_ok_and(|process| process.is_alive()))
    }

    /// Nothing has to be done for a start but to give it.
    pub(super) fn can_be_started(&self) -> bool {
        let is_down = self.unit.active == ActiveState::Failed && !self.unit.job;
        is_down && self.triggers.is_empty() && !self.may_be_refused
    }

    /// systemd has not noticed yet that its main process has ended.
    pub(super) fn is_late(&self) -> bool {
        self.unit.active == ActiveState::Active && self.main_pid != 0 && !self.lives()
    }
}

/// Whether systemd is this machine's init (`man 3 sd_booted`).
pub(super) fn is_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The unit's state; `None` if systemd does not run here or knows no such unit.
pub(super) async fn show(name: &str) -> io::Result<Option<Shown>> {
    if !is_booted() {
        return Ok(None);
    }
    let properties = "--property=LoadState,ActiveState,SubState,Result,ExecMainCode,ExecMainStatus,MainPID,Job,TriggeredBy,UnitFileState,NRestarts,TimeoutStopUSec,StateChangeTimestampMonotonic,StartLimitIntervalUSec,RuntimeMaxUSec,InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic,ActiveExitTimestampMonotonic,ExecMainStartTimestampMonotonic";
    let output = systemctl(&["show", properties, name]).await?;
    let mut shown = parse(&output);
    if let Some(Shown { unit, .. }) = &mut shown
        && unit.is_being_stopped()
    {
        unit.restarts = is_restart(&systemctl(&["list-jobs", "--plain", name]).await?);
    } else if let Some(Shown { unit, .. }) = &mut shown {
        unit.stop_left = None;
    }
    Ok(shown)
}

/// Whether a job has it run again once it has stopped (`JOB UNIT TYPE STATE` of `systemctl list-jobs`, systemd 252):
/// a restart is one and the same job until the stop is over, and a start waits for the end of a stop without a job.
fn is_restart(jobs: &str) -> bool {
    let kind = |line: &str| matches!(line.split_whitespace().nth(2), Some("restart" | "start"));
    jobs.lines().any(kind)
}

/// How much is left of a time that began then, in microseconds of the monotonic clock.
fn left(limit: &str, since: &str) -> Option<Duration> {
    let limit = humantime::parse_duration(limit).ok()?;
    let since = Duration::from_micros(since.parse().ok()?);
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    );
    Some((since + limit).saturating_sub(now))
}

/// What came of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Started {
    /// The unit is being started.
    Given,
    /// Somebody else had it stopped meanwhile.
    Forestalled,
    /// Somebody else has started it, or is about to.
    Overtaken,
}

/// Starts the unit, without waiting for it to be up. Jobs of others come first: if one of them
/// leaves it stopped, it stays so. A unit that failed is reset, since systemd may refuse a start
/// for its own limit, and `Result` does not always say so. `None` if systemd does not run here or knows no
/// such unit.
pub(super) async fn start(name: &str) -> io::Result<Option<Started>> {
    let mut shown = show(name).await?;
    if shown.is_none() {
        return Ok(None);
    }
    let began = Instant::now();
    let (mut waited, mut was_leaving) = (false, false);
    while let Some(Shown { unit, .. }) = shown.as_ref().filter(|s| s.unit.job) {
        waited = true;
        was_leaving = unit.is_being_stopped();
        if began.elapsed() >= JOB_LIMIT {
            return Err(io::Error::other(format!(
                "systemd has had a job on {name} for {} s; what it waits for: systemctl list-jobs",
                JOB_LIMIT.as_secs()
            )));
        }
        tokio::time::sleep(JOB_PACE).await;
        shown = show(name).await?;
    }
    let runs = shown.as_ref().is_some_and(Shown::lives);
    let triggers = shown.iter().flat_map(|shown| shown.triggers.clone());
    let sockets: Vec<_> = triggers.filter(|unit| unit.ends_with(".socket")).collect();
    match shown.map(|s| s.unit.active) {
        Some(ActiveState::Inactive) if waited => return Ok(Some(Started::Forestalled)),
        // A restart job goes on to activating; one that ended in leaving was a stop.
        Some(ActiveState::Failed) if was_leaving => return Ok(Some(Started::Forestalled)),
        Some(ActiveState::Failed) => drop(systemctl(&["reset-failed", name]).await?),
        _ => {}
    }
    if !runs {
        renew(&sockets).await;
    }
    systemctl(&["start", "--no-block", name]).await?;
    Ok(Some(if runs {
        Started::Overtaken
    } else {
        Started::Given
    }))
}

/// Starts a unit of which it is known that it [`can_be_started`](Shown::can_be_started): as [`start`], in a third
/// of the time. It is refused where somebody has it stopped meanwhile.
pub(super) async fn start_at_once(name: &str) -> io::Result<()> {
    let words = ["start", "--no-block", "--job-mode=fail", name];
    systemctl(&words).await.map(drop)
}

/// fail2ban shuts the socket down that systemd gave it when it stops (`close` of `server/asyncserver.py`, 1.1.1),
/// and could accept nothing at it any more. Sockets that somebody stopped stay so.
async fn renew(sockets: &[String]) {
    for socket in sockets {
        let shown = show(socket).await.ok().flatten();
        let listened =
            |it: &Shown| matches!(it.unit.active, ActiveState::Active | ActiveState::Failed);
        if shown.is_some_and(|shown| listened(&shown))
            && let Err(error) = systemctl(&["restart", socket]).await
        {
            tracing::warn!("{error}");
        }
    }
}

/// Ends all that is left of a unit that systemd made for us, and waits until its name is free.
pub(super) async fn end_transient(name: &str) -> io::Result<()> {
    let until = Instant::now() + LIMIT;
    while let Some(Shown { unit, .. }) = show(name).await? {
        if !matches!(unit.active, ActiveState::Inactive | ActiveState::Failed) {
            // It may have ended by itself meanwhile.
            let _ = systemctl(&["kill", "--signal=SIGKILL", name]).await;
            let _ = systemctl(&["stop", name]).await;
        }
        if Instant::now() >= until {
            let why =
                format!("the last start command is still there (see systemctl status {name})");
            return Err(io::Error::other(why));
        }
        tokio::time::sleep(JOB_PACE).await;
    }
    Ok(())
}

async fn systemctl(args: &[&str]) -> io::Result<String> {
    let mut command = Command::new("systemctl");
    command.args(args);
    run(command, &format!("systemctl {}", args.join(" "))).await
}

/// Runs a command that speaks to systemd; `what` names it where it fails.
pub(super) async fn run(mut command: Command, what: &str) -> io::Result<String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    notify::scrub(&mut command);
    let ran = tokio::time::timeout(LIMIT, command.output()).await;
    let output = ran.map_err(|_| io::Error::other(format!("{what} did not end in time")))??;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{what}: {}", words.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(text: &str) -> Option<Shown> {
    let get = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .unwrap_or_default()
    };
    let load = get("LoadState");
    if load.is_empty() || load == "not-found" {
        return None;
    }
    let unit = Unit {
        load: load.to_owned(),
        active: match get("ActiveState") {
            "active" => ActiveState::Active,
            "reloading" => ActiveState::Reloading,
            "inactive" => ActiveState::Inactive,
            "failed" => ActiveState::Failed,
            "activating" => ActiveState::Activating,
            "deactivating" => ActiveState::Deactivating,
            _ => ActiveState::Other,
        },
        sub: get("SubState").to_owned(),
        result: get("Result").to_owned(),
        // CLD_EXITED is 1, CLD_KILLED 2, CLD_DUMPED 3 (sigaction(2)).
        main_code: match get("ExecMainCode") {
            "1" => ExitKind::Exited,
            "2" | "3" => ExitKind::Killed,
            _ => ExitKind::None,
        },
        main_status: get("ExecMainStatus").parse().unwrap_or_default(),
        job: !matches!(get("Job"), "" | "0"),
        restarts: false,
        timed_out: get("Result") == "timeout" && is_no_stop(get),
        // How long systemd waits for a stop that began when the unit's state changed.
        stop_left: left(get("TimeoutStopUSec"), get("StateChangeTimestampMonotonic")),
        disabled: get("UnitFileState") == "disabled",
    };
    // What it counts begins anew with a start that comes later than that (`ratelimit_below`, systemd 252).
    let counted = |start| left(get("StartLimitIntervalUSec"), get(start));
    let starts = [
        "InactiveExitTimestampMonotonic",
        "ExecMainStartTimestampMonotonic",
    ];
    let may_be_refused = starts
        .map(counted)
        .iter()
        .any(|left| *left != Some(Duration::ZERO));
    Some(Shown {
        unit,
        may_be_refused,
        main_pid: get("MainPID").parse().unwrap_or_default(),
        restarts: get("NRestarts").parse().unwrap_or_default(),
        triggers: get("TriggeredBy")
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    })
}

/// Whether the time that ran out is not that of a stop: the unit has not been active since it began to start, or
/// was for as long as it may be.
fn is_no_stop<'a>(get: impl Fn(&'static str) -> &'a str) -> bool {
    let at = |key| Duration::from_micros(get(key).parse().unwrap_or_default());
    let active = at("ActiveEnterTimestampMonotonic");
    let ran = at("ActiveExitTimestampMonotonic").saturating_sub(active);
    let limit = humantime::parse_duration(get("RuntimeMaxUSec"));
    at("InactiveExitTimestampMonotonic") > active || limit.is_ok_and(|limit| ran >= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_unit_is_read() {
        let text = "Result=exit-code\nExecMainCode=1\nExecMainStatus=255\nMainPID=0\nLoadState=loaded\nActiveState=failed\nSubState=failed\n";
        let shown = parse(text).unwrap();
        assert_eq!(shown.main_pid, 0);
        assert_eq!(shown.unit.active, ActiveState::Failed);
        assert_eq!(shown.unit.main_code, ExitKind::Exited);
        assert_eq!(shown.unit.main_status, 255);
        assert!(!shown.unit.job);
    }

    /// As systemd 252 shows them, with the times of its monotonic clock.
    #[test]
    fn a_time_that_ran_out_is_that_of_a_stop_or_not() {
        let check = |limit: &str, exit: u64, enter: u64, end: u64| {
            let text = format!(
                "LoadState=loaded\nActiveState=failed\nResult=timeout\nRuntimeMaxUSec={limit}\n\
                 InactiveExitTimestampMonotonic={exit}\nActiveEnterTimestampMonotonic={enter}\n\
                 ActiveExitTimestampMonotonic={end}\n"
            );
            let failed = parse(&text).unwrap().unit;
            let leaving = text.replace("failed", "deactivating") + "Job=366\n";
            let leaving = parse(&leaving).unwrap().unit;
            assert_eq!(failed.timed_out, !leaving.is_being_stopped(), "{text}");
            failed.timed_out
        };
        // TimeoutStopSec=2
        assert!(!check(
            "infinity",
            82_626_240_803,
            82_626_240_803,
            82_628_337_068
        ));
        assert!(!check("1h", 82_626_240_803, 82_626_240_803, 82_628_337_068));
        // RuntimeMaxSec=3
        assert!(check("3s", 82_643_736_867, 82_643_736_867, 82_646_880_371));
        // TimeoutStartSec= with an ExecStartPre= that hangs, after a run before; and at the first start
        assert!(check(
            "infinity",
            82_657_040_808,
            82_643_736_867,
            82_646_880_371
        ));
        assert!(check("infinity", 82_657_040_808, 0, 0));
        assert!(check("3s", 82_657_040_808, 0, 0));
    }

    #[test]
    fn a_job_under_way_is_seen() {
        let text = "MainPID=7\nLoadState=loaded\nActiveState=deactivating\nJob=123\n";
        assert!(parse(text).unwrap().unit.job);
    }

    #[test]
    fn a_restart_is_told_from_a_stop() {
        let job = |kind| {
            format!("JOB  UNIT             TYPE    STATE\n1143 fail2ban.service {kind} running\n")
        };
        assert!(is_restart(&job("restart")) && is_restart(&job("start")));
        assert!(!is_restart(&job("stop")));
        assert!(!is_restart("No jobs running.\n"));
    }

    #[test]
    fn how_much_of_a_time_is_left_is_seen() {
        assert_eq!(left("1min 30s", "0").unwrap(), Duration::ZERO);
        assert_eq!(left("infinity", "0"), None);
        assert!(left("1y", "0").unwrap() > Duration::from_secs(90));
    }

    #[test]
    fn only_a_unit_that_failed_long_after_its_start_is_started_without_ado() {
        let show = |state: &str, limit: &str, more: &str| {
            let text = format!(
                "LoadState=loaded\nActiveState={state}\nStartLimitIntervalUSec={limit}\n\
                 InactiveExitTimestampMonotonic=1\nExecMainStartTimestampMonotonic=2\n{more}"
            );
            parse(&text).unwrap().can_be_started()
        };
        assert!(show("failed", "1ms", ""));
        assert!(show("failed", "0", ""));
        assert!(!show("failed", "1y", ""), "systemd may refuse it");
        assert!(!show("failed", "infinity", ""));
        assert!(!show("failed", "1ms", "Job=7\n"));
        assert!(!show("failed", "1ms", "TriggeredBy=fail2ban.socket\n"));
        assert!(!show("inactive", "1ms", ""), "somebody stopped it");
    }

    #[test]
    fn an_unknown_unit_is_none() {
        assert_eq!(parse("LoadState=not-found\nActiveState=inactive\n"), None);
        assert_eq!(parse(""), None);
    }
}
