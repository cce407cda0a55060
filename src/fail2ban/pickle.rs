//! Python's pickle format, as far as fail2ban's socket needs it.
//!
//! Nothing is ever imported or run: a global is only a name, and what Python would build from it
//! becomes a [`Value::Object`]. Requests go out as protocol 2, which every fail2ban takes; replies
//! come in the interpreter's highest protocol (`asyncserver.py` of 1.0.2 to 1.1.1).

mod arena;
mod decode;
mod encode;
mod input;
#[cfg(test)]
mod tests;
mod value;

pub use decode::{MAX_CLASS_NAME, MAX_DEPTH, MAX_INPUT, MAX_OUTPUT, MAX_WORK, PickleError, decode};
pub use encode::encode;
pub use value::{MAX_WORDS, Value};
