//! shell

pub mod watch;
