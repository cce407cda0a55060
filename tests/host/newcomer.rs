//! What a newcomer does with the README in hand: the package on a fresh host, a jail that breaks, and what
//! happened as the terminal, the journal, the page and Prometheus have it.

use std::fs;

use serde_json::Value;

use crate::docs::bring_tools;
use crate::guarded::Guarded;
use crate::package::{APT, bring, does, fresh};
use crate::support::docs::yaml;
use crate::support::{GUARD, tool, wait_until};

/// Where Prometheus answers.
const PROMETHEUS: &str = "http://127.0.0.1:9090/api/v1";
const DOCUMENTS: &str = "/usr/share/doc/jailwarden";

#[test]
fn a_newcomer_reads_what_happened() {
    let Some(host) = fresh() else { return };
    bring_tools(&host);
    host.jail("mail");
    host.jail("web");
    host.sh("systemctl start fail2ban");
    let is_watched = begin_prometheus(&host);
    bring(&host, &["1.0.0"]);
    does(&host, &format!("{APT} install /root/1.0.0.deb"));
    host.sh("/opt/docs/wait-status 'PROTECTED: all 3 jails'");

    host.sh(
        "sed -i 's/#listen: none/listen: 127.0.0.1:9117/' /etc/jailwarden/jailwarden.yaml
         jailwarden config check; systemctl restart jailwarden; usermod -aG jailwarden nobody",
    );
    host.wait_status("healthy: 3 of 3 jails protect");
    if is_watched {
        bring_rules(&host);
    }

    host.sh("/opt/docs/break-web; systemctl restart fail2ban; /opt/docs/wait-status PARTLY");
    read_terminal(&host);
    read_journal(&host);
    read_page(&host);
    if is_watched {
        read_prometheus(&host);
    }

    host.sh("/opt/docs/mend-web; /opt/docs/wait-status 'PROTECTED: all 3 jails'");
    if is_watched {
        wait_alerts(&host, &[]);
    }
}

/// Each of the words is there, however the lines are broken.
#[track_caller]
fn has(text: &str, all: &[&str]) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in all {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

fn read_terminal(host: &Guarded) {
    let status = host.sh("jailwarden status || [ $? = 1 ]");
    has(
        &status,
        &[
            "PARTLY: 2 of 3 jails protect; web is rolled back",
            "unterminated character set at position 17",
            "fail2ban is down: its process exited",
        ],
    );
    let incidents = host.sh("jailwarden incidents || [ $? = 1 ]");
    has(&incidents, &["fail2ban is down: its process exited", "web"]);
}

fn read_journal(host: &Guarded) {
    let rolled_back = "web disabled so that the others can run";
    let all = host.sh("journalctl --no-pager -u jailwarden -o cat");
    has(&all, &[rolled_back, "/etc/fail2ban/filter.d/web.conf:2"]);
    let explained = host.sh("journalctl --no-pager -x -u jailwarden");
    has(
        &explained,
        &[
            "A jail of fail2ban was disabled so that the others can run",
            "jailwarden rollback undo web",
        ],
    );
    let between = host.sh("journalctl --no-pager -u fail2ban -o cat");
    has(&between, &[rolled_back]);
    let lost = host.sh("journalctl --no-pager -t jailwarden -p crit -o cat");
    has(&lost, &["fail2ban is down: its process exited"]);
}

fn read_page(host: &Guarded) {
    let page = host.sh("curl -sS --fail http://127.0.0.1:9117/");
    has(
        &page,
        &[
            "<h1>Partly protected</h1>",
            "2 of 3 jails protect; web is rolled back",
            "unterminated character set at position 17",
            "fail2ban is down: its process exited",
        ],
    );
    // The group may read, and what changes is not for the page nor for the group.
    let nobody = "setpriv --reuid nobody --regid nogroup --init-groups";
    let socket = "--unix-socket /run/jailwarden/control.sock http://localhost";
    for (asks, path, status) in [
        (format!("{nobody} curl {socket}"), "/api/status", "200"),
        (
            format!("{nobody} curl -X POST {socket}"),
            "/api/config/restart",
            "403",
        ),
        (
            "curl -X POST http://127.0.0.1:9117".to_owned(),
            "/api/config/restart",
            "403",
        ),
    ] {
        let got = host.sh(&format!(
            "{asks}{path} -sS -o /dev/null -w '%{{http_code}}'"
        ));
        assert_eq!(got, status, "{asks}{path}");
    }
}

/// A Prometheus with what the documents say in its config; only that it looks all the time.
fn begin_prometheus(host: &Guarded) -> bool {
    let Some(program) = tool("prometheus") else {
        return false;
    };
    fs::copy(program, host.root().join("opt/prometheus")).unwrap();
    let config = yaml("docs/fleet.md", "# /etc/prometheus/prometheus.yml");
    let config = format!("global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{config}");
    host.write("/etc/prometheus/prometheus.yml", &config);
    host.sh(
        "systemd-run --quiet --unit prometheus /opt/prometheus --storage.tsdb.path=/var/lib/prometheus \
         --config.file=/etc/prometheus/prometheus.yml --web.listen-address=127.0.0.1:9090",
    );
    true
}

/// Takes over the package's rules; only that none waits before it fires.
fn bring_rules(host: &Guarded) {
    host.sh(&format!(
        "install -t /etc/prometheus {DOCUMENTS}/prometheus/jailwarden.rules.yml
         sed -i '/^ *for: /d' /etc/prometheus/jailwarden.rules.yml
         systemctl kill --signal HUP prometheus"
    ));
    // So that it has seen how it was before.
    let seen = wait_until(GUARD, || {
        let found = query(host, "count_over_time(jailwarden_protection[1m]) > 1");
        (!found.is_empty()).then_some(())
    });
    assert!(seen.is_some(), "{}", host.journal("prometheus"));
}

/// What Prometheus answers, or null while it does not.
fn ask(host: &Guarded, words: &[&str]) -> Value {
    let done = host.run(&[&["curl", "-sS"], words].concat());
    serde_json::from_slice(&done.stdout).unwrap_or_default()
}

fn query(host: &Guarded, expression: &str) -> Vec<Value> {
    let expression = format!("query={expression}");
    let url = format!("{PROMETHEUS}/query");
    let answer = ask(host, &["--data-urlencode", &expression, &url]);
    assert_ne!(answer["status"], "error", "{expression}: {answer}");
    let found = answer["data"]["result"].as_array();
    found.cloned().unwrap_or_default()
}

/// Waits until these alerts fire, and no other.
fn wait_alerts(host: &Guarded, names: &[&str]) {
    let firing = || {
        let answer = ask(host, &[&format!("{PROMETHEUS}/alerts")]);
        let alerts = answer["data"]["alerts"].as_array()?.iter();
        let mut firing: Vec<_> = alerts
            .filter(|alert| alert["state"] == "firing")
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect();
        firing.sort();
        Some(firing)
    };
    let as_wanted = wait_until(GUARD, || (firing()? == names).then_some(()));
    assert!(as_wanted.is_some(), "not {names:?} but {:?}", firing());
}

fn read_prometheus(host: &Guarded) {
    wait_alerts(host, &["HostPartlyProtected", "JailRolledBack"]);
    // Each panel has something to show.
    let board = host.sh(&format!("cat {DOCUMENTS}/grafana/jailwarden.json"));
    let board: Value = serde_json::from_str(&board).unwrap();
    let targets = board["panels"].as_array().unwrap().iter();
    let targets = targets.flat_map(|panel| panel["targets"].as_array().unwrap());
    for target in targets {
        let expression = target["expr"].as_str().unwrap();
        let expression = expression
            .replace("$instance", ".*")
            .replace("$__rate_interval", "1m");
        let shown = wait_until(GUARD, || {
            let found = query(host, &expression);
            let is_number = |it: &Value| it["value"][1].as_str().is_some_and(|it| it != "NaN");
            found.iter().any(is_number).then_some(())
        });
        assert!(shown.is_some(), "nothing to show: {expression}");
    }
}
