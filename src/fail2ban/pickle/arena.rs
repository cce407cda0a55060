//! What a pickle builds, before it becomes a value.
//!
//! Nodes refer to each other by place, so that memo references cost nothing and a container that is
//! filled after it was memoised is seen whole. Text stays where it is in the pickle.

use super::decode::{MAX_DEPTH, MAX_INPUT, MAX_OUTPUT, PickleError, too_big};
use super::value::Value;

/// A place in the arena; a pickle has fewer nodes than bytes.
pub(super) type Ref = u32;

const _: () = assert!(MAX_INPUT < u32::MAX as usize, "places are 32 bits wide");

/// A reply of 100,000 addresses makes two nodes of each, so a node is small: what varies stands beside it.
#[derive(Clone, Copy)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Where it begins in the pickle, and its length.
    Text(u32, u32),
    /// The first so many: an empty tuple, or one of one to three.
    Few(u8, [Ref; 3]),
    /// Which of the sequences.
    Seq(Ref),
    /// Which of the sequences: keys and values by turns.
    Map(Ref),
    /// Which of the names.
    Class(Ref),
    /// Which of the names, and the sequence of its arguments.
    Object(Ref, Ref),
}

pub(super) struct Arena<'a> {
    pickle: &'a [u8],
    nodes: Vec<Node>,
    sequences: Vec<Vec<Ref>>,
    names: Vec<Box<str>>,
    /// The bytes that the sequences and the names hold.
    held: usize,
}

/// The number of something of which there are fewer than bytes in a pickle.
pub(super) fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn at<T>(all: &[T], at: Ref) -> Option<&T> {
    all.get(usize::try_from(at).ok()?)
}

impl<'a> Arena<'a> {
    pub(super) fn new(pickle: &'a [u8]) -> Self {
        Self {
            pickle,
            nodes: Vec::new(),
            sequences: Vec::new(),
            names: Vec::new(),
            held: 0,
        }
    }

    /// The bytes in use.
    pub(super) fn used(&self) -> usize {
        self.nodes.len() * size_of::<Node>()
            + self.sequences.len() * size_of::<Vec<Ref>>()
            + self.names.len() * size_of::<Box<str>>()
            + self.held
    }

    pub(super) fn push(&mut self, node: Node) -> Ref {
        self.nodes.push(node);
        small(self.nodes.len() - 1)
    }

    pub(super) fn sequence(&mut self, items: Vec<Ref>) -> Node {
        if let Some(few) = few(&items) {
            return few;
        }
        Node::Seq(self.keep(items))
    }

    /// One that can be extended.
    pub(super) fn list(&mut self) -> Node {
        Node::Seq(self.keep(Vec::new()))
    }

    pub(super) fn map(&mut self) -> Node {
        Node::Map(self.keep(Vec::new()))
    }

    pub(super) fn class(&mut self, name: String) -> Node {
        self.held += name.len();
        self.names.push(name.into());
        Node::Class(small(self.names.len() - 1))
    }

    fn keep(&mut self, items: Vec<Ref>) -> Ref {
        self.held += size_of_val(items.as_slice());
        self.sequences.push(items);
        small(self.sequences.len() - 1)
    }

    pub(super) fn get(&self, place: Ref) -> Option<Node> {
        at(&self.nodes, place).copied()
    }

    pub(super) fn name(&self, which: Ref) -> &str {
        at(&self.names, which).map_or("", |name| name)
    }

    pub(super) fn text(&self, place: Ref) -> Option<&'a [u8]> {
        let Node::Text(from, len) = self.get(place)? else {
            return None;
        };
        let from = usize::try_from(from).ok()?;
        self.pickle.get(from..from + usize::try_from(len).ok()?)
    }

    /// The items of a list or tuple.
    pub(super) fn items(&self, place: Ref) -> Option<&[Ref]> {
        match at(&self.nodes, place)? {
            Node::Few(len, items) => items.get(..usize::from(*len)),
            Node::Seq(which) => at(&self.sequences, *which).map(Vec::as_slice),
            _ => None,
        }
    }

    /// Adds to a list, or to an object, of which then only what was added is left.
    pub(super) fn extend(&mut self, place: Ref, more: &[Ref]) -> Option<()> {
        self.add(place, more, Node::Seq)
    }

    /// As [`Arena::extend`], for a dictionary.
    pub(super) fn insert(&mut self, place: Ref, flat: &[Ref]) -> Option<()> {
        flat.len().is_multiple_of(2).then_some(())?;
        self.add(place, flat, Node::Map)
    }

    fn add(&mut self, place: Ref, more: &[Ref], kind: fn(Ref) -> Node) -> Option<()> {
        let node = self.get(place)?;
        let which = match node {
            Node::Object(..) => {
                let which = self.keep(Vec::new());
                *self.nodes.get_mut(usize::try_from(place).ok()?)? = kind(which);
                which
            }
            Node::Seq(which) | Node::Map(which)
                if std::mem::discriminant(&node) == std::mem::discriminant(&kind(which)) =>
            {
                which
            }
            _ => return None,
        };
        self.held += size_of_val(more);
        let sequence = self.sequences.get_mut(usize::try_from(which).ok()?)?;
        sequence.extend_from_slice(more);
        Some(())
    }

    /// Turns a node into a value of at most `depth` levels, charging `budget` for what every copy takes
    /// beyond its own place.
    pub(super) fn value(
        &self,
        place: Ref,
        depth: usize,
        budget: &mut usize,
    ) -> Result<Value, PickleError> {
        let depth = depth
            .checked_sub(1)
            .ok_or(too_big(MAX_DEPTH, "levels of nesting"))?;
        Ok(match self.get(place).ok_or(PickleError::NoPickle)? {
            Node::None => Value::None,
            Node::Bool(yes) => Value::Bool(yes),
            Node::Int(number) => Value::Int(number),
            Node::Float(number) => Value::Float(number),
            Node::Text(..) => Value::Str(text(self.text(place).unwrap_or_default(), budget)?),
            Node::Few(..) | Node::Seq(_) => {
                let items = self.items(place).unwrap_or_default();
                Value::List(self.values(items, depth, budget)?)
            }
            Node::Map(which) => {
                let flat = at(&self.sequences, which).map_or(&[][..], Vec::as_slice);
                let (pairs, _) = flat.as_chunks::<2>();
                charge(
                    budget,
                    size_of_val(flat) / size_of::<Ref>() * size_of::<Value>(),
                )?;
                let mut values = Vec::with_capacity(pairs.len());
                for [key, value] in pairs {
                    let key = self.value(*key, depth, budget)?;
                    values.push((key, self.value(*value, depth, budget)?));
                }
                Value::Dict(values)
            }
            Node::Class(name) => self.object(name, Vec::new(), budget)?,
            Node::Object(name, args) => {
                let items = self.items(args).unwrap_or_default();
                let args = self.values(items, depth, budget)?;
                self.object(name, args, budget)?
            }
        })
    }

    fn values(
        &self,
        items: &[Ref],
        depth: usize,
        budget: &mut usize,
    ) -> Result<Vec<Value>, PickleError> {
        charge(budget, items.len().saturating_mul(size_of::<Value>()))?;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(self.value(*item, depth, budget)?);
        }
        Ok(values)
    }

    fn object(
        &self,
        name: Ref,
        args: Vec<Value>,
        budget: &mut usize,
    ) -> Result<Value, PickleError> {
        let class = self.name(name);
        charge(budget, class.len())?;
        Ok(Value::Object {
            class: class.to_owned(),
            args,
        })
    }
}

fn few(items: &[Ref]) -> Option<Node> {
    let mut first = [0; 3];
    first.get_mut(..items.len())?.copy_from_slice(items);
    Some(Node::Few(u8::try_from(items.len()).ok()?, first))
}

fn text(bytes: &[u8], budget: &mut usize) -> Result<String, PickleError> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        charge(budget, text.len())?;
        return Ok(text.to_owned());
    }
    // What is not UTF-8 becomes three bytes.
    charge(budget, 3 * bytes.len())?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn charge(budget: &mut usize, bytes: usize) -> Result<(), PickleError> {
    *budget = budget
        .checked_sub(bytes)
        .ok_or(too_big(MAX_OUTPUT, "bytes in memory"))?;
    Ok(())
}
