//! Reading a pickle of protocol 2 to 5 within bounds.
//!
//! The operations build nodes; only the root is then turned into a [`Value`], within a budget: a few
//! bytes of memo references can ask for exponentially many copies.

use super::arena::{Arena, Node, Ref, small};
use super::input::{Input, saturated};
use super::value::Value;

/// The longest pickle that is read, in bytes: a reply that lists 100,000 banned addresses of IPv4, each of which
/// takes 9 bytes more than its text, or half as many of IPv6.
pub const MAX_INPUT: usize = 5 << 19;
/// The most memory that may be at work on one pickle, in bytes, before it becomes a value. A banned address takes
/// 48 of them: its text and the tuple around it, three places in the memo, and one in the list. As memory grows
/// by doubling, twice as much may be reserved.
pub const MAX_WORK: usize = 6 << 20;
/// The deepest nesting of the value read; also holds for dropping, cloning and printing it.
pub const MAX_DEPTH: usize = 100;
/// The most memory that the value read may take, in bytes, copies of memoised parts included: as many addresses
/// as [`MAX_WORK`] allows take 8 MiB, with 15 characters each.
pub const MAX_OUTPUT: usize = 8 << 20;
/// The longest name of a class with its module, in bytes.
pub const MAX_CLASS_NAME: usize = 256;

/// Why some bytes are not a pickle that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// The bytes do not begin with the mark of protocol 2 to 5.
    #[error("it does not begin as a pickle of protocol 2 to 5 does")]
    NoPickle,
    /// The bytes end within an operation, or without the final one.
    #[error("it breaks off after {0} bytes")]
    Truncated(usize),
    /// Bytes follow the end of the pickle.
    #[error("something follows its end at byte {0}")]
    Trailing(usize),
    /// An operation that `CPython` does not emit for plain data, protocols 2 to 5.
    #[error("operation 0x{opcode:02x} at byte {at} is not one of plain data")]
    Opcode {
        /// The operation's code.
        opcode: u8,
        /// Where it stands, in bytes from the start.
        at: usize,
    },
    /// An operation finds something else on the stack than it needs, or nothing.
    #[error("operation 0x{opcode:02x} at byte {at} does not fit what precedes it")]
    Stack {
        /// The operation's code.
        opcode: u8,
        /// Where it stands, in bytes from the start.
        at: usize,
    },
    /// One of the bounds of this module was passed.
    #[error("it passes the limit of {limit} {unit}")]
    TooBig {
        /// The bound.
        limit: usize,
        /// What is counted.
        unit: &'static str,
    },
}

/// Reads one pickle that fills `bytes`.
///
/// Integers beyond 64 bits are read as the nearest that fit; bytes as strings. A subclass of list or
/// dict is read as a plain one, and an object's state other than its arguments is left out.
///
/// # Errors
/// [`PickleError`], if the bytes are no pickle, or pass a bound: [`MAX_INPUT`], [`MAX_WORK`],
/// [`MAX_DEPTH`], [`MAX_OUTPUT`] or [`MAX_CLASS_NAME`].
pub fn decode(bytes: &[u8]) -> Result<Value, PickleError> {
    if bytes.len() > MAX_INPUT {
        return Err(too_big(MAX_INPUT, "bytes"));
    }
    if !matches!(bytes, [0x80, 2..=5, ..]) {
        return Err(PickleError::NoPickle);
    }
    let (nodes, root) = Machine::new(bytes).run()?;
    let mut budget = MAX_OUTPUT;
    nodes.value(root, MAX_DEPTH, &mut budget)
}

pub(super) fn too_big(limit: usize, unit: &'static str) -> PickleError {
    PickleError::TooBig { limit, unit }
}

struct Machine<'a> {
    input: Input<'a>,
    /// The operation under way and where it began, for errors.
    opcode: u8,
    began: usize,
    nodes: Arena<'a>,
    stack: Vec<Ref>,
    /// Heights of the stack at each open MARK.
    marks: Vec<usize>,
    /// Python numbers its places from 0 on.
    memo: Vec<Ref>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            input: Input::new(bytes),
            opcode: 0,
            began: 0,
            nodes: Arena::new(bytes),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
        }
    }

    /// What was built, and the root of it.
    fn run(mut self) -> Result<(Arena<'a>, Ref), PickleError> {
        loop {
            self.began = self.input.at();
            self.opcode = self.input.byte()?;
            if self.opcode == b'.' {
                break;
            }
            self.step()?;
            if self.used() > MAX_WORK {
                return Err(too_big(MAX_WORK, "bytes of memory to read it"));
            }
        }
        if !self.input.at_end() {
            return Err(PickleError::Trailing(self.input.at()));
        }
        let root = self.pop()?;
        Ok((self.nodes, root))
    }

    /// The bytes in use.
    fn used(&self) -> usize {
        let places = self.stack.len() + self.memo.len();
        self.nodes.used() + places * size_of::<Ref>() + size_of_val(self.marks.as_slice())
    }

    fn step(&mut self) -> Result<(), PickleError> {
        match self.opcode {
            0x80 => self.input.take(1).map(drop),
            0x95 => self.input.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.discard(),
            b'1' => self.since_mark().map(drop),
            b'2' => self.top().map(|top| self.stack.push(top)),
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'G' | b'J' | b'K' | b'M' | 0x8a | 0x8b => self.number(),
            b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => self.text(),
            b']' | 0x8f => {
                let list = self.nodes.list();
                self.push(list)
            }
            b')' => self.sequence(Vec::new()),
            b'}' => {
                let map = self.nodes.map();
                self.push(map)
            }
            0x85..=0x87 => self.tuple(usize::from(self.opcode - 0x84)),
            b't' | 0x91 => {
                let items = self.since_mark()?;
                self.sequence(items)
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.extend(&items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(&[key, value])
            }
            b'u' => {
                let items = self.since_mark()?;
                self.insert(&items)
            }
            b'c' | 0x93 => self.class(),
            b'R' | 0x81 | 0x92 => self.build_object(),
            b'b' => self.pop().map(drop),
            b'q' | b'r' | 0x94 => self.memoise(),
            b'h' | b'j' => self.recall(),
            opcode => Err(PickleError::Opcode {
                opcode,
                at: self.began,
            }),
        }
    }

    fn number(&mut self) -> Result<(), PickleError> {
        let value = match self.opcode {
            b'G' => Node::Float(f64::from_be_bytes(self.input.array()?)),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.input.array()?))),
            b'K' => Node::Int(i64::from(self.input.byte()?)),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.input.array()?))),
            0x8a => {
                let len = usize::from(self.input.byte()?);
                Node::Int(saturated(self.input.take(len)?))
            }
            _ => {
                let len = self.input.count(4)?;
                Node::Int(saturated(self.input.take(len)?))
            }
        };
        self.push(value)
    }

    fn text(&mut self) -> Result<(), PickleError> {
        let width = match self.opcode {
            0x8c | b'C' => 1,
            b'X' | b'B' => 4,
            _ => 8,
        };
        let len = self.input.count(width)?;
        let from = self.input.at();
        self.input.take(len)?;
        self.push(Node::Text(small(from), small(len)))
    }

    fn tuple(&mut self, len: usize) -> Result<(), PickleError> {
        let from = self.stack.len().checked_sub(len);
        let from = from
            .filter(|from| *from >= self.floor())
            .ok_or(self.misfit())?;
        let items = self.stack.split_off(from);
        self.sequence(items)
    }

    fn sequence(&mut self, items: Vec<Ref>) -> Result<(), PickleError> {
        let sequence = self.nodes.sequence(items);
        self.push(sequence)
    }

    fn extend(&mut self, more: &[Ref]) -> Result<(), PickleError> {
        let target = self.top()?;
        let misfit = self.misfit();
        self.nodes.extend(target, more).ok_or(misfit)
    }

    fn insert(&mut self, flat: &[Ref]) -> Result<(), PickleError> {
        let target = self.top()?;
        let misfit = self.misfit();
        self.nodes.insert(target, flat).ok_or(misfit)
    }

    fn class(&mut self) -> Result<(), PickleError> {
        let class = if self.opcode == b'c' {
            class_name(self.input.line()?, self.input.line()?)?
        } else {
            let name = self.pop()?;
            let module = self.pop()?;
            class_name(self.text_at(module)?, self.text_at(name)?)?
        };
        let class = self.nodes.class(class);
        self.push(class)
    }

    fn build_object(&mut self) -> Result<(), PickleError> {
        if self.opcode == 0x92 {
            self.pop()?;
        }
        let args = self.pop()?;
        let class = self.pop()?;
        let (Some(items), Some(Node::Class(name))) =
            (self.nodes.items(args), self.nodes.get(class))
        else {
            return Err(self.misfit());
        };
        if let ([only], true) = (items, is_plain(self.nodes.name(name))) {
            self.stack.push(*only);
            return Ok(());
        }
        self.push(Node::Object(name, args))
    }

    fn memoise(&mut self) -> Result<(), PickleError> {
        let key = match self.opcode {
            b'q' => self.input.count(1)?,
            b'r' => self.input.count(4)?,
            _ => self.memo.len(),
        };
        let top = self.top()?;
        if key == self.memo.len() {
            self.memo.push(top);
        } else {
            let misfit = self.misfit();
            *self.memo.get_mut(key).ok_or(misfit)? = top;
        }
        Ok(())
    }

    fn recall(&mut self) -> Result<(), PickleError> {
        let key = self.input.count(if self.opcode == b'h' { 1 } else { 4 })?;
        let found = *self.memo.get(key).ok_or(self.misfit())?;
        self.stack.push(found);
        Ok(())
    }

    /// POP takes a MARK too, if that is what was pushed last (`CPython`, for recursive tuples).
    fn discard(&mut self) -> Result<(), PickleError> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the last word of most operations")]
    fn push(&mut self, node: Node) -> Result<(), PickleError> {
        let at = self.nodes.push(node);
        self.stack.push(at);
        Ok(())
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Ref, PickleError> {
        let above = self.stack.get(self.floor()..).unwrap_or_default();
        above.last().copied().ok_or(self.misfit())
    }

    fn pop(&mut self) -> Result<Ref, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn since_mark(&mut self) -> Result<Vec<Ref>, PickleError> {
        let mark = self.marks.pop().ok_or(self.misfit())?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn text_at(&self, at: Ref) -> Result<&'a [u8], PickleError> {
        self.nodes.text(at).ok_or(self.misfit())
    }

    fn misfit(&self) -> PickleError {
        PickleError::Stack {
            opcode: self.opcode,
            at: self.began,
        }
    }
}

fn class_name(module: &[u8], name: &[u8]) -> Result<String, PickleError> {
    if module.len() + name.len() >= MAX_CLASS_NAME {
        return Err(too_big(MAX_CLASS_NAME, "bytes for the name of a class"));
    }
    let [module, name] = [module, name].map(String::from_utf8_lossy);
    Ok(format!("{module}.{name}"))
}

/// Classes whose one argument is the value itself: fail2ban pickles an address as `str(text)`
/// (`IPAddr.__reduce__`, ipdns.py of 1.0.2), and protocols 2 and 3 write sets so.
fn is_plain(class: &str) -> bool {
    let name = class.strip_prefix("builtins.");
    let name = name.or_else(|| class.strip_prefix("__builtin__."));
    matches!(
        name,
        Some("str" | "unicode" | "set" | "frozenset" | "list" | "tuple" | "bytearray")
    )
}
