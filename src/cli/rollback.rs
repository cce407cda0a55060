//! `jailwarden rollback`: what disables single jails.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Place, exit, output, supervisor, tell};
use crate::rollback::{self, DBFILE, InMemory, RollbackError, Standing};
use crate::settings::Settings;
use crate::text::{safe, safe_json};

/// The version of the JSON document.
const VERSION: u32 = 1;

const AFTER_ADD: &str = "\
jailwarden writes jail.d/zzz-jailwarden-<JAIL>.local first, and starts fail2ban where it is down. It takes \
the file away again once the jail's config is mended.

Exit codes: 0 disabled, and fail2ban runs, 1 no such jail, 2 wrong usage or an illegal name, 3 jailwarden \
does not run, 4 not permitted, 5 refused, 6 fail2ban cannot be asked or the file not written, 7 fail2ban is \
not back in time, 78 faulty settings.

Example: jailwarden rollback add web";

const AFTER_LIST: &str = "\
Exit codes: 0 none stands, 1 some stand, 2 wrong usage, 4 not permitted, 6 jail.d cannot be read, 78 faulty \
settings.

Example: jailwarden rollback list --json";

const AFTER_UNDO: &str = "\
The jail's config counts again at once: jailwarden checks it, and applies it if fail2ban would run it. \
A jail whose config is mended comes back by itself, without this. `dbfile` is no jail: it ends that fail2ban \
keeps its database in memory, for which jailwarden restarts it.

Exit codes: 0 undone, 1 there is no such rollback, 2 wrong usage, 4 not permitted, 6 it could not be \
removed, 78 faulty settings.

Examples:
  jailwarden rollback undo sshd
  jailwarden rollback undo --all";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Disable a jail, so that the others can run
    #[command(after_help = AFTER_ADD)]
    Add {
        /// The jail
        #[arg(value_name = "JAIL")]
        jail: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show the jails that jailwarden has disabled, since when, and why
    #[command(after_help = AFTER_LIST)]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Remove the file that disables a jail, or that keeps the database in memory
    #[command(after_help = AFTER_UNDO)]
    Undo {
        /// The jails, or `dbfile`
        #[arg(value_name = "JAIL", required_unless_present = "all")]
        jails: Vec<String>,
        /// Every jail that jailwarden has disabled, and the database
        #[arg(long, conflicts_with = "jails")]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
}

/// Does what the words say.
pub(super) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Add { jail, json, place } => add(&place, jail, json),
        Command::List { json, place } => list(&place, json),
        Command::Undo {
            jails,
            all,
            json,
            place,
        } => undo(&place, &jails, all, json),
    };
    done.unwrap_or_else(|code| code)
}

/// Has the supervisor do it: two that decide would be in each other's way.
fn add(place: &Place, jail: String, json: bool) -> Result<ExitCode, ExitCode> {
    let client = place.client()?;
    let answer = supervisor::with_progress(&client, move |client| client.roll_back(&jail))
        .map_err(|error| tell::failed("could not disable it", &error, json))?;
    if json {
        output::print(&tell::done(json!({ "answer": answer })));
    } else {
        output::say(safe(&answer.message));
    }
    Ok(if answer.fail2ban_running {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::NOT_IN_TIME)
    })
}

fn list(place: &Place, json: bool) -> Result<ExitCode, ExitCode> {
    let settings = place.settings()?;
    let standing = rollback::standing(&settings.config_dir).map_err(|error| refuse(&error))?;
    let in_memory = rollback::in_memory(&settings.config_dir);
    if json {
        output::print(&as_json(&standing, in_memory.as_ref()));
        return Ok(ExitCode::from(u8::from(
            !standing.is_empty() || in_memory.is_some(),
        )));
    }
    if let Some(InMemory { path, note, .. }) = &in_memory {
        output::say(format_args!(
            "{DBFILE}: fail2ban's database is in memory since {}: {}",
            safe(&note.when),
            safe(&note.reason)
        ));
        output::say(format_args!("  by {}", safe(&path.display().to_string())));
    }
    if standing.is_empty() {
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
        output::say(format_args!(
            "\nA jail comes back by itself once its config is mended. At once: {} rollback undo JAIL",
            settings.called()
        ));
    }
    let any = !standing.is_empty() || in_memory.is_some();
    Ok(ExitCode::from(u8::from(any)))
}

fn as_json(standing: &[Standing], in_memory: Option<&InMemory>) -> String {
    let in_memory = in_memory.map(|it| {
        json!({
            "database": it.database.display().to_string(),
            "file": it.path.display().to_string(),
            "since": it.note.when,
            "reason": it.note.reason,
        })
    });
    safe_json(
        &json!({ "version": VERSION, "rollbacks": entries(standing), "in_memory": in_memory }),
    )
}

/// The rollbacks that stand, as JSON.
pub(super) fn entries(standing: &[Standing]) -> Vec<Value> {
    let each = standing.iter().map(|it| {
        json!({
            "jail": it.jail.as_str(),
            "file": it.path.display().to_string(),
            "since": it.note.when,
            "reason": it.note.reason,
            "incident": it.note.incident,
        })
    });
    each.collect()
}

fn undo(place: &Place, jails: &[String], all: bool, json: bool) -> Result<ExitCode, ExitCode> {
    let settings = place.settings()?;
    let standing = rollback::standing(&settings.config_dir).map_err(|error| refuse(&error))?;
    let in_memory = rollback::in_memory(&settings.config_dir);
    let is_known = |jail: &&String| {
        standing.iter().any(|it| it.jail.as_str() == **jail)
            || (in_memory.is_some() && *jail == DBFILE)
    };
    if let Some(unknown) = jails.iter().find(|jail| !is_known(jail)) {
        output::complain(format_args!(
            "{}: jailwarden has not disabled this jail; see: {} rollback list",
            safe(unknown),
            settings.called()
        ));
        return Err(ExitCode::from(exit::WANTING));
    }
    let wanted = |it: &&Standing| all || jails.iter().any(|jail| jail == it.jail.as_str());
    let mut removed = Vec::new();
    let ends = all || jails.iter().any(|jail| jail == DBFILE);
    if let Some(InMemory { path, .. }) = in_memory.filter(|_| ends) {
        let ended = rollback::end_in_memory(&settings.config_dir);
        done_or_asked(&settings, DBFILE, ended).map_err(|error| refuse(&error))?;
        let file = path.display().to_string();
        removed.push(json!({ "jail": DBFILE, "file": file }));
        if !json {
            output::say(format_args!("{DBFILE}: removed {}", safe(&file)));
        }
    }
    for Standing { jail, path, .. } in standing.iter().filter(wanted) {
        let gone = rollback::remove(&settings.config_dir, jail);
        done_or_asked(&settings, jail.as_str(), gone).map_err(|error| refuse(&error))?;
        removed.push(json!({ "jail": jail.as_str(), "file": path.display().to_string() }));
        if !json {
            output::say(format_args!(
                "{jail}: removed {}",
                safe(&path.display().to_string())
            ));
        }
    }
    if json {
        output::print(&safe_json(
            &json!({ "version": VERSION, "removed": removed }),
        ));
    } else if removed.is_empty() {
        output::say("jailwarden has disabled no jail");
    }
    Ok(ExitCode::SUCCESS)
}

/// The supervisor may do for its admins what they may not do themselves.
fn done_or_asked(
    settings: &Settings,
    what: &str,
    done: Result<bool, RollbackError>,
) -> Result<(), RollbackError> {
    let Err(error) = done else {
        return Ok(());
    };
    let is_denied = matches!(error, RollbackError::Permission { .. });
    let asked = supervisor::instead(settings, is_denied, |client| client.undo(what));
    asked.map(drop).ok_or(error)
}

fn refuse(error: &RollbackError) -> ExitCode {
    output::complain(error);
    match error {
        RollbackError::Permission { .. } => ExitCode::from(exit::NOT_PERMITTED),
        _ => ExitCode::from(exit::UNREACHABLE),
    }
}
