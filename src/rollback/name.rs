//! Jail names that are safe as a file name and as a section.

use std::fmt;

/// Longest name that becomes a file name.
const LONGEST: usize = 64;

/// Names that mean something else to fail2ban: `--all` is its word for every jail in a reload,
/// `DEFAULT`, `INCLUDES` and `KNOWN` are its own sections, and a `set NAME …` on any other is taken
/// for a setting of the server (fail2ban 1.0.2 server/transmitter.py, `__commandSet`).
const RESERVED: [&str; 12] = [
    "--all",
    "DEFAULT",
    "INCLUDES",
    "KNOWN",
    "allowipv6",
    "dbfile",
    "dbmaxmatches",
    "dbpurgeage",
    "loglevel",
    "logtarget",
    "syslogsocket",
    "thread",
];

/// A jail's name that may become a file name and a section header as it is:
/// `^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`, and not one that fail2ban takes for something else.
///
/// fail2ban itself allows nearly anything (`/`, `..`, spaces); such a jail has no rollback file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JailName(Box<str>);

/// Why a jail's name cannot become a file name. The text shows the name escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no character at all.
    #[error(
        "a jail with an empty name cannot have a rollback file; give the section in the jail file a name"
    )]
    Empty,
    /// The name is longer than 64 bytes.
    #[error(
        "the jail name \"{shown}…\" has {length} bytes, and a rollback file's name has room for 64; \
         disable that jail by hand with `enabled = false`"
    )]
    TooLong {
        /// The first bytes of it, escaped.
        shown: String,
        /// Its length in bytes.
        length: usize,
    },
    /// fail2ban takes the name for something else.
    #[error(
        "the jail name \"{name}\" is a word of fail2ban's own, and a jail of that name does harm; \
         rename the section in the jail file"
    )]
    Reserved {
        /// The name.
        name: &'static str,
    },
    /// The first character is not a letter or a digit.
    #[error(
        "the jail name \"{shown}\" begins with {found}, and a rollback file's name must begin with an \
         ASCII letter or digit; disable that jail by hand with `enabled = false`"
    )]
    BadStart {
        /// The name, escaped.
        shown: String,
        /// The character, quoted and escaped.
        found: String,
    },
    /// A character is none of the safe ones.
    #[error(
        "the jail name \"{shown}\" has {found} at byte {at}, and a rollback file's name may hold only \
         ASCII letters, digits, '_', '.' and '-'; disable that jail by hand with `enabled = false`"
    )]
    BadCharacter {
        /// The name, escaped.
        shown: String,
        /// The character, quoted and escaped.
        found: String,
        /// Where it is, in bytes from 1.
        at: usize,
    },
}

impl JailName {
    /// Checks a name.
    ///
    /// # Errors
    /// The first rule that the name breaks.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if let Some(&name) = RESERVED.iter().find(|&&reserved| reserved == name) {
            return Err(NameError::Reserved { name });
        }
        if name.len() > LONGEST {
            return Err(NameError::TooLong {
                shown: name.chars().take(32).flat_map(char::escape_debug).collect(),
                length: name.len(),
            });
        }
        let shown = || name.escape_debug().to_string();
        let found = |c: char| format!("'{}'", c.escape_debug());
        let first = name.chars().next().ok_or(NameError::Empty)?;
        if !first.is_ascii_alphanumeric() {
            return Err(NameError::BadStart {
                shown: shown(),
                found: found(first),
            });
        }
        if let Some((at, c)) = name.char_indices().find(|&(_, c)| !is_safe(c)) {
            return Err(NameError::BadCharacter {
                shown: shown(),
                found: found(c),
                at: at + 1,
            });
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JailName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_is_safe() {
        let longest = "a".repeat(64);
        for name in [
            "sshd",
            "a",
            "0",
            "nginx-http-auth",
            "web.v2_x",
            "a..b",
            &longest,
        ] {
            assert_eq!(JailName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_each_rule_with_the_name_shown() {
        let cases = [
            ("", "empty name"),
            (".hidden", "begins with '.'"),
            ("..", "begins with '.'"),
            ("-x", "begins with '-'"),
            ("../../etc/cron.d/x", "begins with '.'"),
            ("a/b", "'/' at byte 2"),
            ("a b", "' ' at byte 2"),
            ("a]b", "']' at byte 2"),
            ("a\n[DEFAULT]", r"'\n' at byte 2"),
            ("a\u{1b}[2J", r"'\u{1b}' at byte 2"),
            ("a\0", r"'\0' at byte 2"),
            ("żółw", "begins with 'ż'"),
            ("caf\u{e9}", "'é' at byte 4"),
            ("--all", "fail2ban's own"),
            ("logtarget", "fail2ban's own"),
            ("DEFAULT", "fail2ban's own"),
        ];
        for (name, part) in cases {
            let text = JailName::new(name).unwrap_err().to_string();
            assert!(text.contains(part), "{name:?}: {text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        let long = JailName::new(&"a".repeat(65)).unwrap_err().to_string();
        assert!(long.contains("65 bytes") && long.len() < 200, "{long}");
    }
}
