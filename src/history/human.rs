//! For people: what is kept, and what was put back.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{
    ChangeKind, Done, Entry, FileChange, Left, Listing, NotKept, Rejected, Replaced, Since,
};
use crate::text::{counted, safe};

/// How many names of one kind are shown; JSON has them all.
const MOST_NAMES: usize = 12;

/// A time as people write it.
#[must_use]
pub fn time(when: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(when).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// The snapshots, and the files that were replaced. Nothing in it steers a terminal.
#[must_use]
pub fn listing(snapshots: &Listing<Entry>, rejected: &Listing<Rejected>) -> String {
    let mut out = String::new();
    for entry in &snapshots.entries {
        snapshot(&mut out, entry);
    }
    if snapshots.entries.is_empty() {
        out.push_str("no snapshot yet\n");
    }
    for (at, entry) in rejected.entries.iter().enumerate() {
        if at == 0 {
            out.push_str("\nreplaced files, kept until you remove them:\n");
        }
        replaced(&mut out, entry);
    }
    out
}

fn snapshot(out: &mut String, entry: &Entry) {
    let jails = match entry.jails.as_deref() {
        None => "jails not known".to_owned(),
        Some([]) => "no jail".to_owned(),
        Some(jails) => {
            let names = names(jails.iter().map(|jail| safe(jail)), ", ");
            format!("{}: {names}", counted(jails.len(), "jail"))
        }
    };
    let _ = writeln!(
        out,
        "{}  {}  {}, {jails}",
        entry.id.short(),
        time(entry.when),
        counted(entry.files, "file")
    );
    match &entry.since {
        None => line(out, "files", "the oldest that is kept"),
        Some(since) => changed(out, since),
    }
    if !entry.rollbacks.is_empty() {
        let standing = names(entry.rollbacks.iter().map(|name| safe(name)), ", ");
        line(out, "rolled back then", &standing);
    }
    if !entry.not_kept.is_empty() {
        let one = |(path, why): &(PathBuf, NotKept)| format!("{} ({})", shown(path), why.words());
        line(
            out,
            "not kept",
            &names(entry.not_kept.iter().map(one), ", "),
        );
    }
}

fn changed(out: &mut String, since: &Since) {
    if !since.files.is_empty() {
        line(out, "files", &names(since.files.iter().map(file), "  "));
    }
    let Some(diff) = &since.jails else { return };
    let marked = [
        ('+', &diff.added),
        ('-', &diff.removed),
        ('~', &diff.changed),
    ];
    let jails = marked.iter().flat_map(|(mark, jails)| {
        jails
            .iter()
            .map(move |jail| format!("{mark} {}", safe(jail)))
    });
    let server = diff.server.then(|| "~ fail2ban's own settings".to_owned());
    let all: Vec<_> = jails.chain(server).collect();
    if !all.is_empty() {
        line(out, "jails", &names(all.into_iter(), "  "));
    }
}

fn file(change: &FileChange) -> String {
    let path = shown(&change.path);
    match change.kind {
        ChangeKind::Added => format!("+ {path}"),
        ChangeKind::Removed => format!("- {path}"),
        ChangeKind::Changed => format!("~ {path}"),
        ChangeKind::Mode => format!("~ {path} (owner or mode)"),
    }
}

fn replaced(out: &mut String, entry: &Rejected) {
    let _ = writeln!(
        out,
        "{}  {}  {} of {}",
        entry.id,
        time(entry.when),
        counted(entry.paths.len(), "file"),
        shown(&entry.config_dir)
    );
    line(
        out,
        "files",
        &names(entry.paths.iter().map(|path| shown(path)), ", "),
    );
    line(out, "why", &safe(&entry.reason));
    if !entry.finished {
        line(
            out,
            "broken off",
            "not all was put back: do it again to finish it",
        );
    }
    line(out, "bring back", &entry.undo);
}

/// What was done, or would be, path by path.
#[must_use]
pub fn deeds(done: &[Done], left: &[Left]) -> String {
    let mut out = String::new();
    for Done { path, what } in done {
        let _ = writeln!(out, "  {}: {}", shown(path), safe(&what.to_string()));
    }
    if !left.is_empty() {
        out.push_str("left as it is:\n");
    }
    for Left { path, why } in left {
        let _ = writeln!(out, "  {}: {why}", shown(path));
    }
    out
}

/// Where what was replaced is, and how it comes back.
#[must_use]
pub fn undo(replaced: &Replaced) -> String {
    format!(
        "what stood there is kept in {}\nundo: {}\n",
        shown(&replaced.files),
        replaced.undo
    )
}

fn line(out: &mut String, what: &str, text: &str) {
    let _ = writeln!(out, "    {what}: {text}");
}

fn shown(path: &Path) -> String {
    safe(&path.display().to_string())
}

fn names(all: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let more = all.len().saturating_sub(MOST_NAMES);
    let mut text = all.take(MOST_NAMES).collect::<Vec<_>>().join(between);
    if more > 0 {
        let _ = write!(text, "{between}and {more} more");
    }
    text
}
