//! What `iptables -S` and `nft list table` print.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Stopped;

/// The chains of one table of iptables.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// The sources that each chain stops.
    stops: BTreeMap<String, Stopped>,
    /// The chains that a rule of another leads to.
    reached: BTreeSet<String>,
}

impl Chains {
    /// Reads `-N f2b-sshd`, `-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd`, `-A f2b-sshd -s
    /// 192.0.2.1/32 -j REJECT --reject-with icmp-port-unreachable` (iptables 1.8).
    pub(super) fn parse(listing: &str) -> Self {
        let mut chains = Self::default();
        for line in listing.lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let behind = |flag: &str| {
                let at = words.iter().position(|word| *word == flag)?;
                words.get(at + 1).copied()
            };
            let Some(chain) = behind("-A") else { continue };
            if let Some(target) = behind("-j") {
                chains.reached.insert(target.to_owned());
            }
            if let Some(source) = behind("-s") {
                chains
                    .stops
                    .entry(chain.to_owned())
                    .or_default()
                    .add(source);
            }
        }
        chains
    }

    /// The sources that the chain stops: none if it is not in use.
    pub(super) fn stops(&self, chain: &str) -> Option<&Stopped> {
        self.stops
            .get(chain)
            .filter(|_| self.reached.contains(chain))
    }
}

/// The sets of one table of nftables.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The addresses that each set holds.
    holds: BTreeMap<String, Stopped>,
    /// The sets that a rule names.
    used: BTreeSet<String>,
}

impl Table {
    /// Reads `set addr-set-sshd {`, in it `elements = { 192.0.2.1 }`, and rules with `@addr-set-sshd`
    /// (nftables 1.0).
    pub(super) fn parse(listing: &str) -> Self {
        let mut table = Self::default();
        let mut set = None;
        let mut in_elements = false;
        for line in listing.lines().map(str::trim) {
            let elements = line.strip_prefix("elements = {");
            in_elements |= elements.is_some();
            if let Some(name) = line
                .strip_prefix("set ")
                .and_then(|rest| rest.strip_suffix(" {"))
            {
                set = Some(name);
            } else if line.starts_with("chain ") {
                set = None;
            } else if let Some(set) = set.filter(|_| in_elements) {
                let (held, ends) = match elements.unwrap_or(line).split_once('}') {
                    Some((held, _)) => (held, true),
                    None => (elements.unwrap_or(line), false),
                };
                let holds = table.holds.entry(set.to_owned()).or_default();
                let held = held.split(',').map(str::trim);
                held.filter(|one| !one.is_empty())
                    .for_each(|one| holds.add(one));
                in_elements = !ends;
            } else if set.is_none() {
                let words = line.split_ascii_whitespace();
                let used = words.filter_map(|word| word.strip_prefix('@'));
                table.used.extend(used.map(str::to_owned));
            }
        }
        table
    }

    /// The addresses in the set: none if it is not in use.
    pub(super) fn stops(&self, set: &str) -> Option<&Stopped> {
        self.holds.get(set).filter(|_| self.used.contains(set))
    }
}

impl Stopped {
    /// Takes in `192.0.2.1/32`, `2001:db8::1`, or a network.
    fn add(&mut self, source: &str) {
        self.count += 1;
        let (address, length) = source.split_once('/').unwrap_or((source, ""));
        if let Ok(address) = address.parse::<IpAddr>()
            && ["", if address.is_ipv4() { "32" } else { "128" }].contains(&length)
        {
            self.addresses.insert(address);
        }
    }
}
