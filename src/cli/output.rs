//! Lines for people. A reader that has gone away is no reason to fail: the exit code still tells.

use std::fmt::Display;
use std::io::{self, Write};

/// A line of the answer, on stdout.
pub(super) fn say(line: impl Display) {
    drop(writeln!(io::stdout(), "{line}"));
}

/// What went wrong, on stderr.
pub(super) fn complain(line: impl Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// A whole answer, on stdout.
pub(super) fn print(text: &str) {
    let mut stdout = io::stdout();
    drop(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    );
}
