//! What an admin does by hand is not fought, and is remembered over jailwarden's own end.

use crate::guarded::Guarded;

/// jailwarden looks at the config, and so at the jails, once more.
fn wait_another_look(host: &Guarded, bantime: u32) {
    let file = "/etc/fail2ban/jail.d/bantime.local";
    host.write(file, &format!("[sshd]\nbantime = {bantime}\n"));
    host.wait_said("config change applied: loaded sshd");
    host.wait_protects("sshd");
}

fn runs(host: &Guarded, jail: &str) -> bool {
    host.run(&["fail2ban-client", "status", jail])
        .status
        .success()
}

#[test]
fn jails_stopped_and_started_by_hand() {
    let Some(host) = Guarded::begin() else { return };
    let fail2ban = host.main_pid("fail2ban");
    host.sh("fail2ban-client stop web");
    host.wait_said("web was stopped by hand and is left alone");
    host.wait_status("healthy: 1 of 1 jails protect; stopped by hand: web");

    // Also by a jailwarden that starts anew, or after a crash of it.
    host.mark();
    host.sh("systemctl restart jailwarden");
    host.wait_said("supervision begins: fail2ban runs");
    wait_another_look(&host, 700);
    assert!(!runs(&host, "web"));
    host.mark();
    let jailwarden = host.main_pid("jailwarden");
    host.kill("jailwarden", "KILL");
    host.wait_new_process("jailwarden", &jailwarden);
    host.wait_said("supervision begins: fail2ban runs");
    wait_another_look(&host, 800);
    assert!(!runs(&host, "web"));
    host.wait_status("healthy: 1 of 1 jails protect; stopped by hand: web");

    // What the message says starts it again; and so does a change of its config.
    host.sh("fail2ban-client reload --if-exists web");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.wait_all_protect();
    host.mark();
    host.sh("fail2ban-client stop web");
    host.wait_said("web was stopped by hand and is left alone");
    host.sh("sed -i 's/maxretry = 5/maxretry = 4/' /etc/fail2ban/jail.d/web.conf");
    host.wait_said("config change applied: loaded web; 2 jails protect");
    host.wait_all_protect();

    // Reloads and restarts of a jail, and of all.
    for words in [
        "reload",
        "reload web",
        "restart web",
        "reload --restart --all",
    ] {
        host.mark();
        host.sh(&format!("fail2ban-client {words}"));
        host.wait_all_protect();
        host.wait_status("healthy: 2 of 2 jails protect");
        host.assert_no_alarm();
    }
    assert_eq!(host.main_pid("fail2ban"), fail2ban);
    assert_eq!(host.property("fail2ban", "NRestarts"), "0");
}

/// systemd restarts a daemon that died, which nobody asked for; an admin's restart starts every jail.
#[test]
fn a_jail_stopped_by_hand_and_restarts() {
    let Some(host) = Guarded::begin() else { return };
    host.sh("fail2ban-client stop web");
    host.wait_said("web was stopped by hand and is left alone");
    for signal in ["KILL", "SEGV"] {
        host.mark();
        host.kill("fail2ban", signal);
        host.wait_said("web was stopped by hand and is stopped again");
        host.wait_status("healthy: 1 of 1 jails protect; stopped by hand: web");
        assert!(!runs(&host, "web"));
        host.wait_protects("sshd");
    }
    for command in ["systemctl restart fail2ban", "jailwarden restart"] {
        host.mark();
        host.sh(command);
        host.wait_status("healthy: 2 of 2 jails protect");
        host.wait_all_protect();
        host.sh("fail2ban-client stop web");
        host.wait_said("web was stopped by hand and is left alone");
    }
}

#[test]
fn a_unit_disabled_and_a_pause() {
    let Some(host) = Guarded::begin() else { return };
    host.sh("jailwarden pause --for 6s");
    host.wait_said("jailwarden is paused");
    host.mark();
    host.sh("systemctl restart jailwarden");
    host.wait_said("jailwarden is paused");
    host.wait_said("the pause is over (its time is up)");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.assert_no_alarm();

    host.mark();
    host.sh("systemctl disable --quiet --now fail2ban");
    host.wait_said("fail2ban is stopped on purpose");
    host.assert_stays_down();
    host.sh("systemctl restart jailwarden");
    host.assert_stays_down();
    host.wait_status("standby");
    host.assert_no_alarm();
    host.sh("systemctl enable --quiet --now fail2ban");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.wait_all_protect();
}

/// Mostly its start comes to nothing, as systemd takes the folder of the socket away in between.
#[test]
fn a_restart_by_the_client() {
    let Some(host) = Guarded::begin() else { return };
    for _ in 0..3 {
        host.sh("fail2ban-client restart || true");
        host.wait_all_protect();
        host.wait_status("healthy: 2 of 2 jails protect");
    }
}
