//! `jailwarden history`.

use std::io;
use std::process::ExitCode;

use clap::Args;

use super::{Place, exit, output};
use crate::history::{HistoryError, Store, human, json};

const AFTER_HELP: &str = "\
jailwarden keeps the config folder, and what fail2ban makes of it, once fail2ban was healthy with it \
for a minute: the last ten, a few MiB at most. Files that a restore replaced are listed too; they are \
kept until you remove them.

Exit codes: 0 listed, 2 wrong usage, 3 nothing is kept yet, 4 not permitted, 6 cannot be read, \
78 faulty settings.

Example: jailwarden history --json";

/// The arguments of `jailwarden history`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct HistoryArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Lists what is kept.
pub(super) fn history(args: &HistoryArgs) -> ExitCode {
    let settings = match args.place.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let store = Store::open(&settings.state_dir, &settings.called());
    let listed = store.list().and_then(|kept| Ok((kept, store.rejected()?)));
    let (kept, rejected) = match listed {
        Ok(listed) => listed,
        Err(error) => {
            output::complain(format_args!("could not list: {error}"));
            return ExitCode::from(code_of(&error));
        }
    };
    output::print(&if args.json {
        json::listing(&kept, &rejected)
    } else {
        human::listing(&kept, &rejected)
    });
    if !args.json {
        for warning in kept.warnings.iter().chain(&rejected.warnings) {
            output::complain(format_args!("warning: {warning}"));
        }
    }
    let is_empty = kept.entries.is_empty() && rejected.entries.is_empty();
    ExitCode::from(if is_empty { exit::NO_SUPERVISOR } else { 0 })
}

pub(super) fn code_of(error: &HistoryError) -> u8 {
    match error {
        HistoryError::NothingKept { .. } => exit::NO_SUPERVISOR,
        HistoryError::NoSuch { .. }
        | HistoryError::Ambiguous { .. }
        | HistoryError::NotInside { .. } => exit::USAGE,
        error if error.io_kind() == Some(io::ErrorKind::PermissionDenied) => exit::NOT_PERMITTED,
        _ => exit::UNREACHABLE,
    }
}
