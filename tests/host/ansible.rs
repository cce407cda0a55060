//! The Ansible role as the package ships it, run on a host for a fleet of two that are both this host.

use serde_json::Value;

use crate::guarded::Guarded;
use crate::package::{bring, does, fresh};

const FLEET: &str = "/root/fleet";
const FILE: &str = "/etc/fail2ban/jail.d/web.local";
const HOSTS: &str = "one\ntwo\n[all:vars]\nansible_connection=local\nansible_become=false\n\
                     ansible_python_interpreter=/usr/bin/python3\n";
const VARIABLES: &str = "jailwarden_settings: {probe: {interval: 1s, timeout: 2s}}\njailwarden_patience: 5\n\
                         jailwarden_files:\n  - {place: jail.d/web.local, template: web.local.j2}\n";

/// A play that was run.
struct Played {
    text: String,
    /// Those that were reached, each with how many changes, and how many failures it had.
    hosts: Vec<(String, u64, u64)>,
}

impl Played {
    #[track_caller]
    fn must_be(&self, hosts: &[(&str, u64, u64)]) {
        let got = self.hosts.iter().map(|(it, c, f)| (it.as_str(), *c, *f));
        assert_eq!(got.collect::<Vec<_>>(), hosts, "{}", self.text);
    }
}

/// Runs the play, with that as the options of jail web.
fn play(host: &Guarded, options: &str, words: &str) -> Played {
    let web = format!("[web]\n{options}\n");
    host.write(&format!("{FLEET}/templates/web.local.j2"), &web);
    let text = host.sh(&format!(
        "cd {FLEET}; ansible-playbook -i hosts fail2ban.yml {words} 2>&1 || true"
    ));
    let number = |line: &str, name: &str| {
        let (_, rest) = line.split_once(name)?;
        rest.split_whitespace().next()?.parse().ok()
    };
    // two : ok=7 changed=0 unreachable=0 failed=0 …
    let recap = text.split("PLAY RECAP").nth(1).unwrap_or_default();
    let hosts = recap.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let (changed, failed) = (number(rest, " changed=")?, number(rest, " failed=")?);
        Some((name.trim().to_owned(), changed, failed))
    });
    let mut hosts: Vec<_> = hosts.collect();
    hosts.sort();
    Played { text, hosts }
}

fn maxretry(host: &Guarded) -> String {
    let said = host.sh("fail2ban-client get web maxretry");
    said.trim().to_owned()
}

#[test]
#[ignore = "takes ansible-core, and a minute; JAILWARDEN_ALL=1 make test"]
fn a_fleet_is_rolled_out_host_by_host() {
    let Some(host) = fresh() else { return };
    host.jail("web");
    host.jail("mail");
    host.sh("systemctl start fail2ban");
    bring(&host, &["1.0.0"]);
    does(&host, "dpkg --install /root/1.0.0.deb");
    host.sh(&format!("cp -r /usr/share/doc/jailwarden/ansible {FLEET}"));
    host.write(&format!("{FLEET}/hosts"), HOSTS);
    host.write(&format!("{FLEET}/group_vars/all.yml"), VARIABLES);
    let fail2ban = host.main_pid("fail2ban");

    // What would be changed.
    let said = play(&host, "maxretry = 4", "--check --diff");
    let changes = said.hosts.iter().map(|(_, changed, _)| *changed);
    assert!(
        said.hosts.len() == 2 && changes.min() > Some(1),
        "{}",
        said.text
    );
    assert!(said.text.contains("+maxretry = 4"), "{}", said.text);
    host.sh(&format!(
        "test ! -e {FILE}; grep -q '^  #interval: 10s' /etc/jailwarden/jailwarden.yaml"
    ));

    // The first changes it, and nothing is left to be changed.
    let said = play(&host, "maxretry = 4", "");
    said.must_be(&[("one", 3, 0), ("two", 0, 0)]);
    assert_eq!(maxretry(&host), "4");
    let shown = host.sh("jailwarden config show --json");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert!(shown.to_string().contains("\"1s\""), "{shown}");

    // What fail2ban would refuse is not written, and no further host is touched.
    let said = play(&host, "failregex = fail from <HOST> [", "");
    said.must_be(&[("one", 0, 1)]);
    let why = "unterminated character set";
    assert!(said.text.contains(why), "{}", said.text);
    host.sh(&format!("grep -q 'maxretry = 4' {FILE}"));
    let faulty = play(
        &host,
        "maxretry = 4",
        "-e '{jailwarden_settings: {probe: {intervall: 1s}}}'",
    );
    faulty.must_be(&[("one", 0, 1)]);
    assert!(faulty.text.contains("intervall"), "{}", faulty.text);
    host.sh("jailwarden config check");

    // Nor where the first host is not fully protected afterwards.
    host.sh("jailwarden rollback add mail");
    let said = play(&host, "maxretry = 3", "");
    said.must_be(&[("one", 1, 1)]);
    assert!(
        said.text.contains("disabled by a rollback: mail"),
        "{}",
        said.text
    );
    assert_eq!(maxretry(&host), "3");

    // And it goes on once it is.
    host.sh("jailwarden rollback undo mail");
    let said = play(&host, "maxretry = 3", "");
    said.must_be(&[("one", 0, 0), ("two", 0, 0)]);
    assert_eq!(host.main_pid("fail2ban"), fail2ban);
    host.wait_protects("web");
}
