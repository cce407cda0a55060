//! One alarm on a timerfd. tokio's timer wheel wakes up two or three times on the way to a deadline
//! that is seconds away; an idle supervisor should wake for its probe alone.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::{Errno, read};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::pollable;

#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = pollable::readable(timerfd_create(TimerfdClockId::Monotonic, flags)?)?;
        Ok(Self { timer, set: None })
    }

    /// Returns once `due` has passed; never without one. May be dropped at any time.
    pub(super) async fn at(&mut self, due: Option<Instant>) -> io::Result<()> {
        if self.set != due {
            self.arm(due)?;
        }
        loop {
            let mut ready = self.timer.readable().await?;
            match read(self.timer.get_ref(), &mut [0; 8]) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.set = None;
                    return Ok(());
                }
            }
        }
    }

    fn arm(&mut self, due: Option<Instant>) -> io::Result<()> {
        // Zero would disarm it.
        let left = due.map(|due| {
            due.saturating_duration_since(Instant::now())
                .max(Duration::from_nanos(1))
        });
        let value = Timespec::try_from(left.unwrap_or_default()).unwrap_or(Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        });
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        self.set = due;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(task: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(task)
    }

    #[test]
    fn it_rings_not_before_its_time_and_again_for_the_next() {
        block_on(async {
            let mut alarm = Alarm::new().unwrap();
            for wait in [20, 0, 5] {
                let due = Instant::now() + Duration::from_millis(wait);
                alarm.at(Some(due)).await.unwrap();
                assert!(Instant::now() >= due);
            }
        });
    }

    #[test]
    fn without_a_time_it_does_not_ring_even_if_it_was_set_before() {
        block_on(async {
            let mut alarm = Alarm::new().unwrap();
            let soon = Instant::now() + Duration::from_millis(10);
            // It may have rung already on a machine that is busy, which changes nothing.
            let _ = tokio::time::timeout(Duration::ZERO, alarm.at(Some(soon))).await;
            let never = tokio::time::timeout(Duration::from_millis(50), alarm.at(None)).await;
            assert!(never.is_err());
        });
    }

    #[test]
    fn a_time_that_passed_while_nobody_waited_rings_at_once() {
        block_on(async {
            let mut alarm = Alarm::new().unwrap();
            let due = Instant::now() + Duration::from_millis(20);
            let _ = tokio::time::timeout(Duration::ZERO, alarm.at(Some(due))).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            alarm.at(Some(due)).await.unwrap();
        });
    }
}
