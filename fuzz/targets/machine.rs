//! Any sequence of what can befall a host, with all that holds at every step of it.

#![no_main]

use jailwarden::machine::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::sequence(bytes));
