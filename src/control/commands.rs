//! What is done through the API. Once begun it is done, also where the client has gone.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinError, spawn_blocking};

use super::answer::{self, Answer};
use super::api::Api;
use super::link::{Command, Reply};
use super::problem::{Kind, Problem};
use super::wire::{CheckRequest, PauseRequest, Resumed, RollbackAnswer};
use crate::check::{self, CheckError};
use crate::pause;
use crate::rollback::{self, JailName, RollbackError};
use crate::status::{Condition, Pause, Timestamp};
use crate::text::safe;

pub(super) async fn restart(api: &Arc<Api>, by: &str) -> Result<Answer, Problem> {
    tell(api, by, Command::Restart, "restart").await
}

pub(super) async fn reload(api: &Arc<Api>, by: &str) -> Result<Answer, Problem> {
    tell(api, by, Command::Reload, "reload").await
}

async fn tell(
    api: &Arc<Api>,
    by: &str,
    command: Command,
    what: &'static str,
) -> Result<Answer, Problem> {
    let here = Arc::clone(api);
    say(by, what);
    to_the_end(api, async move {
        match here.answered(here.link.tell(command)).await? {
            Reply::Done { .. } => Ok(answer::done()),
            reply => Err(failed(reply)),
        }
    })
    .await
}

pub(super) async fn roll_back(api: &Arc<Api>, by: &str, name: &str) -> Result<Answer, Problem> {
    let jail = legal(name)?;
    let here = Arc::clone(api);
    say(by, &format!("a rollback of {jail}"));
    to_the_end(api, async move {
        let jail = jail.as_str();
        let command = Command::RollBack {
            jail: jail.to_owned(),
        };
        let reply = here.answered(here.link.tell(command)).await?;
        let message = match &reply {
            Reply::Done { .. } => format!(
                "{jail} is disabled and fail2ban protects with the others; to undo it: {} rollback undo {jail}",
                here.called
            ),
            Reply::NotBack { why, .. } => format!(
                "{jail} is disabled, and fail2ban is not back: {why}; jailwarden goes on to mend that"
            ),
            _ => return Err(failed(reply)),
        };
        let now = RollbackAnswer::new(jail, &*here.status_now().await?, message);
        if now.disabled {
            Ok(answer::json(&now))
        } else {
            Err(failed(reply))
        }
    })
    .await
}

pub(super) async fn undo(api: &Arc<Api>, by: &str, name: &str) -> Result<Answer, Problem> {
    if name == rollback::DBFILE {
        return end_in_memory(api, by).await;
    }
    let jail = legal(name)?;
    let here = Arc::clone(api);
    say(by, &format!("the rollback of {jail} to be undone"));
    to_the_end(api, async move {
        is_not_paused(&here).await?;
        let (config_dir, its) = (here.config_dir.clone(), jail.clone());
        removed(move || rollback::remove(&config_dir, &its)).await?;
        let jail = jail.as_str();
        let reply = here.answered(here.link.tell(Command::Reload)).await?;
        let status = here.status_now().await?;
        let is_alive = status.jails.iter().any(|it| {
            it.name == jail && matches!(it.condition, Condition::Protects | Condition::Ailing)
        });
        let message = match reply {
            _ if is_alive => format!("{jail} is enabled and protects again"),
            Reply::Done { .. } => {
                format!("{jail} is no longer disabled by jailwarden; nothing else enables it")
            }
            Reply::Unreachable { why } | Reply::NotBack { why, .. } => {
                format!("{jail} is no longer disabled; {why}")
            }
            reply => return Err(failed(reply)),
        };
        Ok(answer::json(&RollbackAnswer::new(jail, &status, message)))
    })
    .await
}

/// The loop sees that the file is gone, and restarts fail2ban for it.
async fn end_in_memory(api: &Arc<Api>, by: &str) -> Result<Answer, Problem> {
    let here = Arc::clone(api);
    say(by, "fail2ban's database to be in its file again");
    to_the_end(api, async move {
        is_not_paused(&here).await?;
        let config_dir = here.config_dir.clone();
        removed(move || rollback::end_in_memory(&config_dir)).await?;
        let status = here.status_now().await?;
        let message = "the file that kept the database in memory is gone; jailwarden restarts fail2ban for it";
        let answer = RollbackAnswer::new(rollback::DBFILE, &status, message.to_owned());
        Ok(answer::json(&answer))
    })
    .await
}

async fn is_not_paused(api: &Api) -> Result<(), Problem> {
    let status = api.status_now().await?;
    let refused = |pause: &Pause| {
        let why = &pause.why;
        let words = format!("jailwarden is paused ({why}); to end the pause: POST /api/resume");
        Problem::new(Kind::Refused, words)
    };
    status
        .pause
        .as_ref()
        .map_or(Ok(()), |pause| Err(refused(pause)))
}

/// `remove` says whether there was something to remove.
async fn removed(
    remove: impl FnOnce() -> Result<bool, RollbackError> + Send + 'static,
) -> Result<(), Problem> {
    match off_the_loop(remove).await? {
        Ok(true) => Ok(()),
        Ok(false) => Err(Problem::new(
            Kind::NoRollback,
            "jailwarden has not disabled this jail; those that it has have a `rollback` in GET /api/jails",
        )),
        Err(error) => Err(Problem::new(Kind::NotWritten, error.to_string())),
    }
}

pub(super) async fn pause(
    api: &Arc<Api>,
    by: &str,
    request: PauseRequest,
) -> Result<Answer, Problem> {
    let until = request.span.as_deref().map(end_of).transpose()?;
    let state_dir = api.state_dir.clone();
    let pause = pause::Pause {
        until,
        reason: request.reason,
        by: by.to_owned(),
    };
    let written = off_the_loop(move || pause::ask(&state_dir, &pause).map(|()| pause));
    let pause = written.await?.map_err(|error| not_written(api, &error))?;
    Ok(answer::json(&Pause {
        why: pause.why(),
        until: pause.until.map(Timestamp::from),
    }))
}

/// When a pause of that length ends.
fn end_of(span: &str) -> Result<SystemTime, Problem> {
    let faulty = |why: &str| {
        let shown = safe(span);
        Problem::new(Kind::BadRequest, format!("for: \"{shown}\": {why}"))
    };
    match humantime::parse_duration(span) {
        Ok(span) if span < Duration::from_secs(1) => Err(faulty("a pause lasts a second at least")),
        Ok(span) => SystemTime::now()
            .checked_add(span)
            .ok_or_else(|| faulty("that is further away than time goes; leave it out")),
        Err(_) => Err(faulty("write it as 30m, 2h or 1day")),
    }
}

pub(super) async fn resume(api: &Arc<Api>) -> Result<Answer, Problem> {
    let state_dir = api.state_dir.clone();
    let ended = off_the_loop(move || pause::end(&state_dir)).await?;
    let was_paused = ended.map_err(|error| not_written(api, &error))?;
    Ok(answer::json(&Resumed { was_paused }))
}

fn not_written(api: &Api, error: &io::Error) -> Problem {
    let path = pause::path(&api.state_dir);
    Problem::new(Kind::NotWritten, format!("{}: {error}", path.display()))
}

pub(super) async fn check(api: &Api, request: CheckRequest) -> Result<Answer, Problem> {
    let busy = |_| {
        Problem::new(
            Kind::Busy,
            "a dry run is under way; try again once it is done",
        )
    };
    let _alone = api.checking.try_acquire().map_err(busy)?;
    let request = check::Request {
        client: api.client.clone(),
        config_dir: api.config_dir.clone(),
        jails: BTreeSet::from_iter(request.jails),
        allow_missing_logs: request.allow_missing_logs,
        stand_ins: Vec::new(),
    };
    match check::gather(&request).await {
        Ok(report) => Ok(answer::json_text(check::json::render(&report))),
        Err(error) => Err(unchecked(&error)),
    }
}

fn unchecked(error: &CheckError) -> Problem {
    let kind = if error.is_timeout() {
        Kind::CheckTooLong
    } else {
        Kind::Unreachable
    };
    Problem::new(kind, format!("could not check: {error}"))
}

fn legal(name: &str) -> Result<JailName, Problem> {
    JailName::new(name).map_err(|error| Problem::new(Kind::IllegalName, error.to_string()))
}

/// What a reply other than [`Reply::Done`] is as a problem.
fn failed(reply: Reply) -> Problem {
    match reply {
        Reply::Done { .. } => Problem::new(Kind::Refused, "it was undone meanwhile"),
        Reply::Refused { why, findings } => Problem {
            findings,
            ..Problem::new(Kind::Refused, why)
        },
        Reply::Unreachable { why } => Problem::new(Kind::Unreachable, why),
        Reply::UnknownJail => Problem::new(
            Kind::UnknownJail,
            "fail2ban's config has no such jail; see GET /api/jails",
        ),
        Reply::NotBack { why, suspect } => {
            let name = suspect.as_deref().and_then(|jail| JailName::new(jail).ok());
            Problem {
                rollback: name.map(|jail| format!("/api/config/jails/{jail}/rollback")),
                suspect,
                ..Problem::new(
                    Kind::NotBack,
                    format!(
                        "fail2ban did not come back, or not healthy: {why}; jailwarden goes on to mend \
                         that, see GET /api/status"
                    ),
                )
            }
        }
    }
}

/// For the journal, since it is not jailwarden's own doing.
fn say(by: &str, what: &str) {
    tracing::info!("{} asks for {what}, through the control API", safe(by));
}

/// Does it whether or not the client waits for it.
async fn to_the_end(
    api: &Api,
    work: impl Future<Output = Result<Answer, Problem>> + Send + 'static,
) -> Result<Answer, Problem> {
    let place = Arc::clone(&api.commands).try_acquire_owned();
    let place = place.map_err(|_| {
        Problem::new(
            Kind::Busy,
            "too many commands are under way; try again once they are done",
        )
    })?;
    let work = tokio::spawn(async move {
        let _place = place;
        work.await
    });
    work.await.unwrap_or_else(|error| Err(broken_off(&error)))
}

/// Files may take their time, and others are served meanwhile.
async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    spawn_blocking(work)
        .await
        .map_err(|error| broken_off(&error))
}

fn broken_off(error: &JoinError) -> Problem {
    Problem::new(Kind::NoAnswer, format!("it was broken off: {error}"))
}
