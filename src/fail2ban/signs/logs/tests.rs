use std::time::Duration;

use super::*;

fn seen(inode: u64, size: u64, read: i128, open: bool) -> Seen {
    Seen {
        id: (1, inode),
        size,
        read,
        open,
    }
}

/// What looks a second apart make of one file; each is inode, length, when it was read, and whether
/// it is open.
fn looks(looks: &[(u64, u64, i128, bool)]) -> (LogSigns, Option<u64>) {
    let start = Instant::now();
    let mut signs: Option<LogSigns> = None;
    for (second, &(inode, size, read, open)) in (0..).zip(looks) {
        let now = start + Duration::from_secs(second);
        let look = seen(inode, size, read, open);
        signs = Some(LogSigns::of(look, signs.as_ref(), true, false, now));
    }
    let signs = signs.unwrap();
    let grown = signs.grown_at.map(|at| (at - start).as_secs());
    (signs, grown)
}

#[test]
fn growth_counts_from_when_it_was_first_seen_unread() {
    let (signs, grown) = looks(&[(7, 10, 1, false), (7, 10, 1, false), (7, 20, 1, false)]);
    assert_eq!((grown, signs.honest), (Some(2), false));
    let more = looks(&[(7, 10, 1, false), (7, 20, 1, false), (7, 30, 1, false)]);
    assert_eq!(more.1, Some(1));
}

#[test]
fn a_read_an_open_file_a_new_one_and_a_shorter_one_start_anew() {
    for end in [
        (7, 30, 2, false),
        (7, 30, 1, true),
        (8, 30, 1, false),
        (7, 5, 1, false),
    ] {
        let (_, grown) = looks(&[(7, 10, 1, false), (7, 20, 1, false), end]);
        assert_eq!(grown, None, "{end:?}");
    }
    // What it held when it was first seen may have been read before.
    assert_eq!(looks(&[(7, 10, 1, false), (7, 10, 1, false)]).1, None);
}

#[test]
fn only_where_reads_were_seen_is_anything_told() {
    let read = looks(&[(7, 10, 1, false), (7, 10, 2, false)]).0;
    assert!(read.honest);
    let now = Instant::now();
    let told = |can_tell, proven| LogSigns::of(seen(9, 1, 1, false), None, can_tell, proven, now);
    assert!(told(true, true).honest);
    assert!(!told(false, true).honest && !told(true, false).honest);
}
