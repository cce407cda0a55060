//! Giving each of fail2ban's complaints its place, and each jail that goes down its complaint.

use super::super::finding::{Finding, FindingKind};
use super::super::literal;
use super::definition::Definition;
use super::expand::{Broken, Expansion, Value, Vars, Why, nothing_known};
use super::files::Files;
use super::find;
use super::jail::Jail;
use super::traced::Origin;
use super::{At, Blame, Place};

/// A line at fault and a jail that it takes down, if it is one jail's matter.
type Blamed = (Place, Option<String>);

/// A reference that fail2ban cannot follow, as its message describes it.
struct Complaint {
    why: Why,
    /// The section and the option that it read, if it says so.
    option: Option<(String, String)>,
}

impl Blame {
    /// Adds to what `fail2ban-client -d` complains of the line at fault, where that can be told and is
    /// not yet known.
    ///
    /// fail2ban gives up at the first jail with some faults, and does not name it with others: such
    /// a finding comes back once for each enabled jail that the fault takes down.
    #[must_use]
    pub fn settle(&mut self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut settled: Vec<Finding> = Vec::new();
        for finding in findings {
            let mut blamed = self.blame(&finding);
            if blamed.is_empty() {
                settled.push(finding);
                continue;
            }
            // The jail that fail2ban named goes first.
            blamed.sort_by_key(|(_, jail)| *jail != finding.jail);
            for (place, jail) in blamed {
                settled.push(Finding {
                    jail,
                    file: Some(place.file),
                    line: Some(place.line),
                    ..finding.clone()
                });
            }
        }
        settled
    }

    fn blame(&mut self, finding: &Finding) -> Vec<Blamed> {
        let jail = finding.jail.as_deref();
        let place = match (finding.kind, &finding.file, finding.line) {
            (_, Some(file), Some(line)) => {
                let origin = self.files.open(file).map(|file| Origin { file, line });
                let place = origin.and_then(|origin| self.shown(origin));
                return self.shared(place, jail);
            }
            (_, Some(file), None) if file.exists() => {
                let origin = self.files.broken_line(file);
                let place = origin.and_then(|origin| self.shown(origin));
                return self.shared(place, jail);
            }
            (FindingKind::Unreadable | FindingKind::Other, None, _) => {
                return self.unplaced(&finding.words);
            }
            (FindingKind::BadNumber, ..) => self.number(jail, &finding.words),
            (FindingKind::NoLogFile | FindingKind::LogAwaited, ..) => self.log_path(jail),
            (FindingKind::ReservedName, ..) => jail.and_then(|jail| self.place(jail, &At::Jail)),
            (FindingKind::JailSkipped, ..) => self.skipped(jail, &finding.words),
            _ => None,
        };
        let blamed = place.map(|place| (place, finding.jail.clone()));
        blamed.into_iter().collect()
    }

    /// A place in a filter or an action takes down each jail that uses the file. Not so one in the
    /// jails' files: fail2ban then reads no jail at all.
    fn shared(&mut self, place: Option<Place>, jail: Option<&str>) -> Vec<Blamed> {
        let Some(place) = place else {
            return Vec::new();
        };
        let enabled = if jail.is_none() && !self.is_for_all(&place) {
            self.enabled_jails()
        } else {
            Vec::new()
        };
        let using = self.jails_using(&place, &enabled);
        if using.is_empty() {
            return vec![(place, jail.map(str::to_owned))];
        }
        let blamed = using.into_iter().map(|jail| (place.clone(), Some(jail)));
        blamed.collect()
    }

    fn is_for_all(&mut self, place: &Place) -> bool {
        let file = self.files.open(&place.file);
        ["jail", "fail2ban"].iter().any(|name| {
            let cfg = self.files.merged(name);
            file.is_some_and(|file| cfg.files.contains(&file))
        })
    }

    /// The line that holds a number, which may be another option's: `'maxretry' is missing …`.
    fn number(&mut self, jail: Option<&str>, words: &str) -> Option<Place> {
        let option = literal::leading_string(words).ok()?;
        let Some(jail) = jail else {
            return self.server_place(&option);
        };
        let read = Jail::whole(&mut self.files, jail)?;
        let value = read.option(&option)?;
        let origin = value.text.maker(0..value.text.text().len());
        self.shown(origin.unwrap_or(value.home))
    }

    fn log_path(&mut self, jail: Option<&str>) -> Option<Place> {
        self.place(jail?, &At::from_option("logpath", None))
    }

    /// The line for why fail2ban skips a jail: the messages of client/jailreader.py `getOptions` and
    /// `convert`.
    fn skipped(&mut self, jail: Option<&str>, words: &str) -> Option<Place> {
        let quoted = |begin: &str| literal::leading_string(words.strip_prefix(begin)?).ok();
        let jail = Jail::whole(&mut self.files, jail?)?;
        let of_filter = ["Unable to read the filter ", "Invalid filter definition "];
        let origin = if of_filter.iter().any(|begin| words.starts_with(begin)) {
            jail.filter.as_ref()?.reference.home()
        } else if let Some(name) = quoted("Unable to read action ") {
            let actions = jail.actions(&mut self.files);
            let named = |part: &&Definition| part.reference.name.text() == name;
            actions.iter().find(named)?.reference.home()
        } else {
            let text = quoted("Invalid action definition ")?;
            find::line_of(&[jail.option("action")?], Some(&text))
        };
        self.shown(origin?)
    }

    /// What is at fault where fail2ban names no file and often no jail.
    fn unplaced(&mut self, words: &str) -> Vec<Blamed> {
        let no_definition = |files: &Files, part: &Definition, _: &Jail| {
            let is_faulty = !part.cfg.sections.contains_key("Definition");
            let file = part.cfg.files.first().filter(|_| is_faulty)?;
            // Nothing stands in an empty file.
            files.first_header(*file).or_else(|| part.reference.home())
        };
        if words == "No section: 'Definition'" {
            return self.in_parts(no_definition);
        }
        // helpers.py `str2LogLevel`
        if words.starts_with("Invalid log level ") {
            let place = self.server_place("loglevel");
            return place.map(|place| (place, None)).into_iter().collect();
        }
        // client/filterreader.py `convert` gives it to shlex.
        if words == "No closing quotation" {
            return self.open_quotes();
        }
        // helpers.py `substituteRecursiveTags`
        if let Some((_, rest)) = words.split_once("self referencing definitions and cannot be")
            && let Some((_, rest)) = rest.split_once("fail tag: ")
            && let Some((option, _)) = rest.split_once(',')
        {
            return self.in_parts(|_, part, jail| {
                let (value, looped) = part.combined(option, jail.vars())?;
                looped.then_some(value.home)
            });
        }
        match Complaint::parse(words) {
            Some(complaint) => self.broken_reference(&complaint),
            None => Vec::new(),
        }
    }

    /// The lines of journal matches whose quotes are not closed.
    fn open_quotes(&mut self) -> Vec<Blamed> {
        let mut blamed = Vec::new();
        for name in self.enabled_jails() {
            let Some(jail) = Jail::whole(&mut self.files, &name) else {
                continue;
            };
            let of_filter = jail.of_filter("journalmatch").map(|(value, _)| value);
            let is_open = |value: &Value| {
                let count = |quote| value.text.text().matches(quote).count();
                count('"') % 2 == 1 || count('\'') % 2 == 1
            };
            let values = jail.option("journalmatch").into_iter().chain(of_filter);
            let origin = values.filter(is_open).map(|value| value.home).next();
            let place = origin.and_then(|origin| self.shown(origin));
            blamed.extend(place.map(|place| (place, Some(name))));
        }
        blamed
    }

    /// What `fault` finds in the filters and actions of the enabled jails.
    fn in_parts(
        &mut self,
        fault: impl Fn(&Files, &Definition, &Jail) -> Option<Origin>,
    ) -> Vec<Blamed> {
        let mut blamed = Vec::new();
        for name in self.enabled_jails() {
            let Some(jail) = Jail::whole(&mut self.files, &name) else {
                continue;
            };
            let actions = jail.actions(&mut self.files);
            let mut parts = jail.filter.iter().chain(&actions);
            let origin = parts.find_map(|part| fault(&self.files, part, &jail));
            let place = origin.and_then(|origin| self.shown(origin));
            blamed.extend(place.map(|place| (place, Some(name))));
        }
        blamed
    }

    /// Every reference that fits the complaint, once for each jail: in the jail that fail2ban names,
    /// and in those that share the line with it.
    fn broken_reference(&mut self, complaint: &Complaint) -> Vec<Blamed> {
        let mut broken: Vec<(Option<String>, Origin)> = Vec::new();
        for name in self.jail_names() {
            let origin = self.broken_in_jail(&name, complaint);
            broken.extend(origin.map(|origin| (Some(name), origin)));
        }
        if broken.is_empty() {
            let origin = self.broken_in_server(complaint);
            broken.extend(origin.map(|origin| (None, origin)));
        }
        if let Some(named) = complaint.jail() {
            let of_named = |(jail, _): &&(Option<String>, Origin)| jail.as_deref() == Some(named);
            let line = broken.iter().find(of_named).map(|(_, origin)| *origin);
            broken.retain(|(_, origin)| Some(*origin) == line);
        }
        let placed = broken
            .into_iter()
            .filter_map(|(jail, origin)| Some((self.shown(origin)?, jail)));
        placed.collect()
    }

    fn broken_in_jail(&mut self, name: &str, complaint: &Complaint) -> Option<Origin> {
        let mut jail = Jail::open(&mut self.files, name)?;
        if jail.is_enabled() {
            jail.complete(&mut self.files);
        }
        let mut own = jail.broken.iter();
        let fits = |(option, broken): &&(&str, Broken)| complaint.fits_jail(option, broken);
        if let Some((_, broken)) = own.find(fits) {
            return Some(broken.origin);
        }
        let actions = jail.actions(&mut self.files);
        let of_filter = jail.filter.iter().map(|part| (part, jail.first()));
        let of_actions = actions.iter().map(|part| (part, jail.vars()));
        let only = complaint.option.as_ref().map(|(_, option)| option.as_str());
        of_filter
            .chain(of_actions)
            .filter(|(part, vars)| complaint.can_be_in(part, vars))
            .flat_map(|(part, vars)| part.broken(only, vars))
            .find(|(section, option, broken)| complaint.fits(section, option, broken))
            .map(|(.., broken)| broken.origin)
    }

    fn broken_in_server(&mut self, complaint: &Complaint) -> Option<Origin> {
        let cfg = self.files.merged("fail2ban");
        let vars = Vars::new();
        cfg.sections.iter().find_map(|(section, part)| {
            part.options.keys().find_map(|option| {
                let mut reading = Expansion::new(&cfg, section, &vars, &nothing_known);
                reading.value(option);
                let mut broken = reading.broken.iter();
                let found = broken.find(|broken| complaint.fits(section, option, broken))?;
                Some(found.origin)
            })
        })
    }
}

impl Complaint {
    /// Takes apart what Python 3.11 configparser.py says in its interpolation errors.
    fn parse(words: &str) -> Option<Self> {
        if let Some((_, rest)) = words.split_once(": option '") {
            let (option, rest) = rest.split_once("' in section '")?;
            let (section, rest) = rest.split_once("' contains an interpolation key ")?;
            let why = match rest.strip_prefix('\'') {
                Some(key) => Why::Missing(key.split_once('\'')?.0.to_owned()),
                None => Why::TooDeep,
            };
            let option = Some((section.to_owned(), option.to_owned()));
            return Some(Self { why, option });
        }
        let markers = [
            "'%' must be followed by '%' or '(', found: ",
            "bad interpolation variable reference ",
        ];
        let found = markers
            .iter()
            .find_map(|marker| Some(words.split_once(marker)?.1))?;
        let text = literal::leading_string(found).ok()?;
        Some(Self {
            why: Why::Syntax(text),
            option: None,
        })
    }

    /// The jail that it names.
    fn jail(&self) -> Option<&str> {
        let (section, _) = self.option.as_ref()?;
        let is_jail = section != "Definition" && section != "Init";
        is_jail.then_some(section)
    }

    /// Whether it may be of this filter or action; spares reading all of each of hundreds.
    fn can_be_in(&self, part: &Definition, vars: &Vars) -> bool {
        match &self.why {
            Why::Syntax(text) => {
                let word = text.split_whitespace().next();
                part.says(word.unwrap_or_default(), vars)
            }
            Why::Missing(_) | Why::TooDeep => self.jail().is_none(),
        }
    }

    /// Whether it is of this option of a filter, an action or the server.
    fn fits(&self, section: &str, option: &str, broken: &Broken) -> bool {
        let known = self.option.as_ref();
        known.is_none_or(|(known, name)| known == section && name == option)
            && self.same_fault(broken)
    }

    /// Whether it is of this option of some jail.
    fn fits_jail(&self, option: &str, broken: &Broken) -> bool {
        let known = self.option.as_ref();
        known.is_none_or(|(_, name)| self.jail().is_some() && name == option)
            && self.same_fault(broken)
    }

    fn same_fault(&self, broken: &Broken) -> bool {
        match (&self.why, &broken.why) {
            // A finding's words have lost their doubled blanks.
            (Why::Syntax(a), Why::Syntax(b)) => a.split_whitespace().eq(b.split_whitespace()),
            (a, b) => a == b,
        }
    }
}
