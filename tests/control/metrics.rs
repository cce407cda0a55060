//! What the shipped rules and the dashboard ask for is told by a real jailwarden.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek as _, Write as _};
use std::process::Command;

use super::caller::{Caller, SETTINGS, daemon, supervised};
use crate::support::daemon::Warden;
use crate::support::{GUARD, tool, wait_until};

const SHIPPED: [(&str, &str); 4] = [
    ("the document", include_str!("../../docs/fleet.md")),
    (
        "the rules",
        include_str!("../../config/prometheus/jailwarden.rules.yml"),
    ),
    (
        "their tests",
        include_str!("../../config/prometheus/jailwarden.rules.test.yml"),
    ),
    (
        "the dashboard",
        include_str!("../../config/grafana/jailwarden.json"),
    ),
];

/// Labels whose values are jailwarden's own words; those of the others are the host's.
const OURS: [&str; 4] = ["cause", "kind", "level", "state"];

fn exposition(caller: &Caller) -> String {
    let output = caller.curl("/metrics").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Every metric that a text names, each with the labels that it is asked for with. What rules record is
/// named with what it is for before it, as in `instance:jailwarden_…`.
fn metrics(text: &str) -> BTreeSet<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let found = text.match_indices("jailwarden_").filter_map(|(at, _)| {
        let is_whole = !text[..at].ends_with(|c: char| is_part(c) || c == ':');
        let rest = &text[at..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let labels = rest.strip_prefix('{').and_then(|it| it.split_once('}'));
        // A label, which a further instance alone has.
        let is_metric = is_whole && name != "jailwarden_instance";
        is_metric.then_some((name, labels.map_or("", |(labels, _)| labels)))
    });
    found.collect()
}

/// The `label="value"` of ours in a list, where that very value is asked for.
fn wanted(labels: &str) -> Vec<String> {
    let labels = labels.replace('\\', "");
    let each = labels.split(',').filter(|it| {
        let label = it.split_once("=\"").map(|(label, _)| label.trim());
        label.is_some_and(|label| OURS.contains(&label))
    });
    each.map(|it| it.trim().to_owned()).collect()
}

#[test]
fn every_metric_that_is_asked_for_is_told() {
    let Some((f2b, _warden, caller)) = supervised() else {
        return;
    };
    // So that there was a start.
    f2b.kill();
    let has = |text: &str, name: &str, label: &str| {
        let mut samples = text.lines().filter_map(|line| line.strip_prefix(name));
        samples.any(|rest| rest.starts_with([' ', '{']) && rest.contains(label))
    };
    let told = wait_until(GUARD, || {
        let text = exposition(&caller);
        let is_all = has(&text, "jailwarden_starts_total", "cause=\"down\"")
            && has(&text, "jailwarden_jail_banned", "")
            && has(&text, "jailwarden_jails_listed", " 2")
            && has(&text, "jailwarden_daemon_up", " 1");
        is_all.then_some(text)
    });
    let told = told.unwrap_or_else(|| panic!("{}", exposition(&caller)));
    for (whose, text) in SHIPPED {
        let asked = metrics(text);
        assert!(asked.len() > 5, "{whose}: {asked:?}");
        for (name, labels) in asked {
            assert!(has(&told, name, ""), "{whose}: no {name} in\n{told}");
            for label in wanted(labels) {
                // A cause is told once there was one.
                let is_told = label.starts_with("cause=") || has(&told, name, &label);
                assert!(is_told, "{whose}: no {name} with {label} in\n{told}");
            }
        }
    }
    check(&told);
    let named: BTreeSet<_> = metrics(include_str!("../../docs/fleet.md"))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for line in told.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let end = match kind {
            "counter" => "_total",
            "histogram" => "_bucket",
            _ => "",
        };
        let name = format!("{name}{end}");
        assert!(named.contains(name.as_str()), "docs/fleet.md lacks {name}");
    }
}

/// promtool finds nothing wrong. It reads the form that was there before `OpenMetrics`, as `node_exporter`
/// does, in which the help of a counter stands at its whole name.
fn check(text: &str) {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    let checked = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    // It ends with 3 where it read all and would have it nicer.
    assert_eq!(checked.status.code(), Some(3), "{said}");
    let wrong = said.lines().find(|it| !it.ends_with("_total no help text"));
    assert_eq!(wrong, None, "{text}");
}

#[test]
fn a_start_that_cannot_be_given_is_not_counted() {
    let Some(f2b) = daemon() else { return };
    let nowhere = ["/nowhere/at-all".to_owned()];
    let warden = Warden::start_with(&f2b, &nowhere, SETTINGS);
    warden.wait_for("supervision begins");
    f2b.kill();
    warden.wait_for("/nowhere/at-all");
    let told = exposition(&Caller::new(&Warden::control(&f2b)));
    assert!(
        told.contains("jailwarden_state{state=\"gave-up\"} 1"),
        "{told}"
    );
    assert!(!told.contains("jailwarden_starts_total{"), "{told}");
}

#[test]
fn the_textfile_of_one_that_ends_is_removed() {
    let Some(f2b) = daemon() else { return };
    // As one that was killed leaves it.
    let textfile = f2b.path("jailwarden.prom");
    fs::write(&textfile, "jailwarden_daemon_up 1\n").unwrap();
    let extra = format!("metrics:\n  textfile: {}\n", textfile.display());
    let mut warden = Warden::start(&f2b, &extra);
    warden.wait_for("supervision begins");
    assert!(textfile.exists());
    assert_eq!(warden.end(), 0);
    assert!(!textfile.exists());
}
