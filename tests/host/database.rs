//! A damaged database of a fail2ban that systemd runs, and starts again by itself as soon as it is killed.

use crate::guarded::Guarded;

const DATABASE: &str = "/var/lib/fail2ban/fail2ban.sqlite3";

/// The one that is set aside is the one that was damaged, whoever was first to start fail2ban.
#[test]
fn a_damaged_database_costs_no_jail_and_is_kept() {
    let Some(host) = Guarded::begin() else { return };
    host.wait_all_protect();
    host.mark();
    host.sh(&format!(
        "head -c 9000 /dev/zero | tr '\\0' x | dd of={DATABASE} 2>&1 && cp {DATABASE} /root/garbage; \
         sed -i 's/maxretry = 5/maxretry = 4/' /etc/fail2ban/jail.d/web.conf"
    ));
    host.wait_said("loses each jail that it is told to load, as the database is damaged");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");
    let kept = "cmp /root/garbage /var/lib/fail2ban/fail2ban.sqlite3.*";
    host.sh(kept);
    host.sh(&format!(
        "head -c 15 {DATABASE} | grep -q 'SQLite format 3'"
    ));
    host.assert_explained();

    host.sh("rm /var/lib/fail2ban/fail2ban.sqlite3.*");
    host.mark();
    // Behind the header, where a start finds it out too late to make another.
    host.sh(&format!(
        "systemctl kill --signal=STOP fail2ban; head -c 40000 /dev/zero | tr '\\0' x | \
         dd of={DATABASE} bs=8192 seek=1 conv=notrunc 2>&1; cp {DATABASE} /root/garbage"
    ));
    host.kill("fail2ban", "KILL");
    host.wait_said("is moved aside, and kept as /var/lib/fail2ban/fail2ban.sqlite3.damaged-");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");
    host.sh(kept);
    let said = host.said();
    let starts_in_memory = said.contains("database in memory");
    assert!(
        !starts_in_memory && !said.contains("disabled so that"),
        "{said}"
    );
}
