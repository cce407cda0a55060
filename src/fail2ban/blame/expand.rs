//! Python's `%(name)s`, with fail2ban's `%(section/name)s` and `%(known/name)s`, followed to the
//! lines that say it.
//!
//! As in Python 3.11 configparser.py `BasicInterpolation` and client/configparserinc.py
//! `_map_section_options`; what cannot be followed stays as it is, and is noted.

use std::collections::{BTreeMap, HashMap};

use super::files::{Def, Merged};
use super::ini::DEFAULT;
use super::traced::{Origin, Traced};

/// How many references deep configparser goes.
const DEEPEST: u32 = 10;
/// How many references one reading follows: each may hold several others.
const MOST_REFERENCES: u32 = 2_000;
/// How many bytes a value may grow to.
pub(super) const LONGEST: usize = 256 << 10;

/// Values that come from elsewhere than the files being read, by name in lower case.
pub(super) type Vars = BTreeMap<String, Traced>;

/// A reading of one section.
pub(super) struct Expansion<'a> {
    cfg: &'a Merged,
    section: &'a str,
    /// These go before the section's own options.
    vars: &'a Vars,
    /// What `%(known/name)s` is before any other meaning.
    known: &'a dyn Fn(&str) -> Option<Traced>,
    references_left: u32,
    /// Each option that was read, also those that say nothing of their own.
    pub(super) visited: Vec<Def>,
    /// The references that could not be followed.
    pub(super) broken: Vec<Broken>,
}

/// A reference that could not be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) why: Why,
    /// Where it stands.
    pub(super) origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing bears this name.
    Missing(String),
    /// It is none; the text from its `%` on.
    Syntax(String),
    /// It leads to itself, or too far.
    TooDeep,
}

/// A value and the line that names its option.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) home: Origin,
    pub(super) text: Traced,
}

/// For a reading without `known/` values from elsewhere.
pub(super) fn nothing_known(_: &str) -> Option<Traced> {
    None
}

impl<'a> Expansion<'a> {
    pub(super) fn new(
        cfg: &'a Merged,
        section: &'a str,
        vars: &'a Vars,
        known: &'a dyn Fn(&str) -> Option<Traced>,
    ) -> Self {
        Self {
            cfg,
            section,
            vars,
            known,
            references_left: MOST_REFERENCES,
            visited: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// An option of the section or of `[DEFAULT]`.
    pub(super) fn value(&mut self, option: &str) -> Option<Value> {
        let def = self.find(self.section, option)?.clone();
        let home = def.home();
        let raw = def.raw();
        self.visited.push(def);
        let mut text = Traced::default();
        self.follow(&raw, 0, &mut text);
        Some(Value { home, text })
    }

    fn find(&self, section: &str, option: &str) -> Option<&'a Def> {
        own(self.cfg, section, option).or_else(|| self.cfg.defaults.get(option))
    }

    fn follow(&mut self, raw: &Traced, depth: u32, out: &mut Traced) {
        let text = raw.text();
        let mut at = 0;
        while let Some(percent) = text.get(at..).and_then(|rest| rest.find('%')) {
            let percent = at + percent;
            out.append(raw, at..percent, depth);
            let rest = text.get(percent..).unwrap_or_default();
            at = percent
                + if rest.starts_with("%%") {
                    out.append(raw, percent..percent + 1, depth);
                    2
                } else if let Some(name) = reference(rest) {
                    let whole = percent..percent + name.len() + 4;
                    if let Err(why) = self.replace(raw, percent, name, depth, out) {
                        self.note(raw, percent, why);
                        out.append(raw, whole, depth);
                    }
                    name.len() + 4
                } else {
                    self.note(raw, percent, Why::Syntax(rest.to_owned()));
                    out.append(raw, percent..percent + 1, depth);
                    1
                };
        }
        out.append(raw, at..text.len(), depth);
    }

    /// Adds what the reference at `percent` stands for.
    fn replace(
        &mut self,
        raw: &Traced,
        percent: usize,
        name: &str,
        depth: u32,
        out: &mut Traced,
    ) -> Result<(), Why> {
        self.references_left = self.references_left.saturating_sub(1);
        let too_long = out.text().len() > LONGEST;
        if depth + 1 >= DEEPEST || self.references_left == 0 || too_long {
            return Err(Why::TooDeep);
        }
        let user = raw.origin_at(percent).map(|(origin, _)| origin);
        let lower = name.to_lowercase();
        let found = self.look_up(name, &lower, user);
        let found = found.ok_or(Why::Missing(lower))?;
        self.follow(&found, depth + 1, out);
        Ok(())
    }

    fn look_up(&mut self, name: &str, lower: &str, user: Option<Origin>) -> Option<Traced> {
        if let Some(var) = self.vars.get(lower) {
            return Some(var.clone());
        }
        if let Some(known) = lower.strip_prefix("known/").and_then(self.known) {
            return Some(known);
        }
        let plain = self.find(self.section, lower).cloned();
        if let Some(def) = plain.or_else(|| self.of_section(name)) {
            let raw = def.raw();
            self.visited.push(def);
            return Some(raw);
        }
        match lower {
            "__name__" => {
                let header = self.cfg.sections.get(self.section)?.header;
                Some(Traced::of(self.section, header))
            }
            // Only fail2ban knows these; they have no line.
            "fail2ban_confpath" | "fail2ban_version" => {
                Some(Traced::of(&format!("%%({lower})s"), user?))
            }
            _ => None,
        }
    }

    /// The option that `section/option` names.
    fn of_section(&self, name: &str) -> Option<Def> {
        let (section, option) = name.split_once('/')?;
        let default = self.cfg.defaults.get(option);
        let def = match section.to_lowercase().as_str() {
            "default" => default,
            "known" => known(self.cfg, self.section, option).or(default),
            _ => {
                let part = self.cfg.sections.get(section)?;
                part.options.get(option).or(default)
            }
        };
        def.cloned()
    }

    fn note(&mut self, raw: &Traced, at: usize, why: Why) {
        if let Some((origin, _)) = raw.origin_at(at) {
            self.broken.push(Broken { why, origin });
        }
    }
}

/// An option that a section itself sets.
pub(super) fn own<'a>(cfg: &'a Merged, section: &str, option: &str) -> Option<&'a Def> {
    if section == DEFAULT {
        return cfg.defaults.get(option);
    }
    cfg.sections.get(section)?.options.get(option)
}

/// What an option of a section was before the last file that set it.
pub(super) fn known<'a>(cfg: &'a Merged, section: &str, option: &str) -> Option<&'a Def> {
    let known: &HashMap<_, _> = &cfg.sections.get(section)?.known;
    known.get(option)
}

/// The name in a leading `%(name)s`.
fn reference(rest: &str) -> Option<&str> {
    let inside = rest.strip_prefix("%(")?;
    let name = &inside[..inside.find(')')?];
    let ends = inside[name.len()..].starts_with(")s");
    (ends && !name.is_empty()).then_some(name)
}
