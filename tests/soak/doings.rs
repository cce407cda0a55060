//! What befalls the host, one thing after the other: those of `tests/faults` that need no host of their own,
//! and more of what goes on where all is well.

use crate::table::CLASSES;
use crate::table::fault::{Fault, WITH_NEW, all, off};

/// A fault, an edit or an admin's doing, and what is to be done about it after, beside putting the files right.
#[derive(Clone, Copy)]
pub(crate) struct Doing {
    pub(crate) class: &'static str,
    pub(crate) fault: Fault,
    pub(crate) mend: &'static str,
}

/// Of `tests/faults`, these do not fit here: the offenders never rest, and `/var/lib` is no mount of its own.
const UNFIT: [&str; 3] = [
    "the log of one jail was away for 140 s, and is back",
    "`/var/lib` is read-only, and it is killed",
    "`/etc/fail2ban` is read-only, with a typo in a regex, and a restart",
];

const fn edit(fault: Fault) -> Doing {
    done("Edit", fault)
}

const fn admin(fault: Fault) -> Doing {
    done("Admin", fault)
}

const fn host(fault: Fault) -> Doing {
    done("Host", fault)
}

const fn daemon(fault: Fault) -> Doing {
    done("Daemon", fault)
}

const fn done(class: &'static str, fault: Fault) -> Doing {
    Doing {
        class,
        fault,
        mend: "",
    }
}

impl Doing {
    const fn mend(self, mend: &'static str) -> Self {
        Self { mend, ..self }
    }

    /// All that may befall the host, in one order.
    pub(crate) fn all() -> Vec<Self> {
        let mut doings = OWN.to_vec();
        for class in CLASSES.iter().filter(|class| class.name != "Supervisor") {
            let fits = |fault: &&Fault| {
                let is_aside = |(path, _): &(&str, &str)| path.starts_with("/opt/");
                let is_plain = fault.host.is_empty() && !fault.reboots;
                is_plain && fault.files.iter().all(is_aside) && !UNFIT.contains(&fault.name)
            };
            let mend = |fault: &Fault| match fault.off {
                [] => "",
                _ => {
                    "systemctl --quiet unmask fail2ban; systemctl --quiet enable fail2ban; systemctl restart fail2ban"
                }
            };
            let doing = |fault: &Fault| Doing {
                class: class.name,
                fault: *fault,
                mend: mend(fault),
            };
            doings.extend(class.faults.iter().filter(fits).map(doing));
        }
        doings
    }
}

const OWN: &[Doing] = &[
    edit(
        all(
            "`maxretry` of a jail is changed, and only saved",
            "sed -i 's/maxretry = 5/maxretry = 4/' /etc/fail2ban/jail.d/mail.conf",
        )
        .proofs(&[("test $(fail2ban-client get mail maxretry) = 4", "the edit is not in force")]),
    ),
    edit(
        all(
            "`findtime` in `[DEFAULT]` is changed, and only saved",
            "sed -i '1a findtime = 300' /etc/fail2ban/jail.d/00.conf",
        )
        .proofs(&[("test $(fail2ban-client get ssh findtime) = 300", "the edit is not in force")]),
    ),
    edit(
        all(
            "a second expression for a filter, and only saved",
            "echo '    gone wrong for <HOST>' >/opt/more; sed -i '/failregex/r /opt/more' /etc/fail2ban/filter.d/web.conf",
        )
        .proofs(&[("fail2ban-client get web failregex | grep -q gone", "the edit is not in force")]),
    ),
    edit(all(
        "a comment is changed",
        "echo '# a word' >>/etc/fail2ban/jail.d/ssh.conf",
    )),
    edit(all("each file is touched", "find /etc/fail2ban -type f -exec touch {} +")),
    edit(all(
        "20,000 writes to 50 files that fail2ban reads",
        "cd /etc/fail2ban/filter.d; n=0; while test $n -lt 20000; do echo \"# $n\" >soak-$((n % 50)).conf; n=$((n + 1)); done",
    )),
    edit(all(
        "a jail is edited to and fro ten times within 20 s",
        "cd /etc/fail2ban/jail.d; for n in 1 2 3 4 5; do \
         sed -i 's/maxretry = 5/maxretry = abc/' mail.conf; sleep 2; sed -i 's/maxretry = abc/maxretry = 5/' mail.conf; sleep 2; done",
    )),
    edit(
        all(
            "a new jail comes and goes five times within 30 s",
            "cd /etc/fail2ban/jail.d; for n in 1 2 3 4 5; do \
             sed 's/mail/ftp/g' mail.conf >ftp.conf; sleep 3; rm ftp.conf; sleep 3; done; sed 's/mail/ftp/g' mail.conf >ftp.conf",
        )
        .able(WITH_NEW),
    ),
    admin(all("`jailwarden restart`", "jailwarden restart")),
    admin(all("`jailwarden reload`", "jailwarden reload")),
    admin(all("`systemctl reload jailwarden`", "systemctl reload jailwarden")),
    admin(all(
        "100 times `jailwarden status`, and `check`, `diff`, `history`, `incidents`",
        "for n in $(seq 100); do jailwarden status; done; jailwarden check; jailwarden diff; jailwarden history; jailwarden incidents",
    )),
    admin(all(
        "20 listeners to what happens come and go",
        "for n in $(seq 20); do timeout 5 curl -sSN --unix-socket /run/jailwarden/control.sock http://localhost/api/events & done; wait",
    )),
    admin(off("`jailwarden rollback add web`", "jailwarden rollback add web", &["web"]))
    .mend("jailwarden rollback undo web"),
    admin(all(
        "paused, its socket file is deleted, and resumed after 15 s",
        "jailwarden pause --for 10m --reason soak; rm -f /run/fail2ban/fail2ban.sock; sleep 15; jailwarden resume",
    )),
    admin(all(
        "paused, it hangs (SIGSTOP), and resumed after 15 s",
        "jailwarden pause --for 10m --reason soak; systemctl kill -s STOP --kill-who=main fail2ban; sleep 15; jailwarden resume",
    )),
    daemon(all("the thread of one jail that bans is dead", "touch /run/fatal")
        .proofs(&[("! test -e /run/fatal", "it did not take place")])),
    daemon(all("the thread of one jail that reads is dead", "touch /run/deaf")
        .proofs(&[("! test -e /run/deaf", "it did not take place")])),
    daemon(all("one command of an action blocks", "touch /run/block; sleep 10; rm -f /run/block")),
    host(all(
        "a log is rotated by copying it",
        "cp /var/log/web.log /var/log/web.log.1; : >/var/log/web.log",
    )),
    host(all(
        "nothing is written to a log for 140 s, which is away, and both are back",
        "mv /root/web.log /var/log/; rm /run/quiet-web",
    )
    .before("touch /run/quiet-web; sleep 1; mv /var/log/web.log /root; sleep 140")),
    host(all("the firewall is flushed", "iptables -w -F; iptables -w -X").seconds(150)),
    host(all(
        "the database is replaced by an empty one, and it is killed",
        "rm /var/lib/fail2ban/fail2ban.sqlite3; : >/var/lib/fail2ban/fail2ban.sqlite3; \
         systemctl kill -s KILL --kill-who=main fail2ban",
    )),
    host(all(
        "no room for the database, and a restart",
        "dd if=/dev/zero of=/var/lib/fail2ban/fill bs=1k; systemctl restart fail2ban",
    ))
    .mend("rm -f /var/lib/fail2ban/fill"),
    host(all(
        "the disk of the database is read-only, and it is killed",
        "mount -o remount,ro /var/lib/fail2ban; systemctl kill -s KILL --kill-who=main fail2ban",
    ))
    .mend("mount -o remount,rw /var/lib/fail2ban"),
    host(all(
        "no room for jailwarden's state for 30 s, meanwhile a typo in a regex and a crash",
        "dd if=/dev/zero of=/var/lib/jailwarden/fill bs=1k; sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; \
         sleep 5; systemctl kill -s KILL --kill-who=main fail2ban; sleep 25; rm -f /var/lib/jailwarden/fill",
    )
    .able(&["ssh", "mail"])),
];
