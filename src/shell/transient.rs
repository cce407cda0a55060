//! The services of their own in which commands of the admin's run where systemd runs jailwarden: what starts a
//! fail2ban that no unit runs, and what takes alerts. Neither has jailwarden's limits, nor ends with it.

use std::ffi::{OsStr, OsString};
use std::hash::Hasher as _;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use siphasher::sip::SipHasher13;
use tokio::process::Command;

use crate::fail2ban::Instance;

use super::{notify, unit};

/// What a command that is fed says in the journal is said under this name.
pub(super) const IDENTIFIER: &str = "jailwarden-alert";

/// How long systemd may take to run the start command.
const RUN_LIMIT: Duration = Duration::from_secs(10);

/// Whether commands get one: a child of a service dies with it and shares its hardening.
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
        .args(words.iter().map(|word| literal(word)));
    command.stdin(Stdio::null()).kill_on_drop(true);
    notify::scrub(&mut command);
    let ran = tokio::time::timeout(RUN_LIMIT, command.output()).await;
    let output = ran.map_err(|_| io::Error::other("systemd-run did not end in time"))??;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("systemd-run: {}", words.trim())))
}

/// A word as the service gets it: systemd replaces variables in those of `ExecStart=`, also where it comes from
/// `systemd-run`, and makes one `$` of two (`man 5 systemd.service`).
fn literal(word: &OsStr) -> OsString {
    let dollars = |&byte: &u8| {
        if byte == b'$' {
            vec![byte, byte]
        } else {
            vec![byte]
        }
    };
    OsString::from_vec(word.as_bytes().iter().flat_map(dollars).collect())
}

/// Runs a command with `text` on its standard input, for up to `limit`, and waits for its end; tells how that
/// went, and what `systemd-run` says, which is nothing if the command was run. It needs no D-Bus, as
/// `systemd-run --wait` does. What the command leaves in the background, as mailers do, goes on.
pub(super) async fn feed(
    what: &str,
    words: &[OsString],
    text: &[u8],
    limit: Duration,
) -> io::Result<(ExitStatus, String)> {
    // For root alone, in a folder where nobody else can put anything.
    let mut input = tempfile::Builder::new()
        .prefix(".jailwarden-")
        .tempfile_in("/run")?;
    input.write_all(text)?;
    let mut command = Command::new("systemd-run");
    command
        .args(["--quiet", "--collect", "--property=Type=oneshot"])
        .args(["--property=KillMode=process", "--property=TimeoutStopSec=2"])
        .arg(format!("--property=TimeoutStartSec={}", limit.as_secs()))
        .arg(format!("--description={what}"))
        .arg(format!(
            "--property=StandardInput=file:{}",
            input.path().display()
        ))
        .args([
            "--property=StandardOutput=null",
            "--property=StandardError=journal",
        ])
        .arg(format!("--property=SyslogIdentifier={IDENTIFIER}"))
        // That each was started and has ended is nothing to read.
        .args([
            "--property=SyslogLevel=warning",
            "--property=LogLevelMax=notice",
        ])
        .arg("--")
        .args(words.iter().map(|word| literal(word)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    notify::scrub(&mut command);
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok((output.status, said))
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
