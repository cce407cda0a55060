//! jailwarden keeps fail2ban protecting a Linux host with nobody watching.
//!
//! The decisions live in [`machine`], which knows neither files nor sockets nor time; [`shell`]
//! turns the world into its events and its actions into effects. ARCHITECTURE.md has the map.

pub mod check;
pub mod cli;
pub mod control;
mod durable;
pub mod fail2ban;
pub mod history;
pub mod machine;
pub mod pause;
mod pollable;
pub mod rollback;
pub mod settings;
pub mod shell;
pub mod status;
mod text;
