//! The census of jail threads: the one sign of a jail that works which fail2ban cannot give falsely.
//!
//! A jail that works has two threads in the daemon, `f2b/f.<jail>` (its filter) and `f2b/a.<jail>`
//! (its actions), named in `server/filter.py:129` and `server/actions.py:79` and told to the kernel by
//! `JailThread._bootstrap` in `server/jailthread.py` (fail2ban 1.0.2 and 1.1.1). The kernel keeps 15
//! bytes of a thread's name (`TASK_COMM_LEN`), so nine bytes of the jail's name are left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::proc::tasks;
use super::process::Pid;

const FILTER: &[u8] = b"f2b/f.";
pub(super) const ACTIONS: &[u8] = b"f2b/a.";
const COMM_BYTES: usize = 15;
const JAIL_BYTES: usize = COMM_BYTES - FILTER.len();

/// The threads of one daemon at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    total: usize,
    filters: Counts,
    actions: Counts,
}

/// Threads by the bytes of a jail's name that the kernel kept.
type Counts = BTreeMap<Vec<u8>, usize>;

/// What the census says of one thread of a jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// It runs.
    Live,
    /// Jails that share the first nine bytes of their names have fewer threads than jails: one of
    /// them is missing, and it may be this one's.
    Unsure,
    /// It does not run.
    Missing,
}

/// What the census says of one jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// The thread that reads the log and finds failures.
    pub filter: Presence,
    /// The thread that bans and unbans.
    pub actions: Presence,
}

/// What a jail's thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It reads the log and finds failures.
    Filter,
    /// It bans and unbans.
    Actions,
}

/// The jails of a daemon, by what the kernel keeps of their names: tells whose a thread is.
#[derive(Debug)]
pub struct Owners<'a>(BTreeMap<&'a [u8], Vec<&'a str>>);

impl<'a> Owners<'a> {
    /// `jails` must hold every jail that the daemon has.
    pub fn new(jails: impl IntoIterator<Item = &'a String>) -> Self {
        let mut owners = BTreeMap::<_, Vec<_>>::new();
        for jail in jails {
            owners.entry(kept(jail)).or_default().push(jail.as_str());
        }
        Self(owners)
    }

    /// Whose a thread of this name is: more than one jail's where they share the first nine bytes of their names, that
    /// of none where it is named like a jail's that is not known, and nothing where it is named otherwise.
    #[must_use]
    pub fn of(&self, thread: &[u8]) -> Option<(Part, &[&'a str])> {
        let (part, jail) = match (thread.strip_prefix(FILTER), thread.strip_prefix(ACTIONS)) {
            (Some(name), _) => (Part::Filter, name),
            (None, name) => (Part::Actions, name?),
        };
        Some((part, self.0.get(jail).map_or(&[], Vec::as_slice)))
    }
}

impl Threads {
    /// Whether both threads are known to run.
    #[must_use]
    pub fn complete(self) -> bool {
        self.filter == Presence::Live && self.actions == Presence::Live
    }

    /// Whether neither runs any more.
    #[must_use]
    pub fn are_gone(self) -> bool {
        self.filter == Presence::Missing && self.actions == Presence::Missing
    }
}

/// Counts the threads of process `pid`.
///
/// A thread that ends during the count is left out. A thread that was just made bears its parent's
/// name for an instant, so a jail that is being started may be counted as missing.
///
/// # Errors
/// `NotFound` if there is no such process, and whatever else reading `/proc` may give.
pub fn census(pid: Pid) -> io::Result<Census> {
    tasks(pid)?
        .iter()
        .filter_map(|task| task.read("comm").transpose())
        .collect()
}

/// Takes the thread names as `/proc/<pid>/task/<tid>/comm` gives them, with or without the newline.
impl FromIterator<Vec<u8>> for Census {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(names: I) -> Self {
        let mut census = Self::default();
        for name in names {
            census.total += 1;
            let name = name.strip_suffix(b"\n").unwrap_or(&name);
            if let Some(jail) = name.strip_prefix(FILTER) {
                *census.filters.entry(jail.to_vec()).or_default() += 1;
            } else if let Some(jail) = name.strip_prefix(ACTIONS) {
                *census.actions.entry(jail.to_vec()).or_default() += 1;
            }
        }
        census
    }
}

impl Census {
    /// All threads of the process, whatever they are for.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Whether any jail has a thread; a daemon that failed to start its jails has none, and still
    /// answers `ping`.
    #[must_use]
    pub fn has_jail_threads(&self) -> bool {
        !self.filters.is_empty() || !self.actions.is_empty()
    }

    /// Says of each jail whether its threads run.
    ///
    /// `jails` must hold every jail that the daemon has or should have: a jail left out would lend
    /// its threads to one that shares the first nine bytes of its name.
    #[must_use]
    pub fn judge(&self, jails: &[String]) -> BTreeMap<String, Threads> {
        let jails: BTreeSet<&String> = jails.iter().collect();
        let mut wanted = Counts::new();
        for jail in &jails {
            *wanted.entry(kept(jail).to_vec()).or_default() += 1;
        }
        jails
            .into_iter()
            .map(|jail| {
                let wanted = wanted.get(kept(jail)).copied().unwrap_or_default();
                let threads = Threads {
                    filter: presence(&self.filters, jail, wanted),
                    actions: presence(&self.actions, jail, wanted),
                };
                (jail.clone(), threads)
            })
            .collect()
    }
}

fn presence(live: &Counts, jail: &str, wanted: usize) -> Presence {
    match live.get(kept(jail)).copied().unwrap_or_default() {
        0 => Presence::Missing,
        live if live < wanted => Presence::Unsure,
        _ => Presence::Live,
    }
}

/// The bytes of a jail's name that a thread's name holds, maybe cut within a character.
fn kept(jail: &str) -> &[u8] {
    let bytes = jail.as_bytes();
    &bytes[..bytes.len().min(JAIL_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census_of(names: &[&[u8]]) -> Census {
        names.iter().map(|name| name.to_vec()).collect()
    }

    fn judge(names: &[&[u8]], jails: &[&str]) -> Vec<(String, Presence, Presence)> {
        let jails: Vec<String> = jails.iter().map(|&jail| jail.to_owned()).collect();
        let verdicts = census_of(names).judge(&jails);
        verdicts
            .into_iter()
            .map(|(jail, threads)| (jail, threads.filter, threads.actions))
            .collect()
    }

    #[test]
    fn each_thread_of_a_jail_is_judged_by_itself() {
        use Presence::{Live, Missing};
        let names: &[&[u8]] = &[
            b"fail2ban-server\n",
            b"f2b/observer\n",
            b"f2b/f.a\n",
            b"f2b/a.a\n",
            b"f2b/a.m\n",
            b"f2b/f.z\n",
        ];
        assert_eq!(
            judge(names, &["a", "m", "z", "gone"]),
            [
                ("a".into(), Live, Live),
                ("gone".into(), Missing, Missing),
                ("m".into(), Missing, Live),
                ("z".into(), Live, Missing),
            ]
        );
        assert_eq!(census_of(names).total(), 6);
    }

    #[test]
    fn a_daemon_without_jails_has_no_jail_threads() {
        assert!(!census_of(&[b"fail2ban-server\n", b"f2b/observer\n"]).has_jail_threads());
        assert!(census_of(&[b"f2b/a.x\n"]).has_jail_threads());
    }

    #[test]
    fn jails_that_share_nine_bytes_are_counted_together() {
        use Presence::{Live, Missing, Unsure};
        let jails = ["nginx-http-auth", "nginx-http-login", "nginx-htt"];
        let full: &[u8] = b"f2b/f.nginx-htt\n";
        assert_eq!(judge(&[full, full, full], &jails)[0].1, Live);
        let two = judge(&[full, full], &jails);
        assert!(
            two.iter()
                .all(|(_, filter, actions)| (*filter, *actions) == (Unsure, Missing)),
            "{two:?}"
        );
    }

    #[test]
    fn a_thread_names_each_jail_that_it_may_be_of() {
        let jails = ["nginx-http-auth", "nginx-http-login", "sshd"].map(String::from);
        let owners = Owners::new(&jails);
        let filter = |jails| Some((Part::Filter, jails));
        assert_eq!(owners.of(b"f2b/f.sshd"), filter(&["sshd"][..]));
        let both = &["nginx-http-auth", "nginx-http-login"][..];
        assert_eq!(owners.of(b"f2b/a.nginx-htt"), Some((Part::Actions, both)));
        assert_eq!(owners.of(b"f2b/f.gone"), filter(&[]));
        assert_eq!(owners.of(b"f2b/observer"), None);
    }

    #[test]
    fn a_name_is_cut_within_a_character() {
        let jail = "prüfungöx";
        let mut comm = b"f2b/f.".to_vec();
        comm.extend_from_slice(&jail.as_bytes()[..9]);
        assert!(std::str::from_utf8(&comm).is_err());
        assert_eq!(judge(&[&comm], &[jail])[0].1, Presence::Live);
    }

    #[test]
    fn a_jail_named_twice_is_one_jail() {
        assert_eq!(
            judge(&[b"f2b/f.a\n", b"f2b/a.a\n"], &["a", "a"]),
            [("a".into(), Presence::Live, Presence::Live)]
        );
    }

    #[test]
    fn this_process_has_threads_and_no_jails() {
        let census = census(rustix::process::getpid()).unwrap();
        assert!(census.total() >= 1);
        assert!(!census.has_jail_threads());
    }
}
