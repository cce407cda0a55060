//! What the config says to one jail.

use std::rc::Rc;

use super::boolean;
use super::definition::Definition;
use super::expand::{Broken, Expansion, Value, Vars, nothing_known, own};
use super::files::{Def, Files, Merged};
use super::reference::Reference;
use super::traced::{Origin, Traced};

/// What fail2ban reads of a jail before it asks whether the jail is enabled (client/jailreader.py
/// `_configOpts1st`).
const FIRST: [&str; 3] = ["enabled", "backend", "filter"];

/// What fail2ban reads of an enabled jail (client/jailreader.py `_configOpts`; the last two since
/// 1.1.1), without [`FIRST`] and [`OF_FILTERS`].
const OWN: [&str; 21] = [
    "maxretry",
    "maxmatches",
    "findtime",
    "bantime",
    "bantime.increment",
    "bantime.factor",
    "bantime.formula",
    "bantime.multipliers",
    "bantime.maxtime",
    "bantime.rndtime",
    "bantime.overalljails",
    "ignorecommand",
    "ignoreself",
    "ignoreip",
    "ignorecache",
    "logtimezone",
    "logencoding",
    "logpath",
    "action",
    "skip_if_nologs",
    "systemd_if_nologs",
];

/// What a jail may say in its filter's stead (client/filterreader.py `_configOpts`).
pub(super) const OF_FILTERS: [&str; 7] = [
    "usedns",
    "prefregex",
    "ignoreregex",
    "failregex",
    "maxlines",
    "datepattern",
    "journalmatch",
];

#[derive(Debug)]
pub(super) struct Jail {
    pub(super) name: String,
    cfg: Rc<Merged>,
    /// The values of [`FIRST`], which is all that the filter sees at first.
    first: Vars,
    /// The values of all options that are set.
    vars: Vars,
    pub(super) filter: Option<Definition>,
    /// Every option of the jail's files that had a part in the values.
    pub(super) visited: Vec<Def>,
    /// References that cannot be followed, and the option that fail2ban reads when it meets them.
    pub(super) broken: Vec<(&'static str, Broken)>,
}

impl Jail {
    /// The jail as far as fail2ban reads it whether enabled or not; `None` if no file has a section
    /// for it.
    pub(super) fn open(files: &mut Files, name: &str) -> Option<Self> {
        let cfg = files.merged("jail");
        cfg.sections.get(name)?;
        let mut jail = Self {
            name: name.to_owned(),
            cfg,
            first: Vars::new(),
            vars: Vars::new(),
            filter: None,
            visited: Vec::new(),
            broken: Vec::new(),
        };
        jail.read(&FIRST);
        jail.first = jail.vars.clone();
        Some(jail)
    }

    /// The jail as fail2ban reads it if it is enabled.
    pub(super) fn whole(files: &mut Files, name: &str) -> Option<Self> {
        let mut jail = Self::open(files, name)?;
        jail.complete(files);
        Some(jail)
    }

    pub(super) fn complete(&mut self, files: &mut Files) {
        let filter = self.first.get("filter");
        let filter = filter.filter(|text| !text.text().is_empty());
        self.filter = filter.map(|text| {
            let backend = self.first.get("backend").map_or("", Traced::text);
            Definition::filter(files, Reference::parse(text), backend)
        });
        self.read(&OWN);
        self.read(&OF_FILTERS);
    }

    pub(super) fn is_enabled(&self) -> bool {
        let enabled = self.first.get("enabled").map(Traced::text);
        enabled.is_some_and(boolean::is_true)
    }

    pub(super) fn header(&self) -> Option<Origin> {
        self.cfg.sections.get(&self.name).map(|part| part.header)
    }

    /// Whether the jail's own files and their includes hold `file`.
    pub(super) fn is_of(&self, at: Origin) -> bool {
        self.cfg.files.contains(&at.file)
    }

    /// An option of the jail, be it its own or `[DEFAULT]`'s.
    pub(super) fn option(&self, name: &str) -> Option<Value> {
        self.expand(name, |reading| reading.value(name))
    }

    /// Its actions in order.
    pub(super) fn actions(&self, files: &mut Files) -> Vec<Definition> {
        let Some(text) = self.vars.get("action") else {
            return Vec::new();
        };
        Reference::list(text)
            .into_iter()
            .map(|reference| Definition::action(files, reference, &self.name))
            .collect()
    }

    /// An option as the filter gives it to this jail; `None` too if the jail overrides it.
    pub(super) fn of_filter(&self, name: &str) -> Option<(Value, bool)> {
        self.filter.as_ref()?.combined(name, &self.vars)
    }

    /// The values that a filter sees at first, when all of it is read.
    pub(super) fn first(&self) -> &Vars {
        &self.first
    }

    /// The values that filters and actions see at last.
    pub(super) fn vars(&self) -> &Vars {
        &self.vars
    }

    fn read(&mut self, options: &[&'static str]) {
        for option in options {
            let set = own(&self.cfg, &self.name, option).is_some();
            if !set && !self.cfg.defaults.contains_key(*option) {
                continue;
            }
            let (value, visited, broken) = self.expand(option, |reading| {
                let value = reading.value(option);
                let visited = std::mem::take(&mut reading.visited);
                (value, visited, std::mem::take(&mut reading.broken))
            });
            self.vars
                .extend(value.map(|value| ((*option).to_owned(), value.text)));
            self.visited.extend(visited);
            self.broken
                .extend(broken.into_iter().map(|broken| (*option, broken)));
        }
    }

    fn expand<T>(&self, option: &str, read: impl FnOnce(&mut Expansion<'_>) -> T) -> T {
        // The filter's values are there for all but the first options (client/jailreader.py).
        let filter = self.filter.as_ref().filter(|_| !FIRST.contains(&option));
        let of_filter = |name: &str| Some(filter?.combined(name, &self.first)?.0.text);
        let of_filter: &dyn Fn(&str) -> Option<Traced> = match filter {
            Some(_) => &of_filter,
            None => &nothing_known,
        };
        read(&mut Expansion::new(
            &self.cfg,
            &self.name,
            &Vars::new(),
            of_filter,
        ))
    }
}
