//! Text that knows which line of which file each part of it came from.

use std::ops::Range;

use super::files::FileId;

/// A line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) file: FileId,
    /// From 1.
    pub(super) line: u32,
}

/// A value, whole or in the making.
#[derive(Debug, Clone, Default)]
pub(super) struct Traced {
    text: String,
    /// The origins of the text, without gaps.
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    /// The byte after its last.
    end: usize,
    origin: Origin,
    /// How many references were followed to it.
    depth: u32,
}

impl Traced {
    pub(super) fn of(text: &str, origin: Origin) -> Self {
        let mut traced = Self::default();
        traced.push(text, origin, 0);
        traced
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn push(&mut self, text: &str, origin: Origin, depth: u32) {
        self.text.push_str(text);
        let end = self.text.len();
        match self.spans.last_mut() {
            Some(last) if last.origin == origin && last.depth == depth => last.end = end,
            _ => self.spans.push(Span { end, origin, depth }),
        }
    }

    /// Adds a part of another text, found by following `deeper` references more than to it.
    pub(super) fn append(&mut self, from: &Self, range: Range<usize>, deeper: u32) {
        for (part, span) in from.parts(range) {
            let text = from.text.get(part).unwrap_or_default();
            self.push(text, span.origin, span.depth.saturating_add(deeper));
        }
    }

    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        let mut slice = Self::default();
        slice.append(self, range, 0);
        slice
    }

    /// The part without blanks around it.
    pub(super) fn trimmed(&self, range: Range<usize>) -> Self {
        let text = self.text.get(range.clone()).unwrap_or_default();
        let start = range.start + (text.len() - text.trim_start().len());
        self.slice(start..start + text.trim().len())
    }

    /// The byte ranges of its lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = Range<usize>> {
        let mut at = 0;
        self.text.split('\n').map(move |line| {
            let start = at;
            at += line.len() + 1;
            start..start + line.len()
        })
    }

    /// Where a byte came from, and how many references were followed to it.
    pub(super) fn origin_at(&self, at: usize) -> Option<(Origin, u32)> {
        let nth = self.spans.partition_point(|span| span.end <= at);
        let span = self.spans.get(nth)?;
        Some((span.origin, span.depth))
    }

    /// The line that says what stands in `range`: of the lines that add more than blanks, the one
    /// found by following the fewest references, since it is the one that uses the others.
    pub(super) fn maker(&self, range: Range<usize>) -> Option<Origin> {
        self.parts(range)
            .filter(|(part, _)| {
                let text = self.text.get(part.clone()).unwrap_or_default();
                !text.trim().is_empty()
            })
            .min_by_key(|(_, span)| span.depth)
            .map(|(_, span)| span.origin)
    }

    fn parts(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, Span)> {
        let first = self.spans.partition_point(|span| span.end <= range.start);
        let mut start = range.start;
        self.spans
            .iter()
            .skip(first)
            .take_while(move |span| {
                let begun = start < range.end;
                start = span.end;
                begun
            })
            .scan(range.start, move |from, span| {
                let part = *from..span.end.min(range.end);
                *from = span.end;
                Some((part, *span))
            })
    }
}
