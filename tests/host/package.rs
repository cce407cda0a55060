//! The Debian package: installed, upgraded, removed and purged by apt, on a host that protects.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use jailwarden::fail2ban::folder::{Limits, Snapshot};
use jailwarden::history::Store;

use crate::guarded::{Guarded, QUICK};
use crate::support::{program, skip};

pub(crate) const APT: &str = "apt-get --quiet --yes --no-install-recommends";
const POLICY: &str = "/usr/sbin/policy-rc.d";
const SETTINGS: &str = "/etc/jailwarden/jailwarden.yaml";
const ROLLBACK: &str = "/etc/fail2ban/jail.d/zzz-jailwarden-web.local";
const FILTER: &str = "/etc/fail2ban/filter.d/web.conf";

/// Packs the program under test, as a package of this version.
fn package(kind: &str, binary: &Path, folder: &Path, version: &str, flags: &str) -> PathBuf {
    let done = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/package"))
        .arg(kind)
        .arg(binary)
        .arg(folder)
        .env("VERSION", version)
        .env("DEB_FLAGS", flags)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap().trim_end().into()
}

/// The program without what is only for debugging, which the packages do not have either.
fn stripped(folder: &Path) -> PathBuf {
    let to = folder.join("jailwarden");
    let done = Command::new("strip")
        .arg("-o")
        .args([&to, Path::new(env!("CARGO_BIN_EXE_jailwarden"))])
        .status();
    assert!(done.unwrap().success());
    to
}

/// Puts the packages into `/root` of the host.
pub(crate) fn bring(host: &Guarded, versions: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let binary = stripped(folder.path());
    for version in versions {
        let made = package("deb", &binary, folder.path(), version, "-Znone");
        let to = host.root().join(format!("root/{version}.deb"));
        fs::copy(made, to).unwrap();
    }
}

/// What apt or dpkg says.
pub(crate) fn does(host: &Guarded, words: &str) -> String {
    host.sh(&format!("DEBIAN_FRONTEND=noninteractive {words} 2>&1"))
}

/// All files where packages and services have theirs, but those in which any of them leaves traces.
fn files(host: &Guarded) -> BTreeSet<String> {
    const TRACES: &str = "/run/systemd /run/log /var/log /var/cache /var/lib/apt /var/lib/dpkg \
                          /var/lib/PackageKit /var/lib/fail2ban /var/lib/systemd/timers";
    let found = host.sh(&format!(
        "for path in {TRACES}; do set -- \"$@\" -path $path -prune -o; done; \
         find /etc /opt /run /srv /usr /var \"$@\" -name __pycache__ -prune -o -printf '%y %p %l\\n'"
    ));
    found.lines().map(str::to_owned).collect()
}

/// A host whose fail2ban was never started, without what a container's image forbids: to start services,
/// and to unpack docs.
pub(crate) fn fresh() -> Option<Guarded> {
    if program("dpkg-shlibdeps").is_none() {
        skip("a Debian package takes dpkg-shlibdeps, of dpkg-dev");
        return None;
    }
    let host = Guarded::boot()?;
    host.sh(&format!("rm -f {POLICY} /etc/dpkg/dpkg.cfg.d/*"));
    // It takes long, and has nothing to do with it: all man pages are listed at each package.
    host.sh("rm -f /var/lib/man-db/auto-update");
    host.make_auth_log();
    Some(host)
}

/// The same with two jails that protect.
fn begin() -> Option<Guarded> {
    let host = fresh()?;
    host.jail("web");
    host.sh("systemctl start fail2ban");
    host.wait_protects("sshd");
    Some(host)
}

#[test]
fn it_is_installed_and_purged_without_a_trace() {
    let Some(host) = begin() else { return };
    bring(&host, &["1.0.0"]);
    let before = files(&host);
    let fail2ban = host.main_pid("fail2ban");

    // Where services may not be started, none is; nor if the admin forbids this one.
    host.sh(&format!(
        "printf '#!/bin/sh\\nexit 101\\n' >{POLICY}; chmod 755 {POLICY}"
    ));
    does(&host, "dpkg --install /root/1.0.0.deb");
    host.wait_state("jailwarden", "inactive");
    host.sh(&format!("rm {POLICY}; systemctl --quiet mask jailwarden"));
    does(&host, "dpkg --install /root/1.0.0.deb");
    host.wait_state("jailwarden", "inactive");
    host.sh("systemctl --quiet unmask jailwarden");

    // It starts, and is ready, while apt and dpkg hold their locks.
    host.mark();
    does(&host, &format!("{APT} --reinstall install /root/1.0.0.deb"));
    host.sh("systemctl is-active jailwarden && systemctl is-enabled jailwarden");
    host.wait_status("healthy: 2 of 2 jails protect");
    host.assert_no_alarm();
    assert_eq!(host.main_pid("fail2ban"), fail2ban);
    let socket = host.sh("stat -c '%a %U:%G' /run/jailwarden/control.sock");
    assert_eq!(socket.trim(), "660 root:jailwarden");
    host.sh("journalctl --list-catalog | grep -q jailwarden");
    host.assert_explained();
    host.sh("jailwarden status");
    // Every file is as it was packed, and dpkg knows which is the admin's to change.
    assert_eq!(host.sh("dpkg --verify jailwarden"), "");
    let conffiles = host.sh("dpkg-query --show --showformat '${Conffiles}' jailwarden");
    assert!(conffiles.contains(SETTINGS), "{conffiles}");

    let said = does(&host, &format!("{APT} purge jailwarden"));
    assert!(
        !said.contains("disabled") && !said.contains("kept in"),
        "{said}"
    );
    assert_eq!(host.main_pid("fail2ban"), fail2ban);
    host.wait_protects("web");
    host.sh("! getent group jailwarden; ! systemctl cat jailwarden 2>&1");
    host.sh("! journalctl --list-catalog | grep jailwarden");
    let after = files(&host);
    let left: Vec<_> = after.difference(&before).collect();
    assert_eq!(left, [""; 0], "is left");
    // systemd removes folders of its own that are empty.
    let gone = before.difference(&after).filter(|it| !it.starts_with("d "));
    let gone: Vec<_> = gone.collect();
    assert_eq!(gone, [""; 0], "is gone");
}

/// Debian's fail2ban does not start on a host without `auth.log`, and the package comes next.
#[test]
#[ignore = "a minute more, and `boots` has all but dpkg's lock; JAILWARDEN_ALL=1 make test"]
fn it_is_installed_where_fail2ban_does_not_start() {
    let Some(host) = Guarded::boot() else { return };
    host.sh(&format!("rm -f {POLICY}"));
    bring(&host, &["1.0.0"]);
    host.sh("systemctl start fail2ban || true");
    host.wait_state("fail2ban", "failed");
    does(&host, "dpkg --install /root/1.0.0.deb");
    host.sh("systemctl is-active jailwarden");
    host.wait_said("Have not found any log file for sshd jail");
    host.wait_status("degraded");
    host.sh("touch /var/log/auth.log");
    host.wait_said("sshd passed a trial");
    host.wait_protects("sshd");
}

#[test]
fn an_upgrade_and_a_removal_lose_nothing() {
    let Some(host) = begin() else { return };
    bring(&host, &["1.0.1-rc.1", "1.0.1"]);
    // A group that was there before is the admin's.
    host.sh("groupadd --system jailwarden");
    does(&host, "dpkg --install /root/1.0.1-rc.1.deb");
    host.sh("systemctl is-active jailwarden");
    host.write(SETTINGS, QUICK);
    host.sh("systemctl reload jailwarden");
    host.wait_said("the settings were read again");

    // What stands: a file of the admin's that was replaced, a rollback, and an incident.
    let copy = tempfile::tempdir().unwrap();
    let config = copy.path().join("fail2ban");
    let done = Command::new("cp")
        .arg("-a")
        .args([&host.root().join("etc/fail2ban"), &config])
        .status();
    assert!(done.unwrap().success());
    let store = Store::open(&host.root().join("var/lib/jailwarden"), "jailwarden");
    let stream = host.sh("fail2ban-client -d");
    let fingerprint = Snapshot::take(&config, Limits::default()).fingerprint();
    let id = store.keep(&config, fingerprint, &stream, SystemTime::now());
    let id = id.unwrap().short();
    host.sh(&format!(
        "echo '# mine' >>{FILTER}; jailwarden restore {id}"
    ));
    host.sh(&format!(
        "sed -i 's/^failregex.*/failregex = fail from <HOST> [/' {FILTER}; systemctl restart fail2ban || true"
    ));
    host.wait_said("web disabled so that the others can run");
    host.wait_said("fail2ban protects again");
    host.wait_status("degraded");
    let fail2ban = host.main_pid("fail2ban");
    let jailwarden = host.main_pid("jailwarden");
    let incidents = host.sh("jailwarden incidents --json || true");
    assert!(incidents.contains("\"began\""), "{incidents}");

    // Settings that cannot be used do not cost the supervisor that runs.
    host.write(SETTINGS, "probe:\n  intervall: 1s\n");
    let said = does(&host, "dpkg --install /root/1.0.1-rc.1.deb");
    assert!(
        said.contains("intervall") && said.contains("not (re)started"),
        "{said}"
    );
    assert_eq!(host.main_pid("jailwarden"), jailwarden);
    host.write(SETTINGS, QUICK);

    host.mark();
    does(&host, "dpkg --install /root/1.0.1.deb");
    host.wait_said("supervision begins: fail2ban runs");
    assert_ne!(host.main_pid("jailwarden"), jailwarden);
    assert_eq!(host.main_pid("fail2ban"), fail2ban);
    host.wait_status("degraded");
    host.sh(&format!("test -e {ROLLBACK}; grep -q 1s {SETTINGS}"));
    let now = host.sh("jailwarden incidents --json || true");
    let ids = |text: &str| {
        let kept: serde_json::Value = serde_json::from_str(text).unwrap();
        let all = kept["incidents"].as_array().unwrap().clone();
        all.iter()
            .map(|it| it["id"].to_string())
            .collect::<Vec<_>>()
    };
    assert!(ids(&now).ends_with(&ids(&incidents)), "{now} {incidents}");

    // What is broken stays disabled: without its rollback the next start of fail2ban would fail.
    let stands = |said: &str| {
        for words in [
            "disabled jails",
            "zzz-jailwarden-web.local:# Why:",
            "unterminated character set",
        ] {
            assert!(said.contains(words), "no {words:?} in\n{said}");
        }
    };
    stands(&does(&host, "dpkg --remove jailwarden"));
    host.wait_state("jailwarden", "inactive");
    host.sh(&format!(
        "test -e {ROLLBACK}; test -e {SETTINGS}; ! command -v jailwarden"
    ));
    assert_eq!(host.main_pid("fail2ban"), fail2ban);
    host.sh("systemctl restart fail2ban");
    host.wait_protects("sshd");

    let said = does(&host, "dpkg --purge jailwarden");
    host.sh(&format!("test -e {ROLLBACK}"));
    let kept = host.sh("find /var/lib/jailwarden -name web.conf");
    assert!(
        kept.trim().starts_with("/var/lib/jailwarden/rejected/"),
        "{kept}"
    );
    assert!(
        said.contains(kept.trim()) && said.contains("rm -r /var/lib/jailwarden"),
        "{said}"
    );
    host.sh(&format!("grep -qx '# mine' {}", kept.trim()));
    host.sh("test $(ls /var/lib/jailwarden) = rejected; test ! -e /etc/jailwarden; getent group jailwarden");
}

/// Where an instance has its settings.
fn settings_of(name: &str) -> String {
    format!("/etc/jailwarden/{name}.yaml")
}

/// Two further instances that run, each for a fail2ban without jails.
fn further(host: &Guarded) {
    for name in ["second", "third"] {
        host.write(&settings_of(name), &sound(name));
        host.sh(&format!(
            "cp -r /etc/fail2ban /etc/{name}; rm /etc/{name}/jail.d/*; \
             systemctl enable --now --quiet jailwarden@{name}"
        ));
    }
}

fn sound(name: &str) -> String {
    format!(
        "config_dir: /etc/{name}\ndaemon:\n  unit: none\n  socket: /run/{name}.sock\n  \
         pid_file: /run/{name}.pid\n"
    )
}

/// An upgrade restarts `second` alone: neither the host's own nor `third` has settings that can be used.
fn only_second_is_restarted(host: &Guarded, upgrade: impl Fn() -> String) {
    let pids =
        || ["jailwarden", "jailwarden@second", "jailwarden@third"].map(|unit| host.main_pid(unit));
    let before = pids();
    let faulty = "probe:\n  intervall: 1s\n";
    host.write(SETTINGS, faulty);
    host.write(&settings_of("third"), faulty);
    let said = upgrade();
    host.wait_new_process("jailwarden@second", &before[1]);
    let after = pids();
    assert_eq!([&after[0], &after[2]], [&before[0], &before[2]], "{said}");
    for unit in ["jailwarden.service", "jailwarden@third.service"] {
        let words = format!("{unit} is not (re)started with faulty settings");
        assert!(said.contains(&words), "no {words:?} in\n{said}");
    }
    assert!(!said.contains("jailwarden@second.service is not"), "{said}");

    host.write(SETTINGS, QUICK);
    host.write(&settings_of("third"), &sound("third"));
    upgrade();
    host.wait_new_process("jailwarden", &after[0]);
    host.wait_new_process("jailwarden@third", &after[2]);
}

#[test]
fn an_upgrade_and_a_purge_treat_each_instance_by_itself() {
    let Some(host) = begin() else { return };
    bring(&host, &["1.0.0"]);
    does(&host, "dpkg --install /root/1.0.0.deb");
    further(&host);
    only_second_is_restarted(&host, || does(&host, "dpkg --install /root/1.0.0.deb"));

    // A file of the admin's that the second has replaced, and a copy that the admin has made.
    let kept = "/var/lib/jailwarden-second/rejected/1/files/jail.local";
    host.write(kept, "# mine\n");
    host.write(
        "/var/lib/jailwarden-second/rejected/1/manifest.json",
        "{}\n",
    );
    host.sh("cp -r /var/lib/jailwarden-third /var/lib/jailwarden-copy");
    let said = does(&host, "dpkg --remove jailwarden");
    assert!(
        said.contains("systemctl enable --now jailwarden@second.service"),
        "{said}"
    );
    host.wait_state("jailwarden@second", "inactive");
    host.sh("! ls /etc/systemd/system/*.wants | grep jailwarden@");
    let said = does(&host, "dpkg --purge jailwarden");
    for words in [
        kept,
        "rm -r /var/lib/jailwarden-second",
        "stay: /etc/jailwarden/second.yaml",
        "stay: /etc/jailwarden/third.yaml",
        "/var/lib/jailwarden-copy stays",
    ] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
    host.sh(&format!(
        "grep -qx '# mine' {kept}; test $(ls /var/lib/jailwarden-second) = rejected; \
         test -d /var/lib/jailwarden-copy; test ! -e /var/lib/jailwarden; test ! -e /var/lib/jailwarden-third"
    ));
}

#[test]
#[ignore = "takes rpmbuild, and half a minute to pack twice; JAILWARDEN_ALL=1 make test"]
fn an_rpm_is_installed_upgraded_and_erased() {
    const RPM: &str = "rpm --force-debian --nodeps";
    let Some(host) = begin() else { return };
    let folder = tempfile::tempdir().unwrap();
    for version in ["1.0.0-rc.1", "1.0.0"] {
        let made = package("rpm", &stripped(folder.path()), folder.path(), version, "");
        fs::copy(made, host.root().join(format!("root/{version}.rpm"))).unwrap();
    }
    does(&host, &format!("{RPM} --install /root/1.0.0-rc.1.rpm"));
    // Whether it is enabled is for the distribution to say; nobody starts it but the admin.
    host.wait_state("jailwarden", "inactive");
    host.write(SETTINGS, QUICK);
    host.sh("systemctl enable --now --quiet jailwarden; getent group jailwarden");
    host.sh("jailwarden rollback add web");
    let fail2ban = host.main_pid("fail2ban");
    let jailwarden = host.main_pid("jailwarden");

    host.write(SETTINGS, "probe:\n  intervall: 1s\n");
    let said = does(&host, &format!("{RPM} --upgrade --force /root/1.0.0.rpm"));
    assert!(said.contains("intervall"), "{said}");
    assert_eq!(host.main_pid("jailwarden"), jailwarden);
    host.write(SETTINGS, QUICK);
    does(&host, &format!("{RPM} --upgrade --force /root/1.0.0.rpm"));
    host.wait_new_process("jailwarden", &jailwarden);
    host.wait_status("degraded");
    assert_eq!(host.main_pid("fail2ban"), fail2ban);
    further(&host);
    only_second_is_restarted(&host, || {
        does(&host, &format!("{RPM} --upgrade --force /root/1.0.0.rpm"))
    });

    let said = does(&host, &format!("{RPM} --erase jailwarden"));
    assert!(said.contains("zzz-jailwarden-web.local:# Why:"), "{said}");
    host.wait_state("jailwarden", "inactive");
    host.sh("! ls /etc/systemd/system/*.wants | grep jailwarden");
    assert_eq!(host.main_pid("fail2ban"), fail2ban);
    host.sh(&format!(
        "test -e {ROLLBACK}; test -e /var/lib/jailwarden/state.json; ! systemctl cat jailwarden 2>&1; \
         grep -q 1s {SETTINGS}.rpmsave; ! test -e /usr/share/doc/jailwarden; ! command -v jailwarden"
    ));
}

#[test]
#[ignore = "takes lintian and rpmbuild"]
fn each_package_holds_what_make_installs_and_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    let binary = stripped(folder.path());
    let lines = |program: &str, words: &[&str], path: &Path| {
        let done = Command::new(program).args(words).arg(path).output();
        let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
        let text = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert!(done.status.success(), "{program} {words:?}: {text}");
        text
    };
    let tree = folder.path().join("tree");
    let binary_word = format!("BINARY={}", binary.display());
    let tree_word = format!("DESTDIR={}", tree.display());
    let made = Command::new("make")
        .args(["--directory", env!("CARGO_MANIFEST_DIR"), "install"])
        .args(["PREFIX=/usr", &binary_word, &tree_word])
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    // How a file is called in both packages, whatever each makes of man pages, the changelog and zsh.
    let name = |path: &str| {
        let path = path.trim_start_matches('.').trim_end_matches(".gz");
        path.replace("site-functions", "vendor-completions")
            .replace("CHANGELOG.md", "changelog")
    };
    let installed: BTreeSet<_> = lines("find", &["-P"], &tree)
        .lines()
        .filter(|path| Path::new(path).is_file())
        .map(|path| name(path.strip_prefix(tree.to_str().unwrap()).unwrap()))
        .collect();
    assert!(installed.len() > 40, "{installed:?}");

    let deb = package("deb", &binary, folder.path(), "1.0.0", "-Zxz -z0");
    let clean = ["--allow-root", "--fail-on", "error,warning"];
    assert_eq!(lines("lintian", &clean, &deb), "");
    let listing = lines("dpkg-deb", &["--contents"], &deb);
    let in_deb = listing.lines().filter(|line| line.starts_with('-'));
    let in_deb: BTreeSet<_> = in_deb
        .filter_map(|line| line.split_whitespace().nth(5))
        .map(name)
        .collect();
    let rpm = package("rpm", &binary, folder.path(), "1.0.0", "");
    let listing = lines(
        "rpm",
        &[
            "--query",
            "--package",
            "--queryformat",
            "[%{FILEMODES:perms} %{FILENAMES}\n]",
        ],
        &rpm,
    );
    let in_rpm: BTreeSet<_> = listing
        .lines()
        .filter_map(|line| line.strip_prefix('-')?.split_once(' '))
        .map(|(_, path)| name(path))
        .collect();
    assert_eq!(in_rpm, installed);
    let of_debian = |path: &&String| {
        path.contains("/lintian/")
            || path.ends_with("/copyright")
            || path.ends_with("/changelog.Debian")
    };
    let licence = |path: &&String| !path.contains("/LICENSE-");
    assert_eq!(
        in_deb
            .iter()
            .filter(|it| !of_debian(it))
            .collect::<Vec<_>>(),
        installed.iter().filter(licence).collect::<Vec<_>>()
    );
}
