//! Real hosts with three jails, as the supervisor of a daemon that systemd runs has to be measured on one.

use jailwarden::fail2ban::process::Pid;
use jailwarden::fail2ban::threads::census;

use super::real::host::Host;

pub(crate) const JAILS: [&str; 3] = ["mail", "ssh", "web"];

/// fail2ban's service, and what systemd does when its process ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// As Debian's unit has it: `on-failure`, after 100 ms (`RestartSec=` of systemd 252).
    Shipped,
    /// Nothing: it is for others to start it.
    Never,
    /// At once.
    AtOnce,
}

impl Restart {
    fn lines(self) -> &'static str {
        match self {
            Self::Shipped => "",
            Self::Never => "Restart=no\n",
            Self::AtOnce => "Restart=always\nRestartSec=0\n",
        }
    }
}

/// A host whose fail2ban runs; `None` if this machine can have none.
pub(crate) fn host(restart: Restart) -> Option<Host> {
    let host = Host::boot_at_once()?;
    host.sh("rm -f /etc/fail2ban/jail.d/*");
    for jail in JAILS {
        host.jail(jail);
    }
    // It is killed more often than systemd would bear, which has nothing to do with how fast anybody is.
    let unit = format!(
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\n{}",
        restart.lines()
    );
    host.write("/etc/systemd/system/fail2ban.service.d/bench.conf", &unit);
    host.sh("systemctl daemon-reload; systemctl start fail2ban");
    Some(host)
}

/// The host's fail2ban, by its number as seen from here.
pub(crate) fn server(host: &Host) -> Option<Pid> {
    let is_server = |pid: &Pid| {
        let name = std::fs::read(format!("/proc/{}/comm", pid.as_raw_nonzero()));
        name.is_ok_and(|name| name.starts_with(b"fail2ban-server"))
    };
    // monit's recipe starts it beside its unit (`/etc/init.d/fail2ban force-start`).
    let services = ["fail2ban.service", "monit.service"];
    let mut processes = services.into_iter().flat_map(|it| host.processes(it));
    processes.find(is_server)
}

/// Whether it has all threads of all jails.
pub(crate) fn is_complete(server: Pid) -> bool {
    let jails = JAILS.map(str::to_owned);
    census(server).is_ok_and(|census| census.judge(&jails).values().all(|it| it.complete()))
}
