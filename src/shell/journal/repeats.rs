//! No alert storms: a fact that holds on is counted, not said again and again.

use std::path::PathBuf;
use std::time::Duration;

use crate::machine::report::{Kind, Report};

/// How long a fact that was said is only counted.
const QUIET: Duration = Duration::from_secs(60 * 60);
/// How many facts are kept in mind.
const FACTS: usize = 64;

/// What is to become of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new: say it.
    Say,
    /// Say it, and that it was true so many times more since it was last said.
    SayWithCount {
        /// How often it was hushed.
        times: u32,
        /// How long ago it was last said.
        within: Duration,
    },
    /// It was said lately: it is counted.
    Hush,
}

impl Verdict {
    /// `report` as it is to be said, or nothing.
    #[must_use]
    pub fn apply(self, mut report: Report) -> Option<Report> {
        match self {
            Self::Say => Some(report),
            Self::Hush => None,
            Self::SayWithCount { times, within } => {
                let minutes = within.as_secs() / 60;
                let time = if times == 1 { "time" } else { "times" };
                let more = format!(" ({times} {time} more in the last {minutes} min)");
                report.message.push_str(&more);
                Some(report)
            }
        }
    }
}

/// The facts said lately; see [`Repeats::admit`].
#[derive(Debug, Default)]
pub struct Repeats {
    said: Vec<Said>,
}

#[derive(Debug)]
struct Said {
    fact: Fact,
    at: Duration,
    hushed: u32,
}

/// What makes two reports the same: neither the incident nor the wording.
#[derive(Debug, PartialEq, Eq)]
struct Fact {
    kind: Kind,
    jails: Vec<String>,
    file: Option<PathBuf>,
    line: Option<u32>,
    reason: Option<String>,
}

impl Repeats {
    /// Judges `report` at `now`, a duration since any fixed point.
    ///
    /// The same fact (kind, jails, file, line and reason) is said once an hour, as long as it holds
    /// on: once an incident is over every fact is news, and after a mend the same mistake is. A report
    /// that answers what a person just did is always said. Of more than 64 facts the one said
    /// longest ago is forgotten, its count with it.
    pub fn admit(&mut self, report: &Report, now: Duration) -> Verdict {
        match report.kind {
            Kind::AllClear | Kind::Standby | Kind::BackByHand => self.said.clear(),
            Kind::ChangeWithdrawn => self.said.retain(|s| s.fact.kind != Kind::ChangeRefused),
            _ => {}
        }
        if answers_a_person(report.kind) {
            return Verdict::Say;
        }
        let fact = Fact {
            kind: report.kind,
            jails: report.jails.clone(),
            file: report.file.clone(),
            line: report.line,
            reason: report.reason.clone(),
        };
        let Some(at) = self.said.iter().position(|said| said.fact == fact) else {
            self.remember(fact, now);
            return Verdict::Say;
        };
        let said = &mut self.said[at];
        let within = now.saturating_sub(said.at);
        if within < QUIET {
            said.hushed = said.hushed.saturating_add(1);
            return Verdict::Hush;
        }
        let times = said.hushed;
        self.said.remove(at);
        self.remember(fact, now);
        match times {
            0 => Verdict::Say,
            times => Verdict::SayWithCount { times, within },
        }
    }

    /// The list stays in the order in which the facts were said.
    fn remember(&mut self, fact: Fact, at: Duration) {
        if self.said.len() == FACTS {
            self.said.remove(0);
        }
        self.said.push(Said {
            fact,
            at,
            hushed: 0,
        });
    }
}

/// Whoever reloads the settings, starts or stops something wants an answer each time; and such a
/// report cannot storm, because a person's act is behind each.
fn answers_a_person(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Supervising
            | Kind::AllClear
            | Kind::Ending
            | Kind::ChangeApplied
            | Kind::ChangeWithdrawn
            | Kind::RollbackUndone
            | Kind::Standby
            | Kind::BackByHand
            | Kind::JailHeld
            | Kind::SettingsReloaded
            | Kind::SettingsRefused
    )
}
