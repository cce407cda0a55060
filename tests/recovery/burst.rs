//! A burst of file events costs one check, and no memory.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
use crate::{LONG, settings};

const WRITES: usize = 100_000;
/// A burst is read at the latest so long after its first event (`Policy::SETTLE_LIMIT`, src/machine/policy.rs).
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
/// What it may take more memory than for a change of one line, in KiB.
const MORE: u64 = 2048;

fn checks(warden: &Warden) -> usize {
    let told = warden.told();
    let checks = told
        .iter()
        .filter(|line| line.starts_with("STATUS=checking"));
    checks.count()
}

/// The most memory that it ever had, in KiB.
fn peak(warden: &Warden) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", warden.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// The last of them changes a jail, so that there is something to wait for.
#[test]
fn a_hundred_thousand_events_are_one_check() {
    let Some(f2b) = Fail2ban::new(Version::V102) else {
        return;
    };
    f2b.jail("web", &JailSpec::default());
    f2b.start();
    // A writer that a loaded machine keeps waiting has not ended its burst.
    let slow = settings(LONG).replace("settle: 100ms", "settle: 4s");
    let warden = Warden::start(&f2b, &slow);
    warden.wait_told("STATUS=healthy: 1 of 1 jails protect");
    f2b.edit("jail.d/web.conf", "maxretry = 3", "maxretry = 4");
    warden.wait_for("config change applied");
    warden.wait_calm();
    let (checks_before, peak_before) = (checks(&warden), peak(&warden));

    let begin = Instant::now();
    let open = |n| fs::File::create(f2b.config().join(format!("filter.d/burst-{n}.conf"))).unwrap();
    let files: Vec<_> = (0..50).map(open).collect();
    for n in 0..WRITES {
        // inotify takes two equal events in a row for one (man 7 inotify).
        files[n % files.len()].write_all_at(b"#", 0).unwrap();
    }
    drop(files);
    f2b.edit("jail.d/web.conf", "maxretry = 4", "maxretry = 2");
    let took = begin.elapsed();
    warden.wait_for("config change applied");
    warden.wait_calm();

    let checks = checks(&warden) - checks_before;
    // What slows the writer down holds the events up for as long.
    let most = 1 + (2 * took).as_secs() / SETTLE_LIMIT.as_secs();
    let more = peak(&warden) - peak_before;
    println!("{checks} checks for {WRITES} writes in {took:?}, {more} KiB more");
    assert!(
        checks as u64 <= most,
        "{checks} checks in {took:?}: {:#?}",
        warden.told()
    );
    assert!(more <= MORE, "{more} KiB more than {peak_before}");
    f2b.wait_ban("web");
}
