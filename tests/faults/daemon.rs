//! Faults of fail2ban's process.

use super::fault::{Fault, all, others};

/// Ends the thread that bans: fail2ban catches all but `SystemExit` (server/actions.py of 1.0.2).
const FATAL: &str = "import os
from fail2ban.server.action import ActionBase
class Action(ActionBase):
    def ban(self, aInfo):
        if os.path.exists('/run/fatal'):
            os.unlink('/run/fatal')
            raise SystemExit
";
/// Ends the thread that reads the log, from outside: an ignorecommand that is Python has no such hook, so
/// the thread that bans stops the other through the server's own objects.
const DEAF: &str = "import os
from fail2ban.server.action import ActionBase
class Action(ActionBase):
    def ban(self, aInfo):
        if os.path.exists('/run/deaf'):
            os.unlink('/run/deaf')
            self._jail.filter.active = False
";
/// Tried on a line of `a`, it takes longer than anybody waits.
const ENDLESS: &str = "[Definition]\nfailregex = ^ fail from <HOST>$\n            ^ (a+)+b <HOST>$\n\
                       datepattern = {^LN-BEG}EPOCH\n";

pub(crate) const FAULTS: &[Fault] = &[
    all("it is killed (SIGKILL)", "systemctl kill -s KILL --kill-who=main fail2ban").in_slice(),
    all("it crashes (SIGSEGV)", "systemctl kill -s SEGV --kill-who=main fail2ban"),
    all("it hangs (SIGSTOP)", "systemctl kill -s STOP --kill-who=main fail2ban").in_slice(),
    all(
        "it stands still for 8 s, and goes on by itself",
        "systemctl kill -s STOP --kill-who=main fail2ban; sleep 8; systemctl kill -s CONT --kill-who=main fail2ban",
    ),
    all(
        "it crashes again and again for 10 s",
        "for n in $(seq 40); do systemctl kill -s KILL --kill-who=main fail2ban; sleep 0.2; done",
    ),
    all("its socket file is deleted", "rm /run/fail2ban/fail2ban.sock"),
    all("its PID file is deleted", "rm /run/fail2ban/fail2ban.pid"),
    all("the thread of one jail that bans is dead", "touch /run/fatal").files(&[
        ("/etc/fail2ban/action.d/fatal.py", FATAL),
        ("/etc/fail2ban/jail.d/z.local", "[web]\naction = note[name=\"web\"]\n  fatal.py\n"),
    ]),
    all("the thread of one jail that reads is dead", "touch /run/deaf").files(&[
        ("/etc/fail2ban/action.d/deaf.py", DEAF),
        ("/etc/fail2ban/jail.d/z.local", "[web]\naction = note[name=\"web\"]\n  deaf.py\n"),
    ]),
    others(
        "a regex that never ends on one line of the log",
        "echo \"$(date +%s) aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\" >>/var/log/web.log",
    )
    .files(&[("/etc/fail2ban/filter.d/web.conf", ENDLESS)]),
    all(
        "it may open no more files (EMFILE)",
        "pid=$(systemctl show -P MainPID fail2ban); n=$(ls /proc/$pid/fd | wc -l); prlimit --pid $pid --nofile=$n:$n",
    ),
    all(
        "the log of one jail was away for 140 s, and is back",
        "mv /root/web.log /var/log/",
    )
    .before("mv /var/log/web.log /root; sleep 140"),
    all(
        "a log is rotated",
        "mv /var/log/web.log /var/log/web.log.1; touch /var/log/web.log",
    ),
    others("the action of one jail blocks", "touch /run/block")
        .files(&[(
            "/etc/fail2ban/jail.d/z.local",
            "[web]\naction = note[name=\"web\"]\n  slow[name=\"web\"]\n",
        ), (
            "/etc/fail2ban/action.d/slow.conf",
            "[Definition]\nactionban = if test -e /run/block; then sleep 50; fi\nactionunban =\n",
        )]),
];
