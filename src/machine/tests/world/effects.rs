//! The machine's effects on the host.

use std::path::PathBuf;

use super::super::*;
use super::*;

/// How long the start command takes; a start that takes longer goes on without it.
const START_COMMAND: Duration = ms(300);

impl World {
    pub(super) fn takes(&self, effect: &Effect) -> Duration {
        let hung = self.process.as_ref().is_some_and(|p| p.hang.is_some());
        match effect {
            Effect::Look { .. } | Effect::Apply { .. } | Effect::AskStop if hung => secs(5),
            Effect::Look { .. } | Effect::Save(_) | Effect::EndPause | Effect::Signal { .. } => {
                ms(1)
            }
            Effect::ReadConfig { .. } | Effect::TryMend { .. } => ms(80),
            Effect::Apply { .. } => ms(50),
            Effect::AskStop => ms(5),
            Effect::Sample { .. } | Effect::Diagnose { .. } | Effect::EndCommands { .. } => secs(1),
            Effect::FindCulprit => ms(20),
            Effect::Start { .. } => self.start_takes.min(START_COMMAND),
            Effect::WriteRollback { .. }
            | Effect::KeepInMemory { .. }
            | Effect::SetAside
            | Effect::FindAside
            | Effect::FindRollbacks
            | Effect::PutBack { .. }
            | Effect::FindPutBack { .. }
            | Effect::TakeBack { .. }
            | Effect::Keep { .. } => ms(10),
        }
    }

    pub(super) fn execute(&mut self, id: ActionId, effect: &Effect, peer: Option<u32>) -> Outcome {
        match effect {
            Effect::Look { unit, .. } => self.look(id, *unit),
            Effect::ReadConfig { known } => self.read_config(*known),
            Effect::Apply { jails, server } => self.apply(jails, server.is_some(), peer),
            Effect::AskStop => match self.usable(peer) {
                Some(process) => {
                    process.stopping = true;
                    let pid = process.pid;
                    self.after(self.stop_takes, Then::Die(pid, "asked"));
                    Outcome::StopAsked(StopAnswer::Agreed)
                }
                None => Outcome::StopAsked(StopAnswer::Unreachable("no answer".into())),
            },
            Effect::Signal { pid, signal } => self.signal(*pid, *signal),
            Effect::Sample { .. } => match &self.process {
                Some(p) if p.stopping => Outcome::Motion(Motion::Progressing),
                _ => Outcome::Motion(Motion::Frozen),
            },
            Effect::Diagnose { .. } => Outcome::Diagnosis(Diagnosis {
                words: String::new(),
                burning: self.burning_jail(),
                busy: self.burning_jail().is_none() && self.is_at_work(),
            }),
            Effect::FindCulprit => Outcome::Verdict(self.verdict()),
            Effect::Start { known: Some(known) } if *known != self.read().fingerprint => {
                // It never took place, so it counts for nothing.
                self.starts.pop();
                Outcome::ConfigMoved
            }
            Effect::Start { .. } => self.start(),
            Effect::WriteRollback { jails, .. } => {
                self.stir();
                if self.disk_full {
                    return Outcome::Effect(Err("no space left on device".into()));
                }
                self.rollbacks.extend(jails.iter().cloned());
                Outcome::Effect(Ok(()))
            }
            Effect::FindRollbacks => Outcome::Rollbacks(Ok(self.rollbacks.clone())),
            Effect::KeepInMemory { .. } => Outcome::Effect(self.keep_in_memory()),
            Effect::SetAside => Outcome::Aside(self.set_aside()),
            Effect::FindAside => Outcome::Aside(Ok((!self.damaged).then(aside))),
            Effect::Keep { fingerprint, .. } => {
                if self.read().fingerprint != *fingerprint {
                    return Outcome::Effect(Err("it changed meanwhile".into()));
                }
                let is_whole = self.rollbacks.is_empty() && !self.in_memory;
                assert!(!self.unreadable && is_whole, "not good");
                self.good = Some(self.files.clone());
                Outcome::Effect(Ok(()))
            }
            Effect::PutBack { reason, .. } => Outcome::PutBack(self.put_back(reason)),
            Effect::FindPutBack { reason } => Outcome::PutBack(Ok(self.find_put_back(reason))),
            Effect::TakeBack {
                jails,
                replaced,
                in_memory,
            } => {
                self.stir();
                self.in_memory &= !in_memory;
                self.rollbacks.retain(|jail| !jails.contains(jail));
                for name in replaced.iter().rev() {
                    self.take_back(name);
                }
                Outcome::Effect(Ok(()))
            }
            Effect::EndCommands { .. } => Outcome::Effect(Ok(())),
            Effect::TryMend { jails } => Outcome::Tried(self.try_mend(jails)),
            Effect::EndPause => {
                // Not one that somebody has begun since (`end_pause` in `shell/executor.rs`).
                let now = self.now;
                self.paused
                    .take_if(|until| until.is_some_and(|it| it <= now));
                // Whoever paused it may have had a reason for that which is gone.
                self.untried = true;
                Outcome::Effect(Ok(()))
            }
            Effect::Save(memory) => {
                // A later one waits for the one before it (`shell/executor.rs`).
                if self.saved < id {
                    self.saved = id;
                    self.memory = (**memory).clone();
                    self.kept_at = self.now;
                    self.save_lost = false;
                }
                Outcome::Effect(Ok(()))
            }
        }
    }

    fn start(&mut self) -> Outcome {
        if self.masked {
            return Outcome::Effect(Err("Unit fail2ban.service is masked".into()));
        }
        // What was not read before it is tried at once.
        self.untried = self.machine.disk.is_settling();
        let overtaken = self.process.is_some();
        let fine = overtaken || self.spawn();
        if let (true, Some(process)) = (fine, &mut self.process) {
            process.up_at = self.now + self.start_takes.saturating_sub(START_COMMAND);
        }
        if overtaken {
            Outcome::Overtaken
        } else {
            Outcome::Effect(Ok(()))
        }
    }

    fn keep_in_memory(&mut self) -> Result<(), String> {
        self.stir();
        if self.disk_full {
            return Err("no space left on device".into());
        }
        self.in_memory = true;
        Ok(())
    }

    fn set_aside(&mut self) -> Result<Option<PathBuf>, String> {
        if self.disk_full {
            return Err("read-only file system".into());
        }
        Ok(std::mem::take(&mut self.damaged).then(aside))
    }

    /// What fail2ban's own log says of a start that came to nothing.
    fn verdict(&self) -> Verdict {
        let breaks = |(_, digest): &(String, u128)| self.faults[digest] != Fault::None;
        let culprit = if self.surroundings {
            Culprit::Surroundings {
                jail: None,
                database: false,
            }
        } else if self.locked && !self.in_memory {
            Culprit::Surroundings {
                jail: None,
                database: true,
            }
        } else if self.damaged && !self.in_memory {
            Culprit::Damaged
        } else if self.blames {
            let jail = self.enabled().into_iter().find(breaks).map(|(n, _)| n);
            Culprit::Config { jail }
        } else {
            Culprit::Unknown
        };
        Verdict {
            culprit,
            evidence: String::new(),
        }
    }

    /// The process, if it can be talked to.
    pub(super) fn usable(&mut self, peer: Option<u32>) -> Option<&mut Process> {
        let now = self.now;
        self.process.as_mut().filter(|p| {
            Some(p.pid) == peer && p.hang.is_none() && p.socket && !p.stopping && p.up_at <= now
        })
    }

    pub(super) fn look(&mut self, id: ActionId, asks_for_unit: bool) -> Outcome {
        if self.machine.look != Some(id) {
            return Outcome::Lost;
        }
        self.barred = self.masked || self.packages;
        let mut unit = self.has_unit.then(|| self.unit.clone());
        if let Some(unit) = unit.as_mut().filter(|_| self.masked) {
            unit.load = "masked".into();
        }
        let Some(process) = &self.process else {
            return Outcome::Seen(Sight {
                packages: self.packages,
                ..gone(unit, self.unit != unit_stopped())
            });
        };
        let pid = process.pid;
        let idle = process.hang == Some(Hang::Leaving);
        let daemon = if idle {
            Daemon::Silent {
                pid: Some(pid),
                motion: Motion::Busy,
            }
        } else if !process.socket || process.up_at > self.now {
            Daemon::Absent {
                process: Some(pid),
                traces: true,
                why: "no such file".into(),
            }
        } else if process.stopping {
            Daemon::Silent {
                pid: Some(pid),
                motion: Motion::Progressing,
            }
        } else {
            match process.hang {
                Some(Hang::Stopped) => Daemon::Silent {
                    pid: Some(pid),
                    motion: Motion::Stopped,
                },
                Some(Hang::Frozen) => Daemon::Silent {
                    pid: Some(pid),
                    motion: Motion::Frozen,
                },
                Some(Hang::Busy | Hang::Leaving) => Daemon::Silent {
                    pid: Some(pid),
                    motion: Motion::Busy,
                },
                None => {
                    let dead = process.jails.iter().filter(|(_, j)| !j.alive);
                    Daemon::Answers {
                        pid,
                        ping: ms(1),
                        listed: process.jails.keys().cloned().collect(),
                        dead: dead.map(|(n, _)| n.clone()).collect(),
                    }
                }
            }
        };
        self.shown.insert(pid);
        let answers = matches!(daemon, Daemon::Answers { .. });
        let silent = matches!(daemon, Daemon::Silent { .. });
        Outcome::Seen(Sight {
            daemon,
            unit: unit.filter(|_| asks_for_unit || !answers),
            revived: self.revived == Some(pid),
            packages: self.packages && !silent,
            idle,
            health: self.health(),
        })
    }

    fn health(&mut self) -> Health {
        let is_due = self.now.since(self.looked_for_blind) >= secs(10);
        let blind = self.blind.filter(|_| is_due);
        if blind.is_some() {
            self.looked_for_blind = self.now;
        }
        let ailing = |jail: &str| {
            let ailment = Ailment {
                words: "it reads no log".into(),
                cure: Some(Cure::Load),
                behind: None,
            };
            BTreeMap::from([(jail.to_owned(), ailment)])
        };
        Health {
            ailing: blind.map(ailing),
            cramped: self.cramped.then(|| "all its files are open".into()),
            writable: self.in_memory && !self.locked,
            ..Health::default()
        }
    }

    pub(super) fn apply(&mut self, changes: &Changes, server: bool, peer: Option<u32>) -> Outcome {
        let faults = self.faults.clone();
        let in_memory = self.in_memory;
        let (burning, frail) = (self.burning, self.frail);
        let damaged = self.damaged;
        let Some(process) = self.usable(peer) else {
            let unreachable = Some("no answer".into());
            return Outcome::Applied(Applied {
                unreachable,
                ..Applied::default()
            });
        };
        let mut applied = Applied::default();
        if server && process.in_memory != in_memory {
            applied.server = Some("Cannot change database".into());
        }
        if damaged && !process.in_memory {
            if let Some(first) = changes.keys().next() {
                process.jails.remove(first);
                applied.refused.push((first.clone(), "malformed".into()));
            }
            applied.hindered = Some("the database is damaged".into());
            applied.damaged = true;
            return Outcome::Applied(applied);
        }
        for (name, change) in changes {
            let (Change::Load(digest) | Change::Restart(digest)) = change else {
                process.jails.remove(name);
                continue;
            };
            match faults.get(digest).copied().unwrap_or(Fault::None) {
                Fault::None | Fault::ColdOnly => {
                    let jail = Jail {
                        digest: *digest,
                        alive: frail != Some(name.as_str()),
                    };
                    process.jails.insert(name.clone(), jail);
                    if burning == Some(*digest) {
                        process.hang = Some(Hang::Busy);
                    }
                }
                _ => {
                    process.jails.remove(name);
                    applied.refused.push((name.clone(), "bad".into()));
                }
            }
        }
        Outcome::Applied(applied)
    }

    pub(super) fn signal(&mut self, pid: u32, signal: Signal) -> Outcome {
        let Some(process) = self.process.as_mut().filter(|p| p.pid == pid) else {
            return Outcome::Effect(Err("no such process".into()));
        };
        match (signal, process.hang) {
            (Signal::Continue, Some(Hang::Stopped)) => process.hang = None,
            (Signal::Terminate, None) => {
                process.stopping = true;
                self.after(self.stop_takes, Then::Die(pid, "asked"));
            }
            (Signal::Terminate, Some(Hang::Leaving)) => {
                self.after(ms(1), Then::Die(pid, "ended"));
            }
            (Signal::Kill, _) => self.after(ms(1), Then::Die(pid, "killed")),
            (Signal::Terminate | Signal::Continue, _) => {}
        }
        Outcome::Effect(Ok(()))
    }

    pub(in super::super) fn digest_of(&self, jail: &str) -> Option<u128> {
        Some(self.process.as_ref()?.jails.get(jail)?.digest)
    }
}

fn aside() -> PathBuf {
    "/var/lib/fail2ban/fail2ban.sqlite3.damaged".into()
}

/// An outcome in a few words.
pub(super) fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Seen(sight) => match &sight.daemon {
            Daemon::Answers {
                pid, listed, dead, ..
            } => {
                format!("{pid} answers, lists {listed:?}, dead {dead:?}")
            }
            Daemon::Silent { pid, motion } => format!("{pid:?} is silent, {motion:?}"),
            Daemon::Absent { process, .. } => {
                let unit = sight.unit.as_ref().map(|u| (u.active, u.result.as_str()));
                format!("absent, process {process:?}, unit {unit:?}")
            }
        },
        Outcome::Config(ConfigRead::Read(reading)) => {
            let jails = reading.plan.as_ref().map(Plan::names);
            format!("jails {jails:?}, findings {}", reading.findings.len())
        }
        other => format!("{other:?}"),
    }
}
