//! `jailwarden check`.

use std::collections::BTreeSet;
use std::env;
use std::future::Future;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Place, exit, output};
use crate::check::{self, CheckError, Report, Request, StandIn, human};

/// The width of the text where there is no terminal that has one.
const WIDTH: usize = 140;

const AFTER_HELP: &str = "\
The config is read as fail2ban reads it, and each jail is tried on fail2ban's own code in a process \
that is thrown away: no daemon is needed, none is touched, and neither is a log or a database. It \
works without root where the files can be read.

Exit codes: 0 sound, 1 findings, 2 wrong usage, 4 not permitted to read it, 6 fail2ban cannot be run \
or the trial failed, 7 not done in time, 78 faulty settings.

Examples:
  jailwarden check
  jailwarden check --jail sshd --json
  jailwarden check --with jail.d/web.conf=./web.conf.new
  jailwarden check --config-dir ./fail2ban --allow-missing-logs --format github";

/// The arguments of `jailwarden check`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct CheckArgs {
    /// fail2ban's config folder [default: that of the settings, usually /etc/fail2ban]
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// Look at this jail alone; may be given several times
    #[arg(long = "jail", value_name = "NAME")]
    jails: Vec<String>,
    /// Log files that do not exist are no fault: for a config of another machine
    #[arg(long)]
    allow_missing_logs: bool,
    /// Check as if NEW stood at FILE in the config folder, such as jail.d/web.conf=/tmp/new; may be
    /// given several times
    #[arg(long = "with", value_name = "FILE=NEW", value_parser = stand_in)]
    stand_ins: Vec<StandIn>,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    place: Place,
}

fn stand_in(word: &str) -> Result<StandIn, String> {
    let (place, content) = word.split_once('=').ok_or("FILE=NEW is wanted")?;
    Ok(StandIn {
        place: place.into(),
        content: Some(content.into()),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people, with the line at fault
    Human,
    /// For programs
    Json,
    /// For code scanners: SARIF 2.1.0
    Sarif,
    /// For GitHub Actions: annotations
    Github,
}

/// Checks the config and prints what is wrong with it.
pub(super) fn check(args: CheckArgs) -> ExitCode {
    let settings = match args.place.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let format = if args.json { Format::Json } else { args.format };
    let called = settings.called();
    let request = Request {
        client: settings.daemon.client,
        config_dir: args.config_dir.unwrap_or(settings.config_dir),
        jails: BTreeSet::from_iter(args.jails),
        allow_missing_logs: args.allow_missing_logs,
        stand_ins: args.stand_ins,
    };
    match run(check::gather(&request)) {
        Ok(report) => {
            output::print(&rendered(&report, format, &called));
            ExitCode::from(verdict(&report))
        }
        Err(error) => {
            output::complain(format_args!("could not check: {error}"));
            ExitCode::from(code_of(&error))
        }
    }
}

pub(super) fn run<T, E: From<CheckError>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(CheckError::Runtime)?;
    runtime.block_on(with_progress(work))
}

/// Shows on a terminal that it is still at work, once that takes longer than a second.
async fn with_progress<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let mut seconds = 0;
    loop {
        tokio::select! {
            done = &mut work => {
                if seconds > 0 {
                    output::redraw("");
                }
                return done;
            }
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                seconds += 1;
                output::redraw(&format!("asking fail2ban … {seconds} s"));
            }
        }
    }
}

pub(super) fn rendered(report: &Report, format: Format, called: &str) -> String {
    let cwd = env::current_dir().unwrap_or_default();
    match format {
        Format::Human => human::render(report, &cwd, style(), called),
        Format::Json => check::json::render(report),
        Format::Sarif => check::sarif::render(report, &cwd),
        Format::Github => check::github::render(report, &cwd, called),
    }
}

/// Colour for a terminal that knows it, unless <https://no-color.org> is asked for.
pub(super) fn style() -> human::Style {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into());
    human::Style {
        colour: io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
        width: width.filter(|width| *width > 0).unwrap_or(WIDTH),
    }
}

fn verdict(report: &Report) -> u8 {
    match &report.unproven {
        _ if !report.is_sound() => exit::WANTING,
        None => 0,
        Some(unproven) if unproven.timed_out => exit::NOT_IN_TIME,
        Some(_) => exit::UNREACHABLE,
    }
}

pub(super) fn code_of(error: &CheckError) -> u8 {
    match error {
        CheckError::Denied { .. } => exit::NOT_PERMITTED,
        error if error.is_timeout() => exit::NOT_IN_TIME,
        _ => exit::UNREACHABLE,
    }
}
