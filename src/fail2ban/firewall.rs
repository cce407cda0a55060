//! Whether what a jail's bans stand on in the firewall is still there.
//!
//! A firewall that is started again (`systemctl restart nftables`, `iptables -F`) loses fail2ban's chains
//! and sets, and fail2ban does not notice before its next ban: until then the old bans are listed and do
//! nothing. Only actions as shipped by fail2ban are judged (`action.d/iptables*.conf`, `nftables*.conf`
//! of 1.0.2 to 1.1.1), whose names are not altered; an action with an ipset is not. The look is read-only:
//! one `iptables -S` for each family and one `nft list table` for each table, however many jails there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::dump::NOT_FOR_CHILDREN;
use super::literal;
use super::pickle::Value;
use super::stream::Stream;

mod listing;

use listing::{Chains, Table};

/// The most that is read of one listing, in bytes: some 100,000 rules.
const LISTING: u64 = 8 << 20;

/// There only where the kernel has IPv6.
const IPV6: &str = "/proc/net/if_inet6";

/// What a jail's action has set up in the firewall.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wall {
    /// A chain of `iptables` and of `ip6tables`, in the table `filter`.
    Chain {
        /// Its name: `f2b-JAIL`.
        name: String,
    },
    /// Two sets of nftables, for IPv4 and IPv6.
    Sets {
        /// The table, with its family: `inet f2b-table`.
        table: (String, String),
        /// The names: `addr-set-JAIL` and `addr6-set-JAIL`.
        names: [String; 2],
    },
}

/// How a wall was found, over all looks so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WallSigns {
    /// How many addresses it stops; nothing if its jail bans nobody, or if the firewall could not be
    /// listed.
    pub stops: Option<u64>,
    /// Whether it stood at some look since its jail last banned nobody: it stopped at least half of those
    /// that are banned. Of a jail that works, one may be on its way.
    pub has_stood: bool,
    /// Since when it does not, although it did.
    pub gone_since: Option<Instant>,
}

/// The walls of all jails at one look.
pub type Walls = BTreeMap<(String, Wall), WallSigns>;

/// The walls that the jails of a stream have, by jail.
#[must_use]
pub fn walls(stream: &Stream) -> BTreeMap<String, BTreeSet<Wall>> {
    let mut walls: BTreeMap<String, BTreeSet<Wall>> = BTreeMap::new();
    for jail in stream.jails.iter().filter(|jail| jail.starts) {
        let lines = jail.text.lines().filter(|line| line.contains("'action'"));
        let found: BTreeSet<Wall> = lines.filter_map(|line| wall_of(&jail.name, line)).collect();
        if !found.is_empty() {
            walls.insert(jail.name.clone(), found);
        }
    }
    walls
}

/// Looks at the firewall, each listing of which may take `limit`. `banned` says how many addresses each jail
/// bans, asked shortly before: the wall of one that bans nobody need not stand.
pub async fn look(
    walls: &BTreeMap<String, BTreeSet<Wall>>,
    before: &Walls,
    banned: impl Fn(&str) -> u64,
    limit: Duration,
) -> Walls {
    let wanted: BTreeSet<&Wall> = walls.values().flatten().collect();
    let mut chains = None;
    if wanted.iter().any(|wall| matches!(wall, Wall::Chain { .. })) {
        let v4 = list(&["iptables", "-w", "5", "-S"], limit).await;
        let v6 = list(&["ip6tables", "-w", "5", "-S"], limit).await;
        // A host without IPv6 has no such listing, and no bans of that kind.
        let v6 = v6.or_else(|| (!Path::new(IPV6).exists()).then(String::new));
        chains = v4
            .zip(v6)
            .map(|(v4, v6)| [Chains::parse(&v4), Chains::parse(&v6)]);
    }
    let mut tables: BTreeMap<(String, String), Option<Table>> = BTreeMap::new();
    for wall in &wanted {
        if let Wall::Sets { table, .. } = wall
            && !tables.contains_key(table)
        {
            let words = ["nft", "list", "table", &table.0, &table.1];
            let listed = list(&words, limit).await;
            // The exit status does not tell a missing table from a failure, but the list of tables does.
            let found = match listed {
                Some(text) => Some(Table::parse(&text)),
                None => list(&["nft", "list", "tables"], limit)
                    .await
                    .filter(|all| !all.contains(&format!("table {} {}\n", table.0, table.1)))
                    .map(|_| Table::default()),
            };
            tables.insert(table.clone(), found);
        }
    }
    let now = Instant::now();
    let stops = |wall: &Wall| -> Option<usize> {
        match wall {
            Wall::Chain { name } => {
                let families = chains.as_ref()?.iter();
                Some(families.map(|family| family.stops(name)).sum())
            }
            Wall::Sets { table, names } => {
                let table = tables.get(table)?.as_ref()?;
                Some(names.iter().map(|set| table.stops(set)).sum())
            }
        }
    };
    let each = walls
        .iter()
        .flat_map(|(jail, walls)| walls.iter().map(move |wall| (jail, wall)));
    each.map(|(jail, wall)| {
        let key = (jail.clone(), wall.clone());
        let stops = stops(wall).and_then(|stops| u64::try_from(stops).ok());
        let signs = WallSigns::of(stops, banned(jail), before.get(&key), now);
        (key, signs)
    })
    .collect()
}

/// The jails whose wall stood at some look and stands no more at two looks in a row, while they ban somebody.
#[must_use]
pub fn lost(before: &Walls, after: &Walls) -> BTreeSet<String> {
    let is_gone = |signs: &WallSigns| signs.gone_since.is_some();
    let gone = after
        .iter()
        .filter(|(key, now)| is_gone(now) && before.get(*key).is_some_and(is_gone));
    gone.map(|((jail, _), _)| jail.clone()).collect()
}

impl WallSigns {
    fn of(stops: Option<u64>, banned: u64, before: Option<&Self>, now: Instant) -> Self {
        if banned == 0 {
            return Self::default();
        }
        let stands = stops.map(|stops| stops.saturating_mul(2) >= banned);
        let since = before.and_then(|before| before.gone_since);
        let has_stood = stands == Some(true) || before.is_some_and(|before| before.has_stood);
        Self {
            stops,
            has_stood,
            gone_since: match stands {
                Some(true) => None,
                Some(false) if has_stood => since.or(Some(now)),
                _ => since,
            },
        }
    }
}

/// The wall in `['multi-set', J, 'action', A, [['actionban', …], …]]`, if it is as shipped.
fn wall_of(jail: &str, line: &str) -> Option<Wall> {
    let command = literal::parse(line).ok()?;
    let [_, Value::Str(of), Value::Str(key), _, Value::List(pairs)] = command.as_list()? else {
        return None;
    };
    if of != jail || key != "action" {
        return None;
    }
    let property = |name: &str| {
        let pairs = pairs.iter().filter_map(Value::as_list);
        let mut found = pairs.filter_map(|pair| match pair {
            [Value::Str(key), Value::Str(value)] if key == name => Some(value.as_str()),
            _ => None,
        });
        found.next()
    };
    let ban = property("actionban")?;
    let name = property("name")?;
    if property("iptables") == Some("iptables <lockingopt>")
        && ban == format!("<iptables> -I f2b-{name} 1 -s <ip> -j <blocktype>")
    {
        return Some(Wall::Chain {
            name: format!("f2b-{name}"),
        });
    }
    let table = (
        property("table_family")?.to_owned(),
        property("table")?.to_owned(),
    );
    let shipped = property("addr_set") == Some("addr-set-<name>")
        && property("addr_set?family=inet6") == Some("addr6-set-<name>")
        && property("nftables") == Some("nft")
        && ban
            == format!(
                "nft add element {} {} <addr_set> \\{{ <ip> \\}}",
                table.0, table.1
            );
    shipped.then(|| Wall::Sets {
        table,
        names: [format!("addr-set-{name}"), format!("addr6-set-{name}")],
    })
}

/// What a listing prints; nothing if it fails, is late, or is longer than [`LISTING`].
async fn list(words: &[&str], limit: Duration) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments);
    for name in NOT_FOR_CHILDREN {
        command.env_remove(name);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut stdout = child.stdout.take()?.take(LISTING);
    let read = async {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).await.ok()?;
        let whole = (text.len() as u64) < LISTING;
        let done = if whole {
            child.wait().await.ok()?.success()
        } else {
            false
        };
        done.then(|| String::from_utf8_lossy(&text).into_owned())
    };
    tokio::time::timeout(limit, read).await.ok()?
}

#[cfg(test)]
mod tests;
