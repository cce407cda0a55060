//! What a pickle builds, before it becomes a value.
//!
//! Nodes refer to each other by place, so that memo references cost nothing and a container that is
//! filled after it was memoised is seen whole. Text stays where it is in the pickle.

use std::rc::Rc;

use super::decode::{MAX_DEPTH, MAX_OUTPUT, PickleError, too_big};
use super::value::Value;

/// A place in the arena.
pub(super) type Ref = usize;

pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a [u8]),
    Seq(Vec<Ref>),
    Map(Vec<(Ref, Ref)>),
    Class(Rc<str>),
    /// The class, and the sequence of its arguments.
    Object(Rc<str>, Ref),
}

#[derive(Default)]
pub(super) struct Arena<'a> {
    nodes: Vec<Node<'a>>,
}

impl<'a> Arena<'a> {
    pub(super) fn push(&mut self, node: Node<'a>) -> Ref {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn get(&self, at: Ref) -> Option<&Node<'a>> {
        self.nodes.get(at)
    }

    pub(super) fn get_mut(&mut self, at: Ref) -> Option<&mut Node<'a>> {
        self.nodes.get_mut(at)
    }

    /// Turns a node into a value of at most `depth` levels, charging `budget` for every copy.
    pub(super) fn value(
        &self,
        at: Ref,
        depth: usize,
        budget: &mut usize,
    ) -> Result<Value, PickleError> {
        let depth = depth
            .checked_sub(1)
            .ok_or(too_big(MAX_DEPTH, "levels of nesting"))?;
        let node = self.nodes.get(at).ok_or(PickleError::NoPickle)?;
        let text = match node {
            // What is not UTF-8 becomes three bytes.
            Node::Text(text) => 3 * text.len(),
            Node::Class(class) | Node::Object(class, _) => class.len(),
            _ => 0,
        };
        *budget = budget
            .checked_sub(size_of::<Value>() + text)
            .ok_or(too_big(MAX_OUTPUT, "bytes in memory"))?;
        let mut each = |at: Ref| self.value(at, depth, budget);
        Ok(match node {
            Node::None => Value::None,
            Node::Bool(yes) => Value::Bool(*yes),
            Node::Int(number) => Value::Int(*number),
            Node::Float(number) => Value::Float(*number),
            Node::Text(text) => Value::Str(String::from_utf8_lossy(text).into_owned()),
            Node::Seq(items) => {
                Value::List(items.iter().map(|at| each(*at)).collect::<Result<_, _>>()?)
            }
            Node::Map(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, value)| Ok((each(*key)?, each(*value)?)));
                Value::Dict(pairs.collect::<Result<_, _>>()?)
            }
            Node::Class(class) => Value::Object {
                class: class.to_string(),
                args: Vec::new(),
            },
            Node::Object(class, args) => Value::Object {
                class: class.to_string(),
                args: match each(*args)? {
                    Value::List(args) => args,
                    other => vec![other],
                },
            },
        })
    }
}
