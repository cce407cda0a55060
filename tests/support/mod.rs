//! What the tests with real parts share: a private fail2ban, and a throwaway host.

pub(crate) mod daemon;
pub(crate) mod docs;
pub(crate) mod fake;
pub(crate) mod faults;
pub(crate) mod host;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must come. It only guards against waiting for ever: no test
/// asserts how fast anything is.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// What the control API answers from what the supervisor says.
pub(crate) const ANSWERED: [&str; 6] = [
    "/api/status",
    "/api/jails",
    "/api/incidents",
    "/healthz",
    "/readyz",
    "/metrics",
];

/// Looks again and again until `look` finds something, for at most `limit`.
pub(crate) fn wait_until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() > limit {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Every file below a config folder but jailwarden's rollbacks, with its content.
pub(crate) fn admins_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            files.extend(admins_files(&path));
        } else if !name.starts_with("zzz-jailwarden") && !name.starts_with(".zzz-jailwarden") {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Whether all is to be tested, though it takes minutes more: `JAILWARDEN_ALL=1`.
pub(crate) fn is_everything_tested() -> bool {
    std::env::var_os("JAILWARDEN_ALL").is_some_and(|set| set == "1")
}

/// Says that a part of the machine is missing, so that its test is skipped; where CI demands all
/// parts, it fails instead.
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("JAILWARDEN_REQUIRE_HOST").is_none_or(|required| required != "1"),
        "JAILWARDEN_REQUIRE_HOST=1, but {why}"
    );
    eprintln!("skipped: {why}");
}

/// A program of the PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A program that `scripts/setup test` unpacks from its package.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let program = docs::root().join("target/tools").join(name);
    if !program.is_file() {
        skip(&format!("{name} is not there"));
        return None;
    }
    Some(program)
}
