//! From one YAML value to one checked setting; what is wrong is told with its place.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Severity;
use super::yaml::{Fault, Node, Value};

/// `sun_path` holds 108 bytes with the closing NUL (`man 7 unix`).
const SOCKET_PATH_LIMIT: usize = 107;

/// The longest unit name (`UNIT_NAME_MAX` in systemd's basic/unit-def.h, and `man systemd.unit`).
const UNIT_NAME_LIMIT: usize = 255;

/// More of a wrong value than this helps nobody.
const SHOWN_CHARS: usize = 60;

/// Words of the file as they go into a message: escaped, and cut where they are long.
pub(super) fn clipped(text: &str) -> String {
    let mut clipped: String = text.escape_debug().take(SHOWN_CHARS).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        clipped.push('…');
    }
    clipped
}

/// A value as it goes into a message: [`clipped`], in quotes.
pub(super) fn shown(text: &str) -> String {
    format!("\"{}\"", clipped(text))
}

/// A duration within `range`, written with units.
pub(super) fn duration(node: &Node, range: &RangeInclusive<Duration>) -> Result<Duration, Fault> {
    let text = match &node.value {
        Value::Text(text) | Value::Number(text) => text.trim(),
        _ => return Err(wanted("a duration, such as 10s, 500ms or 5m", node)),
    };
    let value = parse_duration(text).map_err(|what| node.fault(what))?;
    let written = |limit: &Duration| humantime::format_duration(*limit).to_string();
    if value < *range.start() {
        let least = written(range.start());
        return Err(node.fault(format!("{} is too short: at least {least}", shown(text))));
    }
    if value > *range.end() {
        let most = written(range.end());
        return Err(node.fault(format!("{} is too long: at most {most}", shown(text))));
    }
    Ok(value)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a number with a unit, such as 10s, 500ms or 5m";
    if !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(format!("{} has no unit: {expected}", shown(text)));
    }
    if text
        .split(|c: char| !c.is_alphabetic())
        .any(|unit| unit == "M")
    {
        let minutes = shown(&text.replace('M', "m"));
        return Err(format!(
            "{} counts months, as M does: write {minutes} for minutes",
            shown(text)
        ));
    }
    // humantime 2.4.0 panics on 18446744073709551615s 1000ms.
    if text
        .split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits.len() > 12)
    {
        return Err(format!("{} is too long a number: {expected}", shown(text)));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("{} is not a duration: {expected}", shown(text)))
}

/// An absolute path.
pub(super) fn path(node: &Node) -> Result<PathBuf, Fault> {
    let Value::Text(text) = &node.value else {
        return Err(wanted("a path", node));
    };
    if text.chars().any(char::is_control) {
        return Err(node.fault(format!("{} has a control character in it", shown(text))));
    }
    if !text.starts_with('/') {
        return Err(node.fault(format!(
            "{} is not an absolute path: begin it with /",
            shown(text)
        )));
    }
    Ok(PathBuf::from(text))
}

/// An absolute path, or `none`.
pub(super) fn path_or_none(node: &Node) -> Result<Option<PathBuf>, Fault> {
    match &node.value {
        Value::Text(text) if text.eq_ignore_ascii_case("none") => Ok(None),
        _ => path(node).map(Some),
    }
}

/// An absolute path that a Unix socket can have.
pub(super) fn socket(node: &Node) -> Result<PathBuf, Fault> {
    let path = path(node)?;
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_LIMIT {
        return Err(node.fault(format!(
            "a path of {length} bytes is too long for a socket: at most {SOCKET_PATH_LIMIT}"
        )));
    }
    Ok(path)
}

/// As [`socket`]; `none` is [`None`].
pub(super) fn socket_or_none(node: &Node) -> Result<Option<PathBuf>, Fault> {
    match &node.value {
        Value::Text(text) if text.eq_ignore_ascii_case("none") => Ok(None),
        Value::Text(_) => socket(node).map(Some),
        _ => Err(wanted("a path or none", node)),
    }
}

/// A loopback address with a port, or `none`.
pub(super) fn loopback_or_none(node: &Node) -> Result<Option<SocketAddr>, Fault> {
    let expected = "an address of this host with a port, such as 127.0.0.1:9117, or none";
    let text = match &node.value {
        Value::Text(text) if text.eq_ignore_ascii_case("none") => return Ok(None),
        Value::Text(text) => text,
        // What YAML makes of [::1]:9117.
        Value::List(_) => {
            let what = format!("expected {expected}, found a list: put [::1]:9117 in quotes");
            return Err(node.fault(what));
        }
        _ => return Err(wanted(expected, node)),
    };
    let address: SocketAddr = text.parse().map_err(|_| wanted(expected, node))?;
    if !address.ip().is_loopback() {
        return Err(node.fault(format!(
            "{} is not a loopback address: the page asks nobody who they are, so it is for this host \
             alone; from elsewhere: ssh -L 9117:127.0.0.1:9117 HOST",
            shown(text)
        )));
    }
    if address.port() == 0 {
        return Err(node.fault("port 0 is a new one at each start: name one, such as 9117"));
    }
    Ok(Some(address))
}

/// A list of users, each by its name.
pub(super) fn users(node: &Node) -> Result<Vec<String>, Fault> {
    let Value::List(items) = &node.value else {
        return Err(wanted("a list of users, such as [alice, bob]", node));
    };
    // What passwd(5) cannot hold, or no user would have.
    let is_foreign = |c: char| c == ':' || c == '/' || c.is_control() || c.is_whitespace();
    let user = |item: &Node| match &item.value {
        Value::Text(name) if !name.is_empty() && !name.contains(is_foreign) => Ok(name.clone()),
        Value::Text(name) => {
            Err(item.fault(format!("{} cannot be the name of a user", shown(name))))
        }
        _ => Err(wanted("the name of a user", item)),
    };
    items.iter().map(user).collect()
}

/// `true` or `false`, and no other word for them.
pub(super) fn boolean(node: &Node) -> Result<bool, Fault> {
    match node.value {
        Value::Boolean(value) => Ok(value),
        _ => Err(wanted("true or false", node)),
    }
}

/// The name of a systemd service; `none` is [`None`].
pub(super) fn unit(node: &Node) -> Result<Option<String>, Fault> {
    let expected = "a systemd service, such as fail2ban.service, or none";
    let Value::Text(text) = &node.value else {
        return Err(wanted(expected, node));
    };
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    // `man systemd.unit`: "a valid unit name" has ASCII letters, digits, and `:-_.\`, `@` besides.
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    match text.strip_suffix(".service") {
        Some(name) if !name.is_empty() && text.len() <= UNIT_NAME_LIMIT => {
            if text.bytes().all(lawful) {
                return Ok(Some(text.clone()));
            }
            Err(node.fault(format!(
                "{} cannot be the name of a unit: expected {expected}",
                shown(text)
            )))
        }
        None if !text.is_empty() && text.bytes().all(|byte| lawful(byte) && byte != b'.') => {
            Err(node.fault(format!(
                "{} is not a service, did you mean {}?",
                shown(text),
                shown(&format!("{text}.service"))
            )))
        }
        _ => Err(node.fault(format!(
            "{} is not a service: expected {expected}",
            shown(text)
        ))),
    }
}

/// A command: a program alone, or a list of a program and its words. No shell reads it.
pub(super) fn command(node: &Node) -> Result<Vec<OsString>, Fault> {
    let words = match &node.value {
        Value::Text(text) => {
            if text.contains(char::is_whitespace) {
                let split: Vec<&str> = text.split_whitespace().collect();
                let list = clipped(&format!("[{}]", split.join(", ")));
                return Err(node.fault(format!(
                    "{} has white space in it: write a list of words, such as `{list}`",
                    shown(text)
                )));
            }
            vec![word(node)?]
        }
        Value::List(items) => items.iter().map(word).collect::<Result<_, _>>()?,
        _ => return Err(wanted("a program or a list of words", node)),
    };
    let Some(program) = words.first().filter(|program| !program.is_empty()) else {
        return Err(node.fault("names no program"));
    };
    if Path::new(program).is_relative() && program.as_encoded_bytes().contains(&b'/') {
        return Err(node.fault(format!(
            "{} depends on the folder one is in: begin it with /, or write only the program's name",
            shown(&program.to_string_lossy())
        )));
    }
    Ok(words)
}

/// A command, or `none`.
pub(super) fn command_or_none(node: &Node) -> Result<Option<Vec<OsString>>, Fault> {
    match &node.value {
        Value::Text(text) if text.eq_ignore_ascii_case("none") => Ok(None),
        _ => command(node).map(Some),
    }
}

/// A severity by its name.
pub(super) fn severity(node: &Node) -> Result<Severity, Fault> {
    let expected = "alert, critical, error, warning, notice or info";
    let Value::Text(text) = &node.value else {
        return Err(wanted(expected, node));
    };
    let named = Severity::ALL.into_iter().find(|it| it.name() == text);
    named.ok_or_else(|| wanted(expected, node))
}

fn word(node: &Node) -> Result<OsString, Fault> {
    match &node.value {
        Value::Text(text) if text.contains('\0') => {
            Err(node.fault(format!("{} has a NUL character in it", shown(text))))
        }
        Value::Text(text) => Ok(text.into()),
        Value::Number(number) => {
            Err(node.fault(format!("the number {number} is no word: put it in quotes")))
        }
        Value::Boolean(value) => {
            Err(node.fault(format!("the boolean {value} is no word: put it in quotes")))
        }
        _ => Err(wanted("a word", node)),
    }
}

/// A value of the wrong type.
pub(super) fn wanted(expected: &str, node: &Node) -> Fault {
    let found = match &node.value {
        Value::Nothing => "nothing".to_owned(),
        Value::Text(text) => shown(text),
        Value::Number(number) => format!("the number {number}"),
        Value::Boolean(value) => format!("the boolean {value}"),
        Value::List(_) => "a list".to_owned(),
        Value::Section(_) => "a section".to_owned(),
    };
    node.fault(format!("expected {expected}, found {found}"))
}
