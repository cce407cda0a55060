//! What jailwarden disabled comes back, and what a person wants left alone is left alone.

use crate::guarded::Guarded;

const NO_RESTART: &str = "[Service]\nRestart=no\n";
const DROP_IN: &str = "/run/systemd/system/fail2ban.service.d/test.conf";
const ROLLBACK: &str = "/etc/fail2ban/jail.d/zzz-jailwarden-web.local";
const FILTER: &str = "/etc/fail2ban/filter.d/web.conf";

/// A host whose `web` was disabled, as its filter does not compile.
fn degraded() -> Option<Guarded> {
    let host = Guarded::begin()?;
    host.sh(&format!("cp {FILTER} /root/web.conf"));
    host.sh(&format!(
        "sed -i 's/^failregex.*/failregex = fail from <HOST> [/' {FILTER}; \
         systemctl restart fail2ban || true"
    ));
    host.wait_said("web disabled so that the others can run");
    host.wait_said("fail2ban protects again");
    host.wait_protects("sshd");
    Some(host)
}

#[test]
fn a_jail_whose_config_is_mended() {
    let Some(host) = degraded() else { return };
    let listed = host.run(&["jailwarden", "rollback", "list"]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(listed.status.code(), Some(1), "{text}");
    assert!(text.contains("web: disabled since 20"), "{text}");
    assert!(text.contains("unterminated character set"), "{text}");

    // A change that does not mend it: it is said, and nothing else happens.
    host.mark();
    host.sh(&format!(
        "sed -i 's/^failregex.*/failregex = fail from (<HOST>/' {FILTER}"
    ));
    host.wait_said("web stays disabled by its rollback");
    host.wait_said("filter.d/web.conf:2");
    host.wait_protects("sshd");

    let before = host.main_pid("fail2ban");
    host.mark();
    host.sh(&format!("cp /root/web.conf {FILTER}"));
    host.wait_said("web passed a trial");
    host.wait_said("config change applied: loaded web; 2 jails protect");
    host.wait_all_protect();
    host.sh(&format!("! test -e {ROLLBACK}"));
    host.wait_status("healthy: 2 of 2 jails protect");
    assert_eq!(host.main_pid("fail2ban"), before);
    host.sh("jailwarden rollback list");
    host.assert_explained();
}

#[test]
fn a_jail_whose_rollback_is_undone() {
    let Some(host) = degraded() else { return };
    let unknown = host.run(&["jailwarden", "rollback", "undo", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");

    // Its config is still faulty: it waits without harm.
    host.mark();
    host.sh("jailwarden rollback undo web");
    host.wait_said("the rollback of web was removed");
    host.wait_said("is not applied");
    host.wait_protects("sshd");
    host.mark();
    host.sh(&format!("cp /root/web.conf {FILTER}"));
    host.wait_said("config change applied: loaded web");
    host.wait_all_protect();
}

#[test]
fn a_pause() {
    let Some(host) = Guarded::begin() else { return };
    host.write(DROP_IN, NO_RESTART);
    host.sh("systemctl daemon-reload");
    host.sh("jailwarden pause --for 1h --reason 'moving the logs'");
    host.wait_said("jailwarden is paused for another 60 min (root: moving the logs)");
    host.wait_status("paused for another 60 min: 2 of 2 jails protect");

    // Neither a change nor a crash is dealt with, also not after a restart of jailwarden.
    host.jail("mail");
    host.kill("fail2ban", "KILL");
    host.wait_state("fail2ban", "failed");
    host.assert_stays_down();
    host.mark();
    host.sh("systemctl restart jailwarden");
    host.wait_said("jailwarden is paused");
    host.assert_stays_down();
    host.wait_status("paused for another 60 min: fail2ban is DOWN");

    host.mark();
    host.sh("jailwarden resume");
    host.wait_said("the pause is over");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    host.wait_protects("mail");

    host.mark();
    host.sh("jailwarden pause --for 2s");
    host.wait_said("jailwarden is paused");
    host.wait_said("the pause is over (its time is up)");
    host.sh("while test -e /var/lib/jailwarden/pause.json; do sleep 0.1; done");
    host.wait_status("healthy: 3 of 3 jails protect");
    host.assert_explained();
}

#[test]
fn a_disabled_unit() {
    let Some(host) = Guarded::begin() else { return };
    host.write(DROP_IN, NO_RESTART);
    host.sh("systemctl disable --quiet fail2ban; systemctl daemon-reload");
    host.kill("fail2ban", "KILL");
    host.wait_said("its unit is disabled");
    host.assert_stays_down();

    host.sh("systemctl enable --quiet fail2ban; systemctl start fail2ban");
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");
}

/// dpkg's, and rpm's.
#[test]
fn a_package_manager_at_work() {
    let Some(host) = Guarded::begin() else { return };
    host.write(DROP_IN, NO_RESTART);
    host.write(
        "/root/install.py",
        "import fcntl, sys, time\n\
         lock = open(sys.argv[1], 'w')\n\
         fcntl.lockf(lock, fcntl.LOCK_EX)\n\
         time.sleep(1000)\n",
    );
    host.sh("systemctl daemon-reload; mkdir -p /var/lib/rpm");
    for lock in ["/var/lib/dpkg/lock-frontend", "/var/lib/rpm/.rpm.lock"] {
        host.mark();
        host.sh(&format!(
            "systemd-run --quiet --unit install /usr/bin/python3 /root/install.py {lock}"
        ));
        let id = "pgrep -f install.py && grep -q POSIX /proc/locks";
        host.sh(&format!("until {id}; do sleep 0.05; done"));
        host.kill("fail2ban", "KILL");
        host.wait_said("packages are being installed");
        host.wait_status("suspect: fail2ban is DOWN; packages are being installed");
        host.assert_stays_down();
        host.sh("systemctl stop install");
        host.wait_said("fail2ban protects again");
        host.wait_all_protect();
    }
}

/// No overlay mends a file that does not parse, so its last good content is put back.
#[test]
fn a_config_that_does_not_parse() {
    let Some(host) = Guarded::begin() else { return };
    let kept = "ls /var/lib/jailwarden/history/snapshots | grep -q json";
    host.sh(&format!(
        "timeout 150 sh -c 'until {kept}; do sleep 1; done'"
    ));
    host.sh("jailwarden history | grep -q web");

    host.mark();
    host.sh("echo junk >>/etc/fail2ban/jail.d/web.conf");
    host.wait_said("is not applied");
    host.wait_all_protect();
    host.sh("systemctl restart fail2ban || true");
    host.wait_said("the last good content of /etc/fail2ban/jail.d/web.conf was put back");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");
    host.sh("! grep -q junk /etc/fail2ban/jail.d/web.conf");

    // What the message says brings the file back as it was; it waits, without harm.
    let said = host.said();
    let undo = said.split("bring it back with: ").nth(1).unwrap();
    let undo = undo.lines().next().unwrap();
    host.mark();
    host.sh(undo);
    host.sh("tail -n 1 /etc/fail2ban/jail.d/web.conf | grep -qx junk");
    host.wait_said("is not applied");
    host.wait_all_protect();
    host.assert_explained();
}
