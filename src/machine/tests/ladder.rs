//! The order of the rungs, without the restart that takes them.

use std::path::PathBuf;

use super::super::ladder::{Rung, What, changed, known, rungs};
use super::*;

fn words(rungs: &[Rung]) -> String {
    let words = rungs.iter().map(|rung| {
        let what = match &rung.what {
            What::Disable(jails) => format!("disable({})", jails.join(" ")),
            What::PutBack(files) => {
                let names = files.iter().filter_map(|file| file.file_name()?.to_str());
                format!("put-back({})", names.collect::<Vec<_>>().join(" "))
            }
            What::InMemory => "in-memory".to_owned(),
            What::Aside => "aside".to_owned(),
        };
        format!("{}{what}", if rung.guess { "guess:" } else { "" })
    });
    words.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_known(reading: &Reading, may_put_back: bool, expected: &str) {
    let rungs = known(&reading.findings, Some(reading), may_put_back);
    assert_eq!(words(&rungs), expected);
}

#[track_caller]
fn check(reading: &Reading, culprit: &Culprit, changed: &[&str], expected: &str) {
    let changed: Vec<_> = changed.iter().map(|jail| (*jail).to_owned()).collect();
    assert_eq!(words(&rungs(reading, culprit, &changed, true)), expected);
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn general() -> Reading {
    let mut reading = config(&["a", "m"]);
    reading.findings.push(finding(None, true));
    reading
}

/// Blames the line that all of them share.
fn from_one_line(mut reading: Reading) -> Reading {
    for finding in &mut reading.findings {
        finding.line = Some(1);
    }
    reading
}

fn of_no_file(mut reading: Reading) -> Reading {
    for finding in &mut reading.findings {
        finding.file = None;
    }
    reading
}

#[test]
fn what_is_known_is_taken_from_jails_or_files() {
    let (am, amz) = (config(&["a", "m"]), config(&["a", "m", "z"]));
    let one = am.clone().fault("a", true);
    check_known(&am, true, "");
    check_known(&am.clone().fault("a", false), true, "");
    check_known(&one, true, "disable(a)");
    check_known(&one, false, "disable(a)");
    // The files of what is no jail's own, and then all.
    check_known(&general(), true, "put-back(x.conf) put-back()");
    check_known(&general(), false, "");
    check_known(&of_no_file(general()), true, "put-back()");
    let unreadable = am.clone().unreadable();
    check_known(&unreadable, true, "put-back(x.conf) put-back()");
    check_known(&of_no_file(unreadable.clone()), true, "put-back()");
    let unexplained = Reading {
        findings: Vec::new(),
        ..unreadable
    };
    check_known(&unexplained, true, "put-back()");
    let both = general().fault("a", true);
    check_known(&both, true, "disable(a) put-back(x.conf) put-back()");
    // Of several jails from one line: that line.
    let several = amz.fault("a", true).fault("m", true);
    check_known(&several, true, "disable(a m)");
    let shared = from_one_line(several.clone());
    check_known(&shared, true, "put-back(x.conf) disable(a m)");
    check_known(&shared, false, "disable(a m)");
    let twice = from_one_line(one.clone().fault("a", true));
    check_known(&twice, true, "disable(a)");
    // Where no jail is left.
    let all = one.clone().fault("m", true);
    check_known(&all, true, "put-back(x.conf) disable(a m)");
    check_known(&of_no_file(all), true, "put-back() disable(a m)");
    // What is disabled and runs all the same is left to its file.
    let rollbacks = set(&["a"]);
    let in_vain = Reading { rollbacks, ..one };
    check_known(&in_vain, true, "disable(a) put-back(x.conf)");
    let rollbacks = set(&["m"]);
    let others = Reading {
        rollbacks,
        ..in_vain
    };
    check_known(&others, true, "disable(a)");
}

#[test]
fn a_file_that_is_no_jails_own_is_put_back_without_those_of_jails() {
    let mut reading = general().fault("a", true);
    reading.findings[1].file = Some("/etc/fail2ban/jail.d/a.conf".into());
    check_known(&reading, true, "disable(a) put-back(x.conf) put-back()");
    // Nor is one that harms nothing.
    let mut harmless = general().fault("a", false);
    harmless.findings[1].file = Some(PathBuf::from("/etc/fail2ban/jail.d/a.conf"));
    check_known(&harmless, true, "put-back(x.conf) put-back()");
}

#[test]
fn the_rungs_go_from_what_is_blamed_to_what_changed() {
    let reading = config(&["a", "m", "z"]);
    let unknown = Culprit::Unknown;
    check(&reading, &unknown, &[], "");
    check(
        &reading,
        &unknown,
        &["m"],
        "guess:disable(m) guess:put-back()",
    );
    check(
        &reading,
        &unknown,
        &["m", "a"],
        "guess:disable(m) guess:disable(m a) guess:put-back()",
    );
    let without = rungs(&reading, &unknown, &names(&["m"]), false);
    assert_eq!(words(&without), "guess:disable(m)");
    let blamed = reading.clone().fault("m", true);
    check(
        &blamed,
        &unknown,
        &["m", "a"],
        "disable(m) guess:disable(a) guess:disable(m a) guess:put-back()",
    );
    check(&blamed, &unknown, &["m"], "disable(m) guess:put-back()");
    // All files stand there once.
    check(
        &general(),
        &unknown,
        &["m"],
        "put-back(x.conf) put-back() guess:disable(m)",
    );
    check(
        &reading.unreadable(),
        &unknown,
        &["m"],
        "put-back(x.conf) put-back()",
    );
}

#[test]
fn a_culprit_is_blamed_where_it_can_be() {
    let reading = config(&["a", "m", "z"]);
    let config = |jail: &str| Culprit::Config {
        jail: Some(jail.to_owned()),
    };
    check(&reading, &config("z"), &[], "disable(z)");
    check(&reading, &config("gone"), &[], "");
    let surroundings = |jail: Option<&str>, database| Culprit::Surroundings {
        jail: jail.map(str::to_owned),
        database,
    };
    check(&reading, &surroundings(None, false), &["m"], "");
    check(
        &reading,
        &surroundings(None, true),
        &["m"],
        "guess:in-memory",
    );
    check(&reading, &Culprit::Damaged, &["m"], "aside guess:in-memory");
    check(&reading, &surroundings(Some("a"), false), &["m"], "");
    check(
        &reading,
        &surroundings(Some("m"), false),
        &["a", "m"],
        "guess:disable(m)",
    );
}

#[test]
fn what_changed_is_what_was_changed_last_and_what_differs_from_the_last_start() {
    let reading = config_of_versions(&[("a", 1), ("m", 2), ("z", 1)]);
    let recent = names(&["z", "gone"]);
    let proven = config(&["a", "m"]).plan;
    assert_eq!(changed(&reading, None, &recent), ["z"]);
    assert_eq!(changed(&reading, proven.as_ref(), &recent), ["z", "m"]);
    assert_eq!(changed(&reading, proven.as_ref(), &[]), ["m", "z"]);
    // One that is disabled by now changed all the same.
    let rolled_back = reading.clone().rolled_back(&["z"]);
    assert_eq!(changed(&rolled_back, proven.as_ref(), &recent), ["z", "m"]);
    // For want of better evidence, the newest file; but of jails that are there.
    let newest = Reading {
        newest: names(&["gone", "m"]),
        ..reading.clone()
    };
    assert_eq!(changed(&newest, None, &[]), ["m"]);
    assert_eq!(changed(&newest, None, &recent), ["z"]);
    assert_eq!(changed(&newest, proven.as_ref(), &[]), ["m", "z"]);
    assert_eq!(changed(&reading.unreadable(), None, &recent), recent);
}
