//! Faults of whoever is to keep fail2ban protecting, and then one of fail2ban. `watchdog` is systemctl for
//! the contestant's unit; `$STATE` is its state folder, `$SETTINGS` its settings. The unit alone has none
//! of these, and only the second fault.

use super::fault::{Fault, all, others};

pub(crate) const FAULTS: &[Fault] = &[
    all(
        "the watchdog is killed, and fail2ban hangs",
        "watchdog kill -s KILL; systemctl kill -s STOP --kill-who=main fail2ban",
    )
    .in_slice(),
    all(
        "the watchdog is killed six times in a row, and fail2ban hangs",
        "for n in 1 2 3 4 5 6; do watchdog kill -s KILL; sleep 1; done; \
         systemctl kill -s STOP --kill-who=main fail2ban",
    ),
    all(
        "the watchdog hangs, and 65 s later fail2ban does",
        "systemctl kill -s STOP --kill-who=main fail2ban",
    )
    .before("watchdog kill -s STOP; sleep 65"),
    all(
        "both hang in the same moment (looked at for 90 s)",
        "watchdog kill -s STOP; systemctl kill -s STOP --kill-who=main fail2ban",
    )
    .seconds(90),
    others(
        "the watchdog's state is garbage as it starts, then a typo in a regex and a restart",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; systemctl restart fail2ban",
    )
    .before(
        "watchdog stop; for file in \"$STATE\"/*; do if test -f \"$file\"; then head -c 50 /dev/urandom >\"$file\"; fi; done; \
         watchdog start; sleep 5",
    ),
    others(
        "no room for the watchdog's state, then a typo in a regex and a restart",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; systemctl restart fail2ban",
    )
    .before(
        "if test \"$STATE\"; then watchdog stop; mount -t tmpfs -o size=64k tmpfs $STATE; \
         dd if=/dev/zero of=$STATE/fill bs=1k; watchdog start; sleep 5; fi",
    ),
    others(
        "a typo in a regex and a restart, and 8 s later the watchdog is killed",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; systemctl restart fail2ban; sleep 8; \
         watchdog kill -s KILL",
    ),
    others(
        "a typo in a regex and a restart, and 8 s later the watchdog is restarted",
        "sed -i 's/<HOST>/<HOST> [/' /etc/fail2ban/filter.d/web.conf; systemctl restart fail2ban; sleep 8; \
         watchdog restart",
    ),
    all(
        "a mistake in the watchdog's settings and a reload of it, and fail2ban hangs",
        "if test \"$SETTINGS\"; then echo 'junk: [' >>$SETTINGS; watchdog reload; sleep 1; fi; \
         systemctl kill -s STOP --kill-who=main fail2ban",
    ),
];
