//! What a config folder held: names, kinds, contents by hash, owners and modes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Digest;

/// Owner, permission bits and time of the last change to the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The permission bits, the sticky and the set-id bits among them.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// And nanoseconds.
    pub mtime_nsec: i64,
}

impl Meta {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            uid: meta.uid(),
            gid: meta.gid(),
            mode: meta.mode() & 0o7777,
            mtime: meta.mtime(),
            mtime_nsec: meta.mtime_nsec(),
        }
    }

    /// The same but for the time.
    pub(super) fn same(&self, other: &Self) -> bool {
        (self.uid, self.gid, self.mode) == (other.uid, other.gid, other.mode)
    }

    fn timeless(self) -> Self {
        Self {
            mtime: 0,
            mtime_nsec: 0,
            ..self
        }
    }
}

/// A file's content and meta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regular {
    /// Of the content.
    pub content: Digest,
    /// The content's length.
    pub bytes: u64,
    /// Owner, mode, time.
    pub meta: Meta,
}

/// What stands, or stood, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// A file with its content.
    File(Regular),
    /// A folder.
    Folder(Meta),
    /// A symbolic link.
    Link {
        /// Where it points, as it says.
        target: Name,
        /// The file that it leads to, where that lies outside of the folder.
        behind: Option<Regular>,
    },
    /// Nothing.
    Absent,
    /// Something whose content is not kept.
    NotKept {
        /// Why not.
        why: NotKept,
        /// Its length.
        bytes: u64,
        /// Owner, mode, time.
        meta: Meta,
        /// Of its content, where that could be read.
        content: Option<Digest>,
    },
}

/// Why a content is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotKept {
    /// The file is larger than a snapshot takes.
    TooLarge,
    /// The snapshot has no more room.
    NoRoom,
    /// It cannot be read.
    Unreadable,
    /// It is a FIFO, a socket or a device, which are never opened.
    Special,
}

impl NotKept {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::TooLarge => "it is too large to be kept",
            Self::NoRoom => "the snapshot had no room left for it",
            Self::Unreadable => "it could not be read",
            Self::Special => "it is a FIFO, a socket or a device",
        }
    }
}

impl Node {
    /// The file of this content and these bits: itself, or what the link leads to.
    pub(super) fn regular(&self) -> Option<&Regular> {
        match self {
            Self::File(file) => Some(file),
            Self::Link { behind, .. } => behind.as_ref(),
            _ => None,
        }
    }

    fn timeless(&self) -> Self {
        let regular = |file: &Regular| Regular {
            meta: file.meta.timeless(),
            ..*file
        };
        match self {
            Self::File(file) => Self::File(regular(file)),
            Self::Folder(meta) => Self::Folder(meta.timeless()),
            Self::Link { target, behind } => Self::Link {
                target: target.clone(),
                behind: behind.as_ref().map(regular),
            },
            other => other.clone(),
        }
    }

    /// How `self` differs from `old`, if it does.
    fn against(&self, old: &Self) -> Option<ChangeKind> {
        let regular = |new: &Regular, old: &Regular| match () {
            () if new.content != old.content => Some(ChangeKind::Changed),
            () if new.meta.same(&old.meta) => None,
            () => Some(ChangeKind::Mode),
        };
        match (self, old) {
            (Self::File(new), Self::File(old)) => regular(new, old),
            (Self::Folder(new), Self::Folder(old)) if new.same(old) => None,
            (Self::Folder(_), Self::Folder(_)) => Some(ChangeKind::Mode),
            (
                Self::Link { target, behind },
                Self::Link {
                    target: old_target,
                    behind: old_behind,
                },
            ) if target == old_target => match (behind, old_behind) {
                (Some(new), Some(old)) => regular(new, old),
                (None, None) => None,
                _ => Some(ChangeKind::Changed),
            },
            _ => match (self.looks(), old.looks()) {
                (Some((new, Some(content))), Some((old, Some(old_content)))) => {
                    match content == old_content {
                        true if new.same(&old) => None,
                        true => Some(ChangeKind::Mode),
                        false => Some(ChangeKind::Changed),
                    }
                }
                (Some((new, _)), Some((old, _))) if new == old => None,
                _ => Some(ChangeKind::Changed),
            },
        }
    }

    /// By what a file is compared of which a content is not known.
    fn looks(&self) -> Option<(Meta, Option<Digest>)> {
        match self {
            Self::File(Regular { meta, content, .. }) => Some((*meta, Some(*content))),
            Self::NotKept { meta, content, .. } => Some((*meta, *content)),
            _ => None,
        }
    }
}

/// A path or a link's target; as JSON a string where it is UTF-8, else its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Raw", into = "Raw")]
pub struct Name(pub PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Raw {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Raw> for Name {
    fn from(raw: Raw) -> Self {
        Self(match raw {
            Raw::Text(text) => text.into(),
            Raw::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

impl From<Name> for Raw {
    fn from(Name(path): Name) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.as_os_str().as_bytes().to_owned()),
        }
    }
}

/// Paths below a config folder, and what stands there; parents come before what they hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Line>", into = "Vec<Line>")]
pub struct Tree(pub BTreeMap<PathBuf, Node>);

#[derive(Clone, Serialize, Deserialize)]
struct Line {
    path: Name,
    is: Node,
}

impl TryFrom<Vec<Line>> for Tree {
    type Error = String;

    fn try_from(lines: Vec<Line>) -> Result<Self, String> {
        let mut nodes = BTreeMap::new();
        for Line { path, is } in lines {
            if !is_below(&path.0) {
                return Err(format!("{} leads out of the folder", path.0.display()));
            }
            nodes.insert(path.0, is);
        }
        Ok(Self(nodes))
    }
}

impl From<Tree> for Vec<Line> {
    fn from(tree: Tree) -> Self {
        let lines = tree.0.into_iter();
        let line = |(path, is)| Line {
            path: Name(path),
            is,
        };
        lines.map(line).collect()
    }
}

/// Whether a path is made of plain names alone.
pub(super) fn is_below(path: &Path) -> bool {
    let is_name = |part: Component<'_>| matches!(part, Component::Normal(_));
    path.file_name().is_some() && path.components().all(is_name)
}

/// A difference under one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Below the config folder.
    pub path: PathBuf,
    /// What differs.
    pub kind: ChangeKind,
    /// Whether it stands behind a link to a folder elsewhere, where jailwarden does not write.
    pub elsewhere: bool,
}

/// What differs under a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It is gone.
    Removed,
    /// Its content, a link's target, or what it is.
    Changed,
    /// Owner or mode alone.
    Mode,
}

impl Tree {
    /// A hash of all but times, so that a `touch` makes no other tree.
    pub(super) fn digest(&self, stream: Option<Digest>) -> Result<Digest, serde_json::Error> {
        let nodes = self.0.iter();
        let timeless = Self(nodes.map(|(p, n)| (p.clone(), n.timeless())).collect());
        Ok(Digest::of(&serde_json::to_vec(&(timeless, stream))?))
    }

    /// The contents that a snapshot of this must hold.
    pub(super) fn contents(&self) -> BTreeSet<Digest> {
        let files = self.0.values().filter_map(Node::regular);
        files.map(|file| file.content).collect()
    }

    /// Whether a path lies behind a link.
    pub(super) fn is_elsewhere(&self, path: &Path) -> bool {
        let mut above = path.ancestors().skip(1);
        above.any(|folder| matches!(self.0.get(folder), Some(Node::Link { .. })))
    }

    /// How `self` differs from `old`, by path.
    pub(super) fn since(&self, old: &Self) -> Vec<FileChange> {
        let paths: BTreeSet<&PathBuf> = old.0.keys().chain(self.0.keys()).collect();
        let mut changes = Vec::new();
        for path in paths {
            let kind = match (self.0.get(path), old.0.get(path)) {
                (Some(new), Some(old)) => new.against(old),
                (Some(_), None) => Some(ChangeKind::Added),
                (None, _) => Some(ChangeKind::Removed),
            };
            let change = kind.map(|kind| FileChange {
                path: path.clone(),
                kind,
                elsewhere: self.is_elsewhere(path) || old.is_elsewhere(path),
            });
            changes.extend(change);
        }
        changes
    }
}
