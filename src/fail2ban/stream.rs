//! The commands that a start or reload would send, as `fail2ban-client -d` prints them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::finding::{Finding, FindingKind};
use super::literal::{self, LiteralError};
use super::pickle::Value;

mod settings;

pub use settings::{SettingChange, jail_changes, server_changes};

/// What `set` takes for the server where a jail's name stands otherwise (transmitter.py,
/// `__commandSet`, 1.0.2 to 1.1.1).
pub const SERVER_SETTINGS: [&str; 8] = [
    "loglevel",
    "logtarget",
    "syslogsocket",
    "allowipv6",
    "thread",
    "dbfile",
    "dbmaxmatches",
    "dbpurgeage",
];

/// The name of the server's own settings where they stand among jails, none of which can have it: a
/// section has a name.
pub const SERVER: &str = "";

/// The config as fail2ban itself reads it, jail by jail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// The lines that are of no jail: server settings, and any command not known here.
    pub server: Vec<String>,
    /// The jails in the order of the stream.
    pub jails: Vec<JailStream>,
    /// What the stream itself says is wrong.
    pub findings: Vec<Finding>,
}

/// The commands of one jail. The text is kept, not its values: a stock jail has some 2.6 kB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailStream {
    /// The jail's name, which may hold nearly any character.
    pub name: String,
    /// Its lines, each with a newline, its `start` among them.
    pub text: String,
    /// A hash of `text`, the same in every run and version of jailwarden.
    pub digest: u128,
    /// Whether the jail is to run.
    pub starts: bool,
}

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of what `fail2ban-client -d` prints is no command: {why}: {text}")]
pub struct StreamError {
    /// The line, from 1.
    pub line: usize,
    /// The line's beginning.
    pub text: String,
    /// What is wrong with it.
    pub why: LineError,
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It does not parse.
    #[error(transparent)]
    Literal(#[from] LiteralError),
    /// It parses, but is not a list that begins with a string.
    #[error("it is not a list that begins with a name")]
    NoCommand,
}

/// What a stream was, small enough to keep: a hash for the server settings and for each jail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digests {
    /// Of the lines that are of no jail.
    pub server: u128,
    /// Of each jail that is to run.
    pub jails: BTreeMap<String, u128>,
}

/// How a stream differs from an older one; jails in alphabetical order, by code point.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// Whether a server setting changed.
    pub server: bool,
    /// Jails that are new.
    pub added: Vec<String>,
    /// Jails that are gone.
    pub removed: Vec<String>,
    /// Jails whose commands changed.
    pub changed: Vec<String>,
    /// Jails with the same commands as before.
    pub untouched: Vec<String>,
}

impl Stream {
    /// Groups the lines of `fail2ban-client -d` by jail.
    ///
    /// # Errors
    /// [`StreamError`] for the first line that is no command.
    pub fn parse(stdout: &str) -> Result<Self, StreamError> {
        let mut building = Building::default();
        for (at, line) in stdout.split('\n').enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            building.line(line).map_err(|why| StreamError {
                line: at + 1,
                text: line.chars().take(120).collect(),
                why,
            })?;
        }
        let mut stream = building.stream;
        for jail in &mut stream.jails {
            jail.digest = digest(&jail.text);
        }
        Ok(stream)
    }

    /// The names of the jails that are to run, in the order of the stream.
    pub fn started(&self) -> impl Iterator<Item = &str> {
        let started = self.jails.iter().filter(|jail| jail.starts);
        started.map(|jail| jail.name.as_str())
    }

    /// The whole as text, jail by jail, which [`Stream::parse`] takes for the same stream but for
    /// its findings.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.server {
            text.push_str(line);
            text.push('\n');
        }
        text.extend(self.jails.iter().map(|jail| jail.text.as_str()));
        text
    }

    /// The server's own settings, to be rehearsed as a jail is.
    #[must_use]
    pub fn server_part(&self) -> JailStream {
        let text = self.server.join("\n");
        JailStream {
            name: SERVER.to_owned(),
            digest: digest(&text),
            text,
            starts: false,
        }
    }

    /// What a server setting is set to, such as `dbfile`, if it is a text.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        let commands = self.server.iter().rev().map(|line| literal::parse(line));
        commands.flatten().find_map(|command| {
            let [Value::Str(set), Value::Str(key), Value::Str(value)] = command.as_list()? else {
                return None;
            };
            (set == "set" && key == name).then(|| value.clone())
        })
    }

    /// The file that holds the daemon's memory: none with `:memory:` and with `None`.
    #[must_use]
    pub fn database(&self) -> Option<PathBuf> {
        let file = PathBuf::from(self.setting("dbfile")?);
        file.is_absolute().then_some(file)
    }

    /// What to keep in order to see later what changed.
    #[must_use]
    pub fn digests(&self) -> Digests {
        let started = self.jails.iter().filter(|jail| jail.starts);
        Digests {
            server: digest(&self.server.join("\n")),
            jails: started
                .map(|jail| (jail.name.clone(), jail.digest))
                .collect(),
        }
    }
}

impl JailStream {
    /// Whether a line of its log can lead to a ban: whether it has a `failregex`.
    #[must_use]
    pub fn finds(&self) -> bool {
        self.text.contains("'addfailregex'")
    }

    /// The commands as values, ready to be sent.
    ///
    /// # Errors
    /// [`LiteralError`], which cannot be for a text that [`Stream::parse`] made.
    pub fn commands(&self) -> Result<Vec<Value>, LiteralError> {
        self.text.lines().map(literal::parse).collect()
    }
}

impl Digests {
    /// How `self` differs from `old`.
    #[must_use]
    pub fn since(&self, old: &Self) -> Diff {
        let mut diff = Diff {
            server: self.server != old.server,
            ..Diff::default()
        };
        for (name, digest) in &self.jails {
            let list = match old.jails.get(name) {
                None => &mut diff.added,
                Some(before) if before == digest => &mut diff.untouched,
                Some(_) => &mut diff.changed,
            };
            list.push(name.clone());
        }
        let gone = old
            .jails
            .keys()
            .filter(|name| !self.jails.contains_key(*name));
        diff.removed = gone.cloned().collect();
        diff
    }
}

/// Takes any text to a 128-bit hash; the key is fixed, so that it may be kept on disk.
#[must_use]
pub fn digest(text: &str) -> u128 {
    let mut hasher = SipHasher13::new();
    std::hash::Hasher::write(&mut hasher, text.as_bytes());
    hasher.finish128().as_u128()
}

#[derive(Default)]
struct Building {
    stream: Stream,
    /// Where each jail stands in the stream.
    places: HashMap<String, usize>,
}

impl Building {
    fn line(&mut self, line: &str) -> Result<(), LineError> {
        let Value::List(command) = literal::parse(line)? else {
            return Err(LineError::NoCommand);
        };
        let verb = command.first().and_then(Value::as_str);
        let verb = verb.ok_or(LineError::NoCommand)?;
        let object = command.get(1).and_then(Value::as_str).unwrap_or_default();
        match verb {
            "config-error" => {
                self.stream.findings.push(config_error(object));
                return Ok(());
            }
            "set" if command.len() == 3 && SERVER_SETTINGS.contains(&object) => {
                self.stream.server.push(line.to_owned());
            }
            "add" | "set" | "multi-set" | "start" => self.jail_line(verb, object, line),
            _ => self.stream.server.push(line.to_owned()),
        }
        self.stream.findings.extend(missing_number(&command));
        Ok(())
    }

    fn jail_line(&mut self, verb: &str, name: &str, line: &str) {
        if verb == "add" && (name == "--all" || SERVER_SETTINGS.contains(&name)) {
            let words = format!(
                "a jail must not be named '{name}': fail2ban takes its options for the server's own"
            );
            let finding = Finding::new(FindingKind::ReservedName, Some(name), words);
            self.stream.findings.push(finding);
        }
        let jails = &mut self.stream.jails;
        let at = *self.places.entry(name.to_owned()).or_insert(jails.len());
        if at == jails.len() {
            jails.push(JailStream {
                name: name.to_owned(),
                text: String::new(),
                digest: 0,
                starts: false,
            });
        }
        if let Some(jail) = jails.get_mut(at) {
            jail.text.push_str(line);
            jail.text.push('\n');
            jail.starts |= verb == "start";
        }
    }
}

/// The finding in `Jail 'J' skipped, because of wrong configuration: WORDS` (jailreader.py), or of
/// `Jail 'J' skipped, because of missing log files.` (1.1.1, with `skip_if_nologs`).
fn config_error(text: &str) -> Finding {
    let named = text.strip_prefix("Jail '");
    let parts = named.and_then(|rest| rest.split_once("' skipped, because of "));
    let Some((jail, why)) = parts else {
        return Finding::new(FindingKind::JailSkipped, None, text);
    };
    if why == "missing log files." {
        return Finding::new(FindingKind::LogAwaited, Some(jail), why);
    }
    let words = why.strip_prefix("wrong configuration: ").unwrap_or(why);
    Finding::new(FindingKind::JailSkipped, Some(jail), words)
}

/// fail2ban replaces a number that it cannot read with `None`, which `-d` prints and the server then
/// refuses with a `TypeError` (configreader.py `getOptions`; measured with 1.0.2 and 1.1.1).
fn missing_number(command: &[Value]) -> Option<Finding> {
    let (jail, option) = match command {
        [_, Value::Str(option), Value::None] => (None, option),
        [_, Value::Str(jail), Value::Str(option), Value::None] => (Some(jail.as_str()), option),
        [_, Value::Str(_), Value::Dict(pairs)] => match pairs.as_slice() {
            [(Value::Str(option), Value::None)] => (None, option),
            _ => return None,
        },
        _ => return None,
    };
    let words = format!("'{option}' is missing or is not a number");
    Some(Finding::new(FindingKind::BadNumber, jail, words))
}

#[cfg(test)]
mod tests;
