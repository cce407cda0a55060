//! What differs between a snapshot and the config folder: its files, and jail by jail what fail2ban
//! makes of them.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::human::Style;
use super::settings::SettingChanges;
use super::{CheckError, LIMIT, instance, readable_folder, without_secrets};
use crate::fail2ban::dump::{self, DumpError};
use crate::fail2ban::stream::Diff;
use crate::history::mask::Secrets;
use crate::history::{ChangeKind, FileDiff, HistoryError, Id, Store};
use crate::text::{safe, safe_json};

/// The version of the JSON document.
const VERSION: u32 = 1;

/// What is compared with what.
#[derive(Debug, Clone)]
pub struct Question {
    /// fail2ban's client: a program and the words that always follow it.
    pub client: Vec<OsString>,
    /// The config folder.
    pub config_dir: PathBuf,
    /// Where jailwarden keeps its snapshots.
    pub state_dir: PathBuf,
    /// The first digits of a snapshot's id.
    pub id: String,
    /// How a person calls jailwarden, to be followed by a command.
    pub called: String,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    id: Id,
    when: SystemTime,
    config_dir: PathBuf,
    files: Vec<FileDiff>,
    jails: Jails,
    called: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Jails {
    Known(Diff, SettingChanges),
    /// Why fail2ban cannot read the config as it is now.
    Refused(String),
    /// The command stream was too long to be kept.
    NotKept,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum SinceError {
    /// The snapshot or the folder cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// fail2ban cannot be asked.
    #[error(transparent)]
    Config(#[from] CheckError),
}

/// Compares a snapshot with the config on disk. Must be called within a tokio runtime.
///
/// # Errors
/// [`SinceError`]; a config that fail2ban refuses is none.
pub async fn compare(question: &Question) -> Result<Difference, SinceError> {
    let store = Store::open(&question.state_dir, &question.called);
    let id = store.find(&question.id)?;
    let config_dir = readable_folder(&question.config_dir)?;
    let mut secrets = Secrets::default();
    let files = store.file_diffs(&id, &config_dir, &mut secrets)?;
    let jails = match store.stream(&id)? {
        None => Jails::NotKept,
        Some(old) => {
            let instance = instance(&question.client, config_dir.clone());
            match dump::dump(&instance, LIMIT).await {
                Ok(now) => {
                    let diff = now.stream.digests().since(&old.digests());
                    let settings = SettingChanges::of(&diff, &old, true, &now.stream, &mut secrets);
                    Jails::Known(diff, settings)
                }
                Err(error @ DumpError::Unreadable { .. }) => {
                    Jails::Refused(without_secrets(error, &config_dir).to_string())
                }
                Err(error) => return Err(CheckError::from(error).into()),
            }
        }
    };
    Ok(Difference {
        when: store.when(&id)?,
        id,
        config_dir,
        files,
        jails,
        called: question.called.clone(),
    })
}

impl Difference {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let same = |diff: &Diff| {
            let jails = [&diff.added, &diff.removed, &diff.changed];
            !diff.server && jails.iter().all(|jails| jails.is_empty())
        };
        self.files.is_empty()
            && match &self.jails {
                Jails::Known(diff, _) => same(diff),
                Jails::Refused(_) => false,
                Jails::NotKept => true,
            }
    }

    /// For people: the files as a unified diff, then jail by jail which settings differ. Nothing in
    /// it steers a terminal but the colours that were asked for, and secrets are masked.
    #[must_use]
    pub fn human(&self, style: Style) -> String {
        let mut out = String::new();
        for file in &self.files {
            self.file(&mut out, file);
        }
        if !self.files.is_empty() {
            out.push('\n');
        }
        match &self.jails {
            Jails::Known(diff, settings) => out.push_str(&settings.human(diff)),
            Jails::Refused(words) => {
                let _ = writeln!(out, "{}: see {} check", safe(words), self.called);
            }
            Jails::NotKept => {
                out.push_str(
                    "jail by jail cannot be told: the commands were too long to be kept\n",
                );
            }
        }
        if style.colour { coloured(&out) } else { out }
    }

    fn file(&self, out: &mut String, file: &FileDiff) {
        let path = safe(&file.change.path.display().to_string());
        let then = format!("{}/{path}", self.id.short());
        let now = safe(
            &self
                .config_dir
                .join(&file.change.path)
                .display()
                .to_string(),
        );
        let none = || "/dev/null".to_owned();
        let (then, now) = match file.change.kind {
            ChangeKind::Added => (none(), now),
            ChangeKind::Removed => (then, none()),
            ChangeKind::Changed | ChangeKind::Mode => (then, now),
        };
        let _ = writeln!(out, "--- {then}\n+++ {now}");
        for note in &file.notes {
            let _ = writeln!(out, "{note}");
        }
        out.push_str(file.hunks.as_deref().unwrap_or_default());
    }

    /// For programs: `version`; of the snapshot `id` and `when`; `config_dir`; `files`, each with
    /// `path`, `change` (`added`, `removed`, `changed` or `mode`, as seen from the snapshot),
    /// `elsewhere`, `notes` and `diff` (or null); `refused` (fail2ban's words, or null); and as of
    /// `jailwarden diff`: `server`, `added`, `removed`, `changed`, `untouched`, `settings` and
    /// `server_settings`, all null where not known.
    #[must_use]
    pub fn json(&self) -> String {
        let file = |file: &FileDiff| {
            json!({
                "path": file.change.path.to_string_lossy(),
                "change": file.change.kind,
                "elsewhere": file.change.elsewhere,
                "notes": file.notes,
                "diff": file.hunks,
            })
        };
        let when = humantime::format_rfc3339_seconds(self.when).to_string();
        let mut document = Map::new();
        let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
        put("version", VERSION.into());
        put("id", self.id.to_string().into());
        put("when", when.into());
        put("config_dir", self.config_dir.to_string_lossy().into());
        put("files", self.files.iter().map(file).collect());
        put("refused", Value::Null);
        for name in ["server", "added", "removed", "changed", "untouched"] {
            put(name, Value::Null);
        }
        put("settings", Value::Null);
        put("server_settings", Value::Null);
        match &self.jails {
            Jails::Known(diff, settings) => {
                put("server", diff.server.into());
                put("added", json!(diff.added));
                put("removed", json!(diff.removed));
                put("changed", json!(diff.changed));
                put("untouched", json!(diff.untouched));
                for (name, value) in settings.json() {
                    put(name, value);
                }
            }
            Jails::Refused(words) => {
                put("refused", words.clone().into());
            }
            Jails::NotKept => {}
        }
        safe_json(&document.into())
    }
}

/// As git colours a diff.
fn coloured(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let colour = match line.as_bytes() {
            [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => "1",
            [b'-', ..] => "31",
            [b'+', ..] => "32",
            [b'@', ..] => "36",
            [b'~', ..] => "33",
            _ => "",
        };
        let _ = match colour {
            "" => writeln!(out, "{line}"),
            colour => writeln!(out, "\x1b[{colour}m{line}\x1b[0m"),
        };
    }
    out
}
