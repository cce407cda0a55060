//! Whatever jailwarden did to the config can be undone in one command, also once it is gone itself.

use crate::guarded::Guarded;

const FILTERS: &str = "/etc/fail2ban/filter.d";
const JAILS: [&str; 2] = ["mail", "web"];

/// Breaks both filters, so that a restart costs both jails.
fn degrade(host: &Guarded) {
    host.mark();
    host.sh(&format!(
        "sed -i 's/^failregex.*/failregex = fail from <HOST> [/' {FILTERS}/mail.conf {FILTERS}/web.conf; \
         systemctl restart fail2ban || true"
    ));
    host.wait_said("mail, web disabled so that the others can run");
    host.wait_said("jailwarden rollback undo mail web");
    host.wait_said("fail2ban protects again");
    host.wait_protects("sshd");
}

fn mend(host: &Guarded) {
    for jail in JAILS {
        host.sh(&format!("cp /root/sound/{jail}.conf {FILTERS}/"));
    }
}

fn wait_all(host: &Guarded) {
    for jail in ["sshd", "mail", "web"] {
        host.wait_protects(jail);
    }
}

fn uninstall(host: &Guarded) -> String {
    host.sh("make --directory /root/source uninstall PREFIX=/usr 2>&1")
}

#[test]
fn what_was_disabled_is_enabled_again() {
    let Some(host) = Guarded::begin() else { return };
    host.jail("mail");
    host.wait_said("config change applied: loaded mail");
    host.sh(&format!("cp -r {FILTERS} /root/sound"));
    let rollback = |jail| format!("/etc/fail2ban/jail.d/zzz-jailwarden-{jail}.local");
    let (mail, web) = (rollback("mail"), rollback("web"));

    // By hand, and before it is mended: it waits without harm.
    degrade(&host);
    host.mark();
    host.sh(&format!("rm {web}"));
    host.wait_said("the rollback of web was removed; its config counts again");
    host.wait_said("is not applied");
    host.wait_protects("sshd");
    host.sh(&format!("test -e {mail}"));

    // All at once.
    host.mark();
    let undone = host.sh("jailwarden rollback undo --all");
    assert!(undone.contains(&mail) && !undone.contains(&web), "{undone}");
    host.wait_said("the rollback of mail was removed; its config counts again");
    host.wait_protects("sshd");
    host.sh("jailwarden rollback list");
    mend(&host);
    host.wait_status("healthy: 3 of 3 jails protect");
    wait_all(&host);

    // What still stands when jailwarden goes is said, also if its program has gone before.
    degrade(&host);
    host.write("/root/source/Makefile", include_str!("../../Makefile"));
    let what_stands = include_str!("../../packaging/what-stands.sh");
    host.write("/root/source/packaging/what-stands.sh", what_stands);
    for _ in 0..2 {
        let said = uninstall(&host);
        for words in [
            "They stay disabled until these files of /etc/fail2ban/jail.d are removed",
            "zzz-jailwarden-mail.local:# Why:",
            "zzz-jailwarden-web.local:# Why:",
            "unterminated character set",
            "remove its file, and: fail2ban-client reload",
        ] {
            assert!(said.contains(words), "no {words:?} in\n{said}");
        }
        host.sh(&format!(
            "test -e {mail}; test -e {web}; ! test -e /usr/bin/jailwarden"
        ));
    }
    host.wait_state("jailwarden", "inactive");
    host.wait_protects("sshd");
    mend(&host);
    host.sh(&format!("rm {mail} {web}; fail2ban-client reload"));
    wait_all(&host);
    let said = uninstall(&host);
    assert!(!said.contains("disabled"), "{said}");
}
