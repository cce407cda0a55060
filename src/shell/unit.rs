//! The systemd unit that runs fail2ban.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::fail2ban::process::{Pid, Process};
use crate::machine::{ActiveState, ExitKind, Unit};

use super::systemd::{Properties, Systemd};

/// How often a job of somebody else is looked at.
const JOB_PACE: Duration = Duration::from_millis(200);
/// How long one is waited for: longer than systemd gives a unit to stop (`DefaultTimeoutStopSec`).
const JOB_LIMIT: Duration = Duration::from_secs(120);
/// How often the restart of a socket is looked at.
const RESTART_PACE: Duration = Duration::from_millis(10);
/// How long that may take, and what a start command left to be gone.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What systemd says of a unit, and its main process.
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
    ask(&mut Systemd::connect().await?, name).await
}

async fn ask(systemd: &mut Systemd, name: &str) -> io::Result<Option<Shown>> {
    let properties = systemd.properties(name).await?;
    let mut shown = Shown::read(&properties);
    if let Some(Shown { unit, .. }) = &mut shown {
        if unit.is_being_stopped() {
            // A restart is one and the same job until the stop is over, and a start waits for the end of a stop
            // without a job.
            let kind = systemd.job_type(&properties.job).await?;
            unit.restarts = matches!(kind.as_deref(), Some("restart" | "start"));
        } else {
            unit.stop_left = None;
        }
    }
    Ok(shown)
}

/// How much is left of a time that began then, in microseconds of the monotonic clock.
fn left(limit: u64, since: u64) -> Option<Duration> {
    if limit == u64::MAX {
        return None;
    }
    let [limit, since] = [limit, since].map(Duration::from_micros);
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
    if !is_booted() {
        return Ok(None);
    }
    let mut systemd = Systemd::connect().await?;
    let mut shown = ask(&mut systemd, name).await?;
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
        shown = ask(&mut systemd, name).await?;
    }
    let runs = shown.as_ref().is_some_and(Shown::lives);
    let triggers = shown.iter().flat_map(|shown| shown.triggers.clone());
    let sockets: Vec<_> = triggers.filter(|unit| unit.ends_with(".socket")).collect();
    match shown.map(|s| s.unit.active) {
        Some(ActiveState::Inactive) if waited => return Ok(Some(Started::Forestalled)),
        // A restart job goes on to activating; one that ended in leaving was a stop.
        Some(ActiveState::Failed) if was_leaving => return Ok(Some(Started::Forestalled)),
        Some(ActiveState::Failed) => systemd.reset_failed(name).await?,
        _ => {}
    }
    if !runs {
        renew(&mut systemd, &sockets).await;
    }
    systemd.start(name, "replace").await?;
    Ok(Some(if runs {
        Started::Overtaken
    } else {
        Started::Given
    }))
}

/// Starts a unit of which it is known that it [`can_be_started`](Shown::can_be_started), without asking again. It is
/// refused where somebody has it stopped meanwhile.
pub(super) async fn start_at_once(name: &str) -> io::Result<()> {
    let mut systemd = Systemd::connect().await?;
    systemd.start(name, "fail").await
}

/// fail2ban shuts the socket down that systemd gave it when it stops (`close` of `server/asyncserver.py`, 1.1.1),
/// and could accept nothing at it any more. Sockets that somebody stopped stay so.
async fn renew(systemd: &mut Systemd, sockets: &[String]) {
    for socket in sockets {
        let shown = ask(systemd, socket).await.ok().flatten();
        let listened =
            |it: &Shown| matches!(it.unit.active, ActiveState::Active | ActiveState::Failed);
        if shown.is_some_and(|shown| listened(&shown))
            && let Err(error) = restart(systemd, socket).await
        {
            tracing::warn!("{error}");
        }
    }
}

/// Restarts a unit, and waits until that is done.
async fn restart(systemd: &mut Systemd, name: &str) -> io::Result<()> {
    systemd.restart(name).await?;
    let until = Instant::now() + END_LIMIT;
    loop {
        match ask(systemd, name).await? {
            Some(Shown { unit, .. }) if unit.job && Instant::now() < until => {
                tokio::time::sleep(RESTART_PACE).await;
            }
            Some(Shown { unit, .. }) if unit.active == ActiveState::Active => return Ok(()),
            _ => {
                let why = format!("systemd could not restart {name} (see systemctl status {name})");
                return Err(io::Error::other(why));
            }
        }
    }
}

/// Ends all that is left of a unit that systemd made for us, and waits until its name is free.
pub(super) async fn end_transient(name: &str) -> io::Result<()> {
    let until = Instant::now() + END_LIMIT;
    let mut systemd = Systemd::connect().await?;
    while let Some(Shown { unit, .. }) = ask(&mut systemd, name).await? {
        if !matches!(unit.active, ActiveState::Inactive | ActiveState::Failed) {
            // It may have ended by itself meanwhile.
            let _ = systemd.kill(name, Signal::KILL.as_raw()).await;
            let _ = systemd.stop(name).await;
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

impl Shown {
    /// `None` for a unit that systemd does not know.
    fn read(of: &Properties) -> Option<Self> {
        if matches!(of.load_state.as_str(), "" | "not-found") {
            return None;
        }
        let unit = Unit {
            load: of.load_state.clone(),
            active: match of.active_state.as_str() {
                "active" => ActiveState::Active,
                "reloading" => ActiveState::Reloading,
                "inactive" => ActiveState::Inactive,
                "failed" => ActiveState::Failed,
                "activating" => ActiveState::Activating,
                "deactivating" => ActiveState::Deactivating,
                _ => ActiveState::Other,
            },
            sub: of.sub_state.clone(),
            result: of.result.clone(),
            // CLD_EXITED is 1, CLD_KILLED 2, CLD_DUMPED 3 (sigaction(2)).
            main_code: match of.exec_main_code {
                1 => ExitKind::Exited,
                2 | 3 => ExitKind::Killed,
                _ => ExitKind::None,
            },
            main_status: of.exec_main_status,
            job: of.job.0 != 0,
            restarts: false,
            timed_out: of.result == "timeout" && is_no_stop(of),
            // How long systemd waits for a stop that began when the unit's state changed.
            stop_left: left(of.timeout_stop, of.state_change),
            disabled: of.unit_file_state == "disabled",
        };
        // What it counts begins anew with a start that comes later than that (`ratelimit_below`, systemd 252).
        let counts = |start| left(of.start_limit_interval, start) != Some(Duration::ZERO);
        Some(Self {
            unit,
            may_be_refused: [of.inactive_exit, of.main_start].into_iter().any(counts),
            main_pid: i32::try_from(of.main_pid).unwrap_or_default(),
            restarts: of.restarts,
            triggers: of.triggered_by.clone(),
        })
    }
}

/// Whether the time that ran out is not that of a stop: the unit has not been active since it began to start, or
/// was for as long as it may be.
fn is_no_stop(of: &Properties) -> bool {
    let ran = of.active_exit.saturating_sub(of.active_enter);
    of.inactive_exit > of.active_enter || ran >= of.runtime_max
}

#[cfg(test)]
mod tests {
    use zbus::wire::OwnedObjectPath;

    use super::*;

    const YEAR: u64 = 365 * 86_400 * 1_000_000;

    fn loaded(active_state: &str) -> Properties {
        Properties {
            load_state: "loaded".into(),
            active_state: active_state.into(),
            ..Properties::default()
        }
    }

    #[test]
    fn a_failed_unit_is_read() {
        let of = Properties {
            result: "exit-code".into(),
            exec_main_code: 1,
            exec_main_status: 255,
            ..loaded("failed")
        };
        let shown = Shown::read(&of).unwrap();
        assert_eq!(shown.main_pid, 0);
        assert_eq!(shown.unit.active, ActiveState::Failed);
        assert_eq!(shown.unit.main_code, ExitKind::Exited);
        assert_eq!(shown.unit.main_status, 255);
        assert!(!shown.unit.job);
    }

    /// As systemd 252 shows them, with the times of its monotonic clock.
    #[test]
    fn a_time_that_ran_out_is_that_of_a_stop_or_not() {
        let check = |limit: u64, exit: u64, enter: u64, end: u64| {
            let of = |state, job| Properties {
                result: "timeout".into(),
                runtime_max: limit,
                inactive_exit: exit,
                active_enter: enter,
                active_exit: end,
                job: (job, OwnedObjectPath::default()),
                ..loaded(state)
            };
            let failed = Shown::read(&of("failed", 0)).unwrap().unit;
            let leaving = Shown::read(&of("deactivating", 366)).unwrap().unit;
            assert_eq!(failed.timed_out, !leaving.is_being_stopped(), "{failed:?}");
            failed.timed_out
        };
        let (hour, three_seconds) = (3_600_000_000, 3_000_000);
        // TimeoutStopSec=2
        assert!(!check(
            u64::MAX,
            82_626_240_803,
            82_626_240_803,
            82_628_337_068
        ));
        assert!(!check(hour, 82_626_240_803, 82_626_240_803, 82_628_337_068));
        // RuntimeMaxSec=3
        assert!(check(
            three_seconds,
            82_643_736_867,
            82_643_736_867,
            82_646_880_371
        ));
        // TimeoutStartSec= with an ExecStartPre= that hangs, after a run before; and at the first start
        assert!(check(
            u64::MAX,
            82_657_040_808,
            82_643_736_867,
            82_646_880_371
        ));
        assert!(check(u64::MAX, 82_657_040_808, 0, 0));
        assert!(check(three_seconds, 82_657_040_808, 0, 0));
    }

    #[test]
    fn a_job_under_way_is_seen() {
        let of = Properties {
            main_pid: 7,
            job: (123, OwnedObjectPath::default()),
            ..loaded("deactivating")
        };
        assert!(Shown::read(&of).unwrap().unit.job);
    }

    #[test]
    fn how_much_of_a_time_is_left_is_seen() {
        assert_eq!(left(90_000_000, 0).unwrap(), Duration::ZERO);
        assert_eq!(left(u64::MAX, 0), None);
        assert!(left(YEAR, 0).unwrap() > Duration::from_secs(90));
    }

    #[test]
    fn only_a_unit_that_failed_long_after_its_start_is_started_without_ado() {
        let is = |state, limit, change: fn(&mut Properties)| {
            let mut of = Properties {
                start_limit_interval: limit,
                inactive_exit: 1,
                main_start: 2,
                ..loaded(state)
            };
            change(&mut of);
            Shown::read(&of).unwrap().can_be_started()
        };
        let as_it_is: fn(&mut Properties) = |_| {};
        assert!(is("failed", 1000, as_it_is));
        assert!(is("failed", 0, as_it_is));
        assert!(!is("failed", YEAR, as_it_is), "systemd may refuse it");
        assert!(!is("failed", u64::MAX, as_it_is));
        assert!(!is("failed", 1000, |of| of.job.0 = 7));
        let triggered = |of: &mut Properties| of.triggered_by = vec!["fail2ban.socket".into()];
        assert!(!is("failed", 1000, triggered));
        assert!(!is("inactive", 1000, as_it_is), "somebody stopped it");
    }

    #[test]
    fn an_unknown_unit_is_none() {
        let of = Properties {
            load_state: "not-found".into(),
            ..loaded("inactive")
        };
        assert_eq!(Shown::read(&of), None);
    }
}
