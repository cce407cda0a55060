//! `jailwarden status`: whether the host is protected, at a glance.

mod command;
mod facts;
mod jails;
#[cfg(test)]
pub(super) mod tests;

pub(super) use self::command::{StatusArgs, WIDTH, run};
pub(super) use self::facts::facts;
use self::jails::table;
pub(super) use self::jails::{header, name_width, row};

use super::paint::{self, Line, Piece, Tone, piece};
use crate::status::Status;
pub(super) use crate::status::headline::left;
use crate::status::headline::{self, Headline};
pub(super) use crate::status::words::{end, ordered, reasons, said, when};

/// Whether the host is protected, and if not what is missing.
pub(super) fn headline(status: &Status) -> Vec<Piece> {
    let Headline { tone, word, rest } = headline::headline(status);
    vec![
        piece(tone.into(), format!("{word}:")),
        piece(Tone::Strong, format!(" {rest}")),
    ]
}

/// All that is known, for a terminal of that width.
pub(super) fn lines(status: &Status, width: usize) -> Vec<Line> {
    let mut lines = wrapped(&headline(status), width);
    for part in [
        table(status, width),
        facts(status, width),
        facts::last_incidents(status, width),
    ] {
        if !part.is_empty() {
            lines.push(Vec::new());
            lines.extend(part);
        }
    }
    lines
}

/// Two pieces, on as many lines as they need.
pub(super) fn wrapped(pieces: &[Piece], width: usize) -> Vec<Line> {
    let whole: String = pieces.iter().map(|it| it.text.as_str()).collect();
    let mut lines = Vec::new();
    for text in paint::wrap(&whole, width.saturating_sub(2)) {
        let mut line = Line::new();
        match pieces {
            [word, rest, ..] if lines.is_empty() => {
                let (head, tail) = match text.strip_prefix(word.text.as_str()) {
                    Some(tail) => (word.text.as_str(), tail),
                    None => (text.as_str(), ""),
                };
                line.push(piece(word.tone, head));
                line.push(piece(rest.tone, tail));
            }
            [.., rest] => line.push(piece(rest.tone, format!("  {text}"))),
            [] => {}
        }
        lines.push(line);
    }
    lines
}
