//! The jails, a row each; those that lack something come first, with why.

use std::time::Duration;

use crate::cli::paint::{self, Line, Tone, piece};
use crate::status::words::{condition, folded, of_folded, reasons};
use crate::status::{Jail, Status};

/// The widest that the column of names gets.
const NAME: usize = 20;

/// The table, without a row for each sound jail where there are too many.
pub(in crate::cli) fn table(status: &Status, width: usize) -> Vec<Line> {
    let (folded, shown) = folded(status);
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
    let (tone, words) = condition(jail.condition);
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
        piece(Tone::from(tone), format!("  {words:<15}")),
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

fn paragraph(jails: &[&Jail], width: usize) -> Vec<Line> {
    if jails.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![vec![piece(Tone::Good, format!("  {}", of_folded(jails)))]];
    let names: Vec<_> = jails.iter().map(|jail| safe_name(jail)).collect();
    for line in paint::wrap(&names.join(", "), width.saturating_sub(4)) {
        lines.push(vec![piece(Tone::Plain, format!("    {line}"))]);
    }
    lines
}
