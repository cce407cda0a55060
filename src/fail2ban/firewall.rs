//! Whether what a jail's bans stand on in the firewall is still there.
//!
//! A firewall that is started again (`systemctl restart nftables`, `iptables -F`) loses fail2ban's chains
//! and sets, and fail2ban does not notice before its next ban: until then the old bans are listed and do
//! nothing. Only actions as shipped by fail2ban are judged (`action.d/iptables*.conf`, `nftables*.conf`
//! of 1.0.2 to 1.1.1), whose names are not altered; an action with an ipset is not. The look is read-only:
//! one `iptables -S` for each family and one `nft list table` for each table, however many jails there are.
//!
//! Under attack the next ban comes at once, and brings the chain or the set back with itself alone. So the
//! addresses count that a wall held and that are banned still ([`WallSigns::held`]). Of one that was never seen
//! to stand, fail2ban's own log says that it had gone, and what is banned and not there ([`missing`]) was in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
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

/// How many addresses of a wall are kept from look to look.
const HELD: usize = 256;

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

/// What a wall stops, at one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopped {
    /// How many sources, networks among them.
    pub count: u64,
    /// The single addresses of these.
    pub addresses: BTreeSet<IpAddr>,
}

/// The walls of all jails as one look finds them; none for what could not be listed.
pub type Seen = BTreeMap<(String, Wall), Option<Stopped>>;

/// The addresses that fail2ban says it bans, by jail, for the jails that were asked for.
pub type Banned = BTreeMap<String, BTreeSet<IpAddr>>;

impl Wall {
    /// Whether a command is about it.
    #[must_use]
    pub fn is_of(&self, command: &str) -> bool {
        let names = match self {
            Self::Chain { name } => std::slice::from_ref(name),
            Self::Sets { names, .. } => names.as_slice(),
        };
        let goes_on = |c: char| c.is_alphanumeric() || "_.-".contains(c);
        names.iter().any(|name| {
            let mut found = command.match_indices(name.as_str());
            found.any(|(at, _)| !command[at + name.len()..].starts_with(goes_on))
        })
    }
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
    /// Some of the addresses that it stopped when it last stood.
    pub held: BTreeSet<IpAddr>,
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

/// Looks at the firewall, each listing of which may take `limit`.
pub async fn look(walls: &BTreeMap<String, BTreeSet<Wall>>, limit: Duration) -> Seen {
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
    let stopped = |wall: &Wall| -> Option<Stopped> {
        match wall {
            Wall::Chain { name } => {
                let families = chains.as_ref()?.iter();
                Some(families.filter_map(|family| family.stops(name)).collect())
            }
            Wall::Sets { table, names } => {
                let table = tables.get(table)?.as_ref()?;
                Some(names.iter().filter_map(|set| table.stops(set)).collect())
            }
        }
    };
    let each = walls
        .iter()
        .flat_map(|(jail, walls)| walls.iter().map(move |wall| (jail, wall)));
    each.map(|(jail, wall)| ((jail.clone(), wall.clone()), stopped(wall)))
        .collect()
}

/// The jails of which it takes their bans to tell whether a wall lost them: most of what it held is not there,
/// which may have ended lawfully.
#[must_use]
pub fn doubtful(before: &Walls, seen: &Seen) -> BTreeSet<String> {
    let is_doubtful = |(key, stopped): &(&(String, Wall), &Option<Stopped>)| {
        let held = before.get(*key).map(|signs| &signs.held);
        let (Some(held), Some(stopped)) = (held, stopped) else {
            return false;
        };
        is_most(held, |address| !stopped.addresses.contains(address))
    };
    let doubtful = seen.iter().filter(is_doubtful);
    doubtful.map(|((jail, _), _)| jail.clone()).collect()
}

/// What is known of the walls after a look. `count` says how many addresses each jail bans, asked shortly before
/// the look: the wall of one that bans nobody need not stand. `banned` is asked after it, so that what ended
/// meanwhile is not missed.
#[must_use]
pub fn take(seen: &Seen, before: &Walls, count: impl Fn(&str) -> u64, banned: &Banned) -> Walls {
    let now = Instant::now();
    let signs = |(key, stopped): (&(String, Wall), &Option<Stopped>)| {
        let (jail, _) = key;
        let banned = banned.get(jail);
        let signs = WallSigns::of(stopped.as_ref(), count(jail), banned, before.get(key), now);
        (key.clone(), signs)
    };
    seen.iter().map(signs).collect()
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

/// The addresses that a jail bans and a wall of it does not stop. One may be on its way, or be let through by an
/// admin's hand.
#[must_use]
pub fn missing(seen: &Seen, banned: &Banned) -> Banned {
    let mut missing = Banned::new();
    for ((jail, _), stopped) in seen {
        if let (Some(stopped), Some(banned)) = (stopped, banned.get(jail)) {
            let absent = banned.difference(&stopped.addresses).copied();
            missing.entry(jail.clone()).or_default().extend(absent);
        }
    }
    missing.retain(|_, addresses| !addresses.is_empty());
    missing
}

/// Whether it is so of more than half of them.
fn is_most(addresses: &BTreeSet<IpAddr>, is_so: impl Fn(&IpAddr) -> bool) -> bool {
    let count = addresses.iter().filter(|address| is_so(address)).count();
    count * 2 > addresses.len()
}

impl<'a> FromIterator<&'a Stopped> for Stopped {
    fn from_iter<I: IntoIterator<Item = &'a Stopped>>(all: I) -> Self {
        let mut sum = Self::default();
        for one in all {
            sum.count += one.count;
            sum.addresses.extend(&one.addresses);
        }
        sum
    }
}

impl WallSigns {
    fn of(
        stopped: Option<&Stopped>,
        count: u64,
        banned: Option<&BTreeSet<IpAddr>>,
        before: Option<&Self>,
        now: Instant,
    ) -> Self {
        if count == 0 {
            return Self::default();
        }
        let held = before.map(|before| &before.held);
        let stands = stopped.map(|stopped| {
            // Whom it held and who is banned still: new bans do not stand in for them.
            let still = held.zip(banned).map(|(held, banned)| held & banned);
            let has_lost =
                still.is_some_and(|still| is_most(&still, |it| !stopped.addresses.contains(it)));
            stopped.count.saturating_mul(2) >= count && !has_lost
        });
        let since = before.and_then(|before| before.gone_since);
        let has_stood = stands == Some(true) || before.is_some_and(|before| before.has_stood);
        let held = match (stands, stopped) {
            (Some(true), Some(stopped)) => stopped.addresses.iter().take(HELD).copied().collect(),
            _ => held.cloned().unwrap_or_default(),
        };
        Self {
            stops: stopped.map(|stopped| stopped.count),
            has_stood,
            held,
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
