//! Tests of the pure machine: tables by hand, a simulated world, and stories to read.

// The fuzzer uses the world and what befalls it.
#![cfg_attr(fuzzing, allow(dead_code, unused_imports))]

mod absence;
mod ailing;
mod asked_restart;
mod begun;
mod builders;
mod change;
mod command;
mod cramped;
mod crash;
mod culprit;
mod damaged;
mod death;
mod diagnosis;
mod doubt;
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
mod probation;
mod protection;
mod restart;
mod retries;
mod rig;
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
use builders::*;
use rig::Rig;

pub(super) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
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
        Effect::FindRollbacks => "find-rollbacks".into(),
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
