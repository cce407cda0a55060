//! A stream as settings with names, so that people see which of them differ.

use std::collections::BTreeMap;

use super::JailStream;
use crate::fail2ban::literal;
use crate::fail2ban::pickle::Value;

/// A setting that differs between two streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// Such as `maxretry`, `failregex`, or `action NAME.actionban`.
    pub name: String,
    /// The values that only the old one has, in its order.
    pub removed: Vec<String>,
    /// The values that only the new one has, in its order. Where both are empty, the values are the
    /// same in another order.
    pub added: Vec<String>,
}

/// The settings of a jail that differ, by name.
#[must_use]
pub fn jail_changes(old: &JailStream, new: &JailStream) -> Vec<SettingChange> {
    let of = |jail: &JailStream| settings(jail.text.lines(), true);
    changes(of(old), of(new))
}

/// The settings of the server that differ, by name, from the lines of
/// [`Stream::server`](super::Stream::server).
#[must_use]
pub fn server_changes(old: &[String], new: &[String]) -> Vec<SettingChange> {
    let of = |lines: &[String]| settings(lines.iter().map(String::as_str), false);
    changes(of(old), of(new))
}

impl JailStream {
    /// Every setting with its value, as [`jail_changes`] names them; one of several values comes as
    /// often.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = settings(self.text.lines(), true).into_iter();
        let each = |(name, values): (String, Vec<String>)| {
            let pair = move |value| (name.clone(), value);
            values.into_iter().map(pair)
        };
        settings.flat_map(each).collect()
    }
}

type Settings = BTreeMap<String, Vec<String>>;

fn settings<'a>(lines: impl Iterator<Item = &'a str>, has_jail: bool) -> Settings {
    let mut settings = Settings::new();
    for line in lines {
        let Ok(Value::List(command)) = literal::parse(line) else {
            continue;
        };
        let Some((Value::Str(verb), words)) = command.split_first() else {
            continue;
        };
        let words = words.get(usize::from(has_jail)..).unwrap_or_default();
        for (name, value) in values(verb, words) {
            settings.entry(name).or_default().push(value);
        }
    }
    settings
}

/// What one command sets, without the jail's name (server/transmitter.py `__commandSet`).
fn values(verb: &str, words: &[Value]) -> Vec<(String, String)> {
    let shown = |values: &[Value]| {
        let words: Vec<_> = values.iter().map(Value::message).collect();
        words.join(" ")
    };
    match (verb, words) {
        ("add", _) => vec![("backend".to_owned(), shown(words))],
        ("start", _) => Vec::new(),
        (_, [Value::Str(word), Value::Str(action), Value::List(pairs)]) if word == "action" => {
            let pair = |pair: &Value| match pair.as_list() {
                Some([name, value]) => (
                    format!("action {action}.{}", name.message()),
                    value.message(),
                ),
                _ => (format!("action {action}"), pair.message()),
            };
            pairs.iter().map(pair).collect()
        }
        (
            _,
            [
                Value::Str(word),
                Value::Str(action),
                Value::Str(name),
                value @ ..,
            ],
        ) if word == "action" => {
            vec![(format!("action {action}.{name}"), shown(value))]
        }
        // An action in Python: its file, and what it is made with.
        (
            _,
            [
                Value::Str(word),
                Value::Str(action),
                Value::Str(file),
                Value::Dict(pairs),
            ],
        ) if word == "addaction" => {
            let of = |name: &str| format!("action {action}.{name}");
            let mut values = vec![
                ("action".to_owned(), action.clone()),
                (of("file"), file.clone()),
            ];
            let pairs = pairs.iter();
            values.extend(pairs.map(|(name, value)| (of(&name.message()), value.message())));
            values
        }
        ("multi-set", [Value::Str(word), Value::List(items)]) => {
            let name = plain(word);
            let items = items.iter().map(Value::message);
            items.map(|item| (name.to_owned(), item)).collect()
        }
        (_, [Value::Str(word), rest @ ..]) => vec![(plain(word).to_owned(), shown(rest))],
        _ => vec![(verb.to_owned(), shown(words))],
    }
}

/// The option that `addfailregex` and its like add to.
fn plain(word: &str) -> &str {
    word.strip_prefix("add").unwrap_or(word)
}

fn changes(mut old: Settings, new: Settings) -> Vec<SettingChange> {
    let mut changes = Vec::new();
    for (name, added) in new {
        let removed = old.remove(&name).unwrap_or_default();
        if removed != added {
            changes.push(change(name, removed, added));
        }
    }
    let gone = old.into_iter();
    changes.extend(gone.map(|(name, removed)| change(name, removed, Vec::new())));
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}

/// Leaves out of both what is in the other.
fn change(name: String, mut removed: Vec<String>, mut added: Vec<String>) -> SettingChange {
    added.retain(|value| {
        let same = removed.iter().position(|other| other == value);
        same.map(|at| removed.remove(at)).is_none()
    });
    SettingChange {
        name,
        removed,
        added,
    }
}
