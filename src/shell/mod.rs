//! The thin shell: one loop that builds one event at a time, asks the machine, and hands its
//! actions to tasks. It has no policy.

mod alarm;
mod alerts;
mod apply;
mod chronicle;
mod culprit;
mod daemon;
mod desk;
mod executor;
#[cfg(debug_assertions)]
mod failpoint;
mod files;
mod health;
mod intake;
pub mod journal;
mod look;
mod masked;
mod memory_file;
mod metrics;
pub mod notify;
mod packages;
mod publish;
mod reading;
mod scribe;
mod start;
mod systemd;
mod text;
mod transient;
mod trial;
mod unit;
pub mod watch;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use crate::control::link::{self, Ask, Loop, Reply};
use crate::control::server;
use crate::machine::report::{Kind, Report};
use crate::machine::{
    Action, ActionId, CommandId, Effect, Event, Machine, Memory, MonoTime, Names, Policy,
};
use crate::pause;
use crate::rollback;
use crate::settings::Settings;

use alarm::Alarm;
use alerts::Alerts;
use chronicle::Chronicle;
pub use chronicle::kept_past;
use daemon::{Handle, Message};
use executor::Executor;
use journal::Repeats;
use memory_file::Since;
use metrics::Metrics;
use notify::Notifier;
use publish::{Clocks, Happenings};
use scribe::Scribe;
use watch::{Watch, WatchPaths};

/// How often the metrics are written to a file, where that is wanted.
const TEXTFILE_PACE: Duration = Duration::from_secs(15);

/// Why supervision could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system denied something that the loop cannot do without.
    #[error("cannot start: {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The log could not be set up.
    #[error(transparent)]
    Journal(#[from] journal::InitError),
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |error| RunError::System { what, error }
}

/// Supervises fail2ban until told to end by SIGTERM or SIGINT. `config` is the settings file that
/// SIGHUP reads again.
///
/// # Errors
/// [`RunError`] if the loop cannot be set up.
pub fn run(settings: Settings, config: Option<&Path>) -> Result<(), RunError> {
    journal::init(journal::Sink::detect())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("the event loop"))?;
    let ended = runtime.block_on(async {
        let mut supervisor = Supervisor::new(settings, config.map(Path::to_owned)).await?;
        supervisor.run().await;
        supervisor.end().await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended
}

/// The loop and what it listens to.
struct Supervisor {
    machine: Machine,
    executor: Executor,
    handle: Handle,
    config: Option<PathBuf>,
    clocks: Clocks,
    clock: Instant,
    asks: Receiver<Ask>,
    happenings: Happenings,
    /// Who waits for the answer to a command.
    askers: HashMap<CommandId, oneshot::Sender<Reply>>,
    last_command: u64,
    chronicle: Chronicle,
    scribe: Scribe,
    /// Where the metrics are written, and when they last were.
    textfile: Option<(PathBuf, Instant)>,
    alarm: Alarm,
    inbox: UnboundedReceiver<Message>,
    watch: Watch,
    signals: Signals,
    notifier: Notifier,
    watchdog: Option<Duration>,
    last_watchdog: Instant,
    status: String,
    repeats: Repeats,
    alerts: Alerts,
    metrics: Metrics,
    /// The start that is being given, and what for.
    giving: Option<(ActionId, &'static str)>,
    begun: Vec<Action>,
    /// The readings that are under way: of what they keep, the machine has not yet heard.
    readings: HashSet<ActionId>,
    ended: bool,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Supervisor {
    async fn new(settings: Settings, config: Option<PathBuf>) -> Result<Self, RunError> {
        let listen = |kind| signal(kind).map_err(system("a signal handler"));
        let signals = Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        };
        let notifier = Notifier::from_env().map_err(system("the way to systemd"))?;
        let paths = WatchPaths {
            config_dir: settings.config_dir.clone(),
            socket: settings.daemon.socket.clone(),
            pause: pause::path(&settings.state_dir),
        };
        let watch = Watch::start(&paths).await;
        let state_file = memory_file::path(&settings.state_dir);
        let Since { age, booted } = memory_file::since(&state_file);
        let (memory, said): (Memory, _) = memory_file::load(&state_file);
        // What is kept outlives a memory that is lost.
        let good = memory.good.or_else(|| files::newest_good(&settings));
        let memory = Memory {
            good,
            age,
            booted,
            ..memory
        };
        let (chronicle, said_too) = Chronicle::load(&settings.state_dir);
        let (link, Loop { asks, feed }) = link::pair();
        server::spawn(&settings, link);
        let clock = Instant::now();
        let (to_loop, inbox) = unbounded_channel();
        let (machine, begun) = Machine::new(policy(&settings), names(&settings), memory, seed());
        let textfile = settings.metrics_textfile.clone().map(|path| (path, clock));
        let handle = Handle::new(settings, to_loop);
        let (of_alerts, of_scribe) = (handle.clone(), handle.clone());
        let settings = handle.settings();
        let alerts = Alerts::new(&settings.alerts, settings.instance.clone(), move |why| {
            let what = format!("an alert could not be sent: {why}");
            of_alerts.tell(Message::Say(Kind::AlertNotSent, what));
        });
        let scribe = Scribe::new(move |why| {
            let what = format!("what happened is not kept for later: {why}");
            of_scribe.tell(Message::Say(Kind::StateNotKept, what));
        });
        let mut supervisor = Self {
            machine,
            executor: Executor::new(handle.clone()),
            handle,
            config,
            clocks: Clocks::new(clock),
            clock,
            asks,
            happenings: Happenings::new(feed),
            askers: HashMap::new(),
            last_command: 0,
            chronicle,
            scribe,
            textfile,
            alarm: Alarm::new().map_err(system("a timer"))?,
            inbox,
            watch,
            signals,
            notifier,
            watchdog: notify::watchdog_interval(),
            last_watchdog: Instant::now(),
            status: String::new(),
            repeats: Repeats::default(),
            alerts,
            metrics: Metrics::new(),
            giving: None,
            begun,
            readings: HashSet::new(),
            ended: false,
        };
        for why in said.into_iter().chain(said_too) {
            supervisor.tell(
                Kind::StateNotKept,
                format!("the state file could not be read: {why}"),
            );
        }
        Ok(supervisor)
    }

    async fn run(&mut self) {
        let begun = std::mem::take(&mut self.begun);
        self.act(begun);
        if let Some(pause) = self.pause() {
            let actions = self.machine.handle_event(self.now(), pause);
            self.act(actions);
        }
        while !self.ended {
            let wake = self.wait().await;
            for event in self.events(wake).await {
                let was_read = matches!(&event, Event::Done { id, .. } if self.readings.remove(id));
                let actions = self.machine.handle_event(self.now(), event);
                self.act(actions);
                if was_read && self.readings.is_empty() {
                    self.handle.keep_only(&self.machine.digests());
                }
            }
            self.say_what_lasts();
            self.tell_systemd();
            self.account();
            self.write_metrics();
        }
        let _ = self.notifier.stopping();
        self.executor.finish_save().await;
    }

    async fn end(mut self) {
        if let Some(unsaved) = self.chronicle.rest() {
            self.scribe.write(|| unsaved.write());
        }
        if let Some((path, _)) = self.textfile {
            // After what is still to be written there.
            self.scribe.write(move || {
                metrics::remove(&path);
                Ok(())
            });
        }
        self.scribe.end().await;
        self.alerts.end().await;
    }

    /// When the machine or systemd's watchdog wants to be served next.
    fn due(&self) -> Option<Instant> {
        let machine = self
            .machine
            .poll_timeout()
            .map(|at| self.clock + at.since(MonoTime::START));
        let watchdog = self.watchdog.map(|interval| self.last_watchdog + interval);
        let textfile = self
            .textfile
            .as_ref()
            .map(|(_, written)| *written + TEXTFILE_PACE);
        [machine, watchdog, textfile].into_iter().flatten().min()
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run(id, effect) => {
                    if matches!(effect, Effect::Start { .. }) {
                        let cause = self.machine.restart_cause();
                        self.giving = cause.map(|cause| (id, cause));
                    }
                    if matches!(effect, Effect::ReadConfig { .. }) {
                        self.readings.insert(id);
                    }
                    self.executor.run(id, effect);
                }
                Action::Report(report) => self.say(report),
                Action::Answer(id, answer) => {
                    if let Some(asker) = self.askers.remove(&id) {
                        // Whoever asked may have gone.
                        let _ = asker.send(publish::reply(answer));
                    }
                }
                Action::Record(incident) => {
                    let incident = publish::incident(incident, self.clocks);
                    self.metrics.incident(&incident);
                    self.chronicle.add(incident);
                }
                Action::Ready => {
                    let _ = self.notifier.ready();
                }
                Action::Exit => self.ended = true,
            }
        }
    }

    fn tell(&mut self, kind: Kind, message: String) {
        self.say(Report {
            kind,
            state: self.machine.state_name(),
            incident: None,
            jails: Vec::new(),
            file: None,
            line: None,
            reason: None,
            message,
        });
    }

    /// The same fact is counted, not repeated, for as long as it holds on.
    fn say(&mut self, report: Report) {
        let verdict = self.repeats.admit(&report, self.clock.elapsed());
        if let Some(report) = verdict.apply(report) {
            self.publish(&report);
        }
    }

    /// What was hushed as it comes and goes, and now lasts.
    fn say_what_lasts(&mut self) {
        for report in self.repeats.lasting(self.clock.elapsed()) {
            self.publish(&report);
        }
    }

    fn publish(&mut self, report: &Report) {
        self.happenings.report(report);
        self.alerts.tell(report);
        self.metrics.report(report);
        let settings = self.handle.settings();
        let unit = settings.daemon.unit.as_deref();
        let started_by_us = transient::name(&settings.daemon.socket);
        let whose = journal::Whose {
            called: &settings.called(),
            service: &settings.service(),
            daemon_unit: unit.unwrap_or(&started_by_us),
            unit,
        };
        journal::report(report, whose);
    }

    /// `STATUS=` when it changed, and the sign of life that only this loop may give.
    fn tell_systemd(&mut self) {
        let text = self.machine.status_line();
        if text != self.status {
            let _ = self.notifier.status(&text);
            self.happenings.state(self.machine.state_name(), &text);
            self.status = text;
        }
        if self
            .watchdog
            .is_some_and(|interval| self.last_watchdog.elapsed() >= interval)
        {
            let _ = self.notifier.watchdog();
            self.last_watchdog = Instant::now();
        }
    }

    fn now(&self) -> MonoTime {
        self.clocks.now()
    }
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        settle: settings.settle,
        interval: settings.probe.interval,
        timeout: settings.probe.timeout,
        busy_limit: settings.probe.busy_limit,
        comeback: settings.restart.comeback,
        stop_timeout: settings.restart.stop_timeout,
        replace_files: settings.restart.replace_files,
    }
}

fn names(settings: &Settings) -> Names {
    Names {
        called: settings.called(),
        client: settings.client_called(),
        config_dir: settings.config_dir.clone(),
        in_memory: rollback::in_memory_file(&settings.config_dir),
        unit: settings.daemon.unit.clone().filter(|_| unit::is_booted()),
    }
}

/// Differs from run to run, so that incident ids do.
fn seed() -> u32 {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    since_epoch.subsec_nanos() ^ std::process::id().rotate_left(16)
}
