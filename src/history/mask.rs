//! Secrets in configs, found by the names of options, so that no diff prints them.
//!
//! fail2ban has no type for a secret: an API key is an option of an action like any other
//! (`cftoken` in action.d/cloudflare-token.conf, `password` of action.d/smtp.py, 1.0.2), and the
//! commands that `-d` prints hold it in plain. So a value is masked where the name says what it is,
//! and the same value again wherever else it stands.

use std::collections::BTreeSet;

/// What stands in place of a secret.
pub const MASK: &str = "********";

/// Parts of a name that say that the value is secret.
const PARTS: [&str; 9] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "authorization",
];
/// Ends of such a name.
const ENDS: [&str; 2] = ["key", "_auth"];
/// Shorter ones may be words of the language: they are masked where they are named alone.
const SHORTEST_FAMOUS: usize = 6;

/// Whether an option of this name holds a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let name = name.rsplit(['.', '/']).next().unwrap_or_default();
    PARTS.iter().any(|part| name.contains(part)) || ENDS.iter().any(|end| name.ends_with(end))
}

/// The secrets that were met, to be masked wherever they stand.
#[derive(Debug, Default)]
pub struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Learns the secrets of a config file.
    pub fn learn(&mut self, text: &str) {
        Reading::default().all(text, &mut |secret| self.learn_value(secret));
    }

    /// Learns the secrets in the value of a setting.
    pub fn learn_setting(&mut self, name: &str, value: &str) {
        if is_secret(name) {
            self.learn_value(value);
        }
        mask_assignments(value, &mut |secret| self.learn_value(secret));
    }

    fn learn_value(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() >= SHORTEST_FAMOUS && !is_reference(secret) {
            self.0.insert(secret.to_owned());
        }
    }

    /// The lines of a config file without their secrets; each stays where it was.
    #[must_use]
    pub fn mask_file(&self, text: &str) -> Vec<String> {
        let masked = Reading::default().all(text, &mut |_| {});
        masked
            .into_iter()
            .map(|line| self.mask_known(line))
            .collect()
    }

    /// The value of a setting without its secrets.
    #[must_use]
    pub fn mask_setting(&self, name: &str, value: &str) -> String {
        if is_secret(name) && !value.is_empty() && !is_reference(value) {
            return MASK.to_owned();
        }
        self.mask_known(mask_assignments(value, &mut |_| {}))
    }

    fn mask_known(&self, mut text: String) -> String {
        // The longer before those that they hold.
        let mut known: Vec<&String> = self.0.iter().collect();
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in known {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASK);
            }
        }
        text
    }
}

/// `%(name)s` or `<name>` and no more: that is no secret, but says where it is.
fn is_reference(value: &str) -> bool {
    let inside = |open: &str, close: &str| {
        let inside = value.strip_prefix(open)?.strip_suffix(close)?;
        Some(!inside.is_empty() && !inside.contains(['%', '<', '>', ' ']))
    };
    value == MASK || inside("%(", ")s").unwrap_or_default() || inside("<", ">").unwrap_or_default()
}

/// A config file line by line, as far as it matters here.
#[derive(Default)]
struct Reading {
    /// Whether the option that goes on holds a secret.
    is_secret: bool,
    /// Whether it is an expression, which names words as it likes.
    is_regex: bool,
}

impl Reading {
    fn all(&mut self, text: &str, met: &mut dyn FnMut(&str)) -> Vec<String> {
        text.lines().map(|line| self.line(line, met)).collect()
    }

    fn line(&mut self, line: &str, met: &mut dyn FnMut(&str)) -> String {
        let bare = line.trim_start();
        let is_comment = bare.starts_with(['#', ';']);
        let is_continued = bare.len() < line.len() && !is_comment;
        let code = bare.trim_start_matches(['#', ';', ' ', '\t']);
        if bare.starts_with('[') {
            *self = Self::default();
        }
        if let Some((name, value)) = assignment(code) {
            let is_secret = is_secret(name);
            if !is_comment && !is_continued {
                self.is_secret = is_secret;
                self.is_regex = ["regex", "regex_", "pattern"]
                    .iter()
                    .any(|end| name.ends_with(end));
            }
            if is_secret && !self.is_regex {
                let start = line.len() - value.len();
                return mask_rest(line, start, met);
            }
        }
        match () {
            () if self.is_secret && is_continued => mask_rest(line, line.len() - bare.len(), met),
            () if self.is_regex && !is_comment => line.to_owned(),
            () => mask_assignments(line, met),
        }
    }
}

/// The name of an option at the beginning of a line, and its value without blanks before it.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(['=', ':'])?;
    let name = name.trim_end();
    let fits = |c: char| c.is_alphanumeric() || "_-./?".contains(c);
    (!name.is_empty() && name.chars().all(fits)).then(|| (name, value.trim_start()))
}

fn mask_rest(line: &str, start: usize, met: &mut dyn FnMut(&str)) -> String {
    let (before, secret) = line.split_at(start);
    if secret.trim().is_empty() || is_reference(secret.trim()) {
        return line.to_owned();
    }
    met(secret);
    format!("{before}{MASK}")
}

/// Masks `name=value`, `"name": "value"`, `Name: value` and `scheme://user:password@` in a text.
fn mask_assignments(text: &str, met: &mut dyn FnMut(&str)) -> String {
    let mut out = String::new();
    let mut from = 0;
    for (at, c) in text.char_indices() {
        if at < from || !['=', ':'].contains(&c) {
            continue;
        }
        let Some((start, end)) = secret_after(text, at) else {
            continue;
        };
        let secret = text.get(start..end).unwrap_or_default();
        if start < from || secret.is_empty() || is_reference(secret) {
            continue;
        }
        met(secret);
        out.push_str(text.get(from..start).unwrap_or_default());
        out.push_str(MASK);
        from = end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// Where the secret is that an `=` or `:` introduces.
fn secret_after(text: &str, at: usize) -> Option<(usize, usize)> {
    let (before, rest) = (text.get(..at)?, text.get(at + 1..)?);
    if let Some(url) = rest.strip_prefix("//") {
        let authority = url.split(['/', ' ', '"', '\'']).next()?;
        let (user, _) = authority.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        let start = at + 3 + name.len() + 1;
        return Some((start, at + 3 + user.len()));
    }
    let quoted = before.trim_end().trim_end_matches(['"', '\'']);
    let name = quoted.rsplit(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)));
    if !name.into_iter().next().is_some_and(is_secret) {
        return None;
    }
    let mut start = at + 1 + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
    for scheme in ["Bearer ", "Basic ", "Token "] {
        if text.get(start..)?.starts_with(scheme) {
            start += scheme.len();
        }
    }
    let value = text.get(start..)?;
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c));
    let (start, ends): (usize, &[char]) = match quote {
        Some('"') => (start + 1, &['"']),
        Some(_) => (start + 1, &['\'']),
        None => (start, &[' ', '\t', ',', ']', '"', '\'', '&', ';', '\n']),
    };
    let value = text.get(start..)?;
    let length = value.find(ends).unwrap_or(value.len());
    Some((start, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_where_they_are_named() {
        let cases = [
            ("password = hunter2", "password = ********"),
            ("mnwpass: a b  c", "mnwpass: ********"),
            ("# cftoken = abc", "# cftoken = ********"),
            ("  apikey = abc", "  apikey = ********"),
            ("password =", "password ="),
            ("cftoken = <cftoken>", "cftoken = <cftoken>"),
            ("abuseipdb_apikey = %(key)s", "abuseipdb_apikey = %(key)s"),
            (
                "action = mail[dest=a@b, password=\"x, y\", name=z]",
                "action = mail[dest=a@b, password=\"********\", name=z]",
            ),
            (
                "actionban = curl -H 'X-Auth-Key: abc' -H 'Authorization: Bearer d.e' https://x/?token=f&ip=<ip>",
                "actionban = curl -H 'X-Auth-Key: ********' -H 'Authorization: Bearer ********' https://x/?token=********&ip=<ip>",
            ),
            (
                "url = https://me:pw@host/a:b@c",
                "url = https://me:********@host/a:b@c",
            ),
            (
                "data = {\"api_key\": \"abc\"}",
                "data = {\"api_key\": \"********\"}",
            ),
            ("# Author: Cyril Jaquier", "# Author: Cyril Jaquier"),
            (
                "failregex = invalid password: \\S+ from <HOST>",
                "failregex = invalid password: \\S+ from <HOST>",
            ),
            ("mdre-auth = ^auth failed", "mdre-auth = ^auth failed"),
            ("token\u{e9} = \u{e9}\u{e9}", "token\u{e9} = ********"),
        ];
        for (line, expected) in cases {
            assert_eq!(Secrets::default().mask_file(line), [expected]);
        }
    }

    #[test]
    fn a_secret_of_several_lines_and_the_same_elsewhere_are_masked() {
        let text = "[x]\npassword =\n    hunter22\n\n    second-line\nother = 1\nban = send hunter22 to x\n";
        let mut secrets = Secrets::default();
        secrets.learn(text);
        let masked = secrets.mask_file(text).join("\n");
        assert!(
            !masked.contains("hunter22") && !masked.contains("second-line"),
            "{masked}"
        );
        assert!(
            masked.contains("other = 1\nban = send ******** to x"),
            "{masked}"
        );
        assert_eq!(masked.lines().count(), text.lines().count());
    }

    #[test]
    fn settings_are_masked_by_name_and_by_what_is_known() {
        let mut secrets = Secrets::default();
        secrets.learn_setting("action cf.cftoken", "abcdefgh");
        assert_eq!(secrets.mask_setting("action cf.cftoken", "abcdefgh"), MASK);
        assert_eq!(
            secrets.mask_setting("action cf.actionban", "curl abcdefgh"),
            "curl ********"
        );
        assert_eq!(secrets.mask_setting("maxretry", "5"), "5");
    }
}
