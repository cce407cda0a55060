//! The command line: words in, exit codes out.

mod check;
mod config_check;
mod diff;
mod history;
mod output;
mod pause;
mod restore;
mod rollback;
pub mod run;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::run::FAULTY_SETTINGS;
use crate::settings::{Settings, SettingsError};

/// The exit code for what the system does not let this user do.
const NOT_PERMITTED: u8 = 4;

/// Keep fail2ban protecting this host: reload it on change, restart it when it fails, and take back
/// the jail that broke it.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed, or something was found or differs, 2 wrong usage, 3 nothing kept (diff, history, restore), \
                  4 not permitted, 6 fail2ban cannot be asked or a file cannot be written, 7 not done in time, \
                  78 faulty settings.\n\n\
                  Example: jailwarden config check && systemctl reload jailwarden"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Supervise this host's fail2ban until stopped; SIGHUP reads the settings again
    #[command(
        after_help = "Exit codes: 0 it was told to end, 1 it cannot run, 2 wrong usage, 78 faulty settings.\n\n\
                            Example: jailwarden run --config /etc/jailwarden/jailwarden.yaml"
    )]
    Run {
        /// The settings file [default: /etc/jailwarden/jailwarden.yaml if it exists]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say what fail2ban would refuse of its config, with file and line; nothing is touched
    Check(check::Words),
    /// Say what a reload would change, or what differs from a snapshot
    Diff(diff::Words),
    /// List the snapshots of the config with which fail2ban was healthy, and files that were replaced
    History(history::Words),
    /// Put the config back as it was in a snapshot, or bring back what that replaced
    Restore(restore::Words),
    /// Show or undo what jailwarden has disabled so that the other jails can run
    #[command(
        arg_required_else_help = true,
        disable_help_subcommand = true,
        after_help = "Example: jailwarden rollback list"
    )]
    Rollback {
        #[command(subcommand)]
        command: rollback::Command,
    },
    /// Have jailwarden watch and do nothing, for a time or until it is told to go on
    Pause(pause::PauseWords),
    /// End a pause
    Resume(pause::ResumeWords),
    /// Work with the settings file
    #[command(
        arg_required_else_help = true,
        disable_help_subcommand = true,
        after_help = "Example: jailwarden config check"
    )]
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether a settings file is sound, or every mistake in it with line and column
    #[command(
        after_help = "Exit codes: 0 sound, 1 mistakes found or it cannot be read, 2 wrong usage, 4 not permitted \
                            to read it.\n\nExample: jailwarden config check ./jailwarden.yaml"
    )]
    Check {
        /// The settings file [default: /etc/jailwarden/jailwarden.yaml if it exists]
        file: Option<PathBuf>,
    },
}

/// The whole command: reads the process's arguments, does what they say, gives its exit code.
/// Wrong usage, `--help` and `--version` end the process here.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { config } => run::run(config.as_deref()),
        Command::Check(words) => check::check(words),
        Command::Diff(words) => diff::diff(words),
        Command::History(words) => history::history(&words),
        Command::Restore(words) => restore::restore(words),
        Command::Rollback { command } => rollback::run(command),
        Command::Pause(words) => pause::pause(words),
        Command::Resume(words) => pause::resume(&words),
        Command::Config { command } => match command {
            ConfigCommand::Check { file } => config_check::check(file.as_deref()),
        },
    }
}

/// The settings for all but `run`, or the exit code where there are none: why is printed. A default
/// file that only others may read is none of a plain user's business.
fn settings_or_code(config: Option<&Path>) -> Result<Settings, ExitCode> {
    Settings::load(config).or_else(|error| match config {
        None if is_denied(&error) => Ok(Settings::default()),
        _ => Err(refuse(&error, FAULTY_SETTINGS)),
    })
}

/// Prints why settings could not be had, and gives the exit code: `faulty`, or that they may not be read.
fn refuse(error: &SettingsError, faulty: u8) -> ExitCode {
    output::complain(error);
    ExitCode::from(if is_denied(error) {
        NOT_PERMITTED
    } else {
        faulty
    })
}

fn is_denied(error: &SettingsError) -> bool {
    let SettingsError::Unreadable { cause, .. } = error else {
        return false;
    };
    cause.kind() == io::ErrorKind::PermissionDenied
}
