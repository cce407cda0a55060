//! A Python value, as read from a pickle or a literal.

use std::fmt;

/// A Python value; tuples, sets and lists are all [`Value::List`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer; one that does not fit is read as the nearest that does.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string, or bytes; what is not UTF-8 in them is read as U+FFFD.
    Str(String),
    /// A list, tuple, set or frozenset, in the order given.
    List(Vec<Value>),
    /// A dictionary, in the order given.
    Dict(Vec<(Value, Value)>),
    /// Anything built by a class that is not one of the above, such as an exception.
    Object {
        /// The class with its module: `builtins.ValueError`.
        class: String,
        /// What the class was called with.
        args: Vec<Value>,
    },
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl Value {
    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The number of an integer.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// What this value says to a person.
    ///
    /// A string is itself. An exception says what Python's `str()` of it would, with two differences
    /// that help: one without arguments gives its class, and a `SyntaxError` gives the text that does
    /// not parse (fail2ban evaluates times such as `10 parsecs` and reports them so) instead of a
    /// place in `<string>`.
    #[must_use]
    pub fn message(&self) -> String {
        let Self::Object { class, args } = self else {
            return self.plain();
        };
        match args.as_slice() {
            [] => short_name(class).to_owned(),
            [only] if is_key_error(class) => only.to_string(),
            [only] => only.plain(),
            [Self::Int(errno), Self::Str(text), rest @ ..] => match rest {
                [file, ..] if *file != Self::None => format!("[Errno {errno}] {text}: {file}"),
                _ => format!("[Errno {errno}] {text}"),
            },
            [Self::Str(text), Self::List(place)] if short_name(class) == "SyntaxError" => {
                match place.get(3) {
                    Some(source @ Self::Str(_)) => format!("{text}: {source}"),
                    _ => text.clone(),
                }
            }
            several => {
                let each: Vec<_> = several.iter().map(Self::to_string).collect();
                format!("({})", each.join(", "))
            }
        }
    }

    fn plain(&self) -> String {
        match self {
            Self::Str(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// `str(KeyError(x))` is `repr(x)`; fail2ban's `UnknownJailException` inherits it (`exceptions.py`).
fn is_key_error(class: &str) -> bool {
    matches!(short_name(class), "KeyError" | "UnknownJailException")
}

fn short_name(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// As Python's `repr()`: a list stands in brackets whatever it was, and an object as a call.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Str(text) => quoted(f, text),
            Self::List(items) => {
                f.write_str("[")?;
                listed(f, items)?;
                f.write_str("]")
            }
            Self::Dict(pairs) => {
                f.write_str("{")?;
                for (at, (key, value)) in pairs.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_str("}")
            }
            Self::Object { class, args } => {
                write!(f, "{}(", short_name(class))?;
                listed(f, args)?;
                f.write_str(")")
            }
        }
    }
}

fn listed(f: &mut fmt::Formatter<'_>, items: &[Value]) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    write!(f, "{quote}")?;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c == quote => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\x{:02x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    write!(f, "{quote}")
}
