//! Which settings of which jails differ, in words that keep secrets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::fail2ban::stream::{Diff, SettingChange, Stream, jail_changes, server_changes};
use crate::history::mask::Secrets;
use crate::text::{counted, safe};

/// Settings that differ between two streams, masked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SettingChanges {
    /// Of fail2ban itself; none where its former ones are not known.
    server: Option<Vec<SettingChange>>,
    /// Of each changed jail whose former ones are known.
    jails: BTreeMap<String, Vec<SettingChange>>,
}

impl SettingChanges {
    /// Of the jails that differ. `old` may lack jails and, without `has_server`, the server's
    /// settings, where these are not known.
    pub(super) fn of(
        diff: &Diff,
        old: &Stream,
        has_server: bool,
        new: &Stream,
        secrets: &mut Secrets,
    ) -> Self {
        for jail in old.jails.iter().chain(&new.jails) {
            for (name, value) in jail.settings() {
                secrets.learn_setting(&name, &value);
            }
        }
        let jail = |stream: &Stream, name: &str| {
            stream.jails.iter().find(|jail| jail.name == name).cloned()
        };
        let mut jails = BTreeMap::new();
        for name in &diff.changed {
            if let (Some(old), Some(new)) = (jail(old, name), jail(new, name)) {
                let changes = jail_changes(&old, &new);
                jails.insert(name.clone(), masked(changes, secrets));
            }
        }
        let server = (diff.server && has_server)
            .then(|| masked(server_changes(&old.server, &new.server), secrets));
        Self { server, jails }
    }

    /// Whether something differs of which it is not known what.
    pub(super) fn lacks_some(&self, diff: &Diff) -> bool {
        let is_known = |jail: &String| self.jails.contains_key(jail);
        !diff.changed.iter().all(is_known) || (diff.server && self.server.is_none())
    }

    /// For people: a line for each jail that differs, the settings below it, and a summary.
    pub(super) fn human(&self, diff: &Diff) -> String {
        let mut out = String::new();
        for (mark, what, jails) in [
            ('+', "added", &diff.added),
            ('-', "removed", &diff.removed),
            ('~', "changed", &diff.changed),
        ] {
            for jail in jails {
                let _ = writeln!(out, "{mark} {} is {what}", safe(jail));
                let changes = self.jails.get(jail).filter(|_| mark == '~');
                list(&mut out, changes.map(Vec::as_slice).unwrap_or_default());
            }
        }
        if diff.server {
            out.push_str("~ fail2ban's own settings are changed\n");
            list(&mut out, self.server.as_deref().unwrap_or_default());
        }
        let untouched = counted(diff.untouched.len(), "jail");
        let _ = writeln!(out, "{untouched} untouched");
        out
    }

    /// `settings` by jail, and `server_settings`; each with `name`, `removed` and `added`. Null, or
    /// no jail, where it is not known.
    pub(super) fn json(&self) -> [(&'static str, Value); 2] {
        let changes = |changes: &Vec<SettingChange>| {
            let one = |change: &SettingChange| {
                json!({
                    "name": change.name,
                    "removed": change.removed,
                    "added": change.added,
                })
            };
            changes.iter().map(one).collect::<Vec<_>>()
        };
        let jails = self.jails.iter();
        let jails: BTreeMap<_, _> = jails.map(|(jail, it)| (jail, changes(it))).collect();
        [
            ("settings", json!(jails)),
            ("server_settings", json!(self.server.as_ref().map(changes))),
        ]
    }
}

fn masked(changes: Vec<SettingChange>, secrets: &Secrets) -> Vec<SettingChange> {
    let masked = |mut change: SettingChange| {
        for value in change.removed.iter_mut().chain(&mut change.added) {
            *value = secrets.mask_setting(&change.name, value);
        }
        change
    };
    changes.into_iter().map(masked).collect()
}

fn list(out: &mut String, changes: &[SettingChange]) {
    for SettingChange {
        name,
        removed,
        added,
    } in changes
    {
        let name = safe(name);
        let _ = match (removed.as_slice(), added.as_slice()) {
            ([], []) => writeln!(out, "    {name}: in another order"),
            ([old], [new]) if old == new => writeln!(out, "    {name}: another {new}"),
            ([old], [new]) if old.len() + new.len() < 60 => {
                writeln!(out, "    {name}: {} → {}", safe(old), safe(new))
            }
            _ => {
                for (mark, values) in [('-', removed), ('+', added)] {
                    for value in values {
                        let _ = writeln!(out, "    {name}: {mark} {}", safe(value));
                    }
                }
                Ok(())
            }
        };
    }
}
