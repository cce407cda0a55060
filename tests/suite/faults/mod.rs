//! The table of config faults against real fail2bans: what `fail2ban-client -t` says of each, what
//! `jailwarden check` says, and what is true after a reload and after a start.
//!
//! What was measured is in `docs/config-faults.md`. It is compared with that file, or written into it
//! where `JAILWARDEN_WRITE_DOCS=1`. 1.0.2 is always measured whole; the others are then, and with
//! `JAILWARDEN_ALL=1 make test`, otherwise only their rows where versions differ, and of 1.1.1 every third.

mod doc;
mod measure;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::daemon::Version;
use crate::support::faults::table::TABLE;

/// Which rows of a group are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    All,
    /// Those where versions differ, and every third.
    Some,
    /// Those where versions differ.
    Differing,
}

/// Rows of a group are measured this many at a time: most of it is waiting.
const AT_A_TIME: usize = 3;

/// Makes one test of each group of rows and version, by the group's place in the table.
macro_rules! groups {
    ($($name:ident $at:literal)*) => {
        $(mod $name {
            use super::{Rows, Version, agree};

            #[test]
            fn v1_0_2() {
                agree($at, Version::V102, Rows::All);
            }

            #[test]
            fn v1_1_0() {
                agree($at, Version::V110, Rows::Differing);
            }

            #[test]
            #[ignore = "a minute more; JAILWARDEN_ALL=1 make test"]
            fn v1_1_0_in_full() {
                agree($at, Version::V110, Rows::All);
            }

            #[test]
            fn v1_1_1() {
                agree($at, Version::V111, Rows::Some);
            }

            #[test]
            #[ignore = "a minute more; JAILWARDEN_ALL=1 make test"]
            fn v1_1_1_in_full() {
                agree($at, Version::V111, Rows::All);
            }
        })*

        #[test]
        fn every_group_is_tried() {
            let tried = [$($at),*];
            assert!(tried.into_iter().eq(0..TABLE.len()));
        }
    };
}

groups! {
    expressions 0
    values 1
    logs 2
    actions 3
    filters 4
    files 5
    server 6
    sound 7
    sound_files 8
    beyond 9
}

/// Measures the rows of a group, holds what was found against the truth, and both against the file.
fn agree(group: usize, version: Version, which: Rows) {
    let rows = TABLE[group].rows.iter().enumerate();
    let is_whole = which == Rows::All || doc::is_written();
    let is_some = which == Rows::Some;
    let rows = rows.filter(|(nth, row)| is_whole || row.differs() || (is_some && nth % 3 == 0));
    let rows: Vec<_> = rows.map(|(_, row)| row).collect();
    let next = AtomicUsize::new(0);
    let measured: Mutex<Vec<_>> = Mutex::default();
    let wrong: Mutex<Vec<String>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                let mut bench = measure::Bench::new(version);
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(seen) = bench.measure(row) else {
                        continue;
                    };
                    let faults = seen.faults(row.verdict(version));
                    if !faults.is_empty() {
                        let text = format!("{}: {faults:#?}\n{seen:#?}", row.name);
                        wrong.lock().unwrap().push(text);
                    }
                    measured.lock().unwrap().push((row.name, seen.cells()));
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.extend(doc::compare(version, measured.into_inner().unwrap()));
    assert!(wrong.is_empty(), "{version:?}\n{}", wrong.join("\n\n"));
}

fn is_set(switch: &str) -> bool {
    std::env::var_os(switch).is_some_and(|set| set == "1")
}

#[test]
fn the_file_shows_the_table() {
    let text = doc::read();
    let doc = doc::parse(&text);
    assert_eq!(doc.missing(), [""; 0]);
    assert_eq!(text, doc.text());
}
