//! Holds the crate's parts to what ARCHITECTURE.md says they may not use.

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
    (
        "src/settings",
        &["crate::machine", "crate::shell", "crate::fail2ban", "tokio"],
    ),
    (
        "src/check",
        &[
            "crate::machine",
            "crate::shell",
            "crate::settings",
            "crate::cli",
        ],
    ),
    (
        "src/status",
        &[
            "crate::machine",
            "crate::shell",
            "crate::settings",
            "crate::fail2ban",
            "crate::control",
            "crate::cli",
            "tokio",
        ],
    ),
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
                for word in forbidden.iter().filter(|word| code.contains(**word)) {
                    broken.push(format!("{}:{}: {word}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "forbidden here:\n{}", broken.join("\n"));
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
