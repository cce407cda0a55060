use std::fs::{self, OpenOptions};
use std::io::Write as _;

use super::*;

fn append(log: &Path, text: &[u8]) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    file.write_all(text).unwrap();
}

fn texts(news: &News) -> Vec<&str> {
    news.lines.iter().map(|line| line.text.as_str()).collect()
}

fn places(news: &News) -> Vec<(String, Option<u32>)> {
    let places = news.lines.iter().filter_map(Line::place);
    places
        .map(|(file, line)| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            (name, line)
        })
        .collect()
}

#[test]
fn only_what_is_new_is_read_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    assert_eq!(end(&log), Position::default());
    append(&log, b"old\nolder\n");
    let start = end(&log);
    append(&log, b"a\nb\xff\nhal");
    let news = since(&log, &start).unwrap();
    assert_eq!(texts(&news), ["a", "b\u{fffd}"]);
    assert_eq!(
        places(&news),
        [("log".into(), Some(3)), ("log".into(), Some(4))]
    );
    append(&log, b"f\n");
    let more = since(&log, &news.end).unwrap();
    assert_eq!(texts(&more), ["half"]);
    assert_eq!(texts(&since(&log, &more.end).unwrap()), [""; 0]);
}

#[test]
fn a_log_made_after_the_position_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let start = end(&log);
    assert_eq!(since(&log, &start).unwrap(), News::default());
    append(&log, b"first\n");
    assert_eq!(texts(&since(&log, &start).unwrap()), ["first"]);
}

#[test]
fn rotation_loses_nothing_and_truncation_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    append(&log, b"old\n");
    let start = end(&log);
    append(&log, b"before\n");
    fs::rename(&log, folder.path().join("log.1")).unwrap();
    append(&log, b"after\n");
    let news = since(&log, &start).unwrap();
    assert_eq!(texts(&news), ["before", "after"]);
    assert_eq!(
        places(&news),
        [("log.1".into(), Some(2)), ("log".into(), Some(1))]
    );

    fs::write(&log, "new\n").unwrap();
    assert_eq!(texts(&since(&log, &news.end).unwrap()), ["new"]);
}

#[test]
fn of_a_flood_the_end_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    append(&log, "0123456789\n".repeat(100_000).as_bytes());
    let news = since(&log, &Position::default()).unwrap();
    assert!(news.skipped);
    assert!(news.lines[0].cut && !news.lines[1].cut);
    assert_eq!(news.lines.last().unwrap().place().unwrap().1, Some(100_000));
    let bytes: usize = news.lines.iter().map(|line| line.text.len() + 1).sum();
    assert!(bytes as u64 <= LIMIT);

    append(&log, &vec![b'x'; 2 * usize::try_from(LIMIT).unwrap()]);
    append(&log, b" end\n");
    let flood = since(&log, &news.end).unwrap();
    assert_eq!(flood.lines.len(), 1);
    assert!(flood.lines[0].cut && flood.lines[0].text.ends_with("x end"));
}

#[test]
fn a_log_that_is_no_file_is_an_error_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &log, rustix::fs::Mode::RUSR).unwrap();
    let refused = since(&log, &Position::default()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn heads_of_every_target_and_verbosity_are_found() {
    for (line, logger, level, words) in [
        (
            "2026-11-25 18:16:04,305 fail2ban.server         [3352]: INFO    Starting Fail2ban",
            "fail2ban.server",
            Level::Info,
            "Starting Fail2ban",
        ),
        (
            "Nov 25 18:16:04 host fail2ban-server[3352]: fail2ban.utils[3352]: ERROR 7f -- returned 1",
            "fail2ban.utils",
            Level::Error,
            "7f -- returned 1",
        ),
        (
            "2026-11-25 18:16:04,305 7F55 fail2ban.filter          WARNI [a] Error decoding line",
            "fail2ban.filter",
            Level::Warning,
            "[a] Error decoding line",
        ),
        (
            "fail2ban[7]: CRITICAL Unhandled",
            "fail2ban",
            Level::Critical,
            "Unhandled",
        ),
        // Whoever writes into a jail's log does not speak for fail2ban.
        (
            "x fail2ban.filter [1]: WARNING Error decoding line b'fail2ban.x [1]: ERROR database is locked'",
            "fail2ban.filter",
            Level::Warning,
            "Error decoding line b'fail2ban.x [1]: ERROR database is locked'",
        ),
    ] {
        assert_eq!(head(line), Some((logger, level, words)), "{line}");
    }
    for line in [
        "",
        "fail2ban",
        "fail2ban [x]: ERROR a",
        "-- fail2ban: ERROR a",
        "Server ready",
    ] {
        assert_eq!(head(line), None, "{line}");
    }
}

#[test]
fn further_lines_belong_to_a_message_and_a_traceback_to_none() {
    let lines = [
        "x fail2ban.filter [1]: ERROR Unable to compile 'fail [':",
        "unterminated character set",
        "x fail2ban.asyncserver [1]: WARNING Accept socket error",
        "Traceback (most recent call last):",
        "  File",
        "x fail2ban [1]: ERROR NOK",
    ]
    .map(Line::of);
    let words: Vec<_> = messages(&lines).into_iter().map(|m| m.words).collect();
    assert_eq!(
        words,
        [
            "Unable to compile 'fail [': unterminated character set",
            "Accept socket error",
            "NOK"
        ]
    );
}
