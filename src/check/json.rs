//! For programs: one JSON document. Within a `version`, fields are only ever added.

use serde_json::{Value, json};

use super::diagnostic::Diagnostic;
use super::{Report, Unjudged};
use crate::text::safe_json;

/// The version of the document.
const VERSION: u32 = 1;

/// The report as JSON: `version`, `verdict` (`sound`, `findings`, or `unproven` where the rehearsal
/// could not be run and `-d` says nothing bad), `config_dir`, `jails` (all that were looked at),
/// `rolled_back` (those of which jailwarden has disabled, and which were looked at all the same),
/// `unproven` (why, or null), and `findings` in the order of the files. Of each of these: `kind`
/// ([`super::Kind::id`]), `level`, `jails` (none: the whole config), `file`, `line`, `source` (that
/// line), `option`, `value` and `words` (fail2ban's), each of them null where not known, and
/// `meaning` and `help`.
#[must_use]
pub fn render(report: &Report) -> String {
    safe_json(&document(report))
}

/// The report as a part of a greater document.
#[must_use]
pub fn document(report: &Report) -> Value {
    let unproven = report.unproven.as_ref().map(|Unjudged { why, .. }| why);
    let verdict = match (report.is_sound(), unproven) {
        (false, _) => "findings",
        (true, Some(_)) => "unproven",
        (true, None) => "sound",
    };
    let findings: Vec<_> = report.diagnostics.iter().map(finding).collect();
    json!({
        "version": VERSION,
        "verdict": verdict,
        "config_dir": report.config_dir.to_string_lossy(),
        "jails": report.jails,
        "rolled_back": report.rolled_back,
        "unproven": unproven,
        "findings": findings,
    })
}

fn finding(diagnostic: &Diagnostic) -> Value {
    json!({
        "kind": diagnostic.kind.id(),
        "level": diagnostic.level().word(),
        "jails": diagnostic.jails,
        "file": diagnostic.file.as_ref().map(|file| file.to_string_lossy()),
        "line": diagnostic.line,
        "source": diagnostic.source,
        "option": diagnostic.option,
        "value": diagnostic.value,
        "words": diagnostic.words,
        "meaning": diagnostic.meaning(),
        "help": diagnostic.help(),
    })
}
