//! What `iptables -S` and `nft list table` print.

use std::collections::{BTreeMap, BTreeSet};

/// The chains of one table of iptables.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// How many sources each chain stops.
    stops: BTreeMap<String, usize>,
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
            if behind("-s").is_some() {
                *chains.stops.entry(chain.to_owned()).or_default() += 1;
            }
        }
        chains
    }

    /// Whether some source is stopped by the chain, and it is in use.
    pub(super) fn stops_some(&self, chain: &str) -> bool {
        self.reached.contains(chain) && self.stops.contains_key(chain)
    }
}

/// The sets of one table of nftables.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The sets that hold an address.
    filled: BTreeSet<String>,
    /// The sets that a rule names.
    used: BTreeSet<String>,
}

impl Table {
    /// Reads `set addr-set-sshd {`, in it `elements = { 192.0.2.1 }`, and rules with `@addr-set-sshd`
    /// (nftables 1.0).
    pub(super) fn parse(listing: &str) -> Self {
        let mut table = Self::default();
        let mut set = None;
        for line in listing.lines().map(str::trim) {
            if let Some(name) = line
                .strip_prefix("set ")
                .and_then(|rest| rest.strip_suffix(" {"))
            {
                set = Some(name);
            } else if line.starts_with("chain ") {
                set = None;
            } else if line.starts_with("elements = {") {
                table.filled.extend(set.map(str::to_owned));
            } else if set.is_none() {
                let used = line
                    .split_ascii_whitespace()
                    .filter_map(|word| word.strip_prefix('@'));
                table.used.extend(used.map(str::to_owned));
            }
        }
        table
    }

    /// Whether some address is in the set, and it is in use.
    pub(super) fn stops_some(&self, set: &str) -> bool {
        self.used.contains(set) && self.filled.contains(set)
    }
}
