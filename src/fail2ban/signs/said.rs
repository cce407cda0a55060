//! What fail2ban's own log says of jails that are powerless, since the last look at it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::cause::{self, Trouble};
use super::super::literal;
use super::super::ownlog::{self, Level, Message, Position, messages};
use super::super::process::Pid;

/// The most different complaints that are told apart.
const COMPLAINTS: usize = 64;

/// What the log says since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Each complaint once, with how often it came.
    pub complaints: BTreeMap<Complaint, Times>,
    /// The checks of the actions of which something had gone ([`Complaint::Gone`]), as far as the log has them.
    pub gone: Vec<String>,
    /// The databases that a start found to be damaged.
    pub replaced: Vec<Replaced>,
    /// Whether there was more in the log than is read at once, so that counts are too low.
    pub skipped: bool,
    /// Where to go on.
    pub end: Position,
}

/// A database that fail2ban could not open, moved aside and replaced at a start (`_connectDB` and `repairDB` of
/// `server/database.py`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replaced {
    /// The database.
    pub database: PathBuf,
    /// Where the damaged one lies, if the log level lets fail2ban say so (`INFO`).
    pub aside: Option<PathBuf>,
}

/// How often a complaint came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// How often.
    pub count: u32,
    /// What the command that failed last ended with, such as `returned 127`.
    pub ended: Option<String>,
}

/// Something that makes a jail powerless or blind. Nothing of what an attacker can write is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Complaint {
    /// An action failed to ban (`server/actions.py`).
    #[error("jail '{jail}': action '{action}' fails to ban")]
    Ban {
        /// The jail.
        jail: String,
        /// The action.
        action: String,
    },
    /// A command of an action did not end and was killed. No jail acts meanwhile, as all actions share
    /// one lock (`server/action.py`).
    #[error(
        "jail '{jail}': action '{action}' blocked until it was killed; no jail acted meanwhile"
    )]
    Blocked {
        /// The jail.
        jail: String,
        /// The action.
        action: String,
    },
    /// An action failed to unban.
    #[error("jail '{jail}': action '{action}' fails to unban")]
    Unban {
        /// The jail.
        jail: String,
        /// The action.
        action: String,
    },
    /// An action failed to start or to stop.
    #[error("jail '{jail}': action '{action}' fails to start, stop or flush")]
    Setup {
        /// The jail.
        jail: String,
        /// The action.
        action: String,
    },
    /// What an action had set up, such as a chain of the firewall, had gone, and was made again with
    /// all bans if fail2ban could (`_invariantCheck`, `server/action.py`).
    #[error("what an action had set up had gone{}", if *.restored { "" } else { " and could not be made again" })]
    Gone {
        /// Whether it was made again, as far as is known.
        restored: bool,
    },
    /// A log cannot be opened (`server/filter.py`).
    #[error("{} cannot be opened", .log.display())]
    Unreadable {
        /// The log.
        log: PathBuf,
    },
    /// A log was absent for so long that its jail reads it no more (`server/filterpoll.py`).
    #[error("{} was absent too long, and is read no more", .log.display())]
    Dropped {
        /// The log.
        log: PathBuf,
    },
    /// Some jail's filter had 100 errors in a row, and went idle (`server/filter.py`).
    #[error("a filter went idle after too many errors")]
    WentIdle,
    /// A ban could not be written to the database (`server/observer.py`).
    #[error(
        "its database is damaged: it bans, but keeps no ban, and would lose a jail that it is told to load or stop"
    )]
    Database,
    /// Lines of a log lead to an exception, as with a date pattern that does not compile.
    #[error("lines of a log cannot be processed")]
    Lines,
}

impl Complaint {
    /// The jail, if it is named.
    #[must_use]
    pub fn jail(&self) -> Option<&str> {
        match self {
            Self::Ban { jail, .. }
            | Self::Blocked { jail, .. }
            | Self::Unban { jail, .. }
            | Self::Setup { jail, .. } => Some(jail),
            _ => None,
        }
    }
}

/// Reads what `log` says since `from`: at most [`ownlog::LIMIT`] bytes of it.
///
/// # Errors
/// As [`ownlog::since`].
pub fn said(log: &Path, from: &Position) -> io::Result<Said> {
    let news = ownlog::since(log, from)?;
    let mut said = Said {
        skipped: news.skipped,
        end: news.end,
        ..Said::default()
    };
    let (mut ended, mut command) = (None, None);
    for message in messages(&news.lines) {
        if message.logger == "fail2ban.utils" {
            ended = end_of_command(&message).or(ended);
            let failed = message.words.split_once(" -- exec: ");
            command = failed.map(|(_, words)| words.to_owned()).or(command);
            continue;
        }
        if message.logger == "fail2ban.database" {
            said.note_database(&message.words);
            continue;
        }
        let Some(complaint) = complaint(&message, ended.as_deref()) else {
            continue;
        };
        if matches!(complaint, Complaint::Gone { .. }) && said.gone.len() < COMPLAINTS {
            // The check has just failed: all commands share one lock, and log their failure within it.
            said.gone.extend(command.take());
        }
        let of_command = matches!(
            complaint,
            Complaint::Ban { .. }
                | Complaint::Blocked { .. }
                | Complaint::Unban { .. }
                | Complaint::Setup { .. }
        );
        let ended = if of_command { ended.take() } else { None };
        said.add(complaint, ended);
    }
    Ok(said)
}

/// Whether `log` says since `from` that the daemon `pid` ended by itself, as it does with status 0 after 100
/// connections that it could not accept (`AsyncServer.handle_accept` and `loop`, server/asyncserver.py of 1.0.2 to
/// 1.1.1).
#[must_use]
pub fn gave_out(log: &Path, from: &Position, pid: Pid) -> bool {
    let by = format!("[{pid}]:");
    let says_so = |line: &ownlog::Line| {
        let head = ownlog::head(&line.text);
        let is_end = |(_, level, words): (&str, Level, &str)| {
            level == Level::Critical
                && words.starts_with("Too many errors - critical count reached")
        };
        head.is_some_and(is_end) && line.text.contains(&by)
    };
    ownlog::since(log, from).is_ok_and(|news| news.lines.iter().any(says_so))
}

impl Said {
    fn note_database(&mut self, words: &str) {
        let opening = "Error opening fail2ban persistent database '";
        if let Some((database, _)) = words
            .strip_prefix(opening)
            .and_then(|it| it.split_once("': "))
            && self.replaced.len() < COMPLAINTS
        {
            self.replaced.push(Replaced {
                database: database.into(),
                aside: None,
            });
        } else if let Some(path) = words.trim_start().strip_prefix("Database backup created: ")
            && let Some(last) = self.replaced.last_mut()
        {
            last.aside = Some(path.into());
        }
    }

    fn add(&mut self, complaint: Complaint, ended: Option<String>) {
        if self.complaints.len() >= COMPLAINTS && !self.complaints.contains_key(&complaint) {
            return;
        }
        let times = self.complaints.entry(complaint).or_default();
        times.count = times.count.saturating_add(1);
        times.ended = ended.or(times.ended.take());
    }
}

/// `7f… -- returned 127`, `-- timed out after 60 seconds.`, `-- killed with SIGKILL (return code: -9)`.
fn end_of_command(message: &Message) -> Option<String> {
    let (id, ended) = message.words.split_once(" -- ")?;
    let is_end = ["returned ", "timed out ", "killed with ", "unable to kill "]
        .iter()
        .any(|begin| ended.starts_with(begin));
    let is_id = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (message.level >= Level::Error && is_end && is_id)
        .then(|| ended.trim_end_matches('.').chars().take(60).collect())
}

fn complaint(message: &Message, ended: Option<&str>) -> Option<Complaint> {
    let words = message.words.as_str();
    let logger = message.logger.as_str();
    match (logger, message.level) {
        ("fail2ban.actions", Level::Error) => {
            let timed_out = ended.is_some_and(|ended| {
                ended.starts_with("timed out") || ended.starts_with("killed with")
            });
            of_action(words, timed_out)
        }
        ("fail2ban.filterpoll", Level::Warning) => {
            let quoted = words.strip_prefix("Too many errors. Remove file ")?;
            let log = literal::leading_string(quoted).ok()?.into();
            Some(Complaint::Dropped { log })
        }
        ("fail2ban.observer", Level::Error) if is_of_damage(words) => Some(Complaint::Database),
        (_, Level::Error) if words.starts_with("Too many errors at once (") => {
            Some(Complaint::WentIdle)
        }
        ("fail2ban.filter", Level::Error) if words.starts_with("Failed to process line: ") => {
            Some(Complaint::Lines)
        }
        ("fail2ban.filter", Level::Error) => {
            let log = words.strip_prefix("Unable to open ")?.into();
            Some(Complaint::Unreadable { log })
        }
        (_, Level::Error) if words.starts_with("Invariant check failed. Trying to restore") => {
            Some(Complaint::Gone { restored: true })
        }
        (_, Level::Critical) if words == "Unable to restore environment" => {
            Some(Complaint::Gone { restored: false })
        }
        _ => None,
    }
}

fn is_of_damage(words: &str) -> bool {
    cause::trouble_of_database(words) == Some(Trouble::DatabaseDamaged)
}

/// `Failed to execute ban jail 'J' action 'A' info …`, `Failed to start jail 'J' action 'A': …`.
fn of_action(words: &str, timed_out: bool) -> Option<Complaint> {
    let rest = words.strip_prefix("Failed to ")?;
    let (what, rest) = rest.split_once("jail '")?;
    let (jail, rest) = rest.split_once("' action '")?;
    let (action, _) = rest.split_once('\'')?;
    let (jail, action) = (jail.to_owned(), action.to_owned());
    let complaint = match what {
        "execute ban " | "execute reban " if timed_out => Complaint::Blocked { jail, action },
        "execute ban " | "execute reban " => Complaint::Ban { jail, action },
        "execute unban " => Complaint::Unban { jail, action },
        "start " | "stop " | "flush bans in " => Complaint::Setup { jail, action },
        _ => return None,
    };
    Some(complaint)
}

#[cfg(test)]
mod tests;
