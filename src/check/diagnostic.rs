//! One thing that is wrong, and what to say about it.

use std::ops::Range;
use std::path::PathBuf;

use crate::fail2ban::finding::FindingKind;

/// One thing that is wrong with a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What it is, and so what follows.
    pub kind: Kind,
    /// The jails concerned; none where it is the whole config.
    pub jails: Vec<String>,
    /// The file at fault, or the missing one.
    pub file: Option<PathBuf>,
    /// The line in `file`, from 1.
    pub line: Option<u32>,
    /// What stands in that line, without the blanks around it.
    pub source: Option<String>,
    /// The option at fault, such as `failregex`.
    pub option: Option<String>,
    /// Its value as fail2ban read it.
    pub value: Option<String>,
    /// fail2ban's words.
    pub words: String,
}

/// How grave something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something that should run does not.
    Error,
    /// What should run starts, but hardly as it was meant.
    Warning,
    /// As it was asked for; no fault.
    Note,
}

/// The kinds of things that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// fail2ban refuses the whole config.
    Unreadable,
    /// The jail is left out.
    JailSkipped,
    /// The file is left out.
    FileIgnored,
    /// A log file is not there.
    NoLogFile,
    /// A log file is not there, and `skip_if_nologs` says that this is fine.
    LogAwaited,
    /// A number is missing or none.
    BadNumber,
    /// A word is taken for false that nobody means by it.
    NotBoolean,
    /// A jail has a name that fail2ban needs itself.
    ReservedName,
    /// fail2ban's server refuses a setting.
    Refused,
    /// A jail that was named is not enabled.
    NotEnabled,
    /// A jail has no `failregex`: it finds nobody, which is meant where bans are set by hand.
    NoFailregex,
    /// Any other error of fail2ban.
    Other,
}

impl Kind {
    /// All kinds, in the order of SARIF's rules.
    pub const ALL: [Self; 12] = [
        Self::Unreadable,
        Self::JailSkipped,
        Self::FileIgnored,
        Self::NoLogFile,
        Self::LogAwaited,
        Self::BadNumber,
        Self::NotBoolean,
        Self::ReservedName,
        Self::Refused,
        Self::NotEnabled,
        Self::NoFailregex,
        Self::Other,
    ];

    /// The name that programs know it by; it never changes.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Unreadable => "config-unreadable",
            Self::JailSkipped => "jail-skipped",
            Self::FileIgnored => "file-ignored",
            Self::NoLogFile => "no-log-file",
            Self::LogAwaited => "log-awaited",
            Self::BadNumber => "bad-number",
            Self::NotBoolean => "not-boolean",
            Self::ReservedName => "reserved-name",
            Self::Refused => "setting-refused",
            Self::NotEnabled => "not-enabled",
            Self::NoFailregex => "no-failregex",
            Self::Other => "other-error",
        }
    }

    /// How grave it is.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::LogAwaited | Self::NoFailregex => Level::Note,
            Self::NotBoolean | Self::Other => Level::Warning,
            _ => Level::Error,
        }
    }

    /// What follows from it, measured with fail2ban 1.0.2, 1.1.0 and 1.1.1.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Unreadable => {
                "fail2ban refuses the whole config: it does not start, and every reload fails"
            }
            Self::JailSkipped => "fail2ban leaves this jail out; the other jails run",
            Self::FileIgnored => {
                "fail2ban leaves this file out in silence (1.1.1 refuses the whole config instead)"
            }
            Self::NoLogFile => {
                "until the file is there, fail2ban does not start, and every reload fails"
            }
            Self::LogAwaited => {
                "the jail is left out until the file is there, as skip_if_nologs says"
            }
            Self::BadNumber | Self::Refused => {
                "after a start no jail protects, and a reload takes jails away, though fail2ban-client -t may say OK"
            }
            Self::NotBoolean => {
                "fail2ban takes every word but true, yes, on and 1 for false, and says nothing"
            }
            Self::ReservedName => "fail2ban takes the jail's settings for its own",
            Self::NotEnabled => "fail2ban does not run this jail",
            Self::NoFailregex => "the jail runs and bans nobody by itself",
            Self::Other => "fail2ban starts all the same, but not as this was meant",
        }
    }

    /// What to do about it, where nothing more is known.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unreadable => {
                "mend it; fail2ban stops at the first such fault, so check again after it"
            }
            Self::JailSkipped => "mend the name or the file, or set `enabled = false`",
            Self::FileIgnored => "make it a file that fail2ban can read: regular, and UTF-8",
            Self::NoLogFile => {
                "mend `logpath`, make the file where it is missing (a plain user may not see it), or set `enabled = false`; with --allow-missing-logs \
                 this is no fault"
            }
            Self::LogAwaited => "nothing, if the log is yet to come",
            Self::BadNumber => "give a whole number",
            Self::NotBoolean => "write true or false; a comment needs a line of its own",
            Self::ReservedName => "give the jail another name",
            Self::Refused => "mend the value",
            Self::NoFailregex => {
                "nothing, if it is there for bans by hand; else give its filter a failregex"
            }
            Self::NotEnabled => "set `enabled = true` in the jail's section, or mend the name",
            Self::Other => "mend the file",
        }
    }
}

impl From<FindingKind> for Kind {
    fn from(kind: FindingKind) -> Self {
        match kind {
            FindingKind::Unreadable => Self::Unreadable,
            FindingKind::JailSkipped => Self::JailSkipped,
            FindingKind::FileIgnored => Self::FileIgnored,
            FindingKind::NoLogFile => Self::NoLogFile,
            FindingKind::LogAwaited => Self::LogAwaited,
            FindingKind::BadNumber => Self::BadNumber,
            FindingKind::NotBoolean => Self::NotBoolean,
            FindingKind::ReservedName => Self::ReservedName,
            FindingKind::Refused => Self::Refused,
            FindingKind::Other => Self::Other,
        }
    }
}

impl Level {
    /// The word for it, in human words as in SARIF and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Diagnostic {
    /// How grave it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.kind.level()
    }

    /// What follows from it.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        if self.kind == Kind::Refused && self.option.as_deref() == Some("datepattern") {
            // server/datedetector.py compiles it when the first line comes.
            return "the jail starts and then sees nothing, since fail2ban meets this at the log's first line";
        }
        self.kind.meaning()
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        if self.is_no_utf8() {
            return "save the file as UTF-8";
        }
        let option = self
            .option
            .as_deref()
            .filter(|_| self.kind == Kind::Refused);
        match option {
            Some("failregex" | "ignoreregex" | "prefregex" | "datepattern") => {
                "mend the expression; `fail2ban-regex LOG FILTER` shows what it matches"
            }
            Some("backend") => "fail2ban knows auto, polling, pyinotify and systemd",
            Some("bantime" | "findtime" | "bantime.maxtime" | "bantime.rndtime") => {
                "give seconds, or a number with a unit: s, m, h, d, w, mo, y"
            }
            Some("maxretry" | "maxmatches" | "maxlines") => "give a whole number",
            Some("usedns") => "fail2ban knows yes, warn, no and raw",
            _ => self.kind.advice(),
        }
    }

    /// Whether Python could not decode the file.
    pub(super) fn is_no_utf8(&self) -> bool {
        self.words.starts_with("Error decoding config file ")
    }

    /// Whom it concerns and what it is, in one line: `jail web: No such filter`.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.jails.as_slice() {
            [] => self.words.clone(),
            [jail] => format!("jail {jail}: {}", self.words),
            [a, b] => format!("jails {a} and {b}: {}", self.words),
            [a, b, rest @ ..] => format!("jails {a}, {b} and {} more: {}", rest.len(), self.words),
        }
    }
}

/// The part of `source` that is at fault: the value if it stands there, or what follows the
/// option's name, or all of it.
pub(super) fn at_fault(source: &str, option: Option<&str>, value: Option<&str>) -> Range<usize> {
    let value = value.map(str::trim).filter(|value| !value.is_empty());
    if let Some((value, at)) = value.and_then(|value| Some((value, source.rfind(value)?))) {
        return at..at + value.len();
    }
    let names_option = |rest: &str| rest.trim_start().starts_with(['=', ':']);
    let rest = option.and_then(|option| {
        let head = source.get(..option.len())?;
        let rest = source.get(option.len()..)?;
        (head.eq_ignore_ascii_case(option) && names_option(rest)).then_some(rest)
    });
    let said = rest.map(|rest| {
        rest.trim_start()
            .trim_start_matches(['=', ':'])
            .trim_start()
    });
    let begin = said
        .filter(|said| !said.is_empty())
        .map_or(0, |said| source.len() - said.len());
    begin..source.len()
}
