//! What a filter or an action says to one jail: its files, and what the jail gives to it.
//!
//! As client/configreader.py `DefinitionInitConfigReader` puts it together: arguments of the jail
//! before `[Init]` before `[Definition]` before `[DEFAULT]`, and then each `<tag>` replaced by the
//! option of that name (helpers.py `substituteRecursiveTags`).

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::expand::{Broken, Expansion, LONGEST, Value, Vars, known, nothing_known, own};
use super::files::{Files, Merged};
use super::reference::Reference;
use super::traced::Traced;

/// How often fail2ban puts the same option into one value before it calls that a loop.
const MOST_REPEATS: u32 = 25;
/// How often one value is searched for tags that others left.
const MOST_PASSES: u32 = 25;

/// The options of an action whose tags fail2ban's client replaces; those in the others are left to
/// the daemon (client/actionreader.py `_configOpts` and `convert`).
const OF_ACTIONS: [&str; 13] = [
    "actionstart",
    "actionstart_on_demand",
    "actionstop",
    "actionflush",
    "actionreload",
    "actioncheck",
    "actionrepair",
    "actionrepair_on_unban",
    "actionban",
    "actionprolong",
    "actionreban",
    "actionunban",
    "norestored",
];

/// A filter or an action of a jail.
#[derive(Debug)]
pub(super) struct Definition {
    /// How the jail names it, and what it gives to it.
    pub(super) reference: Reference,
    pub(super) cfg: Rc<Merged>,
    is_action: bool,
    /// Options that are left to the daemon, as tags and as such.
    later: BTreeSet<String>,
    /// What fail2ban itself gives to it.
    extra: Vec<(String, Traced)>,
}

impl Definition {
    pub(super) fn filter(files: &mut Files, reference: Reference, backend: &str) -> Self {
        let cfg = files.merged(&format!("filter.d/{}", reference.name.text()));
        let mut extra = Vec::new();
        let unset = reference.argument("logtype").is_none();
        if unset && own(&cfg, "Definition", "logtype").is_none() {
            let journal = backend.starts_with("systemd");
            let logtype = if journal { "journal" } else { "file" };
            extra.extend(reference.said("logtype", logtype));
        }
        Self {
            is_action: false,
            later: conditional(&cfg).collect(),
            reference,
            cfg,
            extra,
        }
    }

    pub(super) fn action(files: &mut Files, reference: Reference, jail: &str) -> Self {
        let cfg = files.merged(&format!("action.d/{}", reference.name.text()));
        let mut extra = Vec::new();
        if reference.argument("name").is_none() {
            extra.extend(reference.said("name", jail));
        }
        let name = reference.action_name(jail);
        extra.extend(reference.said("actname", &name));
        let at_ban = ["bantime", "timeout"].map(str::to_owned);
        Self {
            is_action: true,
            later: conditional(&cfg).chain(at_ban).collect(),
            reference,
            cfg,
            extra,
        }
    }

    /// An option whole, as the daemon is told it, with the jail's own values at hand; and whether it
    /// leads back to itself.
    pub(super) fn combined(&self, option: &str, vars: &Vars) -> Option<(Value, bool)> {
        let vars = self.with_arguments(vars);
        let mut value = self.option(option, &vars)?;
        let is_raw = self.is_action && !OF_ACTIONS.contains(&option);
        let is_whole = is_raw || self.later.contains(option);
        let looped = !is_whole && self.replace_tags(option, &mut value.text, &vars);
        Some((value, looped))
    }

    /// The options of `name`, among them those for one address family: `actionban?family=inet6`.
    pub(super) fn variants(&self, name: &str) -> Vec<String> {
        let mut variants = BTreeSet::from([name.to_owned()]);
        for section in ["Init", "Definition"] {
            let part = self.cfg.sections.get(section);
            let names = part.into_iter().flat_map(|part| part.options.keys());
            let of_name = |other: &&String| {
                let condition = other.strip_prefix(name);
                condition.is_some_and(|condition| condition.starts_with('?'))
            };
            variants.extend(names.filter(of_name).cloned());
        }
        variants.into_iter().collect()
    }

    /// The references in each option that fail2ban cannot follow, by section and option.
    pub(super) fn broken(&self, vars: &Vars) -> Vec<(&'static str, String, Broken)> {
        let vars = self.with_arguments(vars);
        let mut broken = Vec::new();
        for (section, vars) in [("Definition", &vars), ("Init", &Vars::new())] {
            let Some(part) = self.cfg.sections.get(section) else {
                continue;
            };
            let defaults = self.cfg.defaults.keys();
            let defaults = defaults.filter(|_| section == "Definition");
            let options: BTreeSet<&String> = part.options.keys().chain(defaults).collect();
            for option in options {
                let mut reading = Expansion::new(&self.cfg, section, vars, &nothing_known);
                reading.value(option);
                let found = reading.broken.into_iter();
                broken.extend(found.map(|broken| (section, option.clone(), broken)));
            }
        }
        broken
    }

    fn with_arguments(&self, vars: &Vars) -> Vars {
        let mut vars = vars.clone();
        let given = self.reference.arguments.iter().chain(&self.extra);
        vars.extend(given.map(|(name, value)| (name.to_lowercase(), value.clone())));
        vars
    }

    /// An option before its tags are replaced.
    fn option(&self, name: &str, vars: &Vars) -> Option<Value> {
        if let Some(text) = self.given(name) {
            let home = text.maker(0..text.text().len());
            let home = home.or_else(|| self.reference.home())?;
            let text = text.clone();
            return Some(Value { home, text });
        }
        if own(&self.cfg, "Init", name).is_some() {
            return Expansion::new(&self.cfg, "Init", &Vars::new(), &nothing_known).value(name);
        }
        if vars.contains_key(name) {
            return None; // The jail's own word counts.
        }
        Expansion::new(&self.cfg, "Definition", vars, &nothing_known).value(name)
    }

    /// What the jail or fail2ban itself gives.
    fn given(&self, name: &str) -> Option<&Traced> {
        self.reference.argument(name).or_else(|| {
            let (_, value) = self.extra.iter().find(|(known, _)| known == name)?;
            Some(value)
        })
    }

    /// What a tag stands for.
    fn tag(&self, name: &str, vars: &Vars) -> Option<Traced> {
        if let Some(given) = self.given(name) {
            return Some(given.clone());
        }
        let lower = name.to_lowercase();
        let none = Vars::new();
        let in_section = |section: &str, option: &str, vars: &Vars| {
            let mut reading = Expansion::new(&self.cfg, section, vars, &nothing_known);
            reading.value(option).map(|value| value.text)
        };
        if own(&self.cfg, "Init", name).is_some() {
            return in_section("Init", name, &none);
        }
        if let Some((section, option)) = name.split_once('/') {
            return match section.to_lowercase().as_str() {
                "known" if own(&self.cfg, "Init", option).is_some() => {
                    in_section("Init", option, &none)
                }
                "known" => match known(&self.cfg, "Definition", option) {
                    Some(def) => Some(def.raw()),
                    None => in_section("Definition", option, &none),
                },
                "default" => in_section("DEFAULT", option, &none),
                _ => {
                    self.cfg.sections.get(section)?;
                    in_section(section, option, &none)
                }
            };
        }
        if let Some(var) = vars.get(&lower) {
            return Some(var.clone());
        }
        self.cfg.sections.get("Definition")?;
        in_section("Definition", &lower, vars)
    }

    /// Replaces the tags in an option's text; true if that has no end.
    fn replace_tags(&self, option: &str, text: &mut Traced, vars: &Vars) -> bool {
        let mut repeats: HashMap<String, u32> = HashMap::new();
        for _ in 0..MOST_PASSES {
            let mut changed = false;
            let mut from = 0;
            while let Some((start, end)) = next_tag(text.text(), from) {
                let name = text.text().get(start + 1..end - 1).unwrap_or_default();
                let name = name.to_owned();
                let later = self.later.contains(&name);
                let found = (!later).then(|| self.tag(&name, vars)).flatten();
                let Some(found) = found else {
                    from = end;
                    continue;
                };
                let count = repeats.entry(name.clone()).or_default();
                *count += 1;
                if name == option || *count > MOST_REPEATS || text.text().len() > LONGEST {
                    return true;
                }
                *text = with_all_replaced(text, &text.text()[start..end], &found);
                changed = true;
                from = start;
            }
            if !changed {
                break;
            }
        }
        false
    }
}

/// The options that differ by a condition such as the address family; `getCombined` leaves them.
fn conditional(cfg: &Merged) -> impl Iterator<Item = String> {
    let part = cfg.sections.get("Init");
    let names = part.into_iter().flat_map(|part| part.options.keys());
    names.filter_map(|name| Some(name.split_once('?')?.0.to_owned()))
}

/// The next `<tag>`, without blanks in it, from a byte on.
fn next_tag(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut open = None;
    for (at, c) in text.get(from..)?.char_indices() {
        match c {
            '<' => open = Some(from + at),
            ' ' => open = None,
            '>' => {
                if let Some(start) = open.take()
                    && start + 1 < from + at
                {
                    return Some((start, from + at + 1));
                }
            }
            _ => {}
        }
    }
    None
}

fn with_all_replaced(text: &Traced, tag: &str, by: &Traced) -> Traced {
    let mut out = Traced::default();
    let mut from = 0;
    for (at, _) in text.text().match_indices(tag) {
        let depth = text.origin_at(at).map_or(0, |(_, depth)| depth);
        out.append(text, from..at, 0);
        out.append(by, 0..by.text().len(), depth.saturating_add(1));
        from = at + tag.len();
    }
    out.append(text, from..text.text().len(), 0);
    out
}
