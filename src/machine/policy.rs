//! The numbers that decisions turn on.

use std::time::Duration;

/// What the settings say about timing, and what does not change from host to host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A burst of file events is over when it was quiet for this long.
    pub settle: Duration,
    /// Time between two probes of a healthy daemon.
    pub interval: Duration,
    /// How long a ping may go unanswered.
    pub timeout: Duration,
    /// How long a daemon that still uses the processor may leave pings unanswered.
    pub busy_limit: Duration,
    /// How long a started daemon has to come back.
    pub comeback: Duration,
    /// How long a daemon may take to stop when asked.
    pub stop_timeout: Duration,
    /// Whether files of the config may be replaced by their last known good content.
    pub replace_files: bool,
}

impl Policy {
    /// A burst is read at the latest this long after its first event.
    pub const SETTLE_LIMIT: Duration = Duration::from_secs(5);
    /// Time between two looks while something is suspected.
    pub const SUSPECT_PACE: Duration = Duration::from_secs(1);
    /// Time between two looks while systemd is at work or the daemon is coming back.
    pub const FAST_PACE: Duration = Duration::from_millis(100);
    /// A dead jail must be seen dead so many times in a row, `SUSPECT_PACE` apart: an admin's own
    /// reload stops and starts jails too.
    pub const DEAD_LOOKS: u32 = 3;
    /// How long the jails of a reload have to show their threads.
    pub const PROOF_LIMIT: Duration = Duration::from_secs(3);
    /// How long a hung process has to end after SIGTERM, or to show that it is ending.
    pub const HUNG_GRACE: Duration = Duration::from_secs(5);
    /// How long a hung process is watched for what it is doing, before it is touched.
    pub const DIAGNOSIS: Duration = Duration::from_secs(2);
    /// It is watched so long before its time to come back is up, so that this costs no time of its own.
    pub const EXAM: Duration = Duration::from_secs(3);
    /// How long a process that does not end is watched for whether it gets on with its end.
    pub const SAMPLE: Duration = Duration::from_secs(1);
    /// How long a process that was stopped by a signal has to answer after SIGCONT.
    pub const RESUME_GRACE: Duration = Duration::from_secs(2);
    /// Of the tries after every way back has failed, each so many-th may disable jails again that it did not help to
    /// disable.
    pub const DISABLED_IN_VAIN: u32 = 4;
    /// The same of the last good config. Each time leaves what it replaced, and itself, beside the state.
    pub const PUT_BACK_IN_VAIN: u32 = 32;
    /// At most this many restarts within `BUDGET_WINDOW`, then only with backoff.
    pub const RESTART_BUDGET: usize = 5;
    /// See `RESTART_BUDGET`.
    pub const BUDGET_WINDOW: Duration = Duration::from_secs(600);
    /// A jail must be found to see or do nothing at so many looks at that, ten seconds apart.
    pub const AILING_LOOKS: u32 = 2;
    /// How long a jail whose command was ended is watched for whether its next one blocks, too.
    pub const FREED_FOR: Duration = Duration::from_secs(30);
    /// So long a daemon must be found to be able to open no more files.
    pub const CRAMPED_FOR: Duration = Duration::from_secs(5);
    /// So often a jail that dies each time within `PROBATION` is loaded again at once; then it waits
    /// first, for `BACKOFF_START`, which doubles up to `MEND_LIMIT`.
    pub const REVIVALS: u32 = 3;
    /// For so long at least a jail rests that not even a restart of the daemon has revived.
    pub const LONG_REST: Duration = Duration::from_secs(3600);
    /// So often a jail that sees or does nothing is healed within `CURE_WINDOW`.
    pub const CURES: u32 = 2;
    /// See `CURES`.
    pub const CURE_WINDOW: Duration = Duration::from_secs(3600);
    /// How long the daemon has to be healthy with a config before that is kept as good.
    pub const GOOD_AFTER: Duration = Duration::from_secs(60);
    /// How long to wait after a good config could not be kept.
    pub const GOOD_RETRY: Duration = Duration::from_secs(3600);
    /// How long a package manager at work keeps a daemon that is down from being started.
    pub const PACKAGES_LIMIT: Duration = Duration::from_secs(600);
    /// How long systemd's own job on the unit is waited for.
    pub const JOB_LIMIT: Duration = Duration::from_secs(600);
    /// The first wait before a jail is tried without its rollback; it doubles up to `MEND_LIMIT`.
    pub const MEND_START: Duration = Duration::from_secs(600);
    /// The wait after a trial for which there was a reason, such as a change, and which could not be made.
    pub const MEND_AGAIN: Duration = Duration::from_secs(30);
    /// See `MEND_START`.
    pub const MEND_LIMIT: Duration = Duration::from_secs(6 * 3600);
    /// How long a mended jail has to run before it counts as any other.
    pub const PROBATION: Duration = Duration::from_secs(600);
    /// A jail that failed in life so often, though its trials passed, waits for a person.
    pub const FLAP_LIMIT: u32 = 3;
    /// First wait before another try once every way has failed; it doubles up to `BACKOFF_LIMIT`.
    pub const BACKOFF_START: Duration = Duration::from_secs(10);
    /// See `BACKOFF_START`.
    pub const BACKOFF_LIMIT: Duration = Duration::from_secs(600);
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(500),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            busy_limit: Duration::from_secs(30),
            comeback: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(90),
            replace_files: true,
        }
    }
}
