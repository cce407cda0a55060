//! Which thread of a daemon burns the CPU: the one whose regex hangs on a line of its log.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use super::proc::tasks;
use super::process::Pid;
use super::vitals::{cpu_time, waiting_time};

/// The share of its time from which a thread burns the CPU, in percent. Python's interpreter lock lets one
/// thread run at a time, so that no two can.
const BURNS: u32 = 60;

/// The CPU time of each thread at one moment, with what it has waited for a processor: a thread that hangs
/// takes all it can get, which is little on a machine that is overloaded.
#[derive(Debug, Clone)]
pub struct Sample {
    at: Instant,
    threads: BTreeMap<u32, Duration>,
}

/// A thread that burns the CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burning {
    /// Its number.
    pub thread: u32,
    /// Its name, as the kernel keeps it: 15 bytes at most. See [`Owners`](super::threads::Owners).
    pub name: Vec<u8>,
    /// The share of its time in which it ran or was ready to, in percent.
    pub percent: u32,
}

/// Notes how much CPU time each thread of process `pid` has used.
///
/// # Errors
/// `NotFound` if there is no such process, and whatever else reading `/proc` may give.
pub fn sample(pid: Pid) -> io::Result<Sample> {
    let tasks = tasks(pid)?;
    let threads = tasks
        .iter()
        .map(|task| Ok((task.id, cpu_time(task)? + waiting_time(task)?)));
    Ok(Sample {
        at: Instant::now(),
        threads: threads.collect::<io::Result<_>>()?,
    })
}

/// The thread that has burnt the CPU since an earlier sample of the same process; none if each slept for
/// a good part of the time. Some seconds between the two tell a hang from work on a busy log only
/// together with a daemon that does not answer.
///
/// # Errors
/// As [`sample`].
pub fn burning(pid: Pid, since: &Sample) -> io::Result<Option<Burning>> {
    let now = sample(pid)?;
    let passed = now.at.saturating_duration_since(since.at).as_millis();
    let used = now.threads.iter().filter_map(|(thread, cpu)| {
        let used = cpu.saturating_sub(*since.threads.get(thread)?);
        let percent = (used.as_millis() * 100).checked_div(passed)?;
        Some((u32::try_from(percent).ok()?, *thread))
    });
    let Some((percent, thread)) = used.max().filter(|(percent, _)| *percent >= BURNS) else {
        return Ok(None);
    };
    let tasks = tasks(pid)?;
    let Some(task) = tasks.iter().find(|task| task.id == thread) else {
        return Ok(None);
    };
    let name = task.read("comm")?.unwrap_or_default();
    Ok(Some(Burning {
        thread,
        name: name.trim_ascii_end().to_vec(),
        percent,
    }))
}
