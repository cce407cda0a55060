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
    let stops = ["f2b-a", "f2b-empty", "f2b-unused", "f2b-gone"].map(|name| chains.stops(name));
    assert_eq!(stops, [1, 0, 0, 0]);
    let table = Table::parse(NFT);
    let stops = ["addr-set-a", "addr-set-empty", "addr-set-gone"].map(|name| table.stops(name));
    assert_eq!(stops, [3, 0, 0]);
    assert_eq!(Chains::parse("").stops("f2b-a"), 0);
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
    let of = |stops, before: Option<&WallSigns>| WallSigns::of(stops, 4, before, now);
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
    let nobody = WallSigns::of(Some(0), 0, Some(&still), now);
    assert_eq!(nobody, WallSigns::default());
}
