//! jailwarden's own life under systemd.

use std::time::{Duration, Instant};

use crate::guarded::Guarded;
use crate::support::wait_until;

const JOURNALD: &str = "systemd-journald.socket systemd-journald-dev-log.socket \
                        systemd-journald-audit.socket systemd-journald.service";
const DROP_IN: &str = "/run/systemd/system/jailwarden.service.d/test.conf";

#[test]
fn jailwarden_is_killed() {
    let Some(host) = Guarded::begin() else { return };
    let fail2ban = host.main_pid("fail2ban");

    let before = host.main_pid("jailwarden");
    host.kill("jailwarden", "KILL");
    host.wait_new_process("jailwarden", &before);
    host.wait_said("supervision begins: fail2ban runs");
    host.assert_no_alarm();
    host.wait_all_protect();
    assert_eq!(host.main_pid("fail2ban"), fail2ban);

    // In the middle of a recovery: it has stopped a daemon that lost its socket, which takes its
    // time to go, and was about to start it again.
    host.mark();
    host.write(
        "/run/systemd/system/fail2ban.service.d/test.conf",
        "[Service]\nRestart=no\n",
    );
    host.sh("systemctl daemon-reload");
    let before = host.main_pid("jailwarden");
    host.sh("rm /run/fail2ban/fail2ban.sock");
    host.wait_said("jailwarden restarts it");
    host.kill("jailwarden", "KILL");
    host.wait_new_process("jailwarden", &before);
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");
}

#[test]
fn jailwarden_is_stopped_and_started() {
    let Some(host) = Guarded::begin() else { return };
    let fail2ban = host.main_pid("fail2ban");
    let asked = Instant::now();
    host.sh("systemctl stop jailwarden");
    // The promise is under a second; a loaded machine gets more.
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "TimeoutStopSec is 5 s"
    );
    assert_eq!(host.property("jailwarden", "Result"), "success");
    host.wait_said("supervision ends; fail2ban is left as it is");
    host.wait_all_protect();
    assert_eq!(host.main_pid("fail2ban"), fail2ban);

    host.mark();
    host.sh("systemctl start jailwarden");
    host.wait_said("supervision begins: fail2ban runs");
    host.wait_status("healthy");
    host.assert_no_alarm();
    let status = host.sh("systemctl status jailwarden");
    assert!(
        status.contains("Status: \"healthy: 2 of 2 jails protect"),
        "{status}"
    );
}

#[test]
fn the_settings_are_read_again() {
    const SETTINGS: &str = "/etc/jailwarden/jailwarden.yaml";
    let Some(host) = Guarded::begin() else { return };
    let before = host.main_pid("jailwarden");

    host.write(SETTINGS, "probe:\n  interval: 2s\n");
    host.sh("systemctl reload jailwarden");
    host.wait_said("the settings were read again");
    host.assert_no_alarm();

    host.write(SETTINGS, "probe:\n  intervall: 2s\n");
    host.sh("systemctl reload jailwarden");
    host.wait_said("the new settings are faulty, the old ones stay");
    let said = host.said();
    assert!(
        said.contains("jailwarden.yaml") && said.contains("interval"),
        "{said}"
    );
    host.assert_explained();
    let check = host.run(&["jailwarden", "config", "check"]);
    assert!(!check.status.success());

    assert_eq!(host.main_pid("jailwarden"), before);
    host.wait_state("jailwarden", "active");
    host.kill("fail2ban", "KILL");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
}

#[test]
fn the_api_is_for_the_group_and_changes_are_for_root() {
    const CURL: &str =
        "curl -sS -o /dev/null -w '%{http_code}' --unix-socket /run/jailwarden/control.sock";
    let Some(host) = Guarded::begin() else { return };
    let owner = || host.sh("stat -c '%a %U:%G' /run/jailwarden/control.sock");
    let code = |user: &str, words: &str| {
        let setpriv = format!("setpriv --reuid={user} --regid={user} --init-groups");
        host.sh(&format!("{setpriv} {CURL} {words} || true"))
    };
    let (status, restart) = (
        "http://localhost/api/status",
        "-X POST http://localhost/api/config/restart",
    );
    assert_eq!(owner().trim(), "600 root:root");
    host.sh("useradd --user-group alice && useradd --user-group bob");
    host.sh("groupadd --system jailwarden && usermod -aG jailwarden alice");
    host.sh("echo 'page: {listen: 127.0.0.1:9117}' >>/etc/jailwarden/jailwarden.yaml");
    host.sh("systemctl restart jailwarden");
    host.wait_status("healthy");
    assert_eq!(owner().trim(), "660 root:jailwarden");
    assert_eq!(code("alice", status).trim(), "200");
    assert_eq!(code("alice", restart).trim(), "403");
    assert_eq!(code("bob", status).trim(), "000");
    // The page is for everybody on the host, who may only look.
    let page = |words: &str| {
        let curl = format!("curl -sS -w '\n%{{http_code}}' {words}");
        host.sh(&format!(
            "setpriv --reuid=bob --regid=bob --init-groups {curl}"
        ))
    };
    let said = page("http://localhost:9117/");
    assert!(
        said.contains("<h1>Protected</h1>") && said.ends_with("200"),
        "{said}"
    );
    assert!(page("http://127.0.0.1:9117/api/status").ends_with("200"));
    assert!(page("-X POST http://127.0.0.1:9117/api/config/restart").ends_with("403"));

    let before = host.main_pid("fail2ban");
    assert_eq!(code("root", restart).trim(), "204");
    host.wait_new_process("fail2ban", &before);
    host.wait_all_protect();
    host.sh("systemctl stop jailwarden");
    assert_eq!(code("root", status).trim(), "000");
}

#[test]
fn jailwarden_hangs() {
    let Some(host) = Guarded::begin() else { return };
    host.write(DROP_IN, "[Service]\nWatchdogSec=4\nTimeoutAbortSec=1\n");
    host.sh("systemctl daemon-reload; systemctl restart jailwarden");
    host.wait_said("supervision begins");
    let fail2ban = host.main_pid("fail2ban");

    // It feeds the watchdog while it is well.
    let before = host.main_pid("jailwarden");
    let ended = wait_until(Duration::from_secs(6), || {
        (host.main_pid("jailwarden") != before).then_some(())
    });
    assert!(ended.is_none(), "{}", host.journal("jailwarden"));

    host.mark();
    host.kill("jailwarden", "STOP");
    host.wait_new_process("jailwarden", &before);
    let unit = host.journal_since("--unit jailwarden");
    assert!(unit.contains("Watchdog timeout"), "{unit}");
    host.wait_said("supervision begins: fail2ban runs");
    assert_eq!(host.main_pid("fail2ban"), fail2ban);
    host.wait_all_protect();
}

#[test]
fn the_journal_is_dead() {
    let Some(host) = Guarded::begin() else { return };
    let jailwarden = host.main_pid("jailwarden");

    // It takes records, and never reads them.
    host.kill("systemd-journald", "STOP");
    let before = host.main_pid("fail2ban");
    host.kill("fail2ban", "KILL");
    host.wait_new_process("fail2ban", &before);
    host.wait_all_protect();
    host.kill("systemd-journald", "CONT");
    host.wait_said("fail2ban protects again");

    // Nobody is there to take them.
    host.sh(&format!("systemctl stop {JOURNALD}"));
    let before = host.main_pid("fail2ban");
    host.kill("fail2ban", "KILL");
    host.wait_new_process("fail2ban", &before);
    host.wait_all_protect();
    assert_eq!(host.main_pid("jailwarden"), jailwarden);

    // It owns up to what is missing.
    host.sh(&format!("systemctl start {JOURNALD}"));
    host.sh("systemctl reload jailwarden");
    host.wait_said("the settings were read again");
    let said = host.said();
    assert!(
        said.contains("could not be written to the journal"),
        "{said}"
    );
}
