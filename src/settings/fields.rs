//! Which keys a settings file may have, and what is said of the others.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::Mistake;
use super::values::{clipped, wanted};
use super::yaml::{Fault, Node, Position, Value};

/// Every key, with its section before it.
pub(super) const KEYS: [&str; 21] = [
    "config_dir",
    "state_dir",
    "settle",
    "daemon.unit",
    "daemon.socket",
    "daemon.pid_file",
    "daemon.client",
    "daemon.start_command",
    "probe.interval",
    "probe.timeout",
    "probe.busy_limit",
    "probe.firewall",
    "restart.comeback",
    "restart.stop_timeout",
    "restart.replace_files",
    "alerts.command",
    "alerts.severity",
    "metrics.textfile",
    "control.socket",
    "control.admins",
    "page.listen",
];

const SECTIONS: [&str; 7] = [
    "daemon", "probe", "restart", "alerts", "metrics", "control", "page",
];

const NO_VALUE: &str = "has no value: give one, or comment the line out for the default";

const NOT_SET: &str = "is not set: the settings of a further instance must say which fail2ban it is for, since \
                       the default is the host's own";

/// How alike two names are, from 0 to 1, for one to be offered in place of the other.
const NEAR: f64 = 0.6;

/// The line of each section and key that a file has.
pub(super) type Lines = BTreeMap<&'static str, u32>;

/// The values of a settings file by their keys, and the mistakes found so far.
pub(super) struct Fields<'a> {
    file: &'a Path,
    values: BTreeMap<&'static str, Node>,
    lines: Lines,
    mistakes: Vec<Mistake>,
}

impl<'a> Fields<'a> {
    /// A settings file that sets nothing.
    pub(super) fn empty(file: &'a Path) -> Self {
        Self {
            file,
            values: BTreeMap::new(),
            lines: Lines::new(),
            mistakes: Vec::new(),
        }
    }

    /// Sorts the values of a whole file by their keys.
    pub(super) fn of(root: Node, file: &'a Path) -> Self {
        let mut fields = Self::empty(file);
        fields.section("", root);
        fields
    }

    /// The file that is read.
    pub(super) fn file(&self) -> &'a Path {
        self.file
    }

    /// Blames each of `keys` that the file does not set.
    pub(super) fn require(&mut self, keys: &[&'static str]) {
        for key in keys {
            if !self.values.contains_key(key) {
                let at = Position::START;
                let what = NOT_SET.to_owned();
                self.blame(key, Fault { at, what });
            }
        }
    }

    /// The checked value of `key`, or `default` where the file has none or a wrong one.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        default: T,
        check: impl FnOnce(&Node) -> Result<T, Fault>,
    ) -> T {
        let checked = self.values.get(key).map(|node| match node.value {
            Value::Nothing => Err(node.fault(NO_VALUE)),
            _ => check(node),
        });
        match checked {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(fault)) => {
                self.blame(key, fault);
                default
            }
        }
    }

    /// Two settings do not go together: blames the first of `keys` that the file sets, unless one
    /// of them is wrong in itself, so that a default stands in for it.
    pub(super) fn conflict(&mut self, keys: [&'static str; 2], what: String) {
        let wrong = |key: &str| self.mistakes.iter().any(|mistake| mistake.key == key);
        if keys.into_iter().any(wrong) {
            return;
        }
        let set = |key: &&str| self.values.contains_key(key);
        let key = keys.into_iter().find(set).unwrap_or(keys[0]);
        let at = self.values.get(key).map_or(Position::START, |node| node.at);
        self.blame(key, Fault { at, what });
    }

    /// Every mistake, in the file's order, and where each key stands.
    pub(super) fn finish(mut self) -> (Vec<Mistake>, Lines) {
        self.mistakes
            .sort_by_key(|mistake| (mistake.line, mistake.column));
        (self.mistakes, self.lines)
    }

    /// Takes in a section; the name of the whole file is empty.
    fn section(&mut self, name: &str, node: Node) {
        match node.value {
            Value::Nothing => {}
            Value::Section(entries) => {
                for (key, value) in entries {
                    self.entry(name, &key, value);
                }
            }
            _ => self.blame(name, wanted("a section of keys and values", &node)),
        }
    }

    fn entry(&mut self, section: &str, key: &Node, value: Node) {
        let (Value::Text(name) | Value::Number(name)) = &key.value else {
            return self.blame(section, wanted("the name of a key", key));
        };
        let path = joined(section, name);
        let find = |keys: &[&'static str]| keys.iter().find(|known| **known == path).copied();
        let known_section = find(&SECTIONS).filter(|_| section.is_empty());
        let known_key = find(&KEYS).filter(|known| parts(known).0 == section);
        let Some(known) = known_section.or(known_key) else {
            return self.blame(section, key.fault(unknown(section, name)));
        };
        if let Some(line) = self.lines.get(known) {
            let what = format!("doubled key: it already stands in line {line}");
            self.blame(known, key.fault(what));
        } else {
            self.lines.insert(known, key.at.line);
        }
        if known_section.is_some() {
            self.section(known, value);
        } else {
            self.values.insert(known, value);
        }
    }

    fn blame(&mut self, key: &str, fault: Fault) {
        self.mistakes.push(Mistake::new(self.file, key, fault));
    }
}

fn joined(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

/// Section and name; the section is empty at the top level.
fn parts(key: &'static str) -> (&'static str, &'static str) {
    key.split_once('.').unwrap_or(("", key))
}

/// The names that may stand in a section.
fn names(section: &str) -> impl Iterator<Item = &'static str> {
    let top = if section.is_empty() {
        &SECTIONS[..]
    } else {
        &[]
    };
    let keys = KEYS.into_iter().map(parts);
    let here = keys
        .filter(move |(of, _)| *of == section)
        .map(|(_, name)| name);
    here.chain(top.iter().copied())
}

/// What is said of an unknown key: a near match, else where it belongs, else what may stand here.
fn unknown(section: &str, written: &str) -> String {
    let plain = written.to_lowercase().replace('-', "_");
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&plain, name);
    let wrong = format!("unknown key `{}`", clipped(written));
    let near = names(section).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    if let Some(near) = near.filter(|name| likeness(name) >= NEAR) {
        return format!("{wrong}, did you mean `{near}`?");
    }
    let home = KEYS
        .into_iter()
        .find(|key| *key == plain || parts(key).1 == plain);
    match home.map(parts) {
        Some(("", name)) => format!("{wrong}: `{name}` belongs to no section"),
        Some((home, name)) => format!("{wrong}: `{name}` belongs in the section `{home}`"),
        None => {
            let names: Vec<&str> = names(section).collect();
            format!("{wrong}: expected one of {}", names.join(", "))
        }
    }
}
