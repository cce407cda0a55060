//! Time as the machine sees it: handed in, never read.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, as the duration since the supervisor started. Not an `Instant`, so that a
/// recorded log of events replays to the same decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct MonoTime(Duration);

impl MonoTime {
    /// The moment at which the supervisor started.
    pub const START: Self = Self(Duration::ZERO);

    /// The point that lies `since_start` after the start.
    #[must_use]
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for MonoTime {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

impl Sub<Duration> for MonoTime {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(rhs))
    }
}
