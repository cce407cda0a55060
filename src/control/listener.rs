//! The socket that the API is served on.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;
use nix::unistd::{Group, chown};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Whoever is in it may connect.
const GROUP: &str = "jailwarden";

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    /// Another program is there.
    #[error("another program listens there; is a second jailwarden running?")]
    InUse,
    /// Something else is in the socket's place. It was not touched.
    #[error("that is no socket, and is left alone; move it away, or set control.socket")]
    NotASocket,
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The socket that systemd passes (`man sd_listen_fds`), if it passes one.
pub(super) fn passed() -> io::Result<Option<UnixListener>> {
    let listener = ListenFd::from_env().take_unix_listener(0)?;
    listener.map(nonblocking).transpose()
}

/// Listens at `path`, in the place of what a jailwarden that ended left there.
pub(super) fn listen(path: &Path) -> Result<UnixListener, ListenError> {
    clear(path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        fs::create_dir(folder)?;
    }
    let listener = nonblocking(UnixListener::bind(path)?)?;
    // Without write permission nobody connects, and no sane umask gives others that before this.
    if let Some(group) = Group::from_name(GROUP).map_err(io::Error::from)? {
        chown(path, None, Some(group.gid)).map_err(io::Error::from)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    } else {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(listener)
}

fn nonblocking(listener: UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn clear(path: &Path) -> Result<(), ListenError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NotASocket),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if is_listened_to(path)? {
        return Err(ListenError::InUse);
    }
    Ok(fs::remove_file(path)?)
}

/// It does not wait: a socket whose queue is full is listened to as well.
fn is_listened_to(path: &Path) -> io::Result<bool> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&probe, &address) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Ok(()) | Err(_) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/control.sock");
        let first = listen(&path).unwrap();
        assert!(matches!(listen(&path), Err(ListenError::InUse)));
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = match Group::from_name(GROUP).unwrap() {
            Some(_) => 0o660,
            None => 0o600,
        };
        assert_eq!(mode, expected);
        drop(first);
        let _second = listen(&path).unwrap();

        let file = folder.path().join("file");
        fs::write(&file, "kept").unwrap();
        assert!(matches!(listen(&file), Err(ListenError::NotASocket)));
        assert_eq!(fs::read(&file).unwrap(), b"kept");
    }
}
