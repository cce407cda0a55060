//! A Python value, as read from a pickle or a literal.

use std::fmt::{self, Write as _};

/// The most that is kept of what a value says to a person, in bytes.
pub const MAX_WORDS: usize = 16 << 10;

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
    /// place in `<string>`. What is longer than [`MAX_WORDS`] is cut.
    #[must_use]
    pub fn message(&self) -> String {
        let mut words = Words::default();
        // It fails when the words are full.
        let _ = self.say(&mut words);
        words.text
    }

    /// As Python's `repr()`, cut like [`Value::message`].
    #[must_use]
    pub fn brief(&self) -> String {
        let mut words = Words::default();
        let _ = write!(words, "{self}");
        words.text
    }

    fn say(&self, words: &mut Words) -> fmt::Result {
        let Self::Object { class, args } = self else {
            return self.say_plain(words);
        };
        match args.as_slice() {
            [] => words.write_str(short_name(class)),
            [only] if is_key_error(class) => write!(words, "{only}"),
            [only] => only.say_plain(words),
            [Self::Int(errno), Self::Str(text), rest @ ..] => match rest {
                [file, ..] if *file != Self::None => {
                    write!(words, "[Errno {errno}] {text}: {file}")
                }
                _ => write!(words, "[Errno {errno}] {text}"),
            },
            [Self::Str(text), Self::List(place)] if short_name(class) == "SyntaxError" => {
                match place.get(3) {
                    Some(source @ Self::Str(_)) => write!(words, "{text}: {source}"),
                    _ => words.write_str(text),
                }
            }
            several => write!(words, "({})", Listed(several)),
        }
    }

    fn say_plain(&self, words: &mut Words) -> fmt::Result {
        match self {
            Self::Str(text) => words.write_str(text),
            other => write!(words, "{other}"),
        }
    }
}

/// Text that takes no more than [`MAX_WORDS`].
#[derive(Default)]
struct Words {
    text: String,
}

impl fmt::Write for Words {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = MAX_WORDS.saturating_sub(self.text.len());
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        let fits = more.chars().scan(0, |end, c| {
            *end += c.len_utf8();
            (*end <= room).then_some(c)
        });
        self.text.extend(fits);
        Err(fmt::Error)
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
                write!(f, "[{}]", Listed(items))
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
                write!(f, "{}({})", short_name(class), Listed(args))
            }
        }
    }
}

/// Values with commas between them.
struct Listed<'a>(&'a [Value]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")?;
        }
        Ok(())
    }
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
