//! shell

pub mod journal;
pub mod notify;
mod text;
