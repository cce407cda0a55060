//! Who tries the jails: failing lines in a log, and an action that notes whom it stops.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

/// Notes each ban with its time in `/opt/bans`, and keeps who is stopped in `/opt/blocked`, as a firewall does.
pub(crate) const NOTE: &str = "[Definition]
actionban = : >/opt/blocked/<name>-<ip>; echo \"<name> <ip> $(date +%%s.%%N)\" >>/opt/bans
actionunban = rm -f /opt/blocked/<name>-<ip>
";
pub(crate) const FILTER: &str =
    "[Definition]\nfailregex = fail from <HOST>\ndatepattern = {^LN-BEG}EPOCH\n";
/// How soon an offender has to be banned, in seconds.
pub(crate) const IN_TIME: f64 = 5.0;

/// Seconds since the epoch, as `date +%s.%N` says.
pub(crate) fn now() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}

/// Fails five times, if there is a log.
pub(crate) fn offend(root: &Path, jail: &str, ip: &str) {
    let line = format!("{} fail from {ip}\n", now().floor());
    let log = root.join(format!("var/log/{jail}.log"));
    if let Ok(mut log) = OpenOptions::new().append(true).create(true).open(log) {
        let _ = log.write_all(line.repeat(5).as_bytes());
    }
}
