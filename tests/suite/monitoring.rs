//! The rules for Prometheus and the dashboard that are shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::skip;

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(path)
}

/// `scripts/setup test` fetches it.
fn promtool(args: &[&str]) -> Option<String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/promtool");
    if !program.exists() {
        skip("promtool is not there");
        return None;
    }
    let output = Command::new(program)
        .args(args)
        .current_dir(shipped("prometheus"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    Some(said)
}

#[test]
fn the_rules_say_what_they_should() {
    let Some(checked) = promtool(&["check", "rules", "jailwarden.rules.yml"]) else {
        return;
    };
    assert!(checked.contains("SUCCESS"), "{checked}");
    promtool(&["test", "rules", "jailwarden.rules.test.yml"]);
}

#[test]
fn every_alert_is_tested() {
    let rules = fs::read_to_string(shipped("prometheus/jailwarden.rules.yml")).unwrap();
    let tests = fs::read_to_string(shipped("prometheus/jailwarden.rules.test.yml")).unwrap();
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let untested: Vec<_> = alerts
        .filter(|alert| !tests.contains(&format!("alertname: {alert}\n")))
        .collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn the_dashboard_is_json_and_uses_rules_that_are_there() {
    let text = fs::read_to_string(shipped("grafana/jailwarden.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|it| it.len() > 5)
    );
    let rules = fs::read_to_string(shipped("prometheus/jailwarden.rules.yml")).unwrap();
    for used in text.split("instance:jailwarden").skip(1) {
        let name = used.split(['{', '"', ' ', ')']).next().unwrap_or_default();
        let record = format!("- record: instance:jailwarden{name}\n");
        assert!(
            rules.contains(&record),
            "no rule records instance:jailwarden{name}"
        );
    }
}
