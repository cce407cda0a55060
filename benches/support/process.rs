//! What a process uses, as the kernel counts it.

use std::fs;
use std::time::Duration;

use jailwarden::fail2ban::process::Pid;
use nix::time::clock_getcpuclockid;
use rustix::param::clock_ticks_per_second;

/// Seconds of CPU time of a process, with that of all its threads, those that ended among them; and that of its
/// children that have ended (`cutime` and `cstime` of `man 5 proc`), to a hundredth of a second.
pub(crate) fn cpu_seconds(pid: Pid) -> f64 {
    let own = clock_getcpuclockid(nix::unistd::Pid::from_raw(pid.as_raw_pid()));
    let own = Duration::from(own.unwrap().now().unwrap());
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    let ticks = after_name.split(' ').skip(13).take(2);
    let ticks: u64 = ticks.map(|it| it.parse::<u64>().unwrap()).sum();
    let children = Duration::from_millis(ticks * 1000 / clock_ticks_per_second());
    (own + children).as_secs_f64()
}
