//! What is known of the config folder, and when it is read.

use super::event::Reading;
use super::policy::Policy;
use super::time::MonoTime;

/// What is known of the config folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    burst: Option<Burst>,
    /// The last reading; `None` also after one that failed in the middle of a restart.
    pub(super) reading: Option<Reading>,
    /// Why the last check could not be made, or led to nothing, once that was told.
    pub(super) failing: Option<String>,
    /// At the last look, packages were being installed or removed ([`Sight::packages`](super::event::Sight)).
    pub(super) packages: bool,
}

/// Signs of change that have not been read yet.
#[derive(Debug, Clone, Copy)]
struct Burst {
    first: MonoTime,
    last: MonoTime,
    /// Read at once, and afresh even if no byte differs.
    urgent: bool,
}

impl Disk {
    /// Something under the folder may have changed.
    pub(super) fn touch(&mut self, now: MonoTime) {
        let burst = self.burst.get_or_insert(Burst {
            first: now,
            last: now,
            urgent: false,
        });
        burst.last = now;
    }

    /// The daemon may have read the disk without us.
    pub(super) fn distrust(&mut self, now: MonoTime) {
        self.touch(now);
        if let Some(burst) = &mut self.burst {
            burst.first = burst.first.min(now);
            burst.urgent = true;
        }
    }

    /// When the burst is over, if one is under way.
    pub(super) fn due(&self, policy: &Policy) -> Option<MonoTime> {
        let burst = self.burst?;
        if burst.urgent {
            return Some(burst.first);
        }
        Some((burst.last + policy.settle).min(burst.first + Policy::SETTLE_LIMIT))
    }

    /// Whether the last reading is of what is there now, as far as anybody told us.
    pub(super) fn is_read(&self) -> bool {
        self.burst.is_none() && self.reading.is_some()
    }

    /// Whether all that can be known of the config now is: it was read, or cannot be.
    pub(super) fn is_known(&self) -> bool {
        self.is_read() || self.failing.is_some()
    }

    /// Why the last check could not be made, or led to nothing.
    pub(super) fn why_failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    pub(super) fn is_settling(&self) -> bool {
        self.burst.is_some()
    }

    /// Begins a reading: what comes from now on is the next burst. Gives the fingerprint that
    /// need not be read again.
    pub(super) fn begin(&mut self) -> Option<u128> {
        let urgent = self.burst.take().is_some_and(|b| b.urgent);
        if urgent {
            None
        } else {
            self.reading.as_ref().map(|r| r.fingerprint)
        }
    }
}
