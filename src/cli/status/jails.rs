//! The jails, a row each; those that lack something come first, with why.

use std::time::Duration;

use super::facts::called;
use crate::cli::paint::{self, Line, Tone, piece};
use crate::status::{Condition, Jail, Status};

/// With more than so many jails, those that never lacked anything share a paragraph.
const ROWS: usize = 30;
/// The widest that the column of names gets.
const NAME: usize = 20;

/// The jails by what is to be known of them first.
pub(in crate::cli) fn ordered(status: &Status) -> Vec<&Jail> {
    let mut jails: Vec<_> = status.jails.iter().collect();
    jails.sort_by_key(|jail| rank(jail.condition));
    jails
}

fn rank(condition: Condition) -> u8 {
    match condition {
        Condition::Dead => 0,
        Condition::Lost => 1,
        Condition::Ailing => 2,
        Condition::RolledBack => 3,
        Condition::Waiting => 4,
        Condition::Unknown => 5,
        Condition::Held => 6,
        Condition::Protects => 7,
    }
}

fn words(condition: Condition) -> (Tone, &'static str) {
    match condition {
        Condition::Protects => (Tone::Good, "protects"),
        Condition::Unknown => (Tone::Warn, "not known"),
        Condition::Dead => (Tone::Bad, "dead"),
        Condition::Ailing => (Tone::Bad, "ailing"),
        Condition::Lost => (Tone::Bad, "lost"),
        Condition::Held => (Tone::Dim, "stopped by hand"),
        Condition::RolledBack => (Tone::Warn, "rolled back"),
        Condition::Waiting => (Tone::Warn, "waits on disk"),
    }
}

/// The table, without a row for each sound jail where there are too many.
pub(in crate::cli) fn table(status: &Status, width: usize) -> Vec<Line> {
    let jails = ordered(status);
    if jails.is_empty() {
        return Vec::new();
    }
    let is_folded = |jail: &Jail| {
        jails.len() > ROWS && jail.condition == Condition::Protects && jail.unprotected.month <= 0.0
    };
    let (folded, shown): (Vec<&Jail>, Vec<&Jail>) = jails.iter().partition(|jail| is_folded(jail));
    let mut lines = Vec::new();
    if !shown.is_empty() {
        lines.push(header(&shown));
        for jail in &shown {
            lines.extend(rows(jail, name_width(&shown), status, width));
        }
    }
    lines.extend(paragraph(&folded, width));
    lines
}

pub(in crate::cli) fn name_width(jails: &[&Jail]) -> usize {
    let widths = jails.iter().map(|jail| paint::width(&safe_name(jail)));
    widths.max().unwrap_or(0).clamp(4, NAME)
}

fn safe_name(jail: &Jail) -> String {
    crate::text::safe(&jail.name)
}

pub(in crate::cli) fn header(jails: &[&Jail]) -> Line {
    let names = paint::pad("JAIL", name_width(jails));
    let text = format!(
        "  {names}  {:<15}  {:>7}  {:<9}  UNPROTECTED 24H/30D",
        "STATE", "BANNED", "LAST READ"
    );
    vec![piece(Tone::Dim, text)]
}

/// A jail's row in columns; a name that is wider than its column has lines of its own.
pub(in crate::cli) fn row(
    jail: &Jail,
    status: &Status,
    name_width: usize,
    width: usize,
) -> Vec<Line> {
    let (tone, words) = words(jail.condition);
    let banned = jail
        .banned
        .map_or("-".to_owned(), |banned| banned.to_string());
    let read = jail
        .last_read
        .map_or("-".to_owned(), |read| ago(read.age(status.at)));
    let name = safe_name(jail);
    let is_long = paint::width(&name) > name_width;
    let mut lines = Vec::new();
    if is_long {
        for part in paint::wrap(&name, width.saturating_sub(2)) {
            lines.push(vec![piece(Tone::Strong, format!("  {part}"))]);
        }
    }
    let column = paint::pad(if is_long { "" } else { &name }, name_width);
    lines.push(vec![
        piece(Tone::Strong, format!("  {column}")),
        piece(tone, format!("  {words:<15}")),
        piece(
            Tone::Plain,
            format!("  {banned:>7}  {read:<9}  {}", unprotected(jail)),
        ),
    ]);
    lines
}

/// A span in its largest unit, such as `3h ago`.
fn ago(span: Duration) -> String {
    let span = paint::span(span);
    let largest = span.split(' ').next().unwrap_or_default();
    format!("{largest} ago")
}

fn unprotected(jail: &Jail) -> String {
    let spans = jail.unprotected;
    if spans.month <= 0.0 {
        return "-".to_owned();
    }
    let [day, month] = [spans.day, spans.month].map(paint::seconds);
    format!("{day} / {month}")
}

fn rows(jail: &Jail, name_width: usize, status: &Status, width: usize) -> Vec<Line> {
    let mut lines = row(jail, status, name_width, width);
    for text in reasons(jail, status) {
        for text in paint::wrap(&crate::text::safe(&text), width.saturating_sub(6)) {
            lines.push(vec![piece(Tone::Plain, format!("      {text}"))]);
        }
    }
    lines
}

/// What keeps the jail from protecting, and what comes next.
pub(in crate::cli) fn reasons(jail: &Jail, status: &Status) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(rollback) = &jail.rollback {
        said.push(format!("since {}: {}", rollback.when, rollback.reason));
        said.push(match rollback.next_try {
            Some(at) => {
                let left = at.time().duration_since(status.at.time());
                let left = paint::span(left.unwrap_or_default());
                format!("tried again in {left}, or at once when its config is mended")
            }
            None => format!(
                "waits for you: mend its config, or {} rollback undo {}",
                called(status),
                jail.name
            ),
        });
    } else if let Some(why) = &jail.why {
        said.push(why.clone());
    }
    said
}

fn paragraph(jails: &[&Jail], width: usize) -> Vec<Line> {
    if jails.is_empty() {
        return Vec::new();
    }
    let banned: u64 = jails.iter().filter_map(|jail| jail.banned).sum();
    let text = format!(
        "{} jails protect, and lacked nothing for 30 days; {banned} banned:",
        jails.len()
    );
    let mut lines = vec![vec![piece(Tone::Good, format!("  {text}"))]];
    let names: Vec<_> = jails.iter().map(|jail| safe_name(jail)).collect();
    for line in paint::wrap(&names.join(", "), width.saturating_sub(4)) {
        lines.push(vec![piece(Tone::Plain, format!("    {line}"))]);
    }
    lines
}
