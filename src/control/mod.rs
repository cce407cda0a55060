//! The control API: what other programs, and the command line, ask of a running supervisor.

pub mod link;
