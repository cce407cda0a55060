//! What an admin does on purpose is left alone.

use crate::guarded::Guarded;

#[test]
fn a_stop_through_systemd() {
    let Some(host) = Guarded::begin() else { return };
    host.sh("systemctl stop fail2ban");
    host.wait_said("fail2ban is stopped on purpose");
    host.assert_stays_down();
    host.wait_status("standby");
    host.assert_explained();
    host.assert_no_alarm();

    host.mark();
    host.sh("systemctl start fail2ban");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.assert_no_alarm();
    host.kill("fail2ban", "KILL");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
}

#[test]
fn a_stop_through_the_client() {
    let Some(host) = Guarded::begin() else { return };
    host.sh("fail2ban-client stop");
    host.wait_said("fail2ban is stopped on purpose");
    host.assert_stays_down();
    host.assert_no_alarm();
}

#[test]
fn a_mask() {
    let Some(host) = Guarded::begin() else { return };
    host.sh("systemctl mask --now fail2ban");
    host.wait_said("fail2ban is stopped on purpose");
    host.assert_stays_down();
    host.assert_no_alarm();

    host.sh("systemctl unmask fail2ban; systemctl start fail2ban");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.wait_all_protect();
}

#[test]
fn a_restart_and_an_edit() {
    let Some(host) = Guarded::begin() else { return };
    host.sh("systemctl restart fail2ban");
    let restarted = host.main_pid("fail2ban");
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");
    host.assert_no_alarm();

    // Nobody reloads.
    host.mark();
    host.jail("mail");
    host.wait_protects("mail");
    host.wait_said("config change applied: loaded mail; 3 jails protect");
    host.sh("sed -i 's/enabled = true/enabled = false/' /etc/fail2ban/jail.d/mail.conf");
    host.wait_said("config change applied: stopped mail; 2 jails protect");
    host.wait_all_protect();

    // The admin reloads on his own.
    host.mark();
    host.sh("sed -i 's/enabled = false/enabled = true/' /etc/fail2ban/jail.d/mail.conf");
    host.sh("fail2ban-client reload");
    host.wait_protects("mail");
    host.wait_status("healthy: 3 of 3 jails protect");
    host.assert_no_alarm();
    assert_eq!(host.main_pid("fail2ban"), restarted);
    assert_eq!(host.property("fail2ban", "NRestarts"), "0");
}
