//! The first boot of a stock Debian, reboots, and the end of the host.

use crate::guarded::Guarded;

#[test]
fn the_first_boot_of_a_stock_debian() {
    let Some(mut host) = Guarded::install() else {
        return;
    };
    host.sh("systemctl enable --quiet jailwarden");
    host.host_mut().reboot();

    host.wait_said("Have not found any log file for sshd jail");
    // How to undo it.
    host.wait_said("jailwarden rollback undo sshd");
    host.wait_status("degraded");

    // What it lacked comes, and nobody does more.
    host.sh("touch /var/log/auth.log");
    host.wait_said("sshd passed a trial");
    host.wait_protects("sshd");
    host.wait_status("healthy: 1 of 1 jails protect");
    host.assert_explained();
}

#[test]
fn a_reboot_is_no_alarm() {
    let Some(mut host) = Guarded::begin() else {
        return;
    };
    host.host_mut().reboot();
    host.wait_said("supervision ends");
    host.wait_said("supervision begins");
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");
    host.assert_no_alarm();
}
