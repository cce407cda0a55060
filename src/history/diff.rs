//! What differs between a snapshot and the folder, line by line, without secrets.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use super::mask::Secrets;
use super::store::{Id, Store};
use super::tree::{Meta, Name, Node, Regular, Tree};
use super::walk;
use super::{FileChange, HistoryError};
use crate::text::safe;

/// Files without anything in common are told as such after this.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// Which, and how.
    pub change: FileChange,
    /// What differs besides lines, such as the mode; safe to print.
    pub notes: Vec<String>,
    /// The lines as a unified diff without its two first lines; safe to print, with the secrets
    /// masked. None where they do not differ, or one of the two is not to be had.
    pub hunks: Option<String>,
}

impl Store {
    /// What differs between a snapshot (old) and the config folder as it is now (new). `secrets`
    /// learns those of the files.
    ///
    /// # Errors
    /// When there is no such snapshot, or the folder cannot be read.
    pub fn file_diffs(
        &self,
        id: &Id,
        config_dir: &Path,
        secrets: &mut Secrets,
    ) -> Result<Vec<FileDiff>, HistoryError> {
        let old = self.load(id)?.tree;
        let new = walk::scan(config_dir)?.tree;
        let changes = new.since(&old);
        let text = |tree: &Tree, path: &Path, read: &dyn Fn(&Regular) -> Option<Vec<u8>>| {
            let bytes = match tree.0.get(path) {
                None | Some(Node::Absent | Node::Folder(_)) => Some(Vec::new()),
                Some(node) => node.regular().and_then(read),
            };
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut texts = Vec::new();
        for change in &changes {
            let path = &change.path;
            let kept = |file: &Regular| self.blobs().get(&file.content).ok();
            let at = |file: &Regular| walk::content(&config_dir.join(path), file);
            let (old, new) = (text(&old, path, &kept), text(&new, path, &at));
            for text in [&old, &new].into_iter().flatten() {
                secrets.learn(text);
            }
            texts.push((old, new));
        }
        let mut diffs = Vec::new();
        for (change, texts) in changes.into_iter().zip(texts) {
            let node = |tree: &Tree| tree.0.get(&change.path).cloned().unwrap_or(Node::Absent);
            let hunks = match texts {
                (Some(old), Some(new)) if old != new => Some(unified(&old, &new, secrets)),
                _ => None,
            };
            diffs.push(FileDiff {
                notes: notes(&node(&old), &node(&new), change.elsewhere),
                hunks,
                change,
            });
        }
        Ok(diffs)
    }
}

fn notes(old: &Node, new: &Node, elsewhere: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if elsewhere {
        notes.push("behind a link to a folder elsewhere".to_owned());
    }
    match (kind(old), kind(new)) {
        (old, new) if old == new => {}
        (None, Some(new)) if new != "a file" => notes.push(format!("now {new}")),
        (Some(old), None) if old != "a file" => notes.push(format!("was {old}")),
        (Some(old), Some(new)) => notes.push(format!("was {old}, now {new}")),
        _ => {}
    }
    if let (Some(old), Some(new)) = (meta(old), meta(new)) {
        if old.mode != new.mode {
            notes.push(format!("mode {:04o}, now {:04o}", old.mode, new.mode));
        }
        if (old.uid, old.gid) != (new.uid, new.gid) {
            notes.push(format!(
                "owner {}:{}, now {}:{}",
                old.uid, old.gid, new.uid, new.gid
            ));
        }
    }
    for (when, node) in [("then", old), ("now", new)] {
        if let Node::NotKept { why, .. } = node {
            notes.push(format!("its content {when} is not shown: {}", why.words()));
        }
    }
    notes
}

fn kind(node: &Node) -> Option<String> {
    match node {
        Node::Absent => None,
        Node::File(_) | Node::NotKept { .. } => Some("a file".to_owned()),
        Node::Folder(_) => Some("a folder".to_owned()),
        Node::Link {
            target: Name(target),
            ..
        } => Some(format!("a link to {}", safe(&target.display().to_string()))),
    }
}

fn meta(node: &Node) -> Option<&Meta> {
    match node {
        Node::File(Regular { meta, .. }) | Node::Folder(meta) | Node::NotKept { meta, .. } => {
            Some(meta)
        }
        Node::Link { behind, .. } => behind.as_ref().map(|file| &file.meta),
        Node::Absent => None,
    }
}

/// The hunks of a unified diff: compared as they are, printed masked.
fn unified(old: &str, new: &str, secrets: &Secrets) -> String {
    if old.contains('\0') || new.contains('\0') {
        return "binary files differ\n".to_owned();
    }
    let (old_lines, new_lines) = (secrets.mask_file(old), secrets.mask_file(new));
    // As `mask_file` splits them.
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_slices(&old, &new);
    let mut out = String::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let _ = writeln!(out, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let (mark, lines, at) = match change.tag() {
                ChangeTag::Equal => (' ', &new_lines, change.new_index()),
                ChangeTag::Delete => ('-', &old_lines, change.old_index()),
                ChangeTag::Insert => ('+', &new_lines, change.new_index()),
            };
            let line = at.and_then(|at| lines.get(at));
            let _ = writeln!(out, "{mark}{}", safe(line.map_or("", String::as_str)));
            if change.missing_newline() {
                out.push_str("\\ No newline at end of file\n");
            }
        }
    }
    out
}
