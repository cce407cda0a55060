//! A firewall that is started again loses fail2ban's chains, and the bans that are listed do nothing.

use std::time::Duration;

use crate::guarded::Guarded;
use crate::support::wait_until;

/// As a firewall is flushed by its restart.
const FLUSH: &str = "iptables -w -F; iptables -w -X";
/// The firewall is listed once a minute, and must be found without the bans at two looks, as anything
/// that a jail ails from.
const LONG_ENOUGH: Duration = Duration::from_secs(120);
/// Of Debian's `[sshd]` with the action that fail2ban ships as the default.
const BANS: &str = "fail2ban-client get sshd banip";
const STOPS: &str = "iptables -w -n -L f2b-sshd";

/// Two jails with that action ban addresses; those of `mail` for a short time.
fn begin(settings: &str) -> Option<Guarded> {
    let host = Guarded::begin()?;
    host.jail("mail");
    let actions =
        "action = mark[name=\"mail\"]\\n  iptables-multiport[name=mail, port=25]\\nbantime = 30";
    host.sh(&format!(
        "sed -i 's/^action = .*/{actions}/' /etc/fail2ban/jail.d/mail.conf"
    ));
    host.wait_said("config change applied: loaded mail");
    host.sh(&format!(
        "printf '{settings}' >>/etc/jailwarden/jailwarden.yaml"
    ));
    host.mark();
    host.sh("systemctl restart jailwarden");
    host.wait_said("supervision begins: fail2ban runs");
    for jail in ["sshd", "sshd", "mail", "mail", "mail", "mail"] {
        host.wait_protects(jail);
    }
    Some(host)
}

fn wait_said_within(host: &Guarded, limit: Duration, words: &str) -> bool {
    wait_until(limit, || host.said().contains(words).then_some(())).is_some()
}

#[test]
fn a_firewall_that_is_flushed_under_attack_gets_its_bans_back() {
    gets_its_bans_back(true);
}

#[test]
#[ignore = "a minute until the firewall is listed; JAILWARDEN_ALL=1 make test"]
fn a_flushed_firewall_gets_its_bans_back() {
    gets_its_bans_back(false);
}

/// Under attack the next ban brings the chain back, with itself alone.
fn gets_its_bans_back(attacked: bool) {
    let Some(host) = begin("") else { return };
    let fail2ban = host.main_pid("fail2ban");
    let banned = host.sh(BANS);
    // The firewall of `mail` is as it was left by an admin and by bans that end: one rule is deleted
    // by hand, one address is unbanned, and the time of the others is up.
    let first = host.sh("fail2ban-client get mail banip --with-time | sort -k 2 | cut -d ' ' -f 1");
    let first: Vec<_> = first.split_whitespace().collect();
    host.sh(&format!(
        "iptables -w -D f2b-mail -s {} -j REJECT --reject-with icmp-port-unreachable; \
         fail2ban-client set mail unbanip {}",
        first[0], first[1]
    ));
    // It stood at a look.
    assert!(
        !wait_said_within(&host, Duration::from_secs(15), "the firewall has lost"),
        "{}",
        host.said()
    );
    host.sh("iptables -w -F INPUT; iptables -w -F f2b-sshd; iptables -w -X f2b-sshd");
    host.sh(&format!("! {STOPS}"));
    if attacked {
        host.wait_protects("sshd");
        host.sh(STOPS);
    }
    assert!(
        wait_said_within(&host, LONG_ENOUGH, "fail2ban protects again"),
        "{}",
        host.said()
    );
    let said = host.said();
    assert!(
        said.contains("sshd is alive but does not protect: the firewall has lost its bans"),
        "{said}"
    );
    assert!(!said.contains("mail is alive"), "{said}");
    let stops = host.sh(STOPS);
    for ip in banned.split_whitespace() {
        assert!(stops.contains(ip), "{ip} is not in\n{stops}");
    }
    host.sh("iptables -w -S INPUT | grep -q f2b-sshd");
    assert_eq!(host.main_pid("fail2ban"), fail2ban, "the jail alone");
    host.wait_all_protect();
    host.assert_explained();
}

#[test]
#[ignore = "a minute until the firewall is listed; JAILWARDEN_ALL=1 make test"]
fn an_nftables_table_that_is_deleted_gets_its_bans_back() {
    let Some(host) = Guarded::begin() else { return };
    host.jail("mail");
    let actions = "action = mark[name=\"mail\"]\\n  nftables-multiport[name=mail, port=25]";
    host.sh(&format!(
        "sed -i 's/^action = .*/{actions}/' /etc/fail2ban/jail.d/mail.conf"
    ));
    host.wait_said("config change applied: loaded mail");
    host.wait_protects("mail");
    host.mark();
    host.sh("systemctl restart jailwarden");
    host.wait_said("supervision begins: fail2ban runs");
    let banned = host.sh("fail2ban-client get mail banip");
    let fail2ban = host.main_pid("fail2ban");
    // It stood at a look.
    assert!(
        !wait_said_within(&host, Duration::from_secs(15), "the firewall has lost"),
        "{}",
        host.said()
    );
    host.sh("nft list ruleset | grep -q addr-set-mail; nft delete table inet f2b-table");
    assert!(
        wait_said_within(&host, LONG_ENOUGH, "fail2ban protects again"),
        "{}",
        host.said()
    );
    let said = host.said();
    assert!(
        said.contains("mail is alive but does not protect: the firewall has lost its bans"),
        "{said}"
    );
    let stops = host.sh("nft list ruleset");
    for ip in banned.split_whitespace() {
        assert!(stops.contains(ip), "{ip} is not in\n{stops}");
    }
    assert_eq!(host.main_pid("fail2ban"), fail2ban, "the jail alone");
    host.wait_all_protect();
}

#[test]
#[ignore = "it takes two minutes to see that nothing happens; JAILWARDEN_ALL=1 make test"]
fn a_flushed_firewall_is_left_alone_where_that_is_wanted() {
    let Some(host) = begin("  firewall: false\\n") else {
        return;
    };
    host.sh(FLUSH);
    assert!(
        !wait_said_within(&host, LONG_ENOUGH, "the firewall has lost"),
        "{}",
        host.said()
    );
    host.sh(&format!("! {STOPS}"));
    host.wait_status("healthy: 3 of 3 jails protect");
}
