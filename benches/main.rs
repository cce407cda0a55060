//! The tables of docs/performance.md, each by its name or all of them: one program, since each more would
//! compile the shared support and link the crate again.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench may fail"
)]

mod api;
mod change;
mod check;
#[expect(dead_code, reason = "who is compared is not run here as there")]
#[path = "../tests/faults/contestants.rs"]
mod contestants;
mod idle;
mod memory;
mod plots;
mod probe;
mod reaction;
mod ready;
mod recovery;
mod rest;
mod rivals;
mod stream;
mod support;

use std::process::ExitCode;

use support::Plan;

/// Prints its tables; whether each limit was held.
type Bench = fn(Plan) -> bool;

const BENCHES: [(&str, Bench); 13] = [
    ("check", check::run),
    ("change", change::run),
    ("recovery", recovery::run),
    ("reaction", reaction::run),
    ("rivals", rivals::run),
    ("ready", ready::run),
    ("probe", probe::run),
    ("memory", memory::run),
    ("api", api::run),
    ("idle", idle::run),
    ("rest", rest::run),
    ("stream", stream::run),
    ("plots", plots::run),
];

fn main() -> ExitCode {
    let plan = Plan::from_env();
    // Cargo adds options of its own.
    let names: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_known = |name: &String| BENCHES.iter().any(|(known, _)| known == name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        eprintln!("no bench {unknown}; there are: {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let wanted = BENCHES.iter().filter(|(name, _)| wanted(name));
    // All of them run, whatever the first ones show.
    let held: Vec<_> = wanted.map(|(_, run)| run(plan)).collect();
    if held.into_iter().all(|held| held) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
