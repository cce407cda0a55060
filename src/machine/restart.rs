//! Bringing the daemon back: stop what is left of it, start it, probe until it is back; and where
//! it does not come back, the next rung of the ladder.

use std::collections::{BTreeSet, VecDeque};

use super::event::{ActionId, Diagnosis, Outcome, Sight, Verdict};
use super::intent::Intent;
use super::ladder::{Rung, What};
use super::plan::Plan;
use super::stop::Stop;
use super::time::MonoTime;
use super::{Effect, Machine, Policy, Signal, State, config_of};

/// Why the daemon is being restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is gone, and nobody meant it.
    Down(String),
    /// It lives and does not answer.
    Hung { stopped: bool },
    /// It lives, without a socket.
    Unaskable(String),
    /// It may open no more files.
    Cramped(String),
    /// This jail sees nothing for as long as this process runs, and why.
    Blind { jail: String, why: String },
    /// It answers, but these jails could not be revived in it.
    DeadJails(BTreeSet<String>),
    /// jailwarden itself had stopped it, or was about to, and was then interrupted.
    Interrupted,
    /// Nobody started it, and starting it is jailwarden's task (there is no unit).
    NotRunning,
    /// A person wants it.
    Asked,
    /// Its database is in memory, and can be in its file again.
    Database,
    /// Its database is damaged, so that it can take no change.
    Damaged(String),
    /// Another try after every way had failed.
    Retry,
}

impl Cause {
    /// In a word, for programs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Down(_) => "down",
            Self::Hung { .. } => "hung",
            Self::Unaskable(_) => "no-socket",
            Self::Cramped(_) => "no-files",
            Self::Blind { .. } => "blind-jail",
            Self::DeadJails(_) => "dead-jails",
            Self::Interrupted => "interrupted",
            Self::NotRunning => "not-running",
            Self::Asked => "asked",
            Self::Database => "database",
            Self::Damaged(_) => "damaged-database",
            Self::Retry => "retry",
        }
    }
}

/// A restart under way.
#[derive(Debug, Clone)]
pub(super) struct Restart {
    pub(super) cause: Cause,
    pub(super) step: Step,
    /// What ran before, or runs still.
    pub(super) ran: Plan,
    /// The process that has to go before the new one starts.
    pub(super) old: Option<u32>,
    /// The rungs not yet taken; `None` until they were looked for.
    pub(super) rungs: Option<VecDeque<Rung>>,
    /// What surrounds it was cured since these were looked for.
    pub(super) cured: bool,
    /// What was already taken away, or could not be.
    pub(super) tried: BTreeSet<What>,
    /// Why the last start came to nothing.
    pub(super) failure: String,
    /// What was found out about that.
    pub(super) verdict: Verdict,
    /// How often the config was another one when the start was given.
    pub(super) moves: u32,
    /// The jail whose filter made the daemon hang.
    pub(super) burning: Option<String>,
    /// When the start was given, and whether it was told that it takes long.
    pub(super) given: Option<(MonoTime, bool)>,
    /// It is being found out what the process that was started last does instead of running its jails.
    pub(super) examining: Option<ActionId>,
    /// What that was found to be.
    pub(super) examined: Option<Diagnosis>,
}

/// What a restart is at.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// SIGCONT was sent to a stopped process; it may be well again.
    Resuming { signal: ActionId, until: MonoTime },
    /// What the hung process was doing is written down.
    Diagnosing(ActionId),
    /// The memory that it is jailwarden who stops the daemon goes to disk first.
    Saving(ActionId),
    /// The old process is being stopped.
    Stopping(Stop),
    /// The config is read before the start, since it may have changed.
    Reading(ActionId),
    /// Its time is up, and what it does instead of answering is still being found out.
    Examining,
    /// Why the start came to nothing is asked.
    FindingCulprit(ActionId),
    /// The config is read to find what is to blame.
    Judging(ActionId),
    /// What is about to be done to the config goes to disk first.
    Intending { save: ActionId, intent: Intent },
    /// Rollback files are written, or files are put back.
    RollingBack { write: ActionId, intent: Intent },
    /// The config is read to see that the rollback took hold.
    Verifying {
        read: ActionId,
        what: What,
        /// Files that a finding blamed and that were replaced, and the fingerprint before.
        put_back: Option<(String, Option<u128>)>,
    },
    /// The database goes back to its file, now that no daemon runs with one in memory.
    EndingInMemory(ActionId),
    /// The start command is being given.
    Starting(ActionId),
    /// It was started and is probed until it is back.
    ComingBack { until: MonoTime },
}

impl Restart {
    fn begin(cause: Cause, old: Option<u32>, ran: Plan, step: Step) -> Self {
        Self {
            cause,
            step,
            ran,
            old,
            rungs: None,
            cured: false,
            tried: BTreeSet::new(),
            failure: String::new(),
            verdict: Verdict::default(),
            burning: None,
            given: None,
            examining: None,
            examined: None,
            moves: 0,
        }
    }

    pub(super) fn awaits(&self, id: ActionId) -> bool {
        match &self.step {
            Step::Resuming { signal: i, .. }
            | Step::Diagnosing(i)
            | Step::Saving(i)
            | Step::Reading(i)
            | Step::FindingCulprit(i)
            | Step::Judging(i)
            | Step::Intending { save: i, .. }
            | Step::RollingBack { write: i, .. }
            | Step::Verifying { read: i, .. }
            | Step::EndingInMemory(i)
            | Step::Starting(i) => *i == id,
            Step::Stopping(stop) => stop.awaits(id),
            Step::Examining => self.examining == Some(id),
            Step::ComingBack { .. } => false,
        }
    }

    /// The end of a step that ends by itself. Whether the daemon is back is for a look to say, so
    /// that wait ends with the first look after its time is up.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        match &self.step {
            Step::Resuming { until, .. } => Some(*until),
            Step::Stopping(stop) => stop.deadline(),
            _ => None,
        }
    }

    /// A start has come to nothing, and what to take away is known.
    pub(super) fn has_failed(&self) -> bool {
        self.rungs.is_some() && self.intent().is_some()
    }

    /// Whether a start has come to nothing, and with what was done about that another is to be given.
    pub(super) fn is_due(&self) -> bool {
        let goes_on = self.cause == Cause::Interrupted;
        let is_between = matches!(
            self.step,
            Step::Reading(_)
                | Step::Intending { .. }
                | Step::RollingBack { .. }
                | Step::Verifying { .. }
                | Step::Saving(_)
                | Step::Stopping(_)
        );
        self.old.is_some() && (self.rungs.is_some() || goes_on) && is_between
    }

    /// Until when the daemon has to be back.
    pub(super) fn comes_back_until(&self) -> Option<MonoTime> {
        match &self.step {
            Step::ComingBack { until } => Some(*until),
            _ => None,
        }
    }

    /// The process that has to go before another starts; what was found out is true of one process.
    pub(super) fn is_now(&mut self, pid: Option<u32>) {
        if self.old != pid {
            self.forget_exam();
        }
        self.old = pid;
    }

    pub(super) fn forget_exam(&mut self) {
        (self.examining, self.examined) = (None, None);
    }

    pub(super) fn looks(&self) -> bool {
        matches!(self.step, Step::Resuming { .. } | Step::ComingBack { .. })
    }

    pub(super) fn intent(&self) -> Option<&Intent> {
        match &self.step {
            Step::Intending { intent, .. } | Step::RollingBack { intent, .. } => Some(intent),
            _ => None,
        }
    }

    pub(super) fn has_started(&self) -> bool {
        matches!(
            self.step,
            Step::Starting(_) | Step::ComingBack { .. } | Step::Examining
        )
    }

    pub(super) fn is_rolling_back(&self) -> bool {
        matches!(
            self.step,
            Step::Intending { .. } | Step::RollingBack { .. } | Step::Verifying { .. }
        )
    }
}

impl Machine {
    /// Begins to bring the daemon back. `old` is its process, where one still lives.
    pub(super) fn restart(&mut self, cause: Cause, old: Option<u32>) {
        match &cause {
            // A hang may have begun at any time since the last good look.
            Cause::Hung { .. } => self.open_incident_since(self.last_fine.unwrap_or(self.now)),
            Cause::Cramped(_) => {
                let cramped = self.daemon.cramped.as_ref();
                self.open_incident_since(cramped.map_or(self.now, |it| it.since));
            }
            // It protects until it is stopped.
            Cause::Unaskable(_) | Cause::Database | Cause::Damaged(_) => {
                self.open_incident_since(self.now);
            }
            _ => self.open_incident(),
        }
        // One that goes on when told to was not restarted.
        if cause != (Cause::Hung { stopped: true }) {
            self.note_restarted();
        }
        if cause == Cause::Asked && self.asked_to_roll_back().is_none() {
            self.release_all();
        }
        self.doubt_reload();
        self.look = None;
        self.awaited = false;
        let begun = cause.clone();
        let step = Step::Reading(ActionId::NONE);
        let ran = self.accepted.clone();
        self.state = State::Restarting(Restart::begin(cause, old, ran, step));
        self.say_trouble(&begun);
        let is_bound = !matches!(begun, Cause::Retry | Cause::Asked);
        if is_bound && self.budget_is_spent() {
            return self.give_up("it was restarted too often in a short time");
        }
        match (begun, old) {
            (Cause::Hung { stopped: true }, Some(pid)) => {
                let signal = self.signal(pid, Signal::Continue);
                let until = self.now + Policy::RESUME_GRACE;
                self.step(Step::Resuming { signal, until });
                self.next_look = self.now + Policy::FAST_PACE;
            }
            (Cause::Hung { .. }, Some(pid)) => self.diagnose(pid),
            (_, Some(_)) => self.prepare(),
            (_, None) => self.before_start(),
        }
    }

    /// It was being started when jailwarden was killed, and does not run all its jails yet: it has the
    /// time to come back that any start has.
    pub(super) fn await_start(&mut self, sight: Sight) {
        self.open_incident();
        // Another one is there: from here on a stop is somebody else's.
        self.stopping &= self.daemon.pid == self.saved.process;
        if let Some(incident) = &mut self.incident {
            incident.restarted = true;
        }
        let until = self.now + self.policy.comeback;
        let step = Step::ComingBack { until };
        let ran = self.accepted.clone();
        let mut restart = Restart::begin(Cause::Interrupted, None, ran, step);
        restart.given = Some((self.now, false));
        self.state = State::Restarting(restart);
        // What was read now may be another config than it was started with.
        self.disk.distrust(self.now);
        self.restart_seen(sight);
    }

    pub(super) fn note_restarted(&mut self) {
        if let Some(incident) = &mut self.incident {
            incident.restarted = true;
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        if let State::Restarting(restart) = &mut self.state {
            restart.step = step;
        }
    }

    pub(super) fn diagnose(&mut self, pid: u32) {
        let id = self.run(Effect::Diagnose { pid });
        self.step(Step::Diagnosing(id));
    }

    pub(super) fn save_then_stop(&mut self) {
        self.stopping = true;
        let id = self.save();
        self.step(Step::Saving(id));
    }

    /// An action of the restart has ended.
    pub(super) fn restart_done(&mut self, outcome: Outcome) {
        let State::Restarting(restart) = &self.state else {
            return;
        };
        match restart.step.clone() {
            Step::Resuming { .. } | Step::ComingBack { .. } | Step::Examining => {}
            Step::Diagnosing(_) => {
                let diagnosis = match outcome {
                    Outcome::Diagnosis(diagnosis) => diagnosis,
                    _ => Diagnosis::default(),
                };
                self.say_hung(&diagnosis.words);
                if let State::Restarting(restart) = &mut self.state {
                    restart.burning = diagnosis.burning;
                }
                self.prepare();
            }
            Step::Saving(_) => {
                self.save_done(&outcome);
                self.begin_stop();
            }
            Step::Stopping(stop) => self.stop_done(stop, outcome),
            Step::Reading(_) => self.read_before_start(config_of(outcome)),
            Step::FindingCulprit(_) => self.culprit_found(outcome),
            Step::Judging(_) => self.judge(config_of(outcome)),
            Step::Intending { intent, .. } => {
                self.save_done(&outcome);
                let write = self.carry_out(&intent);
                self.step(Step::RollingBack { write, intent });
            }
            Step::RollingBack { intent, .. } => self.rolled_back(&intent, outcome),
            Step::Verifying { what, put_back, .. } => {
                self.verified(&what, put_back, config_of(outcome));
            }
            Step::EndingInMemory(_) => self.in_memory_ended(outcome),
            Step::Starting(_) => self.started(outcome),
        }
    }
}
