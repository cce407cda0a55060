//! What fail2ban's words say of a start that failed.

use super::super::literal;
use super::super::ownlog::{Level, Line, Message, messages};
use super::{Evidence, Trouble};

/// Words, in small letters, and the trouble that they stand for; the first that fits counts.
const TROUBLES: [(&[&str], Trouble); 10] = [
    (
        &[
            "no space left on device",
            "database or disk is full",
            "disk quota exceeded",
        ],
        Trouble::NoRoom,
    ),
    (
        &["read-only file system", "write a readonly database"],
        Trouble::ReadOnly,
    ),
    (
        &["database is locked", "database table is locked"],
        Trouble::DatabaseLocked,
    ),
    (
        &[
            "is not a database",
            "disk image is malformed",
            "malformed database schema",
        ],
        Trouble::DatabaseDamaged,
    ),
    (
        &["too many open files", "instance of inotify"],
        Trouble::TooManyFiles,
    ),
    (
        &[
            "memoryerror",
            "cannot allocate memory",
            "start new thread",
            "resource temporarily unavailable",
        ],
        Trouble::OutOfMemory,
    ),
    (
        &[
            "no module named ",
            "cannot import name ",
            "importerror",
            "fatal python error",
            "undefined symbol",
        ],
        Trouble::Python,
    ),
    (
        &["permission denied", "operation not permitted"],
        Trouble::Denied,
    ),
    (
        &[
            "server already running",
            "not running but the socket exists",
        ],
        Trouble::SocketInTheWay,
    ),
    (
        &["base configuration directory", "no such file or directory"],
        Trouble::Missing,
    ),
];

/// Words that name what cannot be used, and not why.
const VAGUE: [(&[&str], Trouble); 4] = [
    (
        &[
            "unable to open database file",
            "fail2ban persistent database",
            "disk i/o error",
            "failed to fully update",
        ],
        Trouble::DatabaseUnusable,
    ),
    (
        &["failed to change log target", "unable to log to "],
        Trouble::LogUnusable,
    ),
    (&["unable to bind socket"], Trouble::SocketUnusable),
    (
        &["-- returned 127", "command not found"],
        Trouble::MissingProgram,
    ),
];

/// Messages that only repeat that there were others, that something waited in vain, or that somebody asked
/// for a jail that is not there yet.
const ECHOES: [&str; 10] = [
    "Async configuration of server failed",
    "Init of command line failed",
    "Could not find server",
    "Could not start server. Maybe an old ",
    "Could not start fail2ban-server",
    "Exception while starting server ",
    "Failed to access socket path",
    "NOK: ()",
    "Command ['status', ",
    "Command ['get', ",
];

/// Errors that fail2ban lives with, whatever they say.
const HARMLESS: [&str; 4] = [
    "Unable to create PID file",
    "Unable to remove PID file",
    "Error opening fail2ban persistent database",
    "Error repairing of fail2ban database",
];

/// The most words of each kind that are kept: the first tell the most.
const KEPT: usize = 16;

/// Frames of messages that end a start, before they are filled in.
const UNLOGGED: [&str; 2] = ["NOK: %r", "Could not start server: %s"];

/// What was said, in order.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What ended the start.
    pub(super) fatal: Vec<Evidence>,
    /// Other errors.
    pub(super) other: Vec<Evidence>,
}

impl Said {
    /// Puts what was said earlier before this.
    pub(super) fn extend_front(&mut self, mut earlier: Self) {
        earlier.fatal.append(&mut self.fatal);
        earlier.other.append(&mut self.other);
        *self = earlier;
    }
}

/// What fail2ban's own log says. `bare` lines, which have no head, are errors, if they are from the
/// journal, of which nothing less grave is given to us.
pub(super) fn of_log(lines: &[Line], bare: bool) -> Said {
    let mut said = Said::default();
    if let Some(first) = lines.first().filter(|line| line.cut)
        && let Some((_, received)) = first.text.rsplit_once(" has failed. Received ")
    {
        // A config of a hundred jails makes this line longer than what is read of the log.
        add(&mut said.fatal, Some(first), None, &words_of(received));
    }
    let messages = messages(lines);
    if bare && messages.is_empty() {
        for line in lines.iter().filter(|line| !line.text.trim().is_empty()) {
            match fatal_words("", &line.text) {
                Some(words) => add(&mut said.fatal, Some(line), None, &words),
                None => add(&mut said.other, Some(line), None, &line.text),
            }
        }
        return said;
    }
    collect(&mut said, lines, &messages);
    said
}

/// What the start command printed.
pub(super) fn of_output(output: &str) -> Said {
    let lines: Vec<Line> = output.lines().map(Line::of).collect();
    let mut said = of_log(&lines, false);
    let mut not_logged = Said::default();
    let mut in_logging_error = false;
    let mut is_fatal = false;
    for line in output.lines().map(str::trim) {
        if in_logging_error {
            // A message that could not be logged: Python prints a traceback, then `Message: 'NOK: %r'`
            // and `Arguments: (('…',),)` (`handleError` of its logging).
            if let Some(message) = line.strip_prefix("Message: ") {
                is_fatal = UNLOGGED.iter().any(|frame| message.contains(frame));
            } else if let Some(arguments) = line.strip_prefix("Arguments: ") {
                if is_fatal {
                    let arguments: String = arguments.chars().take(600).collect();
                    add(&mut not_logged.fatal, None, None, &words_of(&arguments));
                }
                in_logging_error = false;
            }
        } else if line == "--- Logging error ---" {
            in_logging_error = true;
            is_fatal = false;
        } else if is_missing_program(line) {
            let evidence = Evidence::of(Some(Trouble::MissingProgram), None, line);
            said.fatal.push(evidence);
        } else if let Some(words) = line.strip_prefix("ERROR: ") {
            add(&mut said.fatal, None, None, words);
        } else if is_exception(line) {
            add(&mut said.fatal, None, None, line);
        }
    }
    said.fatal.append(&mut not_logged.fatal);
    said
}

fn collect(said: &mut Said, lines: &[Line], messages: &[Message]) {
    let mut jail = None;
    for message in messages {
        let words = &message.words;
        if is_start(words) {
            jail = None;
            continue;
        }
        if let Some(named) = jail_at_work(words) {
            jail = Some(named);
            continue;
        }
        if message.level < Level::Warning || ECHOES.iter().any(|echo| words.starts_with(echo)) {
            continue;
        }
        if message.level == Level::Warning {
            if let Some(jail) = without_log(words) {
                said.fatal.push(Evidence {
                    jail: Some(jail.to_owned()),
                    ..Evidence::of(None, None, words)
                });
            }
            continue;
        }
        let line = lines.get(message.line);
        match fatal_words(&message.logger, words) {
            Some(words) => add(&mut said.fatal, line, jail, &words),
            None => add(&mut said.other, line, None, words),
        }
    }
    for evidence in &mut said.fatal {
        if evidence.jail.is_none() {
            evidence.jail = without_log(&evidence.words).map(str::to_owned);
        }
    }
}

/// Whether the jails have got all their commands, and are being started.
fn is_start(words: &str) -> bool {
    words.starts_with("Jail '") && words.ends_with("' started")
}

/// The jail whose commands are being taken from here on.
fn jail_at_work(words: &str) -> Option<&str> {
    let frames = ["Creating new jail '", "Reload jail '"];
    let named = frames.iter().find_map(|begin| words.strip_prefix(begin))?;
    named.strip_suffix('\'')
}

/// The jail in `Have not found any log file for J jail`, in 1.1.1 `… for 'J' jail.`
fn without_log(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once("Have not found any log file for ")?;
    let rest = rest.split_once(" jail")?.0;
    Some(rest.trim_matches('\''))
}

/// The words of a message that ends a start, without its frame.
fn fatal_words(logger: &str, words: &str) -> Option<String> {
    if let Some((_, received)) = words.rsplit_once(" has failed. Received ") {
        return Some(words_of(received));
    }
    let frames = [
        "NOK: ",
        "Failed during configuration: ",
        "Could not start server: ",
    ];
    if let Some(rest) = frames.iter().find_map(|frame| words.strip_prefix(frame)) {
        return Some(words_of(rest));
    }
    // Whatever else the client says as an error, it gave up with.
    let is_end = logger == "fail2ban" || words.starts_with("Too many errors - critical count");
    is_end.then(|| words.to_owned())
}

/// The text in Python's `repr` of an exception or of its arguments: `('database is locked',)`,
/// `OperationalError('database is locked')`, `(24, 'Too many open files')`.
fn words_of(repr: &str) -> String {
    if repr.contains("'<string>'") {
        // A time that is none is evaluated, and shown only behind the words `invalid syntax`.
        return one_line(repr);
    }
    let starts = repr.match_indices(['(', ' ']).map(|(at, _)| at + 1);
    let text = starts
        .take(4)
        .find_map(|at| literal::leading_string(&repr[at..]).ok());
    one_line(&text.unwrap_or_else(|| repr.to_owned()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The last line of a traceback that ends Python, as far as it tells of its surroundings.
fn is_exception(line: &str) -> bool {
    const NAMES: [&str; 9] = [
        "ImportError: ",
        "ModuleNotFoundError: ",
        "SyntaxError: ",
        "IndentationError: ",
        "AttributeError: module ",
        "MemoryError",
        "PermissionError: ",
        "OSError: ",
        "Fatal Python error: ",
    ];
    NAMES.iter().any(|name| line.starts_with(name))
}

/// What a shell, `env`, `sudo` or systemd says of a program that is not there.
fn is_missing_program(line: &str) -> bool {
    let of_shell = line.ends_with(": not found") || line.ends_with(": command not found");
    let of_env = line.starts_with("env: ") && line.ends_with(": No such file or directory");
    let of_interpreter = line.contains("bad interpreter: No such file or directory");
    let of_systemd = line.contains("Failed to locate executable ")
        || line.contains("Failed at step EXEC spawning ");
    of_shell || of_env || of_interpreter || of_systemd
}

fn add(list: &mut Vec<Evidence>, line: Option<&Line>, jail: Option<&str>, words: &str) {
    let place = line.and_then(Line::place);
    if list.len() >= KEPT {
        return;
    }
    // A file that a jail names, and that is not there, is a matter of its config.
    let of_jail = |trouble: &Trouble| *trouble == Trouble::Missing && jail.is_some();
    list.push(Evidence {
        trouble: trouble(words).filter(|trouble| !of_jail(trouble)),
        jail: jail.map(str::to_owned),
        file: place.map(|(file, _)| file.to_owned()),
        line: place.and_then(|(_, line)| line),
        words: words.to_owned(),
    });
}

/// The trouble that words stand for.
pub(super) fn trouble(words: &str) -> Option<Trouble> {
    if HARMLESS.iter().any(|begin| words.starts_with(begin)) {
        return None;
    }
    let small = words.to_lowercase();
    let fits = |marks: &[&str]| marks.iter().any(|mark| small.contains(mark));
    let known = TROUBLES.iter().chain(&VAGUE).find(|(marks, _)| fits(marks));
    // `invalid syntax (server.py, line 976)`, of a module of fail2ban's that does not parse. A bad time
    // in the config is a syntax error too, but of `<string>`.
    let begins = |marks: &[&str]| marks.iter().any(|mark| small.starts_with(mark));
    let broken_module = small.contains(".py, line ")
        || (begins(&[
            "syntaxerror: ",
            "indentationerror: ",
            "attributeerror: module ",
        ]) && !small.contains("<string>"));
    known
        .map(|(_, trouble)| *trouble)
        .or(broken_module.then_some(Trouble::Python))
}
