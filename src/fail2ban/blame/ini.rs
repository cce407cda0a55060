//! One file in fail2ban's INI dialect, with the line of everything in it.
//!
//! As Python's configparser reads it with fail2ban's settings (client/configparserinc.py `__init__`
//! of 1.0.2 to 1.1.1; Python 3.11 configparser.py `_read`), but for mistakes: what is doubled or
//! makes no sense is taken as well as can be, since a file at fault is read here, too.

use std::collections::HashMap;
use std::rc::Rc;

/// The section whose options stand in for those that a section lacks.
pub(super) const DEFAULT: &str = "DEFAULT";

/// So many sections of a file are read: as many as jails that a daemon may list.
const MOST_SECTIONS: usize = 10_000;

/// What a file says, section by section in the order of their first headers.
#[derive(Debug, Default)]
pub(super) struct Ini {
    pub(super) sections: Vec<Section>,
    /// Where each is.
    places: HashMap<String, usize>,
}

#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    /// The line of its last header, from 1.
    pub(super) line: u32,
    pub(super) options: Vec<Rc<Setting>>,
}

/// One option of a section.
#[derive(Debug)]
pub(super) struct Setting {
    /// In lower case, as configparser keeps it.
    pub(super) name: String,
    /// The line that names it, from 1.
    pub(super) line: u32,
    /// The value line by line, each with its number; without comments, blanks around each line, and
    /// empty lines at the end.
    pub(super) value: Vec<(u32, String)>,
}

impl Setting {
    /// Whether `line` is one of the option's.
    pub(super) fn holds(&self, line: u32) -> bool {
        let last = self.value.last().map_or(self.line, |(last, _)| *last);
        (self.line..=last).contains(&line)
    }
}

impl Ini {
    pub(super) fn parse(text: &str) -> Self {
        let mut building = Building::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(lines(text)) {
            building.line(number, line);
        }
        building.close_option();
        building.ini
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(*self.places.get(name)?)
    }
}

impl Section {
    pub(super) fn option(&self, name: &str) -> Option<&Rc<Setting>> {
        self.options.iter().find(|option| option.name == name)
    }
}

/// The lines of a text, ended as Python's universal newlines are: `\n`, `\r\n` or `\r`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// What Python's `str.isspace` takes for a blank.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

#[derive(Default)]
struct Building {
    ini: Ini,
    /// The section being read.
    section: Option<usize>,
    option: Option<Setting>,
    /// The depth of the last line that was no continuation, in characters.
    indent: usize,
}

impl Building {
    fn line(&mut self, number: u32, line: &str) {
        let (code, has_comment) = without_comment(line);
        let value = code.trim_matches(is_blank);
        if value.is_empty() {
            // A comment adds nothing to a value, an empty line does.
            if let Some(option) = self.option.as_mut().filter(|_| !has_comment) {
                option.value.push((number, String::new()));
            }
            return;
        }
        let indent = line.chars().take_while(|c| is_blank(*c)).count();
        match &mut self.option {
            Some(option) if indent > self.indent => option.value.push((number, value.to_owned())),
            _ => {
                self.indent = indent;
                self.header_or_option(number, value);
            }
        }
    }

    fn header_or_option(&mut self, number: u32, value: &str) {
        if let Some(name) = header(value) {
            self.close_option();
            self.open_section(number, name);
        } else if self.section.is_some()
            && let Some((name, value)) = value.split_once(['=', ':'])
            && !name.trim_matches(is_blank).is_empty()
        {
            self.close_option();
            self.option = Some(Setting {
                name: name.trim_matches(is_blank).to_lowercase(),
                line: number,
                value: vec![(number, value.trim_matches(is_blank).to_owned())],
            });
        }
    }

    fn open_section(&mut self, line: u32, name: &str) {
        let Ini { sections, places } = &mut self.ini;
        if sections.len() >= MOST_SECTIONS && !places.contains_key(name) {
            self.section = None;
            return;
        }
        let at = *places.entry(name.to_owned()).or_insert(sections.len());
        match sections.get_mut(at) {
            Some(section) => section.line = line,
            None => sections.push(Section {
                name: name.to_owned(),
                line,
                options: Vec::new(),
            }),
        }
        self.section = Some(at);
    }

    fn close_option(&mut self) {
        let Some(mut option) = self.option.take() else {
            return;
        };
        while option.value.len() > 1 && option.value.last().is_some_and(|(_, v)| v.is_empty()) {
            option.value.pop();
        }
        let section = self.section.and_then(|at| self.ini.sections.get_mut(at));
        if let Some(section) = section {
            section.options.retain(|known| known.name != option.name);
            section.options.push(Rc::new(option));
        }
    }
}

/// What is left of a line without its comment, and whether it had one: `#` and `;` comment out a
/// whole line, `;` also the rest of one if it begins the line or follows a blank.
fn without_comment(line: &str) -> (&str, bool) {
    if line.trim_start_matches(is_blank).starts_with(['#', ';']) {
        return ("", true);
    }
    let inline = line
        .match_indices(';')
        .find(|(at, _)| line[..*at].ends_with(is_blank));
    inline.map_or((line, false), |(at, _)| (&line[..at], true))
}

fn header(value: &str) -> Option<&str> {
    let inside = value.strip_prefix('[')?;
    let name = &inside[..inside.rfind(']')?];
    (!name.is_empty()).then_some(name)
}
