//! What each jail should watch, as its commands say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::super::pickle::Value;
use super::super::stream::{JailStream, Stream};

/// What a jail should watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its log files: none for the systemd backend.
    pub logs: BTreeSet<PathBuf>,
}

/// What the jails that are to run should watch.
#[must_use]
pub fn expected(stream: &Stream) -> BTreeMap<String, Expected> {
    let started = stream.jails.iter().filter(|jail| jail.starts);
    started
        .map(|jail| (jail.name.clone(), of_jail(jail)))
        .collect()
}

fn of_jail(jail: &JailStream) -> Expected {
    // `['set', 'J', 'addlogpath', '/var/log/auth.log', 'head']`; what is not Unicode is left out.
    let lines = jail.text.lines().filter(|line| line.contains("addlogpath"));
    let logs = lines.filter_map(|line| {
        let command = super::super::literal::parse(line).ok()?;
        match command.as_list()? {
            [Value::Str(set), _, Value::Str(key), Value::Str(path), ..]
                if set == "set" && key == "addlogpath" =>
            {
                Some(PathBuf::from(path))
            }
            _ => None,
        }
    });
    Expected {
        logs: logs.collect(),
    }
}
