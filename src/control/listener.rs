//! The socket that the API is served on.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, chownat, fchmod, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::accounts;

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

impl From<Errno> for ListenError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
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
        // The group has to get there, whatever the umask says.
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(CWD, folder, flags, Mode::empty())?;
        fchmod(folder, Mode::from_raw_mode(0o755))?;
    }
    let listener = nonblocking(UnixListener::bind(path)?)?;
    // Without write permission nobody connects, and no sane umask gives others that before this.
    open_to_group(path)?;
    Ok(listener)
}

/// What stands at `path` is held before it is changed: somebody may put a link there.
fn open_to_group(path: &Path) -> Result<(), ListenError> {
    let held = File::from(openat(
        CWD,
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?);
    if !held.metadata()?.file_type().is_socket() {
        return Err(ListenError::NotASocket);
    }
    let mut mode = 0o600;
    let group = accounts::group(GROUP).unwrap_or_else(|error| {
        tracing::warn!(
            "the group {GROUP} could not be looked up, so only root reaches {}: {error}; to try again, start \
             jailwarden again",
            path.display()
        );
        None
    });
    if let Some(group) = group {
        let group = Gid::from_raw(group);
        chownat(&held, "", None, Some(group), AtFlags::EMPTY_PATH)?;
        mode = 0o660;
    }
    // As no call changes the mode of what is only held (`man 2 open`, `O_PATH`).
    let itself = format!("/proc/self/fd/{}", held.as_raw_fd());
    Ok(fs::set_permissions(
        itself,
        fs::Permissions::from_mode(mode),
    )?)
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
    fn what_is_put_in_the_sockets_place_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        for path in [&victim, &link] {
            assert!(matches!(open_to_group(path), Err(ListenError::NotASocket)));
        }
        assert_eq!(
            fs::metadata(&victim).unwrap().permissions().mode() & 0o777,
            0o640
        );
    }

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/control.sock");
        let first = listen(&path).unwrap();
        assert!(matches!(listen(&path), Err(ListenError::InUse)));
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = match accounts::group(GROUP).unwrap() {
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
