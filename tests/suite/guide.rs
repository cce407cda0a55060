//! docs/recovery.md: the catalog of the journal and the list of kinds as a page, so that each message is
//! explained in one place.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use jailwarden::machine::report::Kind;

use crate::support::docs::{hold, root};

const HEAD: &str = "\
# What each message means, and what to do

Each record of jailwarden in the journal is of one of the kinds below and has its `MESSAGE_ID`, which never
changes. `journalctl -x` shows the same explanations below the records:

<!-- let: JAIL=echo web -->
<!-- let: INCIDENT=jailwarden incidents --json | grep -o '\"id\": \"[^\"]*' | head -1 | cut -d'\"' -f4 -->
<!-- let: LOGFILE=echo /var/log/web.log -->
<!-- let: FILTER=echo web -->
<!-- let: COMMAND=echo cat -->
```sh
journalctl -t jailwarden -x -n 20
```

In the commands, `JAIL` and `INCIDENT` stand for what the record says: its fields `JAILWARDEN_JAIL` and
`JAILWARDEN_INCIDENT`, which `-o verbose` shows. For `jailwarden@second` the journal has the commands with
`--instance second` and the unit of its fail2ban, whose log is another file. This page is made from
`systemd/jailwarden.catalog` and the program (`JAILWARDEN_WRITE_DOCS=1 cargo test --test suite recovery_guide`).

| priority | kind | what happened |
|---|---|---|
";

const BY_ITSELF: &str = "By itself: ";
const TO_DO: &str = "What to do: ";

/// An entry of the catalog: its subject and its text.
fn entries(catalog: &str) -> BTreeMap<&str, (&str, &str)> {
    let entries = catalog.split("\n-- ").skip(1).map(|entry| {
        let (head, text) = entry.split_once("\n\n").unwrap();
        let mut head = head.lines();
        let id = head.next().unwrap();
        let subject = head.next().unwrap().strip_prefix("Subject: ").unwrap();
        (id, (subject, text.trim_end()))
    });
    entries.collect()
}

/// A text of the catalog in Markdown: what is indented are commands, and the record's fields are named.
fn markdown(text: &str) -> String {
    let (mut out, mut in_commands) = (String::new(), false);
    for line in text.lines() {
        let is_command = line.starts_with("  ");
        if is_command != in_commands {
            out.push_str(if is_command { "\n```sh\n" } else { "```\n\n" });
            in_commands = is_command;
        }
        let line = line
            .trim_start()
            .replace("@JAILWARDEN_CALLED@", "jailwarden")
            .replace("@JAILWARDEN_SERVICE@", "jailwarden")
            .replace("@JAILWARDEN_DAEMON_UNIT@", "fail2ban")
            .replace("@JAILWARDEN_", "")
            .replace('@', "");
        let _ = writeln!(out, "{line}");
    }
    if in_commands {
        out.push_str("```\n");
    }
    out
}

/// Whether a paragraph only shows fields of the record.
fn is_fields(paragraph: &str) -> bool {
    paragraph
        .lines()
        .all(|line| line.contains(": @JAILWARDEN_"))
}

fn document(catalog: &str) -> String {
    let entries = entries(catalog);
    let (mut table, mut texts) = (HEAD.to_owned(), String::new());
    let mut kinds = Kind::ALL;
    kinds.sort_by_key(|kind| kind.priority());
    for kind in kinds {
        let (id, name, priority) = (kind.message_id(), kind.name(), kind.priority().name());
        let (subject, text) = entries[id];
        let (means, rest) = text
            .split_once(&format!("\n\n{BY_ITSELF}"))
            .unwrap_or_else(|| panic!("{name} does not say {BY_ITSELF:?}"));
        let (by_itself, to_do) = rest
            .split_once(&format!("\n\n{TO_DO}"))
            .unwrap_or_else(|| panic!("{name} does not say {TO_DO:?}"));
        let means: Vec<_> = means.split("\n\n").filter(|it| !is_fields(it)).collect();
        let _ = writeln!(table, "| {priority} | [{name}](#{name}) | {subject} |");
        let _ = write!(
            texts,
            "\n## {name}\n\n**{subject}.** Priority: {priority}.\n\n{}\n\n**By itself:** {by_itself}\n\n\
             **What to do:** {}\nTo see those of this kind:\n\n```sh\njournalctl MESSAGE_ID={id}\n```\n",
            means.join("\n\n"),
            markdown(to_do),
        );
    }
    table + &texts
}

#[test]
fn the_recovery_guide_is_that_of_the_catalog() {
    let catalog = fs::read_to_string(root().join("systemd/jailwarden.catalog")).unwrap();
    hold("docs/recovery.md", &document(&catalog));
}
