//! What the client says beside the commands: findings out of its messages.
//!
//! The messages are those of client/*.py of fail2ban 1.0.2, 1.1.0 and 1.1.1, and of Python's
//! configparser. Which of them make a start fail was measured with each version.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::super::finding::{Finding, FindingKind};
use super::super::literal;
use super::super::stream::Stream;

/// Messages that only repeat that there were others.
const ECHOES: [&str; 4] = [
    "Init of command line failed",
    "The configuration stream failed because of the invalid syntax.",
    "Read fail2ban configuration failed.",
    "Read jails configuration failed.",
];

/// Our words for a file that fail2ban names without a reason.
const UNREAD: &str = "this file could not be read";

/// Sections that are no jail.
const NO_JAILS: [&str; 5] = ["DEFAULT", "INCLUDES", "Definition", "Init", "Thread"];

/// Why fail2ban refused its config as a whole; at least one finding.
pub(super) fn refusal(status: ExitStatus, stdout: &str, stderr: &str) -> Vec<Finding> {
    // With nothing but faulty jails, the commands are printed and yet refused.
    let (commands, words): (Vec<_>, Vec<_>) = stdout.lines().partition(|l| l.starts_with("['"));
    let mut findings = Stream::parse(&commands.join("\n"))
        .unwrap_or_default()
        .findings;
    complete(&mut findings, stderr);
    for finding in &mut findings {
        if finding.kind == FindingKind::FileIgnored {
            finding.kind = FindingKind::Unreadable;
        }
    }
    let words = words.join("\n");
    if let Some(words) = words.trim().strip_prefix("ERROR: ")
        && !ECHOES.contains(&words)
    {
        add(&mut findings, placed(FindingKind::Unreadable, words));
    }
    // Python's MemoryError has no words.
    findings.retain(|finding| !finding.words.is_empty());
    if findings.is_empty() {
        findings.push(last_words(status, stderr));
    }
    findings
}

/// Adds to `findings` what the messages on stderr say, and to each the place that they name.
pub(super) fn complete(findings: &mut Vec<Finding>, stderr: &str) {
    let mut file = None;
    let mut log = None;
    for record in records(stderr) {
        let text = record.text.as_str();
        match record.level {
            "NOTICE" => log = missing_log(text).map(str::to_owned).or(log),
            "WARNING" => {
                if let Some(mut finding) = no_log_file(findings, text) {
                    if let Some(log) = log.take() {
                        finding.words = format!("{}: {log}", finding.words.trim_end_matches('.'));
                    }
                    findings.push(finding);
                }
            }
            "ERROR" | "CRITICAL" => error(findings, text, &mut file),
            _ => {}
        }
    }
    let skipping = |f: &Finding| f.kind == FindingKind::JailSkipped;
    let skipped: Vec<_> = findings.iter().filter(|f| skipping(f)).collect();
    let skipped: Vec<_> = skipped.iter().filter_map(|f| f.file.clone()).collect();
    // A jail that is skipped for its filter or action says more.
    findings.retain(|f| f.words != UNREAD || !f.file.iter().any(|file| skipped.contains(file)));
}

/// The `logpath` patterns without a file, as the client says them when it is told to (`-v`).
pub(super) fn missing_logs(stderr: &str) -> Vec<String> {
    let notices = records(stderr)
        .into_iter()
        .filter(|record| record.level == "NOTICE");
    let patterns = notices.filter_map(|record| missing_log(&record.text).map(str::to_owned));
    patterns.collect()
}

fn missing_log(notice: &str) -> Option<&str> {
    notice.strip_prefix("No file(s) found for glob ")
}

/// Takes one error message; `file` is the last file that could not be read.
fn error(findings: &mut Vec<Finding>, text: &str, file: &mut Option<PathBuf>) {
    if ECHOES.contains(&text) || text.starts_with("Errors in jail ") {
        return;
    }
    if let Some(why) = text.strip_prefix("Failed during configuration: ") {
        if !ECHOES.contains(&why) {
            add(findings, placed(FindingKind::Unreadable, why));
        }
    } else if text.starts_with("Error decoding config file ") {
        let finding = placed(FindingKind::FileIgnored, text);
        *file = finding.file.clone().or(file.take());
        add(findings, finding);
    } else if let Some(missed) = text.strip_prefix("Could not read config files: ") {
        for path in missed.split(", ") {
            *file = Some(path.into());
            if findings.iter().all(|known| known.file != *file) {
                let mut finding = placed(FindingKind::FileIgnored, UNREAD);
                finding.file.clone_from(file);
                findings.push(finding);
            }
        }
    } else if let Some(name) = text.strip_prefix("Found no accessible config files for ") {
        // For a file that was found, but could not be read, this comes on top (1.0.2, 1.1.0).
        *file = file.take().or_else(|| missing_file(name));
        if name.starts_with("'fail2ban'") || name.starts_with("'jail'") {
            let mut finding = placed(FindingKind::Other, text);
            finding.file = file.take();
            add(findings, finding);
        }
    } else if let Some(known) = findings.iter_mut().find(|known| known.words == text) {
        known.file = known.file.take().or(file.take());
    } else {
        add(findings, placed(FindingKind::Other, text));
    }
}

fn add(findings: &mut Vec<Finding>, finding: Finding) {
    let same = |known: &Finding| known.jail == finding.jail && known.words == finding.words;
    if !findings.iter().any(same) {
        findings.push(finding);
    }
}

/// `Have not found any log file for J jail`, quoted and with a full stop in 1.1.1, where more may
/// follow that makes it harmless: `Jail will monitor systemd journal.` A jail that 1.1.1 skips
/// because of this (`skip_if_nologs`) has its finding already.
fn no_log_file(findings: &[Finding], text: &str) -> Option<Finding> {
    let rest = text.strip_prefix("Have not found any log file for ")?;
    let jail = match rest.strip_suffix(" jail") {
        Some(jail) => jail,
        None => rest.strip_suffix("' jail.")?.strip_prefix('\'')?,
    };
    let skipped = |known: &Finding| known.jail.as_deref() == Some(jail);
    let is_skipped = findings
        .iter()
        .any(|f| f.kind == FindingKind::LogAwaited && skipped(f));
    (!is_skipped).then(|| Finding::new(FindingKind::NoLogFile, Some(jail), text))
}

/// The file in `'filter.d/nope' under /etc/fail2ban`.
fn missing_file(text: &str) -> Option<PathBuf> {
    let name = literal::leading_string(text).ok()?;
    let (_, folder) = text.rsplit_once(" under ")?;
    Some(Path::new(folder).join(format!("{name}.conf")))
}

/// A finding with the file, line and jail that `text` names.
fn placed(kind: FindingKind, text: &str) -> Finding {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut finding = Finding::new(kind, section(text).as_deref(), words);
    let markers = [
        "reading from ",
        "file: ",
        "parsing errors: ",
        "config file ",
    ];
    let place = markers.iter().find_map(|marker| {
        let (_, rest) = text.split_once(marker)?;
        Some((literal::leading_string(rest).ok()?, rest))
    });
    if let Some((file, rest)) = place {
        finding.file = Some(file.into());
        finding.line = line_number(rest);
    }
    finding
}

/// The number in `[line  8]` or `line: 1`.
fn line_number(text: &str) -> Option<u32> {
    let (_, rest) = text
        .split_once("[line")
        .or_else(|| text.split_once("line:"))?;
    let digits = rest
        .trim_start()
        .split(|c: char| !c.is_ascii_digit())
        .next()?;
    digits.parse().ok()
}

/// The jail in `… section 'web' …`, as configparser says it.
fn section(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("section '")?;
    let (name, _) = rest.split_once("' ")?;
    (!NO_JAILS.contains(&name)).then(|| name.to_owned())
}

fn last_words(status: ExitStatus, stderr: &str) -> Finding {
    let last = stderr.lines().rfind(|line| !line.trim().is_empty());
    let words = match last {
        Some(last) => format!("the client ended with {status}: {}", last.trim()),
        None => format!("the client ended with {status} and said nothing"),
    };
    Finding::new(FindingKind::Unreadable, None, words)
}

struct Record<'a> {
    level: &'a str,
    text: String,
}

/// Splits stderr into messages: `2026-01-02 03:04:05,678 fail2ban.reader [42]: ERROR   text`, and the
/// lines without such a head that follow, but for a traceback, which repeats the message. What
/// precedes the first head is not fail2ban's log.
fn records(stderr: &str) -> Vec<Record<'_>> {
    let mut records: Vec<Record<'_>> = Vec::new();
    let mut in_traceback = false;
    for line in stderr.lines() {
        in_traceback |= line.starts_with("Traceback (most recent call last):");
        if let Some((level, text)) = head(line) {
            in_traceback = false;
            let text = text.to_owned();
            records.push(Record { level, text });
        } else if let Some(last) = records.last_mut().filter(|_| !in_traceback) {
            last.text.push('\n');
            last.text.push_str(line);
        }
    }
    records
}

fn head(line: &str) -> Option<(&str, &str)> {
    let (stamp, rest) = line.split_once(" fail2ban")?;
    let stamp_fits = stamp.len() == 23 && stamp.bytes().all(|c| b"0123456789-:, ".contains(&c));
    let (_, rest) = rest.split_once("]: ")?;
    let (level, text) = rest.split_once(' ')?;
    stamp_fits.then_some((level, text.trim_start()))
}
