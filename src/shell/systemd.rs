//! Calls to systemd, each in well under a millisecond, over the socket at which it listens to root alone: that works
//! also while no D-Bus daemon runs.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::ser::Serialize;
use tokio::time::{sleep, timeout};
use zbus::wire::{DynamicType, OwnedObjectPath, OwnedVariant, Type, as_variant};

use self::link::{Body, CallError, Link};

mod link;

/// `bus_connect_system_systemd` in `src/shared/bus-util.c` (systemd 252).
const SOCKET: &str = "/run/systemd/private";
const MANAGER: &str = "/org/freedesktop/systemd1";
/// How long systemd may take to tell of a unit, or to take an order.
const LIMIT: Duration = Duration::from_secs(10);
/// How long nobody may listen where it begins anew (`systemctl daemon-reexec`, as its packages do), which also ends all
/// connections; measured: 160 to 230 ms.
const ANEW: Duration = Duration::from_secs(2);
/// Between two tries to connect.
const PACE: Duration = Duration::from_millis(20);

/// A connection, which is not to be kept for long: systemd sends each of its signals to whoever has one.
#[derive(Debug)]
pub(super) struct Systemd {
    socket: PathBuf,
    link: Link,
}

/// What systemd knows of a unit (`man 5 org.freedesktop.systemd1`); what units of its kind do not have is empty.
/// Times are in microseconds, and [`u64::MAX`] where there is no limit; moments are of the monotonic clock.
#[derive(Debug, Default, Deserialize, Type)]
#[zbus(signature = "dict")]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Properties {
    #[serde(with = "as_variant")]
    pub(super) load_state: String,
    #[serde(with = "as_variant")]
    pub(super) active_state: String,
    #[serde(with = "as_variant")]
    pub(super) sub_state: String,
    #[serde(with = "as_variant")]
    pub(super) result: String,
    #[serde(with = "as_variant")]
    pub(super) exec_main_code: i32,
    #[serde(with = "as_variant")]
    pub(super) exec_main_status: i32,
    #[serde(with = "as_variant", rename = "MainPID")]
    pub(super) main_pid: u32,
    #[serde(with = "as_variant")]
    pub(super) job: Job,
    #[serde(with = "as_variant")]
    pub(super) triggered_by: Vec<String>,
    #[serde(with = "as_variant")]
    pub(super) unit_file_state: String,
    #[serde(with = "as_variant", rename = "NRestarts")]
    pub(super) restarts: u32,
    #[serde(with = "as_variant", rename = "TimeoutStopUSec", default = "no_limit")]
    pub(super) timeout_stop: u64,
    #[serde(
        with = "as_variant",
        rename = "StartLimitIntervalUSec",
        default = "no_limit"
    )]
    pub(super) start_limit_interval: u64,
    #[serde(with = "as_variant", rename = "RuntimeMaxUSec", default = "no_limit")]
    pub(super) runtime_max: u64,
    #[serde(with = "as_variant", rename = "StateChangeTimestampMonotonic")]
    pub(super) state_change: u64,
    #[serde(with = "as_variant", rename = "InactiveExitTimestampMonotonic")]
    pub(super) inactive_exit: u64,
    #[serde(with = "as_variant", rename = "ActiveEnterTimestampMonotonic")]
    pub(super) active_enter: u64,
    #[serde(with = "as_variant", rename = "ActiveExitTimestampMonotonic")]
    pub(super) active_exit: u64,
    #[serde(with = "as_variant", rename = "ExecMainStartTimestampMonotonic")]
    pub(super) main_start: u64,
}

/// A job's number, 0 where there is none, and its path.
type Job = (u32, OwnedObjectPath);

fn no_limit() -> u64 {
    u64::MAX
}

impl Systemd {
    pub(super) async fn connect() -> io::Result<Self> {
        Self::at(Path::new(SOCKET)).await
    }

    async fn at(socket: &Path) -> io::Result<Self> {
        let link = within(open(socket)).await;
        let link = link.map_err(|why| {
            let socket = socket.display();
            io::Error::other(format!("systemd cannot be asked at {socket}: {why}"))
        })?;
        Ok(Self {
            socket: socket.to_owned(),
            link,
        })
    }

    /// What it knows of a unit, which it loads for that.
    pub(super) async fn properties(&mut self, unit: &str) -> io::Result<Properties> {
        let shown = within(async {
            let loaded = self.manage("LoadUnit", &(unit,)).await?;
            let path: OwnedObjectPath = loaded.read()?;
            // All of them, whatever the interface (`property_get_all_callbacks_run` in `sd-bus/bus-objects.c`).
            self.get(path.as_str(), "GetAll", &("",)).await?.read()
        });
        let shown = shown.await;
        shown.map_err(|why| io::Error::other(format!("systemd does not tell of {unit}: {why}")))
    }

    /// What kind of job that is, such as `restart`; nothing if it is over.
    pub(super) async fn job_type(&mut self, job: &Job) -> io::Result<Option<String>> {
        let of = ("org.freedesktop.systemd1.Job", "JobType");
        let kind = within(async {
            match self.get(job.1.as_str(), "Get", &of).await {
                Err(CallError::Refused(_)) => Ok(None),
                told => Ok(Some(String::try_from(told?.read::<OwnedVariant>()?)?)),
            }
        });
        let kind = kind.await;
        kind.map_err(|why| io::Error::other(format!("systemd does not tell of its job: {why}")))
    }

    /// Has it started, without waiting for that. `mode` says what becomes of the jobs that are in the way (`--job-mode`
    /// in `man 1 systemctl`).
    pub(super) async fn start(&mut self, unit: &str, mode: &str) -> io::Result<()> {
        self.order("start", "StartUnit", unit, &(unit, mode)).await
    }

    /// Has it restarted, without waiting for that.
    pub(super) async fn restart(&mut self, unit: &str) -> io::Result<()> {
        let with = (unit, "replace");
        self.order("restart", "RestartUnit", unit, &with).await
    }

    /// Has it stopped, without waiting for that.
    pub(super) async fn stop(&mut self, unit: &str) -> io::Result<()> {
        let with = (unit, "replace");
        self.order("stop", "StopUnit", unit, &with).await
    }

    /// Sends a signal to all of its processes.
    pub(super) async fn kill(&mut self, unit: &str, signal: i32) -> io::Result<()> {
        let with = (unit, "all", signal);
        self.order("kill", "KillUnit", unit, &with).await
    }

    /// Forgets that it failed, and how often it was started lately.
    pub(super) async fn reset_failed(&mut self, unit: &str) -> io::Result<()> {
        let with = (unit,);
        self.order("reset-failed", "ResetFailedUnit", unit, &with)
            .await
    }

    async fn order<B>(&mut self, verb: &str, method: &str, unit: &str, with: &B) -> io::Result<()>
    where
        B: Serialize + DynamicType,
    {
        let done = within(self.manage(method, with)).await;
        done.map(drop)
            .map_err(|why| io::Error::other(format!("systemd does not {verb} {unit}: {why}")))
    }

    async fn manage<B>(&mut self, method: &str, with: &B) -> Result<Body, CallError>
    where
        B: Serialize + DynamicType,
    {
        let interface = "org.freedesktop.systemd1.Manager";
        self.call(MANAGER, interface, method, with).await
    }

    async fn get<B>(&mut self, path: &str, method: &str, with: &B) -> Result<Body, CallError>
    where
        B: Serialize + DynamicType,
    {
        let interface = "org.freedesktop.DBus.Properties";
        self.call(path, interface, method, with).await
    }

    /// A call whose connection ends is made again over another one: no order does more if it is given twice.
    async fn call<B>(
        &mut self,
        path: &str,
        interface: &str,
        method: &str,
        with: &B,
    ) -> Result<Body, CallError>
    where
        B: Serialize + DynamicType,
    {
        let answer = self.link.call(path, interface, method, with).await;
        if !matches!(answer, Err(CallError::Closed)) {
            return answer;
        }
        self.link = open(&self.socket).await?;
        self.link.call(path, interface, method, with).await
    }
}

/// Waits while nobody listens.
async fn open(socket: &Path) -> Result<Link, CallError> {
    let began = Instant::now();
    loop {
        match Link::open(socket).await {
            Err(CallError::Absent | CallError::Closed) if began.elapsed() < ANEW => {
                sleep(PACE).await;
            }
            opened => return opened,
        }
    }
}

async fn within<T>(work: impl Future<Output = Result<T, CallError>>) -> Result<T, String> {
    match timeout(LIMIT, work).await {
        Ok(done) => done.map_err(|why| why.to_string()),
        Err(_) => Err(format!("no answer came within {LIMIT:?}")),
    }
}

#[cfg(test)]
mod tests;
