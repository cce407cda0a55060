//! Why a start came to nothing, asked of fail2ban's own words since and of the host.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Pid;
use tokio::process::Command;

use crate::fail2ban::cause::{self, Cause, Kind, Log, Start, Trouble};
use crate::fail2ban::ownlog::{self, Position};
use crate::machine::{Culprit, Verdict};

use super::daemon::Handle;
use super::{notify, transient};

/// How long the journal may take to tell what the unit's processes said, and fail2ban's log to tell how
/// long it is.
const LIMIT: Duration = Duration::from_secs(5);
/// How many lines of that are read; a start that fails says a few.
const LINES: &str = "500";
/// How much evidence is told to people.
const TOLD: usize = 2;

/// Where the traces of a start begin.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    at: SystemTime,
    log: Option<(PathBuf, Position)>,
}

/// Notes where the traces of a start that is about to be given will begin.
pub(super) async fn begin(handle: &Handle) {
    let log = handle.kept().log.clone();
    let position = log.map(|log| {
        tokio::task::spawn_blocking(move || {
            let end = ownlog::end(&log);
            (log, end)
        })
    });
    let log = match position {
        // Where its file system hangs, fail2ban says nothing there either.
        Some(asked) => tokio::time::timeout(LIMIT, asked)
            .await
            .ok()
            .and_then(Result::ok),
        None => None,
    };
    let at = SystemTime::now();
    handle.kept().begun = Some(Begun { at, log });
}

/// Finds who is to blame for the last start.
pub(super) async fn find(handle: &Handle) -> Verdict {
    let Some(begun) = handle.kept().begun.clone() else {
        return Verdict::default();
    };
    let shown = handle.show().await;
    let unit = match (&handle.settings().daemon.unit, &shown) {
        (Some(unit), Some(_)) => Some(unit.clone()),
        _ => transient::is_used().then(|| transient::name(&handle.instance().socket)),
    };
    let output = match &unit {
        Some(unit) => said_by(unit, begun.at).await,
        None => String::new(),
    };
    let mounts_of = unit.map(|_| Pid::INIT);
    let database = handle.kept().database.clone();
    let handle = handle.clone();
    let found = tokio::task::spawn_blocking(move || {
        let unit = shown.as_ref().map(|shown| &shown.unit);
        let log = begun
            .log
            .as_ref()
            .map_or(Log::Unknown, |(path, since)| Log::File { path, since });
        let cause = cause::cause(&Start {
            instance: handle.instance(),
            log,
            output: &output,
            status: unit.map(|unit| unit.main_status),
            result: unit.map(|unit| unit.result.as_str()),
            database: database.as_deref(),
            state_dir: &handle.settings().state_dir,
            mounts_of,
        });
        handle.note_damage(cause.kind == Kind::Environment(Trouble::DatabaseDamaged));
        cause
    });
    found.await.map_or_else(|_| Verdict::default(), verdict)
}

fn verdict(cause: Cause) -> Verdict {
    let mut words: Vec<_> = cause
        .evidence
        .iter()
        .take(TOLD)
        .map(ToString::to_string)
        .collect();
    let culprit = match cause.kind {
        Kind::Config { jail } => Culprit::Config { jail },
        Kind::Environment(trouble) => {
            // What is done about it is told.
            let is_damaged = trouble == Trouble::DatabaseDamaged;
            words.insert(0, trouble.to_string());
            words.extend((!is_damaged).then(|| trouble.help().to_owned()));
            // What else is wrong befalls whichever jail happens to be loaded first.
            let is_needed = matches!(trouble, Trouble::Python | Trouble::MissingProgram);
            let mut jails = cause.evidence.iter().filter_map(|it| it.jail.clone());
            let jail = jails.next().filter(|_| is_needed);
            let database = cause.database;
            if is_damaged {
                Culprit::Damaged
            } else {
                Culprit::Surroundings { jail, database }
            }
        }
        Kind::Unknown => Culprit::Unknown,
    };
    Verdict {
        culprit,
        evidence: words.join("; "),
    }
}

/// What the unit's processes printed since then; `--unit` would show jailwarden's own reports too.
async fn said_by(unit: &str, since: SystemTime) -> String {
    let since = since
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let mut command = Command::new("journalctl");
    command
        .args(["--quiet", "--no-pager", "--output", "cat", "--lines", LINES])
        .arg(format!("--since=@{since}"))
        .arg(format!("_SYSTEMD_UNIT={unit}"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    notify::scrub(&mut command);
    match tokio::time::timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fail2ban::cause::Evidence;

    /// A database that is locked fails whichever jail is loaded first.
    #[test]
    fn only_what_a_jail_itself_needs_is_held_against_it() {
        let of = |trouble| {
            let evidence = vec![Evidence {
                trouble: Some(trouble),
                jail: Some("sshd".to_owned()),
                file: None,
                line: None,
                words: "words".to_owned(),
            }];
            let kind = Kind::Environment(trouble);
            let database = false;
            verdict(Cause {
                kind,
                database,
                evidence,
            })
            .culprit
        };
        for trouble in [
            Trouble::NoRoom,
            Trouble::ReadOnly,
            Trouble::DatabaseLocked,
            Trouble::TooManyFiles,
            Trouble::OutOfMemory,
        ] {
            let jail = None;
            assert_eq!(
                of(trouble),
                Culprit::Surroundings {
                    jail,
                    database: false
                }
            );
        }
        assert_eq!(of(Trouble::DatabaseDamaged), Culprit::Damaged);
        for trouble in [Trouble::Python, Trouble::MissingProgram] {
            let jail = Some("sshd".to_owned());
            assert_eq!(
                of(trouble),
                Culprit::Surroundings {
                    jail,
                    database: false
                }
            );
        }
    }
}
