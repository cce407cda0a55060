//! `jailwarden diff`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Place, check, exit, history, output};
use crate::check::diff::{self, Comparison, DiffError};
use crate::check::since::{self, Question, SinceError};
use crate::settings::Settings;

const AFTER_HELP: &str = "\
Without ID it names the jails that a reload would change, and the settings as far as jailwarden has \
kept the former ones. With ID it shows what differs between that snapshot and the folder: the files, \
and jail by jail the settings. Secrets are masked. Whether fail2ban would take the change is for \
`jailwarden check` to say.

Exit codes: 0 nothing differs, 1 something does, 2 wrong usage or no such snapshot, 3 nothing to \
compare with, 4 not permitted, 6 fail2ban cannot be run or (without ID) refuses the config, 7 not done \
in time, 78 faulty settings.

Examples:
  jailwarden diff --json
  jailwarden diff 3f2a91bc";

/// The arguments of `jailwarden diff`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct DiffArgs {
    /// A snapshot of `jailwarden history`, by its first digits [default: what the daemon was last
    /// given]
    id: Option<String>,
    /// fail2ban's config folder [default: that of the settings, usually /etc/fail2ban]
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Prints what differs.
pub(super) fn diff(args: DiffArgs) -> ExitCode {
    let settings = match args.place.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let config_dir = args
        .config_dir
        .unwrap_or_else(|| settings.config_dir.clone());
    match args.id {
        None => against_the_daemon(settings, config_dir, args.json),
        Some(id) => against_a_snapshot(settings, config_dir, id, args.json),
    }
}

fn against_the_daemon(settings: Settings, config_dir: PathBuf, json: bool) -> ExitCode {
    let called = settings.called();
    let comparison = Comparison {
        client: settings.daemon.client,
        config_dir,
        state_dir: settings.state_dir,
        called,
    };
    match check::run(diff::compare(&comparison)) {
        Ok(changes) => {
            output::print(&if json {
                changes.json()
            } else {
                changes.human()
            });
            ExitCode::from(u8::from(!changes.is_empty()))
        }
        Err(error) => {
            output::complain(format_args!("could not compare: {error}"));
            ExitCode::from(match &error {
                DiffError::NothingKept { .. } => exit::NO_SUPERVISOR,
                DiffError::State { .. } => exit::UNREACHABLE,
                DiffError::Config(error) => check::code_of(error),
            })
        }
    }
}

fn against_a_snapshot(settings: Settings, config_dir: PathBuf, id: String, json: bool) -> ExitCode {
    let called = settings.called();
    let question = Question {
        client: settings.daemon.client,
        config_dir,
        state_dir: settings.state_dir,
        id,
        called,
    };
    match check::run(since::compare(&question)) {
        Ok(difference) => {
            output::print(&if json {
                difference.json()
            } else {
                difference.human(check::style())
            });
            ExitCode::from(u8::from(!difference.is_empty()))
        }
        Err(error) => {
            output::complain(format_args!("could not compare: {error}"));
            ExitCode::from(match &error {
                SinceError::History(error) => history::code_of(error),
                SinceError::Config(error) => check::code_of(error),
            })
        }
    }
}
