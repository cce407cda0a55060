//! What goes through the supervisor: how it is called, and what its answers mean here.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::cli::{exit, output, status};
use crate::control::client::{Client, ClientError};
use crate::control::problem::Kind;
use crate::settings::Settings;
use crate::text::safe;

/// How often the line of progress moves.
const FRAME: Duration = Duration::from_millis(125);
/// How often the supervisor is asked how far it is, in frames.
const ASKED: usize = 4;

/// The exit code for a call without a result.
pub(super) fn code_of(error: &ClientError) -> u8 {
    match error {
        ClientError::NotRunning { .. } => exit::NO_SUPERVISOR,
        ClientError::NotPermitted { .. } => exit::NOT_PERMITTED,
        ClientError::TimedOut { .. } => exit::NOT_IN_TIME,
        ClientError::Broken { .. } | ClientError::Runtime(_) => exit::UNREACHABLE,
        ClientError::Problem(problem) => match problem.kind {
            Kind::Forbidden => exit::NOT_PERMITTED,
            Kind::BadRequest | Kind::IllegalName => exit::USAGE,
            Kind::UnknownJail | Kind::NoRollback | Kind::NotProtected => exit::WANTING,
            Kind::Refused => exit::REFUSED,
            Kind::NotBack | Kind::NoAnswer | Kind::Busy | Kind::TooSlow | Kind::CheckTooLong => {
                exit::NOT_IN_TIME
            }
            Kind::Unreachable
            | Kind::NotWritten
            | Kind::NoRoute
            | Kind::NoMethod
            | Kind::TooLarge
            | Kind::Other => exit::UNREACHABLE,
        },
    }
}

/// What went wrong, in lines: the supervisor's words, each finding, and what may help.
pub(super) fn lines(what: &str, error: &ClientError) -> Vec<String> {
    let mut lines = vec![format!("{what}: {}", safe(&error.to_string()))];
    if let ClientError::Problem(problem) = error {
        let findings = problem.findings.iter();
        lines.extend(findings.map(|it| format!("  {}", safe(&status::said(it)))));
        if let Some(jail) = &problem.suspect {
            lines.push(format!(
                "the jail {} is to blame, as far as is known; `rollback add` disables it, so that the \
                 others can run",
                safe(jail)
            ));
        }
    }
    lines
}

/// Where the system forbids us to do it ourselves: has the supervisor do it, which lets some users
/// that are not root. None where it does not either.
pub(super) fn instead<T>(
    settings: &Settings,
    is_denied: bool,
    call: impl FnOnce(&Client) -> Result<T, ClientError>,
) -> Option<T> {
    let socket = settings.control.socket.as_ref()?;
    call(&is_denied.then(|| Client::new(socket, settings.service()))?).ok()
}

/// Does the work, and shows on a terminal meanwhile what the supervisor is at.
pub(super) fn with_progress<T: Send + 'static>(
    client: &Client,
    work: impl FnOnce(&Client) -> T + Send + 'static,
) -> T {
    if !io::stderr().is_terminal() {
        return work(client);
    }
    let (done, result) = mpsc::channel();
    let ours = client.clone();
    thread::spawn(move || done.send(work(&ours)));
    let state = Arc::new(Mutex::new(String::new()));
    for frame in 0.. {
        match result.recv_timeout(FRAME) {
            Ok(result) => {
                output::redraw("");
                return result;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if frame % ASKED == 0 {
            ask(client.clone(), Arc::clone(&state));
        }
        let text = state.lock().unwrap_or_else(PoisonError::into_inner);
        let sign = ['|', '/', '-', '\\'][frame % 4];
        output::redraw(&format!("{sign} {text}"));
    }
    // The thread that worked has panicked, and said so.
    std::process::exit(exit::UNREACHABLE.into())
}

/// Asks how far it is, without keeping the line of progress waiting.
fn ask(client: Client, state: Arc<Mutex<String>>) {
    thread::spawn(move || {
        if let Ok(status) = client.status() {
            let left = status::left(&status).unwrap_or_default();
            let text = safe(&format!("{}{left}", status.state));
            *state.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
    });
}
