//! Grouping and comparing streams.

use super::*;

const STOCK: &str = "\
['set', 'syslogsocket', 'auto']
['set', 'loglevel', 'INFO']
['set', 'dbpurgeage', '1d']
['add', 'sshd', 'polling']
['set', 'sshd', 'usedns', 'warn']
['multi-set', 'sshd', 'addfailregex', ['a', 'b']]
['add', 'a, b', 'polling']
['set', 'a, b', 'maxretry', 5]
['start', 'sshd']
['start', 'a, b']
";

fn parse(text: &str) -> Stream {
    Stream::parse(text).expect("a stream")
}

#[test]
fn groups_the_lines_by_jail() {
    let stream = parse(STOCK);
    assert_eq!(stream.server.len(), 3);
    assert_eq!(stream.started().collect::<Vec<_>>(), ["sshd", "a, b"]);
    assert_eq!(stream.findings, []);
    let sshd = &stream.jails[0];
    assert_eq!(sshd.text.lines().count(), 4);
    let commands = sshd.commands().expect("commands");
    assert_eq!(
        commands[0],
        Value::List(vec!["add".into(), "sshd".into(), "polling".into()])
    );
    assert_eq!(
        commands.last(),
        Some(&Value::List(vec!["start".into(), "sshd".into()]))
    );
}

#[test]
fn a_jail_without_a_start_line_is_not_to_run() {
    let stream = parse("['add', 'a', 'auto']\n");
    assert_eq!(stream.started().count(), 0);
    assert!(!stream.jails[0].starts);
    assert!(stream.digests().jails.is_empty());
}

#[test]
fn a_digest_stays_the_same_in_every_version() {
    let digests = parse(STOCK).digests();
    assert_eq!(digests.server, 0x8928_ace0_7765_491d_3d6f_b1f7_7ffc_0398);
}

#[test]
fn says_what_changed() {
    let old = parse(STOCK).digests();
    assert_eq!(old.since(&old).untouched, ["a, b", "sshd"]);

    let moved = STOCK
        .replace("INFO", "DEBUG")
        .replace("'warn'", "'no'")
        .replace("a, b", "new");
    let diff = parse(&moved).digests().since(&old);
    let expected = Diff {
        server: true,
        added: vec!["new".to_owned()],
        removed: vec!["a, b".to_owned()],
        changed: vec!["sshd".to_owned()],
        untouched: vec![],
    };
    assert_eq!(diff, expected);
}

#[test]
fn a_skipped_jail_is_a_finding() {
    let stream = parse(
        "['config-error', \"Jail 'it's' skipped, because of wrong configuration: Unable to read the filter 'nope'\"]\n\
         ['config-error', \"Jail 'web' skipped, because of missing log files.\"]\n\
         ['config-error', 'something new']\n",
    );
    let skipped = |jail, words| Finding::new(FindingKind::JailSkipped, jail, words);
    let expected = [
        skipped(Some("it's"), "Unable to read the filter 'nope'"),
        Finding::new(FindingKind::LogAwaited, Some("web"), "missing log files."),
        skipped(None, "something new"),
    ];
    assert_eq!(stream.findings, expected);
    assert!(stream.jails.is_empty());
}

#[test]
fn a_number_that_is_none_is_a_finding() {
    let stream = parse(
        "['set', 'dbmaxmatches', None]\n['set', 'thread', {'stacksize': None}]\n['set', 'web', 'maxretry', None]\n",
    );
    let jails: Vec<_> = stream.findings.iter().map(|f| f.jail.as_deref()).collect();
    assert_eq!(jails, [None, None, Some("web")]);
    assert!(
        stream
            .findings
            .iter()
            .all(|f| f.kind == FindingKind::BadNumber)
    );
    assert_eq!(stream.server.len(), 2);
}

#[test]
fn a_reserved_name_is_a_finding_and_keeps_its_lines_apart() {
    let stream = parse(
        "['set', 'loglevel', 'INFO']\n['add', 'loglevel', 'auto']\n['set', 'loglevel', 'usedns', 'no']\n\
         ['add', '--all', 'auto']\n['start', 'loglevel']\n['start', '--all']\n",
    );
    assert_eq!(stream.server, ["['set', 'loglevel', 'INFO']"]);
    assert_eq!(stream.jails[0].text.lines().count(), 3);
    let kinds: Vec<_> = stream
        .findings
        .iter()
        .map(|f| (f.kind, f.jail.as_deref()))
        .collect();
    let reserved = FindingKind::ReservedName;
    assert_eq!(
        kinds,
        [(reserved, Some("loglevel")), (reserved, Some("--all"))]
    );
}

#[test]
fn what_is_no_command_is_refused_with_its_line() {
    for (text, line) in [
        ("['ping']\nTraceback\n", 2),
        ("'x'", 1),
        ("[]", 1),
        ("[1]", 1),
        ("\n\n['set'", 3),
    ] {
        assert_eq!(
            Stream::parse(text).map_err(|error| error.line),
            Err(line),
            "{text}"
        );
    }
    assert_eq!(parse(""), Stream::default());
}
