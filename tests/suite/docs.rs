//! What README.md and docs/*.md say can be found and typed. `tests/host/docs.rs` types it.

use std::process::Command;

use crate::support::docs::{blocks, documents, root, spans};

/// Whether the program takes these words: all are read before `--help` ends it.
fn takes(words: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jailwarden"));
    let done = command.args(words).arg("--help").output().unwrap();
    if done.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn each_command_of_jailwarden_is_one() {
    let mut wrong = Vec::new();
    for document in documents() {
        let blocks = blocks(&document.text);
        let commands = blocks.iter().flat_map(|block| &block.commands);
        let texts = commands.map(|command| command.text.as_str());
        let parts = texts
            .chain(spans(&document.text))
            .flat_map(|text| text.split(['|', '&', '#']));
        for command in parts
            .map(str::trim)
            .filter(|it| it.starts_with("jailwarden "))
        {
            // Of words in quotes the first will do, and `[--watch]` is one that may be left out.
            let (mut first, mut quoted) = (Vec::new(), false);
            for word in command.split_whitespace().skip(1) {
                if !quoted {
                    first.push(word.trim_matches(['[', ']', '"', ',', '…']));
                }
                quoted ^= word.matches('"').count() % 2 == 1;
            }
            if let Err(said) = takes(&first) {
                wrong.push(format!("{}: `{command}`: {said}", document.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Those that the API answers with too are described there; the others are held by `tests/suite/history.rs`.
#[test]
fn each_key_of_what_the_api_describes_has_a_place_in_its_row() {
    let described = include_str!("../../docs/openapi.json");
    let described: serde_json::Value = serde_json::from_str(described).unwrap();
    let (_, table) = include_str!("../../docs/cli.md")
        .split_once("| command | document |")
        .unwrap();
    for (command, kinds) in [
        ("status", &["Status"][..]),
        ("incidents", &["Incidents", "Incident", "Hour"]),
        ("reload`, `restart", &["Problem"]),
        ("rollback add", &["RollbackAnswer"]),
    ] {
        let row = table
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| `{command}` | ")));
        let row = row.unwrap_or_else(|| panic!("no row for {command}"));
        for kind in kinds {
            let keys = &described["components"]["schemas"][kind]["properties"];
            for key in keys.as_object().unwrap().keys() {
                assert!(
                    row.contains(&format!("`{key}`")),
                    "{command}: no `{key}` in {row}"
                );
            }
        }
    }
}

#[test]
fn each_exit_code_has_a_row() {
    let codes = include_str!("../../src/cli/exit.rs").lines();
    let codes = codes.filter_map(|line| line.strip_prefix("pub(super) const "));
    let mut codes: Vec<_> = codes
        .map(|code| code.split(['=', ';']).nth(1).unwrap().trim())
        .collect();
    codes.insert(0, "0");
    let table = include_str!("../../docs/cli.md").lines();
    let rows = table.filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let rows = rows.map(|(code, _)| code);
    let rows: Vec<_> = rows.filter(|code| code.parse::<u8>().is_ok()).collect();
    assert_eq!(rows, codes);
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>()
        .trim()
        .to_lowercase()
        .replace(' ', "-")
}

#[test]
fn each_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let folder = root().join(&document.name);
        let folder = folder.parent().unwrap();
        for link in document.text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let text = match file {
                "" => Some(document.text.clone()),
                file if heading.is_empty() => folder.join(file).exists().then(String::new),
                file => std::fs::read_to_string(folder.join(file)).ok(),
            };
            let has = |text: &String| {
                let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
                headings
                    .map(|line| anchor(line.trim_start_matches('#')))
                    .any(|it| it == heading)
            };
            if !text.is_some_and(|text| heading.is_empty() || has(&text)) {
                broken.push(format!("{}: {link}", document.name));
            }
        }
    }
    assert!(broken.is_empty(), "these lead nowhere: {broken:#?}");
}
