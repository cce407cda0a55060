//! What jailwarden says, as journald and a person get it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use jailwarden::machine::report::{Kind, Report};
use jailwarden::shell::journal::{Journal, Repeats, Sink, Verdict, Whose, report};
use tempfile::TempDir;
use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing_subscriber::layer::SubscriberExt;

type Fields = BTreeMap<String, Vec<String>>;

fn web_is_dead() -> Report {
    Report {
        kind: Kind::JailDead,
        state: "suspect",
        incident: Some("4f2a".to_owned()),
        jails: vec!["web".to_owned()],
        file: Some(PathBuf::from("jail.d/web.conf")),
        line: Some(3),
        reason: None,
        message: "its filter thread is gone".to_owned(),
    }
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// A place for journald's socket, and a pipe for standard error.
struct Host {
    dir: TempDir,
    stderr: io::PipeReader,
}

impl Host {
    fn new() -> (Self, Dispatch) {
        let dir = tempfile::tempdir().unwrap();
        let (stderr, writer) = io::pipe().unwrap();
        let sink = Sink::Journald(dir.path().join("socket"));
        let layer = Journal::new(sink, writer.into()).unwrap();
        (Self { dir, stderr }, dispatch(layer))
    }

    fn journald(&self) -> UnixDatagram {
        UnixDatagram::bind(self.dir.path().join("socket")).unwrap()
    }

    fn journald_ends(&self, journald: UnixDatagram) {
        drop(journald);
        fs::remove_file(self.dir.path().join("socket")).unwrap();
    }

    /// All of standard error; ends only when nobody can write to it any more.
    fn stderr(mut self) -> String {
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).unwrap();
        text
    }
}

fn dispatch(layer: Journal) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(layer))
}

fn next(journald: &UnixDatagram) -> Fields {
    let mut buffer = vec![0; 1 << 20];
    let length = journald.recv(&mut buffer).unwrap();
    parse(&buffer[..length])
}

/// The native protocol read back: `NAME=value\n`, or `NAME\n`, 64 bits of length, value, `\n`.
fn parse(mut datagram: &[u8]) -> Fields {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = Fields::new();
    while !datagram.is_empty() {
        let end = datagram.iter().position(|byte| *byte == b'\n').unwrap();
        let (line, rest) = (&datagram[..end], &datagram[end + 1..]);
        let (name, value, rest) = if let Some(equals) = line.iter().position(|b| *b == b'=') {
            (&line[..equals], &line[equals + 1..], rest)
        } else {
            let (length, rest) = rest.split_first_chunk::<8>().unwrap();
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
            assert_eq!(rest[length], b'\n');
            (line, &rest[..length], &rest[length + 1..])
        };
        fields.entry(text(name)).or_default().push(text(value));
        datagram = rest;
    }
    fields
}

/// A further instance, and the unit that a report is about.
fn whose(unit: Option<&str>) -> Whose<'_> {
    Whose {
        called: "jailwarden --instance second",
        service: "jailwarden@second",
        daemon_unit: "fail2ban@second.service",
        unit,
    }
}

#[track_caller]
fn assert_field(fields: &Fields, name: &str, expected: &[&str]) {
    let values = fields.get(name).map(Vec::as_slice).unwrap_or_default();
    assert_eq!(values, expected, "{name}");
}

#[test]
fn a_report_reaches_journald_with_its_fields() {
    let (host, subscriber) = Host::new();
    let journald = host.journald();
    with_default(&subscriber, || {
        report(&web_is_dead(), whose(Some("fail2ban.service")));
    });
    let fields = next(&journald);
    let message = "jail web: its filter thread is gone (jail.d/web.conf:3)";
    for (name, expected) in [
        ("MESSAGE", message),
        ("PRIORITY", "2"),
        ("SYSLOG_IDENTIFIER", "jailwarden"),
        ("MESSAGE_ID", Kind::JailDead.message_id()),
        ("OBJECT_SYSTEMD_UNIT", "fail2ban.service"),
        ("JAILWARDEN_STATE", "suspect"),
        ("JAILWARDEN_INCIDENT", "4f2a"),
        ("JAILWARDEN_JAIL", "web"),
        ("JAILWARDEN_FILE", "jail.d/web.conf"),
        ("JAILWARDEN_LINE", "3"),
        ("JAILWARDEN_CALLED", "jailwarden --instance second"),
        ("JAILWARDEN_SERVICE", "jailwarden@second"),
        ("JAILWARDEN_DAEMON_UNIT", "fail2ban@second.service"),
    ] {
        assert_field(&fields, name, &[expected]);
    }
    assert_eq!(fields.len(), 13, "{fields:?}");
    drop(subscriber);
    assert_eq!(host.stderr(), "");
}

#[test]
fn values_of_any_shape_come_through_whole_or_bounded() {
    let (host, subscriber) = Host::new();
    let journald = host.journald();
    let traceback = "Traceback:\n  line 1\nPRIORITY=0\n\x1b[2J";
    let harmless = "Traceback:\n  line 1\nPRIORITY=0\n\\u{1b}[2J";
    let several = Report {
        jails: ["web", "a, b=c", "é"].map(str::to_owned).to_vec(),
        reason: Some(traceback.to_owned()),
        ..web_is_dead()
    };
    let endless = Report {
        reason: Some("é".repeat(1 << 20)),
        ..web_is_dead()
    };
    with_default(&subscriber, || {
        report(&several, whose(None));
        report(&endless, whose(None));
        tracing::info!(exit.code = 3, path = ?"x", "it\x1b[2J ended");
    });

    let fields = next(&journald);
    assert_field(&fields, "PRIORITY", &["2"]);
    assert_field(&fields, "JAILWARDEN_REASON", &[harmless]);
    assert_field(&fields, "JAILWARDEN_JAIL", &["web", "a, b=c", "é"]);
    assert_field(&fields, "OBJECT_SYSTEMD_UNIT", &[]);

    let fields = next(&journald);
    let reason = &fields["JAILWARDEN_REASON"][0];
    assert!(reason.len() <= 16 * 1024 && reason.ends_with("é…"));
    assert_field(&fields, "JAILWARDEN_JAIL", &["web"]);

    let fields = next(&journald);
    let message = "it\\u{1b}[2J ended exit.code=3 path=\"x\"";
    assert_field(&fields, "MESSAGE", &[message]);
    assert_field(&fields, "PRIORITY", &["6"]);
    assert_field(&fields, "JAILWARDEN_EXIT_CODE", &["3"]);
}

#[test]
fn every_priority_is_kept_though_tracing_has_fewer_levels() {
    let (host, subscriber) = Host::new();
    let journald = host.journald();
    for kind in Kind::ALL {
        let said = Report {
            kind,
            ..web_is_dead()
        };
        with_default(&subscriber, || report(&said, whose(None)));
        let fields = next(&journald);
        let priority = (kind.priority() as u8).to_string();
        assert_field(&fields, "PRIORITY", &[&priority]);
        assert_field(&fields, "MESSAGE_ID", &[kind.message_id()]);
    }
}

#[test]
fn a_missing_journald_costs_a_count_and_is_found_again() {
    let (host, subscriber) = Host::new();
    with_default(&subscriber, || {
        tracing::error!("one\ntwo");
        report(&web_is_dead(), whose(None));
        let journald = host.journald();
        tracing::info!("three");
        let note = &next(&journald)["MESSAGE"][0];
        let expected = "2 records could not be written to the journal";
        assert!(note.starts_with(expected), "{note}");
        assert_field(&next(&journald), "MESSAGE", &["three"]);
        tracing::info!("four");
        assert_field(&next(&journald), "MESSAGE", &["four"]);

        host.journald_ends(journald);
        tracing::info!("five");
        let journald = host.journald();
        tracing::info!("six");
        assert_field(&next(&journald), "JAILWARDEN_LOST", &["1"]);
        assert_field(&next(&journald), "MESSAGE", &["six"]);
    });
    drop(subscriber);
    assert_eq!(
        host.stderr(),
        "<3>one\\ntwo\n<2>jail web: its filter thread is gone (jail.d/web.conf:3)\n<6>five\n"
    );
}

/// Enough to fill any socket's and any pipe's buffer.
const FLOOD: usize = 5000;

/// Runs `work` in a thread, to fail if it hangs rather than hang with it.
fn must_end<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    ended
        .recv_timeout(Duration::from_secs(120))
        .expect("it blocks")
}

#[test]
fn a_journald_that_hangs_and_a_full_pipe_do_not_block() {
    let (host, subscriber) = Host::new();
    let journald = host.journald();
    let subscriber = must_end(move || {
        with_default(&subscriber, || {
            (0..FLOOD).for_each(|_| tracing::error!("{}", "x".repeat(100)));
        });
        subscriber
    });
    journald.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    let kept = (0..).take_while(|_| journald.recv(&mut buffer).is_ok());
    let kept = kept.count();
    assert!((1..FLOOD).contains(&kept), "{kept}");

    with_default(&subscriber, || tracing::info!("again"));
    let lost = (FLOOD - kept).to_string();
    assert_field(&next(&journald), "JAILWARDEN_LOST", &[&lost]);
    assert_field(&next(&journald), "MESSAGE", &["again"]);

    drop(subscriber);
    let lines = host.stderr();
    assert!((1..FLOOD).contains(&lines.lines().count()));
    let whole = format!("<3>{}", "x".repeat(100));
    assert!(lines.lines().all(|line| line == whole), "a line in pieces");
}

#[test]
fn a_person_reads_lines() {
    let (mut reader, writer) = io::pipe().unwrap();
    let subscriber = dispatch(Journal::new(Sink::Stderr, writer.into()).unwrap());
    with_default(&subscriber, || {
        report(&web_is_dead(), whose(Some("fail2ban.service")));
        tracing::warn!("a\nb\x1b[2J");
        tracing::info!("{}", "long ".repeat(10_000));
    });
    drop(subscriber);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [dead, odd, long] = lines[..] else {
        panic!("{text}");
    };
    let (time, rest) = dead.split_once(' ').unwrap();
    assert_eq!((time.len(), &time[10..11], &time[19..]), (20, "T", "Z"));
    let expected = "critical jail web: its filter thread is gone (jail.d/web.conf:3)";
    assert_eq!(rest, expected);
    assert!(odd.ends_with(" warning  a\\nb\\u{1b}[2J"), "{odd}");
    assert!(long.len() < 4096 && long.ends_with('…'));
}

#[test]
fn the_same_fact_is_said_once_an_hour() {
    let jail = |name: &str| Report {
        jails: vec![name.to_owned()],
        ..web_is_dead()
    };
    let other_words = Report {
        incident: None,
        message: "still gone".to_owned(),
        ..web_is_dead()
    };
    let answer = Report {
        kind: Kind::SettingsRefused,
        ..web_is_dead()
    };
    let counted = |times, within| Verdict::SayWithCount {
        times,
        within: minutes(within),
    };
    let mut repeats = Repeats::default();
    for (at, report, expected) in [
        (0, jail("web"), Verdict::Say),
        (1, jail("web"), Verdict::Hush),
        (2, jail("ssh"), Verdict::Say),
        (59, other_words, Verdict::Hush),
        (60, jail("web"), counted(2, 60)),
        (61, jail("web"), Verdict::Hush),
        (150, jail("ssh"), Verdict::Say),
        (180, jail("web"), counted(1, 120)),
        (181, answer.clone(), Verdict::Say),
        (181, answer, Verdict::Say),
    ] {
        let verdict = repeats.admit(&report, minutes(at));
        assert_eq!(verdict, expected, "at {at} min: {report:?}");
    }
}

#[test]
fn the_fact_said_longest_ago_is_forgotten_first() {
    let mut repeats = Repeats::default();
    let fact = |line: u32| Report {
        jails: vec![line.to_string()],
        ..web_is_dead()
    };
    for line in 0..65 {
        assert_eq!(repeats.admit(&fact(line), Duration::ZERO), Verdict::Say);
    }
    assert_eq!(repeats.admit(&fact(64), Duration::ZERO), Verdict::Hush);
    assert_eq!(repeats.admit(&fact(1), Duration::ZERO), Verdict::Hush);
    assert_eq!(repeats.admit(&fact(0), Duration::ZERO), Verdict::Say);
}

#[test]
fn a_fact_that_ended_is_news_when_it_comes_again() {
    let of = |kind| Report {
        kind,
        ..web_is_dead()
    };
    let (refused, dead) = (of(Kind::ChangeRefused), of(Kind::JailDead));
    let mut repeats = Repeats::default();
    let mut say = |report: &Report| repeats.admit(report, Duration::ZERO);
    for report in [&refused, &dead, &of(Kind::ChangeWithdrawn), &refused] {
        assert_eq!(say(report), Verdict::Say, "{report:?}");
    }
    assert_eq!(say(&refused), Verdict::Hush);
    assert_eq!(say(&dead), Verdict::Hush, "a mended config does not end it");
    for report in [&of(Kind::AllClear), &refused, &dead] {
        assert_eq!(say(report), Verdict::Say, "{report:?}");
    }
}

/// A jail that dies each ten minutes, and is brought back within seconds.
#[test]
fn what_comes_and_goes_is_said_ever_more_rarely() {
    let of = |kind, incident: u64| Report {
        kind,
        incident: Some(incident.to_string()),
        ..web_is_dead()
    };
    let mut repeats = Repeats::default();
    let mut said = Vec::new();
    for nth in 0..60 {
        let verdict = repeats.admit(&of(Kind::JailDead, nth), minutes(10 * nth));
        assert!(repeats.lasting(minutes(10 * nth)).is_empty());
        let end = repeats.admit(&of(Kind::AllClear, nth), minutes(10 * nth + 1));
        let is_hushed = [verdict, end].map(|verdict| verdict == Verdict::Hush);
        assert_eq!(is_hushed[0], is_hushed[1], "an incident without its end");
        if !is_hushed[0] {
            said.push((10 * nth, verdict));
        }
    }
    let counted = |times, within| Verdict::SayWithCount {
        times,
        within: minutes(within),
    };
    let expected = [
        (0, Verdict::Say),
        (10, Verdict::Say),
        (20, Verdict::Say),
        (30, Verdict::Say),
        (40, Verdict::Say),
        (50, Verdict::SayLast { times: 6 }),
        (180, counted(12, 130)),
        (360, counted(17, 180)),
        (540, counted(17, 180)),
    ];
    assert_eq!(said, expected);
    let other = Report {
        jails: vec!["ssh".to_owned()],
        ..of(Kind::JailDead, 99)
    };
    assert_eq!(repeats.admit(&other, minutes(600)), Verdict::Say);
}

#[test]
fn what_comes_and_goes_is_said_where_it_lasts() {
    let of = |kind, incident: u64| Report {
        kind,
        incident: Some(incident.to_string()),
        ..web_is_dead()
    };
    let mut repeats = Repeats::default();
    for nth in 0..6 {
        let verdict = repeats.admit(&of(Kind::JailDead, nth), minutes(nth));
        assert_ne!(verdict, Verdict::Hush);
        repeats.admit(&of(Kind::AllClear, nth), minutes(nth));
    }
    for kind in [Kind::JailDead, Kind::AllClear] {
        assert_eq!(repeats.admit(&of(kind, 7), minutes(20)), Verdict::Hush);
    }
    assert!(repeats.lasting(minutes(29)).is_empty(), "it has ended");
    let dead = of(Kind::JailDead, 8);
    assert_eq!(repeats.admit(&dead, minutes(30)), Verdict::Hush);
    assert!(
        repeats.lasting(minutes(124)).is_empty(),
        "it was said lately"
    );
    let lasting = repeats.lasting(minutes(125));
    let message = "its filter thread is gone (1 time more in the last 120 min)";
    assert_eq!(
        lasting,
        [Report {
            message: message.to_owned(),
            ..dead
        }]
    );
    assert!(repeats.lasting(minutes(500)).is_empty(), "it is said once");
    let clear = of(Kind::AllClear, 8);
    assert_eq!(repeats.admit(&clear, minutes(500)), Verdict::Say);
}

/// A mistake that comes and goes is one topic, and another mistake another.
#[test]
fn a_change_that_is_withdrawn_is_said_where_its_refusal_was() {
    let of = |kind, line| Report {
        kind,
        incident: None,
        line: Some(line),
        ..web_is_dead()
    };
    let mut repeats = Repeats::default();
    let mut count = 0;
    for nth in 0..30 {
        let refused = repeats.admit(&of(Kind::ChangeRefused, 1), minutes(nth));
        let withdrawn = repeats.admit(&of(Kind::ChangeWithdrawn, 1), minutes(nth));
        assert_eq!(
            refused == Verdict::Hush,
            withdrawn == Verdict::Hush,
            "{nth}"
        );
        count += usize::from(refused != Verdict::Hush);
    }
    assert_eq!(count, 10);
    for kind in [Kind::ChangeRefused, Kind::ChangeWithdrawn] {
        assert_eq!(repeats.admit(&of(kind, 2), minutes(31)), Verdict::Say);
    }
}

#[test]
fn a_verdict_says_how_often() {
    let said = |verdict: Verdict| verdict.apply(web_is_dead()).map(|report| report.message);
    assert_eq!(said(Verdict::Hush), None);
    assert_eq!(said(Verdict::Say).unwrap(), "its filter thread is gone");
    let counted = Verdict::SayWithCount {
        times: 3,
        within: Duration::from_secs(3725),
    };
    let expected = "its filter thread is gone (3 times more in the last 62 min)";
    assert_eq!(said(counted).unwrap(), expected);
}

#[test]
fn the_catalog_explains_exactly_the_kinds() {
    let ids: BTreeSet<_> = Kind::ALL.map(Kind::message_id).into_iter().collect();
    assert_eq!(ids.len(), Kind::ALL.len(), "an id is used twice");
    for id in &ids {
        let hex = id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        assert!(id.len() == 32 && hex, "{id}");
        let uuid4 = &id[12..13] == "4" && matches!(&id[16..17], "8" | "9" | "a" | "b");
        assert!(uuid4, "{id} is not from systemd-id128 new");
    }

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/jailwarden.catalog");
    let catalog = fs::read_to_string(path).unwrap();
    let entries: Vec<_> = catalog.split("\n-- ").skip(1).collect();
    let explained: BTreeSet<_> = entries.iter().map(|entry| &entry[..32]).collect();
    assert_eq!(entries.len(), explained.len(), "an id is explained twice");
    assert_eq!(explained, ids);
    for entry in entries {
        let (head, text) = entry.split_once("\n\n").unwrap();
        let headers: Vec<_> = head.lines().skip(1).collect();
        let [subject, defined_by, support] = headers[..] else {
            panic!("{head}");
        };
        assert!(subject.starts_with("Subject: "), "{head}");
        assert_eq!(defined_by, "Defined-By: jailwarden");
        assert!(support.starts_with("Support: "), "{head}");
        assert!(text.trim().len() > 100, "says too little: {entry}");
        for command in text.lines().filter_map(|line| line.strip_prefix("  ")) {
            let is_ours = command.starts_with("jailwarden ");
            let mut words = command.split(' ');
            let is_of_units = matches!(words.next(), Some("systemctl" | "journalctl"));
            let is_unit = |word: &str| {
                ["jailwarden", "fail2ban"]
                    .iter()
                    .any(|it| word.starts_with(it))
            };
            let is_by_tag = command.contains(" -t jailwarden");
            assert!(
                !is_ours && (!is_of_units || is_by_tag || !words.any(is_unit)),
                "of the host's own alone: {command}"
            );
        }
    }
}
