//! Files of a config at which fail2ban's client would read or wait for ever.
//!
//! It opens each `.conf` and `.local` of a few folders as a text (`client/configparserinc.py` of 1.0.2 to
//! 1.1.1): a FIFO keeps it waiting for somebody who writes, and a device such as `/dev/zero` never ends. So
//! would the daemon be kept that starts with it.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

use super::finding::{Finding, FindingKind};

/// The folders of which each such file is read: what the others hold is read if a jail names it.
const FOLDERS: [&str; 3] = ["", "fail2ban.d", "jail.d"];

/// A file that is longer counts too: the client needs a few times its length in memory.
const MOST_BYTES: u64 = 64 << 20;

/// So many are enough to tell.
const MOST: usize = 16;

/// `/dev/null`, to which a file is linked that is to say nothing (`man 4 null`).
const NULL: (u32, u32) = (1, 3);

/// Names such files, the first of them. Blocking.
pub(super) fn find(config_dir: &Path) -> Vec<Finding> {
    let folders = FOLDERS.iter().map(|folder| config_dir.join(folder));
    let entries = folders
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(Iterator::flatten);
    let paths = entries
        .map(|entry| entry.path())
        .filter(|path| is_read(path));
    let mut found: Vec<_> = paths
        .filter_map(|path| Some((endless(&path)?, path)))
        .map(|(what, path)| (path, what))
        .take(MOST)
        .collect();
    found.sort_unstable();
    found
        .into_iter()
        .map(|(path, what)| finding(path, what))
        .collect()
}

fn is_read(path: &Path) -> bool {
    let is_hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden
        && path
            .extension()
            .is_some_and(|end| end == "conf" || end == "local")
}

fn endless(path: &Path) -> Option<&'static str> {
    let meta = fs::metadata(path).ok()?;
    let kind = meta.file_type();
    if kind.is_fifo() {
        return Some("a FIFO: fail2ban would wait for ever for somebody who writes into it");
    }
    if kind.is_file() && meta.len() > MOST_BYTES {
        return Some("far too long: fail2ban would need a few times its length in memory");
    }
    let is_device = kind.is_char_device() || kind.is_block_device();
    (is_device && !is_null(&meta)).then_some("a device: fail2ban would read from it for ever")
}

fn is_null(meta: &Metadata) -> bool {
    (major(meta.rdev()), minor(meta.rdev())) == NULL
}

fn finding(path: PathBuf, what: &str) -> Finding {
    let mut finding = Finding::new(FindingKind::Unreadable, None, format!("it is {what}"));
    finding.file = Some(path);
    finding
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_fifo_a_device_and_a_far_too_long_file_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("jail.d")).unwrap();
        fs::create_dir(path("filter.d")).unwrap();
        fs::write(path("jail.conf"), "").unwrap();
        let long = fs::File::create(path("jail.d/long.conf")).unwrap();
        long.set_len(MOST_BYTES + 1).unwrap();
        symlink("/dev/null", path("jail.local")).unwrap();
        symlink("/dev/zero", path("jail.d/zero.conf")).unwrap();
        symlink("nowhere", path("jail.d/dangling.conf")).unwrap();
        for name in [
            "jail.d/a.local",
            "jail.d/.hidden.conf",
            "filter.d/unused.conf",
            "jail.d/README",
        ] {
            assert!(
                Command::new("mkfifo")
                    .arg(path(name))
                    .status()
                    .unwrap()
                    .success()
            );
        }
        let found: Vec<_> = find(dir.path())
            .into_iter()
            .filter_map(|it| it.file)
            .collect();
        assert_eq!(
            found,
            ["jail.d/a.local", "jail.d/long.conf", "jail.d/zero.conf"].map(path)
        );
    }
}
