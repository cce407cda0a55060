//! The faults.

/// What there is to protect; what a fault breaks is `web`.
pub(crate) const JAILS: [&str; 3] = ["ssh", "mail", "web"];

pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// Files that make it possible, there from the beginning.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// How long all is well before, in seconds.
    pub(crate) healthy: u64,
    /// What happens, in the host's shell, without single quotes.
    pub(crate) script: &'static str,
    pub(crate) wish: Wish,
}

/// What an admin would want to come of it.
pub(crate) enum Wish {
    /// These jails, which can, protect.
    Protect(&'static [&'static str]),
    /// fail2ban stays stopped.
    Stay,
}

const ALL: Wish = Wish::Protect(&JAILS);
const OTHERS: Wish = Wish::Protect(&["ssh", "mail"]);

const fn fault(name: &'static str, script: &'static str, wish: Wish) -> Fault {
    Fault {
        name,
        files: &[],
        healthy: 5,
        script,
        wish,
    }
}

/// Ends the thread that bans: fail2ban catches all but `SystemExit` (server/actions.py of 1.0.2).
const FATAL: &str = "import os
from fail2ban.server.action import ActionBase
class Action(ActionBase):
    def ban(self, aInfo):
        if os.path.exists('/run/fatal'):
            os.unlink('/run/fatal')
            raise SystemExit
";

pub(crate) const FAULTS: [Fault; 9] = [
    fault(
        "fail2ban is killed (SIGKILL)",
        "systemctl kill -s KILL --kill-who=main fail2ban",
        ALL,
    ),
    fault(
        "fail2ban hangs (SIGSTOP)",
        "systemctl kill -s STOP --kill-who=main fail2ban",
        ALL,
    ),
    fault(
        "a typo in the regex of one jail, and `systemctl restart fail2ban`",
        "sed -i \"s/<HOST>/<HOST> [/\" /etc/fail2ban/filter.d/web.conf; systemctl restart fail2ban",
        OTHERS,
    ),
    fault(
        "the same typo, and `fail2ban-client reload`",
        "sed -i \"s/<HOST>/<HOST> [/\" /etc/fail2ban/filter.d/web.conf; fail2ban-client reload",
        OTHERS,
    ),
    fault(
        "a log file that is not there, and `systemctl restart fail2ban`",
        "sed -i \"s,/var/log/web.log,/var/log/absent.log,\" /etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
        OTHERS,
    ),
    Fault {
        // jailwarden keeps a config as good after a minute.
        healthy: 75,
        ..fault(
            "a line of junk in `jail.local`, and `systemctl restart fail2ban`",
            "echo junk >/etc/fail2ban/jail.local; systemctl restart fail2ban",
            ALL,
        )
    },
    Fault {
        files: &[
            ("/etc/fail2ban/action.d/fatal.py", FATAL),
            (
                "/etc/fail2ban/jail.d/z.local",
                "[web]\naction = note[name=\"web\"]\n  fatal.py\n",
            ),
        ],
        ..fault(
            "the thread of one jail that bans is dead",
            "touch /run/fatal",
            ALL,
        )
    },
    fault(
        "the socket file is deleted",
        "rm /run/fail2ban/fail2ban.sock",
        ALL,
    ),
    fault(
        "an admin stops it: `systemctl stop fail2ban`",
        "systemctl stop fail2ban",
        Wish::Stay,
    ),
];
