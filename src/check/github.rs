//! For GitHub Actions: workflow commands, which become annotations at the changed lines.

use std::fmt::Write as _;
use std::path::Path;

use super::Report;
use super::diagnostic::{Diagnostic, Level};
use super::human;
use crate::text::{near, safe};

/// One annotation for each finding, and the summary. Paths below `cwd` are told from there, which in
/// a workflow is the repository. `called` is how a person calls jailwarden.
#[must_use]
pub fn render(report: &Report, cwd: &Path, called: &str) -> String {
    let mut out: String = report
        .diagnostics
        .iter()
        .map(|d| annotation(d, cwd))
        .collect();
    if let Some(unproven) = &report.unproven {
        let why = escaped(&safe(&unproven.why), false);
        let _ = writeln!(out, "::warning title=not proven::{why}");
    }
    out + &human::summary(report, called)
}

fn annotation(diagnostic: &Diagnostic, cwd: &Path) -> String {
    let command = match diagnostic.level() {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(file) = &diagnostic.file {
        let file = safe(&near(file, cwd).display().to_string());
        properties.push(format!("file={}", escaped(&file, true)));
        if let Some(line) = diagnostic.line {
            properties.push(format!("line={line}"));
        }
    }
    properties.push(format!("title=jailwarden {}", diagnostic.kind.id()));
    let text = format!(
        "{}\n{}\n{}",
        safe(&diagnostic.headline()),
        diagnostic.meaning(),
        diagnostic.help()
    );
    format!(
        "::{command} {}::{}\n",
        properties.join(","),
        escaped(&text, false)
    )
}

/// As `actions/toolkit` does (packages/core/src/command.ts, `escapeData` and `escapeProperty`).
fn escaped(text: &str, is_property: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => out.push_str("%25"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            ':' if is_property => out.push_str("%3A"),
            ',' if is_property => out.push_str("%2C"),
            c => out.push(c),
        }
    }
    out
}
