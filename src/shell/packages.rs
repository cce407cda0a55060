//! The package manager: whether it is at work, and whether it has been since.

use std::fs::{self, File};
use std::time::SystemTime;

use rustix::process::{Flock, FlockType, fcntl_getlk};

/// What dpkg, apt and rpm hold locked while they work (`apt-pkg/deb/debsystem.cc` of apt 2.6,
/// `lib/rpmlock.c` of rpm 4.18).
const LOCKS: [&str; 4] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
];

/// What they write when a package comes or goes.
const DATABASES: [&str; 5] = [
    "/var/lib/dpkg/status",
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/lib/apk/db/installed",
];

/// Whether packages are being installed, upgraded or removed just now.
pub(super) fn are_changing() -> bool {
    LOCKS.iter().any(|path| is_locked(path))
}

fn is_locked(path: &str) -> bool {
    let whole = Flock::from(FlockType::WriteLock);
    let holder = |file| fcntl_getlk(&file, &whole).ok().flatten();
    File::open(path).ok().and_then(holder).is_some()
}

/// When packages last came or went: it differs from an earlier answer if some did meanwhile.
pub(super) fn last_change() -> Option<SystemTime> {
    let changed = |path: &&str| fs::metadata(path).ok()?.modified().ok();
    DATABASES.iter().filter_map(changed).max()
}
