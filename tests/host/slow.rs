//! A start that takes long is waited for, and no jail is to blame for that.

use crate::guarded::{Guarded, QUICK};

/// The processor is in use all the time, as by a slow machine with much to load.
const WRAPPED: &str = "[Service]\nRestart=no\nExecStart=\n\
     ExecStart=/bin/bash -c 'while ((SECONDS < 8)); do :; done; exec /usr/bin/fail2ban-server -xf start'\n";

#[test]
fn a_start_that_takes_long_costs_no_jail() {
    let Some(host) = Guarded::begin() else { return };
    let settings = format!("{QUICK}restart:\n  comeback: 3s\n");
    host.write("/etc/jailwarden/jailwarden.yaml", &settings);
    host.sh("systemctl reload jailwarden");
    host.wait_said("the settings were read again");
    host.write("/run/systemd/system/fail2ban.service.d/test.conf", WRAPPED);
    host.sh("systemctl daemon-reload");
    host.mark();
    // A jail that has just changed would be the first to be suspected.
    host.sh("sed -i 's/maxretry = 5/maxretry = 4/' /etc/fail2ban/jail.d/web.conf");
    host.wait_said("config change applied: loaded web");
    host.kill("fail2ban", "KILL");
    host.wait_said("is at work; jailwarden waits until 30.0 s after the start");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");
    let said = host.said();
    assert!(!said.contains("disabled so that"), "{said}");
    host.sh("! ls /etc/fail2ban/jail.d/zzz-jailwarden-*");
    let starts = host.sh("grep -c 'Starting Fail2ban' /var/log/fail2ban.log");
    assert_eq!(starts.trim(), "2", "{said}");
}
