//! What has to be done so that a folder holds what it is to hold.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::tree::{Meta, Name, Node, NotKept, Regular, Tree};
use super::walk::{self, LEFTOVER, Scan, Stamp};

/// One thing to do under one path. Each is done whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) path: PathBuf,
    pub(super) act: Act,
    /// What stands there now.
    pub(super) was: Node,
    /// What tells that it is still that.
    pub(super) stamp: Option<Stamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Remove,
    RemoveFolder,
    MakeFolder(Meta),
    Put(Regular),
    /// A file in place of the link that led elsewhere to it.
    PutForLink(Regular, Name),
    PutLink(Name),
    SetMeta(Meta),
}

/// What is done, or would be done, to bring a folder back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Below the config folder.
    pub path: PathBuf,
    /// What it is.
    pub what: What,
}

/// What is done to one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The file has its former content, owner and mode.
    File,
    /// It was a link to this file elsewhere, which holds another content by now and is not touched:
    /// the former content is now a file in the link's place.
    FileForLink(PathBuf),
    /// The link points here again.
    Link(PathBuf),
    /// The folder is there again.
    Folder,
    /// Owner and mode are the former ones.
    Mode,
    /// It came later, and is gone.
    Removed,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("put back"),
            Self::FileForLink(target) => write!(
                f,
                "put back as a file: it was a link to {}, whose content is another now and is not \
                 touched",
                target.display()
            ),
            Self::Link(target) => write!(f, "a link to {} again", target.display()),
            Self::Folder => f.write_str("a folder again"),
            Self::Mode => f.write_str("has its former owner and mode"),
            Self::Removed => f.write_str("removed: it came later"),
        }
    }
}

/// What differs and is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Below the config folder.
    pub path: PathBuf,
    /// Why.
    pub why: WhyLeft,
}

/// Why something is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyLeft {
    /// Its former content is not kept.
    NotKept(NotKept),
    /// It is behind a link to a folder elsewhere, where jailwarden does not write.
    Elsewhere,
    /// It is a FIFO, a socket or a device by now.
    Special,
    /// The folder came later, but holds files that are no config.
    NotEmpty,
}

impl fmt::Display for WhyLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotKept(why) => write!(f, "its former content is not kept: {}", why.words()),
            Self::Elsewhere => f.write_str(
                "it is behind a link to a folder elsewhere, where jailwarden does not write; put it \
                 back there by hand",
            ),
            Self::Special => f.write_str(
                "it is a FIFO, a socket or a device now, which jailwarden does not touch; move it away",
            ),
            Self::NotEmpty => f.write_str("the folder came later, but is not empty"),
        }
    }
}

/// Steps in their order, and what none is made for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) left: Vec<Left>,
}

impl Step {
    pub(super) fn done(&self) -> Done {
        let what = match &self.act {
            Act::Remove | Act::RemoveFolder => What::Removed,
            Act::MakeFolder(_) => What::Folder,
            Act::Put(_) => What::File,
            Act::PutForLink(_, Name(target)) => What::FileForLink(target.clone()),
            Act::PutLink(Name(target)) => What::Link(target.clone()),
            Act::SetMeta(_) => What::Mode,
        };
        Done {
            path: self.path.clone(),
            what,
        }
    }
}

/// The paths among `asked` and what they need: a folder that is missing, and where something else
/// stands in a folder's place, all that the folder held.
pub(super) fn scope(asked: &BTreeSet<PathBuf>, wanted: &Tree, now: &Tree) -> BTreeSet<PathBuf> {
    let mut scope = asked.clone();
    for path in asked.iter().filter(|path| wanted.0.contains_key(*path)) {
        for above in path.ancestors().skip(1) {
            if !matches!(wanted.0.get(above), Some(Node::Folder(_))) {
                continue;
            }
            match now.0.get(above) {
                Some(Node::Folder(_)) => continue,
                None => {}
                Some(_) => {
                    let below = wanted.0.keys().filter(|path| path.starts_with(above));
                    scope.extend(below.cloned());
                }
            }
            scope.insert(above.to_owned());
        }
    }
    scope
}

/// Plans the steps for the paths in `scope`. What is in there and not in `wanted` is removed.
pub(super) fn make(
    wanted: &Tree,
    now: &Scan,
    scope: &BTreeSet<PathBuf>,
    config_dir: &Path,
) -> Plan {
    let mut planning = Planning {
        wanted,
        now,
        config_dir,
        plan: Plan::default(),
        removals: Vec::new(),
        turned: BTreeSet::new(),
    };
    for (path, node, stamp) in &now.leftovers {
        planning.plan.steps.push(Step {
            path: path.clone(),
            act: Act::Remove,
            was: node.clone(),
            stamp: Some(*stamp),
        });
    }
    for path in scope {
        planning.path(path);
    }
    // What a folder holds goes before it.
    planning.removals.sort_by(|a, b| b.path.cmp(&a.path));
    let mut plan = planning.plan;
    plan.steps.extend(planning.removals);
    plan
}

struct Planning<'a> {
    wanted: &'a Tree,
    now: &'a Scan,
    config_dir: &'a Path,
    plan: Plan,
    removals: Vec<Step>,
    /// Paths that become something else, so that nothing below them is looked at any more.
    turned: BTreeSet<PathBuf>,
}

impl Planning<'_> {
    fn path(&mut self, path: &Path) {
        let want = self.wanted.0.get(path).unwrap_or(&Node::Absent);
        let is_turned = path.ancestors().any(|above| self.turned.contains(above));
        if is_turned && matches!(want, Node::Absent) {
            return;
        }
        if self.wanted.is_elsewhere(path) {
            let have = self.now.tree.0.get(path);
            let one = |node: Option<&Node>| {
                let nodes = node.map(|node| (path.to_owned(), node.clone()));
                Tree(nodes.into_iter().collect())
            };
            let want = self.wanted.0.get(path);
            if !is_turned && !one(have).since(&one(want)).is_empty() {
                self.left(path, WhyLeft::Elsewhere);
            }
            return;
        }
        // Behind a link that gives way to a folder there is nothing.
        let have = match self.now.tree.0.get(path) {
            Some(node) if !self.now.tree.is_elsewhere(path) => node,
            _ => &Node::Absent,
        };
        match (want, have) {
            (Node::Absent, Node::Absent) => {}
            (Node::NotKept { why, .. }, have) => {
                let changed = Tree([(path.to_owned(), have.clone())].into())
                    .since(&Tree([(path.to_owned(), want.clone())].into()));
                if !changed.is_empty() {
                    self.left(path, WhyLeft::NotKept(*why));
                }
            }
            (
                _,
                Node::NotKept {
                    why: NotKept::Special,
                    ..
                },
            ) => self.left(path, WhyLeft::Special),
            (Node::Absent, Node::Folder(_)) => {
                let step = self.step(path, Act::RemoveFolder);
                self.removals.push(step);
            }
            (Node::Absent, _) => {
                let step = self.step(path, Act::Remove);
                self.removals.push(step);
            }
            (Node::Folder(want), Node::Folder(have)) => {
                if !want.same(have) {
                    self.push(path, Act::SetMeta(*want));
                }
            }
            (Node::Folder(want), have) => {
                if !matches!(have, Node::Absent) {
                    self.push(path, Act::Remove);
                    self.turned.insert(path.to_owned());
                }
                self.make(path, Act::MakeFolder(*want), have);
            }
            (Node::File(want), Node::File(have)) if want.content == have.content => {
                if !want.meta.same(&have.meta) {
                    self.push(path, Act::SetMeta(want.meta));
                }
            }
            (Node::File(want), have) => self.make(path, Act::Put(*want), have),
            (Node::Link { target, behind }, have) => {
                self.link(path, target, behind.as_ref(), have);
            }
        }
    }

    fn link(&mut self, path: &Path, target: &Name, behind: Option<&Regular>, have: &Node) {
        let is_same = |file: &Regular| behind.is_none_or(|want| want.content == file.content);
        if let Node::Link {
            target: at,
            behind: now,
        } = have
            && at == target
            && now.as_ref().map_or(behind.is_none(), is_same)
        {
            return;
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let end = self.config_dir.join(folder).join(&target.0);
        let act = match (behind, have) {
            (Some(want), have) if walk::content(&end, want).is_none() => match have {
                // It was put back as a file before.
                Node::File(file) if is_same(file) => return,
                _ => Act::PutForLink(*want, target.clone()),
            },
            _ => Act::PutLink(target.clone()),
        };
        self.make(path, act, have);
    }

    /// A step that makes something new in a path, after what a folder in its place holds is gone.
    fn make(&mut self, path: &Path, act: Act, have: &Node) {
        if matches!(have, Node::Folder(_)) && !matches!(act, Act::MakeFolder(_)) {
            self.turned.insert(path.to_owned());
            if !self.clear(path) {
                return;
            }
        }
        if matches!(act, Act::PutLink(_)) {
            self.turned.insert(path.to_owned());
        }
        let is_cleared = self.plan.steps.last().is_some_and(|step| step.path == path);
        let mut step = self.step(path, act);
        if is_cleared {
            step.was = Node::Absent;
            step.stamp = None;
        }
        self.plan.steps.push(step);
    }

    /// Removes a folder with all that is in it; false, and nothing, where that cannot be.
    fn clear(&mut self, path: &Path) -> bool {
        let nodes = &self.now.tree.0;
        let below = nodes.range(path.to_owned()..);
        let below = below.take_while(|(it, _)| it.starts_with(path));
        let below = below.filter(|(it, _)| !self.now.tree.is_elsewhere(it));
        let mut steps = Vec::new();
        for (it, node) in below {
            let act = match node {
                Node::Folder(_) => Act::RemoveFolder,
                Node::NotKept {
                    why: NotKept::Special,
                    ..
                } => {
                    let path = it.clone();
                    self.left(&path, WhyLeft::Special);
                    return false;
                }
                _ => Act::Remove,
            };
            steps.push(self.step(it, act));
        }
        steps.reverse();
        self.plan.steps.extend(steps);
        true
    }

    fn step(&self, path: &Path, act: Act) -> Step {
        let was = self.now.tree.0.get(path).cloned();
        let elsewhere = self.now.tree.is_elsewhere(path);
        Step {
            path: path.to_owned(),
            act,
            was: was.filter(|_| !elsewhere).unwrap_or(Node::Absent),
            stamp: self.now.stamps.get(path).copied().filter(|_| !elsewhere),
        }
    }

    fn push(&mut self, path: &Path, act: Act) {
        let step = self.step(path, act);
        self.plan.steps.push(step);
    }

    fn left(&mut self, path: &Path, why: WhyLeft) {
        self.plan.left.push(Left {
            path: path.to_owned(),
            why,
        });
    }
}

/// Whether a path is what a broken-off put-back left.
pub(super) fn is_leftover(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == LEFTOVER)
}
