//! jailwarden is killed right before and right after the steps of a recovery on a real host, where systemd starts it
//! again and fail2ban is a unit (`src/shell/failpoint.rs`, `tests/crash`).

use crate::guarded::Guarded;
use crate::support::{GUARD, is_everything_tested, wait_until};

const FILTER: &str = "/etc/fail2ban/filter.d/web.conf";
const ROLLBACKS: &str = "ls /etc/fail2ban/jail.d | grep -c ^zzz-jailwarden- || true";
/// Where the unit may write.
const FAILPOINTS: &str = "/var/lib/jailwarden/failpoints";
const DROP_IN: &str = "/run/systemd/system/jailwarden.service.d/test.conf";
/// Right after what changes the config or the daemon; `JAILWARDEN_ALL=1` takes all sides of all steps but looks.
const HARMFUL: [&str; 2] = ["after WriteRollback", "after Start"];

const DISABLED: &str = "degraded: 1 of 1 jails protect; disabled by a rollback: web";

/// A change that fail2ban does not start with, and its unit started again by hand. jailwarden is killed once, at
/// `side` of a step, if there is one that time.
fn breaks(host: &Guarded, side: &str) -> bool {
    host.mark();
    host.sh(&format!(
        "sed -i 's/^failregex.*/failregex = fail from <HOST> [/' {FILTER}; \
         systemctl restart fail2ban || true"
    ));
    let reached = format!("grep -qx '{side}' {FAILPOINTS}/reached");
    let is_reached = || host.run(&["sh", "-c", &reached]).status.success();
    let is_over = || {
        host.property("jailwarden", "StatusText")
            .starts_with(DISABLED)
    };
    let end = wait_until(GUARD, || (is_reached() || is_over()).then_some(()));
    assert!(end.is_some(), "{side}: {}", host.said());
    host.sh(&format!("rm {FAILPOINTS}/kill"));
    // A jailwarden that finds it protecting again says so where supervision begins.
    host.wait_status(DISABLED);
    host.wait_protects("sshd");
    is_reached()
}

/// As it was before the change.
fn mends(host: &Guarded) {
    host.sh(&format!("rm -f {FAILPOINTS}/*; cp /root/web.conf {FILTER}"));
    host.wait_status("healthy: 2 of 2 jails protect");
    assert_eq!(host.sh(ROLLBACKS).trim(), "0");
}

#[test]
fn each_step_of_a_rollback_with_a_unit() {
    let Some(host) = Guarded::begin() else { return };
    host.write(
        DROP_IN,
        &format!("[Service]\nEnvironment=JAILWARDEN_FAILPOINTS={FAILPOINTS}\n"),
    );
    host.sh(&format!(
        "cp {FILTER} /root/web.conf; mkdir {FAILPOINTS}; systemctl daemon-reload"
    ));
    let begin = |kill: &str| {
        host.mark();
        host.write(&format!("{FAILPOINTS}/kill"), kill);
        // The restarts of the run before count against the budget.
        host.sh("systemctl stop jailwarden; rm -f /var/lib/jailwarden/state.json; systemctl start jailwarden");
        host.wait_said("supervision begins: fail2ban runs");
        host.wait_status("healthy: 2 of 2 jails protect");
        host.sh(&format!("rm -f {FAILPOINTS}/reached"));
    };
    begin("never");
    breaks(&host, "never");
    let reached = host.sh(&format!("cat {FAILPOINTS}/reached"));
    mends(&host);
    let is_taken = |line: &&str| {
        let harmful = HARMFUL.iter().any(|side| line.starts_with(side));
        // A look that a later one replaces has no end.
        harmful || (is_everything_tested() && !line.contains(" Look "))
    };
    let sides: Vec<_> = reached.lines().filter(is_taken).collect();
    assert!(sides.len() >= HARMFUL.len(), "{reached}");
    let mut killed = 0;
    for side in &sides {
        begin(side);
        let before = host.main_pid("jailwarden");
        let is_killed = breaks(&host, side);
        assert_eq!(host.sh(ROLLBACKS).trim(), "1", "{side}: {}", host.said());
        assert_eq!(host.processes("fail2ban.service").len(), 1, "{side}");
        host.sh(&format!("grep -q '<HOST> \\[' {FILTER}"));
        assert_eq!(host.main_pid("jailwarden") != before, is_killed, "{side}");
        killed += usize::from(is_killed);
        mends(&host);
    }
    eprintln!("killed at {killed} of {} sides of steps", sides.len());
    // systemd's own restart of fail2ban comes in between, or not.
    assert!(2 * killed >= sides.len(), "{killed} of {}", sides.len());
}
