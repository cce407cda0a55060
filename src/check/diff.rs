//! What a reload would change, jail by jail, against what jailwarden last gave the daemon.
//!
//! jailwarden keeps a digest of each jail's commands in its state file, which says which jails differ.
//! Where a snapshot holds the very commands, it is told in which settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::settings::SettingChanges;
use super::{CheckError, LIMIT, instance, readable_folder, without_secrets};
use crate::fail2ban::dump;
use crate::fail2ban::stream::{Diff, Digests, Stream};
use crate::history::Store;
use crate::history::mask::Secrets;
use crate::text::{counted, safe, safe_json};

/// The only version of the state file that there is (`shell/memory_file.rs`).
const STATE_VERSION: u32 = 1;
/// Far above what thousands of jails need.
const MAX_STATE: u64 = 4 << 20;
/// The version of the JSON document.
const VERSION: u32 = 1;

/// What is compared with what.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// fail2ban's client: a program and the words that always follow it.
    pub client: Vec<OsString>,
    /// The config folder.
    pub config_dir: PathBuf,
    /// Where jailwarden keeps its state file.
    pub state_dir: PathBuf,
    /// How a person calls jailwarden, to be followed by a command.
    pub called: String,
}

/// What a reload would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    diff: Diff,
    settings: SettingChanges,
    /// How much fail2ban finds wrong while it reads the config.
    findings: usize,
    called: String,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// jailwarden has not yet given the daemon a config here.
    #[error(
        "{file}: there is nothing to compare with, as jailwarden has not supervised this fail2ban yet"
    )]
    NothingKept {
        /// The state file.
        file: String,
    },
    /// The state file cannot be read.
    #[error("{file}: {error}")]
    State {
        /// The file.
        file: String,
        /// Why not.
        error: io::Error,
    },
    /// The config cannot be read.
    #[error(transparent)]
    Config(#[from] CheckError),
}

#[derive(Deserialize)]
struct State {
    version: u32,
    memory: Memory,
}

#[derive(Deserialize)]
struct Memory {
    accepted: Option<Plan>,
}

#[derive(Deserialize)]
struct Plan {
    server: u128,
    jails: BTreeMap<String, Jail>,
}

#[derive(Deserialize)]
struct Jail {
    digest: u128,
}

/// Compares the config on disk with what the daemon was last given. Must be called within a tokio
/// runtime.
///
/// # Errors
/// [`DiffError`].
pub async fn compare(comparison: &Comparison) -> Result<Changes, DiffError> {
    let old = last_given(&comparison.state_dir.join("state.json"))?;
    let config_dir = readable_folder(&comparison.config_dir)?;
    let read = dump::dump(&instance(&comparison.client, config_dir.clone()), LIMIT).await;
    let read = read.map_err(|error| CheckError::Dump(without_secrets(error, &config_dir)))?;
    super::all_must_be_readable(&read.findings)?;
    let diff = read.stream.digests().since(&old);
    let (given, has_server) = given(comparison, &old);
    let mut secrets = Secrets::default();
    Ok(Changes {
        settings: SettingChanges::of(&diff, &given, has_server, &read.stream, &mut secrets),
        diff,
        findings: read.findings.len(),
        called: comparison.called.clone(),
    })
}

/// What the daemon was last given, as far as the snapshots hold it, and whether that is true of the
/// server's settings.
fn given(comparison: &Comparison, digests: &Digests) -> (Stream, bool) {
    let mut given = Stream::default();
    let mut has_server = false;
    // Without snapshots it is told without settings.
    let store = Store::open(&comparison.state_dir, &comparison.called);
    for stream in store.streams().into_iter().flatten() {
        if !has_server && stream.digests().server == digests.server {
            given.server.clone_from(&stream.server);
            has_server = true;
        }
        for jail in stream.jails {
            let is_given = digests.jails.get(&jail.name) == Some(&jail.digest);
            if is_given && !given.jails.iter().any(|known| known.name == jail.name) {
                given.jails.push(jail);
            }
        }
    }
    (given, has_server)
}

fn last_given(file: &Path) -> Result<Digests, DiffError> {
    let name = || safe(&file.display().to_string());
    let plan = read_state(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DiffError::NothingKept { file: name() },
        io::ErrorKind::PermissionDenied => CheckError::Denied { path: name() }.into(),
        _ => DiffError::State {
            file: name(),
            error,
        },
    })?;
    let plan = plan.ok_or_else(|| DiffError::NothingKept { file: name() })?;
    let jails = plan
        .jails
        .into_iter()
        .map(|(name, jail)| (name, jail.digest));
    Ok(Digests {
        server: plan.server,
        jails: jails.collect(),
    })
}

fn read_state(file: &Path) -> io::Result<Option<Plan>> {
    let mut bytes = Vec::new();
    File::open(file)?
        .take(MAX_STATE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_STATE {
        return Err(io::Error::other("it is too large for a state file"));
    }
    let state: State = serde_json::from_slice(&bytes)?;
    if state.version != STATE_VERSION {
        let words = format!("version {} is not known here", state.version);
        return Err(io::Error::other(words));
    }
    Ok(state.memory.accepted)
}

impl Changes {
    /// Whether a reload would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Diff {
            server,
            added,
            removed,
            changed,
            ..
        } = &self.diff;
        !server
            && [added, removed, changed]
                .iter()
                .all(|jails| jails.is_empty())
    }

    /// For people: a line for each jail that differs, and a summary.
    #[must_use]
    pub fn human(&self) -> String {
        let mut out = self.settings.human(&self.diff);
        if self.settings.lacks_some(&self.diff) {
            out.push_str(
                "Not all settings can be told: of some jailwarden keeps digests alone, until fail2ban \
                 was healthy with them for a minute\n",
            );
        }
        if self.findings > 0 {
            let findings = counted(self.findings, "finding");
            let _ = writeln!(out, "fail2ban has {findings}: see {} check", self.called);
        }
        out
    }

    /// For programs: `version`, `server` (whether fail2ban's own settings changed), the names in
    /// `added`, `removed`, `changed` and `untouched`, the number of `findings`, and as far as they
    /// are known `settings` by jail and `server_settings`, each with `name`, `removed` and `added`.
    #[must_use]
    pub fn json(&self) -> String {
        let diff = &self.diff;
        let mut document = json!({
            "version": VERSION,
            "server": diff.server,
            "added": diff.added,
            "removed": diff.removed,
            "changed": diff.changed,
            "untouched": diff.untouched,
            "findings": self.findings,
        });
        for (name, value) in self.settings.json() {
            if let Some(document) = document.as_object_mut() {
                document.insert(name.to_owned(), value);
            }
        }
        safe_json(&document)
    }
}
