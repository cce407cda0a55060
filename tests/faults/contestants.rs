//! Who is to keep fail2ban protecting.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::support::docs::root;
use crate::support::host::Host;

/// fail2ban's own recipe (`files/monit/fail2ban` of 1.0.2), which Debian's package installs, with monit
/// looking as often as it can; the rest is Debian's.
const MONIT: &str = "set daemon 1
set log /var/log/monit.log
set idfile /var/lib/monit/id
set statefile /var/lib/monit/state
include /etc/monit/monitrc.d/fail2ban
";
/// As in monit's own example, which Debian's package installs, for these paths.
const MONIT_UNIT: &str = "[Unit]
StartLimitIntervalSec=0
[Service]
KillMode=process
ExecStart=/opt/monit -I -c /opt/monitrc
ExecStop=/opt/monit -c /opt/monitrc quit
ExecReload=/opt/monit -c /opt/monitrc reload
Restart=always
[Install]
WantedBy=multi-user.target
";
const LOOP: &str =
    "while sleep 1; do fail2ban-client ping >/dev/null 2>&1 || systemctl restart fail2ban; done\n";
const LOOP_UNIT: &str = "[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh /opt/loop
Restart=always
[Install]
WantedBy=multi-user.target
";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contestant {
    /// The unit as Debian ships it, and nothing else. The others have it too.
    Unit,
    Monit,
    Loop,
    Jailwarden,
}

impl Contestant {
    pub(crate) const ALL: [Self; 4] = [Self::Unit, Self::Monit, Self::Loop, Self::Jailwarden];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit alone",
            Self::Monit => "monit",
            Self::Loop => "ping loop",
            Self::Jailwarden => "jailwarden",
        }
    }

    /// To be named by on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Monit => "monit",
            Self::Loop => "loop",
            Self::Jailwarden => "jailwarden",
        }
    }

    /// Where its unit, its state and its settings are, for a fault of it.
    pub(crate) fn environment(self) -> [&'static str; 3] {
        match self {
            Self::Unit => ["WATCHDOG=", "STATE=", "SETTINGS="],
            Self::Monit => [
                "WATCHDOG=monit",
                "STATE=/var/lib/monit",
                "SETTINGS=/opt/monitrc",
            ],
            Self::Loop => ["WATCHDOG=loop", "STATE=", "SETTINGS=/opt/loop"],
            Self::Jailwarden => [
                "WATCHDOG=jailwarden",
                "STATE=/var/lib/jailwarden",
                "SETTINGS=/etc/jailwarden/jailwarden.yaml",
            ],
        }
    }

    /// Has it supervise a host.
    ///
    /// # Errors
    ///
    /// Why that cannot be.
    pub(crate) fn begin(self, host: &Host) -> Result<(), String> {
        match self {
            Self::Unit => return Ok(()),
            Self::Monit => {
                let program = root().join("target/tools/monit");
                fs::copy(&program, host.root().join("opt/monit"))
                    .map_err(|error| format!("{}: {error}", program.display()))?;
                host.write("/opt/monitrc", MONIT);
                host.write("/etc/systemd/system/monit.service", MONIT_UNIT);
                host.sh("chmod 600 /opt/monitrc; mkdir -p /var/lib/monit");
            }
            Self::Loop => {
                host.write("/opt/loop", LOOP);
                host.write("/etc/systemd/system/loop.service", LOOP_UNIT);
            }
            Self::Jailwarden => host.install_jailwarden(),
        }
        let [unit, ..] = self.environment();
        let unit = unit.trim_start_matches("WATCHDOG=");
        host.sh(&format!(
            "systemctl daemon-reload; systemctl enable --now --quiet {unit}"
        ));
        Ok(())
    }
}
