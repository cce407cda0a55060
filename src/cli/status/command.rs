//! The words of `jailwarden status`, and what it can tell without a supervisor.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use nix::unistd::{Uid, User};
use serde_json::{Value, json};

use super::{lines, when, wrapped};
use crate::cli::paint::{self, Line, Tone, piece};
use crate::cli::{Place, check, client, exit, output, tell, watch};
use crate::control::client::ClientError;
use crate::pause;
use crate::rollback::{self, Standing};
use crate::settings::Settings;
use crate::status::{Protection, SCHEMA, Timestamp};
use crate::text::safe_json;

/// Lines that are wider than this are hard to read.
pub(in crate::cli) const WIDTH: usize = 100;
/// Where the width is nobody's.
const PIPE_WIDTH: usize = 80;

const AFTER_HELP: &str = "\
The first line says whether the host is protected.

Exit codes: 0 every jail that should protect does, 1 not so, 2 wrong usage, 3 jailwarden does not run, \
4 not permitted, 6 or 7 it gives no answer, 78 faulty settings.

Examples:
  jailwarden status
  jailwarden status --watch
  jailwarden status --json | jq .protection";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Stay, and show each change as it comes, with keys to act
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    #[command(flatten)]
    place: Place,
}

/// Says how the host is protected.
pub(in crate::cli) fn run(args: &StatusArgs) -> ExitCode {
    let settings = match args.place.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let client = match client(&settings) {
        Ok(client) => client,
        Err(code) => return code,
    };
    match client.status() {
        Ok(status) if args.watch => watch::run(&client, status, may_change(&settings)),
        Ok(status) => {
            if args.json {
                output::print(&safe_json(&json!(status)));
            } else {
                print(|width| lines(&status, width));
            }
            ExitCode::from(match status.protection {
                Protection::Full => 0,
                _ => exit::WANTING,
            })
        }
        Err(ClientError::NotRunning { .. }) => {
            let known = Known::of(&settings);
            if args.json {
                output::print(&safe_json(&known.json()));
            } else {
                print(|width| known.lines(width));
            }
            ExitCode::from(exit::NO_SUPERVISOR)
        }
        Err(error) => tell::complain("could not ask jailwarden", &error),
    }
}

/// Whether the supervisor would let this user do more than look, as far as can be told from here.
fn may_change(settings: &Settings) -> bool {
    let uid = Uid::effective();
    let socket = settings.control.socket.as_ref();
    let is_owner = || {
        socket
            .and_then(|it| fs::metadata(it).ok())
            .is_some_and(|it| it.uid() == uid.as_raw())
    };
    let user = || User::from_uid(uid).ok().flatten().map(|user| user.name);
    let is_listed = || user().is_some_and(|user| settings.control.admins.contains(&user));
    uid.is_root() || is_owner() || is_listed()
}

fn print(lines: impl FnOnce(usize) -> Vec<Line>) {
    let style = check::style();
    let width = match terminal_size::terminal_size_of(std::io::stdout()) {
        Some(_) => style.width.min(WIDTH),
        None => PIPE_WIDTH,
    };
    output::print(&paint::text(&lines(width), style.colour));
}

/// What files alone tell.
pub(super) struct Known {
    /// The pause that stands, or why that cannot be told.
    pub(super) pause: Result<Option<pause::Pause>, String>,
    /// The rollbacks that stand, or why that cannot be told.
    pub(super) rollbacks: Result<Vec<Standing>, String>,
    /// The service that would run it.
    pub(super) service: String,
    /// How a person calls it.
    pub(super) called: String,
    /// How a person calls the client of its fail2ban.
    pub(super) client: String,
}

impl Known {
    fn of(settings: &Settings) -> Self {
        let service = settings.service();
        let called = settings.called();
        let pause = pause::in_force(&settings.state_dir, SystemTime::now());
        let rollbacks = rollback::standing(&settings.config_dir);
        Self {
            pause: pause.map_err(|error| {
                format!("{}: {error}", pause::path(&settings.state_dir).display())
            }),
            rollbacks: rollbacks.map_err(|error| error.to_string()),
            service,
            called,
            client: settings.client_called(),
        }
    }

    pub(super) fn lines(&self, width: usize) -> Vec<Line> {
        let mut lines = wrapped(
            &[
                piece(Tone::Bad, "NOT SUPERVISED:"),
                piece(
                    Tone::Strong,
                    " jailwarden does not run, so nobody keeps fail2ban protecting",
                ),
            ],
            width,
        );
        let mut add = |tone, label: &str, text: &str| {
            for (at, text) in paint::wrap(text, width.saturating_sub(14))
                .iter()
                .enumerate()
            {
                let label = if at == 0 { label } else { "" };
                let label = paint::pad(label, 12);
                lines.push(vec![
                    piece(tone, format!("  {label}")),
                    piece(Tone::Plain, text),
                ]);
            }
        };
        let Self {
            service,
            called,
            client,
            ..
        } = self;
        add(
            Tone::Plain,
            "start it",
            &format!("systemctl enable --now {service}"),
        );
        add(
            Tone::Plain,
            "see why",
            &format!("journalctl -u {service} -n 20"),
        );
        add(Tone::Plain, "meanwhile", &format!("{client} status"));
        match &self.pause {
            Ok(None) => {}
            Ok(Some(pause)) => {
                let reason = pause.reason.as_deref().unwrap_or("no reason was given");
                let until = match pause.until {
                    Some(until) => format!("until {}", when(Timestamp::from(until))),
                    None => format!("until {called} resume"),
                };
                let text = format!("{until}, by {}: {reason}", pause.by);
                add(Tone::Warn, "paused", &crate::text::safe(&text));
            }
            Err(error) => add(Tone::Warn, "paused?", &crate::text::safe(error)),
        }
        match &self.rollbacks {
            Ok(standing) => {
                for Standing { jail, note, .. } in standing {
                    let text = format!("{jail} since {}: {}", note.when, note.reason);
                    add(Tone::Warn, "rolled back", &crate::text::safe(&text));
                }
            }
            Err(error) => add(Tone::Warn, "rolled back?", &crate::text::safe(error)),
        }
        lines
    }

    /// The keys that [`crate::status::Status`] has too, as far as they can be told, and the
    /// rollbacks as of `jailwarden rollback list --json`.
    fn json(&self) -> Value {
        let pause = self.pause.as_ref().ok().and_then(Option::as_ref);
        let pause = pause.map(|it| {
            let until = it.until.map(Timestamp::from);
            json!({ "why": it.reason, "by": it.by, "until": until })
        });
        let standing = self.rollbacks.as_deref().unwrap_or_default();
        json!({
            "schema": SCHEMA,
            "version": env!("CARGO_PKG_VERSION"),
            "at": Timestamp::now(),
            "state": "not-running",
            "text": "jailwarden does not run",
            "protection": Protection::Unknown,
            "pause": pause,
            "rollbacks": crate::cli::rollback::entries(standing),
        })
    }
}
