//! Starting the daemon: the unit where systemd runs it, else the start command.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::machine::Outcome;

use super::daemon::Handle;
use super::unit::Started;
use super::{notify, transient, unit};

/// For so long what a look saw of the unit is taken for true.
const FRESH: Duration = Duration::from_millis(200);

/// Gives the start command. Whether the daemon comes up is for the probe to say.
pub(super) async fn start(handle: &Handle) -> Outcome {
    let Some(name) = &handle.settings().daemon.unit else {
        return spawn_if_gone(handle).await;
    };
    let is_known_down = handle.kept().is_unit_down(FRESH);
    if is_known_down && unit::start_at_once(name).await.is_ok() {
        return Outcome::Effect(Ok(()));
    }
    match unit::start(name).await {
        Ok(None) => spawn_if_gone(handle).await,
        Ok(Some(Started::Given)) => Outcome::Effect(Ok(())),
        Ok(Some(Started::Overtaken)) => Outcome::Overtaken,
        Ok(Some(Started::Forestalled)) => {
            Outcome::Forestalled("its unit was stopped by somebody else".to_owned())
        }
        Err(error) => Outcome::Effect(Err(error.to_string())),
    }
}

async fn spawn_if_gone(handle: &Handle) -> Outcome {
    if UnixStream::connect(&handle.instance().socket).await.is_ok() {
        return Outcome::Overtaken;
    }
    Outcome::Effect(spawn(handle).await)
}

/// Runs the start command as a process that outlives jailwarden and is not in its cgroup.
async fn spawn(handle: &Handle) -> Result<(), String> {
    let words = &handle.settings().daemon.start_command;
    let Some((program, args)) = words.split_first() else {
        return Err("daemon.start_command is empty".to_owned());
    };
    let before = handle.kept().start.take();
    if let Some(before) = before {
        before.end().await;
    }
    if transient::is_used() {
        let ended = transient::end(handle.instance()).await;
        ended.map_err(|error| format!("the start before cannot be ended: {error}"))?;
    }
    remove_stale_socket(handle)
        .await
        .map_err(|error| format!("its stale socket cannot be removed: {error}"))?;
    let refused = |error: io::Error| {
        format!(
            "{}: {error}; see daemon.start_command in the settings",
            program.display()
        )
    };
    if transient::is_used() {
        return transient::start(handle.instance(), words)
            .await
            .map_err(refused);
    }
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    notify::scrub(&mut command);
    let child = command.spawn().map_err(refused)?;
    handle.kept().start = Some(Given::watch(child));
    Ok(())
}

/// A start command that was given, and may still be under way.
#[derive(Debug)]
pub(super) struct Given {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Given {
    fn watch(mut child: Child) -> Self {
        let (end, told) = oneshot::channel();
        let task = tokio::spawn(async move {
            let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            tokio::select! {
                ended = child.wait() => tracing::debug!("the start command ended: {ended:?}"),
                Ok(()) = told => {
                    if let Some(group) = group {
                        let _ = kill_process_group(group, Signal::KILL);
                    }
                    let _ = child.wait().await;
                }
            }
        });
        Self { end, task }
    }

    /// Ends it: two at a time would start two daemons.
    async fn end(self) {
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

/// A crashed daemon leaves its socket, and the next one refuses to start over it (asyncserver.py,
/// 1.0.2). Only a socket that nobody listens at is removed.
async fn remove_stale_socket(handle: &Handle) -> io::Result<()> {
    let socket = &handle.instance().socket;
    match UnixStream::connect(socket).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(socket)
        }
        _ => Ok(()),
    }
}
