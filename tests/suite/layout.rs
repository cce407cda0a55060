//! Holds the crate's parts to what ARCHITECTURE.md says they may not use.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A part of the crate, and the path segments that may not stand in its code.
const RULES: [(&str, &[&str]); 10] = [
    (
        "src/machine",
        &[
            "tokio",
            "nix::",
            "rustix",
            "notify::",
            "tracing",
            "std::fs",
            "std::process",
            "std::net",
            "std::os",
            "std::env",
            "std::thread",
            "Instant",
            "SystemTime",
            "async fn",
            "crate::",
        ],
    ),
    (
        "src/fail2ban",
        &[
            "crate::machine",
            "crate::shell",
            "crate::rollback",
            "crate::settings",
        ],
    ),
    (
        "src/rollback",
        &["crate::machine", "crate::shell", "crate::settings"],
    ),
    (
        "src/history",
        &[
            "crate::machine",
            "crate::shell",
            "crate::settings",
            "crate::check",
            "crate::cli",
            "tokio",
        ],
    ),
    ("src/settings", &["crate::", "tokio"]),
    (
        "src/check",
        &[
            "crate::machine",
            "crate::shell",
            "crate::settings",
            "crate::cli",
        ],
    ),
    ("src/status", &["crate::", "tokio"]),
    (
        "src/control",
        &[
            "crate::machine",
            "crate::shell",
            "crate::fail2ban",
            "crate::cli",
        ],
    ),
    ("src/shell", &["crate::cli", "crate::check"]),
    ("src/cli", &["crate::machine", "crate::fail2ban"]),
];

/// Of the rest of the crate these use `text.rs` alone.
const TAKES_TEXT: [&str; 2] = ["src/settings", "src/status"];

#[test]
fn no_part_uses_what_it_may_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for (part, forbidden) in RULES {
        let files = sources(&root.join(part));
        assert!(
            !files.is_empty(),
            "{part} has no sources: is the rule out of date?"
        );
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let code = if TAKES_TEXT.contains(&part) {
                    code.replace("crate::text", "")
                } else {
                    code.to_owned()
                };
                for word in forbidden.iter().filter(|word| code.contains(**word)) {
                    broken.push(format!("{}:{}: {word}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "forbidden here:\n{}", broken.join("\n"));
}

/// Commands that a message may name.
const COMMANDS: [&str; 15] = [
    "check",
    "completions",
    "config",
    "diff",
    "history",
    "incidents",
    "pause",
    "reload",
    "restart",
    "restore",
    "resume",
    "rollback add",
    "rollback list",
    "rollback undo",
    "status",
];

/// A command that is told to somebody begins with `called`, or with the client as the settings have it, which
/// know the instance. What `--help` says, in constants, and what describes the API are of no instance.
#[test]
fn no_message_names_a_command_of_the_hosts_own_instance_alone() {
    let names_one = |line: &str| {
        line.split("jailwarden ").skip(1).any(|rest| {
            let after = |command: &&str| rest.strip_prefix(*command);
            let is_whole = |end: &str| !end.starts_with(|c: char| c.is_ascii_alphabetic());
            COMMANDS.iter().filter_map(after).any(is_whole)
        }) || ["reload", "restart", "start", "status"]
            .iter()
            .any(|command| line.contains(&format!("fail2ban-client {command}")))
    };
    assert!(names_one("see: jailwarden rollback undo web"));
    assert!(!names_one("fail2ban is down; jailwarden restarts it"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bare = Vec::new();
    for file in sources(&root.join("src")) {
        if file.ends_with("control/routes.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let mut in_constant = false;
        for (number, line) in text.lines().enumerate() {
            let words = line.trim_start();
            in_constant |= words.starts_with("const ") && words.contains("&str = ");
            let is_told = !in_constant && !words.starts_with("//") && !words.contains("Example: ");
            in_constant &= !words.ends_with("\";");
            if is_told && names_one(words) {
                bare.push(format!("{}:{}: {words}", file.display(), number + 1));
            }
        }
    }
    assert!(bare.is_empty(), "without an instance:\n{}", bare.join("\n"));
}

/// Each dependency is explained, and nothing else is.
#[test]
fn every_dependency_is_in_the_map() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, after) = manifest.split_once("\n[dependencies]\n").unwrap();
    let lines = after.lines().take_while(|line| !line.starts_with('['));
    let named: BTreeSet<_> = lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .collect();
    let map = include_str!("../../ARCHITECTURE.md");
    let (_, after) = map.split_once("\n## Dependencies\n").unwrap();
    let (section, _) = after.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    let explained: BTreeSet<_> = first
        .flat_map(|crates| crates.split('`').skip(1).step_by(2))
        .collect();
    assert_eq!(named, explained);
    assert!(section.contains(&format!("{} crates are named", named.len())));
}

/// The Rust files below a folder, without tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
    found
}
