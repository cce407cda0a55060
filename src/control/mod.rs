//! The control API: what other programs, and the command line, ask of a running supervisor.

pub mod client;
pub mod link;
pub mod problem;
mod sse;
pub mod wire;
