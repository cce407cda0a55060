//! What systemd does with fail2ban by itself, or refuses to do, is told from what an admin wants.

use crate::guarded::{Guarded, QUICK};

const DROP_IN: &str = "/run/systemd/system/fail2ban.service.d/test.conf";

/// `systemctl mask` without `--now` lets it run on, and no other could be started in its place.
#[test]
fn a_unit_that_is_masked_while_it_runs() {
    let Some(host) = Guarded::begin() else { return };
    let fail2ban = host.main_pid("fail2ban");
    host.sh("systemctl mask --quiet fail2ban");
    let refused = host.run(&["jailwarden", "restart"]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{refused:?}");
    assert!(why.contains("while its unit is masked"), "{refused:?}");

    host.sh("rm /run/fail2ban/fail2ban.sock");
    host.wait_said("it is not restarted while its unit is masked");
    host.wait_all_protect();
    assert_eq!(host.main_pid("fail2ban"), fail2ban);

    host.mark();
    host.sh("systemctl unmask --quiet fail2ban");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    assert_ne!(host.main_pid("fail2ban"), fail2ban);
}

/// `Result=timeout` of a unit, which a stop has too that took too long.
#[test]
fn a_start_and_a_run_that_systemd_ends() {
    let Some(host) = Guarded::begin() else { return };
    let limit = |words: &str| {
        host.mark();
        host.write(DROP_IN, &format!("[Service]\nRestart=no\n{words}\n"));
        host.sh("systemctl daemon-reload");
    };
    let recovers = || {
        host.wait_said("systemd ended it, as it may not take longer to start");
        host.sh(&format!("rm {DROP_IN}; systemctl daemon-reload"));
        host.wait_said("fail2ban protects again");
        host.wait_all_protect();
        assert!(!host.said().contains("on purpose"), "{}", host.said());
    };
    // Long enough to be taken away before it is over again.
    limit("RuntimeMaxSec=10s");
    recovers();
    limit("TimeoutStartSec=2s\nExecStartPre=/bin/sleep 100");
    host.kill("fail2ban", "KILL");
    recovers();
}

#[test]
fn a_start_behind_a_unit_that_hangs() {
    let Some(host) = Guarded::begin() else { return };
    let settings = format!("{QUICK}restart:\n  stop_timeout: 2s\n");
    host.write("/etc/jailwarden/jailwarden.yaml", &settings);
    host.write(
        "/run/systemd/system/hangs.service",
        "[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/sleep 1000\n",
    );
    host.write(
        DROP_IN,
        "[Unit]\nWants=hangs.service\nAfter=hangs.service\n",
    );
    host.sh("systemctl reload jailwarden; systemctl daemon-reload; \
         systemctl restart --no-block fail2ban");
    host.wait_said("systemd has had a job on its unit for");
    host.wait_said("What it waits for: systemctl list-jobs");
    host.sh("systemctl list-jobs | grep -q 'hangs.service *start running'");
    host.sh("systemctl kill hangs");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
}

/// For a moment there is nobody to ask then, as whenever packages of systemd's are updated.
#[test]
fn systemd_begins_anew_while_fail2ban_is_down() {
    let Some(host) = Guarded::begin() else { return };
    host.write(DROP_IN, "[Service]\nRestart=no\n");
    host.sh("systemctl daemon-reload");
    for hundredths in 0..6 {
        host.mark();
        host.sh(&format!(
            "pid=$(systemctl show --value --property=MainPID fail2ban); \
             systemctl daemon-reexec & sleep 0.{hundredths:02}; kill -KILL $pid; wait"
        ));
        host.wait_said("fail2ban protects again");
        host.wait_all_protect();
        assert!(
            !host.said().contains("systemd cannot be asked"),
            "{}",
            host.said()
        );
        assert!(!host.said().contains("systemd does not"), "{}", host.said());
    }
}
