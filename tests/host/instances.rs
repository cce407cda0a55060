//! Two fail2bans on one host, each with a jailwarden of its own: `jailwarden.service`, and
//! `jailwarden@second.service` for one that no unit runs.

use crate::guarded::Guarded;
use crate::support::{GUARD, wait_until};

const CONFIG: &str = "/etc/fail2ban-second";
const RUN: &str = "/run/fail2ban-second";
const SETTINGS: &str = "/etc/jailwarden/second.yaml";
const SECOND: &str = "jailwarden@second";
const BROKEN: &str = "[Definition]\nfailregex = fail from <HOST> [\n";

/// The settings of the second one, and what else they say.
fn settings(more: &str) -> String {
    format!(
        "config_dir: {CONFIG}\nprobe:\n  interval: 1s\n  timeout: 2s\nmetrics:\n  textfile: /var/lib/second.prom\n\
         daemon:\n  unit: none\n  socket: {RUN}/second.sock\n  pid_file: {RUN}/second.pid\n{more}"
    )
}

/// A host with two jails, `sshd` and `web`; and a second fail2ban for `mail` and `ftp`, which nobody has
/// started.
fn begin() -> Option<Guarded> {
    let host = Guarded::begin()?;
    host.sh(&format!(
        "cp -r /etc/fail2ban {CONFIG}; rm {CONFIG}/jail.d/*; mkdir {RUN}"
    ));
    host.write(
        &format!("{CONFIG}/fail2ban.local"),
        &format!(
            "[Definition]\nsocket = {RUN}/second.sock\npidfile = {RUN}/second.pid\n\
             dbfile = /var/lib/fail2ban/second.sqlite3\nlogtarget = /var/log/fail2ban-second.log\n"
        ),
    );
    host.jail_in(CONFIG, "mail");
    host.jail_in(CONFIG, "ftp");
    Some(host)
}

/// Waits until a unit of jailwarden's says something.
fn wait_said_by(host: &Guarded, unit: &str, words: &str) {
    let said = || host.journal_since(&format!("_SYSTEMD_UNIT={unit}.service"));
    let heard = wait_until(GUARD, || said().contains(words).then_some(()));
    assert!(
        heard.is_some(),
        "{unit} did not say {words:?}, but:\n{}",
        said()
    );
}

fn wait_healthy(host: &Guarded, unit: &str, words: &str) {
    let status = || host.property(unit, "StatusText");
    let seen = wait_until(GUARD, || (status() == words).then_some(()));
    assert!(
        seen.is_some(),
        "{unit}: {:?}\n{}",
        status(),
        host.journal(unit)
    );
}

/// The process of the second fail2ban.
fn second_pid(host: &Guarded) -> String {
    host.sh(&format!("cat {RUN}/second.pid")).trim().to_owned()
}

/// Every file of an instance that the other has no business with, by what is in it.
fn files(host: &Guarded, folders: &str) -> String {
    host.sh(&format!(
        "find {folders} -type f -exec sha256sum '{{}}' + | sort"
    ))
}

/// The jails that an instance answers for, as `jailwarden WORDS status` says.
fn jails(host: &Guarded, words: &str) -> Vec<String> {
    let said = host.sh(&format!("jailwarden {words} status --json || [ $? = 1 ]"));
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    let jails = status["jails"].as_array().unwrap().iter();
    jails
        .map(|jail| jail["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story of two daemons")]
fn two_at_once_recover_and_keep_out_of_each_others_way() {
    let Some(host) = begin() else { return };
    host.write(SETTINGS, &settings(""));
    host.sh(&format!("systemctl enable --quiet --now {SECOND}"));
    wait_healthy(&host, SECOND, "healthy: 2 of 2 jails protect");
    host.wait_protects("mail");
    host.wait_protects("ftp");
    assert_eq!(host.rights(&second_pid(&host)), host.rights("1"));

    // Each is asked by itself.
    assert_eq!(jails(&host, ""), ["sshd", "web"]);
    assert_eq!(jails(&host, "--instance second"), ["ftp", "mail"]);
    assert_eq!(
        jails(&host, &format!("--config {SETTINGS}")),
        ["ftp", "mail"]
    );

    // The second loses its daemon and cannot start it for a faulty jail; the first notices nothing.
    let first = host.main_pid("fail2ban");
    let of_first = files(&host, "/etc/fail2ban");
    host.mark();
    host.sh(&format!(
        "printf '{}' >{CONFIG}/filter.d/ftp.conf; kill -KILL {}",
        BROKEN.replace('\n', "\\n"),
        second_pid(&host)
    ));
    wait_said_by(&host, SECOND, "ftp disabled so that the others can run");
    wait_said_by(
        &host,
        SECOND,
        "jailwarden --instance second rollback undo ftp",
    );
    wait_said_by(&host, SECOND, "fail2ban protects again");
    let explained = host.journal(SECOND);
    for command in [
        "jailwarden --instance second rollback undo ftp",
        "jailwarden --instance second check",
    ] {
        let is_told = |line: &str| line.starts_with('░') && line.trim_end().ends_with(command);
        assert!(explained.lines().any(is_told), "no {command}:\n{explained}");
    }
    host.wait_protects("mail");
    host.wait_all_protect();
    host.sh(&format!("test -e {CONFIG}/jail.d/zzz-jailwarden-ftp.local"));
    assert_eq!(host.main_pid("fail2ban"), first);
    assert_eq!(files(&host, "/etc/fail2ban"), of_first);
    assert_eq!(host.journal_since("_SYSTEMD_UNIT=jailwarden.service"), "");

    // The first loses its own, and a jail of it is faulty; the second notices nothing.
    let second = second_pid(&host);
    let of_second = files(&host, CONFIG);
    host.write(
        "/run/systemd/system/fail2ban.service.d/test.conf",
        "[Service]\nRestart=no\n",
    );
    host.sh("systemctl daemon-reload");
    host.mark();
    host.sh(&format!(
        "printf '{}' >/etc/fail2ban/filter.d/web.conf; kill -KILL {first}",
        BROKEN.replace('\n', "\\n")
    ));
    wait_said_by(
        &host,
        "jailwarden",
        "web disabled so that the others can run",
    );
    wait_said_by(&host, "jailwarden", "jailwarden rollback undo web");
    wait_said_by(&host, "jailwarden", "fail2ban protects again");
    host.wait_protects("sshd");
    host.wait_protects("mail");
    assert_eq!(second_pid(&host), second);
    assert_eq!(files(&host, CONFIG), of_second);
    assert_eq!(
        host.journal_since(&format!("_SYSTEMD_UNIT={SECOND}.service")),
        ""
    );

    // What the second one said undoes it, and nothing of the first.
    host.sh(&format!(
        "cp {CONFIG}/filter.d/mail.conf {CONFIG}/filter.d/ftp.conf"
    ));
    host.sh("jailwarden --instance second rollback undo ftp || jailwarden --instance second rollback list");
    host.wait_protects("ftp");
    wait_healthy(&host, SECOND, "healthy: 2 of 2 jails protect");
    host.sh("test -e /etc/fail2ban/jail.d/zzz-jailwarden-web.local");

    // Each has a state, a socket and metrics of its own, and one that ends takes nothing along.
    host.sh(
        "test -e /var/lib/jailwarden/state.json && test -e /var/lib/jailwarden-second/state.json",
    );
    let metrics = || host.run(&["cat", "/var/lib/second.prom"]).stdout;
    let labelled = b"jailwarden_daemon_up{jailwarden_instance=\"second\"} 1\n";
    let written = wait_until(GUARD, || {
        let text = metrics();
        text.windows(labelled.len())
            .any(|it| it == labelled)
            .then_some(())
    });
    assert!(written.is_some(), "{}", String::from_utf8_lossy(&metrics()));
    host.sh("systemctl stop jailwarden");
    assert_eq!(jails(&host, "--instance second"), ["ftp", "mail"]);
    let stopped = host.run(&["jailwarden", "status"]);
    assert_eq!(stopped.status.code(), Some(3));
    host.sh(&format!(
        "systemctl stop {SECOND}; systemctl start jailwarden"
    ));
    host.wait_protects("mail");
    let stopped = host.run(&["jailwarden", "--instance", "second", "reload"]);
    let said = String::from_utf8_lossy(&stopped.stderr);
    assert!(
        said.contains(&format!("systemctl start {SECOND}")),
        "{said}"
    );
    host.assert_explained();

    // Whoever uninstalls ends all of them, and fail2ban goes on.
    host.sh(&format!("systemctl start {SECOND}"));
    host.write("/root/source/Makefile", include_str!("../../Makefile"));
    let what_stands = include_str!("../../packaging/what-stands.sh");
    host.write("/root/source/packaging/what-stands.sh", what_stands);
    host.sh("make --directory /root/source uninstall PREFIX=/usr");
    host.wait_state(SECOND, "inactive");
    host.wait_state("jailwarden", "inactive");
    host.sh("! ls /etc/systemd/system/*.wants | grep jailwarden");
    host.wait_protects("mail");
    host.wait_protects("sshd");
}

#[test]
#[ignore = "half a minute more; JAILWARDEN_ALL=1 make test"]
fn a_start_that_is_still_on_its_way_is_ended_before_the_next() {
    let Some(host) = begin() else { return };
    host.write(
        "/root/start",
        &format!(
            "#!/bin/sh\necho start >>/var/lib/starts\n[ ! -e /root/hang ] || sleep 7777\n\
             exec fail2ban-client -x -c {CONFIG} -s {RUN}/second.sock -p {RUN}/second.pid start\n"
        ),
    );
    // The last jail is never disabled on a guess.
    host.sh(&format!(
        "chmod +x /root/start; touch /root/hang; rm {CONFIG}/jail.d/ftp.conf"
    ));
    host.write(
        SETTINGS,
        &settings("  start_command: /root/start\nrestart:\n  comeback: 6s\n"),
    );
    host.sh(&format!("systemctl start {SECOND}"));
    let again = wait_until(GUARD, || {
        (host.sh("cat /var/lib/starts || true").lines().count() > 1).then_some(())
    });
    assert!(again.is_some(), "{}", host.journal(SECOND));
    let hanging = || {
        host.sh("pgrep -c -f '[s]leep 7777' || true")
            .trim()
            .to_owned()
    };
    assert_eq!(hanging(), "1");

    // A jailwarden that is started anew ends what the one before it left on its way.
    host.sh(&format!("rm /root/hang; systemctl restart {SECOND}"));
    wait_healthy(&host, SECOND, "healthy: 1 of 1 jails protect");
    host.wait_protects("mail");
    assert_eq!(hanging(), "0");
    let servers = host.sh("pgrep -c -f '[f]ail2ban-server.*second.sock'");
    assert_eq!(servers.trim(), "1");
    host.wait_all_protect();
}
