//! The files of a config in which secrets may stand: those that fail2ban reads, and no others.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};

use super::{assignment, is_comment};
use crate::durable;

/// Holds expressions, which name words as they like, and no secrets.
const FILTERS: &str = "filter.d";
/// So many files of a config, and so many bytes of each, are read for their secrets: far more than a config has.
const MOST_FILES: usize = 5_000;
const MOST_BYTES: u64 = 1 << 20;
/// Folders below the config folder, one in another, as `action.d/NAME.d` (client/configreader.py, 1.0.2).
const DEEPEST: usize = 3;

/// Gives the texts of all files of a config to `each`, as far as they can be read. Blocking.
pub(super) fn each_text(config_dir: &Path, each: &mut dyn FnMut(&str)) {
    let mut waiting = VecDeque::new();
    list(config_dir, DEEPEST, &mut waiting);
    let mut known: BTreeSet<_> = waiting.iter().cloned().collect();
    while let Some(path) = waiting.pop_front() {
        let mut text = Vec::new();
        let Ok(Some(file)) = durable::open_regular(CWD, &path, OFlags::empty()) else {
            continue;
        };
        if file.take(MOST_BYTES).read_to_end(&mut text).is_err() {
            continue;
        }
        let text = String::from_utf8_lossy(&text);
        for file in included(&text, &path) {
            for path in [file.with_extension("local"), file] {
                if known.len() < MOST_FILES && known.insert(path.clone()) {
                    waiting.push_back(path);
                }
            }
        }
        each(&text);
    }
}

/// Adds what is named as fail2ban's globs have it (client/configreader.py, `read`). What is written in Python is no
/// config: `password` is a word of its language there.
fn list(folder: &Path, depth: usize, files: &mut VecDeque<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            if depth > 0 && !path.ends_with(FILTERS) {
                list(&path, depth - 1, files);
            }
        } else if files.len() < MOST_FILES
            && path
                .extension()
                .is_some_and(|end| end == "conf" || end == "local")
        {
            files.push_back(path);
        }
    }
}

/// The files that an `[INCLUDES]` names, whatever they are called (client/configparserinc.py, `_getIncludes`).
fn included(text: &str, path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut includes, mut names) = (false, false);
    let mut files = Vec::new();
    for line in text.lines().filter(|line| !is_comment(line)) {
        if line.starts_with('[') {
            (includes, names) = (line.starts_with("[INCLUDES]"), false);
        }
        let mut value = line.trim();
        if !line.starts_with([' ', '\t'])
            && let Some((name, begins)) = assignment(line)
        {
            names = ["before", "after"].contains(&name.to_lowercase().as_str());
            value = begins.trim_end();
        }
        if includes && names && !value.is_empty() {
            files.push(folder.join(value));
        }
    }
    files
}
