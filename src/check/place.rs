//! From what fail2ban said to diagnostics: each with its line, and the jails that share it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::diagnostic::{Diagnostic, Kind};
use crate::fail2ban::blame::{At, Blame, Place};
use crate::fail2ban::finding::{Finding, FindingKind};
use crate::fail2ban::literal;
use crate::fail2ban::rehearsal::Fault;
use crate::fail2ban::stream::JailStream;

/// How much of a file is looked at for one line.
const MOST_BYTES: u64 = 4 << 20;

/// What was found, with places, and with what is one fault of several jails as one.
pub(super) fn diagnostics(
    blame: &mut Blame,
    findings: Vec<Finding>,
    faults: Vec<Fault>,
    jails: &[&JailStream],
) -> Vec<Diagnostic> {
    let mut all: Vec<Diagnostic> = Vec::new();
    for finding in blame.settle(findings) {
        add(&mut all, of_finding(finding));
    }
    for fault in faults {
        let diagnostic = of_fault(blame, fault);
        if !all.iter().any(|known| covers(known, &diagnostic)) {
            add(&mut all, diagnostic);
        }
    }
    for jail in jails.iter().filter(|jail| !jail.finds()) {
        if !all.iter().any(|d| d.jails.contains(&jail.name)) {
            add(&mut all, without_failregex(blame, &jail.name));
        }
    }
    // `maxmatches` is `%(maxretry)s` in the stock jail.conf.
    let bad_retry = |d: &Diagnostic| is_bad_number(d, "maxretry");
    let follows = |d: &Diagnostic| is_bad_number(d, "maxmatches");
    let jails: Vec<_> = all
        .iter()
        .filter(|d| bad_retry(d))
        .flat_map(|d| d.jails.clone())
        .collect();
    all.retain(|d| !(follows(d) && d.jails.iter().all(|jail| jails.contains(jail))));
    all.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    all
}

/// What to say of a jail that somebody named and that does not run.
pub(super) fn not_enabled(blame: &mut Blame, jail: &str) -> Diagnostic {
    let place = blame.place(jail, &At::Jail);
    let words = match &place {
        Some(_) => "it is not enabled",
        None => "no file has a section for it",
    };
    let mut diagnostic = bare(Kind::NotEnabled, Some(jail.to_owned()), words.to_owned());
    put(&mut diagnostic, place);
    diagnostic
}

fn without_failregex(blame: &mut Blame, jail: &str) -> Diagnostic {
    let words = "it has no failregex".to_owned();
    let mut diagnostic = bare(Kind::NoFailregex, Some(jail.to_owned()), words);
    let place = blame.place(jail, &At::from_option("failregex", None));
    put(&mut diagnostic, place);
    diagnostic
}

fn is_bad_number(diagnostic: &Diagnostic, option: &str) -> bool {
    diagnostic.kind == Kind::BadNumber && diagnostic.option.as_deref() == Some(option)
}

/// Whether `-d` has already told what the rehearsal found.
fn covers(known: &Diagnostic, new: &Diagnostic) -> bool {
    let told_by_dump = matches!(known.kind, Kind::BadNumber | Kind::ReservedName);
    told_by_dump
        && (known.option == new.option || known.kind == Kind::ReservedName)
        && new.jails.iter().all(|jail| known.jails.contains(jail))
}

/// Adds it, or only its jails to one that is the same fault.
fn add(all: &mut Vec<Diagnostic>, new: Diagnostic) {
    let is_same = |known: &&mut Diagnostic| {
        known.line.is_some()
            && (known.kind, &known.file, known.line, &known.words)
                == (new.kind, &new.file, new.line, &new.words)
    };
    match all.iter_mut().find(is_same) {
        Some(known) => known.jails.extend(new.jails),
        None => all.push(new),
    }
}

fn bare(kind: Kind, jail: Option<String>, words: String) -> Diagnostic {
    Diagnostic {
        kind,
        jails: jail.into_iter().collect(),
        file: None,
        line: None,
        source: None,
        option: None,
        value: None,
        words,
    }
}

fn of_finding(finding: Finding) -> Diagnostic {
    let kind = finding.kind.into();
    let (option, value) = setting(&finding).unzip();
    let place = finding.file.as_deref().zip(finding.line);
    Diagnostic {
        source: place.and_then(|(file, line)| line_of(file, line)),
        file: finding.file,
        line: finding.line,
        option,
        value: value.flatten(),
        ..bare(kind, finding.jail, finding.words)
    }
}

/// The option that a finding of `-d` is about, and its value; the words are those of
/// client/jailreader.py, and of configparser where it cannot substitute.
fn setting(finding: &Finding) -> Option<(String, Option<String>)> {
    let words = finding.words.as_str();
    let named = |prefix: &str| literal::leading_string(words.strip_prefix(prefix)?).ok();
    let first = |prefixes: &[&str]| prefixes.iter().copied().find_map(named);
    match finding.kind {
        FindingKind::NoLogFile => Some(("logpath".to_owned(), None)),
        FindingKind::BadNumber => named("").map(|option| (option, None)),
        FindingKind::NotBoolean => {
            let (option, _) = words.strip_prefix('`')?.split_once(" = ")?;
            Some((option.to_owned(), None))
        }
        FindingKind::Unreadable => {
            let (_, rest) = words.split_once(": option '")?;
            let (option, _) = rest.split_once('\'')?;
            Some((option.to_owned(), None))
        }
        FindingKind::JailSkipped => {
            let filter = ["Unable to read the filter ", "Invalid filter definition "];
            let action = [
                "Unable to read action ",
                "Invalid action definition ",
                "Error in action definition ",
            ];
            let of_filter = first(&filter).map(|value| ("filter".to_owned(), Some(value)));
            of_filter.or_else(|| first(&action).map(|value| ("action".to_owned(), Some(value))))
        }
        _ => None,
    }
}

fn of_fault(blame: &mut Blame, fault: Fault) -> Diagnostic {
    let place = blame.place_of(&fault);
    let jail = fault.of_jail().map(str::to_owned);
    let mut diagnostic = bare(Kind::Refused, jail, fault.words);
    diagnostic.option = fault.option;
    diagnostic.value = fault.value;
    put(&mut diagnostic, place);
    diagnostic
}

/// Gives the diagnostic the line that the files blame.
fn put(diagnostic: &mut Diagnostic, place: Option<Place>) {
    if let Some(place) = place {
        diagnostic.file = Some(place.file);
        diagnostic.line = Some(place.line);
        diagnostic.source = Some(place.text);
    }
}

/// A line of a regular file, without the blanks around it.
fn line_of(file: &Path, line: u32) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(file, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut lines = BufReader::new(file.take(MOST_BYTES)).split(b'\n');
    let before = usize::try_from(line.checked_sub(1)?).ok()?;
    let bytes = lines.nth(before)?.ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}
