//! Whether the host is protected, in a line.

use super::words::{self, Tone};
use super::{Condition, Jail, Protection, Status};

/// How many jails are named in a row.
const NAMED: usize = 5;

/// Whether the host is protected, in a word and in what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Headline {
    pub(crate) tone: Tone,
    pub(crate) word: &'static str,
    pub(crate) rest: String,
}

/// Whether the host is protected, and if not what is missing.
pub(crate) fn headline(status: &Status) -> Headline {
    let (tone, word, rest) = match status.protection {
        Protection::Full => (Tone::Good, "PROTECTED", full(status)),
        Protection::Partial => (Tone::Warn, "PARTLY", partly(status)),
        Protection::None => (Tone::Bad, "NOT PROTECTED", not(status)),
        Protection::Unwanted => (
            Tone::Warn,
            "NOT PROTECTED",
            "fail2ban is stopped on purpose, and stays so until it is started".to_owned(),
        ),
        Protection::Unknown => (
            Tone::Warn,
            "NOT KNOWN YET",
            "it is being found out whether the jails protect".to_owned(),
        ),
    };
    let paused = match status.pause {
        Some(_) => "; jailwarden is paused",
        None => "",
    };
    let database = if status.daemon.in_memory {
        "; its database is in memory, as the file could not be written"
    } else {
        ""
    };
    Headline {
        tone,
        word,
        rest: format!("{rest}{database}{paused}"),
    }
}

fn full(status: &Status) -> String {
    let said = match named(status, Condition::Protects).as_slice() {
        [jail] => format!("the only jail, {jail}"),
        jails => format!("all {} jails", jails.len()),
    };
    let others = [Condition::Held, Condition::Waiting];
    let others = others.iter().filter_map(|it| said_of(status, *it));
    [said]
        .into_iter()
        .chain(others)
        .collect::<Vec<_>>()
        .join("; ")
}

fn partly(status: &Status) -> String {
    let all = status.jails.iter();
    // What is held is so by somebody's will, and what waits has never run.
    let should = all.filter(|jail| !matches!(jail.condition, Condition::Held | Condition::Waiting));
    let protects = named(status, Condition::Protects).len();
    let mut said = format!("{protects} of {} jails protect", should.count());
    for more in troubles(status) {
        said.push_str("; ");
        said.push_str(&more);
    }
    said
}

fn not(status: &Status) -> String {
    let left = left(status).unwrap_or_default();
    match status.state.as_str() {
        "restarting" | "rolling-back" => format!("fail2ban is being restarted{left}"),
        "gave-up" => format!("fail2ban is down, and every way back failed{left}"),
        _ if status.daemon.pid.is_none() => format!("fail2ban is down{left}"),
        _ if status.jails.is_empty() => "no jail is enabled".to_owned(),
        _ => troubles(status).join("; "),
    }
}

/// Until when something must have come, as `, 7s left` or `, tried again in 2m`.
pub(crate) fn left(status: &Status) -> Option<String> {
    let left = status.deadline?.time().duration_since(status.at.time());
    let left = words::span(left.unwrap_or_default());
    match status.state.as_str() {
        "restarting" | "rolling-back" | "reloading" => Some(format!(", {left} left")),
        "gave-up" => Some(format!(", tried again in {left}")),
        _ => None,
    }
}

fn troubles(status: &Status) -> Vec<String> {
    let conditions = [
        Condition::Dead,
        Condition::Lost,
        Condition::Ailing,
        Condition::RolledBack,
        Condition::Unknown,
        Condition::Held,
        Condition::Waiting,
    ];
    let said = conditions.iter().filter_map(|it| said_of(status, *it));
    said.collect()
}

/// `web is rolled back`, `mail and web are rolled back`; nothing where no jail is in that condition.
fn said_of(status: &Status, condition: Condition) -> Option<String> {
    let names = named(status, condition);
    let (is, are) = match condition {
        Condition::Protects => ("protects", "protect"),
        Condition::Unknown => ("is not known", "are not known"),
        Condition::Dead => ("is dead", "are dead"),
        Condition::Ailing => ("sees or does nothing", "see or do nothing"),
        Condition::Lost => ("could not be revived", "could not be revived"),
        Condition::Held => ("is stopped by hand", "are stopped by hand"),
        Condition::RolledBack => ("is rolled back", "are rolled back"),
        Condition::Waiting => ("waits on disk", "wait on disk"),
    };
    match names.as_slice() {
        [] => None,
        [jail] => Some(format!("{jail} {is}")),
        [few @ .., last] if names.len() <= NAMED => {
            Some(format!("{} and {last} {are}", few.join(", ")))
        }
        many => {
            let more = many.len() + 1 - NAMED;
            let few = many[..NAMED - 1].join(", ");
            Some(format!("{few} and {more} more {are}"))
        }
    }
}

fn named(status: &Status, condition: Condition) -> Vec<&str> {
    let jails = status.jails.iter();
    let here = jails.filter(|Jail { condition: it, .. }| *it == condition);
    here.map(|jail| jail.name.as_str()).collect()
}
