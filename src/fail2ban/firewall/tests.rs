use super::*;

const IPTABLES: &str = "\
-P INPUT ACCEPT
-N f2b-a
-N f2b-empty
-N f2b-unused
-A INPUT -p tcp -m multiport --dports 22,80 -j f2b-a
-A INPUT -p tcp -j f2b-empty
-A f2b-a -s 192.0.2.1/32 -j REJECT --reject-with icmp-port-unreachable
-A f2b-a -j RETURN
-A f2b-empty -j RETURN
-A f2b-unused -s 192.0.2.1/32 -j REJECT
";

const NFT: &str = "\
table inet f2b-table {
\tset addr-set-a {
\t\ttype ipv4_addr
\t\tflags interval
\t\telements = { 192.0.2.1,
\t\t\t     192.0.2.2, 198.51.100.0/24 }
\t}

\tset addr-set-empty {
\t\ttype ipv4_addr
\t}

\tchain f2b-chain {
\t\ttype filter hook input priority filter - 1; policy accept;
\t\ttcp dport { 22, 80 } ip saddr @addr-set-a reject with icmp port-unreachable
\t\ttcp dport 22 ip saddr @addr-set-empty reject
\t}
}
";

#[test]
fn what_a_chain_or_set_stops_counts_if_it_is_in_use() {
    let chains = Chains::parse(IPTABLES);
    let stops = ["f2b-a", "f2b-empty", "f2b-unused", "f2b-gone"];
    let stops = stops.map(|name| chains.stops(name).cloned().unwrap_or_default());
    assert_eq!(stops[0], stopped(1, &[1]));
    assert_eq!(
        stops[1..],
        [stopped(0, &[]), stopped(0, &[]), stopped(0, &[])]
    );
    let table = Table::parse(NFT);
    let stops = ["addr-set-a", "addr-set-empty", "addr-set-gone"];
    let stops = stops.map(|name| table.stops(name).cloned().unwrap_or_default());
    // A network is no address.
    assert_eq!(stops[0], stopped(3, &[1, 2]));
    assert_eq!(stops[1..], [stopped(0, &[]), stopped(0, &[])]);
    assert_eq!(Chains::parse("").stops("f2b-a"), None);
}

fn stream(ban: &str, more: &str) -> Stream {
    let action = format!(
        "['multi-set', 'a', 'action', 'x', [['actionban', '{ban}'], ['name', 'a'], {more}]]"
    );
    Stream::parse(&format!(
        "['add', 'a', 'polling']\n{action}\n['start', 'a']\n"
    ))
    .unwrap()
}

#[test]
fn only_actions_with_their_shipped_names_have_walls() {
    let iptables = "['iptables', 'iptables <lockingopt>']";
    let ban = "<iptables> -I f2b-a 1 -s <ip> -j <blocktype>";
    let chain = Wall::Chain {
        name: "f2b-a".into(),
    };
    let found = walls(&stream(ban, iptables));
    assert_eq!(found["a"], BTreeSet::from([chain]));
    let altered = "<iptables> -I mine 1 -s <ip> -j <blocktype>";
    assert!(walls(&stream(altered, iptables)).is_empty());
    assert!(walls(&stream(ban, "['iptables', '/opt/iptables']")).is_empty());
    assert!(walls(&stream("echo <ip>", "['x', 'y']")).is_empty());
}

#[test]
fn a_wall_is_lost_that_stood_and_is_gone_at_two_looks() {
    let now = Instant::now();
    let key = (
        "m".to_owned(),
        Wall::Chain {
            name: "f2b-m".into(),
        },
    );
    let walls = |signs: &WallSigns| Walls::from([(key.clone(), signs.clone())]);
    let of = |stops: Option<u64>, before: Option<&WallSigns>| {
        let stops = stops.map(|count| stopped(count, &[]));
        WallSigns::of(stops.as_ref(), 4, None, before, now)
    };
    let never = of(Some(1), None);
    assert!(lost(&walls(&never), &walls(&never)).is_empty());
    // One may be on its way, and some may be no addresses: half of them is enough.
    let stood = of(Some(2), Some(&never));
    let gone = of(Some(1), Some(&stood));
    assert!(lost(&walls(&stood), &walls(&gone)).is_empty());
    let still = of(Some(0), Some(&gone));
    assert_eq!(lost(&walls(&gone), &walls(&still)).len(), 1);
    // What cannot be seen changes nothing, and what stands again is well, or bans nobody.
    let unseen = of(None, Some(&stood));
    assert!(unseen.has_stood && unseen.gone_since.is_none());
    assert_eq!(of(Some(4), Some(&still)).gone_since, None);
    let nobody = WallSigns::of(Some(&stopped(0, &[])), 0, None, Some(&still), now);
    assert_eq!(nobody, WallSigns::default());
}

fn addresses(last: &[u8]) -> BTreeSet<IpAddr> {
    let address = |last: &u8| IpAddr::from([192, 0, 2, *last]);
    last.iter().map(address).collect()
}

fn stopped(count: u64, last: &[u8]) -> Stopped {
    Stopped {
        count,
        addresses: addresses(last),
    }
}

#[test]
fn new_bans_do_not_stand_in_for_those_that_are_lost() {
    let key = || {
        (
            "m".to_owned(),
            Wall::Chain {
                name: "f2b-m".into(),
            },
        )
    };
    let seen = |last: &[u8]| Seen::from([(key(), Some(stopped(last.len() as u64, last)))]);
    let banned = |last: &[u8]| Banned::from([("m".to_owned(), addresses(last))]);
    let none = Banned::new();
    let stood = take(&seen(&[1, 2, 3]), &Walls::new(), |_| 3, &none);
    assert!(doubtful(&stood, &seen(&[2, 3, 4])).is_empty());
    let flushed = seen(&[4, 5, 6, 7]);
    assert_eq!(doubtful(&stood, &flushed), BTreeSet::from(["m".to_owned()]));
    // They ended lawfully, but for one that an admin lets through.
    let ended = take(&flushed, &stood, |_| 4, &banned(&[4, 5, 6, 7]));
    assert_eq!(ended[&key()].gone_since, None);
    assert_eq!(ended[&key()].held, addresses(&[4, 5, 6, 7]));
    let all = banned(&[1, 2, 3, 4, 5, 6, 7]);
    let gone = take(&flushed, &stood, |_| 7, &all);
    assert!(lost(&stood, &gone).is_empty(), "one look is not enough");
    let flushed = seen(&[4, 5, 6, 7, 8, 9]);
    assert_eq!(doubtful(&gone, &flushed).len(), 1);
    let still = take(&flushed, &gone, |_| 9, &all);
    assert_eq!(lost(&gone, &still).len(), 1);
    let whole = take(&seen(&[1, 2, 3, 4]), &still, |_| 4, &all);
    assert_eq!(whole[&key()].gone_since, None);
}

#[test]
fn what_is_banned_and_not_there_is_missing() {
    let key = || {
        (
            "m".to_owned(),
            Wall::Chain {
                name: "f2b-m".into(),
            },
        )
    };
    let banned = Banned::from([("m".to_owned(), addresses(&[1, 2]))]);
    let of = |stops: Option<&[u8]>| {
        let stopped = stops.map(|last| stopped(last.len() as u64, last));
        missing(&Seen::from([(key(), stopped)]), &banned)
    };
    assert_eq!(of(Some(&[2, 3]))["m"], addresses(&[1]));
    assert!(of(Some(&[1, 2])).is_empty());
    assert!(of(None).is_empty(), "what cannot be listed tells nothing");
}

#[test]
fn a_command_is_of_the_wall_that_it_names_whole() {
    let chain = Wall::Chain {
        name: "f2b-a".into(),
    };
    assert!(chain.is_of("iptables -w -C INPUT -p tcp -j f2b-a"));
    assert!(chain.is_of("iptables -I f2b-a 1 -s 192.0.2.1"));
    assert!(!chain.is_of("iptables -w -C INPUT -j f2b-ab") && !chain.is_of("f2b-a.b"));
    let sets = Wall::Sets {
        table: ("inet".into(), "f2b-table".into()),
        names: ["addr-set-a".into(), "addr6-set-a".into()],
    };
    assert!(sets.is_of("nft list chain inet f2b-table f2b-chain | grep -q '@addr6-set-a[ \\t]'"));
    assert!(!sets.is_of("nft list table inet f2b-table"));
}
