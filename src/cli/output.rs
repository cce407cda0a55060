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
