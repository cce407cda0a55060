//! `jailwarden rollback list` and `jailwarden rollback undo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{NOT_PERMITTED, output, settings_or_code};
use crate::rollback::{self, RollbackError, Standing};
use crate::text::{safe, safe_json};

/// The version of the JSON document.
const VERSION: u32 = 1;

const AFTER_LIST: &str = "\
Exit codes: 0 none stands, 1 some stand, 2 wrong usage, 4 not permitted, 78 faulty settings.

Example: jailwarden rollback list --json";

const AFTER_UNDO: &str = "\
The jail's config counts again at once: jailwarden checks it, and applies it if fail2ban would run it. \
A jail whose config is mended comes back by itself, without this.

Exit codes: 0 undone, 1 there is no such rollback or it could not be removed, 2 wrong usage, 4 not \
permitted, 78 faulty settings.

Examples:
  jailwarden rollback undo sshd
  jailwarden rollback undo --all";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the jails that jailwarden has disabled, since when, and why
    #[command(after_help = AFTER_LIST)]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Remove the file that disables a jail
    #[command(after_help = AFTER_UNDO)]
    Undo {
        /// The jails
        #[arg(value_name = "JAIL", required_unless_present = "all")]
        jails: Vec<String>,
        /// Every jail that jailwarden has disabled
        #[arg(long, conflicts_with = "jails")]
        all: bool,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(super) struct Place {
    /// The settings file [default: /etc/jailwarden/jailwarden.yaml if it can be read]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    fn config_dir(&self) -> Result<PathBuf, ExitCode> {
        settings_or_code(self.config.as_deref()).map(|settings| settings.config_dir)
    }
}

/// Does what the words say.
pub(super) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::List { json, place } => list(&place, json),
        Command::Undo { jails, all, place } => undo(&place, &jails, all),
    };
    done.unwrap_or_else(|code| code)
}

fn list(place: &Place, json: bool) -> Result<ExitCode, ExitCode> {
    let standing = rollback::standing(&place.config_dir()?).map_err(|error| refuse(&error))?;
    if json {
        output::print(&as_json(&standing));
    } else if standing.is_empty() {
        output::say("jailwarden has disabled no jail");
    } else {
        for Standing {
            jail, path, note, ..
        } in &standing
        {
            output::say(format_args!(
                "{jail}: disabled since {}: {}",
                safe(&note.when),
                safe(&note.reason)
            ));
            output::say(format_args!("  by {}", safe(&path.display().to_string())));
        }
        output::say(
            "\nA jail comes back by itself once its config is mended. At once: jailwarden rollback undo JAIL",
        );
    }
    Ok(ExitCode::from(u8::from(!standing.is_empty())))
}

fn as_json(standing: &[Standing]) -> String {
    let each = standing.iter().map(|it| {
        json!({
            "jail": it.jail.as_str(),
            "file": it.path.display().to_string(),
            "since": it.note.when,
            "reason": it.note.reason,
            "incident": it.note.incident,
        })
    });
    let document = json!({ "version": VERSION, "rollbacks": each.collect::<Vec<_>>() });
    safe_json(&document)
}

fn undo(place: &Place, jails: &[String], all: bool) -> Result<ExitCode, ExitCode> {
    let config_dir = place.config_dir()?;
    let standing = rollback::standing(&config_dir).map_err(|error| refuse(&error))?;
    if let Some(unknown) = jails
        .iter()
        .find(|jail| standing.iter().all(|it| it.jail.as_str() != *jail))
    {
        output::complain(format_args!(
            "{}: jailwarden has not disabled this jail; see: jailwarden rollback list",
            safe(unknown)
        ));
        return Err(ExitCode::FAILURE);
    }
    let wanted = |it: &&Standing| all || jails.iter().any(|jail| jail == it.jail.as_str());
    for Standing { jail, path, .. } in standing.iter().filter(wanted) {
        rollback::remove(&config_dir, jail).map_err(|error| refuse(&error))?;
        output::say(format_args!("{jail}: removed {}", path.display()));
    }
    if all && standing.is_empty() {
        output::say("jailwarden has disabled no jail");
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse(error: &RollbackError) -> ExitCode {
    output::complain(error);
    match error {
        RollbackError::Permission { .. } => ExitCode::from(NOT_PERMITTED),
        _ => ExitCode::FAILURE,
    }
}
