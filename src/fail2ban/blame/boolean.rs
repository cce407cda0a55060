//! Words that fail2ban takes for false, though nobody means that by them.
//!
//! client/jailreader.py reads booleans by helpers.py `_as_bool` (1.0.2 to 1.1.1): true are four words, in any
//! case, and all else is false, be it a typo or a comment behind the value. Nothing is logged.

use std::collections::BTreeSet;

use super::super::finding::{Finding, FindingKind};
use super::expand::Value;
use super::jail::Jail;
use super::{Blame, Place};

const TRUE: [&str; 4] = ["1", "on", "true", "yes"];
/// What people mean false by.
const FALSE: [&str; 8] = ["", "0", "f", "false", "n", "no", "none", "off"];
/// What is read of a jail that runs, besides `enabled` (client/jailreader.py `_configOpts`).
const OF_RUNNING: [&str; 3] = ["bantime.increment", "bantime.overalljails", "ignoreself"];
/// So many jails are looked at: far more than a config has.
const MOST_JAILS: usize = 2_000;
/// How much of a value is shown, in characters.
const SHOWN: usize = 60;

/// Whether fail2ban takes it for true.
pub(super) fn is_true(value: &str) -> bool {
    TRUE.contains(&value.to_lowercase().as_str())
}

impl Blame {
    /// What the jails say that is taken for false and is no word for it: of `enabled` in each jail that does
    /// not run, and of other booleans in those that do. `running` are the jails that fail2ban would start.
    pub fn misread(&mut self, running: &BTreeSet<String>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for name in self.jail_names().into_iter().take(MOST_JAILS) {
            let Some(jail) = Jail::open(&mut self.files, &name) else {
                continue;
            };
            let options = if running.contains(&name) {
                &OF_RUNNING[..]
            } else {
                &["enabled"]
            };
            for option in options {
                let value = jail.option(option).filter(is_misread);
                findings.extend(value.and_then(|value| self.finding(&name, option, &value)));
            }
        }
        findings
    }

    fn finding(&self, jail: &str, option: &str, value: &Value) -> Option<Finding> {
        let text = value.text.text();
        let maker = value.text.maker(0..text.len());
        let Place { file, line, .. } = self.shown(maker.unwrap_or(value.home))?;
        let words: Vec<_> = text.split_whitespace().collect();
        let shown: String = words.join(" ").chars().take(SHOWN).collect();
        let words = format!("`{option} = {shown}` is read as false");
        Some(Finding {
            file: Some(file),
            line: Some(line),
            ..Finding::new(FindingKind::NotBoolean, Some(jail), words)
        })
    }
}

/// A reference that could not be followed here says nothing.
fn is_misread(value: &Value) -> bool {
    let text = value.text.text();
    let is_false = FALSE.contains(&text.to_lowercase().as_str());
    !is_true(text) && !is_false && !text.contains("%(")
}
