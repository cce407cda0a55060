//! Finding a value that fail2ban sent among the values that the files make.

use std::ops::Range;

use super::expand::Value;
use super::traced::{Origin, Traced};

/// Finds the bytes of a text that say something.
type Search = fn(&Traced, &str) -> Option<Range<usize>>;

/// The line of the first value that says `wanted`; else the line that names the first option.
///
/// fail2ban sends a list line by line, so that a line that is equal is found before a word, a word
/// before a part, and a part before a line that is merely alike.
pub(super) fn line_of(values: &[Value], wanted: Option<&str>) -> Option<Origin> {
    let wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
    let searches: [Search; 4] = [equal_line, equal_word, part, alike];
    let found = wanted.and_then(|wanted| {
        searches.iter().find_map(|search| {
            values.iter().find_map(|value| {
                let range = search(&value.text, wanted)?;
                value.text.maker(range)
            })
        })
    });
    found.or_else(|| values.first().map(|value| value.home))
}

fn equal_line(text: &Traced, wanted: &str) -> Option<Range<usize>> {
    text.lines()
        .find(|line| text.text().get(line.clone()).map(str::trim) == Some(wanted))
}

fn equal_word(text: &Traced, wanted: &str) -> Option<Range<usize>> {
    let whole = text.text();
    let bounds = |c: char| c.is_whitespace() || c == ',';
    whole
        .match_indices(wanted)
        .map(|(at, _)| at..at + wanted.len())
        .find(|range| {
            let before = whole.get(..range.start).unwrap_or_default();
            let after = whole.get(range.end..).unwrap_or_default();
            before.chars().next_back().is_none_or(bounds) && after.chars().next().is_none_or(bounds)
        })
}

fn part(text: &Traced, wanted: &str) -> Option<Range<usize>> {
    let at = text.text().find(wanted)?;
    Some(at..at + wanted.len())
}

/// The line that shares most with `wanted` at both ends, if that is most of it.
fn alike(text: &Traced, wanted: &str) -> Option<Range<usize>> {
    text.lines()
        .map(|line| {
            let other = text.text().get(line.clone()).unwrap_or_default().trim();
            (shared(other, wanted), line)
        })
        .max_by_key(|(shared, line)| (*shared, std::cmp::Reverse(line.start)))
        .filter(|(shared, _)| shared * 2 > wanted.len())
        .map(|(_, line)| line)
}

/// The bytes that two texts share at their beginnings and their ends.
fn shared(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[head..], &b[head..]);
    let pairs = a.iter().rev().zip(b.iter().rev());
    head + pairs.take_while(|(a, b)| a == b).count()
}
