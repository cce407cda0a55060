//! The daemon as seen from outside.

pub mod diagnose;
mod proc;
pub mod process;
pub mod threads;
pub mod vitals;
