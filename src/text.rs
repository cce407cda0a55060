//! Words of others, made safe to print.

use std::fmt::Write as _;
use std::path::Path;

/// Characters that no terminal should get from a stranger: controls, and those that reorder or hide
/// text (Unicode 15, `Bidi_Control`, and the zero-width and invisible ones).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// One line of text, with what is unsafe as Rust would write it (`\u{1b}`); a tab becomes a blank.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(' '),
            c if is_unsafe(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// JSON in which what is unsafe is escaped, also where JSON itself does not ask for it.
pub(crate) fn safe_json(value: &serde_json::Value) -> String {
    escaped(&format!("{value:#}\n"))
}

/// The same in one line.
pub(crate) fn safe_json_line(value: &serde_json::Value) -> String {
    escaped(&value.to_string())
}

fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !is_unsafe(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// The path as seen from `cwd` where it lies below, as it is otherwise.
pub(crate) fn near<'a>(path: &'a Path, cwd: &Path) -> &'a Path {
    if cwd.parent().is_none() {
        return path;
    }
    path.strip_prefix(cwd).unwrap_or(path)
}

/// How a person calls jailwarden for an instance, to be followed by a command; none is the host's own.
pub(crate) fn called(instance: Option<&str>) -> String {
    match instance {
        Some(name) => format!("jailwarden --instance {name}"),
        None => "jailwarden".to_owned(),
    }
}

/// `1 jail`, `2 jails`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}
