//! `jailwarden incidents`.

use std::io;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::paint::{self, Line, Tone, piece};
use super::{Place, check, client, exit, output, status, tell};
use crate::control::client::ClientError;
use crate::control::wire::Incidents;
use crate::settings::Settings;
use crate::shell;
use crate::status::{Incident, SCHEMA, Timestamp};
use crate::text::{safe, safe_json};

const AFTER_HELP: &str = "\
An incident begins with the first sign that protection was lost, and ends with the proof that it is back.

Where jailwarden does not run, those are listed that it has kept.

Exit codes: 0 none is under way, 1 one is, 2 wrong usage, 3 jailwarden does not run, and nothing that it kept \
can be read, 4 not permitted, 6 or 7 it gives no answer, 78 faulty settings.

Example: jailwarden incidents --json";

/// The arguments of `jailwarden incidents`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct IncidentsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Lists the incidents that are kept.
pub(super) fn incidents(args: &IncidentsArgs) -> ExitCode {
    let settings = match args.place.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let client = match client(&settings) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let asked = client.incidents();
    let kept = match asked.or_else(|error| of_file(&settings, &error).ok_or(error)) {
        Ok(kept) => kept,
        Err(error) => return tell::complain("could not list", &error),
    };
    if args.json {
        output::print(&safe_json(&json!(kept)));
    } else {
        let style = check::style();
        let lines = lines(&kept, Timestamp::now(), style.width.min(status::WIDTH));
        output::print(&paint::text(&lines, style.colour));
    }
    match kept.incident {
        Some(_) => ExitCode::from(exit::WANTING),
        None => ExitCode::SUCCESS,
    }
}

/// What a jailwarden that does not run has kept, if that can be read; that it is no more is said.
fn of_file(settings: &Settings, error: &ClientError) -> Option<Incidents> {
    if !matches!(error, ClientError::NotRunning { .. }) {
        return None;
    }
    match shell::kept_past(&settings.state_dir) {
        Ok(past) => {
            output::complain("jailwarden does not run; this is what it has kept");
            Some(Incidents {
                schema: SCHEMA,
                incident: None,
                incidents: past.incidents,
                since: past.since,
                hours: past.hours,
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let folder = settings.state_dir.display().to_string();
            output::complain(format_args!(
                "what it has kept in {} cannot be read: {error}",
                safe(&folder)
            ));
            None
        }
    }
}

fn lines(kept: &Incidents, now: Timestamp, width: usize) -> Vec<Line> {
    let all = kept.incident.iter().chain(&kept.incidents);
    let lines: Vec<Line> = all.flat_map(|it| incident(it, now, width)).collect();
    if lines.is_empty() {
        let said = "protection was never lost while jailwarden kept watch";
        return vec![vec![piece(Tone::Plain, said)]];
    }
    lines
}

fn incident(incident: &Incident, now: Timestamp, width: usize) -> Vec<Line> {
    let age = paint::span(incident.began.age(incident.ended.unwrap_or(now)));
    let (tone, took) = match incident.ended {
        Some(_) => (Tone::Plain, format!("took {age}")),
        None => (Tone::Bad, format!("under way for {age}")),
    };
    let mut lines = vec![vec![
        piece(Tone::Strong, status::when(incident.began)),
        piece(tone, format!("  {took}")),
        piece(Tone::Dim, format!("  {}", incident.id)),
    ]];
    let mut add = |text: &str| {
        for text in paint::wrap(&safe(text), width.saturating_sub(4)) {
            lines.push(vec![piece(Tone::Plain, format!("    {text}"))]);
        }
    };
    add(&incident.what);
    if incident.given_up > 0 {
        add(&format!(
            "every way back failed {} times",
            incident.given_up
        ));
    }
    if !incident.rolled_back.is_empty() {
        add(&format!("rolled back: {}", incident.rolled_back.join(", ")));
    }
    if !incident.unprotected.is_empty() {
        let spans = incident.unprotected.iter();
        let spans = spans.map(|(jail, span)| format!("{jail} for {}", paint::seconds(*span)));
        add(&format!(
            "unprotected: {}",
            spans.collect::<Vec<_>>().join(", ")
        ));
    }
    if incident.ended.is_some() {
        add(&format!("ended: {}", status::end(incident)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_with_its_end() {
        let kept = json!({
            "schema": 1,
            "incident": {
                "id": "b", "began": "2026-11-25T18:00:00Z", "ended": null, "end": null,
                "what": "fail2ban does not answer", "unprotected": {}, "rolled_back": [], "given_up": 2,
            },
            "incidents": [{
                "id": "a\u{1b}[2J", "began": "2026-11-24T18:00:00Z", "ended": "2026-11-24T18:02:05Z",
                "end": "stood-by", "what": "fail2ban is not running",
                "unprotected": { "sshd": 125.0, "web": 3.25 }, "rolled_back": ["web"], "given_up": 0,
            }],
            "since": "2026-11-01T00:00:00Z", "hours": [],
        });
        let kept: Incidents = serde_json::from_value(kept).unwrap();
        let now = Timestamp::from(humantime::parse_rfc3339("2026-11-25T18:00:30Z").unwrap());
        insta::assert_snapshot!(paint::text(&lines(&kept, now, 80), false), @r"
        2026-11-25 18:00 UTC  under way for 30s  b
            fail2ban does not answer
            every way back failed 2 times
        2026-11-24 18:00 UTC  took 2m 5s  a\u{1b}[2J
            fail2ban is not running
            rolled back: web
            unprotected: sshd for 2m 5s, web for 3.2s
            ended: somebody stopped fail2ban on purpose meanwhile
        ");
        let none = Incidents {
            schema: 1,
            incident: None,
            incidents: Vec::new(),
            since: now,
            hours: Vec::new(),
        };
        assert_eq!(lines(&none, now, 80).len(), 1);
    }
}
