//! Which line of which file set what fail2ban refused.
//!
//! fail2ban names a jail and a setting at best, never the file that set it. So its files are read
//! here once more, in its own order and with its own rules (client/configreader.py,
//! configparserinc.py, jailreader.py, filterreader.py and actionreader.py of 1.0.2 to 1.1.1), but
//! with the line of each part of each value: `%(name)s`, `[DEFAULT]`, includes, a filter's arguments
//! and tags are followed to the line that says the words in question. This is only for places; what
//! the config *means* is for `fail2ban-client -d` to say.
//!
//! Where a value is made of several lines, the line that uses the others is named, not those that
//! it uses: a `failregex` rather than the prefix that it shares with its neighbours. Where a value is
//! not found, the line that names the option is; where the option is not set at all, the line that
//! names the filter or the action, or the jail's header.

use std::path::{Path, PathBuf};

use self::definition::Definition;
use self::expand::Value;
use self::files::Files;
use self::jail::Jail;
use self::traced::Origin;
use super::rehearsal::Fault;

mod boolean;
mod definition;
mod expand;
mod files;
mod find;
mod ini;
mod jail;
mod reference;
mod settle;
#[cfg(test)]
mod tests;
mod traced;

/// A config folder, of which each file is read at most once, and only when it is needed.
///
/// Opens no file but regular ones of at most 4 MiB; the rest is treated as missing. Blocking.
#[derive(Debug)]
pub struct Blame {
    files: Files,
}

/// A line of a config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, below the folder as it was given.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
    /// What stands there, without the blanks around it.
    pub text: String,
}

/// What of a jail is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The jail as such: its name.
    Jail,
    /// An option of the jail or of its filter.
    Option {
        /// Such as `maxretry` or `failregex`.
        name: String,
        /// The value that failed, as fail2ban sent it: for an option with several, the one of them.
        /// With it, the line that says it is found, whichever option holds it.
        value: Option<String>,
    },
    /// One of its actions.
    Action {
        /// The action's name in the daemon.
        action: String,
        /// Its option at fault, such as `actionban`; without one, the line that names the action.
        option: Option<String>,
        /// The value that failed, as fail2ban sent it.
        value: Option<String>,
    },
}

impl At {
    /// What a setting that the daemon refused stands for: `maxretry`, `addfailregex` or `failregex`,
    /// `action NAME` or `action NAME.OPTION`, with the value that it refused.
    #[must_use]
    pub fn from_option(option: &str, value: Option<&str>) -> Self {
        let value = value.map(str::to_owned);
        let Some(action) = option.strip_prefix("action ") else {
            let name = option.strip_prefix("add").unwrap_or(option).to_lowercase();
            return Self::Option { name, value };
        };
        let (action, option) = match action.rsplit_once('.') {
            Some((action, option)) if option != "py" => (action, Some(option.to_owned())),
            _ => (action, None),
        };
        Self::Action {
            action: action.to_owned(),
            option,
            value,
        }
    }
}

impl Blame {
    /// A reader of the folder that fail2ban's client gets as `-c`; reads nothing yet.
    #[must_use]
    pub fn open(config_dir: &Path) -> Self {
        Self {
            files: Files::new(config_dir),
        }
    }

    /// The line that is at fault for `at` in `jail`; `None` if no file has a section for the jail.
    pub fn place(&mut self, jail: &str, at: &At) -> Option<Place> {
        let jail = Jail::whole(&mut self.files, jail)?;
        let origin = match at {
            At::Jail => jail.header(),
            At::Option { name, value } => of_option(&jail, name, value.as_deref()),
            At::Action {
                action,
                option,
                value,
            } => self.of_action(&jail, action, option.as_deref(), value.as_deref()),
        };
        self.shown(origin.or_else(|| jail.header())?)
    }

    /// The line that made what the rehearsal found refused.
    pub fn place_of(&mut self, fault: &Fault) -> Option<Place> {
        let Some(jail) = fault.of_jail() else {
            return self.server_place(fault.option.as_deref()?);
        };
        let value = fault.value.as_deref();
        let at = match fault.option.as_deref() {
            None => At::Jail,
            Some("action") if fault.command == "addaction" => At::Action {
                action: value.unwrap_or_default().to_owned(),
                option: None,
                value: None,
            },
            // `action NAME OPTION`
            Some(option) => match option
                .strip_prefix("action ")
                .and_then(|o| o.rsplit_once(' '))
            {
                Some((action, option)) => At::Action {
                    action: action.to_owned(),
                    option: Some(option.to_owned()),
                    value: fault.value.clone(),
                },
                None => At::from_option(option, value),
            },
        };
        self.place(jail, &at)
    }

    /// The line in `fail2ban.conf` or one of its like that sets an option of the server.
    pub fn server_place(&mut self, option: &str) -> Option<Place> {
        let cfg = self.files.merged("fail2ban");
        let sections = ["Definition", "Thread", ini::DEFAULT];
        let def = sections
            .iter()
            .find_map(|section| expand::own(&cfg, section, option))?;
        self.shown(def.home())
    }

    /// The enabled jails, by name, as far as can be told without fail2ban.
    pub fn enabled_jails(&mut self) -> Vec<String> {
        let mut names = self.jail_names();
        names.retain(|name| {
            let jail = Jail::open(&mut self.files, name);
            jail.is_some_and(|jail| jail.is_enabled())
        });
        names
    }

    /// Those of `jails` that go down with `place`: that have an option from this line of the jails'
    /// files, or a filter or an action of whose files it is.
    pub fn jails_using(&mut self, place: &Place, jails: &[String]) -> Vec<String> {
        let Some(file) = self.files.open(&place.file) else {
            return Vec::new();
        };
        let origin = Origin {
            file,
            line: place.line,
        };
        let mut using = Vec::new();
        for name in jails {
            let Some(jail) = Jail::whole(&mut self.files, name) else {
                continue;
            };
            let is_used = if jail.is_of(origin) {
                let visited = jail.visited.iter();
                let has_option = visited
                    .filter(|def| def.file == file)
                    .any(|def| def.setting.holds(place.line));
                has_option || jail.header() == Some(origin)
            } else {
                let actions = jail.actions(&mut self.files);
                let mut parts = jail.filter.iter().chain(&actions);
                parts.any(|part| part.cfg.files.contains(&file))
            };
            if is_used {
                using.push(name.clone());
            }
        }
        using
    }

    /// The files that one jail is read from: those with a section for it, and those of its filter
    /// and its actions with what they include. Empty if no file has a section for it.
    pub fn files_of(&mut self, name: &str) -> Vec<PathBuf> {
        let Some(jail) = Jail::whole(&mut self.files, name) else {
            return Vec::new();
        };
        let mut files = self.files.merged("jail").files.clone();
        files.retain(|file| self.files.has_section(*file, name));
        let actions = jail.actions(&mut self.files);
        for part in jail.filter.iter().chain(&actions) {
            files.extend(&part.cfg.files);
        }
        let paths = files.into_iter().filter_map(|file| self.files.path(file));
        let mut paths: Vec<PathBuf> = paths.map(Path::to_owned).collect();
        let in_python = actions.iter().map(|part| part.reference.name.text());
        let in_python =
            in_python.filter(|name| Path::new(name).extension().is_some_and(|end| end == "py"));
        paths.extend(in_python.map(|name| self.files.python(name)));
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Every jail that has a section, by name.
    fn jail_names(&mut self) -> Vec<String> {
        let cfg = self.files.merged("jail");
        let names = cfg.sections.keys().filter(|name| *name != "INCLUDES");
        let mut names: Vec<String> = names.cloned().collect();
        names.sort_unstable();
        names
    }

    fn of_action(
        &mut self,
        jail: &Jail,
        action: &str,
        option: Option<&str>,
        value: Option<&str>,
    ) -> Option<Origin> {
        let actions = jail.actions(&mut self.files);
        let bears = |part: &&Definition| part.reference.action_name(&jail.name) == action;
        let is_file = |part: &&Definition| part.reference.name.text() == action;
        let found = actions.iter().find(bears);
        let Some(part) = found.or_else(|| actions.iter().find(is_file)) else {
            return Some(jail.option("action")?.home);
        };
        let options = option.map(|option| part.variants(option));
        let values: Vec<Value> = options
            .iter()
            .flatten()
            .filter_map(|option| Some(part.combined(option, jail.vars())?.0))
            .collect();
        find::line_of(&values, value).or_else(|| part.reference.home())
    }

    fn shown(&self, at: Origin) -> Option<Place> {
        Some(Place {
            file: self.files.path(at.file)?.to_owned(),
            line: at.line,
            text: self.files.line(at)?.to_owned(),
        })
    }
}

fn of_option(jail: &Jail, name: &str, value: Option<&str>) -> Option<Origin> {
    let own = jail.option(name);
    let filter = jail.filter.as_ref();
    let filter = filter.filter(|_| jail::OF_FILTERS.contains(&name));
    let of_filter = filter.and_then(|_| jail.of_filter(name));
    let values: Vec<Value> = own.into_iter().chain(of_filter.map(|(v, _)| v)).collect();
    find::line_of(&values, value).or_else(|| filter?.reference.home())
}
