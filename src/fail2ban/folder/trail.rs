//! Where a path leads, one symlink at a time.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As the kernel's own limit (`man 7 path_resolution`).
const MOST_HOPS: usize = 40;

/// The way from a path to what it names; every path in it is canonical up to its last name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trail {
    /// Every symlink that was followed, in order: if one is replaced, the path leads elsewhere.
    pub(crate) hops: Vec<PathBuf>,
    pub(crate) end: End,
}

/// What stands at the end of a [`Trail`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Something is there, and this is its canonical path.
    Found(PathBuf),
    /// This is the first name that is not there, in a folder that is.
    Missing(PathBuf),
    /// It cannot be told: no permission, or symlinks in a circle.
    Lost,
}

/// Follows an absolute path as the kernel would.
pub(crate) fn trail(path: &Path) -> Trail {
    let mut hops = Vec::new();
    let end = follow(path, &mut hops);
    Trail { hops, end }
}

fn follow(path: &Path, hops: &mut Vec<PathBuf>) -> End {
    let mut at = PathBuf::from("/");
    let mut ahead = names(path);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(name);
        match fs::symlink_metadata(&next) {
            Ok(meta) if meta.is_symlink() => {
                let Ok(target) = fs::read_link(&next) else {
                    return End::Lost;
                };
                hops.push(next);
                if hops.len() > MOST_HOPS {
                    return End::Lost;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                ahead.append(&mut names(&target));
            }
            Ok(_) => at = next,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => return End::Missing(next),
                io::ErrorKind::NotADirectory => return End::Missing(at),
                _ => return End::Lost,
            },
        }
    }
    End::Found(at)
}

/// The path's names, the last one first; `..` stays, for it can only be told after a symlink.
fn names(path: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect();
    names.reverse();
    names
}
