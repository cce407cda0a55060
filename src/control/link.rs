//! Between the control API and the supervisor's loop: questions one way, what happens the other.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::status::{Finding, Happening, Incident, Status};

/// How many questions may wait for the loop.
const ASKS: usize = 16;
/// How many happenings a listener may lag behind before it misses some.
const HAPPENINGS: usize = 256;

/// A question to the supervisor's loop. Whoever asked may have gone meanwhile.
#[derive(Debug)]
pub enum Ask {
    /// What is true now.
    Status(oneshot::Sender<Status>),
    /// The incidents that ended, the last one first.
    Incidents(oneshot::Sender<Vec<Incident>>),
    /// Counters and gauges, in OpenMetrics text.
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
    happenings: broadcast::Sender<Arc<Happening>>,
}

/// The supervisor's end.
#[derive(Debug)]
pub struct Loop {
    /// What was asked; ends with the last [`Link`].
    pub asks: mpsc::Receiver<Ask>,
    /// For what happens.
    pub happenings: broadcast::Sender<Arc<Happening>>,
}

/// The supervisor is ending, or does not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the supervisor gives no answer")]
pub struct NoAnswer;

/// Both ends.
#[must_use]
pub fn pair() -> (Link, Loop) {
    let (to_loop, asks) = mpsc::channel(ASKS);
    let (happenings, _) = broadcast::channel(HAPPENINGS);
    let link = Link {
        asks: to_loop,
        happenings: happenings.clone(),
    };
    (link, Loop { asks, happenings })
}

impl Link {
    /// What is true now.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn status(&self) -> Result<Status, NoAnswer> {
        self.ask(Ask::Status).await
    }

    /// The incidents that ended, the last one first.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn incidents(&self) -> Result<Vec<Incident>, NoAnswer> {
        self.ask(Ask::Incidents).await
    }

    /// Counters and gauges, in OpenMetrics text.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn metrics(&self) -> Result<String, NoAnswer> {
        self.ask(Ask::Metrics).await
    }

    /// Has something done; ends once it is.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn tell(&self, command: Command) -> Result<Reply, NoAnswer> {
        self.ask(|answer| Ask::Do(command, answer)).await
    }

    /// What happens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Happening>> {
        self.happenings.subscribe()
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, NoAnswer> {
        let (to_us, answer) = oneshot::channel();
        self.asks.send(ask(to_us)).await.map_err(|_| NoAnswer)?;
        answer.await.map_err(|_| NoAnswer)
    }
}
