//! Events from the file system: the config folder may have changed, the socket came or went.
//!
//! An event is only a hint to look. Nothing is kept of it but a bit, so a burst costs no memory and
//! one wake-up; the truth is the [`Snapshot`](crate::fail2ban::folder::Snapshot) taken afterwards.
//!
//! Each folder is watched by itself, not by notify's recursive mode: that one passes over a folder
//! that it could not add in silence, and cannot be asked what it watches. Here [`Watch::follow`]
//! says which folders there are, and [`Watch::verify`] compares them with what is watched.

mod plan;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::{Config, ErrorKind, INotifyWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use self::plan::{CONFIG, Filter, PAUSE, Plan, SOCKET, STALE, judge};
use crate::fail2ban::folder::{FolderId, Places};

/// What to watch. None of them needs to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchPaths {
    /// fail2ban's config folder (`/etc/fail2ban`).
    pub config_dir: PathBuf,
    /// fail2ban's socket (`/run/fail2ban/fail2ban.sock`), whose folder comes and goes with the unit.
    pub socket: PathBuf,
    /// The file that asks for a pause.
    pub pause: PathBuf,
}

/// What may have happened since the last time; at least one of them is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Something under the config folder may have changed: take a snapshot, then [`Watch::follow`]
    /// its places.
    pub config: bool,
    /// The socket's file or folder may have come or gone.
    pub socket: bool,
    /// The file that asks for a pause may have come, gone or changed.
    pub pause: bool,
    /// Some changes will be missed until [`Watch::verify`] succeeds: why, and what to do. Each
    /// reason is told once.
    pub incomplete: Option<String>,
}

/// An event source on inotify. Without events it costs no wake-up: it has no timer, and polls nothing.
#[derive(Debug)]
pub struct Watch {
    signal: Arc<Signal>,
    state: Arc<Mutex<State>>,
    told: Option<String>,
}

impl Watch {
    /// Begins to watch. What cannot be watched is told by the first [`next`](Self::next), and tried
    /// again by each [`verify`](Self::verify).
    pub async fn start(paths: &WatchPaths) -> Self {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let signal = Arc::new(Signal::default());
        let state = State {
            paths: WatchPaths {
                config_dir: absolute(&paths.config_dir),
                socket: absolute(&paths.socket),
                pause: absolute(&paths.pause),
            },
            places: Places::default(),
            watcher: None,
            watched: BTreeMap::new(),
            filter: Arc::default(),
            signal: Arc::clone(&signal),
        };
        let watch = Self {
            signal,
            state: Arc::new(Mutex::new(state)),
            told: None,
        };
        watch.sync().await;
        watch
    }

    /// Waits for the next hints; cancelling it loses none.
    ///
    /// When it returns, every folder in which more may follow is watched already, as far as known.
    pub async fn next(&mut self) -> Hints {
        loop {
            let bits = self.signal.take();
            if bits & STALE != 0 {
                self.signal.raise(bits & !STALE);
                self.sync().await;
                continue;
            }
            let trouble = self.trouble();
            let incomplete = trouble.clone().filter(|_| trouble != self.told);
            self.told = trouble;
            if bits != 0 || incomplete.is_some() {
                return Hints {
                    config: bits & CONFIG != 0,
                    socket: bits & SOCKET != 0,
                    pause: bits & PAUSE != 0,
                    incomplete,
                };
            }
            self.signal.wake.notified().await;
        }
    }

    /// Watches the places that a snapshot found, and only those beside the two paths themselves.
    ///
    /// A place that is new raises the config hint, since something may have happened in it between
    /// the snapshot and now; true says so.
    pub async fn follow(&self, places: &Places) -> bool {
        let places = places.clone();
        self.work(|state| {
            if state.places == places && state.is_current() {
                return false;
            }
            state.places = places;
            state.sync()
        })
        .await
    }

    /// Compares device and inode of all that is watched with what is there now, and watches anew
    /// what differs: to be called at each probe. inotify tells nothing of a folder over which another
    /// was mounted, or which was removed while something held it open.
    ///
    /// True says that there was a difference, and then the hints are raised. As long as something
    /// cannot be watched, it is always true.
    pub async fn verify(&self) -> bool {
        let current = match self.state.try_lock() {
            Ok(state) => state.is_current(),
            // Somebody is watching anew right now.
            Err(_) => true,
        };
        !current && self.sync().await
    }

    /// Why some changes are missed at present, if so, and what to do.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        lock(&self.signal.trouble).clone()
    }

    async fn sync(&self) -> bool {
        self.work(State::sync).await
    }

    /// notify answers from its own thread, which first handles the events at hand: in a storm of
    /// them that takes long, and the caller's thread must not wait for it.
    async fn work(&self, work: impl FnOnce(&mut State) -> bool + Send + 'static) -> bool {
        let state = Arc::clone(&self.state);
        let work = tokio::task::spawn_blocking(move || work(&mut lock(&state)));
        work.await.unwrap_or(false)
    }
}

/// Bits, the one who waits for them, and why there may be too few.
#[derive(Debug, Default)]
struct Signal {
    bits: AtomicU8,
    wake: Notify,
    trouble: Mutex<Option<String>>,
}

impl Signal {
    fn raise(&self, bits: u8) {
        if bits & !self.bits.fetch_or(bits, Ordering::AcqRel) != 0 {
            self.wake.notify_one();
        }
    }

    fn take(&self) -> u8 {
        self.bits.swap(0, Ordering::AcqRel)
    }
}

#[derive(Debug)]
struct State {
    paths: WatchPaths,
    places: Places,
    watcher: Option<INotifyWatcher>,
    watched: BTreeMap<PathBuf, FolderId>,
    filter: Arc<Mutex<Filter>>,
    signal: Arc<Signal>,
}

impl State {
    fn is_current(&self) -> bool {
        lock(&self.signal.trouble).is_none()
            && Plan::new(&self.paths, &self.places).folders == self.watched
    }

    /// Makes what is watched what should be, and raises the hints of every folder that is new;
    /// whether any is, or something cannot be watched.
    fn sync(&mut self) -> bool {
        let plan = Plan::new(&self.paths, &self.places);
        let old = std::mem::take(&mut self.watched);
        *lock(&self.filter) = plan.filter;
        let mut trouble = None;
        let mut watcher = match self.watcher.take().map_or_else(|| self.open(), Ok) {
            Ok(watcher) => watcher,
            Err(error) => {
                *lock(&self.signal.trouble) = Some(advice("anything", &error));
                self.signal.raise(CONFIG | SOCKET | PAUSE);
                return true;
            }
        };
        for (path, id) in &old {
            if plan.folders.get(path) != Some(id) {
                // An error only says that notify saw it go before us.
                let _ = watcher.unwatch(path);
            }
        }
        let mut bits = 0;
        for (path, id) in plan.folders {
            let about = lock(&self.filter).about(&path);
            // Watched again even if it was: notify drops a folder that is moved, and the same one
            // may be back. The kernel takes the second time for the first.
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    if old.get(&path) != Some(&id) {
                        bits |= about;
                    }
                    self.watched.insert(path, id);
                }
                Err(error) if is_gone(&error) => bits |= about,
                Err(error) => {
                    bits |= about;
                    let what = path.display().to_string();
                    trouble.get_or_insert_with(|| advice(&what, &error));
                }
            }
        }
        self.watcher = Some(watcher);
        *lock(&self.signal.trouble) = trouble;
        self.signal.raise(bits);
        bits != 0
    }

    fn open(&self) -> notify::Result<INotifyWatcher> {
        let (signal, filter) = (Arc::clone(&self.signal), Arc::clone(&self.filter));
        INotifyWatcher::new(
            move |event| signal.raise(judge(&lock(&filter), &event)),
            Config::default().with_follow_symlinks(false),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
        _ => false,
    }
}

/// What the failure means, and which limit of the kernel to raise.
fn advice(what: &str, error: &notify::Error) -> String {
    let too_many = || {
        "the limit of inotify instances or of open files is reached: raise fs.inotify.max_user_instances \
         with sysctl (fail2ban's own pyinotify backend takes one for each jail), or LimitNOFILE= of \
         jailwarden's unit"
            .to_owned()
    };
    let why = match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "the limit of inotify watches is reached: raise fs.inotify.max_user_watches with sysctl"
                .to_owned()
        }
        ErrorKind::Io(error) => match rustix::io::Errno::from_io_error(error) {
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => too_many(),
            _ if error.kind() == io::ErrorKind::PermissionDenied => {
                "permission denied: jailwarden must run as root".to_owned()
            }
            _ => format!("inotify says: {error}"),
        },
        _ => format!("inotify says: {error}"),
    };
    format!(
        "cannot watch {what} for changes, so they are noticed at the next probe only; {why}; it is \
         tried again at each probe"
    )
}

#[cfg(test)]
mod tests;
