//! File descriptors of ours in tokio's event loop.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets the event loop watch a descriptor for readability.
///
/// Must be called within a tokio runtime that has IO enabled, else tokio panics.
///
/// # Errors
/// `EMFILE` or `ENOMEM` if it cannot be watched.
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        unsafe_code,
        reason = "tokio has no safe constructor that is not deprecated; an `OwnedFd` that is moved in \
                  stays open and the same descriptor until the `AsyncFd` drops it, as asked for"
    )]
    // SAFETY: the reason above.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)
}
