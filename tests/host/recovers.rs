//! Faults after which fail2ban must ban again, with nobody helping.

use crate::guarded::Guarded;

const DROP_IN: &str = "/run/systemd/system/fail2ban.service.d/test.conf";
const ROLLBACK: &str = "jail.d/zzz-jailwarden-web.local";

#[test]
fn a_crash() {
    let Some(host) = Guarded::begin() else { return };

    // systemd starts it again by itself, and takes its time.
    host.write(DROP_IN, "[Service]\nRestartSec=2s\n");
    host.sh("systemctl daemon-reload");
    host.kill("fail2ban", "KILL");
    host.wait_said("fail2ban is down: its process was killed by signal 9");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    assert_eq!(host.property("fail2ban", "NRestarts"), "1");

    // It was quicker than jailwarden's look, which finds a process that has no socket yet.
    host.write(
        DROP_IN,
        "[Service]\nExecStart=\n\
         ExecStart=/bin/sh -c 'sleep 3; exec /usr/bin/fail2ban-server -xf start'\n",
    );
    host.sh("systemctl daemon-reload");
    host.mark();
    let before = host.main_pid("fail2ban");
    host.kill("jailwarden", "STOP");
    host.kill("fail2ban", "KILL");
    host.wait_new_process("fail2ban", &before);
    host.kill("jailwarden", "CONT");
    host.wait_said("fail2ban had died, and systemd has started it again");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();

    // Now jailwarden has to.
    host.write(DROP_IN, "[Service]\nRestart=no\n");
    host.sh("systemctl daemon-reload");
    host.mark();
    host.kill("fail2ban", "KILL");
    host.wait_said("jailwarden starts it");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();

    // And here systemd refuses to start it once more.
    host.write(
        DROP_IN,
        "[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=1h\n",
    );
    host.sh("systemctl daemon-reload; systemctl reset-failed fail2ban; systemctl restart fail2ban");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.mark();
    host.kill("fail2ban", "KILL");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    let unit = host.journal_since("--unit fail2ban");
    assert!(
        unit.contains("Start request repeated too quickly"),
        "{unit}"
    );

    // The admin reads of it where he looks first, and is told what it means.
    assert!(unit.contains("fail2ban protects again"), "{unit}");
    let explained = host.journal("jailwarden");
    for words in [
        "nobody stopped it on purpose",
        "The incident is over: the fail2ban server answers",
        "journalctl JAILWARDEN_INCIDENT=",
    ] {
        assert!(
            explained.contains(words),
            "{words:?} is not in\n{explained}"
        );
    }
}

#[test]
fn a_hang() {
    let Some(host) = Guarded::begin() else { return };

    let before = host.main_pid("fail2ban");
    host.kill("fail2ban", "STOP");
    host.wait_said("stopped by a signal (SIGSTOP)");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    assert_eq!(
        host.main_pid("fail2ban"),
        before,
        "it need not be restarted"
    );

    // A process that no SIGCONT gets going.
    host.mark();
    host.sh(&format!(
        "systemd-run --quiet sh -c 'while kill -STOP {before}; do sleep 0.05; done'"
    ));
    host.wait_said("fail2ban hangs");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    assert_ne!(host.main_pid("fail2ban"), before);
    host.assert_explained();
}

/// Filters that cannot be told to stop, as with a database that cannot be written just then: what fail2ban does
/// not do on demand. They go on for ever, and systemd would wait for 90 s.
const NEVER_STOPS: &str = "from fail2ban.server.action import ActionBase
from fail2ban.server.filter import FileFilter

def stop(self):
    raise OSError('how far was read cannot be written')

FileFilter.stop = stop

class Action(ActionBase):
    def start(self): pass
    def stop(self): pass
    def ban(self, aInfo): pass
    def unban(self, aInfo): pass
";

#[test]
fn a_restart_that_hangs_is_helped_on_and_a_stop_is_not() {
    let Some(host) = Guarded::begin() else { return };
    host.write("/etc/fail2ban/action.d/never.py", NEVER_STOPS);
    let action = "[web]\naction = mark[name=\"web\"]\n  never.py\n";
    host.write("/etc/fail2ban/jail.d/zz.local", action);
    host.wait_said("config change applied");
    host.wait_all_protect();

    host.mark();
    let before = host.main_pid("fail2ban");
    host.sh("systemctl --no-block restart fail2ban");
    host.wait_said("fail2ban hangs while systemd stops it for a restart");
    host.wait_new_process("fail2ban", &before);
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
    let unit = host.journal_since("--unit fail2ban");
    assert!(!unit.contains("timed out"), "{unit}");

    host.mark();
    let before = host.main_pid("fail2ban");
    host.sh("systemctl --no-block stop fail2ban");
    host.wait_said("Nothing is lost by that");
    assert_eq!(host.main_pid("fail2ban"), before);
    host.sh("systemctl kill --signal=SIGKILL fail2ban.service");
    host.wait_status("standby");
    host.assert_explained();
}

#[test]
fn a_jail_that_breaks_the_start() {
    const BROKEN: &str = "[Definition]\nfailregex = fail from <HOST> [\n";
    let Some(host) = Guarded::begin() else { return };
    let filter = "/etc/fail2ban/filter.d/web.conf";
    host.sh(&format!("cp {filter} /root/web.conf"));

    host.write(filter, BROKEN);
    host.wait_said("is not applied");
    host.wait_all_protect();
    host.sh("systemctl restart fail2ban || true");
    host.wait_said("web disabled so that the others can run");
    host.wait_said("fail2ban protects again");
    host.wait_protects("sshd");
    host.wait_status("degraded: 1 of 1 jails protect");
    let said = host.said();
    let undo = "jailwarden rollback undo web";
    assert!(said.contains(undo), "how to undo it?\n{said}");

    host.mark();
    host.sh(&format!(
        "cp /root/web.conf {filter}; rm /etc/fail2ban/{ROLLBACK}"
    ));
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");

    // In one go, before jailwarden has looked at the change.
    host.mark();
    host.sh(&format!(
        "printf '{}' >{filter}; systemctl restart fail2ban || true",
        BROKEN.replace('\n', "\\n")
    ));
    host.wait_said("web disabled so that the others can run");
    host.wait_said("fail2ban protects again");
    host.wait_protects("sshd");
    host.assert_explained();
}

#[test]
fn what_goes_missing() {
    let Some(host) = Guarded::begin() else { return };

    host.sh("rm /run/fail2ban/fail2ban.sock");
    host.wait_said("cannot be asked");
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();

    host.mark();
    let before = host.main_pid("fail2ban");
    host.sh("mv /etc/fail2ban /etc/fail2ban.away");
    host.wait_said("not applied");
    host.wait_all_protect();
    host.sh("mv /etc/fail2ban.away /etc/fail2ban");
    host.wait_status("healthy: 2 of 2 jails protect");
    assert_eq!(host.main_pid("fail2ban"), before);

    // The folder is still heard.
    host.sh("sed -i 's/maxretry = 5/maxretry = 4/' /etc/fail2ban/jail.d/web.conf");
    host.wait_said("config change applied: loaded web");
    host.assert_explained();
}

/// fail2ban has a mount namespace of its own, as hardening gives it one, and a log is mounted elsewhere.
#[test]
#[ignore = "a minute more; JAILWARDEN_ALL=1 make test"]
fn a_log_that_only_another_process_sees() {
    let Some(host) = Guarded::begin() else { return };
    host.write(
        DROP_IN,
        "[Service]\nPrivateMounts=yes\nMountFlags=private\n",
    );
    host.sh("systemctl daemon-reload && systemctl restart fail2ban");
    host.wait_all_protect();
    host.wait_status("healthy: 2 of 2 jails protect");
    let before = host.main_pid("fail2ban");
    host.mark();
    host.sh("touch /var/log/other.log && mount --bind /var/log/other.log /var/log/web.log");
    host.sh("fail2ban-client set web dellogpath /var/log/web.log");
    host.wait_said("web is alive but does not protect: fail2ban does not see the file");
    host.wait_new_process("fail2ban", &before);
    host.wait_said("fail2ban protects again");
    host.wait_all_protect();
}
