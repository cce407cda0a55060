//! The control API: what other programs, and the command line, ask of a running supervisor.
//!
//! HTTP/1.1 with JSON over a Unix socket, on a thread of its own. Of the supervisor it knows only
//! [`link`], so that no client can delay it. `docs/api.md` has the routes. Where the settings want a
//! page, the same is served at a loopback address too, to read only.

mod accounts;
mod answer;
mod api;
pub mod client;
mod commands;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod link;
mod listener;
mod openapi;
mod page;
pub mod problem;
mod rights;
mod routes;
pub mod server;
mod sse;
pub mod wire;
