//! The supervisor's decisions, pure: `(state, event, now) -> (state, actions)`.
//!
//! Nothing here may use files, processes, sockets, clocks, randomness or async code.

pub mod report;
