//! The service of its own that a start command gets where systemd runs jailwarden, but no unit fail2ban.

use std::ffi::OsString;
use std::hash::Hasher as _;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use siphasher::sip::SipHasher13;
use tokio::process::Command;

use crate::fail2ban::Instance;

use super::unit;

/// Whether start commands get one: a child of a service dies with it and shares its hardening.
pub(super) fn is_used() -> bool {
    unit::is_booted()
        && std::env::var_os("INVOCATION_ID").is_some()
        && nix::unistd::geteuid().is_root()
}

/// What systemd calls it: another name for each daemon, as several jailwardens may each start one, and the
/// same for a jailwarden that comes after us.
pub(super) fn name(socket: &Path) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write(socket.as_os_str().as_bytes());
    format!("fail2ban-started-{:016x}.service", hasher.finish())
}

/// Ends what is left of the start before, whoever gave it: two at a time would start two daemons.
pub(super) async fn end(instance: &Instance) -> io::Result<()> {
    unit::end_transient(&name(&instance.socket)).await
}

/// Runs the start command. `ExitType=cgroup` (systemd 250) suits one that forks and one that stays; with
/// `Type=exec` one that cannot be run is known at once (`man 5 systemd.service`).
pub(super) async fn start(instance: &Instance, words: &[OsString]) -> io::Result<()> {
    let name = name(&instance.socket);
    let mut command = Command::new("systemd-run");
    command
        .args(["--quiet", "--collect", "--unit", &name])
        .args(["--property=Type=exec", "--property=ExitType=cgroup"])
        .arg(format!(
            "--description=fail2ban of {}, started by jailwarden",
            instance.config_dir.display()
        ))
        .arg("--")
        .args(words);
    unit::run(command, "systemd-run").await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_daemon_has_a_name_that_stays() {
        let of = |socket| name(Path::new(socket));
        assert_eq!(of("/run/a.sock"), of("/run/a.sock"));
        assert_ne!(of("/run/a.sock"), of("/run/b.sock"));
        assert!(
            of("/run/a b%.sock")
                .bytes()
                .all(|byte| { byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' })
        );
    }
}
