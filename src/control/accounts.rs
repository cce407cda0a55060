//! The numbers of users and groups, asked of `getent`: what looks them up in a directory on the net, or in
//! systemd, is then loaded into that program, and not into one that runs for months as root.

use std::io;
use std::process::Command;

/// The status of `getent` where there is no such entry (`man getent`).
const NOT_FOUND: i32 = 2;

/// The number of the user of this name, if there is one.
pub(super) fn user(name: &str) -> io::Result<Option<u32>> {
    number("passwd", name)
}

/// The number of the group of this name, if there is one.
pub(super) fn group(name: &str) -> io::Result<Option<u32>> {
    number("group", name)
}

fn number(database: &str, name: &str) -> io::Result<Option<u32>> {
    let output = Command::new("getent").args([database, name]).output();
    let output =
        output.map_err(|error| io::Error::new(error.kind(), format!("getent: {error}")))?;
    if output.status.code() == Some(NOT_FOUND) {
        return Ok(None);
    }
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let why = format!("getent {database}: {}: {}", output.status, words.trim());
        return Err(io::Error::other(why));
    }
    let entry = String::from_utf8_lossy(&output.stdout);
    let mut fields = entry.trim_end().split(':');
    // A number is taken for that of an entry, too.
    if fields.next() != Some(name) {
        return Ok(None);
    }
    let number = fields.nth(1).and_then(|number| number.parse().ok());
    let unread = || io::Error::other(format!("getent {database} says {entry:?}"));
    number.ok_or_else(unread).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_by_its_name_alone() {
        assert_eq!(user("root").unwrap(), Some(0));
        assert_eq!(group("root").unwrap(), Some(0));
        for name in ["0", "no-such", "", "--help"] {
            assert_eq!(user(name).unwrap_or(None), None, "{name:?}");
        }
    }
}
