//! How often a thread wakes, which tells an idle jail from one that works.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::proc::{name_in, status_field, tasks};
use super::super::process::Pid;
use super::super::threads::{Owners, Part};
use super::super::vitals::waiting_time;
use super::JailSigns;

/// A thread's pulse at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// The thread's number.
    pub thread: u32,
    /// How often it has gone to sleep by itself (`voluntary_ctxt_switches`, `man 5 proc_pid_status`).
    pub naps: u64,
    /// How long it has waited for a processor (`schedstat`).
    pub waited: Duration,
    /// The command that it waits for, by its process's number: that of an action, or an `ignorecommand`.
    pub command: Option<i32>,
}

/// What a thread did between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gait {
    /// It was idle all the time.
    Idle,
    /// It woke as a live one does.
    Live,
    /// It did not wake once, as one that waits for a lock.
    Still,
    /// It was kept from running by a machine that is overloaded, so that there is no telling.
    Starved,
    /// None of these: it was stuck, or became idle or live meanwhile, or is another thread.
    Unclear,
}

impl Pulse {
    /// What it did in the time that `passed` since `then`.
    ///
    /// An idle thread wakes every 2 s (`Utils.wait_for` in `server/utils.py`, from `server/filterpoll.py`,
    /// `filterpyinotify.py`, `filtersystemd.py` and `actions.py`): 0.5 times a second, as measured. A live one
    /// wakes 2 times a second or more often.
    #[must_use]
    pub fn since(&self, then: &Self, passed: Duration) -> Gait {
        let waited = self.waited.saturating_sub(then.waited);
        let naps = self.naps.checked_sub(then.naps);
        let (Some(count), Ok(millis)) = (naps, u64::try_from(passed.as_millis())) else {
            return Gait::Unclear;
        };
        if self.thread != then.thread {
            return Gait::Unclear;
        }
        if waited * 10 > passed {
            return Gait::Starved;
        }
        match count.saturating_mul(1_000_000).checked_div(millis) {
            Some(0) if naps == Some(0) => Gait::Still,
            Some(350..=650) => Gait::Idle,
            Some(1500..) => Gait::Live,
            _ => Gait::Unclear,
        }
    }
}

/// Takes the pulse of each jail's threads, where their names tell whose they are.
pub(super) fn take(pid: Pid, jails: &mut BTreeMap<String, JailSigns>) {
    let names: Vec<String> = jails.keys().cloned().collect();
    let owners = Owners::new(&names);
    for task in tasks(pid).unwrap_or_default() {
        let read = |file| task.read(file).ok().flatten().unwrap_or_default();
        let status = read("status");
        let called = name_in(&status).map_or_else(|| read("comm"), <[u8]>::to_vec);
        let Some((part, [name])) = owners.of(called.trim_ascii_end()) else {
            continue;
        };
        let naps = status_field(&status, "voluntary_ctxt_switches").and_then(|n| n.parse().ok());
        let commands = task.children().unwrap_or_default();
        let (Some(naps), Some(jail)) = (naps, jails.get_mut(*name)) else {
            continue;
        };
        let pulse = Pulse {
            thread: task.id,
            naps,
            waited: waiting_time(&task).unwrap_or_default(),
            command: commands.first().map(|command| command.as_raw_pid()),
        };
        match part {
            Part::Filter => jail.filter = Some(pulse),
            Part::Actions => jail.actions = Some(pulse),
        }
    }
}
