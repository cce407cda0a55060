//! Any reply of a daemon: it is read or refused within bounds, whatever is asked for in it.

#![no_main]

use std::alloc::System;

use cap::Cap;
use jailwarden::fail2ban::pickle::{MAX_OUTPUT, MAX_WORDS, MAX_WORK, PickleError, Value, decode, encode};
use libfuzzer_sys::fuzz_target;

/// The memory that one reply may take while it is read: what is at work grows by doubling.
const MEMORY: usize = 2 * MAX_WORK + MAX_OUTPUT + (1 << 20);

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fuzz_target!(|bytes: &[u8]| {
    // What passes it is not given, and ends the program.
    let _ = ALLOCATOR.set_limit(ALLOCATOR.allocated() + MEMORY);
    let read = decode(bytes);
    let _ = ALLOCATOR.set_limit(usize::MAX);
    if let Ok(value) = read {
        assert!(value.message().len() <= MAX_WORDS);
        assert!(value.brief().len() <= MAX_WORDS);
        if let Value::List(items) = &value
            && items.iter().all(is_plain)
        {
            // What was told by reference is written out.
            match decode(&encode(items)) {
                Err(PickleError::TooBig { .. }) => {}
                again => assert_eq!(again.map(|it| format!("{it:?}")), Ok(format!("{value:?}"))),
            }
        }
    }
});

/// Whether a request can hold it.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().all(is_plain),
        Value::Dict(pairs) => pairs
            .iter()
            .all(|(key, value)| is_plain(key) && is_plain(value)),
        Value::Object { .. } => false,
        _ => true,
    }
}
