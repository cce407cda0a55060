//! `jailwarden reload` and `jailwarden restart`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{Place, output, paint, status, supervisor};
use crate::control::client::{Client, ClientError};
use crate::text::safe_json;

/// The version of the JSON documents.
const VERSION: u32 = 1;

const AFTER_RELOAD: &str = "\
jailwarden applies what you save by itself; this has it done at once, and says how it went. A faulty \
change does not reach fail2ban, and every jail keeps what it has.

Exit codes: 0 applied, 2 wrong usage, 3 jailwarden does not run, 4 not permitted, 5 refused: fail2ban runs \
as before, 6 fail2ban cannot be asked, 7 not healthy afterwards, 78 faulty settings.

Example: jailwarden reload --json";

const AFTER_RESTART: &str = "\
fail2ban is stopped lawfully, started, and probed until each jail protects; one that is down is started. \
With a config that it would not come back with, nothing is done. A jail that breaks the start is disabled, \
so that the others protect.

Exit codes: 0 it is back, 2 wrong usage, 3 jailwarden does not run, 4 not permitted, 5 refused: fail2ban \
runs as before, 6 fail2ban cannot be asked, 7 not back in time, 78 faulty settings.

Example: jailwarden restart";

/// The arguments of `jailwarden reload`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_RELOAD)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    common: CommonArgs,
}

/// The arguments of `jailwarden restart`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_RESTART)]
pub(super) struct RestartArgs {
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Has the config checked, and applied if fail2ban would take it.
pub(super) fn reload(args: &ReloadArgs) -> ExitCode {
    tell(&args.common, "reload", Client::reload)
}

/// Has fail2ban stopped and started.
pub(super) fn restart(args: &RestartArgs) -> ExitCode {
    tell(&args.common, "restart", Client::restart)
}

fn tell(args: &CommonArgs, what: &str, call: fn(&Client) -> Result<(), ClientError>) -> ExitCode {
    let client = match args.place.client() {
        Ok(client) => client,
        Err(code) => return code,
    };
    if let Err(error) = supervisor::with_progress(&client, call) {
        return failed(&format!("could not {what}"), &error, args.json);
    }
    // It is done, also where nobody can say any more how it is now.
    let said = match client.status() {
        Ok(status) => paint::text(&[status::headline(&status)], false),
        Err(error) => format!("done; {error}"),
    };
    if args.json {
        output::print(&done(json!({ "text": said.trim_end() })));
    } else {
        output::say(said.trim_end());
    }
    ExitCode::SUCCESS
}

/// Says why something was not done, and gives the exit code.
pub(super) fn failed(what: &str, error: &ClientError, json: bool) -> ExitCode {
    if !json {
        return complain(what, error);
    }
    let problem = match error {
        ClientError::Problem(problem) => json!(problem),
        _ => Value::Null,
    };
    output::print(&safe_json(&json!({
        "version": VERSION,
        "done": false,
        "text": error.to_string(),
        "problem": problem,
    })));
    ExitCode::from(supervisor::code_of(error))
}

/// The same of something that was only asked, whose document is another one: on standard error, also with
/// `--json`.
pub(super) fn complain(what: &str, error: &ClientError) -> ExitCode {
    for line in supervisor::lines(what, error) {
        output::complain(line);
    }
    ExitCode::from(supervisor::code_of(error))
}

/// The JSON of what was done: `version`, `done`, and these keys.
pub(super) fn done(mut keys: Value) -> String {
    keys["version"] = json!(VERSION);
    keys["done"] = json!(true);
    safe_json(&keys)
}
