//! Kills jailwarden right before or right after an effect, so that tests can show that what is on
//! disk then is enough. It is in builds with debug assertions alone, as `cargo test` makes them
//! without being told: a jailwarden that is released has nothing of it.
//!
//! `JAILWARDEN_FAILPOINTS` names a folder. While it holds a file `kill`, each effect that begins is
//! counted, and its two sides are written into `reached` as they come: `before Start 1`. The side
//! that is the content of `kill` is the last: it ends in SIGKILL.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use rustix::process::{Signal, getpid, kill_process};

use crate::machine::Effect;

/// How often each effect was begun.
#[derive(Debug, Default)]
pub(super) struct Failpoints {
    begun: BTreeMap<String, u32>,
}

/// One effect, where it is counted.
pub(super) struct Point(Option<(PathBuf, String)>);

impl Failpoints {
    pub(super) fn point(&mut self, effect: &Effect) -> Point {
        let folder = std::env::var_os("JAILWARDEN_FAILPOINTS").map(PathBuf::from);
        let Some(folder) = folder.filter(|folder| folder.join("kill").exists()) else {
            return Point(None);
        };
        let debug = format!("{effect:?}");
        let name = debug.split(|c: char| !c.is_alphanumeric()).next();
        let name = name.unwrap_or_default().to_owned();
        let count = self.begun.entry(name.clone()).or_default();
        *count += 1;
        Point(Some((folder, format!("{name} {count}"))))
    }
}

impl Point {
    /// Before the effect, or after it; its outcome was not told yet.
    pub(super) fn reach(&self, side: &str) {
        let Some((folder, effect)) = &self.0 else {
            return;
        };
        let line = format!("{side} {effect}");
        let reached = File::options()
            .append(true)
            .create(true)
            .open(folder.join("reached"));
        // Whoever set it up reads the file, and misses what is not in it.
        let _ = reached.and_then(|mut file| writeln!(file, "{line}"));
        if fs::read_to_string(folder.join("kill")).is_ok_and(|kill| kill.trim() == line) {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}
