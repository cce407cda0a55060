//! Text in tones, for a terminal of some width: made once, and shown as lines or drawn on a screen.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::status::words;
pub(super) use crate::status::words::{seconds, span};
use crate::text::safe;

/// What a piece of text is to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Good,
    Warn,
    Bad,
    Dim,
}

impl From<words::Tone> for Tone {
    fn from(tone: words::Tone) -> Self {
        match tone {
            words::Tone::Good => Self::Good,
            words::Tone::Warn => Self::Warn,
            words::Tone::Bad => Self::Bad,
            words::Tone::Quiet => Self::Dim,
        }
    }
}

impl Tone {
    pub(super) fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into())).bold();
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Good => colour(AnsiColor::Green),
            Self::Warn => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red),
            Self::Dim => Style::new().dimmed(),
        }
    }
}

/// A piece of a line. Its text is safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) tone: Tone,
    pub(super) text: String,
}

pub(super) type Line = Vec<Piece>;

pub(super) fn piece(tone: Tone, text: impl AsRef<str>) -> Piece {
    Piece {
        tone,
        text: safe(text.as_ref()),
    }
}

/// The lines as text, with colour or without.
pub(super) fn text(lines: &[Line], colour: bool) -> String {
    let mut out = String::new();
    for line in lines {
        let last = line.len().saturating_sub(1);
        for (at, Piece { tone, text }) in line.iter().enumerate() {
            let text = if at == last { text.trim_end() } else { text };
            let style = tone.style();
            let _ = if colour && *tone != Tone::Plain {
                write!(out, "{style}{text}{style:#}")
            } else {
                write!(out, "{text}")
            };
        }
        out.push('\n');
    }
    out
}

/// How many columns it takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// As much as fits into `width` columns, with an ellipsis where something is missing.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (head, _) = split(text, width.saturating_sub(1));
    format!("{}…", head.trim_end())
}

/// Text on lines of `width` columns, broken at blanks where there are any.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = vec![String::new()];
    for mut word in text.split(' ').filter(|word| !word.is_empty()) {
        loop {
            let line = lines.len() - 1;
            let line = &mut lines[line];
            let gap = usize::from(!line.is_empty());
            if line.width() + gap + word.width() <= width {
                line.push_str(&" "[..gap]);
                line.push_str(word);
                break;
            }
            if line.is_empty() {
                let (head, rest) = split(word, width);
                line.push_str(head);
                word = rest;
            }
            lines.push(String::new());
        }
    }
    lines
}

/// The first `width` columns, and the rest; at least one character in the first.
fn split(text: &str, width: usize) -> (&str, &str) {
    let mut taken = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        taken += c.width().unwrap_or(0);
        (taken > width && at > 0).then_some(at)
    });
    text.split_at(end.unwrap_or(text.len()))
}

/// Filled up with blanks to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    let blanks = width.saturating_sub(text.width());
    format!("{text}{:blanks$}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_blanks_and_never_wider_than_asked_for() {
        assert_eq!(wrap("a bb  ccc dddd", 8), ["a bb ccc", "dddd"]);
        assert_eq!(wrap("0123456789abcdef", 8), ["01234567", "89abcdef"]);
        assert_eq!(wrap("ab 0123456789", 8), ["ab", "01234567", "89"]);
        assert_eq!(wrap("", 8), [""]);
        for line in wrap("日本語のとても長い名前 and more", 9) {
            assert!(width(&line) <= 9, "{line}");
        }
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(pad("日本", 6), "日本  ");
    }

    #[test]
    fn only_what_is_asked_for_has_colour() {
        let lines = [vec![
            piece(Tone::Bad, "a\u{1b}[2J"),
            piece(Tone::Plain, "b  "),
        ]];
        assert_eq!(text(&lines, false), "a\\u{1b}[2Jb\n");
        assert!(text(&lines, true).starts_with("\u{1b}["));
    }
}
