//! `jailwarden config`: the settings file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Place, exit, output, paint, refuse};
use crate::settings::{DEFAULT_FILE, Settings, SettingsError, Shown};
use crate::text::{safe, safe_json};

/// The version of the JSON documents.
const VERSION: u32 = 1;

const AFTER_CHECK: &str = "\
Exit codes: 0 sound, 1 mistakes found or it cannot be read, 2 wrong usage, 4 not permitted to read it.

Example: jailwarden config check ./jailwarden.yaml";

const AFTER_SHOW: &str = "\
What is printed is a settings file by itself. A jailwarden that runs has read the file when it was \
started, or last reloaded.

Exit codes: 0 shown, 2 wrong usage, 4 not permitted to read it, 78 faulty settings.

Example: jailwarden config show --json";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether a settings file is sound, or every mistake in it with line and column
    #[command(after_help = AFTER_CHECK)]
    Check(ConfigArgs),
    /// Show the settings in force, and where each comes from
    #[command(after_help = AFTER_SHOW)]
    Show(ConfigArgs),
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The settings file [default: /etc/jailwarden/jailwarden.yaml if it exists]
    #[arg(conflicts_with_all = ["config", "instance"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

impl ConfigArgs {
    fn file(&self) -> Option<PathBuf> {
        self.file.clone().or_else(|| self.place.file())
    }
}

/// Does what the arguments say.
pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Check(args) => check(args),
        Command::Show(args) => show(args),
    }
}

/// Says whether the settings are sound, as `run` would find them.
fn check(args: &ConfigArgs) -> ExitCode {
    let file = args.file();
    let file = file.as_deref();
    match (Settings::load(file), args.json) {
        (Ok(_), false) => output::say(verdict(file)),
        (Ok(_), true) => output::print(&mistakes(file, &[])),
        (Err(SettingsError::Faulty { mistakes: found }), true) => {
            let found = found.iter().map(|it| {
                json!({ "line": it.line, "column": it.column, "key": it.key, "what": it.what })
            });
            output::print(&mistakes(file, &found.collect::<Vec<_>>()));
            return ExitCode::from(exit::WANTING);
        }
        (Err(error), _) => return refuse(&error, exit::WANTING),
    }
    ExitCode::SUCCESS
}

fn mistakes(file: Option<&Path>, mistakes: &[Value]) -> String {
    safe_json(&json!({ "version": VERSION, "file": origin(file), "mistakes": mistakes }))
}

/// The file that is read; none where there is none and the defaults hold.
fn origin(file: Option<&Path>) -> Option<String> {
    let default = Path::new(DEFAULT_FILE);
    let file = file.or_else(|| default.exists().then_some(default));
    file.map(|file| file.display().to_string())
}

fn verdict(file: Option<&Path>) -> String {
    match origin(file) {
        Some(file) => format!("{file}: ok"),
        None => format!("{DEFAULT_FILE}: does not exist, so the defaults hold: ok"),
    }
}

fn show(args: &ConfigArgs) -> ExitCode {
    let file = args.file();
    let file = file.as_deref();
    match Settings::show(file) {
        Ok(shown) => {
            output::print(&if args.json {
                as_json(&shown, file)
            } else {
                as_yaml(&shown, file)
            });
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&error, exit::FAULTY_SETTINGS),
    }
}

fn as_json(shown: &[Shown], file: Option<&Path>) -> String {
    let shown = shown.iter().map(|it| {
        let from = if it.line.is_some() { "file" } else { "default" };
        json!({ "key": it.key, "value": it.value, "from": from, "line": it.line })
    });
    let shown: Vec<_> = shown.collect();
    safe_json(&json!({ "version": VERSION, "file": origin(file), "settings": shown }))
}

/// A settings file that says the same, with the origin of each value behind it.
fn as_yaml(shown: &[Shown], file: Option<&Path>) -> String {
    let origin = origin(file);
    let mut out = match &origin {
        Some(file) => format!(
            "# {}, and the defaults of what it does not set\n",
            safe(file)
        ),
        None => format!("# {DEFAULT_FILE} does not exist: the defaults\n"),
    };
    let mut section = "";
    for Shown { key, value, line } in shown {
        let (of, name) = key.split_once('.').unwrap_or(("", key));
        if of != section {
            let _ = writeln!(out, "{of}:");
            section = of;
        }
        let indent = if of.is_empty() { "" } else { "  " };
        let setting = format!("{indent}{name}: {}", yaml(value));
        let from = match line {
            Some(line) => format!("line {line}"),
            None => "default".to_owned(),
        };
        let _ = writeln!(out, "{}  # {from}", paint::pad(&setting, 40));
    }
    out
}

fn yaml(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(words) => {
            let words: Vec<_> = words.iter().map(yaml).collect();
            format!("[{}]", words.join(", "))
        }
        other => other.to_string(),
    }
}

/// Plain where that can be read as nothing but text, else in double quotes, as in JSON.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " /._-@".contains(c);
    let first = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '/');
    let spelled = text.parse::<bool>().is_ok()
        || ["null", "yes", "no", "on", "off", "y", "n"].contains(&text);
    let is_span = humantime::parse_duration(text).is_ok();
    if (first || is_span || text.starts_with('-') && text.len() > 1)
        && text.chars().all(is_plain)
        && text.trim() == text
        && !spelled
        && !text.starts_with("- ")
    {
        return text.to_owned();
    }
    safe_json(&json!(text)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_shown_is_a_settings_file_that_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        fs::write(
            &file,
            "config_dir: \"/etc/fail2ban: #1\"\nprobe:\n  interval: 1m 30s\n  firewall: false\n\
             daemon:\n  client: [fail2ban-client, -v, \"x: y\", \"1.5\", \"true\", \"- a\", \"\", é, \"0x10\"]\n",
        )
        .unwrap();
        let shown = Settings::show(Some(&file)).unwrap();
        let text = as_yaml(&shown, Some(&file));
        let again = Settings::parse(&text, Path::new("again")).unwrap();
        assert_eq!(again, Settings::load(Some(&file)).unwrap(), "{text}");
        assert!(
            text.contains("interval: 1m 30s") && text.contains("# line 3"),
            "{text}"
        );
        assert!(
            text.contains("timeout: 5s") && text.contains("# default"),
            "{text}"
        );
    }
}
