//! Faults of the host around fail2ban.

use super::fault::{Fault, all, others};

/// An action that stops nobody where there is no iptables.
const WALL: &str = "[Definition]\nactionban = iptables -w -I INPUT -s <ip> -j DROP && : >/opt/blocked/<name>-<ip> && echo \"<name> <ip> $(date +%%s.%%N)\" >>/opt/bans\nactionunban =\n";
/// Holds the database for 20 s.
const HOLD: &str = "import sqlite3, time
held = sqlite3.connect('/var/lib/fail2ban/fail2ban.sqlite3', isolation_level=None)
held.execute('BEGIN EXCLUSIVE')
open('/run/held', 'w').close()
time.sleep(20)
";
/// A filter notes in the database how far it has read, and where it cannot when it is told to stop, it goes on for
/// ever (`onStop` of server/filter.py, 1.0.2). It does so once in five seconds: what it reads until then it notes
/// with the next line, or when it is told to stop. That of this jail, which nobody attacks, has read such a line.
/// It is the first jail, as fail2ban waits for one after the other, and no longer once it cannot write down that
/// one has ended (`delJail` of server/server.py).
const UNNOTED: &str = "import os, sqlite3, time
log, nth = '/var/log/quiet.log', 0
def noted():
    database = sqlite3.connect('/var/lib/fail2ban/fail2ban.sqlite3')
    found = database.execute('SELECT lastfilepos FROM logs WHERE path = ?', [log]).fetchone()
    database.close()
    return found and found[0]
def is_noted():
    return noted() in (None, os.path.getsize(log))
while is_noted():
    nth += 1
    with open(log, 'a') as lines:
        print(int(time.time()), f'fail from 203.0.113.{nth}', file=lines)
    while f'[quiet] Found 203.0.113.{nth} ' not in open('/var/log/fail2ban.log').read():
        time.sleep(0.05)
    time.sleep(0.5)
    if not is_noted():
        time.sleep(5)
";
const QUIET: &str = "[quiet]
enabled = true
filter = web
backend = polling
logpath = /var/log/quiet.log
maxretry = 5
usedns = no
action = note[name=quiet]
";
/// As a package manager, it holds its lock for 25 s.
const INSTALL: &str = "import fcntl, time
lock = open('/var/lib/dpkg/lock-frontend', 'w')
fcntl.lockf(lock, fcntl.LOCK_EX)
open('/run/held', 'w').close()
time.sleep(25)
";
/// The log of `web`, where the load finds it too.
const OWN_FOLDER: &str =
    "mkdir /var/log/www; touch /var/log/www/web.log; ln -sf www/web.log /var/log/web.log";
const IN_OWN_FOLDER: &[(&str, &str)] = &[(
    "/etc/fail2ban/jail.d/z.local",
    "[web]\nlogpath = /var/log/www/web.log\n",
)];

pub(crate) const FAULTS: &[Fault] = &[
    all(
        "no room for the database, and a restart",
        "dd if=/dev/zero of=/var/lib/fail2ban/fill bs=1k; systemctl restart fail2ban",
    )
    .host("mount -t tmpfs -o size=1m tmpfs /var/lib/fail2ban"),
    all(
        "no room in `/run`, and a restart",
        "mount -o remount,size=32m /run; dd if=/dev/zero of=/run/fill bs=1k; systemctl restart fail2ban",
    ),
    all(
        "no room for its log, and a restart",
        "ln -sf /dev/full /var/log/fail2ban.log; systemctl restart fail2ban",
    ),
    all(
        "the database is garbage, and a restart, in which its stop hangs",
        "head -c 100000 /dev/urandom >/var/lib/fail2ban/fail2ban.sqlite3; systemctl --no-block restart fail2ban; \
         sleep 3; if test $(systemctl show -P ActiveState fail2ban) = deactivating; then touch /opt/hung; fi",
    )
    .host("touch /var/log/quiet.log")
    .files(&[("/opt/unnoted.py", UNNOTED), ("/etc/fail2ban/jail.d/a.conf", QUIET)])
    .before("python3 /opt/unnoted.py")
    .provided(("test -e /opt/hung", "its stop did not hang")),
    all(
        "the database is locked for 20 s, and a reload",
        "python3 /opt/hold.py & until test -e /run/held; do sleep 0.1; done; fail2ban-client reload",
    )
    .files(&[("/opt/hold.py", HOLD)]),
    all(
        "`/var/lib` is read-only, and it is killed",
        "mount --bind /var/lib /var/lib; mount -o remount,bind,ro /var/lib; \
         systemctl kill -s KILL --kill-who=main fail2ban",
    ),
    others(
        "`/etc/fail2ban` is read-only, with a typo in a regex, and a restart",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; mount --bind /etc/fail2ban /etc/fail2ban; \
         mount -o remount,bind,ro /etc/fail2ban; systemctl restart fail2ban",
    ),
    all(
        "the config folder is moved away, and fail2ban is killed",
        "mv /etc/fail2ban /etc/away; systemctl kill -s KILL --kill-who=main fail2ban",
    )
    .proven(),
    others("iptables is not there", "rm /usr/sbin/iptables*").files(&[
        ("/etc/fail2ban/action.d/wall.conf", WALL),
        ("/etc/fail2ban/jail.d/z.local", "[web]\naction = wall[name=\"web\"]\n"),
    ]),
    all("the firewall is flushed (looked at for 150 s)", "iptables -w -F; iptables -w -X")
        .files(&[(
            "/etc/fail2ban/jail.d/z.local",
            "[web]\naction = note[name=\"web\"]\n  iptables-multiport[name=web, port=80]\n",
        )])
        .seconds(150)
        .proofs(&[(
            "iptables -w -n -L f2b-web | grep -q 198.18.3.250",
            "bans that stop nobody",
        )]),
    all("a log file is deleted, and made again by the next line", "rm /var/log/web.log"),
    others(
        "the folder of a log is removed, and fail2ban is killed",
        "rm -r /var/log/www; systemctl kill -s KILL --kill-who=main fail2ban",
    )
    .host(OWN_FOLDER)
    .files(IN_OWN_FOLDER),
    all(
        "the same, and the folder is back after 20 s",
        "rm -r /var/log/www; systemctl kill -s KILL --kill-who=main fail2ban; sleep 20; \
         mkdir /var/log/www; touch /var/log/www/web.log",
    )
    .host(OWN_FOLDER)
    .files(IN_OWN_FOLDER),
    all(
        "a module of Python's is missing for 20 s, and fail2ban is killed",
        "cd /usr/lib/python3/dist-packages/fail2ban/server; mv ipdns.py /root; rm -rf __pycache__/ipdns*; \
         systemctl kill -s KILL --kill-who=main fail2ban; sleep 20; mv /root/ipdns.py .",
    ),
    all(
        "D-Bus is down, and fail2ban hangs",
        "systemctl stop dbus.socket dbus; kill -STOP $(systemctl show -P MainPID fail2ban)",
    ),
    all(
        "journald hangs for 50 s, and so does fail2ban",
        "kill -STOP $(systemctl show -P MainPID systemd-journald); kill -STOP $(pgrep -f '[f]ail2ban-server'); \
         sleep 50; kill -CONT $(systemctl show -P MainPID systemd-journald)",
    ),
    all("a reboot", "").reboots(),
    others(
        "a reboot with a typo in a regex",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf",
    )
    .reboots(),
    others(
        "a reboot, after which a log file is not there",
        "sed -i 's,/var/log/web.log,/var/log/absent.log,' /etc/fail2ban/jail.d/web.conf",
    )
    .reboots(),
    all(
        "an upgrade of fail2ban, during which it is stopped for 15 s",
        "python3 /opt/install.py & until test -e /run/held; do sleep 0.1; done; systemctl stop fail2ban; sleep 15; \
         if pgrep -f '[f]ail2ban-server'; then touch /opt/overruled; fi; systemctl start fail2ban",
    )
    .files(&[("/opt/install.py", INSTALL)])
    .proofs(&[("! test -e /opt/overruled", "started in the middle of the upgrade")]),
];
