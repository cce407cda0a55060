//! The parts that need no fail2ban; `tests/suite/check.rs` has the rest.

use std::path::Path;

use super::diagnostic::{Diagnostic, at_fault};
use super::human::{self, Style};
use super::*;
use crate::text::{near, safe, safe_json};

#[test]
fn the_value_at_fault_is_underlined() {
    for (source, option, value, expected) in [
        ("maxretry = abc", Some("maxretry"), None, "abc"),
        ("MaxRetry: abc", Some("maxretry"), None, "abc"),
        ("a = b = a", Some("a"), Some("a"), "a"),
        ("action = x[y=1]", Some("action"), Some("x"), "x"),
        (
            "  ^second [ <HOST>",
            Some("failregex"),
            Some("^second [ <HOST>"),
            "^second [ <HOST>",
        ),
        (
            "logpath = %(sshd_log)s",
            Some("logpath"),
            Some("/var/log/x"),
            "%(sshd_log)s",
        ),
        ("maxretry =", Some("maxretry"), None, "maxretry ="),
        ("é = ü", Some("e"), None, "é = ü"),
        ("é", Some("ab"), Some(" "), "é"),
        ("[web]", None, None, "[web]"),
        ("", Some("x"), Some("y"), ""),
    ] {
        assert_eq!(
            &source[at_fault(source, option, value)],
            expected,
            "{source}"
        );
    }
}

#[test]
fn what_is_unsafe_is_written_out() {
    assert_eq!(
        safe("a\tb\x1b[31m\u{9b}\u{202e}é"),
        "a b\\u{1b}[31m\\u{9b}\\u{202e}é"
    );
    let value = serde_json::json!({ "a": "\x1b\u{9b}\u{202e}\u{e0001}\n\"é" });
    let json = safe_json(&value);
    assert!(json.is_ascii() || json.contains('é'));
    assert!(!json.contains(|c: char| c != '\n' && c != 'é' && !c.is_ascii_graphic() && c != ' '));
    let back: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(back, value);
}

#[test]
fn paths_are_told_from_the_working_folder() {
    for (cwd, expected) in [
        ("/etc", "f/jail.conf"),
        ("/", "/etc/f/jail.conf"),
        ("/x", "/etc/f/jail.conf"),
    ] {
        assert_eq!(
            near(Path::new("/etc/f/jail.conf"), Path::new(cwd)),
            Path::new(expected)
        );
    }
}

fn diagnostic(source: &str) -> Diagnostic {
    Diagnostic {
        kind: Kind::Refused,
        jails: vec!["web".into()],
        file: Some("/etc/f/jail.conf".into()),
        line: Some(7),
        source: Some(source.into()),
        option: Some("failregex".into()),
        value: Some("[".into()),
        words: "no".into(),
    }
}

fn render(source: &str, width: usize, colour: bool) -> String {
    let report = Report {
        config_dir: "/etc/f".into(),
        jails: ["web".to_owned()].into(),
        rolled_back: BTreeSet::new(),
        diagnostics: vec![diagnostic(source)],
        unproven: None,
    };
    human::render(
        &report,
        Path::new("/"),
        Style { colour, width },
        "jailwarden",
    )
}

#[test]
fn a_long_line_is_cut_around_the_fault() {
    let source = format!("failregex = {}[{}", "a".repeat(500), "b".repeat(500));
    let text = render(&source, 60, false);
    let line = text.lines().find(|line| line.starts_with("7 |")).unwrap();
    assert!(line.contains('[') && line.chars().count() < 80, "{text}");
}

#[test]
fn colour_is_only_there_when_asked_for() {
    assert!(render("failregex = [", 80, true).contains('\x1b'));
    assert!(!render("failregex = [", 80, false).contains('\x1b'));
}
