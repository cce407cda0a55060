//! One machine, driven by hand: what it is told, and what it does.

use super::*;

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
    pub(super) words: Vec<String>,
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
        rig.finds(&config.rollbacks).reads(config).sees(sight);
        rig
    }

    /// Answers the search for rollbacks, if there is one.
    pub(super) fn finds(&mut self, rollbacks: &BTreeSet<String>) -> &mut Self {
        let search = |(_, e): &(ActionId, Effect)| *e == Effect::FindRollbacks;
        if let Some(at) = self.asked.iter().position(search) {
            let (id, _) = self.asked.remove(at);
            self.event(done(id, Outcome::Rollbacks(Ok(rollbacks.clone()))));
        }
        self
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
