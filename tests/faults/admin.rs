//! What an admin does on purpose, which has to stay so.

use super::fault::{Fault, JAILS, WITH_NEW, all, off};

const TYPO: &str = "cp /etc/fail2ban/filter.d/web.conf /root; sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; \
     systemctl restart fail2ban; sleep 25";

pub(crate) const FAULTS: &[Fault] = &[
    off("`systemctl stop fail2ban`", "systemctl stop fail2ban", &JAILS).in_slice(),
    off("`fail2ban-client stop`", "fail2ban-client stop", &JAILS),
    off("`systemctl mask --now fail2ban`", "systemctl mask --now fail2ban", &JAILS),
    off("`systemctl disable --now fail2ban`", "systemctl disable --now fail2ban", &JAILS),
    off("`fail2ban-client stop web`", "fail2ban-client stop web", &["web"]),
    off(
        "`fail2ban-client set web idle on`",
        "fail2ban-client set web idle on",
        &["web"],
    ),
    off(
        "`enabled = false` in one jail, and a reload",
        "sed -i 's/enabled = true/enabled = false/' /etc/fail2ban/jail.d/web.conf; fail2ban-client reload",
        &["web"],
    ),
    all(
        "stopped for 20 s while the config is edited, and started",
        "systemctl stop fail2ban; sed 's/web/ftp/g' /etc/fail2ban/jail.d/web.conf >/etc/fail2ban/jail.d/ftp.conf; sleep 20; \
         if pgrep -f '[f]ail2ban-server'; then touch /opt/overruled; fi; systemctl start fail2ban",
    )
    .able(WITH_NEW)
    .proofs(&[("! test -e /opt/overruled", "a stop overruled")]),
    all("a sound `systemctl restart fail2ban`", "systemctl restart fail2ban"),
    all("a sound `fail2ban-client reload`", "fail2ban-client reload"),
    all("`fail2ban-client restart`, behind systemd's back", "fail2ban-client restart"),
    all(
        "a ban by hand, and the socket file is deleted",
        "fail2ban-client set web banip 203.0.113.9; sleep 1; rm /run/fail2ban/fail2ban.sock",
    )
    .proofs(&[("test -e /opt/blocked/web-203.0.113.9", "a ban by hand lost")]),
    all(
        "an address is unbanned by hand, and the socket file is deleted",
        "fail2ban-client set web unbanip 203.0.113.9; sleep 1; rm /run/fail2ban/fail2ban.sock",
    )
    .before("fail2ban-client set web banip 203.0.113.9; sleep 2")
    .proofs(&[("! test -e /opt/blocked/web-203.0.113.9", "an unban undone")]),
    all(
        "a jail is mended that broke the last restart, and only saved",
        "cp /root/web.conf /etc/fail2ban/filter.d/",
    )
    .before(TYPO),
    all(
        "the same, and `systemctl restart fail2ban`",
        "cp /root/web.conf /etc/fail2ban/filter.d/; systemctl restart fail2ban",
    )
    .before(TYPO),
    all(
        "a new jail is saved in pieces over 6 s, not parsing in between, and reloaded",
        "cd /etc/fail2ban/jail.d; printf '[ftp' >ftp.conf; sleep 2; \
         printf ']\\nenabled = true\\nbackend = pol' >>ftp.conf; sleep 2; \
         printf 'ling\\nlogpath = /var/log/ftp.log\\n' >>ftp.conf; sleep 2; \
         printf 'maxretry = 5\\nusedns = no\\naction = note[name=ftp]\\n' >>ftp.conf; fail2ban-client reload",
    )
    .able(WITH_NEW),
    all(
        "the whole config folder is replaced by one with a new jail, and reloaded",
        "cp -a /etc/fail2ban /etc/new; sed 's/web/ftp/g' /etc/fail2ban/jail.d/web.conf >/etc/new/jail.d/ftp.conf; \
         mv /etc/fail2ban /etc/old; mv /etc/new /etc/fail2ban; fail2ban-client reload",
    )
    .able(WITH_NEW),
];
