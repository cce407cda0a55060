//! For code scanners: SARIF 2.1.0 (OASIS standard of 27 March 2020).

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Report;
use super::diagnostic::{Diagnostic, Kind};
use crate::text::safe_json;

/// What paths in the config folder are told from, where that is not below the working folder.
const CONFIG: &str = "CONFIG";
/// The name that code scanners know the working folder by: the checked-out source.
const SOURCE: &str = "%SRCROOT%";

/// The report as one SARIF run. A file below `cwd` is told from there, another from the config
/// folder where it lies in that.
#[must_use]
pub fn render(report: &Report, cwd: &Path) -> String {
    let bases = [(SOURCE, cwd), (CONFIG, report.config_dir.as_path())];
    let results: Vec<_> = report
        .diagnostics
        .iter()
        .map(|d| result(d, &bases))
        .collect();
    let notes: Vec<_> = report
        .unproven
        .iter()
        .map(|unproven| json!({ "level": "warning", "message": { "text": unproven.why } }))
        .collect();
    safe_json(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": Kind::ALL.map(rule),
            }},
            "originalUriBaseIds": { CONFIG: { "uri": format!("{}/", file_uri(&report.config_dir)) } },
            "invocations": [{
                "executionSuccessful": report.unproven.is_none(),
                "toolExecutionNotifications": notes,
            }],
            "results": results,
        }],
    }))
}

fn rule(kind: Kind) -> Value {
    json!({
        "id": kind.id(),
        "shortDescription": { "text": kind.meaning() },
        "help": { "text": kind.advice() },
        "defaultConfiguration": { "level": kind.level().word() },
    })
}

fn result(diagnostic: &Diagnostic, bases: &[(&str, &Path)]) -> Value {
    let mut location = json!({
        "logicalLocations": diagnostic.jails.iter().map(|jail| json!({ "name": jail, "kind": "jail" })).collect::<Vec<_>>(),
    });
    if let Some(file) = &diagnostic.file {
        let mut physical = json!({ "artifactLocation": artifact(file, bases) });
        if let Some(line) = diagnostic.line {
            physical["region"] = json!({ "startLine": line });
        }
        if let Some(source) = &diagnostic.source {
            physical["region"]["snippet"] = json!({ "text": source });
        }
        location["physicalLocation"] = physical;
    }
    let index = Kind::ALL.iter().position(|kind| *kind == diagnostic.kind);
    json!({
        "ruleId": diagnostic.kind.id(),
        "ruleIndex": index,
        "level": diagnostic.level().word(),
        "message": { "text": format!("{}. To do: {}.", diagnostic.headline(), diagnostic.help()) },
        "locations": [location],
    })
}

fn artifact(file: &Path, bases: &[(&str, &Path)]) -> Value {
    let below = bases.iter().find_map(|(id, base)| {
        let has_name = base.parent().is_some();
        Some((id, file.strip_prefix(base).ok().filter(|_| has_name)?))
    });
    match below {
        Some((id, rest)) => json!({ "uri": encoded(rest), "uriBaseId": id }),
        None => json!({ "uri": file_uri(file) }),
    }
}

fn file_uri(path: &Path) -> String {
    format!("file://{}", encoded(path))
}

/// RFC 3986: what may not stand in a path as it is, byte by byte. A colon is coded too, since
/// before the first slash it would end a scheme.
fn encoded(path: &Path) -> String {
    let mut out = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
