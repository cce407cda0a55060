//! Files that nobody waits for are written beside the loop, one after another.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

type Job = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// How many files may wait for the one that is being written.
const QUEUE: usize = 4;

/// Writes beside the loop.
#[derive(Debug)]
pub(super) struct Scribe {
    to_task: mpsc::Sender<Job>,
    task: JoinHandle<()>,
}

impl Scribe {
    /// `failed` is told why nothing can be written, once until something is.
    pub(super) fn new(failed: impl Fn(String) + Send + 'static) -> Self {
        let (to_task, mut inbox) = mpsc::channel::<Job>(QUEUE);
        let task = tokio::spawn(async move {
            let mut failing = false;
            while let Some(job) = inbox.recv().await {
                let done = tokio::task::spawn_blocking(job).await;
                match done.map_err(|error| error.to_string()).flatten() {
                    Ok(()) => failing = false,
                    Err(why) if !std::mem::replace(&mut failing, true) => failed(why),
                    Err(_) => {}
                }
            }
        });
        Self { to_task, task }
    }

    /// What a disk that hangs does not take is left out: each file is written whole again later.
    pub(super) fn write(&self, job: impl FnOnce() -> Result<(), String> + Send + 'static) {
        let _ = self.to_task.try_send(Box::new(job));
    }

    /// Waits until all is written, if that is soon.
    pub(super) async fn end(self) {
        drop(self.to_task);
        let _ = tokio::time::timeout(Duration::from_secs(1), self.task).await;
    }
}
