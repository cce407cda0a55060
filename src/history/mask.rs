//! Secrets in configs, found by the names of options, so that nothing prints them.
//!
//! fail2ban has no type for a secret: an API key is an option of an action like any other
//! (`cftoken` in action.d/cloudflare-token.conf, `password` of action.d/smtp.py, 1.0.2), and the
//! commands that `-d` prints hold it in plain. So a value is masked where the name says what it is,
//! and the same value again wherever else it stands.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

mod files;

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
/// Longer ones are none, and more than so many have no config.
const LONGEST_FAMOUS: usize = 4096;
const MOST_FAMOUS: usize = 1000;

/// Whether an option of this name holds a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let name = name.rsplit(['.', '/']).next().unwrap_or_default();
    // As `_bypass_if_restored` of action.d/helpers-common.conf, 1.0.2.
    let name = name.replace("bypass", "");
    PARTS.iter().any(|part| name.contains(part)) || ENDS.iter().any(|end| name.ends_with(end))
}

/// The secrets that were met, to be masked wherever they stand.
#[derive(Clone, Default)]
pub struct Secrets(BTreeSet<String>);

/// How many there are: they are to be printed nowhere.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Learns the secrets of all files of a config that fail2ban reads, as far as they can be read. Blocking.
    pub fn learn_config(&mut self, config_dir: &Path) {
        files::each_text(config_dir, &mut |text| self.learn(text));
    }

    /// Learns the secrets of a config file, also where its lines are none that fail2ban can read: what it says
    /// of such a line has the whole of it. Comments have examples, the words of which are no secrets.
    pub fn learn(&mut self, text: &str) {
        let mut reading = Reading::default();
        for line in text.lines().filter(|line| !is_comment(line)) {
            reading.line(line, &mut |secret| self.learn_value(secret));
            if let Some((name, value)) = line.split_once([' ', '\t'])
                && !line.contains(['=', ':'])
                && is_secret(name)
            {
                self.learn_value(value);
            }
        }
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
        let length = SHORTEST_FAMOUS..=LONGEST_FAMOUS;
        let has_room = self.0.len() < MOST_FAMOUS;
        if has_room && length.contains(&secret.len()) && !is_reference(secret) {
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
        if is_regex(name) {
            return self.mask_known(value.to_owned());
        }
        self.mask_known(mask_assignments(value, &mut |_| {}))
    }

    /// A line of a config, as the value of that option if it is known which it is of.
    #[must_use]
    pub fn mask_line(&self, option: Option<&str>, line: &str) -> String {
        if option.is_some_and(is_regex) {
            return self.mask_known(line.to_owned());
        }
        let masked = Reading::default().line(line, &mut |_| {});
        self.mask_known(masked)
    }

    /// Words about a config, such as fail2ban's on what it refuses. Those about an expression may name anything.
    #[must_use]
    pub fn mask_words(&self, words: &str) -> String {
        if words.contains("regex") || words.contains("regular expression") {
            return self.mask_known(words.to_owned());
        }
        self.mask_known(mask_assignments(words, &mut |_| {}))
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
        let is_comment = is_comment(line);
        let is_continued = bare.len() < line.len() && !is_comment;
        let code = bare.trim_start_matches(['#', ';', ' ', '\t']);
        if bare.starts_with('[') {
            *self = Self::default();
        }
        if let Some((name, value)) = assignment(code) {
            let is_secret = is_secret(name);
            if !is_comment && !is_continued {
                self.is_secret = is_secret;
                self.is_regex = is_regex(name);
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

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['#', ';'])
}

fn is_regex(option: &str) -> bool {
    let ends = ["regex", "regex_", "pattern"];
    ends.iter().any(|end| option.ends_with(end))
}

/// The name of an option at the beginning of a line, and its value without blanks before it.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let at = line.bytes().position(introduces)?;
    let (name, value) = (line.get(..at)?.trim_end(), line.get(at + 1..)?);
    let fits = |c: char| c.is_alphanumeric() || "_-./?".contains(c);
    (!name.is_empty() && name.chars().all(fits)).then(|| (name, value.trim_start()))
}

/// Whether a value begins after it: no other character has such a byte in it.
fn introduces(byte: u8) -> bool {
    matches!(byte, b'=' | b':')
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
    for (at, byte) in text.bytes().enumerate() {
        if at < from || !introduces(byte) {
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
    use std::fs;

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
    fn what_is_said_of_a_config_has_none_of_its_secrets() {
        let config = tempfile::tempdir().unwrap();
        let write = |place: &str, text: &str| {
            let path = config.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "jail.d/web.conf",
            "[web]\naction = mail[password=\"abcdefgh\"]\n",
        );
        write(
            "action.d/mail.local",
            "[Init]\npassword of the relay\ntoken =\n  second-line\n",
        );
        write(
            "action.d/mail.py",
            "def mail(password=invalid):\n    pass\n",
        );
        write("filter.d/web.conf", "[Definition]\npublickey = invalid\n");
        let mut secrets = Secrets::default();
        secrets.learn_config(config.path());
        assert_eq!(format!("{secrets:?}"), "Secrets(3)");
        for (words, masked) in [
            (
                "an action of 'abcdefgh' is invalid",
                "an action of '********' is invalid",
            ),
            (
                "[line  2]: 'password of the relay\\n'",
                "[line  2]: 'password ********\\n'",
            ),
            (
                "option apikey=xyz is not known",
                "option apikey=******** is not known",
            ),
            (
                "failregex: 'token: (.*' of second-line",
                "failregex: 'token: (.*' of ********",
            ),
        ] {
            assert_eq!(secrets.mask_words(words), masked);
        }
        assert_eq!(
            secrets.mask_line(Some("password"), "password = xyz"),
            "password = ********"
        );
        assert_eq!(
            secrets.mask_line(Some("failregex"), "^token: xyz$"),
            "^token: xyz$"
        );
    }

    /// As deep, and by whatever name; words of other files may be any, and would be masked in all that is said.
    #[test]
    fn secrets_are_learned_from_what_fail2ban_reads() {
        let config = tempfile::tempdir().unwrap();
        let write = |place: &str, text: &str| {
            let path = config.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "action.d/mail.d/own.local",
            "[INCLUDES]\nbefore = ../../keys.inc\n  more.inc\nafter =\n[Init]\npassword = in-depth\n",
        );
        write("keys.inc", "[Init]\ntoken = included\n");
        write("keys.local", "[Init]\ntoken = beside-it\n");
        write("action.d/mail.d/more.inc", "[Init]\ntoken = included-too\n");
        write("jail.d/README", "password: repeated failures\n");
        write("jail.d/web.conf.bak", "[web]\npassword = sshd-ddos\n");
        write(
            "other.inc",
            "[Init]\nbefore = keys.inc\npassword = protects\n",
        );
        let mut secrets = Secrets::default();
        secrets.learn_config(config.path());
        let learned: Vec<_> = secrets.0.iter().map(String::as_str).collect();
        assert_eq!(
            learned,
            ["beside-it", "in-depth", "included", "included-too"]
        );
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
