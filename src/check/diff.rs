//! What a reload would change, jail by jail, against what jailwarden last gave the daemon.
//!
//! jailwarden keeps a digest of each jail's commands in its state file, so this says which jails
//! differ, but not in which lines.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::text::{safe, safe_json};
use super::{CheckError, LIMIT, instance, readable_folder};
use crate::fail2ban::dump;
use crate::fail2ban::stream::{Diff, Digests};

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
}

/// What a reload would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    diff: Diff,
    /// How much fail2ban finds wrong while it reads the config.
    findings: usize,
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
    let read = dump::dump(&instance(&comparison.client, config_dir), LIMIT).await;
    let read = read.map_err(CheckError::from)?;
    super::all_must_be_readable(&read.findings)?;
    Ok(Changes {
        diff: read.stream.digests().since(&old),
        findings: read.findings.len(),
    })
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
        let diff = &self.diff;
        let mut out = String::new();
        for (mark, what, jails) in [
            ('+', "added", &diff.added),
            ('-', "removed", &diff.removed),
            ('~', "changed", &diff.changed),
        ] {
            for jail in jails {
                let _ = writeln!(out, "{mark} {} is {what}", safe(jail));
            }
        }
        if diff.server {
            out.push_str("~ fail2ban's own settings are changed\n");
        }
        let untouched = super::human::counted(diff.untouched.len(), "jail");
        let _ = writeln!(out, "{untouched} untouched");
        if !diff.changed.is_empty() || diff.server {
            out.push_str("In which lines cannot be told: jailwarden keeps digests alone\n");
        }
        if self.findings > 0 {
            let findings = super::human::counted(self.findings, "finding");
            let _ = writeln!(out, "fail2ban has {findings}: see jailwarden check");
        }
        out
    }

    /// For programs: `version`, `server` (whether fail2ban's own settings changed), the names in
    /// `added`, `removed`, `changed` and `untouched`, and the number of `findings`.
    #[must_use]
    pub fn json(&self) -> String {
        let diff = &self.diff;
        safe_json(&json!({
            "version": VERSION,
            "server": diff.server,
            "added": diff.added,
            "removed": diff.removed,
            "changed": diff.changed,
            "untouched": diff.untouched,
            "findings": self.findings,
        }))
    }
}
