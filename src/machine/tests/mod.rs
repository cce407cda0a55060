//! Tests of the pure machine: tables by hand, a simulated world, and stories to read.

// The fuzzer uses the world and what befalls it.
#![cfg_attr(fuzzing, allow(dead_code, unused_imports))]

mod absence;
mod ailing;
mod change;
mod command;
mod cramped;
mod crash;
mod culprit;
mod damaged;
mod death;
mod diagnosis;
mod explore;
#[cfg(test)]
mod flapping;
#[cfg(fuzzing)]
pub mod fuzz;
mod give_up;
mod held;
mod in_memory;
mod jails;
mod keep;
mod ladder;
mod leaving;
mod memory;
mod mend;
mod pause;
mod plan;
mod protection;
mod restart;
mod retries;
mod rungs;
#[cfg(test)]
mod simulation;
mod snapshot;
mod stock;
#[cfg(test)]
mod stories;
mod successor;
mod trouble;
mod words;
mod world;
#[cfg(test)]
mod year;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::report::{Kind, Report};
use super::*;

pub(super) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Drives one machine. Background saves are answered by themselves; looks are not shown in
/// [`Rig::does`].
pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) now: MonoTime,
    /// What was asked for and is not yet answered, the last one last.
    pub(super) asked: Vec<(ActionId, Effect)>,
    pub(super) told: Vec<Report>,
    pub(super) ended: Vec<IncidentView>,
    pub(super) answers: Vec<Answer>,
    pub(super) kept: Memory,
    words: Vec<String>,
    /// What is found out about a start that failed; not shown.
    pub(super) verdict: Verdict,
    /// A save in the background fails with this.
    pub(super) no_room: Option<&'static str>,
    /// Keeping a good config is answered by itself, and not shown.
    pub(super) keeps: bool,
}

impl Rig {
    pub(super) fn with(memory: Memory) -> Self {
        let (machine, actions) = Machine::new(Policy::default(), names(), memory.clone(), 0);
        let mut rig = Self {
            machine,
            now: MonoTime::START,
            asked: Vec::new(),
            told: Vec::new(),
            ended: Vec::new(),
            answers: Vec::new(),
            kept: memory,
            words: Vec::new(),
            verdict: Verdict::default(),
            no_room: None,
            keeps: true,
        };
        rig.absorb(actions);
        rig
    }

    /// A machine that has taken stock.
    pub(super) fn stock(memory: Memory, config: Reading, sight: Sight) -> Self {
        let mut rig = Self::with(memory);
        rig.reads(config).sees(sight);
        rig
    }

    /// Process 7 runs these jails, and the disk holds version 1 of each.
    pub(super) fn healthy(jails: &[&str]) -> Self {
        let mut rig = Self::stock(Memory::default(), config(jails), answers(jails));
        rig.does("read-afresh ready Supervising");
        rig
    }

    pub(super) fn event(&mut self, event: Event) -> &mut Self {
        let actions = self.machine.handle_event(self.now, event);
        self.absorb(actions);
        self
    }

    fn absorb(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run(id, Effect::Save(memory)) if self.machine.saving == Some(id) => {
                    let why = self.no_room.map(str::to_owned);
                    if why.is_none() {
                        self.kept = *memory;
                    }
                    self.event(done(id, Outcome::Effect(why.map_or(Ok(()), Err))));
                }
                Action::Run(id, Effect::FindCulprit) => {
                    let verdict = self.verdict.clone();
                    self.event(done(id, Outcome::Verdict(verdict)));
                }
                Action::Run(id, Effect::Keep { .. }) if self.keeps => {
                    self.event(done(id, Outcome::Effect(Ok(()))));
                }
                Action::Run(id, effect) => {
                    self.assert_intended(&effect);
                    if !matches!(effect, Effect::Look { .. }) {
                        self.words.push(word(&effect));
                    }
                    if let Effect::Save(memory) = &effect {
                        self.kept = (**memory).clone();
                    }
                    self.asked.push((id, effect));
                }
                Action::Report(report) => {
                    self.words.push(format!("{:?}", report.kind));
                    words::assert_explained(&report);
                    self.told.push(report);
                }
                Action::Answer(_, answer) => self.answers.push(answer),
                Action::Record(incident) => self.ended.push(incident),
                Action::Ready => self.words.push("ready".into()),
                Action::Exit => self.words.push("exit".into()),
            }
        }
    }

    /// What is done to the config is on disk before it is begun.
    #[track_caller]
    fn assert_intended(&self, effect: &Effect) {
        let what = match effect {
            Effect::WriteRollback { jails, .. } => What::Disable(jails.clone()),
            Effect::PutBack { files, .. } => What::PutBack(files.clone()),
            Effect::KeepInMemory { .. } => What::InMemory,
            Effect::SetAside => What::Aside,
            _ => return,
        };
        if self.no_room.is_some() {
            return;
        }
        let intended = self.kept.intent.as_ref().map(|intent| &intent.what);
        assert_eq!(intended, Some(&what));
    }

    /// What was asked for and told since the last call: `read stop TERM:7 DaemonDown …`.
    #[track_caller]
    pub(super) fn does(&mut self, expected: &str) -> &mut Self {
        let words = std::mem::take(&mut self.words).join(" ");
        assert_eq!(words, expected, "in state {:?}", self.machine.state);
        self
    }

    #[track_caller]
    pub(super) fn is(&mut self, state: &str) -> &mut Self {
        assert_eq!(self.machine.snapshot().state, state);
        assert!(STATES.contains(&state), "{state}");
        self
    }

    /// Lets one deadline pass.
    #[track_caller]
    pub(super) fn next_deadline(&mut self) {
        let Some(due) = self.machine.poll_timeout() else {
            panic!("no deadline in {:?}", self.machine.state);
        };
        self.now = self.now.max(due);
        self.event(Event::Timeout);
    }

    /// Lets time pass; nothing is answered meanwhile.
    #[track_caller]
    pub(super) fn pass(&mut self, duration: Duration) -> &mut Self {
        let end = self.now + duration;
        for _ in 0..1000 {
            match self.machine.poll_timeout() {
                Some(due) if due <= end => self.next_deadline(),
                _ => {
                    self.now = end;
                    return self;
                }
            }
        }
        panic!("spins in {:?}", self.machine.state);
    }

    /// Answers the next look, waiting for it to begin if none is under way.
    #[track_caller]
    pub(super) fn sees(&mut self, sight: Sight) -> &mut Self {
        for _ in 0..100 {
            if let Some(id) = self.machine.look {
                self.asked.retain(|(i, _)| *i != id);
                return self.event(done(id, Outcome::Seen(sight)));
            }
            self.next_deadline();
        }
        panic!("never looks in {:?}", self.machine.state);
    }

    #[track_caller]
    pub(super) fn sees_for(&mut self, looks: u32, sight: &Sight) -> &mut Self {
        for _ in 0..looks {
            self.sees(sight.clone());
        }
        self
    }

    /// Sees the same until something is done or told.
    #[track_caller]
    pub(super) fn keeps_seeing(&mut self, sight: &Sight) -> &mut Self {
        let before = self.words.len();
        for _ in 0..400 {
            self.sees(sight.clone());
            if self.words.len() > before {
                return self;
            }
        }
        panic!("nothing comes of it in {:?}", self.machine.state);
    }

    /// Answers the next reading of the config, waiting for it to begin if none is under way.
    #[track_caller]
    pub(super) fn reads_as(&mut self, read: ConfigRead) -> &mut Self {
        for _ in 0..100 {
            let reading = |(_, e): &(ActionId, Effect)| matches!(e, Effect::ReadConfig { .. });
            if let Some(at) = self.asked.iter().position(reading) {
                let (id, _) = self.asked.remove(at);
                return self.event(done(id, Outcome::Config(read)));
            }
            self.next_deadline();
        }
        panic!("never reads in {:?}", self.machine.state);
    }

    #[track_caller]
    pub(super) fn reads(&mut self, reading: Reading) -> &mut Self {
        self.reads_as(ConfigRead::Read(reading.into()))
    }

    /// Answers the latest action other than a look.
    #[track_caller]
    pub(super) fn gets(&mut self, outcome: Outcome) -> &mut Self {
        let at = self
            .asked
            .iter()
            .rposition(|(_, e)| !matches!(e, Effect::Look { .. }))
            .expect("something to answer");
        let (id, _) = self.asked.remove(at);
        self.event(done(id, outcome))
    }

    #[track_caller]
    pub(super) fn ok(&mut self) -> &mut Self {
        self.gets(Outcome::Effect(Ok(())))
    }

    #[track_caller]
    pub(super) fn fails(&mut self, why: &str) -> &mut Self {
        self.gets(Outcome::Effect(Err(why.into())))
    }

    /// The start command was given, and systemd says that the process exited with 255.
    #[track_caller]
    pub(super) fn does_not_start(&mut self) -> &mut Self {
        self.ok().sees(absent(unit_failed(255)))
    }

    #[track_caller]
    pub(super) fn applied(&mut self) -> &mut Self {
        self.gets(Outcome::Applied(Applied::default()))
    }

    pub(super) fn touched(&mut self) -> &mut Self {
        self.event(Event::Observed(Observed::ConfigTouched))
    }

    pub(super) fn exits(&mut self, pid: u32) -> &mut Self {
        self.event(Event::Observed(Observed::DaemonExited { pid }))
    }

    /// The config changed, and was read as this.
    #[track_caller]
    pub(super) fn edits(&mut self, reading: Reading) -> &mut Self {
        self.touched().reads(reading)
    }

    pub(super) fn expected(&self) -> Vec<String> {
        self.machine.expected().into_iter().collect()
    }

    pub(super) fn told(&self, kind: Kind) -> usize {
        self.told.iter().filter(|r| r.kind == kind).count()
    }
}

pub(super) fn names() -> Names {
    Names {
        config_dir: "/etc/fail2ban".into(),
        unit: Some("fail2ban.service".into()),
        ..Names::default()
    }
}

pub(super) fn done(id: ActionId, outcome: Outcome) -> Event {
    Event::Done { id, outcome }
}

/// An effect in a word or two.
pub(super) fn word(effect: &Effect) -> String {
    match effect {
        Effect::Look { .. } => "look".into(),
        Effect::ReadConfig { known: Some(_) } => "read".into(),
        Effect::ReadConfig { known: None } => "read-afresh".into(),
        Effect::Apply { server, jails } => {
            let jails = jails.iter().map(|(name, change)| match change {
                Change::Load(_) => format!("+{name}"),
                Change::Restart(_) => format!("*{name}"),
                Change::Unload => format!("-{name}"),
            });
            let server = server.iter().map(|_| "server".to_owned());
            format!(
                "apply({})",
                server.chain(jails).collect::<Vec<_>>().join(" ")
            )
        }
        Effect::AskStop => "ask-stop".into(),
        Effect::Signal { pid, signal } => match signal {
            Signal::Continue => format!("CONT:{pid}"),
            Signal::Terminate => format!("TERM:{pid}"),
            Signal::Kill => format!("KILL:{pid}"),
        },
        Effect::Sample { pid } => format!("sample:{pid}"),
        Effect::EndCommands { jail, all, .. } => {
            format!("end{}({jail})", if *all { "-all" } else { "" })
        }
        Effect::Diagnose { pid } => format!("diagnose:{pid}"),
        Effect::Start { .. } => "start".into(),
        Effect::FindCulprit => "find-culprit".into(),
        Effect::WriteRollback { jails, .. } => format!("rollback({})", jails.join(" ")),
        Effect::KeepInMemory { .. } => "in-memory".into(),
        Effect::SetAside => "aside".into(),
        Effect::FindAside => "find-aside".into(),
        Effect::TakeBack {
            jails,
            replaced,
            in_memory,
        } => {
            let database = in_memory.then_some("dbfile");
            let words = jails.iter().chain(replaced).map(String::as_str);
            let words = words.chain(database);
            format!("undo({})", words.collect::<Vec<_>>().join(" "))
        }
        Effect::PutBack { files, .. } => {
            let names = files.iter().filter_map(|file| file.file_name()?.to_str());
            format!("put-back({})", names.collect::<Vec<_>>().join(" "))
        }
        Effect::FindPutBack { .. } => "find-put-back".into(),
        Effect::Keep { .. } => "keep".into(),
        Effect::TryMend { jails } => {
            let jails: Vec<_> = jails.iter().map(String::as_str).collect();
            format!("try({})", jails.join(" "))
        }
        Effect::EndPause => "end-pause".into(),
        Effect::Save(_) => "save".into(),
    }
}

pub(super) fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

// ---- sights

pub(super) fn answers(jails: &[&str]) -> Sight {
    answers_as(7, jails)
}

pub(super) fn answers_as(pid: u32, jails: &[&str]) -> Sight {
    with_dead(pid, jails, &[])
}

pub(super) fn with_dead(pid: u32, jails: &[&str], dead: &[&str]) -> Sight {
    Sight {
        daemon: Daemon::Answers {
            pid,
            ping: ms(1),
            listed: set(jails),
            dead: set(dead),
        },
        unit: None,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    }
}

pub(super) fn silent(motion: Motion) -> Sight {
    silent_as(7, motion)
}

pub(super) fn silent_as(pid: u32, motion: Motion) -> Sight {
    Sight {
        daemon: Daemon::Silent {
            pid: Some(pid),
            motion,
        },
        unit: None,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    }
}

pub(super) fn unaskable() -> Sight {
    Sight {
        daemon: Daemon::Absent {
            process: Some(7),
            traces: true,
            why: "no such file".into(),
        },
        unit: None,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    }
}

pub(super) fn absent(unit: Unit) -> Sight {
    gone(Some(unit), false)
}

pub(super) fn gone(unit: Option<Unit>, traces: bool) -> Sight {
    Sight {
        daemon: Daemon::Absent {
            process: None,
            traces,
            why: "connection refused".into(),
        },
        unit,
        revived: false,
        packages: false,
        idle: false,
        health: Health::default(),
    }
}

// ---- units, as systemd 252 shows Debian's

pub(super) fn unit(
    active: ActiveState,
    result: &str,
    main_code: ExitKind,
    main_status: i32,
) -> Unit {
    Unit {
        load: "loaded".into(),
        active,
        sub: String::new(),
        result: result.into(),
        main_code,
        main_status,
        job: false,
        restarts: false,
        timed_out: false,
        stop_left: None,
        disabled: false,
    }
}

pub(super) fn unit_stopped() -> Unit {
    unit(ActiveState::Inactive, "success", ExitKind::Exited, 0)
}

pub(super) fn unit_failed(status: i32) -> Unit {
    unit(ActiveState::Failed, "exit-code", ExitKind::Exited, status)
}

pub(super) fn unit_killed() -> Unit {
    unit(ActiveState::Failed, "signal", ExitKind::Killed, 9)
}

pub(super) fn unit_restarting() -> Unit {
    unit(ActiveState::Activating, "signal", ExitKind::Killed, 9)
}

pub(super) fn with_job(mut unit: Unit) -> Unit {
    unit.job = true;
    unit
}

// ---- readings

/// Version 1 of each jail.
pub(super) fn config(jails: &[&str]) -> Reading {
    let versions: Vec<_> = jails.iter().map(|j| (*j, 1)).collect();
    config_of_versions(&versions)
}

pub(super) fn config_of_versions(jails: &[(&str, u128)]) -> Reading {
    let plan = Plan {
        server: 1,
        jails: jails
            .iter()
            .map(|(name, digest)| {
                let jail = JailPlan {
                    digest: *digest,
                    actions: 1,
                };
                ((*name).to_owned(), jail)
            })
            .collect(),
    };
    Reading {
        plan: Some(plan),
        ..Reading::default()
    }
    .sealed()
}

pub(super) fn finding(jail: Option<&str>, fatal: bool) -> Finding {
    Finding {
        jail: jail.map(str::to_owned),
        file: Some("/etc/fail2ban/jail.d/x.conf".into()),
        // Each jail has a line of its own.
        line: Some(jail.map_or(3, |jail| 3 + u32::from(jail.as_bytes()[0].abs_diff(b'm')))),
        words: format!("{} is faulty", jail.unwrap_or("the file")),
        fatal,
    }
}

impl Reading {
    fn sealed(mut self) -> Self {
        let mut hasher = DefaultHasher::new();
        let jails: Vec<_> = self
            .plan
            .iter()
            .flat_map(|p| p.jails.iter().map(|(n, j)| (n, j.digest, j.actions)))
            .collect();
        (jails, &self.findings, &self.rollbacks).hash(&mut hasher);
        self.fingerprint = hasher.finish().into();
        self
    }

    pub(super) fn fault(mut self, jail: &str, fatal: bool) -> Self {
        self.findings.push(finding(Some(jail), fatal));
        self.sealed()
    }

    pub(super) fn unreadable(mut self) -> Self {
        self.plan = None;
        self.findings.push(finding(None, true));
        self.sealed()
    }

    /// These jails are disabled by rollback files of ours.
    pub(super) fn rolled_back(mut self, jails: &[&str]) -> Self {
        self.rollbacks = set(jails);
        if let Some(plan) = &mut self.plan {
            plan.jails.retain(|n, _| !jails.contains(&n.as_str()));
        }
        self.sealed()
    }
}
