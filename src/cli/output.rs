//! Lines for people. A reader that has gone away is no reason to fail: the exit code still tells. An
//! answer that is lost for another reason, such as a full disk, is said.

use std::fmt::Display;
use std::io::{self, Write};

/// A line of the answer, on stdout.
pub(super) fn say(line: impl Display) {
    print(&format!("{line}\n"));
}

/// What went wrong, on stderr.
pub(super) fn complain(line: impl Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// The line of progress, in the place of the one before, on the terminal that stderr is.
pub(super) fn redraw(line: &str) {
    let mut stderr = io::stderr();
    drop(write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush()));
}

/// A whole answer, on stdout.
pub(super) fn print(text: &str) {
    let mut stdout = io::stdout();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(format_args!(
                "the answer could not be written whole: {error}"
            ));
        }
        _ => {}
    }
}
