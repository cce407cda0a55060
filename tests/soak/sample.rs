//! What jailwarden takes of the host, minute by minute, and how much that may be.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ground::Ground;

/// Resident memory, in KiB, ever.
const MOST_MEMORY: u64 = 32 * 1024;
/// The state folder, in KiB, ever: snapshots of 8 MiB at most, and what was replaced, which is kept for ever.
const MOST_DISK: u64 = 12 * 1024;

/// Open files, ever.
const MOST_FILES: u64 = 64;
/// Threads, ever: those that did something end once they have been idle for ten seconds.
const MOST_THREADS: u64 = 16;

/// Prints the fields of a [`Sample`] in their order, but for the time. The file with which a fault fills the
/// state folder is none of jailwarden's.
const TAKE: &str = "pid=$(systemctl show -P MainPID jailwarden)
field() { sed -n \"s/^$1:[^0-9]*\\([0-9]*\\).*/\\1/p\" /proc/$pid/status; }
size() { du -s --apparent-size --block-size=1024 --exclude=fill $1 2>/dev/null | cut -f 1; }
lines() { journalctl -q -o cat SYSLOG_IDENTIFIER=jailwarden; }
echo $pid $(field VmRSS) $(field RssAnon) $(ls /proc/$pid/fd | wc -l) $(field Threads) \
    $(size /var/lib/jailwarden) $(lines | wc -l) $(lines | wc -c)";

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Seconds since the beginning.
    pub(crate) at: u64,
    pub(crate) pid: u64,
    /// In KiB, as the next.
    pub(crate) resident: u64,
    pub(crate) anonymous: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// The state folder, in KiB.
    pub(crate) disk: u64,
    /// What was written to the journal so far.
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

impl Sample {
    /// None if jailwarden does not run, or is not to be looked at just now.
    pub(crate) fn take(ground: &Ground, at: u64) -> Option<Self> {
        let said = ground.ask(TAKE);
        let words: Vec<u64> = said
            .split(' ')
            .map_while(|word| word.parse().ok())
            .collect();
        let [
            pid,
            resident,
            anonymous,
            descriptors,
            threads,
            disk,
            lines,
            bytes,
        ] = words[..]
        else {
            return None;
        };
        Some(Self {
            at,
            pid,
            resident,
            anonymous,
            descriptors,
            threads,
            disk,
            lines,
            bytes,
        })
    }

    pub(crate) fn append(&self, file: &Path) {
        let is_new = !file.exists();
        let mut csv = OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .unwrap();
        if is_new {
            let head = "seconds,pid,rss_kib,rss_anon_kib,fds,threads,state_kib,journal_lines,journal_bytes";
            writeln!(csv, "{head}").unwrap();
        }
        let Self {
            at,
            pid,
            resident,
            anonymous,
            descriptors,
            threads,
            disk,
            lines,
            bytes,
        } = self;
        writeln!(
            csv,
            "{at},{pid},{resident},{anonymous},{descriptors},{threads},{disk},{lines},{bytes}"
        )
        .unwrap();
    }
}

/// A figure over the whole run.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The median of the first quarter.
    pub(crate) first: u64,
    /// The same of the last quarter.
    pub(crate) last: u64,
    pub(crate) most: u64,
    /// What it has to be, in words.
    pub(crate) limit: String,
    /// Whether the last, and the most, are as they have to be.
    pub(crate) last_is_kept: bool,
    pub(crate) most_is_kept: bool,
}

fn median(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or(0)
}

/// The table, of as many samples as there are.
pub(crate) fn rows(samples: &[Sample]) -> Vec<Row> {
    type Of = fn(&Sample) -> u64;
    type Last = fn(u64, u64) -> bool;
    let quarter = samples.len().div_ceil(4);
    let row = |name, of: Of, limit: &str, last_is_kept: Last, limit_of_most: u64| {
        let all: Vec<_> = samples.iter().map(of).collect();
        let first = median(all[..quarter].to_vec());
        let last = median(all[all.len() - quarter..].to_vec());
        let most = all.iter().copied().max().unwrap_or(0);
        Row {
            name,
            first,
            last,
            most,
            limit: limit.to_owned(),
            last_is_kept: last_is_kept(first, last),
            most_is_kept: most <= limit_of_most,
        }
    };
    // A quarter and 1 MiB.
    let is_flat: Last = |first, last| last <= first + first / 4 + 1024;
    let has_not_grown: Last = |first, last| last <= first;
    vec![
        row(
            "memory (VmRSS), KiB",
            |it| it.resident,
            "at most 32 MiB; the last at most 1.25 times the first and 1 MiB",
            is_flat,
            MOST_MEMORY,
        ),
        row(
            "of it its own (RssAnon), KiB",
            |it| it.anonymous,
            "the last at most 1.25 times the first and 1 MiB",
            is_flat,
            u64::MAX,
        ),
        row(
            "open files",
            |it| it.descriptors,
            "no growth, and at most 64",
            has_not_grown,
            MOST_FILES,
        ),
        row(
            "threads",
            |it| it.threads,
            "no growth, and at most 16",
            has_not_grown,
            MOST_THREADS,
        ),
        row(
            "state folder, KiB",
            |it| it.disk,
            "at most 12 MiB",
            |_, _| true,
            MOST_DISK,
        ),
    ]
}

/// How many processes there were: jailwarden itself is left alone, so it has to be one.
pub(crate) fn processes(samples: &[Sample]) -> usize {
    let mut pids: Vec<_> = samples.iter().map(|it| it.pid).collect();
    pids.dedup();
    pids.len()
}

/// Begins a file of samples anew.
pub(crate) fn begin(file: &Path) {
    let _ = fs::remove_file(file);
}
