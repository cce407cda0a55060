//! The command line: words in, exit codes out.

mod assets;
mod check;
mod config;
mod diff;
mod exit;
mod history;
mod incidents;
mod output;
mod paint;
mod pause;
mod restore;
mod rollback;
pub mod run;
mod status;
mod supervisor;
mod tell;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::control::client::Client;
use crate::settings::{self, Settings, SettingsError};

const AFTER_HELP: &str = "\
Exit codes, of all commands: 0 as wanted, 1 found wanting, 2 wrong usage, 3 jailwarden does not run or has \
kept nothing yet, 4 not permitted, 5 refused, 6 fail2ban or a file cannot be reached, 7 not back or not done \
in time, 78 faulty settings.

Example: jailwarden status";

/// Keep fail2ban protecting this host: reload it on change, restart it when it fails, and take back
/// the jail that broke it.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = AFTER_HELP
)]
struct Cli {
    // Each command reads it by itself; here, it may stand before the command too.
    #[command(flatten)]
    _place: Place,
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
    Run(Place),
    /// Say whether the host is protected, jail by jail, and what happened last
    Status(status::StatusArgs),
    /// Have the config checked, and what changed applied
    Reload(tell::ReloadArgs),
    /// Have fail2ban stopped and started, and wait until it protects again
    Restart(tell::RestartArgs),
    /// List the times when protection was lost
    Incidents(incidents::IncidentsArgs),
    /// Say what fail2ban would refuse of its config, with file and line; nothing is touched
    Check(check::CheckArgs),
    /// Say what a reload would change, or what differs from a snapshot
    Diff(diff::DiffArgs),
    /// List the snapshots of the config with which fail2ban was healthy, and files that were replaced
    History(history::HistoryArgs),
    /// Put the config back as it was in a snapshot, or bring back what that replaced
    Restore(restore::RestoreArgs),
    /// Disable a jail so that the others can run, or show and undo what is disabled
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
    Pause(pause::PauseArgs),
    /// End a pause
    Resume(pause::ResumeArgs),
    /// Work with the settings file
    #[command(
        arg_required_else_help = true,
        disable_help_subcommand = true,
        after_help = "Example: jailwarden config check"
    )]
    Config {
        #[command(subcommand)]
        command: config::Command,
    },
    /// Print the completions for a shell
    Completions(assets::CompletionsArgs),
    /// Write the man pages and completions into a folder, for packages
    #[command(hide = true)]
    Assets(assets::AssetsArgs),
}

/// The whole command: reads the process's arguments, does what they say, gives its exit code.
/// Wrong usage, `--help` and `--version` end the process here.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(place) => run::run(place.file().as_deref()),
        Command::Status(args) => status::run(&args),
        Command::Reload(args) => tell::reload(&args),
        Command::Restart(args) => tell::restart(&args),
        Command::Incidents(args) => incidents::incidents(&args),
        Command::Check(args) => check::check(args),
        Command::Diff(args) => diff::diff(args),
        Command::History(args) => history::history(&args),
        Command::Restore(args) => restore::restore(args),
        Command::Rollback { command } => rollback::run(command),
        Command::Pause(args) => pause::pause(args),
        Command::Resume(args) => pause::resume(&args),
        Command::Config { command } => config::run(&command),
        Command::Completions(args) => assets::completions(&args, Cli::command()),
        Command::Assets(args) => assets::assets(&args, Cli::command()),
    }
}

/// Where the settings are.
#[derive(Debug, Args)]
struct Place {
    /// The settings file [default: /etc/jailwarden/jailwarden.yaml if it can be read]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The jailwarden@NAME that is meant, where several run: its settings are /etc/jailwarden/NAME.yaml
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "config", value_parser = instance)]
    instance: Option<String>,
}

fn instance(name: &str) -> Result<String, &'static str> {
    if settings::is_instance(name) {
        return Ok(name.to_owned());
    }
    Err("it is made of letters, digits and : _ . -, as in jailwarden@NAME")
}

impl Place {
    /// The settings file, where one is named.
    fn file(&self) -> Option<PathBuf> {
        let of_instance = || self.instance.as_deref().map(settings::file_of);
        self.config.clone().or_else(of_instance)
    }

    fn settings(&self) -> Result<Settings, ExitCode> {
        settings_or_code(self.file().as_deref())
    }

    /// For the supervisor that runs with these settings.
    fn client(&self) -> Result<Client, ExitCode> {
        client(&self.settings()?)
    }
}

/// For the supervisor that runs with these settings, if they let it be asked.
fn client(settings: &Settings) -> Result<Client, ExitCode> {
    let Some(socket) = &settings.control.socket else {
        output::complain(format_args!(
            "control.socket is none in the settings, so jailwarden cannot be asked; it says how it is in: \
             systemctl status {}",
            settings.service()
        ));
        return Err(ExitCode::from(exit::NO_SUPERVISOR));
    };
    Ok(Client::new(socket, settings.service()))
}

/// The settings for all but `run`, or the exit code where there are none: why is printed. A default
/// file that only others may read is none of a plain user's business.
fn settings_or_code(config: Option<&Path>) -> Result<Settings, ExitCode> {
    Settings::load(config).or_else(|error| match config {
        None if is_denied(&error) => Ok(Settings::default()),
        _ => Err(refuse(&error, exit::FAULTY_SETTINGS)),
    })
}

/// Prints why settings could not be had, and gives the exit code: `faulty`, or that they may not be read.
fn refuse(error: &SettingsError, faulty: u8) -> ExitCode {
    output::complain(error);
    ExitCode::from(if is_denied(error) {
        exit::NOT_PERMITTED
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
