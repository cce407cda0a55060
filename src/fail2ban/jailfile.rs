//! The jails that a config file names, read by eye.
//!
//! Only for when `fail2ban-client -d` cannot say: its word is the config. This names the suspects
//! when fail2ban cannot parse the files, and nobody saw which of them changed.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};

/// Bytes of one file that are looked at.
const MOST_BYTES: u64 = 1 << 20;
/// Files in `jail.d` that are looked at.
const MOST_FILES: usize = 10_000;
/// Jails of one file that are named.
const MOST_JAILS: usize = 1_000;

/// A file with jail sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailFile {
    /// Where it is.
    pub path: PathBuf,
    /// When it last changed: the later of its content's time (mtime) and its inode's (ctime). The
    /// latter also moves when a file with an old date is moved or copied into place.
    pub changed: SystemTime,
    /// Its jails, in order.
    pub jails: Vec<String>,
}

/// The names of the jails that have a section in `path`, in order, each once, and [`MOST_JAILS`] at most.
///
/// Headers are told as Python's configparser does with fail2ban's settings (fail2ban 1.0.2
/// client/configparserinc.py:114, Python 3.11 configparser.py `_read`): `#` starts a full-line
/// comment, `;` an inline one too, and a line indented deeper than the option above continues it.
/// Bytes that are not UTF-8 do not stop it.
///
/// # Errors
/// When the file cannot be read, or is not a regular file.
pub fn jails_in(path: &Path) -> io::Result<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(jails_of(&String::from_utf8_lossy(&bytes)))
}

/// The files among `jail.conf`, `jail.local`, `jail.d/*.conf` and `jail.d/*.local` that name a jail,
/// the last changed first.
///
/// A file or folder that cannot be read is passed over. Blocking.
#[must_use]
pub fn last_changed_jails(config_dir: &Path) -> Vec<JailFile> {
    let mut paths = vec![config_dir.join("jail.conf"), config_dir.join("jail.local")];
    if let Ok(listing) = fs::read_dir(config_dir.join("jail.d")) {
        paths.extend(
            listing
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| is_read_by_fail2ban(path))
                .take(MOST_FILES),
        );
    }
    let mut files: Vec<JailFile> = paths
        .into_iter()
        .filter_map(|path| {
            let changed = changed(&path).ok()?;
            let jails = jails_in(&path).ok().filter(|jails| !jails.is_empty())?;
            Some(JailFile {
                path,
                changed,
                jails,
            })
        })
        .collect();
    files.sort_by(|a, b| b.changed.cmp(&a.changed).then_with(|| a.path.cmp(&b.path)));
    files
}

fn is_read_by_fail2ban(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    path.extension()
        .is_some_and(|end| end == "conf" || end == "local")
        && name.is_none_or(|name| !name.starts_with('.'))
}

fn changed(path: &Path) -> io::Result<SystemTime> {
    let meta = fs::metadata(path)?;
    let inode = u64::try_from(meta.ctime())
        .ok()
        .zip(u32::try_from(meta.ctime_nsec()).ok())
        .and_then(|(s, ns)| SystemTime::UNIX_EPOCH.checked_add(Duration::new(s, ns)));
    let content = meta.modified()?;
    Ok(inode.map_or(content, |inode| inode.max(content)))
}

fn jails_of(text: &str) -> Vec<String> {
    let mut jails: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    let mut option_indent = None;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let value = without_comment(line).trim();
        if value.is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if option_indent.is_some_and(|above| indent > above) {
            continue;
        }
        let Some(name) = header(value) else {
            option_indent = Some(indent);
            continue;
        };
        option_indent = None;
        let a_jail = !matches!(name, "DEFAULT" | "INCLUDES" | "Definition");
        if a_jail && known.insert(name) {
            jails.push(name.to_owned());
            if jails.len() == MOST_JAILS {
                break;
            }
        }
    }
    jails
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let inline = line
        .match_indices(';')
        .find(|(at, _)| line[..*at].ends_with(char::is_whitespace));
    inline.map_or(line, |(at, _)| &line[..at])
}

fn header(value: &str) -> Option<&str> {
    let inside = value.strip_prefix('[')?;
    let name = &inside[..inside.rfind(']')?];
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests;
