//! For programs: JSON documents. Within a `version`, fields are only ever added.

use serde_json::{Value, json};

use super::{Done, Entry, FileChange, Left, Listing, Rejected, Replaced, Warning, What};
use crate::text::safe_json;

/// The version of the documents.
pub const VERSION: u32 = 1;

/// What is kept: `version`, `snapshots` and `replaced`, each with the newest first, and `warnings`.
///
/// Of a snapshot: `id`, `when`, `files`, `bytes`, `jails` (or null), `changed` against the one before
/// (null for the oldest) with `files` (each `path`, `change`, `elsewhere`) and `jails` (`added`,
/// `removed`, `changed`, `server`, or null), `rollbacks`, and `not_kept` (`path`, `why`). Of replaced
/// files: `id`, `when`, `reason`, `config_dir`, `paths`, `files` (where they are), `finished`.
#[must_use]
pub fn listing(snapshots: &Listing<Entry>, rejected: &Listing<Rejected>) -> String {
    let warnings = snapshots.warnings.iter().chain(&rejected.warnings);
    safe_json(&json!({
        "version": VERSION,
        "snapshots": snapshots.entries.iter().map(snapshot).collect::<Vec<_>>(),
        "replaced": rejected.entries.iter().map(replaced).collect::<Vec<_>>(),
        "warnings": warnings.map(Warning::to_string).collect::<Vec<_>>(),
    }))
}

fn snapshot(entry: &Entry) -> Value {
    let file = |change: &FileChange| {
        json!({
            "path": change.path.to_string_lossy(),
            "change": change.kind,
            "elsewhere": change.elsewhere,
        })
    };
    let changed = entry.since.as_ref().map(|since| {
        let jails = since.jails.as_ref().map(|diff| {
            json!({
                "added": diff.added,
                "removed": diff.removed,
                "changed": diff.changed,
                "server": diff.server,
            })
        });
        json!({
            "files": since.files.iter().map(file).collect::<Vec<_>>(),
            "jails": jails,
        })
    });
    let not_kept = entry
        .not_kept
        .iter()
        .map(|(path, why)| json!({"path": path.to_string_lossy(), "why": why}));
    json!({
        "id": entry.id.to_string(),
        "when": humantime::format_rfc3339_seconds(entry.when).to_string(),
        "files": entry.files,
        "bytes": entry.bytes,
        "jails": entry.jails,
        "changed": changed,
        "rollbacks": entry.rollbacks,
        "not_kept": not_kept.collect::<Vec<_>>(),
    })
}

fn replaced(entry: &Rejected) -> Value {
    let paths = entry.paths.iter().map(|path| path.to_string_lossy());
    json!({
        "id": entry.id,
        "when": humantime::format_rfc3339_seconds(entry.when).to_string(),
        "reason": entry.reason,
        "config_dir": entry.config_dir.to_string_lossy(),
        "paths": paths.collect::<Vec<_>>(),
        "files": entry.files.to_string_lossy(),
        "finished": entry.finished,
        "undo": entry.undo,
    })
}

/// What was done, or would be: `done` (`path`, `what`: `file`, `file-for-link`, `link`, `folder`,
/// `mode` or `removed`), `left` (`path`, `why`), and `replaced` (`id`, `files`, `undo`, or null).
#[must_use]
pub fn deeds(
    done: &[Done],
    left: &[Left],
    replaced: Option<&Replaced>,
) -> [(&'static str, Value); 3] {
    let what = |what: &What| match what {
        What::File => "file",
        What::FileForLink(_) => "file-for-link",
        What::Link(_) => "link",
        What::Folder => "folder",
        What::Mode => "mode",
        What::Removed => "removed",
    };
    let done = done
        .iter()
        .map(|done| json!({"path": done.path.to_string_lossy(), "what": what(&done.what)}));
    let left = left
        .iter()
        .map(|left| json!({"path": left.path.to_string_lossy(), "why": left.why.to_string()}));
    let replaced = replaced
        .map(|it| json!({"id": it.id, "files": it.files.to_string_lossy(), "undo": it.undo}));
    [
        ("done", done.collect()),
        ("left", left.collect()),
        ("replaced", replaced.into()),
    ]
}
