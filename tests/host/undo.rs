//! Whatever jailwarden did to the config can be undone in one command, also once it is gone itself.

use std::fs;
use std::process::Command;

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

/// The commands that bring the jails back, as they are said.
fn said_commands(said: &str) -> Vec<String> {
    let commands = said.lines().filter(|line| line.starts_with("  rm "));
    commands.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn what_stands_is_found_whatever_the_settings_look_like() {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let rollback = |folder: &str, jail: &str, why: &str| {
        write(
            &format!("x/{folder}/jail.d/zzz-jailwarden-{jail}.local"),
            &format!("# jailwarden rollback file\n{why}[{jail}]\nenabled = false\n"),
        );
    };
    let settings = [
        ("jailwarden", "config_dir: /etc/f2b   # the first\n"),
        (
            "quoted",
            "config_dir : \"/etc/quoted/\" # and a comment\r\n",
        ),
        ("single", "state_dir: /x\nconfig_dir: '/etc/single'\n"),
        ("again", "config_dir: /etc/f2b\n"),
        ("default", "config_dir: # none\n"),
    ];
    for (name, text) in settings {
        write(&format!("x/etc/jailwarden/{name}.yaml"), text);
    }
    rollback("etc/f2b", "web", "# Why:      its filter\n");
    rollback("etc/quoted", "mail", "");
    rollback("etc/single", "ftp", "# Why:      its log\n");
    rollback("etc/fail2ban", "sshd", "");
    // One that leads nowhere does not hide the others.
    let nowhere = root
        .path()
        .join("x/etc/f2b/jail.d/zzz-jailwarden-gone.local");
    std::os::unix::fs::symlink("nowhere", nowhere).unwrap();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/what-stands.sh");
    let done = Command::new("sh")
        .args(["-euc", ". \"$0\"; what_stands x", script])
        .current_dir(&root)
        .output()
        .unwrap();
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success(), "{said}");
    let x = root.path().canonicalize().unwrap().join("x");
    let command = |config: &str, of: &str, jail: &str| {
        let file = format!("{config}/jail.d/zzz-jailwarden-{jail}.local");
        let file = x.join(file.trim_start_matches('/'));
        format!(
            "rm {} && fail2ban-client {of}reload --if-exists {jail}",
            file.display()
        )
    };
    let mut commands = said_commands(&said);
    commands.sort();
    assert_eq!(
        commands,
        [
            command("/etc/f2b", "-c /etc/f2b ", "web"),
            command("/etc/fail2ban", "", "sshd"),
            command("/etc/quoted", "-c /etc/quoted ", "mail"),
            command("/etc/single", "-c /etc/single ", "ftp"),
        ],
        "{said}"
    );
    assert!(
        said.contains("zzz-jailwarden-web.local:# Why:      its filter"),
        "{said}"
    );
    assert!(
        said.contains("zzz-jailwarden-ftp.local:# Why:      its log"),
        "{said}"
    );
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
            "rm /etc/fail2ban/jail.d/zzz-jailwarden-web.local && fail2ban-client reload --if-exists web",
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
    for line in said_commands(&uninstall(&host)) {
        host.sh(&line);
    }
    wait_all(&host);
    let said = uninstall(&host);
    assert!(!said.contains("disabled"), "{said}");
}
