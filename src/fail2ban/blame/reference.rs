//! How a jail names its filter and its actions: `name[option=value, other="value"]`.
//!
//! As helpers.py `extractOptions` and `splitWithOptions` take it apart, but that a mistake ends the
//! reading instead of the jail.

use std::borrow::Cow;
use std::ops::Range;

use super::traced::{Origin, Traced};

/// A filter or an action as a jail names it.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) name: Traced,
    pub(super) arguments: Vec<(String, Traced)>,
}

impl Reference {
    /// Takes one reference apart.
    pub(super) fn parse(text: &Traced) -> Self {
        let whole = text.text();
        let open = whole.find('[').unwrap_or(whole.len());
        let mut arguments = Vec::new();
        let mut at = open + 1;
        while let Some((name, value, next)) = argument(whole, at) {
            let value = text.trimmed(value);
            arguments.retain(|(known, _)| *known != name);
            arguments.push((name, value));
            at = next;
        }
        Self {
            name: text.slice(0..open),
            arguments,
        }
    }

    /// Takes a list of references apart, which blanks and line ends separate.
    pub(super) fn list(text: &Traced) -> Vec<Self> {
        let whole = text.text();
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(start) = whole
            .get(at..)
            .and_then(|rest| rest.find(|c: char| !c.is_whitespace()))
        {
            let start = at + start;
            at = end_of_reference(whole, start);
            found.push(Self::parse(&text.trimmed(start..at)));
        }
        found
    }

    pub(super) fn argument(&self, name: &str) -> Option<&Traced> {
        let found = self.arguments.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// The line that names it.
    pub(super) fn home(&self) -> Option<Origin> {
        self.name.maker(0..self.name.text().len())
    }

    /// An argument that fail2ban adds by itself; the name's line stands for it.
    pub(super) fn said(&self, name: &str, value: &str) -> Option<(String, Traced)> {
        Some((name.to_owned(), Traced::of(value, self.home()?)))
    }

    /// What the daemon calls it as an action of `jail` (client/actionreader.py `__init__`, and
    /// client/jailreader.py `getOptions` for one in Python).
    pub(super) fn action_name<'a>(&'a self, jail: &str) -> Cow<'a, str> {
        let file = self.name.text();
        if let Some(name) = self.argument("actname") {
            return name.text().into();
        }
        if let Some(stem) = file.strip_suffix(".py") {
            return stem.into();
        }
        match self.argument("name").map(Traced::text) {
            None => file.into(),
            Some(name) => match name.strip_prefix(jail) {
                Some(rest) => format!("{file}{rest}").into(),
                None => format!("{file}-{name}").into(),
            },
        }
    }
}

/// The name and the value of the argument at `at`, and where the next one may begin.
fn argument(text: &str, at: usize) -> Option<(String, Range<usize>, usize)> {
    let rest = text.get(at..)?;
    let name = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    let (name, value) = name.split_once('=')?;
    let fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        return None;
    }
    let start = text.len() - value.len();
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c));
    let (inside, end) = if let Some(quote) = quote {
        let length = value.get(1..)?.find(quote)?;
        (start + 1..start + 1 + length, start + length + 2)
    } else {
        let length = value.find([',', ']']).unwrap_or(value.len());
        (start..start + length, start + length)
    };
    Some((name.to_owned(), inside, after_argument(text, end)))
}

/// Past the comma, or the `][` between two groups; the end of the text if nothing may follow.
fn after_argument(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    if rest.starts_with(',') {
        return at + 1;
    }
    let group = rest.strip_prefix(']').map(str::trim_start);
    match group.and_then(|group| group.strip_prefix('[')) {
        Some(next) => text.len() - next.len(),
        None => text.len(),
    }
}

/// Where the reference that begins at `start` ends: behind its brackets, or at a blank.
fn end_of_reference(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let name = rest.find(|c: char| c == '[' || c.is_whitespace());
    let name = start + name.unwrap_or(rest.len());
    let behind = text.get(name..).unwrap_or_default().trim_start();
    let brackets = text.len() - behind.len();
    end_of_brackets(text, brackets).unwrap_or_else(|| {
        let plain = rest.find(char::is_whitespace);
        start + plain.unwrap_or(rest.len())
    })
}

/// Where the brackets that open at `open` close for good, quotes heeded.
fn end_of_brackets(text: &str, open: usize) -> Option<usize> {
    let inside = text.get(open..)?.strip_prefix('[')?;
    let mut quote = None;
    let mut last = '[';
    for (at, c) in inside.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if ['"', '\''].contains(&c) && last == '=' => quote = Some(c),
            None if c == ']' => {
                let next = inside.get(at + 1..).unwrap_or_default().trim_start();
                if !next.starts_with('[') {
                    return Some(open + at + 2);
                }
            }
            _ => {}
        }
        last = c;
    }
    None
}
