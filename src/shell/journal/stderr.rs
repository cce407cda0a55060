//! Standard error, written to only when it takes a line at once.

use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::record::Record;
use crate::shell::text::{cut, escape};

/// `PIPE_BUF` of Linux: what a pipe that polls as writable takes whole (`man 7 pipe`).
const MAX_LINE: usize = 4096;

/// What stands before each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    /// `<3>`, from which journald takes the priority of a line on a service's standard error
    /// (`man 3 sd-daemon`).
    Syslog,
    /// The time and the priority as a word.
    Words {
        /// Whether the word is coloured.
        colour: bool,
    },
}

impl Prefix {
    /// For a person at `fd`: coloured on a terminal, unless `NO_COLOR` is set (no-color.org).
    pub(super) fn person(fd: &OwnedFd) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::Words {
            colour: fd.is_terminal() && !unwanted,
        }
    }

    fn render(self, priority: u8, now: SystemTime) -> String {
        let Self::Words { colour } = self else {
            return format!("<{priority}>");
        };
        let (word, code) = match priority {
            0..=1 => ("alert", "1;31"),
            2 => ("critical", "1;31"),
            3 => ("error", "31"),
            4 => ("warning", "33"),
            5 => ("notice", "1"),
            6 => ("info", "0"),
            _ => ("debug", "2"),
        };
        let time = humantime::format_rfc3339_seconds(now);
        if colour {
            format!("{time} \x1b[{code}m{word:<8}\x1b[0m ")
        } else {
            format!("{time} {word:<8} ")
        }
    }
}

#[derive(Debug)]
pub(super) struct Stderr {
    fd: OwnedFd,
    prefix: Prefix,
}

impl Stderr {
    pub(super) fn new(fd: OwnedFd, prefix: Prefix) -> Self {
        Self { fd, prefix }
    }

    /// Writes one whole line, or nothing; true if it was written.
    ///
    /// The descriptor is shared with whoever started us, so it is not made non-blocking: it is
    /// asked first, and then given no more than it takes at once.
    pub(super) fn write(&self, record: &Record, now: SystemTime) -> bool {
        let line = self.line(record, now);
        self.is_ready() && rustix::io::write(&self.fd, line.as_bytes()) == Ok(line.len())
    }

    fn line(&self, record: &Record, now: SystemTime) -> String {
        let mut line = self.prefix.render(record.priority, now);
        let text = escape(&record.sentence(), |c| c == '\t');
        line.push_str(&cut(&text, MAX_LINE - line.len() - 1));
        line.push('\n');
        line
    }

    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&at_once)).is_ok() && fds[0].revents() == PollFlags::OUT
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_prefix_is_for_its_reader() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_441_201);
        let person = Prefix::Words { colour: false };
        assert_eq!(person.render(3, now), "2026-11-23T13:40:01Z error    ");
        assert_eq!(person.render(2, now), "2026-11-23T13:40:01Z critical ");
        let terminal = Prefix::Words { colour: true };
        let coloured = terminal.render(4, now);
        assert_eq!(coloured, "2026-11-23T13:40:01Z \x1b[33mwarning \x1b[0m ");
        assert_eq!(Prefix::Syslog.render(5, now), "<5>");
    }
}
