//! The small words that reports are made of.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::super::words::{fault, jails, names, protecting, seconds, spans};
use super::*;

/// The entries of the catalog, by the id of their kind.
static CATALOG: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(|| {
    let entries = include_str!("../../../systemd/jailwarden.catalog").split("\n-- ");
    entries.filter_map(|entry| entry.split_once('\n')).collect()
});

/// A report has the fields that the entry of its kind shows: `journalctl -x` prints the name of one that is
/// missing.
#[track_caller]
pub(super) fn assert_explained(report: &Report) {
    let entry = CATALOG[report.kind.message_id()];
    for (field, is_there) in [
        ("INCIDENT", report.incident.is_some()),
        ("JAIL", !report.jails.is_empty()),
        ("REASON", report.reason.is_some()),
        ("FILE", report.file.is_some()),
        ("LINE", report.line.is_some()),
    ] {
        let is_shown = entry.contains(&format!("@JAILWARDEN_{field}@"));
        assert!(is_there || !is_shown, "no {field}: {report:?}");
    }
}

#[test]
fn a_fault_is_told_with_as_much_of_its_place_as_is_known() {
    let whole = finding(Some("m"), true);
    assert_eq!(
        fault(&whole),
        "/etc/fail2ban/jail.d/x.conf:3: jail m: m is faulty"
    );
    let no_line = Finding {
        line: None,
        words: "it is wrong.".into(),
        ..whole.clone()
    };
    assert_eq!(
        fault(&no_line),
        "/etc/fail2ban/jail.d/x.conf: jail m: it is wrong"
    );
    let bare = Finding {
        file: None,
        jail: None,
        ..whole
    };
    assert_eq!(fault(&bare), "m is faulty");
}

#[test]
fn many_names_are_counted() {
    let all: Vec<_> = ('a'..='k').map(String::from).collect();
    let some = |count: usize| names(&all[..count].iter().cloned().collect());
    assert_eq!(some(1), "a");
    assert_eq!(some(8), "a, b, c, d, e, f, g, h");
    assert_eq!(some(9), "a, b, c, d, e, f, g, h and 1 more");
    assert_eq!(some(11), "a, b, c, d, e, f, g, h and 3 more");
}

#[test]
fn numbers_and_their_nouns_agree() {
    let counts = [0, 1, 2];
    assert_eq!(counts.map(jails), ["0 jails", "1 jail", "2 jails"]);
    assert_eq!(
        counts.map(protecting),
        ["0 jails protect", "1 jail protects", "2 jails protect"]
    );
}

#[test]
fn spans_are_told_in_tenths_of_a_second_the_longest_first() {
    assert_eq!(seconds(ms(12_340)), "12.3 s");
    let of = |jail: &str, millis| (jail.to_owned(), ms(millis));
    let all: BTreeMap<_, _> = [of("a", 940), of("m", 12_000), of("z", 860)].into();
    assert_eq!(spans(&all), "m 12.0 s, a, z 0.9 s");
}
