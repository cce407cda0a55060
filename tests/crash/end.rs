//! What a run ends in, in a form in which two runs can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use jailwarden::history::Store;
use serde_json::{Map, Value};

use crate::scenarios::{Scenario, Stage};

/// The end of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct End {
    /// Every file of the config folder, rollbacks among them.
    config: BTreeMap<String, String>,
    /// The sets of replaced files: why, which, and whether all was put back.
    replaced: Vec<String>,
    /// The state file.
    memory: Value,
    /// How many servers run.
    servers: usize,
    /// How often each jail was started in all daemons.
    started: BTreeMap<String, usize>,
    /// Whether the jails ban.
    pub(crate) truth: BTreeMap<String, bool>,
    pub(crate) notes: Vec<String>,
    /// What the jailwardens said; only to be shown.
    pub(crate) said: String,
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl End {
    pub(crate) fn of(stage: &Stage, scenario: &Scenario) -> Self {
        let f2b = &stage.f2b;
        let folder = f2b.path("").display().to_string();
        let folder = folder.trim_end_matches('/');
        let mut config = BTreeMap::new();
        read_all(&f2b.config(), &f2b.config(), &mut config);
        for text in config.values_mut() {
            *text = text.replace(folder, "DIR");
            *text = without_times(text);
        }
        let store = f2b.path("state");
        let sets = Store::open(&store, "jailwarden").rejected().unwrap();
        assert_eq!(sets.warnings, []);
        let replaced = sets.entries.iter().map(|set| {
            let why = set.reason.replace(folder, "DIR");
            format!("{why}: {:?}, finished {}", set.paths, set.finished)
        });
        let mut replaced: Vec<_> = replaced.collect();
        replaced.reverse();
        let text = fs::read_to_string(store.join("state.json")).unwrap_or_default();
        let memory = serde_json::from_str(&text).unwrap_or_default();
        let started = scenario.untouched.iter().map(|jail| {
            let text = format!("Jail '{jail}' started");
            ((*jail).to_owned(), f2b.logged(&text))
        });
        Self {
            config,
            replaced,
            memory: canonical(memory, scenario.passing),
            servers: f2b.servers(),
            started: started.collect(),
            truth: stage.truth.clone(),
            notes: Vec::new(),
            said: String::new(),
        }
    }

    pub(crate) fn with(mut self, truth: BTreeMap<String, bool>) -> Self {
        self.truth = truth;
        self
    }

    fn parts(&self) -> BTreeMap<String, String> {
        let files = self.config.iter();
        let mut parts: BTreeMap<_, _> = files
            .map(|(file, text)| (format!("file {file}"), text.clone()))
            .collect();
        parts.insert("replaced".into(), self.replaced.join("; "));
        parts.insert("servers".into(), self.servers.to_string());
        parts.insert("started".into(), format!("{:?}", self.started));
        parts.insert("truth".into(), format!("{:?}", self.truth));
        parts.insert("notes".into(), self.notes.join("; "));
        if let Value::Object(memory) = &self.memory["memory"] {
            parts.extend(
                memory
                    .iter()
                    .map(|(key, value)| (format!("memory {key}"), value.to_string())),
            );
        }
        parts
    }

    /// Where this differs from what it should be.
    pub(crate) fn differs(&self, wanted: &Self, step: &str) -> String {
        let mut text = format!("killed {step}:\n");
        let (is, should) = (self.parts(), wanted.parts());
        for key in is
            .keys()
            .chain(should.keys().filter(|k| !is.contains_key(*k)))
        {
            let [is, should] = [is.get(key), should.get(key)];
            if is != should {
                writeln!(text, "  {key}\n    is {is:?}\n    not {should:?}").unwrap();
            }
        }
        text + &self.said
    }
}

fn read_all(root: &Path, folder: &Path, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(root, &path, all);
        } else if let Ok(content) = fs::read(&path) {
            // What fail2ban ships is the same for all, and long.
            let name = path.strip_prefix(root).unwrap().display().to_string();
            all.insert(name, String::from_utf8_lossy(&content).into_owned());
        }
    }
}

/// A rollback file says when it was written, and what may be in which line of fail2ban's log.
fn without_times(text: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("# When:") {
            return "# When:".to_owned();
        }
        let mut parts = line.split("f2b.log:");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            text + "f2b.log" + part.trim_start_matches(|it: char| it.is_ascii_digit())
        })
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Digests, which depend on the run's own paths, become numbers in the order in which they come;
/// what went by the clock, and the names of sets, are dropped.
fn canonical(mut memory: Value, passing: &[&str]) -> Value {
    fn number(value: &mut Value, known: &mut Vec<String>) {
        match value {
            Value::Number(n) if n.as_f64().is_some_and(|n| n > 1e6) => {
                let n = n.to_string();
                let at = known.iter().position(|it| *it == n);
                let at = at.unwrap_or_else(|| {
                    known.push(n);
                    known.len() - 1
                });
                *value = Value::String(format!("digest {at}"));
            }
            Value::Array(all) => all.iter_mut().for_each(|it| number(it, known)),
            Value::Object(all) => all.values_mut().for_each(|it| number(it, known)),
            _ => {}
        }
    }
    if let Some(Value::Object(all)) = memory.get_mut("memory") {
        for key in ["process", "unprotected", "dark", "starts", "gave_up"] {
            all.remove(key);
        }
        all.retain(|key, _| !passing.contains(&key.as_str()));
        is_there(all, "put_back");
        if let Some(Value::Object(in_memory)) = all.get_mut("in_memory") {
            in_memory.remove("left");
        }
        if let Some(Value::Object(guesses)) = all.get_mut("guesses")
            && let Some(Value::Array(replaced)) = guesses.get_mut("replaced")
        {
            replaced.fill(Value::String("a set".into()));
        }
    }
    number(&mut memory, &mut Vec::new());
    memory
}

fn is_there(all: &mut Map<String, Value>, key: &str) {
    if all.get(key).is_some_and(|it| !it.is_null()) {
        all.insert(key.into(), Value::Bool(true));
    }
}
