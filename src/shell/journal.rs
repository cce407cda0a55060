//! Everything that jailwarden says goes one way: a tracing event, and from there one record in the
//! journal, or one line on standard error where no journal listens.
//!
//! Nothing here ever blocks. A journald that hangs, or a pipe that nobody reads, costs records,
//! which are counted and owned up to, but never the supervisor's time.

mod record;
mod repeats;
mod stderr;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::machine::report::{Priority, Report};
use record::Record;
pub use repeats::{Repeats, Verdict};
use stderr::{Prefix, Stderr};

/// Where journald takes records in its native protocol (systemd, `docs/JOURNAL_NATIVE_PROTOCOL.md`).
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// The variable that asks for more: `debug` or `trace`.
const LEVEL: &str = "JAILWARDEN_LOG";

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// To journald, with their fields, at this socket (as a rule [`SOCKET`]); what it does not take
    /// goes to standard error.
    Journald(PathBuf),
    /// To standard error, for a person to read.
    Stderr,
}

impl Sink {
    /// Chooses journald if standard error leads there, and standard error itself otherwise.
    ///
    /// systemd puts the device and inode of the journal's stream into `JOURNAL_STREAM`; they are
    /// compared because the variable also reaches children whose output was sent elsewhere
    /// (`man 5 systemd.exec`).
    #[must_use]
    pub fn detect() -> Self {
        let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        match rustix::fs::fstat(io::stderr().as_fd()) {
            Ok(stat) if is_stream(&named, stat.st_dev, stat.st_ino) => {
                Self::Journald(PathBuf::from(SOCKET))
            }
            _ => Self::Stderr,
        }
    }
}

fn is_stream(journal_stream: &str, device: u64, inode: u64) -> bool {
    journal_stream == format!("{device}:{inode}")
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// No socket or descriptor was to be had.
    #[error("the log cannot be opened: {0}; is the limit on open files too low (ulimit -n)?")]
    Open(#[from] io::Error),
    /// Another subscriber was there first.
    #[error("the log is open already; this is a fault in jailwarden: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends all that the process says from here on to `sink`, at level info; `JAILWARDEN_LOG=debug`
/// or `trace` gives more.
///
/// # Errors
/// When standard error cannot be duplicated, no socket can be made, or it was called before.
pub fn init(sink: Sink) -> Result<(), InitError> {
    let wanted = std::env::var(LEVEL).unwrap_or_default();
    let level = level(&wanted);
    let journal = Journal::new(sink, io::stderr().as_fd().try_clone_to_owned()?)?;
    tracing_subscriber::registry()
        .with(level.unwrap_or(LevelFilter::INFO))
        .with(journal)
        .try_init()?;
    if level.is_none() {
        tracing::warn!(
            "{LEVEL}={wanted} is not a level: expected info, debug or trace; going on with info"
        );
    }
    Ok(())
}

/// There is no way to ask for less than info: alerts must not be lost to a variable.
fn level(wanted: &str) -> Option<LevelFilter> {
    match wanted {
        "" | "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        "trace" => Some(LevelFilter::TRACE),
        _ => None,
    }
}

/// Whose a report is.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// How a person calls the jailwarden that says it, to be followed by a command: what the catalog tells
    /// to do is right for a further instance too.
    pub called: &'a str,
    /// Its service, as `systemctl` takes it.
    pub service: &'a str,
    /// The unit in whose journal fail2ban's own output is, as `journalctl -u` takes it.
    pub daemon_unit: &'a str,
    /// The unit that it is about. With one it also shows in that unit's own journal (`journalctl -u
    /// fail2ban`), which journald allows to root only (`man 7 systemd.journal-fields`,
    /// `OBJECT_SYSTEMD_UNIT=`).
    pub unit: Option<&'a str>,
}

/// Says `report`.
pub fn report(report: &Report, whose: Whose<'_>) {
    let jails = (!report.jails.is_empty()).then(|| report.jails.join(record::BETWEEN_JAILS));
    let file = report.file.as_ref().map(|file| file.display().to_string());
    // An event's level is part of its callsite, so each level needs a callsite of its own.
    macro_rules! say {
        ($level:expr) => {
            tracing::event!(
                $level,
                message_id = report.kind.message_id(),
                priority = report.kind.priority() as u64,
                state = report.state,
                incident = report.incident.as_deref(),
                reason = report.reason.as_deref(),
                file = file.as_deref(),
                line = report.line,
                called = whose.called,
                service = whose.service,
                daemon_unit = whose.daemon_unit,
                unit = whose.unit,
                jail = jails.as_deref(),
                "{}",
                report.message
            )
        };
    }
    match report.kind.priority() {
        Priority::Alert | Priority::Critical | Priority::Error => say!(Level::ERROR),
        Priority::Warning => say!(Level::WARN),
        Priority::Notice | Priority::Info => say!(Level::INFO),
    }
}

/// The layer that writes records; [`init`] installs it for the whole process.
#[derive(Debug)]
pub struct Journal {
    journald: Option<Journald>,
    stderr: Stderr,
    /// Records not delivered since the last one that was.
    lost: AtomicU64,
}

#[derive(Debug)]
struct Journald {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Journald {
    /// Addressed anew each time, so that a journald that comes back with a new socket is found.
    fn send(&self, record: &Record) -> bool {
        self.socket.send_to(&record.datagram(), &self.path).is_ok()
    }
}

impl Journal {
    /// A layer that writes to `sink`, with `stderr` in the place of standard error.
    ///
    /// # Errors
    /// When no socket can be made.
    pub fn new(sink: Sink, stderr: OwnedFd) -> io::Result<Self> {
        let (journald, prefix) = match sink {
            Sink::Journald(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                (Some(Journald { path, socket }), Prefix::Syslog)
            }
            Sink::Stderr => (None, Prefix::person(&stderr)),
        };
        Ok(Self {
            journald,
            stderr: Stderr::new(stderr, prefix),
            lost: AtomicU64::new(0),
        })
    }

    fn write(&self, record: &Record) {
        self.own_up();
        if self.deliver(record) {
            return;
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        if self.journald.is_some() {
            self.stderr.write(record, SystemTime::now());
        }
    }

    /// Tells how many records are missing, as soon as something gets through again.
    fn own_up(&self) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && !self.deliver(&Record::lost(lost, self.journald.is_some())) {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }

    fn deliver(&self, record: &Record) -> bool {
        match &self.journald {
            Some(journald) => journald.send(record),
            None => self.stderr.write(record, SystemTime::now()),
        }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.write(&Record::from(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_ours_only_if_device_and_inode_agree() {
        for (named, expected) in [
            ("8:123", true),
            ("8:124", false),
            ("9:123", false),
            ("", false),
            ("8", false),
            ("8:123:", false),
        ] {
            assert_eq!(is_stream(named, 8, 123), expected, "{named:?}");
        }
    }

    #[test]
    fn the_level_can_be_raised_but_not_lowered() {
        for (wanted, expected) in [
            ("", Some(LevelFilter::INFO)),
            ("info", Some(LevelFilter::INFO)),
            ("debug", Some(LevelFilter::DEBUG)),
            ("trace", Some(LevelFilter::TRACE)),
            ("off", None),
            ("error", None),
        ] {
            assert_eq!(level(wanted), expected, "{wanted:?}");
        }
    }
}
