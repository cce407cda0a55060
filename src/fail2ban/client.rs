//! Calls to a running fail2ban over its socket.
//!
//! The daemon serves its socket from one thread with a listen backlog of 1, and too many connections
//! end it (asyncserver.py): hold one connection at a time, with one call in flight.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::pickle::{self, MAX_INPUT, PickleError, Value};

/// Ends every request and every reply (`CSPROTO.END`, protocol.py).
const END: &[u8] = b"<F2B_END_COMMAND>";
/// Asks the daemon to close the connection (`CSPROTO.CLOSE`, protocol.py).
const CLOSE: &[u8] = b"<F2B_CLOSE_COMMAND>";
/// The most jails that a daemon is believed to have.
pub const MAX_JAILS: usize = 10_000;
/// The longest reply that is waited for to its end, in bytes, though it is not kept: that of a million bans.
const MAX_PASSED_OVER: usize = 32 << 20;
/// How long to wait before the next try while the listen backlog is full.
const BACKLOG_PAUSE: Duration = Duration::from_millis(20);

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The daemon cannot be asked, or gave no whole answer.
    #[error("fail2ban cannot be asked at {socket}: {why}")]
    Unreachable {
        /// The socket's path.
        socket: PathBuf,
        /// What stood in the way.
        why: Unreachable,
    },
    /// The daemon took the call and refused it.
    #[error("fail2ban refused: {}{message}", class.as_deref().map(|class| format!("{class}: ")).unwrap_or_default())]
    Refused {
        /// The exception's class with its module, if it was an exception.
        class: Option<String>,
        /// fail2ban's words.
        message: String,
    },
}

/// What stands between us and the daemon.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No file is at the socket's path.
    #[error("no socket is there; the daemon is down, or its socket file was deleted")]
    NoSocket,
    /// A socket file is there, but nobody listens.
    #[error("nobody listens there; the socket file was left behind by a daemon that died")]
    ConnectionRefused,
    /// We may not open the socket.
    #[error("permission denied; only root may open the socket")]
    Denied,
    /// The listen backlog stayed full: the daemon accepts nobody.
    #[error("the daemon accepted no connection within {after:?}; it hangs or is very busy")]
    Busy {
        /// The limit that passed.
        after: Duration,
    },
    /// No whole reply came in time. The connection is of no more use.
    #[error("no whole reply came within {after:?}; the daemon hangs or is very busy")]
    TimedOut {
        /// The limit that passed.
        after: Duration,
    },
    /// The connection ended before a whole reply, or before this call.
    #[error("the connection ended before a whole reply; the daemon is stopping or died")]
    Closed,
    /// The daemon still accepts, but no longer takes commands (`['SHUTDOWN']`, asyncserver.py).
    #[error("the daemon is shutting down and takes no more commands")]
    ShuttingDown,
    /// The reply is not a pickle that can be read.
    #[error("its reply cannot be read: {0}; is it fail2ban that listens there?")]
    Garbled(#[from] PickleError),
    /// The reply is a pickle, but not of the kind expected.
    #[error("its reply is not of fail2ban's kind: {0}; is it fail2ban that listens there?")]
    Odd(String),
    /// The reply passes [`MAX_INPUT`].
    #[error("its reply is longer than {MAX_INPUT} bytes")]
    TooLarge,
    /// Anything else that the system reports.
    #[error(transparent)]
    Io(io::Error),
}

impl CallError {
    /// Whether a reply came that passes a bound. The next call over the same connection may be answered.
    #[must_use]
    pub fn is_too_big(&self) -> bool {
        let Self::Unreachable { why, .. } = self else {
            return false;
        };
        matches!(
            why,
            Unreachable::TooLarge | Unreachable::Garbled(PickleError::TooBig { .. })
        )
    }
}

/// A connection to one daemon, for one call at a time.
#[derive(Debug)]
pub struct Connection {
    socket: PathBuf,
    /// Gone once a call has failed on the way: what comes then may answer an earlier call.
    stream: Option<UnixStream>,
}

/// The jails that a daemon lists, whether or not they protect.
///
/// fail2ban joins the sorted names with `, ` (server.py, `status`), and a name may hold that too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailList {
    count: usize,
    joined: String,
}

impl Connection {
    /// Connects to the daemon at `socket` within `limit`, waiting while its listen backlog is full.
    ///
    /// # Errors
    /// [`CallError::Unreachable`].
    pub async fn open(socket: &Path, limit: Duration) -> Result<Self, CallError> {
        let stream = connect(socket, limit).await;
        match stream {
            Ok(stream) => Ok(Self {
                socket: socket.to_owned(),
                stream: Some(stream),
            }),
            Err(why) => Err(CallError::Unreachable {
                socket: socket.to_owned(),
                why,
            }),
        }
    }

    /// The process that made the listening socket (`SO_PEERCRED`): the daemon, if it bound the socket
    /// itself. With socket activation (1.1.1) it is systemd.
    #[must_use]
    pub fn peer_pid(&self) -> Option<i32> {
        self.stream.as_ref()?.peer_cred().ok()?.pid()
    }

    /// Sends one command and waits for its reply for up to `limit`.
    ///
    /// # Errors
    /// [`CallError::Refused`] with the daemon's words; [`CallError::Unreachable`] if no reply came that can be
    /// read. After that every further call fails with [`Unreachable::Closed`], unless the reply was only too big
    /// and is over.
    pub async fn call(&mut self, command: &[Value], limit: Duration) -> Result<Value, CallError> {
        let stream = self.stream.take().ok_or(Unreachable::Closed);
        let answer = match stream {
            Ok(stream) => self.exchange(stream, command, limit).await,
            Err(closed) => Err(closed),
        };
        match answer {
            Ok(reply) => self.judged(reply),
            Err(why) => Err(self.unreachable(why)),
        }
    }

    /// Says goodbye, so that the daemon drops its side at once. Never waits: the kernel closes anyway.
    pub fn close(mut self) {
        if let Some(stream) = self.stream.take() {
            drop(stream.try_write(&[CLOSE, END].concat()));
        }
    }

    /// Asks whether the daemon answers at all. It does so before any jail runs.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn ping(&mut self, limit: Duration) -> Result<(), CallError> {
        let reply = self.call(&["ping".into()], limit).await?;
        match reply.as_str() {
            Some("pong") => Ok(()),
            _ => Err(self.odd(&reply)),
        }
    }

    /// Asks for the daemon's version, such as `1.0.2`.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn version(&mut self, limit: Duration) -> Result<String, CallError> {
        match self.call(&["version".into()], limit).await? {
            Value::Str(version) => Ok(version),
            other => Err(self.odd(&other)),
        }
    }

    /// Asks which jails the daemon lists. A listed jail need not protect.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn status(&mut self, limit: Duration) -> Result<JailList, CallError> {
        let reply = self.call(&["status".into()], limit).await?;
        JailList::read(&reply).ok_or_else(|| self.odd(&reply))
    }

    /// Keeps the stream if the next reply on it can only be that to the next call.
    async fn exchange(
        &mut self,
        mut stream: UnixStream,
        command: &[Value],
        limit: Duration,
    ) -> Result<Value, Unreachable> {
        let request = [&pickle::encode(command), END].concat();
        let talk = async {
            stream.write_all(&request).await.map_err(sorted)?;
            read_reply(&mut stream).await
        };
        let reply = timeout_at(Instant::now() + limit, talk).await;
        let reply = reply.map_err(|_| Unreachable::TimedOut { after: limit })??;
        let read = reply.map_or(Err(Unreachable::TooLarge), |reply| {
            Ok(pickle::decode(&reply)?)
        });
        let is_over = match &read {
            Err(Unreachable::Garbled(error)) => matches!(error, PickleError::TooBig { .. }),
            _ => true,
        };
        self.stream = is_over.then_some(stream);
        read
    }

    fn judged(&mut self, reply: Value) -> Result<Value, CallError> {
        if let Value::Str(text) = &reply {
            let message = text.strip_prefix("ERROR: ").unwrap_or(text).to_owned();
            return Err(CallError::Refused {
                class: None,
                message,
            });
        }
        let Value::List(mut parts) = reply else {
            return Err(self.odd(&reply));
        };
        match (parts.as_slice(), parts.len()) {
            ([Value::Int(0), _], 2) => Ok(parts.swap_remove(1)),
            ([Value::Int(1), refusal], 2) => Err(CallError::Refused {
                class: match refusal {
                    Value::Object { class, .. } => Some(class.clone()),
                    _ => None,
                },
                message: refusal.message(),
            }),
            ([Value::Str(word)], 1) if word == "SHUTDOWN" => {
                Err(self.unreachable(Unreachable::ShuttingDown))
            }
            _ => Err(self.odd(&Value::List(parts))),
        }
    }

    fn odd(&self, reply: &Value) -> CallError {
        let text = reply.brief().chars().take(200).collect();
        self.unreachable(Unreachable::Odd(text))
    }

    fn unreachable(&self, why: Unreachable) -> CallError {
        CallError::Unreachable {
            socket: self.socket.clone(),
            why,
        }
    }
}

impl JailList {
    /// Reads `[('Number of jail', 2), ('Jail list', 'a, b')]`, of [`MAX_JAILS`] at most.
    fn read(reply: &Value) -> Option<Self> {
        let [number, list] = reply.as_list()? else {
            return None;
        };
        let count = usize::try_from(number.as_list()?.get(1)?.as_int()?).ok()?;
        (count <= MAX_JAILS).then_some(())?;
        Some(Self {
            count,
            joined: list.as_list()?.get(1)?.as_str()?.to_owned(),
        })
    }

    /// How many jails there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The names as fail2ban joined them.
    #[must_use]
    pub fn joined(&self) -> &str {
        &self.joined
    }

    /// Whether `name` is in the list. Only where names hold `, ` can this be a false yes: for a name
    /// that other names beside each other spell, or that is part of another.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let list = self.joined.as_str();
        let stands_alone = || list == name;
        let is_first = || list.starts_with(&format!("{name}, "));
        let is_last = || list.ends_with(&format!(", {name}"));
        let is_between = || list.contains(&format!(", {name}, "));
        self.count > 0 && (stands_alone() || is_first() || is_last() || is_between())
    }

    /// The names, or `None` where some hold `, ` and so cannot be told apart.
    #[must_use]
    pub fn names(&self) -> Option<Vec<&str>> {
        if self.count == 0 {
            return Some(Vec::new());
        }
        let names = self.joined.split(", ");
        let can_be_told = names.clone().take(self.count + 1).count() == self.count;
        can_be_told.then(|| names.collect())
    }
}

async fn connect(socket: &Path, limit: Duration) -> Result<UnixStream, Unreachable> {
    let deadline = Instant::now() + limit;
    loop {
        match timeout_at(deadline, UnixStream::connect(socket)).await {
            Err(_) => return Err(Unreachable::Busy { after: limit }),
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                let now = Instant::now();
                if now >= deadline {
                    return Err(Unreachable::Busy { after: limit });
                }
                // Up to the limit itself: it is counted on by whoever has a look end when a verdict is due.
                sleep_until(deadline.min(now + BACKLOG_PAUSE)).await;
            }
            Ok(Err(error)) => return Err(sorted(error)),
        }
    }
}

/// Reads up to the end mark, which may come in pieces, and leaves it out; nothing if the reply passes
/// [`MAX_INPUT`] and is over.
async fn read_reply(stream: &mut UnixStream) -> Result<Option<Vec<u8>>, Unreachable> {
    let mut reply = Vec::with_capacity(1024);
    let mut passed_over = 0;
    while !reply.ends_with(END) {
        if reply.len() > MAX_INPUT + END.len() {
            // The last bytes may begin the end mark.
            passed_over += reply.drain(..reply.len() - END.len()).len();
        }
        if passed_over > MAX_PASSED_OVER {
            return Err(Unreachable::TooLarge);
        }
        if stream.read_buf(&mut reply).await.map_err(sorted)? == 0 {
            return Err(Unreachable::Closed);
        }
    }
    reply.truncate(reply.len() - END.len());
    Ok((passed_over == 0).then_some(reply))
}

fn sorted(error: io::Error) -> Unreachable {
    match error.kind() {
        io::ErrorKind::NotFound => Unreachable::NoSocket,
        io::ErrorKind::ConnectionRefused => Unreachable::ConnectionRefused,
        io::ErrorKind::PermissionDenied => Unreachable::Denied,
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Unreachable::Closed,
        _ => Unreachable::Io(error),
    }
}
