//! Between the control API and the supervisor's loop: questions one way, what happens the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::status::{Finding, Happening, Past, Status};

/// How many questions may wait for the loop.
const ASKS: usize = 16;
/// How many happenings are kept, for listeners that lag behind or come again.
const HAPPENINGS: usize = 256;
/// The loop answers what is true at once, so it is stuck if it has not by then.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Above the limit that the machine has for a command, 5 minutes.
const COMMAND: Duration = Duration::from_secs(310);

/// A question to the supervisor's loop. Whoever asked may have gone meanwhile.
#[derive(Debug)]
pub enum Ask {
    /// What is true now.
    Status(oneshot::Sender<Status>),
    /// What is remembered of the last 30 days.
    Past(oneshot::Sender<Past>),
    /// Counters and gauges, in `OpenMetrics` text.
    Metrics(oneshot::Sender<String>),
    /// Do something, and say how it went.
    Do(Command, oneshot::Sender<Reply>),
}

/// What a person or a program tells the supervisor to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Check the config, and apply what changed.
    Reload,
    /// Stop fail2ban and start it; start it where it is down.
    Restart,
    /// Disable this jail; start fail2ban where it is down.
    RollBack {
        /// The jail's name.
        jail: String,
    },
}

/// How a [`Command`] went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// As wanted; fail2ban was seen to protect with this many jails.
    Done {
        /// The jails seen alive.
        alive: usize,
    },
    /// Nothing was done, or fail2ban refused: it runs as before.
    Refused {
        /// Why, and what to do.
        why: String,
        /// What is wrong with the config, if that is why.
        findings: Vec<Finding>,
    },
    /// fail2ban cannot be asked.
    Unreachable {
        /// Why.
        why: String,
    },
    /// fail2ban did not come back, or is not healthy afterwards; the supervisor goes on to mend that.
    NotBack {
        /// Why.
        why: String,
        /// The jail that is to blame, as far as is known.
        suspect: Option<String>,
    },
    /// No jail has that name.
    UnknownJail,
}

/// The API's end.
#[derive(Debug, Clone)]
pub struct Link {
    asks: mpsc::Sender<Ask>,
    feed: watch::Receiver<Recent>,
    run: Arc<str>,
}

/// The supervisor's end.
#[derive(Debug)]
pub struct Loop {
    /// What was asked; ends with the last [`Link`].
    pub asks: mpsc::Receiver<Ask>,
    /// For what happens.
    pub feed: Feed,
}

/// The happenings that are kept, the last one at the end; they are numbered without a gap.
type Recent = VecDeque<Arc<Happening>>;

/// Takes what happens. It keeps the last of it, and waits for nobody.
#[derive(Debug)]
pub struct Feed(watch::Sender<Recent>);

impl Feed {
    /// Something happened. Whoever listens learns of it.
    pub fn tell(&self, happening: Happening) {
        self.0.send_modify(|recent| {
            if recent.len() == HAPPENINGS {
                recent.pop_front();
            }
            recent.push_back(Arc::new(happening));
        });
    }
}

/// Hears what happens, one thing after another.
#[derive(Debug)]
pub struct Listener {
    feed: watch::Receiver<Recent>,
    /// The number of the happening that is to be heard next.
    next: u64,
    missed: bool,
}

/// What a [`Listener`] hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Something happened.
    Happened(Arc<Happening>),
    /// Happenings were missed here: they are not kept any more.
    Missed,
}

impl Listener {
    /// The number of the last happening that was heard, or passed over.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// The next, once it is there; none when the supervisor ends.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            if std::mem::take(&mut self.missed) {
                return Some(Heard::Missed);
            }
            if let Some(heard) = self.kept() {
                return Some(heard);
            }
            self.feed.changed().await.ok()?;
        }
    }

    fn kept(&mut self) -> Option<Heard> {
        let recent = self.feed.borrow_and_update();
        let first = recent.front()?.seq;
        let Some(at) = self.next.checked_sub(first) else {
            self.next = first;
            return Some(Heard::Missed);
        };
        let happening = recent.get(usize::try_from(at).ok()?)?;
        self.next = happening.seq + 1;
        Some(Heard::Happened(Arc::clone(happening)))
    }
}

/// The supervisor is ending, or does not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the supervisor gives no answer")]
pub struct NoAnswer;

/// Both ends.
#[must_use]
pub fn pair() -> (Link, Loop) {
    let (to_loop, asks) = mpsc::channel(ASKS);
    let (happenings, feed) = watch::channel(Recent::new());
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let link = Link {
        asks: to_loop,
        feed,
        run: format!("{:x}", since_epoch.as_nanos()).into(),
    };
    let feed = Feed(happenings);
    (link, Loop { asks, feed })
}

impl Link {
    /// Tells this run of jailwarden from others.
    #[must_use]
    pub fn run(&self) -> &Arc<str> {
        &self.run
    }

    /// What is true now.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn status(&self) -> Result<Status, NoAnswer> {
        self.ask(AT_ONCE, Ask::Status).await
    }

    /// What is remembered of the last 30 days.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn past(&self) -> Result<Past, NoAnswer> {
        self.ask(AT_ONCE, Ask::Past).await
    }

    /// Counters and gauges, in `OpenMetrics` text.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn metrics(&self) -> Result<String, NoAnswer> {
        self.ask(AT_ONCE, Ask::Metrics).await
    }

    /// Has something done; ends once it is.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn tell(&self, command: Command) -> Result<Reply, NoAnswer> {
        self.ask(COMMAND, |answer| Ask::Do(command, answer)).await
    }

    /// What happens from now on.
    #[must_use]
    pub fn listen(&self) -> Listener {
        let feed = self.feed.clone();
        let last = feed.borrow().back().map(|happening| happening.seq);
        Listener {
            next: last.unwrap_or(0) + 1,
            missed: false,
            feed,
        }
    }

    /// What has happened last, as far as it is kept, the last of it first.
    #[must_use]
    pub fn recent(&self) -> Vec<Arc<Happening>> {
        self.feed.borrow().iter().rev().cloned().collect()
    }

    /// What has happened after the happening with that number, as far as it is kept, and goes on to.
    #[must_use]
    pub fn listen_after(&self, seq: u64) -> Listener {
        let now = self.listen();
        if seq < now.next {
            return Listener {
                next: seq + 1,
                ..now
            };
        }
        self.listen_anew()
    }

    /// All that is kept, with the word that something was missed before it.
    #[must_use]
    pub fn listen_anew(&self) -> Listener {
        let feed = self.feed.clone();
        let first = feed.borrow().front().map(|happening| happening.seq);
        Listener {
            next: first.unwrap_or(1),
            missed: true,
            feed,
        }
    }

    async fn ask<T>(
        &self,
        limit: Duration,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, NoAnswer> {
        let (to_us, answer) = oneshot::channel();
        timeout(limit, async {
            self.asks.send(ask(to_us)).await.map_err(|_| NoAnswer)?;
            answer.await.map_err(|_| NoAnswer)
        })
        .await
        .unwrap_or(Err(NoAnswer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Timestamp;

    fn happening(seq: u64) -> Happening {
        Happening {
            seq,
            at: Timestamp::now(),
            state: "healthy".to_owned(),
            kind: None,
            incident: None,
            jails: Vec::new(),
            text: String::new(),
        }
    }

    async fn heard(listener: &mut Listener, count: usize) -> Vec<Option<u64>> {
        let mut heard = Vec::new();
        for _ in 0..count {
            heard.push(match listener.next().await {
                Some(Heard::Happened(happening)) => Some(happening.seq),
                Some(Heard::Missed) => None,
                None => panic!("it ended after {heard:?}"),
            });
        }
        heard
    }

    #[tokio::test]
    async fn a_listener_goes_on_where_it_was_and_is_told_of_gaps() {
        let (link, end) = pair();
        let mut early = link.listen();
        assert_eq!(early.last(), 0);
        (1..=3).for_each(|seq| end.feed.tell(happening(seq)));
        assert_eq!(heard(&mut early, 3).await, [Some(1), Some(2), Some(3)]);
        assert_eq!(
            heard(&mut link.listen_after(1), 2).await,
            [Some(2), Some(3)]
        );
        assert_eq!(heard(&mut link.listen_after(0), 1).await, [Some(1)]);
        // A number that this run never gave.
        assert_eq!(heard(&mut link.listen_after(9), 2).await, [None, Some(1)]);
        assert_eq!(heard(&mut link.listen_anew(), 2).await, [None, Some(1)]);

        let mut late = link.listen();
        assert_eq!(late.last(), 3);
        (4..=300).for_each(|seq| end.feed.tell(happening(seq)));
        // 45 to 300 are kept.
        assert_eq!(heard(&mut late, 2).await, [None, Some(45)]);
        assert_eq!(heard(&mut link.listen_after(43), 2).await, [None, Some(45)]);
        assert_eq!(heard(&mut link.listen_after(44), 1).await, [Some(45)]);

        let mut last = link.listen_after(299);
        drop(end);
        assert_eq!(heard(&mut last, 1).await, [Some(300)]);
        assert_eq!(last.next().await, None);
        assert_eq!(link.status().await, Err(NoAnswer));
    }
}
