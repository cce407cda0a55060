//! From a request to its answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, Semaphore};

use super::answer::{self, Answer};
use super::commands;
use super::link::{Link, NoAnswer};
use super::openapi;
use super::page;
use super::problem::{Kind, Problem};
use super::rights::Rights;
use super::routes::{self, Route};
use super::sse;
use super::wire::{Health, Incidents, Jails};
use crate::settings::Settings;
use crate::status::{Past, Protection, SCHEMA, Status};

/// The largest body of a request, in bytes.
const BODY: usize = 64 << 10;
/// The time for a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How old an answer of the loop may be: however many read, it is asked for each of status, past and metrics ten
/// times a second at most.
const FRESH: Duration = Duration::from_millis(100);
/// How many may listen to events at once.
const WATCHERS: usize = 128;
/// How many commands may be under way or waiting at once.
const COMMANDS: usize = 8;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller {
    /// The user with that number, at the socket.
    User(u32),
    /// Whoever is on this host, at the address of the page.
    Anybody,
}

/// What answers are made of.
pub(super) struct Api {
    pub(super) link: Link,
    pub(super) config_dir: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) client: Vec<std::ffi::OsString>,
    /// How a person calls this jailwarden.
    pub(super) called: String,
    /// Its instance, if it is a further one of this host.
    pub(super) instance: Option<String>,
    /// Its service, as `journalctl -u` takes it.
    service: String,
    /// A dry run takes a processor for seconds, so there is one at a time.
    pub(super) checking: Semaphore,
    pub(super) commands: Arc<Semaphore>,
    rights: Rights,
    watchers: Arc<Semaphore>,
    /// Those at the address of the page, who may not take the places of the others.
    onlookers: Arc<Semaphore>,
    status: Cached<Status>,
    past: Cached<Past>,
    metrics: Cached<String>,
}

/// What the loop last said, and when.
type Cached<T> = Mutex<Option<(Instant, Arc<T>)>>;

impl Api {
    pub(super) fn new(settings: &Settings, link: Link, rights: Rights) -> Self {
        Self {
            link,
            config_dir: settings.config_dir.clone(),
            state_dir: settings.state_dir.clone(),
            client: settings.daemon.client.clone(),
            called: settings.called(),
            instance: settings.instance.clone(),
            service: settings.service(),
            checking: Semaphore::new(1),
            commands: Arc::new(Semaphore::new(COMMANDS)),
            rights,
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            onlookers: Arc::new(Semaphore::new(WATCHERS)),
            status: Mutex::new(None),
            past: Mutex::new(None),
            metrics: Mutex::new(None),
        }
    }

    /// Answers a request.
    pub(super) async fn answer(
        self: &Arc<Self>,
        caller: Caller,
        request: Request<Incoming>,
    ) -> Answer {
        let answered = match caller {
            Caller::User(_) => self.route(caller, request).await,
            Caller::Anybody => page::answer(self, request).await,
        };
        let answer = answered.unwrap_or_else(|problem| answer::problem(&problem));
        match caller {
            Caller::User(_) => answer,
            Caller::Anybody => page::guarded(answer),
        }
    }

    /// Does what the table of routes says.
    pub(super) async fn route(
        self: &Arc<Self>,
        caller: Caller,
        request: Request<Incoming>,
    ) -> Result<Answer, Problem> {
        let (head, body) = request.into_parts();
        let (row, name) = routes::find(&head.method, head.uri.path())?;
        let admin = match caller {
            Caller::User(uid) => self.rights.admin(uid),
            Caller::Anybody => None,
        };
        if row.changes && admin.is_none() {
            return Err(Problem::new(
                Kind::Forbidden,
                "you may read, and only root and the users in control.admins of jailwarden's settings \
                 may do this; run it as root",
            ));
        }
        // Whoever only reads need not be known by name.
        let by = admin.unwrap_or_default();
        let body = collected(body).await?;
        match row.route {
            Route::Status => Ok(answer::json(&*self.status().await?)),
            Route::Jails => Ok(answer::json(&Jails {
                schema: SCHEMA,
                jails: self.status().await?.jails.clone(),
            })),
            Route::Incidents => self.incidents().await,
            Route::Events => {
                let after = head.headers.get(sse::LAST_EVENT_ID);
                self.events(caller, after.and_then(|id| id.to_str().ok()))
            }
            Route::Healthz => Ok(answer::json(&Health::from(&*self.status().await?))),
            Route::Readyz => self.ready().await,
            Route::Metrics => {
                let text = cached(&self.metrics, self.answered(self.link.metrics())).await?;
                Ok(answer::metrics((*text).clone()))
            }
            Route::OpenApi => Ok(answer::json_text(openapi::DOCUMENT)),
            Route::Check => commands::check(self, parsed(&body)?).await,
            Route::Pause => commands::pause(self, by, parsed(&body)?).await,
            Route::Resume => commands::resume(self).await,
            Route::Restart => commands::restart(self, by).await,
            Route::Reload => commands::reload(self, by).await,
            Route::RollBack => commands::roll_back(self, by, name).await,
            Route::Undo => commands::undo(self, by, name).await,
        }
    }

    /// What was true a moment ago.
    pub(super) async fn status(&self) -> Result<Arc<Status>, Problem> {
        cached(&self.status, self.answered(self.link.status())).await
    }

    /// What is true now.
    pub(super) async fn status_now(&self) -> Result<Arc<Status>, Problem> {
        *self.status.lock().await = None;
        self.status().await
    }

    /// What is remembered.
    pub(super) async fn past(&self) -> Result<Arc<Past>, Problem> {
        cached(&self.past, self.answered(self.link.past())).await
    }

    /// What the loop answers, or where to see why it does not.
    pub(super) async fn answered<T>(
        &self,
        ask: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, Problem> {
        ask.await.map_err(|error| {
            let service = &self.service;
            Problem::new(
                Kind::NoAnswer,
                format!("{error}: it is ending, or hangs; see: journalctl -u {service}"),
            )
        })
    }

    async fn incidents(&self) -> Result<Answer, Problem> {
        let past = self.past().await?;
        Ok(answer::json(&Incidents {
            schema: SCHEMA,
            incident: self.status().await?.incident.clone(),
            incidents: past.incidents.clone(),
            since: past.since,
            hours: past.hours.clone(),
        }))
    }

    async fn ready(&self) -> Result<Answer, Problem> {
        let status = self.status().await?;
        if status.protection == Protection::Full {
            return Ok(answer::json(&Health::from(&*status)));
        }
        let mut problem = Problem::new(Kind::NotProtected, status.text.clone());
        problem.findings.clone_from(&status.findings);
        Err(problem)
    }

    fn events(&self, caller: Caller, after: Option<&str>) -> Result<Answer, Problem> {
        let places = match caller {
            Caller::User(_) => &self.watchers,
            Caller::Anybody => &self.onlookers,
        };
        let place = Arc::clone(places).try_acquire_owned();
        let place = place.map_err(|_| {
            Problem::new(
                Kind::Busy,
                format!("{WATCHERS} clients listen already; close some, or try again later"),
            )
        })?;
        let listener = sse::listener(&self.link, after);
        let stream = sse::Stream::new(self.link.run(), listener, place);
        Ok(answer::events(stream))
    }
}

/// Whoever asks meanwhile waits for the same answer.
async fn cached<T>(
    cache: &Cached<T>,
    ask: impl Future<Output = Result<T, Problem>>,
) -> Result<Arc<T>, Problem> {
    let mut cache = cache.lock().await;
    if let Some((at, value)) = &*cache
        && at.elapsed() < FRESH
    {
        return Ok(Arc::clone(value));
    }
    let value = Arc::new(ask.await?);
    *cache = Some((Instant::now(), Arc::clone(&value)));
    Ok(value)
}

async fn collected(body: Incoming) -> Result<Bytes, Problem> {
    let body = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY).collect()).await;
    match body {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            Kind::TooLarge,
            format!("a request may have {BODY} bytes"),
        )),
        Ok(Err(error)) => Err(Problem::new(
            Kind::BadRequest,
            format!("the request broke off: {error}"),
        )),
        Err(_) => Err(Problem::new(
            Kind::TooSlow,
            format!("the request was not there after {} s", BODY_TIME.as_secs()),
        )),
    }
}

/// The JSON of a body; an empty one asks for nothing in particular.
fn parsed<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(
            Kind::BadRequest,
            format!("the request's JSON is faulty: {error}; see GET /openapi.json"),
        )
    })
}
