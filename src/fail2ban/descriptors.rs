//! Whether the daemon may open files.
//!
//! At its limit (`RLIMIT_NOFILE`, of a unit `LimitNOFILE=`) it answers as ever, and can run no action and open
//! no log. Where not one more can be opened, it ends by itself, with status 0, after 100 connections that it
//! could not accept, for which one that waits is enough (server/asyncserver.py, 1.0.2 to 1.1.1).

use std::collections::BTreeMap;
use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, prlimit};

use super::proc::read;
use super::process::Pid;

/// What the command of an action takes for a moment: three pipes (server/utils.py `executeCmd`, and Python's
/// `subprocess.Popen`).
const NEEDED: u64 = 6;
/// What a daemon that is to be stopped gets beyond its limit.
const ROOM: u64 = 64;
/// How many kinds of files are named.
const SHOWN: usize = 3;

/// The files that a process has open, and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// How many it has open.
    pub open: u64,
    /// How many it may have open.
    pub most: u64,
}

impl Descriptors {
    /// Whether too few are left to run the command of an action.
    #[must_use]
    pub fn are_short(&self) -> bool {
        self.most.saturating_sub(self.open) < NEEDED
    }

    /// Whether it cannot accept one connection.
    #[must_use]
    pub fn are_spent(&self) -> bool {
        self.open >= self.most
    }
}

/// Counts the open files of process `pid`.
///
/// # Errors
/// `NotFound` if there is no such process, and whatever else reading `/proc` may give.
pub fn descriptors(pid: Pid) -> io::Result<Descriptors> {
    let open = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let [most, _] = limits_of(pid)?;
    Ok(Descriptors {
        open: u64::try_from(open).unwrap_or(u64::MAX),
        most,
    })
}

/// How many files process `pid` may have open, by its soft and its hard limit.
fn limits_of(pid: Pid) -> io::Result<[u64; 2]> {
    let limits = read(pid, "limits")?;
    let limits = limits_in(&String::from_utf8_lossy(&limits));
    Ok(limits.ok_or(io::ErrorKind::InvalidData)?)
}

/// The soft and the hard limit in `Max open files            1024                 524288               files`
/// (`man 5 proc_pid_limits`).
fn limits_in(limits: &str) -> Option<[u64; 2]> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let mut words = line.split_ascii_whitespace();
    let mut next = || match words.next()? {
        "unlimited" => Some(u64::MAX),
        most => most.parse().ok(),
    };
    Some([next()?, next()?])
}

/// What most of the open files of process `pid` are: `41 in /var/log/journal, 9 pipe, 3 socket`. Empty if that
/// cannot be read.
#[must_use]
pub fn commonest(pid: Pid) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let listed = fs::read_dir(format!("/proc/{pid}/fd"));
    for file in listed.into_iter().flatten().flatten() {
        if let Ok(target) = fs::read_link(file.path()) {
            *kinds.entry(kind(&target.to_string_lossy())).or_default() += 1;
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown = kinds.iter().take(SHOWN);
    let shown: Vec<_> = shown
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    shown.join(", ")
}

/// A file's kind: `in FOLDER`, or what stands before the number in `socket:[4711]` and the like.
fn kind(target: &str) -> String {
    match target.rsplit_once('/') {
        Some(("", _)) => "in /".to_owned(),
        Some((folder, _)) => format!("in {folder}"),
        None => target
            .split([':', '['])
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// Lets process `pid` open some files more, so that it can accept the connection that asks it to stop, and run
/// what lifts its bans.
///
/// # Errors
/// `EPERM` without the right to it (`CAP_SYS_RESOURCE`), `ESRCH` if there is no such process.
pub fn give_room(pid: Pid) -> io::Result<()> {
    let current = descriptors(pid)?.open.saturating_add(ROOM);
    let [_, hard] = limits_of(pid)?;
    let maximum = (hard != u64::MAX).then_some(hard.max(current));
    let new = Rlimit {
        current: Some(current),
        maximum,
    };
    prlimit(Some(pid), Resource::Nofile, new)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_as_the_kernel_prints_it() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max cpu time              unlimited            unlimited            seconds   \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(limits_in(limits), Some([1024, 524_288]));
        let unlimited = limits.replace("524288   ", "unlimited");
        assert_eq!(limits_in(&unlimited), Some([1024, u64::MAX]));
        assert_eq!(limits_in("Max cpu time 1 1 s\n"), None);
    }

    #[test]
    fn six_are_needed_and_none_is_the_end() {
        let of = |open| Descriptors { open, most: 30 };
        let seen = [24, 25, 29, 30, 31].map(|open| (of(open).are_short(), of(open).are_spent()));
        let (short, spent) = ((true, false), (true, true));
        assert_eq!(seen, [(false, false), short, short, spent, spent]);
    }

    #[test]
    fn files_are_told_by_their_folder_or_kind() {
        let kinds = [
            "/var/log/a.log",
            "/x",
            "socket:[12]",
            "anon_inode:inotify",
            "anon_inode:[eventpoll]",
        ];
        let kinds = kinds.map(kind);
        assert_eq!(
            kinds,
            ["in /var/log", "in /", "socket", "anon_inode", "anon_inode"]
        );
    }
}
