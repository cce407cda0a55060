//! The one place that knows the YAML crate: text in, a small tree with positions out.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Error, Location, MessageFormatter, Spanned, UserMessageFormatter};

/// Deeper than any settings file needs, and shallow enough for a recursive reader.
const DEPTH: usize = 16;

/// A place in the text, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        let counted = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self {
            line: counted(location.line()),
            column: counted(location.column()),
        }
    }
}

/// A YAML value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What a settings file can hold. Doubled keys are kept, so that the caller can name both.
#[derive(Debug)]
pub(super) enum Value {
    Nothing,
    Text(String),
    Number(String),
    Boolean(bool),
    List(Vec<Node>),
    Section(Vec<(Node, Node)>),
}

impl Node {
    /// A [`Fault`] at this node.
    pub(super) fn fault(&self, what: impl Into<String>) -> Fault {
        Fault {
            at: self.at,
            what: what.into(),
        }
    }
}

/// What is wrong at a place: in the YAML itself, or with a value in it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Position,
    pub(super) what: String,
}

/// Reads one YAML document; an empty one is [`Value::Nothing`].
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_depth: DEPTH },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 1_000 },
        duplicate_keys: serde_yaml::DuplicateKeyPolicy::PassThrough,
        merge_keys: serde_yaml::MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: serde_yaml::NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_yaml::from_str_with_options(text, options).map_err(|error| fault(&error))
}

fn fault(error: &Error) -> Fault {
    let error = error.without_snippet();
    let what = match error {
        Error::MultipleDocuments { .. } => {
            "a second YAML document begins here: a settings file holds one".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "* refers to an anchor that is not there: put text that begins with * in quotes"
                .to_owned()
        }
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => {
            "more nesting or more aliases than a settings file needs".to_owned()
        }
        _ => format!(
            "not valid YAML: {}",
            UserMessageFormatter.format_message(error)
        ),
    };
    Fault {
        at: error.location().map_or(Position::START, Position::from),
        what: printable(&what),
    }
}

/// The parser's words may repeat a control character of the file; a message is one plain line.
fn printable(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.into()
        }
    };
    text.chars().map(escape).collect()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            at: spanned.referenced.into(),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a list or a section")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Section(entries))
    }
}
