//! What a snapshot is to hold, within its limits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::SystemTime;

use super::Digest;
use super::manifest::{self, Manifest};
use super::tree::{Node, NotKept, Regular, Tree};
use super::walk::Scan;

/// The most bytes of the contents of one snapshot; the stock config has 0.3 MB.
const MOST_BYTES_EACH: u64 = 4 << 20;
/// The most bytes of a command stream; 91 stock jails have 0.24 MB.
const MOST_STREAM: usize = 4 << 20;

/// A manifest, and where the contents are that it needs.
pub(super) fn draft(
    scan: Scan,
    fingerprint: u128,
    stream: &str,
    when: SystemTime,
    number: u64,
) -> (Manifest, BTreeMap<Digest, (Regular, PathBuf)>) {
    let mut tree = scan.tree;
    let sources = ration(&mut tree);
    let names = scan.rollbacks.iter().filter_map(|path| path.file_name());
    let mut rollbacks: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    rollbacks.sort_unstable();
    let manifest = Manifest {
        version: manifest::VERSION,
        number,
        when,
        fingerprint,
        stream: (stream.len() <= MOST_STREAM).then(|| Digest::of(stream.as_bytes())),
        rollbacks,
        truncated: scan.truncated,
        root: scan.root,
        tree,
    };
    (manifest, sources)
}

/// Leaves as many contents in the tree as a snapshot may hold: what fail2ban reads before the rest,
/// the small before the large.
fn ration(tree: &mut Tree) -> BTreeMap<Digest, (Regular, PathBuf)> {
    let mut files: Vec<(bool, Regular, PathBuf)> = Vec::new();
    for (path, node) in &tree.0 {
        if let Some(file) = node.regular() {
            let end = path.extension().and_then(|end| end.to_str());
            let is_read = end.is_some_and(|end| ["conf", "local", "py"].contains(&end));
            files.push((!is_read, *file, path.clone()));
        }
    }
    files.sort_by(|a, b| (a.0, a.1.bytes, &a.2).cmp(&(b.0, b.1.bytes, &b.2)));
    let mut sources = BTreeMap::new();
    let mut bytes = 0;
    for (_, file, path) in files {
        if sources.contains_key(&file.content) {
            continue;
        }
        if bytes + file.bytes <= MOST_BYTES_EACH {
            bytes += file.bytes;
            sources.insert(file.content, (file, path));
        } else if let Some(node) = tree.0.get_mut(&path) {
            give_up(node, &file);
        }
    }
    sources
}

fn give_up(node: &mut Node, file: &Regular) {
    match node {
        Node::Link { behind, .. } => *behind = None,
        _ => {
            *node = Node::NotKept {
                why: NotKept::NoRoom,
                bytes: file.bytes,
                meta: file.meta,
                content: Some(file.content),
            };
        }
    }
}

/// The contents that a snapshot must have.
pub(super) fn needed(manifest: &Manifest) -> BTreeSet<Digest> {
    let mut needed = manifest.tree.contents();
    needed.extend(manifest.stream);
    needed
}
