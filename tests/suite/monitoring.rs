//! The rules for Prometheus and the dashboard that are shipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::tool;

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(path)
}

fn promtool(args: &[&str]) -> Option<String> {
    let program = tool("promtool")?;
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

fn dashboard() -> (String, Value) {
    let text = fs::read_to_string(shipped("grafana/jailwarden.json")).unwrap();
    let dashboard = serde_json::from_str(&text).unwrap();
    (text, dashboard)
}

/// Every value of that key, at any depth.
fn values<'a>(of: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match of {
        Value::Object(members) => {
            found.extend(members.get(key));
            members.values().for_each(|it| values(it, key, found));
        }
        Value::Array(items) => items.iter().for_each(|it| values(it, key, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_uses_rules_that_are_there() {
    let (text, dashboard) = dashboard();
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

/// Grafana would import it into any place: what it asks is `PromQL`, and asked of whichever data source is
/// chosen.
#[test]
fn the_dashboard_asks_any_prometheus() {
    let (_, dashboard) = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let is_source = |it: &&Value| it["type"] == "datasource" && it["query"] == "prometheus";
    let source = variables.iter().find(is_source).unwrap();
    let uid = format!("${{{}}}", source["name"].as_str().unwrap());
    let mut sources = Vec::new();
    values(&dashboard, "datasource", &mut sources);
    assert!(sources.len() > 20);
    for source in sources {
        assert_eq!(*source, json!({ "type": "prometheus", "uid": uid }));
    }

    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [left, width] = ["x", "w"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(left + width <= 24, "{panel}");
    }

    let mut asked = Vec::new();
    values(&dashboard, "expr", &mut asked);
    assert!(asked.len() >= ids.len());
    // As promtool reads expressions: in rules.
    let rules = asked.iter().enumerate().map(|(nth, asked)| {
        let asked = asked.as_str().unwrap();
        let asked = asked
            .replace("$instance", ".*")
            .replace("$__rate_interval", "1m");
        assert!(!asked.contains('$'), "{asked}");
        json!({ "record": format!("asked:{nth}"), "expr": asked })
    });
    let rules = json!({ "groups": [{ "name": "asked", "rules": rules.collect::<Vec<_>>() }] });
    let file = tempfile::NamedTempFile::new().unwrap();
    // JSON is YAML.
    fs::write(&file, rules.to_string()).unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()]);
}
