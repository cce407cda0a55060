//! The control API from the caller's side, blocking, for the command line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::problem::{Kind, Problem};
use super::sse;
use super::wire::{CheckRequest, Health, Incidents, Jails, PauseRequest, Resumed, RollbackAnswer};
use crate::rollback::{DBFILE, JailName};
use crate::status::{Happening, Pause, Status};

/// HTTP wants a name for whom is asked.
const HOST: &str = "jailwarden";

/// For what only has to be looked up.
const SOON: Duration = Duration::from_secs(15);
/// For a command: above the supervisor's own limit of 5 minutes.
const COMMAND: Duration = Duration::from_secs(330);

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error(
        "jailwarden does not run, or serves no API: {}: {error}; to start it: systemctl start {service}",
        socket.display()
    )]
    NotRunning {
        /// The service that would run it.
        service: String,
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The socket is not for this user.
    #[error(
        "{}: permission denied; run it as root, or as a member of the group jailwarden", socket.display()
    )]
    NotPermitted {
        /// The socket.
        socket: PathBuf,
    },
    /// The supervisor says why it did not do what was asked, or why it may not be asked.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// No answer came in time.
    #[error("{}: no answer for {} s; is jailwarden overloaded? See: journalctl -u {service}", socket.display(), after.as_secs())]
    TimedOut {
        /// The service that runs it.
        service: String,
        /// The socket.
        socket: PathBuf,
        /// How long was waited for it.
        after: Duration,
    },
    /// What listens there does not speak as jailwarden does, or broke off.
    #[error("{}: the answer cannot be used: {why}", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// Why.
        why: String,
    },
    /// The system gives us no event loop.
    #[error("nothing can be run here: {0}")]
    Runtime(io::Error),
}

/// Calls to the supervisor that listens on a socket. Each opens a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    service: String,
}

impl Client {
    /// For the supervisor at `socket`, which this service runs; nothing is opened yet.
    #[must_use]
    pub fn new(socket: &Path, service: String) -> Self {
        Self {
            socket: socket.to_owned(),
            service,
        }
    }

    /// What is true of the host now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn status(&self) -> Result<Status, ClientError> {
        self.get("/api/status")
    }

    /// The jails now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn jails(&self) -> Result<Jails, ClientError> {
        self.get("/api/jails")
    }

    /// All incidents that are kept.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn incidents(&self) -> Result<Incidents, ClientError> {
        self.get("/api/incidents")
    }

    /// Whether the host is fully protected; if not, the error is a [`Problem`] that says why.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ready(&self) -> Result<Health, ClientError> {
        self.get("/readyz")
    }

    /// What happens from now on, or has since the event `after`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn events(&self, after: Option<&str>) -> Result<Events, ClientError> {
        Events::open(self, after)
    }

    /// Has fail2ban stopped and started, and waits until it protects again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn restart(&self) -> Result<(), ClientError> {
        self.call(Method::POST, "/api/config/restart", Bytes::new(), COMMAND)
            .map(drop)
    }

    /// Has the config checked and what changed applied, and waits until that is done.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn reload(&self) -> Result<(), ClientError> {
        self.call(Method::POST, "/api/config/reload", Bytes::new(), COMMAND)
            .map(drop)
    }

    /// Has a jail disabled, and fail2ban started where it is down.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn roll_back(&self, jail: &str) -> Result<RollbackAnswer, ClientError> {
        let path = Self::rollback_path(jail)?;
        let body = self.call(Method::POST, &path, Bytes::new(), COMMAND)?;
        self.parse(&body)
    }

    /// Has the rollback of a jail removed, and the jail started again; of [`DBFILE`], has fail2ban restarted with
    /// its database in its file.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn undo(&self, jail: &str) -> Result<RollbackAnswer, ClientError> {
        let path = Self::rollback_path(jail)?;
        let body = self.call(Method::DELETE, &path, Bytes::new(), COMMAND)?;
        self.parse(&body)
    }

    /// Has jailwarden watch and do nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn pause(&self, request: &PauseRequest) -> Result<Pause, ClientError> {
        self.post("/api/pause", request, SOON)
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn resume(&self) -> Result<Resumed, ClientError> {
        let body = self.call(Method::POST, "/api/resume", Bytes::new(), SOON)?;
        self.parse(&body)
    }

    /// Says what fail2ban would refuse of its config: the document of `jailwarden check --json`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn check(&self, request: &CheckRequest) -> Result<serde_json::Value, ClientError> {
        self.post("/api/check", request, COMMAND)
    }
}

impl Client {
    /// An illegal name could become another path, so it is not even asked for.
    fn rollback_path(jail: &str) -> Result<String, ClientError> {
        match JailName::new(jail) {
            // What no jail is named is what keeps the database in memory.
            _ if jail == DBFILE => Ok(format!("/api/config/jails/{DBFILE}/rollback")),
            Ok(name) => Ok(format!("/api/config/jails/{name}/rollback")),
            Err(error) => {
                let problem = Problem::new(Kind::IllegalName, error.to_string());
                Err(ClientError::Problem(Box::new(problem)))
            }
        }
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let body = self.call(Method::GET, path, Bytes::new(), SOON)?;
        self.parse(&body)
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
        limit: Duration,
    ) -> Result<T, ClientError> {
        let request = serde_json::to_vec(request).map_err(|error| self.broken(&error))?;
        let body = self.call(Method::POST, path, request.into(), limit)?;
        self.parse(&body)
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Bytes, ClientError> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::HOST, HOST).body(Full::new(body));
        let request = request.map_err(|error| self.broken(&error))?;
        runtime()?.block_on(self.within(limit, async {
            let answer = self.send(request).await?;
            let body = answer.into_body().collect().await;
            Ok(body.map_err(|error| self.broken(&error))?.to_bytes())
        }))
    }

    /// The answer if it is a good one.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| self.not_connected(error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| self.broken(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| self.broken(&error))?.to_bytes();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(self.broken(&format_args!("it says {status}"))),
        }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let done = tokio::time::timeout(limit, work).await;
        done.unwrap_or_else(|_| {
            Err(ClientError::TimedOut {
                service: self.service.clone(),
                socket: self.socket.clone(),
                after: limit,
            })
        })
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|error| self.broken(&error))
    }

    fn not_connected(&self, error: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted { socket },
            _ => ClientError::NotRunning {
                service: self.service.clone(),
                socket,
                error,
            },
        }
    }

    fn broken(&self, why: &dyn fmt::Display) -> ClientError {
        ClientError::Broken {
            socket: self.socket.clone(),
            why: why.to_string(),
        }
    }
}

fn runtime() -> Result<Runtime, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(ClientError::Runtime)
}

/// One of [`Client::events`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something happened.
    Happened {
        /// Names the event for [`Client::events`]; another run of jailwarden gives other ids.
        id: String,
        /// What.
        happening: Happening,
    },
    /// More happened than is kept, or jailwarden was started anew: only [`Client::status`] tells
    /// what is true now.
    Missed,
}

/// What happens, one thing after another: waits for the next, and ends with the supervisor.
#[derive(Debug)]
pub struct Events {
    client: Client,
    runtime: Runtime,
    body: Incoming,
    parser: sse::Parser,
    ended: bool,
}

impl Events {
    fn open(client: &Client, after: Option<&str>) -> Result<Self, ClientError> {
        let request = Request::builder().uri("/api/events");
        let request = request.header(header::HOST, HOST);
        let request = match after {
            Some(id) => request.header(sse::LAST_EVENT_ID, id),
            None => request,
        };
        let request = request.body(Full::default());
        let request = request.map_err(|error| client.broken(&error))?;
        let runtime = runtime()?;
        let answer = runtime.block_on(client.within(SOON, client.send(request)))?;
        Ok(Self {
            client: client.clone(),
            runtime,
            body: answer.into_body(),
            parser: sse::Parser::default(),
            ended: false,
        })
    }

    fn event(&self, message: sse::Message) -> Result<Event, ClientError> {
        if message.event == sse::MISSED {
            return Ok(Event::Missed);
        }
        Ok(Event::Happened {
            id: message.id,
            happening: self.client.parse(message.data.as_bytes())?,
        })
    }
}

impl Iterator for Events {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            if let Some(message) = self.parser.next() {
                return Some(self.event(message));
            }
            match self.runtime.block_on(self.body.frame()) {
                Some(Ok(frame)) => {
                    self.parser
                        .feed(frame.data_ref().map_or(&[], |data| data.as_ref()));
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(self.client.broken(&error)));
                }
                None => self.ended = true,
            }
        }
        None
    }
}
