//! `jailwarden pause` and `jailwarden resume`.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::json;

use super::{Place, exit, output, supervisor};
use crate::control::client::Client;
use crate::control::wire::PauseRequest;
use crate::pause::{self, Pause};
use crate::status::Timestamp;
use crate::text::safe_json;

/// The version of the JSON documents.
const VERSION: u32 = 1;

const AFTER_PAUSE: &str = "\
While it is paused, jailwarden watches and does nothing: no config change is applied, and a fail2ban \
that fails stays down. The pause survives a restart of jailwarden and of the host. A restart of \
fail2ban that is under way is finished first.

Exit codes: 0 asked for, 2 wrong usage, 4 not permitted, 6 it could not be written, 78 faulty settings.

Example: jailwarden pause --for 30m --reason \"moving the logs\"";

const AFTER_RESUME: &str = "\
Exit codes: 0 no pause stands any more, 2 wrong usage, 4 not permitted, 6 it could not be removed, \
78 faulty settings.

Example: jailwarden resume";

/// The arguments of `jailwarden pause`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_PAUSE)]
pub(super) struct PauseArgs {
    /// End the pause by itself after this time, such as 30m or 2h [default: it lasts until resume]
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    span: Option<Duration>,
    /// Why, for the journal and for whoever finds jailwarden paused
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// The arguments of `jailwarden resume`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_RESUME)]
pub(super) struct ResumeArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

fn span(word: &str) -> Result<Duration, String> {
    match humantime::parse_duration(word) {
        Ok(span) if span >= Duration::from_secs(1) => Ok(span),
        Ok(_) => Err("a pause lasts a second at least".to_owned()),
        Err(error) => Err(format!("{error}; write it as 30m, 2h or 1day")),
    }
}

/// Asks for a pause.
pub(super) fn pause(args: PauseArgs) -> ExitCode {
    let settings = match args.place.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let until = match args.span.map(|span| SystemTime::now().checked_add(span)) {
        Some(None) => {
            output::complain("--for: that is further away than time goes; leave it out");
            return ExitCode::from(exit::USAGE);
        }
        until => until.flatten(),
    };
    let pause = Pause {
        until,
        reason: args.reason,
        by: who(),
    };
    if let Err(error) = pause::ask(&settings.state_dir, &pause) {
        let request = PauseRequest {
            span: args
                .span
                .map(|span| humantime::format_duration(span).to_string()),
            reason: pause.reason.clone(),
        };
        let asked = supervisor::instead(&settings, is_denied(&error), |client| {
            client.pause(&request)
        });
        if asked.is_none() {
            return refused("the pause cannot be asked for", &settings.state_dir, &error);
        }
    }
    if args.json {
        output::print(&safe_json(&json!({
            "version": VERSION,
            "until": until.map(Timestamp::from),
            "by": pause.by,
            "reason": pause.reason,
        })));
        return ExitCode::SUCCESS;
    }
    let end = match until {
        Some(until) => format!("until {}", humantime::format_rfc3339_seconds(until)),
        None => format!("until `{} resume`", settings.called()),
    };
    output::say(format_args!(
        "a pause stands {end}: jailwarden watches, and does nothing"
    ));
    ExitCode::SUCCESS
}

/// Ends the pause.
pub(super) fn resume(args: &ResumeArgs) -> ExitCode {
    let settings = match args.place.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let ended = pause::end(&settings.state_dir).or_else(|error| {
        let asked = supervisor::instead(&settings, is_denied(&error), Client::resume);
        asked.map(|answer| answer.was_paused).ok_or(error)
    });
    match ended {
        Ok(was_paused) if args.json => {
            output::print(&safe_json(
                &json!({ "version": VERSION, "was_paused": was_paused }),
            ));
        }
        Ok(true) => {
            output::say("the pause is over; jailwarden, where it runs, supervises fail2ban again");
        }
        Ok(false) => output::say("jailwarden was not paused"),
        Err(error) => return refused("the pause cannot be ended", &settings.state_dir, &error),
    }
    ExitCode::SUCCESS
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

fn refused(what: &str, state_dir: &Path, error: &io::Error) -> ExitCode {
    let path = pause::path(state_dir);
    if is_denied(error) {
        output::complain(format_args!(
            "{what}: {}: permission denied; run it as root",
            path.display()
        ));
        return ExitCode::from(exit::NOT_PERMITTED);
    }
    output::complain(format_args!("{what}: {}: {error}", path.display()));
    ExitCode::from(exit::UNREACHABLE)
}

/// Who asks, behind `sudo` too.
fn who() -> String {
    let behind = std::env::var("SUDO_USER")
        .ok()
        .filter(|name| !name.is_empty());
    let uid = nix::unistd::getuid();
    let user = || nix::unistd::User::from_uid(uid).ok().flatten();
    behind
        .or_else(|| user().map(|user| user.name))
        .unwrap_or_else(|| format!("uid {uid}"))
}
