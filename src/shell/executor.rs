//! Turns the machine's effects into tasks; each ends in `Event::Done` with its id, but for a look or an apply that
//! a later one has replaced.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fail2ban::burning;
use crate::fail2ban::commands;
use crate::fail2ban::diagnose::diagnose;
use crate::fail2ban::process;
use crate::fail2ban::signs;
use crate::fail2ban::threads::{self, Owners, Part};
use crate::fail2ban::vitals::vitals;
use crate::machine::{
    ActionId, Daemon, Diagnosis, Effect, Event, Memory, Motion, Outcome, Policy, Signal,
};
use crate::pause;

use super::daemon::{Handle, number};
use super::{apply, culprit, files, look, masked, memory_file, reading, start, trial};

/// An effect that has not ended by itself after this long is given up. Far above every limit
/// within, so that nothing is ever waited for without end.
const LIMIT: Duration = Duration::from_secs(900);
/// How long a save may take, and be waited for: a disk that hangs is no reason not to recover.
const SAVE_LIMIT: Duration = Duration::from_secs(10);
/// How long the last save may take.
const LAST_SAVE: Duration = Duration::from_millis(500);

/// How often the commands of a jail are looked for that is to go.
const GOING: Duration = Duration::from_millis(100);
/// How long they are ended for at most.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Runs effects beside the loop.
#[derive(Debug)]
pub(super) struct Executor {
    handle: Handle,
    look: Option<JoinHandle<()>>,
    apply: Option<JoinHandle<()>>,
    /// Closed once the last save has really ended, not only its limit.
    save: Option<watch::Receiver<()>>,
    #[cfg(debug_assertions)]
    failpoints: super::failpoint::Failpoints,
}

impl Executor {
    pub(super) fn new(handle: Handle) -> Self {
        Self {
            handle,
            look: None,
            apply: None,
            save: None,
            #[cfg(debug_assertions)]
            failpoints: super::failpoint::Failpoints::default(),
        }
    }

    /// Begins an effect. A look ends the look before it: the daemon gets one connection at a time.
    /// So does a change that is applied: the one before it, if it was given up, must not come after it.
    /// A save waits for the save before it: the last one is what has to stay on disk. A start waits for
    /// it too: that it was given must be known to whoever comes after us.
    pub(super) fn run(&mut self, id: ActionId, effect: Effect) {
        let is_look = matches!(effect, Effect::Look { .. });
        let is_apply = matches!(effect, Effect::Apply { .. });
        if is_look && let Some(before) = self.look.take() {
            before.abort();
        }
        if is_apply && let Some(before) = self.apply.take() {
            before.abort();
        }
        let (ended, end) = watch::channel(());
        let earlier_save = match effect {
            Effect::Save(_) => self.save.replace(end),
            Effect::Start { .. } => self.save.clone(),
            _ => None,
        };
        let handle = self.handle.clone();
        #[cfg(debug_assertions)]
        let point = self.failpoints.point(&effect);
        let task = tokio::spawn(async move {
            let saved = match earlier_save {
                Some(before) => is_over(before.clone()).await.map_err(|()| before),
                None => Ok(()),
            };
            #[cfg(debug_assertions)]
            point.reach("before");
            let outcome = match (effect, saved) {
                (Effect::Save(_), Err(before)) => {
                    tokio::spawn(keep_until(before, ended));
                    Outcome::Effect(Err(
                        "the disk hangs: an earlier save has not ended".to_owned()
                    ))
                }
                (effect, _) => {
                    let performed = perform(&handle, effect, ended);
                    let outcome = tokio::time::timeout(LIMIT, performed).await;
                    outcome.unwrap_or(Outcome::Lost)
                }
            };
            let outcome = masked::masked(&handle, outcome).await;
            #[cfg(debug_assertions)]
            point.reach("after");
            if let Outcome::Seen(sight) = &outcome {
                handle.kept().looked.is_told(&sight.health);
            }
            handle.tell_event(Event::Done { id, outcome });
        });
        if is_look {
            self.look = Some(task);
        } else if is_apply {
            self.apply = Some(task);
        }
    }

    /// Waits until what is being saved is on disk, for as long as somebody who ends it may be kept
    /// waiting.
    pub(super) async fn finish_save(&mut self) {
        if let Some(mut save) = self.save.take() {
            let _ = tokio::time::timeout(LAST_SAVE, save.changed()).await;
        }
    }
}

/// Waits for a save to end, within its limit.
async fn is_over(mut save: watch::Receiver<()>) -> Result<(), ()> {
    let ended = tokio::time::timeout(SAVE_LIMIT, save.changed()).await;
    ended.map(drop).map_err(drop)
}

/// A save that was not begun is over when the one before it is.
async fn keep_until(mut before: watch::Receiver<()>, ended: watch::Sender<()>) {
    let _ = before.changed().await;
    drop(ended);
}

/// A disk that hangs keeps the thread, and with it what says that the save has not ended.
async fn save(handle: &Handle, memory: Box<Memory>, ended: watch::Sender<()>) -> Outcome {
    let path = memory_file::path(&handle.settings().state_dir);
    let written = blocking(move || {
        let _ended = ended;
        memory_file::save(&path, &*memory)
    });
    let outcome = tokio::time::timeout(SAVE_LIMIT, written).await;
    outcome.unwrap_or_else(|_| {
        let limit = SAVE_LIMIT.as_secs();
        Outcome::Effect(Err(format!(
            "the disk hangs: a save has not ended after {limit} s"
        )))
    })
}

/// `ended` is closed once a save has really ended.
async fn perform(handle: &Handle, effect: Effect, ended: watch::Sender<()>) -> Outcome {
    match effect {
        Effect::Look { expect, unit } => {
            handle.look_for_logs().await;
            handle.look_for_packages();
            let sight = look::look(handle, &expect, unit).await;
            handle.kept().answers = matches!(sight.daemon, Daemon::Answers { .. });
            Outcome::Seen(sight)
        }
        Effect::ReadConfig { known } => Outcome::Config(reading::read(handle, known).await),
        Effect::Apply { server, jails } => {
            Outcome::Applied(apply::apply(handle, server, &jails).await)
        }
        Effect::AskStop => Outcome::StopAsked(apply::ask_stop(handle).await),
        Effect::Signal { pid, signal } => Outcome::Effect(send(handle, pid, signal)),
        Effect::EndCommands { pid, jail, all } => {
            Outcome::Effect(end_commands(handle, pid, jail, all).await)
        }
        Effect::Sample { pid } => Outcome::Motion(sample(handle, pid).await),
        Effect::Diagnose { pid } => Outcome::Diagnosis(write_down(handle, pid).await),
        Effect::Start { known } => {
            if let Some(known) = known
                && reading::is_another(handle, known).await
            {
                return Outcome::ConfigMoved;
            }
            culprit::begin(handle).await;
            start::start(handle).await
        }
        Effect::FindCulprit => Outcome::Verdict(culprit::find(handle).await),
        Effect::WriteRollback { jails, reason } => {
            let handle = handle.clone();
            blocking(move || files::disable(&handle, &jails, &reason)).await
        }
        Effect::TakeBack {
            jails,
            replaced,
            in_memory,
        } => {
            let handle = handle.clone();
            blocking(move || files::take_back(&handle, &jails, &replaced, in_memory)).await
        }
        Effect::KeepInMemory { reason } => {
            let handle = handle.clone();
            blocking(move || files::keep_in_memory(&handle, &reason)).await
        }
        Effect::SetAside => {
            let handle = handle.clone();
            let done = tokio::task::spawn_blocking(move || files::set_aside(&handle)).await;
            Outcome::Aside(done.unwrap_or_else(|error| Err(error.to_string())))
        }
        Effect::FindAside => {
            if handle.kept().database.is_none() {
                // Only the config names the file.
                reading::read(handle, None).await;
            }
            let handle = handle.clone();
            let found = tokio::task::spawn_blocking(move || files::find_aside(&handle)).await;
            Outcome::Aside(found.unwrap_or_else(|error| Err(error.to_string())))
        }
        Effect::PutBack { files, reason } => {
            let handle = handle.clone();
            let put_back = move || files::put_back(&handle, files, &reason);
            let done = tokio::task::spawn_blocking(put_back).await;
            done.unwrap_or_else(|error| Outcome::PutBack(Err(error.to_string())))
        }
        Effect::FindPutBack { reason } => {
            let handle = handle.clone();
            let find = move || files::find_put_back(&handle, &reason);
            let found = tokio::task::spawn_blocking(find).await;
            Outcome::PutBack(found.unwrap_or_else(|error| Err(error.to_string())))
        }
        Effect::FindRollbacks => {
            let handle = handle.clone();
            let found = tokio::task::spawn_blocking(move || files::find_rollbacks(&handle)).await;
            Outcome::Rollbacks(found.unwrap_or_else(|error| Err(error.to_string())))
        }
        Effect::Keep { fingerprint, plan } => {
            let handle = handle.clone();
            blocking(move || files::keep(&handle, fingerprint, &plan)).await
        }
        Effect::TryMend { jails } => Outcome::Tried(trial::of(handle, jails).await),
        Effect::EndPause => {
            let state_dir = handle.settings().state_dir.clone();
            blocking(move || end_pause(&state_dir)).await
        }
        Effect::Save(memory) => save(handle, memory, ended).await,
    }
}

async fn blocking(work: impl FnOnce() -> Result<(), String> + Send + 'static) -> Outcome {
    let done = tokio::task::spawn_blocking(work).await;
    Outcome::Effect(done.unwrap_or_else(|error| Err(error.to_string())))
}

/// Signals the process that is held, if it is still the one that is meant.
fn send(handle: &Handle, pid: u32, signal: Signal) -> Result<(), String> {
    let Some(process) = handle.held().filter(|p| number(p.pid()) == pid) else {
        // Its end may have been told before the machine knew that it would wait for it.
        let exit = crate::machine::Observed::DaemonExited { pid };
        handle.tell_event(Event::Observed(exit));
        return Ok(());
    };
    let signal = match signal {
        Signal::Continue => process::Signal::CONT,
        Signal::Terminate => {
            apply::give_room(&process);
            process::Signal::TERM
        }
        Signal::Kill => process::Signal::KILL,
    };
    match process.signal(signal) {
        Err(_) if !process.is_alive() => {
            handle.tell_exit(&process);
            Ok(())
        }
        sent => sent.map_err(|error| format!("process {pid} cannot be signalled: {error}")),
    }
}

/// A jail that is to go runs what it has begun before it does, one command after the other.
async fn end_commands(handle: &Handle, pid: u32, jail: String, all: bool) -> Result<(), String> {
    let begun = Instant::now();
    let mut known = Vec::new();
    let mut jails = handle.kept().jails.clone();
    if !jails.contains(&jail) {
        jails.push(jail.clone());
    }
    loop {
        let Some(process) = handle.held().filter(|p| number(p.pid()) == pid) else {
            return Ok(());
        };
        let (jails, jail) = (jails.clone(), jail.clone());
        let pass = tokio::task::spawn_blocking(move || {
            let longer = signs::BLOCKED_AFTER;
            commands::end_commands(process.pid(), &jail, &jails, longer, &mut known)?;
            let threads = process.look(threads::census)?.judge(&jails);
            let is_there = threads.get(&jail).is_some_and(|it| !it.are_gone());
            Ok::<_, io::Error>((is_there, known))
        });
        let pass = pass.await.map_err(|error| error.to_string())?;
        let is_there;
        (is_there, known) = pass.map_err(|error| error.to_string())?;
        if !all || !is_there || begun.elapsed() >= GONE_WITHIN {
            return Ok(());
        }
        tokio::time::sleep(GOING).await;
    }
}

async fn sample(handle: &Handle, pid: u32) -> Motion {
    let Some(process) = handle.held().filter(|p| number(p.pid()) == pid) else {
        return Motion::Frozen;
    };
    let before = process.look(vitals);
    tokio::time::sleep(Policy::SAMPLE).await;
    match (before, process.look(vitals)) {
        (Ok(before), Ok(after)) => look::motion(&before, &after),
        _ => Motion::Frozen,
    }
}

/// What is written down is masked here, in the time that the burning takes to show.
async fn write_down(handle: &Handle, pid: u32) -> Diagnosis {
    let Some(process) = handle.held().filter(|p| number(p.pid()) == pid) else {
        return Diagnosis {
            words: "its process has ended meanwhile".to_owned(),
            ..Diagnosis::default()
        };
    };
    let begun = Instant::now();
    let (log, jails) = {
        let kept = handle.kept();
        (kept.log.clone(), kept.jails.clone())
    };
    let pid = process.pid();
    let written =
        tokio::task::spawn_blocking(move || (burning::sample(pid), diagnose(pid, log.as_deref())));
    let (before, words) = match written.await {
        Ok((before, words)) => (before.ok(), masked::said(handle, words).await),
        Err(error) => (None, error.to_string()),
    };
    tokio::time::sleep(Policy::DIAGNOSIS.saturating_sub(begun.elapsed())).await;
    let burnt = before.and_then(|before| burning::burning(pid, &before).ok().flatten());
    let owners = Owners::new(&jails);
    let (burning, busy) = match burnt.as_ref().map(|it| owners.of(&it.name)) {
        Some(Some((Part::Filter, [jail]))) => (Some(jail.to_string()), false),
        Some(None) => (None, true),
        _ => (None, false),
    };
    Diagnosis {
        words,
        burning,
        busy,
    }
}

/// Whoever asked for another pause meanwhile has it.
fn end_pause(state_dir: &Path) -> Result<(), String> {
    match pause::in_force(state_dir, SystemTime::now()) {
        Ok(Some(_)) => Ok(()),
        _ => pause::end(state_dir)
            .map(drop)
            .map_err(|error| format!("{}: {error}", pause::path(state_dir).display())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::settings::Settings;
    use crate::shell::daemon::Message;

    #[tokio::test]
    async fn the_last_of_many_saves_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.daemon.unit = None;
        settings.state_dir = dir.path().to_owned();
        let (to_loop, mut inbox) = unbounded_channel();
        let mut executor = Executor::new(Handle::new(settings, to_loop));
        let memory = |count: u64| Memory {
            recent: vec![count.to_string()],
            ..Memory::default()
        };
        for count in 0..50 {
            executor.run(ActionId(count), Effect::Save(Box::new(memory(count))));
        }
        for _ in 0..50 {
            match inbox.recv().await {
                Some(Message::Event(event)) => match *event {
                    Event::Done { outcome, .. } => assert_eq!(outcome, Outcome::Effect(Ok(()))),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            memory_file::load(&memory_file::path(dir.path())),
            (memory(49), None)
        );
    }
}
