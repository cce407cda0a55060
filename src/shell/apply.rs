//! Sending settings into the running daemon: server-wide ones, then jail by jail.

use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use crate::fail2ban::cause::{self, Evidence, Trouble};
use crate::fail2ban::client::{CallError, Connection};
use crate::fail2ban::database;
use crate::fail2ban::descriptors::{self, descriptors};
use crate::fail2ban::literal;
use crate::fail2ban::pickle::Value;
use crate::fail2ban::process::Process;
use crate::machine::{Applied, Change, Changes, StopAnswer};

use super::daemon::Handle;
use super::files;

/// How long one jail's reload may take: a reload that stops jails took up to 12 s, with pyinotify
/// 21 s (fail2ban 1.0.2).
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// How often a database that is in use is looked at.
const LOCK_PACE: Duration = Duration::from_millis(100);
/// How long the database may be in use by another process before nothing is sent for that: fail2ban itself
/// waits for five seconds (`timeout` of Python's sqlite3).
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// Sends what changed. A jail that the daemon refuses does not keep the others from theirs; what is wrong with
/// its database does, as the daemon would lose each of them.
pub(super) async fn apply(handle: &Handle, server: Option<u128>, jails: &Changes) -> Applied {
    let applied = send(handle, server, jails).await;
    let (told, damaged) = (handle.clone(), applied.damaged);
    // The task only fails as the program ends.
    let _ = spawn_blocking(move || told.note_damage(damaged)).await;
    applied
}

async fn send(handle: &Handle, server: Option<u128>, jails: &Changes) -> Applied {
    let mut applied = Applied::default();
    if let Some(evidence) = hindrance(handle).await {
        hinder(&mut applied, &evidence.to_string(), evidence.trouble);
    }
    if applied.hindered.is_some() {
        return applied;
    }
    let mut connection = match open(handle, CALL_LIMIT).await {
        Ok(connection) => connection,
        Err(why) => {
            applied.unreachable = Some(why);
            return applied;
        }
    };
    if let Some(digest) = server {
        match set_server(handle, &mut connection, digest).await {
            Ok(()) => {}
            Err(CallError::Refused { message, .. }) => applied.server = Some(one_line(&message)),
            Err(error) => {
                applied.unreachable = Some(error.to_string());
                return applied;
            }
        }
    }
    for (name, change) in jails {
        match change_jail(handle, &mut connection, name, *change).await {
            Ok(()) => {}
            Err(CallError::Refused { message, .. }) => {
                let words = one_line(&message);
                hinder(&mut applied, &words, cause::trouble_of_database(&words));
                applied.refused.push((name.clone(), words));
                if applied.hindered.is_some() {
                    break;
                }
            }
            Err(error) => {
                applied.unreachable = Some(error.to_string());
                return applied;
            }
        }
    }
    connection.close();
    applied
}

/// Notes what keeps the daemon from taking anything, if it is of its database. What is done about one that is damaged
/// is told.
fn hinder(applied: &mut Applied, words: &str, trouble: Option<Trouble>) {
    applied.damaged = trouble == Some(Trouble::DatabaseDamaged);
    applied.hindered = trouble.map(|trouble| match trouble {
        Trouble::DatabaseDamaged => format!("{trouble}; {words}"),
        _ => format!("{trouble}; {words}; {}", trouble.help()),
    });
}

/// What keeps the daemon from taking anything, for as long as a lock of an instant does not last.
async fn hindrance(handle: &Handle) -> Option<Evidence> {
    let database = handle.kept().database.clone()?;
    let daemon = handle.held().map(|process| process.pid());
    let began = Instant::now();
    loop {
        let database = database.clone();
        let looked = spawn_blocking(move || cause::of_database(&database, daemon));
        let evidence = looked.await.ok().flatten()?;
        let trouble = evidence.trouble?;
        if trouble != Trouble::DatabaseLocked || began.elapsed() >= LOCK_LIMIT {
            return Some(evidence);
        }
        tokio::time::sleep(LOCK_PACE).await;
    }
}

/// Each setting by itself, as outside a full reload that touches no jail.
async fn set_server(
    handle: &Handle,
    connection: &mut Connection,
    digest: u128,
) -> Result<(), CallError> {
    for command in commands(handle, digest).await? {
        if let Value::List(words) = command {
            connection.call(&words, CALL_LIMIT).await?;
        }
    }
    Ok(())
}

async fn change_jail(
    handle: &Handle,
    connection: &mut Connection,
    name: &str,
    change: Change,
) -> Result<(), CallError> {
    let (digest, options) = match change {
        Change::Load(digest) => (digest, vec!["--if-exists"]),
        Change::Restart(digest) => (digest, vec!["--restart", "--if-exists"]),
        Change::Unload => return unload(connection, name).await,
    };
    let reload = [
        text("reload"),
        text(name),
        Value::List(options.into_iter().map(text).collect()),
        Value::List(commands(handle, digest).await?),
    ];
    connection.call(&reload, CALL_LIMIT).await.map(drop)
}

async fn unload(connection: &mut Connection, name: &str) -> Result<(), CallError> {
    match connection
        .call(&[text("stop"), text(name)], CALL_LIMIT)
        .await
    {
        // It is not loaded: that is what was wanted (exceptions.py, 1.0.2).
        Err(CallError::Refused {
            class: Some(class), ..
        }) if class.ends_with("UnknownJailException") => Ok(()),
        answer => answer.map(drop),
    }
}

/// The commands that were read under this digest, by this jailwarden or by one before it that kept them with a
/// good config.
async fn commands(handle: &Handle, digest: u128) -> Result<Vec<Value>, CallError> {
    let refused = |message: String| CallError::Refused {
        class: None,
        message,
    };
    let mut lines = handle.kept().commands.get(&digest).cloned();
    if lines.is_none() {
        let handle = handle.clone();
        let looked = spawn_blocking(move || files::commands(&handle, digest)).await;
        lines = looked.ok().flatten();
    }
    let Some(lines) = lines else {
        return Err(refused(
            "its former settings are no longer at hand".to_owned(),
        ));
    };
    let parsed: Result<Vec<_>, _> = lines.lines().map(literal::parse).collect();
    parsed.map_err(|error| refused(error.to_string()))
}

/// Connects to the process that was looked at last, and to no other that may have taken its place: with socket
/// activation a connect would start one.
async fn open(handle: &Handle, limit: Duration) -> Result<Connection, String> {
    let Some(meant) = handle.held().map(|process| process.pid().as_raw_pid()) else {
        return Err("its process has ended".to_owned());
    };
    let socket = &handle.instance().socket;
    let connection = Connection::open(socket, limit)
        .await
        .map_err(|error| error.to_string())?;
    let serves =
        connection.peer_pid() == Some(meant) || is_served_through_systemd(handle, meant).await;
    if serves {
        Ok(connection)
    } else {
        Err("another process serves the socket now".to_owned())
    }
}

/// Whether systemd, which then is the peer, has given its socket to this process.
async fn is_served_through_systemd(handle: &Handle, process: i32) -> bool {
    let shown = handle.show().await;
    shown.is_some_and(|shown| !shown.triggers.is_empty() && shown.main_pid == process)
}

/// Asks the daemon to stop. It may be gone before its answer is. One whose database is damaged is not asked: 1.0.2 never
/// answers (`server/filter.py`).
pub(super) async fn ask_stop(handle: &Handle) -> StopAnswer {
    let limit = handle.policy().stop_timeout;
    if let Some(process) = handle.held() {
        give_room(&process);
    }
    let database = handle.kept().database.clone();
    if let Some(database) = database
        && let Ok(Ok(Some(damage))) = spawn_blocking(move || database::damage(&database)).await
    {
        return StopAnswer::Unreachable(format!("its database is damaged: {damage}"));
    }
    let mut connection = match open(handle, limit).await {
        Ok(connection) => connection,
        Err(why) => return StopAnswer::Unreachable(why),
    };
    match connection.call(&[text("stop")], limit).await {
        Ok(_) => StopAnswer::Agreed,
        Err(CallError::Refused { message, .. }) => StopAnswer::Refused(one_line(&message)),
        Err(error) => StopAnswer::Unreachable(error.to_string()),
    }
}

/// A daemon that may open no more files could not lift its bans. One that cannot be given any is stopped all
/// the same.
pub(super) fn give_room(process: &Process) {
    if process
        .look(descriptors)
        .is_ok_and(|files| files.are_short())
        && let Err(error) = process.look(descriptors::give_room)
    {
        tracing::debug!("process {}: {error}", process.pid());
    }
}

/// fail2ban's messages may go over several lines; a record in the journal should not.
fn one_line(message: &str) -> String {
    let lines: Vec<_> = message.lines().map(str::trim).collect();
    lines.join(" ")
}

fn text(word: &str) -> Value {
    Value::Str(word.to_owned())
}
