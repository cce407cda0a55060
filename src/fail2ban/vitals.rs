//! Signs of life of a daemon that does not answer: is it stopped, stuck, or only busy?

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::proc::{Task, read, status_field, tasks, words};
use super::process::Pid;
use super::threads::ACTIONS;

/// `USER_HZ` is 100 wherever this runs, whatever the kernel's own tick.
const TICK_MILLIS: u64 = 10;

/// What one look at a process shows. Two looks compared tell what it does: [`Vitals::since`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    /// The state of its first thread, as `/proc/<pid>/status` has it: `R` and `S` in normal life,
    /// `D` waiting on a disk, `T` stopped by a signal, `t` stopped by a tracer, `Z` dead and not
    /// yet reaped (`man 5 proc_pid_status`).
    pub state: char,
    /// Whether a debugger or `strace` is attached, which slows or stops it.
    pub traced: bool,
    /// The CPU time that its living threads have used, exact to the nanosecond where the kernel
    /// has `schedstat`, else to a tick (10 ms). It falls when a thread ends.
    pub cpu: Duration,
    /// A hash of its threads and children: it changes when jails stop or start, and with each
    /// command that an action runs.
    pub shape: u64,
    /// Whether it has a thread that bans and unbans, or a child, as whoever runs a command has.
    pub acts: bool,
}

/// What a process did between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// No thread ran at all: it is stopped, or waits for something that does not come.
    Frozen,
    /// It used CPU time, with the same threads and children: at work, or spinning.
    Busy,
    /// Threads or children came or went: it gets on with something.
    Progressing,
}

impl Vitals {
    /// What the process did since the `earlier` look.
    ///
    /// A daemon at rest wakes up several times a second to see whether its logs grew, so looks a
    /// second or more apart find it [`Activity::Busy`], never frozen.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Activity {
        if self.shape != earlier.shape {
            Activity::Progressing
        } else if self.cpu != earlier.cpu {
            Activity::Busy
        } else {
            Activity::Frozen
        }
    }
}

impl Vitals {
    /// Whether the process did next to nothing since the `earlier` look, and has nothing left that acts: it
    /// used less than a tenth of a processor, with the same threads. One whose filters wake up in vain uses a
    /// hundredth.
    #[must_use]
    pub fn is_idle_since(&self, earlier: &Self, elapsed: Duration) -> bool {
        let used = self.cpu.saturating_sub(earlier.cpu);
        let at_rest = self.shape == earlier.shape && used * 10 < elapsed;
        at_rest && !self.acts && !earlier.acts && !self.traced && self.state != 'T'
    }
}

/// Takes a look at process `pid`.
///
/// # Errors
/// `NotFound` if there is no such process, `InvalidData` if the kernel's files are not as `man 5
/// proc` has them, and whatever else reading `/proc` may give.
pub fn vitals(pid: Pid) -> io::Result<Vitals> {
    let status = read(pid, "status")?;
    let field = |name| status_field(&status, name).ok_or_else(|| unexpected(pid, name));
    let state = field("State")?
        .chars()
        .next()
        .ok_or_else(|| unexpected(pid, "State"))?;
    let traced = field("TracerPid")? != "0";

    let mut cpu = Duration::ZERO;
    let mut members = Vec::new();
    let mut acts = false;
    for task in tasks(pid)? {
        cpu += cpu_time(&task)?;
        members.push(i64::from(task.id));
        let children = task.children()?;
        acts |= !children.is_empty();
        acts |= task.read("comm")?.is_some_and(|it| it.starts_with(ACTIONS));
        let children = children.into_iter();
        members.extend(children.map(|child| -i64::from(child.as_raw_pid())));
    }
    members.sort_unstable();
    let mut hasher = DefaultHasher::new();
    members.hash(&mut hasher);
    Ok(Vitals {
        state,
        traced,
        cpu,
        shape: hasher.finish(),
        acts,
    })
}

/// The CPU time that a thread has used; none if it has ended.
pub(super) fn cpu_time(task: &Task) -> io::Result<Duration> {
    let from_schedstat = |text: Vec<u8>| words(&text).next().and_then(|word| word.parse().ok());
    if let Some(nanos) = task.read("schedstat")?.and_then(from_schedstat) {
        return Ok(Duration::from_nanos(nanos));
    }
    let ticks = task
        .read("stat")?
        .and_then(|stat| ticks(&stat))
        .unwrap_or_default();
    Ok(Duration::from_millis(ticks.saturating_mul(TICK_MILLIS)))
}

/// How long a thread has waited for a processor, as far as the kernel tells; none if it has ended.
pub(super) fn waiting_time(task: &Task) -> io::Result<Duration> {
    let schedstat = task.read("schedstat")?.unwrap_or_default();
    let nanos = words(&schedstat).nth(1).and_then(|word| word.parse().ok());
    Ok(Duration::from_nanos(nanos.unwrap_or_default()))
}

/// For how long a process has run, whatever was set on the host's clock meanwhile.
///
/// # Errors
/// As of [`vitals`].
pub fn uptime(pid: Pid) -> io::Result<Duration> {
    let started = started(&read(pid, "stat")?).ok_or_else(|| unexpected(pid, "starttime"))?;
    let now = clock_gettime(ClockId::Boottime);
    let since_boot = Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    );
    let started = Duration::from_millis(started.saturating_mul(TICK_MILLIS));
    Ok(since_boot.saturating_sub(started))
}

/// When a process started, in ticks since the boot: the 22nd field of its `stat` file.
fn started(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    words(&stat[after_name..]).nth(19)?.parse().ok()
}

/// User and system time of a `stat` file, its 14th and 15th fields; the second field, the name,
/// may hold spaces and parentheses.
fn ticks(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = words(&stat[after_name..]).skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system))
}

fn unexpected(pid: Pid, field: &str) -> io::Error {
    let message = format!("/proc/{pid}/status has no {field}: is this /proc of a Linux kernel?");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::thread;

    use super::super::{proc, process::Process};
    use super::*;

    const LOOK: Vitals = Vitals {
        state: 'S',
        traced: false,
        cpu: Duration::from_nanos(5),
        shape: 1,
        acts: false,
    };

    #[test]
    fn two_looks_tell_frozen_from_busy_from_progressing() {
        assert_eq!(LOOK.since(&LOOK), Activity::Frozen);
        assert_eq!(
            Vitals {
                cpu: Duration::from_nanos(6),
                ..LOOK
            }
            .since(&LOOK),
            Activity::Busy
        );
        assert_eq!(
            Vitals { shape: 2, ..LOOK }.since(&LOOK),
            Activity::Progressing
        );
    }

    #[test]
    fn idle_is_who_has_nothing_left_that_acts_and_does_next_to_nothing() {
        let second = Duration::from_secs(1);
        let after = |millis| Vitals {
            cpu: LOOK.cpu + Duration::from_millis(millis),
            ..LOOK
        };
        assert!(after(20).is_idle_since(&LOOK, second));
        assert!(!after(200).is_idle_since(&LOOK, second), "it reads a log");
        for busy in [
            Vitals { acts: true, ..LOOK },
            Vitals { shape: 2, ..LOOK },
            Vitals { state: 'T', ..LOOK },
        ] {
            assert!(!busy.is_idle_since(&LOOK, second), "{busy:?}");
        }
    }

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = b"7 (a) b (c) S 1 7 7 0 -1 4194560 10 0 0 0 31 11 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(started(stat), Some(5));
        assert_eq!(ticks(b"7 (a"), None);
        assert_eq!(ticks(b"7 (a) S 1"), None);
    }

    #[test]
    fn this_process_runs_and_spends_time() {
        let me = rustix::process::getpid();
        let first = vitals(me).unwrap();
        assert!("RSD".contains(first.state), "{first:?}");
        while vitals(me).unwrap().since(&first) == Activity::Frozen {
            std::hint::black_box(vitals(me).unwrap());
        }
    }

    #[test]
    fn a_process_is_as_old_as_it_is() {
        let begun = std::time::Instant::now();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let mut age = uptime(pid).unwrap();
        while age < Duration::from_millis(50) {
            thread::sleep(Duration::from_millis(5));
            age = uptime(pid).unwrap();
        }
        // The start is told in ticks.
        let oldest = begun.elapsed() + Duration::from_millis(2 * TICK_MILLIS);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(age <= oldest, "{age:?}");
    }

    #[test]
    fn a_child_changes_the_shape() {
        let mut shell = Command::new("sh").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&shell);
        let mut words = shell.stdin.take().unwrap();
        let alone = vitals(pid).unwrap();
        words.write_all(b"cat\n").unwrap();
        while proc::tasks(pid).unwrap()[0].children().unwrap().is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(vitals(pid).unwrap().since(&alone), Activity::Progressing);
        drop(words);
        shell.wait().unwrap();
    }

    #[test]
    fn a_dead_child_is_a_zombie_until_it_is_reaped() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        child.kill().unwrap();
        let process = Process::open(pid).unwrap();
        while process.is_alive() {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(vitals(pid).unwrap().state, 'Z');
        child.wait().unwrap();
        assert_eq!(vitals(pid).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
