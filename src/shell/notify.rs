//! What jailwarden tells systemd about itself (`man 3 sd_notify`).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::process::Command;

use super::text::cut;

/// A status is cut at this many bytes: systemd ignores a message of more than 4,096 bytes, status
/// and all (systemd 252, `NOTIFY_BUFFER_MAX`).
const MAX_STATUS: usize = 1024;

/// What systemd gives to us and not to our children (`man 3 sd_notify`, `sd_watchdog_enabled`,
/// `sd_listen_fds`).
const OURS: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
];

/// The way to the service manager; without one (a terminal, a container) everything is a no-op.
///
/// The words come from the `sd-notify` crate; the socket is our own, because the crate's blocks: a
/// systemd that hangs must not take the supervisor with it.
#[derive(Debug)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// The service manager that `NOTIFY_SOCKET` names, if any.
    ///
    /// # Errors
    /// When the variable holds neither a path nor an abstract name, or no socket can be made.
    pub fn from_env() -> io::Result<Self> {
        match env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => Self::to(&name),
            _ => Ok(Self { manager: None }),
        }
    }

    /// The service manager at `name`: a path, or `@` and an abstract name.
    ///
    /// # Errors
    /// When `name` is too long for an address, or no socket can be made.
    pub fn to(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            manager: Some((socket, address)),
        })
    }

    /// `READY=1`: the start, or a reload of the settings, is done.
    ///
    /// # Errors
    /// When the manager did not take it; this and the other messages may be sent again.
    pub fn ready(&self) -> io::Result<()> {
        self.send(&[NotifyState::Ready])
    }

    /// `STATUS=`: `text` as `systemctl status` shows it, on one line. Control characters become
    /// spaces: a newline in fail2ban's words would begin another message.
    ///
    /// # Errors
    /// As for [`Self::ready`].
    pub fn status(&self, text: &str) -> io::Result<()> {
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.send(&[NotifyState::Status(&cut(text.trim(), MAX_STATUS))])
    }

    /// `RELOADING=1` with the time, in one message as systemd wants it; [`Self::ready`] ends it.
    ///
    /// # Errors
    /// As for [`Self::ready`]; or the clock cannot be read.
    pub fn reloading(&self) -> io::Result<()> {
        let now = NotifyState::monotonic_usec_now()?;
        self.send(&[NotifyState::Reloading, now])
    }

    /// `STOPPING=1`: the end has begun.
    ///
    /// # Errors
    /// As for [`Self::ready`].
    pub fn stopping(&self) -> io::Result<()> {
        self.send(&[NotifyState::Stopping])
    }

    /// `WATCHDOG=1`: the supervisor's loop goes round. To be sent from that loop, never beside it.
    ///
    /// # Errors
    /// As for [`Self::ready`].
    pub fn watchdog(&self) -> io::Result<()> {
        self.send(&[NotifyState::Watchdog])
    }

    fn send(&self, states: &[NotifyState<'_>]) -> io::Result<()> {
        let Some((socket, address)) = &self.manager else {
            return Ok(());
        };
        let lines: Vec<_> = states.iter().map(ToString::to_string).collect();
        let message = lines.join("\n");
        socket.send_to_addr(message.as_bytes(), address).map(drop)
    }
}

/// How often to call [`Notifier::watchdog`]: half of what systemd allows, as
/// `man 3 sd_watchdog_enabled` advises; `None` if it does not watch this process.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    half(sd_notify::watchdog_enabled()?)
}

fn half(allowed: Duration) -> Option<Duration> {
    Some(allowed / 2).filter(|interval| !interval.is_zero())
}

/// Keeps from `command` what systemd meant for us alone: a child that speaks to our service
/// manager could end the service or blind its watchdog.
pub fn scrub(command: &mut Command) {
    for name in OURS {
        command.env_remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    fn manager() -> (TempDir, UnixDatagram, Notifier) {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        (dir, socket, notifier)
    }

    fn next(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 8192];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_message_is_what_systemd_reads() {
        let (_dir, socket, notifier) = manager();
        notifier.ready().unwrap();
        assert_eq!(next(&socket), "READY=1");
        notifier.stopping().unwrap();
        assert_eq!(next(&socket), "STOPPING=1");
        notifier.watchdog().unwrap();
        assert_eq!(next(&socket), "WATCHDOG=1");
        notifier.reloading().unwrap();
        let reloading = next(&socket);
        let usec = reloading
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap();
        assert!(usec.parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn a_status_stays_one_line_and_short() {
        let (_dir, socket, notifier) = manager();
        notifier.status("bad jail\nREADY=1\r\x1b[2J\n").unwrap();
        assert_eq!(next(&socket), "STATUS=bad jail READY=1  [2J");
        notifier.status(&"é".repeat(5000)).unwrap();
        let long = next(&socket);
        assert!(long.len() <= "STATUS=".len() + MAX_STATUS && long.ends_with('…'));
    }

    #[test]
    fn a_manager_that_does_not_read_costs_messages_not_time() {
        let (_dir, _socket, notifier) = manager();
        let refused = (0..5000).find_map(|_| notifier.watchdog().err());
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_abstract_name_is_understood() {
        let name = format!("jailwarden-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::to(OsStr::new(&format!("@{name}"))).unwrap();
        notifier.ready().unwrap();
        assert_eq!(next(&socket), "READY=1");
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_asked() {
        let minute = Duration::from_secs(60);
        assert_eq!(half(minute), Some(Duration::from_secs(30)));
        assert_eq!(half(Duration::ZERO), None);
    }

    #[tokio::test]
    async fn a_child_gets_nothing_of_ours() {
        let mut command = Command::new("env");
        command.env("KEPT", "1");
        for name in OURS {
            command.env(name, "1");
        }
        scrub(&mut command);
        let output = String::from_utf8(command.output().await.unwrap().stdout).unwrap();
        assert!(output.contains("KEPT=1"), "{output}");
        for name in OURS {
            assert!(!output.contains(name), "{output}");
        }
    }
}
