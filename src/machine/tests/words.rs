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

/// As it is written in the code, in lower case and with hyphens.
fn hyphened(name: impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for letter in format!("{name:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[test]
fn programs_are_told_kinds_and_priorities_as_the_documents_name_them() {
    for kind in Kind::ALL {
        assert_eq!(kind.name(), hyphened(kind));
        assert_eq!(kind.priority().name(), hyphened(kind.priority()));
    }
}

#[test]
fn the_first_report_says_what_protects_and_what_is_disabled() {
    let rig = Rig::stock(
        Memory::default(),
        config(&["a", "m"]),
        with_dead(7, &["a", "m"], &["m"]),
    );
    let told = &rig.told[0].message;
    assert_eq!(
        told,
        "supervision begins: fail2ban runs (process 7); 1 of 2 jails protect"
    );
    let disabled = config(&["a", "m"]).rolled_back(&["m"]);
    let rig = Rig::stock(Memory::default(), disabled, answers(&["a"]));
    let told = &rig.told[0].message;
    assert!(
        told.ends_with("1 of 1 jail protects; disabled by a rollback: m"),
        "{told}"
    );
}

#[test]
fn what_is_to_be_typed_for_jails_that_were_stopped_fits_on_a_line() {
    let told = |count: u8| {
        let jails: Vec<_> = (0..=count)
            .map(|at| char::from(b'a' + at).to_string())
            .collect();
        let jails: Vec<_> = jails.iter().map(String::as_str).collect();
        let mut rig = Rig::healthy(&jails);
        rig.sees_for(3, &answers(&jails[..1])).does("JailHeld");
        rig.told.pop().unwrap().message
    };
    let eight = told(8);
    assert_eq!(eight.matches("reload --if-exists").count(), 8, "{eight}");
    let nine = told(9);
    assert!(nine.contains("reload --if-exists JAIL for each"), "{nine}");
}

#[test]
fn how_to_start_what_is_masked_is_told() {
    let mut masked = unit_stopped();
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(masked.clone()));
    let told = &rig.told.last().unwrap().message;
    assert!(
        told.ends_with("To start it: systemctl start fail2ban.service"),
        "{told}"
    );
    masked.load = "masked".into();
    let mut rig = Rig::healthy(&["a"]);
    rig.exits(7).sees(absent(masked)).does("Standby");
    let told = &rig.told.last().unwrap().message;
    let unmask = "systemctl unmask fail2ban.service && systemctl start fail2ban.service";
    assert!(told.ends_with(unmask), "{told}");
}
