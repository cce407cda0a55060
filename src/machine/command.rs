//! What a person tells jailwarden to do: begun once nothing else is under way, and answered once it
//! is done or cannot be.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::absence;
use super::assess::{Sign, Suspect};
use super::event::Finding;
use super::ladder::What;
use super::restart::Cause;
use super::successor::Successor;
use super::time::MonoTime;
use super::words::{fault, names};
use super::{Action, Machine, State};

/// Names a command, so that its answer finds its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What a person tells jailwarden to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Check the config, and apply what changed.
    Reload,
    /// Stop the daemon and start it; start it where it is down.
    Restart,
    /// Disable this jail; start the daemon where it is down.
    RollBack {
        /// The jail.
        jail: String,
    },
}

/// How a command went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As wanted; so many jails were seen alive.
    Done {
        /// How many.
        alive: usize,
    },
    /// Nothing was done, or the daemon refused: it runs as before.
    Refused {
        /// Why, and what to do.
        why: String,
        /// What is wrong with the config, if that is why.
        findings: Vec<Finding>,
    },
    /// The daemon cannot be asked.
    Unreachable {
        /// Why.
        why: String,
    },
    /// It did not come back, or is not healthy afterwards; that is mended from here on.
    NotBack {
        /// Why.
        why: String,
        /// The jail that is to blame, as far as is known.
        suspect: Option<String>,
    },
    /// No jail has that name.
    UnknownJail,
}

/// The commands that were given and not yet answered; the first is being obeyed.
#[derive(Debug, Clone, Default)]
pub(super) struct Commands(VecDeque<Order>);

#[derive(Debug, Clone)]
struct Order {
    id: CommandId,
    command: Command,
    begun: bool,
    /// Whoever asked is not kept waiting for longer.
    until: MonoTime,
}

/// Far above a slow stop and the way back after it.
const LIMIT: Duration = Duration::from_secs(300);

impl Commands {
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        self.0.front().map(|order| order.until)
    }
}

fn refused(why: impl Into<String>) -> Answer {
    Answer::Refused {
        why: why.into(),
        findings: Vec::new(),
    }
}

impl Machine {
    pub(super) fn command(&mut self, id: CommandId, command: Command) {
        self.commands.0.push_back(Order {
            id,
            command,
            begun: false,
            until: self.now + LIMIT,
        });
    }

    /// Begins the first command, or answers it, as far as the state allows.
    pub(super) fn obey(&mut self) {
        while let Some(order) = self.commands.0.front().cloned() {
            let is_overdue = self.now >= order.until;
            let answer = match (&order.command, order.begun) {
                (_, false) if is_overdue => Some(refused(format!(
                    "it was not begun, as something else is under way; see: {} status",
                    self.names.called
                ))),
                (Command::Reload, false) => self.begin_reload(),
                (Command::Restart, false) => self.begin_restart(),
                (Command::RollBack { jail }, false) => self.begin_roll_back(jail),
                (Command::Reload, true) => self.how_reload_went(),
                (Command::Restart, true) => self.how_restart_went(),
                (Command::RollBack { jail }, true) => self.how_roll_back_went(jail),
            };
            let overdue = is_overdue.then(|| Answer::NotBack {
                why: format!("it is still under way; see: {} status", self.names.called),
                suspect: None,
            });
            match answer.or(overdue) {
                Some(answer) => self.answer(answer),
                None => return,
            }
        }
    }

    /// Answers the command that is being obeyed.
    fn answer(&mut self, answer: Answer) {
        if let Some(order) = self.commands.0.pop_front() {
            self.out.push(Action::Answer(order.id, answer));
        }
    }

    /// What was asked for failed, if anything was; `answer` says how.
    pub(super) fn fail_command(&mut self, answer: Answer) {
        let begun = self.commands.0.front().is_some_and(|order| order.begun);
        if begun {
            self.answer(answer);
        }
    }

    /// The jail that a person wants disabled just now.
    pub(super) fn asked_to_roll_back(&self) -> Option<&str> {
        match self.commands.0.front() {
            Some(Order {
                command: Command::RollBack { jail },
                begun: true,
                ..
            }) => Some(jail),
            _ => None,
        }
    }

    fn begun(&mut self) {
        if let Some(order) = self.commands.0.front_mut() {
            order.begun = true;
        }
    }

    /// Why nothing can be begun for as long as that lasts.
    fn why_not_now(&self) -> Option<Answer> {
        if let Some(pause) = &self.pause {
            return Some(refused(format!(
                "jailwarden is paused ({}); to end the pause: {} resume",
                pause.why, self.names.called
            )));
        }
        match &self.state {
            State::Suspect(Suspect {
                sign: Sign::AtWork { packages, .. },
                ..
            }) => Some(refused(if *packages {
                "packages are being installed; fail2ban is started once that is done"
            } else {
                "systemd is at work on fail2ban; try again once it is done"
            })),
            State::Suspect(Suspect {
                sign: Sign::Leaving(_),
                ..
            }) => Some(refused(
                "systemd is stopping fail2ban; try again once it is done",
            )),
            _ => None,
        }
    }

    /// Whether a command may be begun now, without breaking into anything.
    fn is_free(&self) -> bool {
        match &self.state {
            State::Watching | State::Suspect(_) | State::Standby { .. } => true,
            State::GaveUp { read, undo, .. } => read.is_none() && undo.is_none(),
            _ => false,
        }
    }

    fn begin_reload(&mut self) -> Option<Answer> {
        if let Some(why) = self.why_not_now() {
            return Some(why);
        }
        let why = match &self.state {
            State::Standby { why } => format!("fail2ban is stopped on purpose ({why})"),
            State::GaveUp { .. } => {
                self.disk.distrust(self.now);
                "fail2ban is down and does not come back; what changed on disk is read, and tried \
                 at once"
                    .to_owned()
            }
            State::Suspect(Suspect {
                sign: Sign::Silent { .. },
                ..
            }) => "fail2ban does not answer its socket".to_owned(),
            State::Suspect(Suspect {
                sign: Sign::Unaskable,
                ..
            }) => "fail2ban lives, without a socket to be asked at".to_owned(),
            _ if self.is_free() && self.daemon.ping.is_some() => {
                self.disk.distrust(self.now);
                self.check();
                self.begun();
                return None;
            }
            _ => return None,
        };
        Some(Answer::Unreachable { why })
    }

    fn how_reload_went(&self) -> Option<Answer> {
        match &self.state {
            State::Watching if self.daemon.ping.is_some() => Some(
                self.refusal_answer()
                    .unwrap_or_else(|| self.health_answer()),
            ),
            State::Suspect(Suspect {
                sign: Sign::Silent { .. } | Sign::Unaskable | Sign::AtWork { .. } | Sign::Leaving(_),
                ..
            })
            | State::Restarting(_)
            | State::GaveUp { .. }
            | State::Standby { .. } => Some(self.no_way_back("fail2ban does not answer any more")),
            State::Paused { .. } => self.why_not_now(),
            _ => None,
        }
    }

    /// What keeps the config on disk from being the one that runs.
    fn refusal_answer(&self) -> Option<Answer> {
        if let Some(why) = self.disk.why_failing() {
            return Some(refused(match &self.hindrance {
                Some(why) => format!("fail2ban can take no change now: {why}"),
                None => format!("the config could not be checked: {why}"),
            }));
        }
        let refusal = self.refusal.as_ref()?;
        let first = refusal.findings.first().map(fault).unwrap_or_default();
        Some(Answer::Refused {
            why: format!("fail2ban would refuse what is on disk, and keeps what it has: {first}"),
            findings: refusal.findings.clone(),
        })
    }

    fn health_answer(&self) -> Answer {
        let dead: BTreeSet<_> = self.not_alive().union(&self.lost).cloned().collect();
        if dead.is_empty() {
            let alive = self.expected().len();
            return Answer::Done { alive };
        }
        Answer::NotBack {
            why: format!("without protection: {}", names(&dead)),
            suspect: dead.first().cloned(),
        }
    }

    fn no_way_back(&self, why: &str) -> Answer {
        let intent = match &self.state {
            State::Restarting(restart) => restart.intent(),
            _ => None,
        };
        let suspect = match intent.map(|intent| &intent.what) {
            Some(What::Disable(jails)) => jails.first().cloned(),
            Some(What::PutBack(_) | What::InMemory | What::Aside) | None => None,
        };
        Answer::NotBack {
            why: why.to_owned(),
            suspect,
        }
    }

    fn begin_restart(&mut self) -> Option<Answer> {
        if matches!(self.state, State::Restarting(_)) {
            self.begun();
            return None;
        }
        if let Some(why) = self.why_not_now() {
            return Some(why);
        }
        if !self.is_free() {
            return None;
        }
        if let State::Standby { why } = &self.state
            && why == absence::MASKED
        {
            let unit = self.names.unit.as_deref().unwrap_or("fail2ban.service");
            return Some(refused(format!(
                "fail2ban may not be started ({why}); to allow it: systemctl unmask {unit}"
            )));
        }
        if self.daemon.ping.is_some() {
            if !self.disk.is_read() && self.disk.why_failing().is_none() {
                self.check();
                return None;
            }
            // It protects: a config that it would not come back with is no reason to lose that.
            let fatal = self
                .refusal
                .iter()
                .flat_map(|r| &r.findings)
                .any(|f| f.fatal);
            if fatal || self.disk.why_failing().is_some() {
                return self.refusal_answer();
            }
        }
        self.restart_as_asked()
    }

    /// A daemon that lives is only stopped once it is known that another may be started.
    fn restart_as_asked(&mut self) -> Option<Answer> {
        let lives = self.daemon.pid.is_some();
        if lives && self.daemon.successor == Successor::Unknown {
            if self.look.is_none() || !self.looks_at_unit {
                self.look_now();
            }
            return None;
        }
        if lives && !self.is_replaceable() {
            let barred = self.while_barred();
            return Some(refused(format!("fail2ban is not restarted {barred}")));
        }
        self.begun();
        self.restart(Cause::Asked, self.daemon.pid);
        None
    }

    /// A person wants the daemon restarted, and it has not begun.
    pub(super) fn is_asked_to_restart(&self) -> bool {
        let order = self.commands.0.front();
        order.is_some_and(|it| it.command == Command::Restart && !it.begun)
    }

    fn how_restart_went(&self) -> Option<Answer> {
        match &self.state {
            State::Watching if self.daemon.ping.is_some() => Some(self.health_answer()),
            State::Restarting(restart) if restart.has_failed() => {
                Some(self.no_way_back(&restart.failure))
            }
            State::Suspect(Suspect {
                sign: Sign::Silent { .. } | Sign::Unaskable | Sign::AtWork { .. } | Sign::Leaving(_),
                ..
            }) => Some(self.no_way_back("fail2ban does not answer any more")),
            State::Standby { why } => Some(refused(format!(
                "somebody stopped fail2ban meanwhile ({why})"
            ))),
            State::Paused { .. } => self.why_not_now(),
            _ => None,
        }
    }

    fn begin_roll_back(&mut self, jail: &str) -> Option<Answer> {
        if let Some(why) = self.why_not_now() {
            return Some(why);
        }
        if !self.is_free() {
            return None;
        }
        let on_disk = self.disk.reading.as_ref().and_then(|r| r.plan.as_ref());
        let known = self.rollbacks.contains(jail)
            || self.accepted.jails.contains_key(jail)
            || on_disk.is_some_and(|plan| plan.jails.contains_key(jail))
            || self.is_taken_back(jail)
            || self.refused_jails().contains(jail);
        if !known {
            return Some(Answer::UnknownJail);
        }
        if self.daemon.ping.is_none() {
            return self.restart_as_asked();
        }
        self.begun();
        if !self.rollbacks.contains(jail) {
            self.disable([jail.to_owned()].into());
        }
        None
    }

    fn how_roll_back_went(&self, jail: &str) -> Option<Answer> {
        let answer = self.how_restart_went()?;
        match answer {
            Answer::Done { .. } if self.accepted.jails.contains_key(jail) => {
                let why = if self.rollbacks.contains(jail) {
                    "its rollback is written, but something else enables it; the journal says what"
                } else {
                    "its rollback does not stand; the journal says why"
                };
                Some(self.refusal_answer().unwrap_or_else(|| refused(why)))
            }
            answer => Some(answer),
        }
    }
}
