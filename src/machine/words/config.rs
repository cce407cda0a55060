//! The words on config changes and on rollbacks.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::event::{Finding, PutBack};
use super::super::intent::Intent;
use super::super::ladder::What;
use super::super::plan::{Change, Changes};
use super::super::report::Kind;
use super::super::roll_back::Guesses;
use super::super::{Machine, State};
use super::{NAMES_SHOWN, fault, names, protecting};

impl Machine {
    /// What a person types to undo rollbacks.
    pub(super) fn undo_rollbacks(&self, jails: &BTreeSet<String>) -> String {
        let names: Vec<_> = match jails.len() {
            0..=NAMES_SHOWN => jails.iter().map(String::as_str).collect(),
            _ => vec!["--all"],
        };
        format!("{} rollback undo {}", self.names.called, names.join(" "))
    }

    /// The file that disables a jail.
    fn rollback_file(&self, jail: &str) -> PathBuf {
        let name = format!("zzz-jailwarden-{jail}.local");
        self.names.config_dir.join("jail.d").join(name)
    }

    pub(in super::super) fn say_applied(
        &mut self,
        changes: &Changes,
        server: bool,
        files: &[PathBuf],
    ) {
        let by = |wanted: fn(&Change) -> bool| {
            let set: BTreeSet<_> = changes
                .iter()
                .filter(|(_, c)| wanted(c))
                .map(|(n, _)| n.clone())
                .collect();
            set
        };
        let groups = [
            ("loaded", by(|c| matches!(c, Change::Load(_)))),
            ("restarted", by(|c| matches!(c, Change::Restart(_)))),
            ("stopped", by(|c| matches!(c, Change::Unload))),
        ];
        let mut parts: Vec<_> = groups
            .into_iter()
            .filter(|(_, set)| !set.is_empty())
            .map(|(verb, set)| format!("{verb} {}", names(&set)))
            .collect();
        if server {
            parts.push("server settings set".to_owned());
        }
        let alive = protecting(self.expected().len());
        let reading = self.disk.reading.as_ref();
        let unproven = reading
            .and_then(|reading| reading.unproven.as_ref())
            .map(|why| format!("; UNPROVEN, as it could not be tried before: {why}"))
            .unwrap_or_default();
        let mut report = self.report(
            Kind::ChangeApplied,
            format!(
                "config change applied: {}; {alive}{unproven}",
                parts.join(", ")
            ),
        );
        report.jails = changes.keys().cloned().collect();
        report.file = files.first().cloned();
        self.say(report);
    }

    pub(in super::super) fn say_refused(&mut self) {
        let Some(refusal) = &self.refusal else { return };
        let Some(first) = refusal.findings.first().cloned() else {
            return;
        };
        let jails = refusal.findings.iter();
        let jails = jails.filter_map(|f| f.jail.clone()).collect();
        let more = match refusal.findings.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let what = if self.daemon.ping.is_some() {
            "a change of the config would fail and is not applied; every jail keeps what it has: "
        } else {
            "the config on disk keeps fail2ban from running all its jails: "
        };
        let mut report = self.report(
            Kind::ChangeRefused,
            format!(
                "{what}{}{more}. Mend it and save: it is checked again at once",
                fault(&first)
            ),
        );
        report.jails = jails;
        report.file = first.file;
        report.line = first.line;
        report.reason = Some(first.words);
        self.say(report);
    }

    pub(in super::super) fn say_misread(&mut self, misread: &[Finding]) {
        let Some(first) = misread.first() else { return };
        let more = match misread.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more: {} check)", self.names.called),
        };
        let mut report = self.report(
            Kind::JailFaulty,
            format!(
                "{}{more}: fail2ban takes every word but true, yes, on and 1 for false. Write true or false \
                 there; a comment needs a line of its own",
                fault(first)
            ),
        );
        report.jails = misread.iter().filter_map(|f| f.jail.clone()).collect();
        report.file.clone_from(&first.file);
        report.line = first.line;
        report.reason = Some(first.words.clone());
        self.say(report);
    }

    pub(in super::super) fn say_check_failed(&mut self, why: &str) {
        let mut report = self.report(
            Kind::ChangeRefused,
            format!(
                "a change of the config could not be checked, so it is not applied: {why}. It is \
                 tried again by itself; to see more: {} -d",
                self.names.client
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_hindered(&mut self, why: &str) {
        let then = if self.daemon.damaged.is_some() {
            "It is restarted with a new one once that is safe: no faulty change waits, and it can be started again"
        } else {
            "It is tried again by itself"
        };
        let mut report = self.report(
            Kind::ChangeRefused,
            format!(
                "fail2ban can take no change now, and no jail is to blame for that: {why}. {then}"
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_withdrawn(&mut self, before: &[Finding]) {
        let what = before.first().map(fault).unwrap_or_default();
        let more = match before.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let report = self.report(
            Kind::ChangeWithdrawn,
            format!("what waited on disk is mended or withdrawn: {what}{more}"),
        );
        self.say(report);
    }

    pub(in super::super) fn reason_to_roll_back(&self, jails: &[String]) -> String {
        if let Some(jail) = self.asked_to_roll_back()
            && jails.iter().any(|it| it == jail)
        {
            return "asked for by hand".to_owned();
        }
        let found = self.refusal.iter().flat_map(|r| &r.findings);
        let words: Vec<_> = found
            .filter(|f| f.jail.as_ref().is_some_and(|j| jails.contains(j)))
            .map(|f| f.words.as_str())
            .collect();
        if !words.is_empty() {
            return words.join("; ");
        }
        match &self.state {
            State::Restarting(restart) if restart.burning.as_ref() == jails.first() => {
                "its filter made fail2ban hang: an expression of it runs for ever on a line of its \
                 log; see fail2ban-regex"
                    .to_owned()
            }
            State::Restarting(restart) if !restart.verdict.evidence.is_empty() => {
                format!("fail2ban did not come back: {}", restart.verdict.evidence)
            }
            State::Restarting(_) => {
                "fail2ban did not come back, and this jail was the last to change".to_owned()
            }
            _ => "it does not run, though fail2ban loaded it".to_owned(),
        }
    }

    pub(in super::super) fn say_rolled_back(&mut self, jails: &[String], intent: &Intent) {
        let set: BTreeSet<_> = jails.iter().cloned().collect();
        let reason = &intent.reason;
        let undo = self.undo_rollbacks(&set);
        let message = if intent.asked {
            format!(
                "{} disabled, as was asked for. It stays so until its config changes; to have it \
                 back at once: {undo}",
                names(&set),
            )
        } else {
            format!(
                "{} disabled so that the others can run: {reason}. It comes back by itself once \
                 that is mended; to have it back at once: {undo}",
                names(&set),
            )
        };
        let mut report = self.report(Kind::RolledBack, message);
        report.file = jails.first().map(|jail| self.rollback_file(jail));
        report.jails = jails.to_vec();
        report.reason = Some(reason.clone());
        self.say(report);
    }

    pub(in super::super) fn say_rollback_failed(&mut self, jails: &[String], why: &str) {
        let set: BTreeSet<_> = jails.iter().cloned().collect();
        let mut report = self.report(
            Kind::RollbackFailed,
            format!("{} could not be disabled: {why}", names(&set)),
        );
        report.jails = jails.to_vec();
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_undone(&mut self, undone: &BTreeSet<String>) {
        let mut report = self.report(
            Kind::RollbackUndone,
            format!(
                "the rollback of {} was removed; its config counts again",
                names(undone)
            ),
        );
        report.jails = undone.iter().cloned().collect();
        self.say(report);
    }

    pub(in super::super) fn say_taken_back(&mut self, guesses: &Guesses) {
        let mut report = self.report(
            Kind::RollbackUndone,
            format!("{} did not help, so it is taken back", guessed(guesses)),
        );
        report.jails = guesses.jails.iter().cloned().collect();
        self.say(report);
    }

    pub(in super::super) fn say_not_taken_back(&mut self, guesses: &Guesses, why: &str) {
        let mut report = self.report(
            Kind::RollbackFailed,
            format!(
                "{} did not help, but could not be taken back: {why}. Once that is mended: {}",
                guessed(guesses),
                self.take_back_by_hand(guesses),
            ),
        );
        report.jails = guesses.jails.iter().cloned().collect();
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    /// What a person types to take guesses back: the last first.
    fn take_back_by_hand(&self, guesses: &Guesses) -> String {
        let jails = (!guesses.jails.is_empty()).then(|| self.undo_rollbacks(&guesses.jails));
        let database = guesses.in_memory.then(|| self.undo_in_memory());
        let files = guesses.replaced.iter().rev();
        let files = files.map(|name| format!("{} restore {name}", self.names.called));
        jails
            .into_iter()
            .chain(database)
            .chain(files)
            .collect::<Vec<_>>()
            .join("; ")
    }

    pub(in super::super) fn reason_to_put_back(&self) -> String {
        let found = self.refusal.iter().flat_map(|r| &r.findings);
        let mut fatal = found.filter(|f| f.fatal);
        let general = fatal.clone().find(|f| f.jail.is_none());
        match general.or_else(|| fatal.next()) {
            Some(finding) => fault(finding),
            None => "fail2ban did not come back, and the config has changed since it last ran well"
                .to_owned(),
        }
    }

    pub(in super::super) fn say_put_back(&mut self, done: &PutBack, reason: &str) {
        let shown: Vec<_> = done.files.iter().take(NAMES_SHOWN).collect();
        let shown: Vec<_> = shown.iter().map(|f| f.display().to_string()).collect();
        let more = match done.files.len().saturating_sub(NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let undo = match &done.replaced {
            Some(name) if done.folder => format!(
                " If you moved the folder away and want it back, take this one away first, by: {} restore \
                 {name} (mv would put yours inside of one that is there).",
                self.names.called
            ),
            Some(name) => format!(
                " What stood there is kept; once it is mended, bring it back with: {} restore {name}",
                self.names.called
            ),
            None => String::new(),
        };
        let what = if done.folder {
            let folder = self.names.config_dir.display();
            format!("{folder} was gone as a whole, and its last good content")
        } else {
            format!("the last good content of {}{more}", shown.join(", "))
        };
        let mut report = self.report(
            Kind::FilesPutBack,
            format!("{what} was put back so that fail2ban can run: {reason}.{undo}"),
        );
        report.file = done.files.first().cloned();
        report.reason = Some(reason.to_owned());
        self.say(report);
    }

    /// jailwarden was killed while it did this, and cannot tell how far that went.
    pub(in super::super) fn say_not_found_out(&mut self, what: &What, why: &str) {
        let called = &self.names.called;
        let (message, jails) = match what {
            What::Disable(jails) => {
                let set: BTreeSet<_> = jails.iter().cloned().collect();
                let message = format!(
                    "jailwarden was killed while it disabled {}, and cannot tell whether that was done: {why}. \
                     `{called} rollback list` shows what is disabled now",
                    names(&set)
                );
                (message, jails.clone())
            }
            What::PutBack(_) => {
                let message = format!(
                    "jailwarden was killed while it put the last good config back, and cannot tell how far \
                     that went: {why}. `{called} history` lists what was replaced",
                );
                (message, Vec::new())
            }
            What::InMemory => return,
            What::Aside => return self.say_not_set_aside(why),
        };
        let mut report = self.report(Kind::RollbackFailed, message);
        report.jails = jails;
        report.reason = Some(why.to_owned());
        self.say(report);
    }

    pub(in super::super) fn say_rung_failed(&mut self, what: &What, why: &str) {
        match what {
            What::Disable(jails) => self.say_rollback_failed(jails, why),
            What::PutBack(_) => {
                let mut report = self.report(
                    Kind::RollbackFailed,
                    format!("the last good config could not be put back: {why}"),
                );
                report.reason = Some(why.to_owned());
                self.say(report);
            }
            What::InMemory => self.say_in_memory_failed(why),
            What::Aside => self.say_not_set_aside(why),
        }
    }

    /// `by` is what enables the jail, if that is known.
    pub(in super::super) fn say_overruled(&mut self, jail: &str, by: Option<&(PathBuf, u32)>) {
        let (what, file, line) = match by {
            Some((file, line)) => (
                format!("{}:{line}", file.display()),
                Some(file.clone()),
                Some(*line),
            ),
            None => ("fail2ban".to_owned(), None, None),
        };
        let why = format!("{what} enables it all the same");
        let mut report = self.report(
            Kind::RollbackFailed,
            format!(
                "{jail} could not be disabled: {why}; to have it disabled, remove `enabled` there"
            ),
        );
        report.jails = vec![jail.to_owned()];
        report.file = file;
        report.line = line;
        report.reason = Some(why);
        self.say(report);
    }

    /// `by` is what enables the jail, which fail2ban leaves out for what else the rollback says.
    pub(in super::super) fn say_left_out(&mut self, jail: &str, by: &(PathBuf, u32)) {
        let (file, line) = by;
        let why = format!("{}:{line} enables it all the same", file.display());
        let mut report = self.report(
            Kind::RolledBack,
            format!(
                "{jail} stays disabled by its rollback, though {why}; remove `enabled` there, or fail2ban \
                 complains of the filter that the rollback names"
            ),
        );
        report.jails = vec![jail.to_owned()];
        report.file = Some(file.clone());
        report.line = Some(*line);
        report.reason = Some(why);
        self.say(report);
    }

    pub(in super::super) fn say_not_kept(&mut self, why: &str) {
        let mut report = self.report(
            Kind::StateNotKept,
            format!(
                "what jailwarden must remember could not be written: {why}; it goes on without"
            ),
        );
        report.reason = Some(why.to_owned());
        self.say(report);
    }
}

/// What was done on a guess, as the beginning of a sentence.
fn guessed(guesses: &Guesses) -> String {
    let disabled =
        (!guesses.jails.is_empty()).then(|| format!("disabling {}", names(&guesses.jails)));
    let files = (!guesses.replaced.is_empty()).then_some("putting the last good config back");
    let database = guesses
        .in_memory
        .then_some("keeping the database in memory");
    let all = disabled.as_deref().into_iter().chain(files).chain(database);
    all.collect::<Vec<_>>().join(" and ")
}
