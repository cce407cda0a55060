//! What systemd does with fail2ban by itself is told from what an admin wants.

use crate::guarded::Guarded;

const DROP_IN: &str = "/run/systemd/system/fail2ban.service.d/test.conf";

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
