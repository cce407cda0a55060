//! A fail2ban that systemd starts at the first connect to its socket, as 1.1.1 can be run.

use std::process::Command;

use crate::guarded::{Guarded, QUICK};
use crate::support::daemon::Version;
use crate::support::{GUARD, skip, wait_until};

const SOCKET: &str = "[Socket]\nListenStream=/run/fail2ban/fail2ban.sock\nSocketMode=0700\n";
/// Without that, the socket's folder goes with the service.
const DROP_IN: &str = "[Service]\nRuntimeDirectoryPreserve=yes\n";

/// A host with fail2ban 1.1.1, its socket unit and two jails; a connect has started it.
fn begin() -> Option<Guarded> {
    let unpacked = Version::V111.root();
    if !unpacked.is_dir() {
        skip("fail2ban 1.1.1 is not there");
        return None;
    }
    let host = Guarded::install()?;
    host.sh("rm -r /etc/fail2ban /usr/lib/python3/dist-packages/fail2ban");
    let copied = Command::new("cp")
        .args(["-r", "--no-target-directory"])
        .args([unpacked.join("."), host.root().join(".")])
        .status();
    assert!(copied.unwrap().success());
    host.sh("rm /etc/fail2ban/jail.d/*");
    host.jail("mail");
    host.jail("web");
    host.write("/etc/systemd/system/fail2ban.socket", SOCKET);
    host.write(
        "/run/systemd/system/fail2ban.service.d/socket.conf",
        DROP_IN,
    );
    host.sh("systemctl daemon-reload; systemctl start fail2ban.socket");
    assert_eq!(host.property("fail2ban", "ActiveState"), "inactive");
    host.sh("fail2ban-client ping");
    protect(&host);
    assert!(host.sh("fail2ban-client version").contains("1.1.1"));
    host.write("/etc/jailwarden/jailwarden.yaml", QUICK);
    host.sh("systemctl enable --now --quiet jailwarden");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.mark();
    Some(host)
}

fn protect(host: &Guarded) {
    host.wait_protects("mail");
    host.wait_protects("web");
}

#[test]
fn no_look_starts_what_is_stopped_and_a_crash_is_recovered_from() {
    let Some(host) = begin() else { return };
    host.sh("sed -i 's/maxretry = 5/maxretry = 4/' /etc/fail2ban/jail.d/web.conf");
    host.wait_said("config change applied: loaded web");
    protect(&host);

    host.sh("systemctl stop fail2ban");
    host.wait_said("fail2ban is stopped on purpose");
    // fail2ban shuts the socket down that it was given (`close` of server/asyncserver.py), and systemd gives
    // that up. From here on a connect starts fail2ban.
    host.sh("systemctl restart fail2ban.socket");
    assert_eq!(host.property("fail2ban.socket", "ActiveState"), "active");
    host.sh("sed -i 's/maxretry = 4/maxretry = 3/' /etc/fail2ban/jail.d/web.conf");
    host.sh("systemctl restart jailwarden");
    host.wait_status("standby");
    host.sh("! jailwarden status");
    host.assert_stays_down();
    host.assert_no_alarm();

    host.sh("fail2ban-client ping");
    host.wait_status("healthy: 2 of 2 jails protect");
    protect(&host);

    // systemd starts it again, on a busy machine before jailwarden has seen its end, and then jailwarden has to.
    for (drop_in, told) in [
        ("", &["fail2ban protects again", "fail2ban runs again"][..]),
        ("Restart=no\n", &["fail2ban protects again"]),
    ] {
        let file = "/run/systemd/system/fail2ban.service.d/test.conf";
        host.write(file, &format!("[Service]\n{drop_in}"));
        host.sh("systemctl daemon-reload");
        let before = host.main_pid("fail2ban");
        host.mark();
        host.kill("fail2ban", "KILL");
        let is_another = || ![&before, "0"].contains(&host.main_pid("fail2ban").as_str());
        assert!(wait_until(GUARD, || is_another().then_some(())).is_some());
        let is_told = || told.iter().any(|words| host.said().contains(words));
        let heard = wait_until(GUARD, || is_told().then_some(()));
        assert!(heard.is_some(), "{}", host.said());
        host.wait_status("healthy: 2 of 2 jails protect");
        protect(&host);
    }
    let before = host.main_pid("fail2ban");
    host.sh("jailwarden restart");
    assert_ne!(host.main_pid("fail2ban"), before);
    protect(&host);
}
