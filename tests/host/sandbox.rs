//! What jailwarden itself may not do, and that this is nobody else's limit: not fail2ban's, and not that of the
//! commands that it runs for the admin.

use crate::guarded::{Guarded, QUICK};
use crate::support::{GUARD, wait_until};

const UNIT: &str = "/usr/lib/systemd/system/jailwarden.service";

/// `systemd-analyze security` says no worse than the unit's comment does.
#[test]
fn the_exposure_is_what_the_unit_says() {
    let Some(host) = Guarded::install() else {
        return;
    };
    let unit = host.sh(&format!("cat {UNIT}"));
    let (_, said) = unit
        .split_once("`systemd-analyze security jailwarden`: ")
        .unwrap();
    let (said, _) = said.split_once(')').unwrap();
    for unit in ["jailwarden", "jailwarden@second"] {
        let shown = host.sh(&format!("systemd-analyze security --no-pager {unit}"));
        let level = format!("Overall exposure level for {unit}.service: {said} ");
        assert!(shown.contains(&level), "{shown}");
    }
}

#[test]
fn nothing_of_the_sandbox_is_in_what_jailwarden_starts() {
    let Some(host) = Guarded::install() else {
        return;
    };
    host.make_auth_log();
    host.jail("web");
    // It writes where only its own rights are enough, leaves something in the background, and takes its words
    // as they are.
    let script = "cat >>/var/log/alerts; grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/$$/status >/usr/rights; \
                  echo \"$1\" >/var/log/words; (sleep 1; touch /var/log/late) & test ! -e /var/log/broken || \
                  { echo no way >&2; exit 3; }";
    let command = serde_json::json!(["/bin/sh", "-c", script, "sh", "$HOME ${PATH} $$ %n"]);
    host.write(
        "/etc/jailwarden/jailwarden.yaml",
        &format!("{QUICK}alerts: {{command: {command}, severity: info}}\n"),
    );
    host.write(
        "/run/systemd/system/fail2ban.service.d/test.conf",
        "[Service]\nRestart=no\n",
    );
    host.sh("systemctl daemon-reload; systemctl enable --now --quiet jailwarden");
    host.sh("systemctl start fail2ban");
    host.wait_protects("sshd");
    host.wait_status("healthy");
    let before = host.main_pid("fail2ban");
    host.kill("fail2ban", "KILL");
    host.wait_new_process("fail2ban", &before);
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();

    let all = host.rights("1");
    assert_eq!(host.rights(&host.main_pid("fail2ban")), all);
    assert_ne!(host.rights(&host.main_pid("jailwarden")), all);
    for file in ["/var/log/alerts", "/usr/rights", "/var/log/late"] {
        let come = || host.run(&["test", "-e", file]).status.success();
        let seen = wait_until(GUARD, || come().then_some(()));
        assert!(seen.is_some(), "{file} is not there\n{}", host.said());
    }
    assert_eq!(host.sh("cat /usr/rights"), all);
    assert_eq!(host.sh("cat /var/log/words"), "$HOME ${PATH} $$ %n\n");
    assert_eq!(host.sh("find /run -maxdepth 1 -name '.jailwarden-*'"), "");
    assert!(
        !host.said().contains("could not be sent"),
        "{}",
        host.said()
    );

    // That it fails is told, and where its words are.
    host.sh("touch /var/log/broken; systemctl reload jailwarden");
    host.wait_said("an alert could not be sent: exit status: 1: it failed");
    let told = host.sh("journalctl --no-pager --output cat -t jailwarden-alert");
    assert!(told.contains("no way"), "{told}");
}

/// A place below `/home` is read-only to it alone, and so no reason for fail2ban's not coming up.
#[test]
fn what_is_read_only_for_jailwarden_alone_is_not_blamed() {
    let Some(host) = Guarded::install() else {
        return;
    };
    host.make_auth_log();
    host.jail("web");
    host.sh("mkdir -p /home/f2b");
    host.write(
        "/etc/fail2ban/fail2ban.local",
        "[Definition]\ndbfile = /home/f2b/fail2ban.sqlite3\n",
    );
    host.sh("systemctl start fail2ban; systemctl enable --now --quiet jailwarden");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.mark();
    // It ends at once, and says nothing that would tell why.
    host.write(
        "/run/systemd/system/fail2ban.service.d/test.conf",
        "[Service]\nRestart=no\nExecStart=\nExecStart=/bin/false\n",
    );
    host.sh("systemctl daemon-reload");
    host.kill("fail2ban", "KILL");
    host.wait_said("fail2ban is down and does not come back");
    let said = host.said();
    assert!(!said.contains("read-only"), "{said}");
    assert!(!said.contains("in memory"), "{said}");
    host.sh("test -e /home/f2b/fail2ban.sqlite3");
}

#[test]
#[ignore = "few have such a client; JAILWARDEN_ALL=1 make test"]
fn a_client_that_changes_its_user_and_root_has_a_way() {
    let Some(host) = Guarded::begin() else { return };
    let client = "client: [chroot, --userspec=nobody:nogroup, /, fail2ban-client]";
    host.write(
        "/etc/jailwarden/jailwarden.yaml",
        &format!("{QUICK}daemon: {{{client}}}\n"),
    );
    host.sh("systemctl restart jailwarden");
    host.wait_said("Operation not permitted");
    let docs = include_str!("../../docs/instances.md");
    let (_, drop_in) = docs.split_once("```ini\n").unwrap();
    let (drop_in, _) = drop_in.split_once("```").unwrap();
    host.write(
        "/run/systemd/system/jailwarden.service.d/test.conf",
        drop_in,
    );
    host.sh("systemctl daemon-reload; systemctl restart jailwarden");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.mark();
    host.sh("sed -i 's/^maxretry = 5/maxretry = 4/' /etc/fail2ban/jail.d/web.conf");
    host.wait_said("config change applied: loaded web");
    host.wait_all_protect();
}
