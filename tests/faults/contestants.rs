//! Who is to keep fail2ban protecting.

use std::fs;

use crate::support::docs::root;
use crate::support::host::Host;

/// fail2ban's own recipe (`files/monit/fail2ban` of 1.0.2), which Debian's package installs, with monit
/// looking as often as it can.
const MONIT: &str =
    "set daemon 1\nset log /var/log/monit.log\ninclude /etc/monit/monitrc.d/fail2ban\n";
const LOOP: &str =
    "while sleep 1; do fail2ban-client ping >/dev/null 2>&1 || systemctl restart fail2ban; done\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

    /// Has it supervise a host; false where that cannot be.
    pub(crate) fn begin(self, host: &Host) -> bool {
        match self {
            Self::Unit => {}
            Self::Monit => {
                let program = root().join("target/tools/monit");
                if !program.exists() {
                    return false;
                }
                fs::copy(program, host.root().join("opt/monit")).unwrap();
                host.write("/opt/monitrc", MONIT);
                host.sh(
                    "chmod 600 /opt/monitrc; systemd-run --quiet /opt/monit -I -c /opt/monitrc",
                );
            }
            Self::Loop => {
                host.write("/opt/loop", LOOP);
                host.sh("systemd-run --quiet sh /opt/loop");
            }
            Self::Jailwarden => {
                host.install_jailwarden();
                host.sh("systemctl enable --now --quiet jailwarden");
            }
        }
        true
    }
}
