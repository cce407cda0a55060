//! Faults of the config: what is saved, and what is run then.

use super::fault::{Fault, WITH_NEW, all, others};

pub(crate) const FAULTS: &[Fault] = &[
    others(
        "a typo in a regex, and `systemctl restart fail2ban`",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; systemctl restart fail2ban",
    )
    .in_slice(),
    others(
        "a typo in a regex, and `fail2ban-client reload`",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; fail2ban-client reload",
    ),
    all(
        "a typo in a regex that is only saved",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf",
    ),
    others(
        "a log file that is not there, and a restart",
        "sed -i 's,/var/log/web.log,/var/log/absent.log,' /etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "a glob that matches no log file, and a restart",
        "sed -i 's,/var/log/web.log,/var/log/web/*.log,' /etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "a backend that does not exist, and a reload",
        "sed -i 's/= polling/= poling/' /etc/fail2ban/jail.d/web.conf; fail2ban-client reload",
    ),
    others(
        "`maxretry = abc`, and a restart",
        "sed -i 's/maxretry = 5/maxretry = abc/' /etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "`bantime = 10 parsecs`, and a reload",
        "echo 'bantime = 10 parsecs' >>/etc/fail2ban/jail.d/web.conf; fail2ban-client reload",
    ),
    others(
        "the filter's file is gone, and a restart",
        "rm /etc/fail2ban/filter.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "a junk line in the filter, and a restart",
        "echo junk >>/etc/fail2ban/filter.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "a typo in the name of the action, and a restart",
        "sed -i 's/= note/= noet/' /etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "an action in Python that does not parse, and a restart",
        "echo 'class Action(:' >/etc/fail2ban/action.d/own.py; echo '  own.py' >>/etc/fail2ban/jail.d/web.conf; \
         systemctl restart fail2ban",
    ),
    others(
        "a typo in the name of the jail, and a restart",
        "sed -i 's/^.web.$/[wbe]/' /etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "`enabled = ture`, and a restart",
        "sed -i 's/enabled = true/enabled = ture/' /etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "an unknown `%(reference)s`, and a restart",
        "echo 'bantime = %(nowhere)s' >>/etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "a reference to itself, and a restart",
        "echo 'bantime = %(bantime)s' >>/etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "a file that is not UTF-8, and a restart",
        r"printf '# caf\351\n' >>/etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    others(
        "two actions of one name, a reload (which says OK), and a crash",
        "echo '  note[name=web]' >>/etc/fail2ban/jail.d/web.conf; fail2ban-client reload; sleep 3; \
         systemctl kill -s KILL --kill-who=main fail2ban",
    ),
    others(
        "a date pattern that does not compile, and a restart",
        "echo 'datepattern = {^LN-BEG}(EPOCH' >>/etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    ),
    all(
        "two faults at once, a typo in the regex of `web` and no log file for `mail`, and a restart",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; \
         sed -i 's,/var/log/mail.log,/var/log/absent.log,' /etc/fail2ban/jail.d/mail.conf; systemctl restart fail2ban",
    )
    .able(&["ssh"]),
    all(
        "a junk line in `jail.local`, and a restart",
        "echo junk >/etc/fail2ban/jail.local; systemctl restart fail2ban",
    )
    .proven(),
    all(
        "a bad `bantime` in `[DEFAULT]`, and a restart",
        "printf '[DEFAULT]\\nbantime = 10 parsecs\\n' >/etc/fail2ban/jail.local; systemctl restart fail2ban",
    )
    .proven(),
    all(
        "an unclosed section in a file of `jail.d`, and a restart",
        "sed -i 's/^.web.$/[web/' /etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    )
    .proven(),
    all(
        "a byte order mark in a file of `jail.d`, and a restart",
        r"sed -i '1s/^/\xef\xbb\xbf/' /etc/fail2ban/jail.d/web.conf; systemctl restart fail2ban",
    )
    .proven(),
    all(
        "a junk line in `fail2ban.local`, and a restart",
        "echo junk >/etc/fail2ban/fail2ban.local; systemctl restart fail2ban",
    )
    .proven(),
    all(
        "`dbfile` in a folder that cannot be, and a restart",
        "printf '[Definition]\\ndbfile = /etc/passwd/fail2ban.sqlite3\\n' >/etc/fail2ban/fail2ban.local; \
         systemctl restart fail2ban",
    )
    .proven(),
    all(
        "a good new jail that is only saved",
        "sed 's/web/ftp/g' /etc/fail2ban/jail.d/web.conf >/etc/fail2ban/jail.d/ftp.conf",
    )
    .able(WITH_NEW),
    all(
        "a good new jail beside a typo in the regex of another, and a reload",
        "sed 's/web/ftp/g' /etc/fail2ban/jail.d/web.conf >/etc/fail2ban/jail.d/ftp.conf; \
         sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; fail2ban-client reload",
    )
    .able(&["ssh", "mail", "ftp"]),
];
