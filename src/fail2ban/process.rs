//! A handle on the daemon's process that can never hit another process which got its number later.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use tokio::net::UnixStream;

pub use rustix::process::{Pid, Signal};

use super::proc;
use crate::pollable;

/// The name of fail2ban's server, both as a program and as the name that the process gives itself
/// (`server/server.py:133` of 1.0.2).
const SERVER: &str = "fail2ban-server";

/// The client, which becomes the server itself when told to stay in the foreground.
pub(super) const CLIENT: &str = "fail2ban-client";

/// Where a server reads its config that was given neither `-c` nor `-s` (`fail2ban-server(1)`).
const DEFAULT_CONFIG: &str = "/etc/fail2ban";

/// A process, held by a pidfd (`man 2 pidfd_open`).
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
}

/// Why the process behind a socket is not known.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Nobody serves the socket: it is not there, or nothing listens on it.
    #[error("nobody serves {}: {cause}", socket.display())]
    Unserved {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The socket's backlog is full, so it cannot be asked: its daemon has stopped accepting.
    #[error("{} takes no more connections, so its process is not known: the daemon hangs or is flooded", socket.display())]
    Full {
        /// The socket.
        socket: PathBuf,
    },
    /// The kernel does not name the peer, as with a process of another pid namespace.
    #[error("the process behind {} cannot be seen from here: does fail2ban run in a container?", socket.display())]
    Hidden {
        /// The socket.
        socket: PathBuf,
    },
    /// The peer is no fail2ban server, as with a socket that systemd or a proxy listens on.
    #[error("{} is served by process {pid} ({name}), not by fail2ban-server: it will not be signalled", socket.display())]
    Foreign {
        /// The socket.
        socket: PathBuf,
        /// The process that listens.
        pid: Pid,
        /// Its name.
        name: String,
    },
    /// The peer ended, or was replaced by another, while it was looked at.
    #[error("process {pid} no longer serves {}: ask again", socket.display())]
    Gone {
        /// The socket.
        socket: PathBuf,
        /// The process that served it before.
        pid: Pid,
    },
    /// The peer's process could not be looked at.
    #[error("process {pid} behind {} cannot be looked at: {cause}", socket.display())]
    Unreadable {
        /// The socket.
        socket: PathBuf,
        /// The process.
        pid: Pid,
        /// What the kernel said.
        cause: io::Error,
    },
}

impl Process {
    /// Takes hold of the process that bears the number `pid` now.
    ///
    /// # Errors
    /// `ESRCH` if there is none, `EMFILE` if this process may open no more files.
    pub fn open(pid: Pid) -> io::Result<Self> {
        Ok(Self {
            pid,
            pidfd: pidfd_open(pid, PidfdFlags::empty())?,
        })
    }

    /// Takes hold of the daemon behind `socket`, of which a connection said that its peer is `pid`
    /// (`SO_PEERCRED`; [`peer_pid`] asks if there is no connection at hand).
    ///
    /// The number may have been given away between that connection and this call, so the socket is
    /// asked once more when the process is held. A full backlog counts as "still the same": only
    /// its own listener fills it. A listener that is not fail2ban itself is refused, as fail2ban
    /// 1.1.1 can be given its socket by systemd, which then is the peer.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn of_peer(pid: Pid, socket: &Path) -> Result<Self, PeerError> {
        let gone = || PeerError::Gone {
            socket: socket.to_owned(),
            pid,
        };
        let unreadable = |cause| PeerError::Unreadable {
            socket: socket.to_owned(),
            pid,
            cause,
        };
        let process = match Self::open(pid) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => return Err(gone()),
            opened => opened.map_err(unreadable)?,
        };
        let peer = peer_pid(socket).await;
        if !process.is_alive() {
            return Err(gone());
        }
        match peer {
            Ok(now) if now != pid => return Err(gone()),
            Ok(_) | Err(PeerError::Full { .. }) => {}
            Err(error) => return Err(error),
        }
        let is_server = match is_server(pid) {
            Err(_) if !process.is_alive() => return Err(gone()),
            read => read.map_err(unreadable)?,
        };
        if !process.is_alive() {
            return Err(gone());
        }
        if is_server {
            return Ok(process);
        }
        let name = String::from_utf8_lossy(&proc::name(pid).map_err(unreadable)?).into_owned();
        Err(PeerError::Foreign {
            socket: socket.to_owned(),
            pid,
            name,
        })
    }

    /// Looks for a daemon whose socket is gone, by its pid file.
    ///
    /// The file is only a hint: the process must be a fail2ban server, and it must be ours. It is
    /// if its command line names `socket`, or names no socket and a config folder that is
    /// `config`; a server without either reads `/etc/fail2ban`.
    ///
    /// # Errors
    /// What reading the pid file or `/proc` gives, but for a file or a process that is not there:
    /// that is `None`, as is a pid file that holds no number.
    pub fn find(pid_file: &Path, socket: &Path, config: &Path) -> io::Result<Option<Self>> {
        let found = || -> io::Result<Option<Self>> {
            let hint = proc::read_bounded(pid_file)?;
            let Some(pid) = proc::words(&hint).next().and_then(proc::pid) else {
                return Ok(None);
            };
            let process = Self::open(pid)?;
            let ours = is_server(pid)? && serves(&proc::command_line(pid)?, socket, config);
            Ok((ours && process.is_alive()).then_some(process))
        };
        match found() {
            Err(error) if proc::is_gone(&error) => Ok(None),
            found => found,
        }
    }

    /// The process's number, good for as long as [`Process::is_alive`] says so.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to this process and no other.
    ///
    /// # Errors
    /// `ESRCH` if it has ended and was reaped, `EPERM` if it belongs to another user. A zombie
    /// takes signals without an error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, signal)?)
    }

    /// Whether the process has not ended. A zombie has.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        // An error says nothing of the process, and "alive" is the answer that harms nobody.
        poll(&mut fds, Some(&now)).map_or(true, |ready| ready == 0)
    }

    /// Reads something about the process by its number, and vouches that it was this process's.
    ///
    /// # Errors
    /// What `look` gives, and `ESRCH` if the process has ended meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(Pid) -> io::Result<T>) -> io::Result<T> {
        let seen = look(self.pid);
        if self.is_alive() {
            seen
        } else {
            Err(Errno::SRCH.into())
        }
    }

    /// Returns when the process has ended, at once if it already has. May be dropped at any time.
    ///
    /// Must be called within a tokio runtime that has IO enabled, else tokio panics.
    ///
    /// # Errors
    /// `EMFILE` or `ENOMEM` if the wait cannot be set up.
    pub async fn exited(&self) -> io::Result<()> {
        // A duplicate, as epoll takes one descriptor once and there may be several waits.
        let pidfd = self.pidfd.try_clone()?;
        let pidfd = pollable::readable(pidfd)?;
        pidfd.readable().await?.retain_ready();
        Ok(())
    }
}

/// The number of the process that listens on `socket`, as the kernel noted it (`SO_PEERCRED`).
///
/// It opens a connection and drops it unused, which starts a daemon whose socket systemd holds.
///
/// # Errors
/// See [`PeerError`].
pub async fn peer_pid(socket: &Path) -> Result<Pid, PeerError> {
    let unserved = |cause: io::Error| match cause.kind() {
        io::ErrorKind::WouldBlock => PeerError::Full {
            socket: socket.to_owned(),
        },
        _ => PeerError::Unserved {
            socket: socket.to_owned(),
            cause,
        },
    };
    // Not rustix's `socket_peercred`: its `Pid` cannot hold the 0 of a peer in another namespace.
    let peer = UnixStream::connect(socket)
        .await
        .and_then(|stream| stream.peer_cred())
        .map_err(unserved)?;
    peer.pid()
        .filter(|&pid| pid > 0)
        .and_then(Pid::from_raw)
        .ok_or_else(|| PeerError::Hidden {
            socket: socket.to_owned(),
        })
}

fn is_server(pid: Pid) -> io::Result<bool> {
    Ok(proc::name(pid)? == SERVER.as_bytes()
        || program(&proc::command_line(pid)?, &[SERVER]).is_some())
}

/// Whether a server with this command line uses our `socket` or, if it names none, our `config`.
pub(super) fn serves(command_line: &[Vec<u8>], socket: &Path, config: &Path) -> bool {
    let options =
        program(command_line, &[SERVER, CLIENT]).map_or(&[][..], |at| &command_line[at + 1..]);
    if let Some(named) = option(options, b's', "--socket") {
        return same_file(&named, socket);
    }
    let named = option(options, b'c', "--conf").unwrap_or_else(|| DEFAULT_CONFIG.into());
    same_file(&named, config)
}

/// Where a command line names one of these programs: first, or behind the interpreter and its
/// options (`python3 -sP fail2ban-server`).
pub(super) fn program(command_line: &[Vec<u8>], names: &[&str]) -> Option<usize> {
    let is_named = |word: &Vec<u8>| {
        let file = Path::new(OsStr::from_bytes(word)).file_name();
        names.iter().any(|name| file == Some(OsStr::new(name)))
    };
    let is_option = |word: &Vec<u8>| word.starts_with(b"-");
    let behind = 1 + command_line
        .iter()
        .skip(1)
        .take_while(|word| is_option(word))
        .count();
    [0, behind]
        .into_iter()
        .find(|&at| command_line.get(at).is_some_and(is_named))
}

/// The value of a getopt option, the last one given: `-s V`, `-sV`, `-xfs V`, `--socket V`,
/// `--socket=V` (`client/fail2bancmdline.py:188` of 1.0.2).
fn option(words: &[Vec<u8>], short: u8, long: &str) -> Option<PathBuf> {
    let mut value = None;
    for (index, word) in words.iter().enumerate() {
        let next = || words.get(index + 1).cloned();
        let given = if word.starts_with(b"--") {
            match word.strip_prefix(long.as_bytes()) {
                Some([]) => next(),
                Some([b'=', rest @ ..]) => Some(rest.to_vec()),
                _ => None,
            }
        } else if let Some(letters) = word.strip_prefix(b"-") {
            match letters.iter().position(|letter| b"csp".contains(letter)) {
                Some(at) if letters[at] == short && at + 1 == letters.len() => next(),
                Some(at) if letters[at] == short => Some(letters[at + 1..].to_vec()),
                _ => None,
            }
        } else {
            None
        };
        value = given.or(value);
    }
    value.map(|value| OsStr::from_bytes(&value).into())
}

/// Whether two paths lead to one file, which need not be there (`/var/run` is a link to `/run`).
fn same_file(one: &Path, other: &Path) -> bool {
    resolved(one) == resolved(other)
}

fn resolved(path: &Path) -> PathBuf {
    if let Ok(whole) = path.canonicalize() {
        return whole;
    }
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => resolved(folder).join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
