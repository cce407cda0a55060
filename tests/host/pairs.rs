//! Two faults in a row where systemd, a file system and an upgrade have a part in it: the second comes
//! in the middle of what is done about the first. Those that need none of these are in
//! `tests/recovery/pairs.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::guarded::Guarded;
use crate::support::admins_files;

const DROP_IN: &str = "/run/systemd/system/fail2ban.service.d/test.conf";
const FILTERS: &str = "/etc/fail2ban/filter.d";
const STATE: &str = "/var/lib/jailwarden/state.json";

#[test]
fn the_second_fault_comes_in_the_middle_of_the_first() {
    let Some(host) = Guarded::begin() else { return };
    host.jail("mail");
    host.wait_said("config change applied: loaded mail");
    host.sh(&format!("cp -r {FILTERS} /root/sound"));
    an_admins_restart_in_the_middle_of_ours(&host);
    the_disk_fills_during_a_rollback(&host);
    for (state, is_read) in [(OLD, true), (FUTURE, false), (GARBAGE, false)] {
        an_upgrade_in_the_middle_of_an_incident(&host, state, is_read);
    }
    host.assert_explained();
}

fn files(host: &Guarded) -> BTreeMap<PathBuf, Vec<u8>> {
    admins_files(&host.root().join("etc/fail2ban"))
}

fn protect(host: &Guarded, jails: &[&str]) {
    for jail in jails {
        host.wait_protects(jail);
    }
}

/// Saves a filter that does not compile, which is found.
fn break_filters(host: &Guarded, jails: &[&str]) {
    let edit = |jail: &&str| {
        format!("sed -i 's/^failregex.*/failregex = fail from <HOST> [/' {FILTERS}/{jail}.conf")
    };
    let edits: Vec<_> = jails.iter().map(edit).collect();
    host.sh(&edits.join("; "));
    host.wait_said("is not applied");
}

/// Brings the sound filters back, and waits until nothing is amiss.
fn mend(host: &Guarded, jails: &[&str]) {
    for jail in jails {
        host.sh(&format!("cp /root/sound/{jail}.conf {FILTERS}/"));
    }
    host.wait_status("healthy: 3 of 3 jails protect");
    protect(host, &["sshd", "web", "mail"]);
    host.sh("! ls /etc/fail2ban/jail.d/zzz-jailwarden-*");
}

/// The all-clear of the incident since the mark; there is one.
fn all_clear(host: &Guarded) -> String {
    host.wait_said("fail2ban protects again after");
    let said = host.said();
    let mut clear = said
        .lines()
        .filter(|line| line.starts_with("fail2ban protects again after"));
    let first = clear.next().unwrap().to_owned();
    assert_eq!(clear.next(), None, "{said}");
    assert!(first.contains("without protection meanwhile: "), "{first}");
    assert!(!first.contains("no longer in the config"), "{first}");
    eprintln!("{first}");
    first
}

/// jailwarden has told a daemon without a socket to stop, and that takes its time.
fn an_admins_restart_in_the_middle_of_ours(host: &Guarded) {
    let before = files(host);
    let mark = "/etc/fail2ban/action.d/mark.conf";
    host.sh(&format!(
        "cp {mark} /root; \
         echo 'actionstop = touch /run/asked; until test -e /run/may-end; do sleep 0.1; done' >>{mark}"
    ));
    host.wait_said("config change applied: loaded mail, web");
    let starts = "grep -c 'Starting Fail2ban' /var/log/fail2ban.log";
    let started = host.sh(starts);
    host.mark();
    host.sh("rm /run/fail2ban/fail2ban.sock");
    host.wait_said("jailwarden restarts it");
    host.sh("until test -e /run/asked; do sleep 0.05; done");
    // The job is there when this returns, and may be done soon: systemd ends what the action runs, too.
    host.sh("systemctl --no-block restart fail2ban; touch /run/may-end");
    all_clear(host);
    protect(host, &["sshd", "web", "mail"]);
    host.wait_status("healthy: 3 of 3 jails protect");
    let once_more = started.trim().parse::<u32>().unwrap() + 1;
    assert_eq!(host.sh(starts).trim(), once_more.to_string());
    let said = host.said();
    for never in ["disabled so that", "on purpose", "does not come back"] {
        assert!(!said.contains(never), "{never:?} was said:\n{said}");
    }
    host.sh(&format!("cp /root/mark.conf {mark}"));
    host.wait_said("config change applied: loaded mail, web");
    assert_eq!(files(host), before);
}

/// There is room for one of two rollbacks.
fn the_disk_fills_during_a_rollback(host: &Guarded) {
    host.sh(
        "systemctl stop jailwarden; mount -t tmpfs -o size=8m small /mnt; \
             cp -a /etc/fail2ban /mnt/etc; mount --bind /mnt/etc /etc/fail2ban",
    );
    host.mark();
    host.sh("systemctl start jailwarden");
    host.wait_said("supervision begins: fail2ban runs");
    let sound = files(host);
    break_filters(host, &["mail", "web"]);
    let edited = files(host);
    protect(host, &["sshd", "web", "mail"]);
    host.mark();
    host.sh(
        "dd if=/dev/zero of=/mnt/fill bs=4k status=none || true; truncate -s -4096 /mnt/fill; \
             systemctl restart fail2ban || true",
    );
    host.wait_said("no room on the disk");
    host.wait_said("fail2ban is down and does not come back");
    assert_eq!(files(host), edited);
    host.sh("rm /mnt/fill");
    let clear = all_clear(host);
    assert!(clear.contains("disabled for it: mail, web"), "{clear}");
    host.wait_status("degraded: 1 of 1 jails protect; disabled by a rollback: mail, web");
    host.wait_protects("sshd");
    assert_eq!(files(host), edited);
    mend(host, &["mail", "web"]);
    assert_eq!(files(host), sound);
}

/// As an earlier release wrote it, without what is newer.
const OLD: &str = "python3 -c '
import json, sys
it = json.load(sys.stdin)
keys = [\"standby\", \"stopping\", \"held\", \"accepted\", \"recent\", \"refused\"]
it[\"memory\"] = {key: it[\"memory\"][key] for key in keys}
json.dump(it, sys.stdout)'";
/// As no release writes it yet.
const FUTURE: &str = "sed 's/\"version\":1/\"version\":2/'";
const GARBAGE: &str = "head -c 50";

/// fail2ban is down and a rollback has just been written when jailwarden is stopped; what it kept
/// becomes `state` before the new program starts.
fn an_upgrade_in_the_middle_of_an_incident(host: &Guarded, state: &str, is_read: bool) {
    let sound = files(host);
    host.mark();
    break_filters(host, &["web"]);
    host.write(
        DROP_IN,
        "[Service]\nRestart=no\nExecStartPre=sh -c 'until test -e /run/go; do sleep 0.1; done'\n",
    );
    host.sh("systemctl daemon-reload");
    host.kill("fail2ban", "KILL");
    host.wait_said("web disabled so that the others can run");
    host.wait_state("fail2ban", "activating");
    host.sh("systemctl stop jailwarden; \
             systemctl kill --kill-who=control --signal=KILL fail2ban");
    host.wait_state("fail2ban", "failed");
    host.sh(&format!(
        "rm {DROP_IN}; systemctl daemon-reload; cp {STATE} /root/state; {state} </root/state >{STATE}"
    ));
    let left = host.sh(&format!("cat {STATE}"));
    host.install_jailwarden();
    let edited = files(host);

    host.mark();
    host.sh("systemctl start jailwarden");
    let clear = all_clear(host);
    assert!(clear.contains("sshd"), "{clear}");
    protect(host, &["sshd", "mail"]);
    host.wait_status("degraded: 2 of 2 jails protect; disabled by a rollback: web");
    assert_eq!(files(host), edited);
    let said = host.said();
    assert_eq!(
        !said.contains("state file could not be read"),
        is_read,
        "{said}"
    );
    if !is_read {
        // Those of before are kept beside it.
        let newest = format!("cat $(ls -t {STATE}.unreadable* | head -n 1)");
        assert_eq!(host.sh(&newest), left);
    }
    mend(host, &["web"]);
    assert_eq!(files(host), sound);
}
