//! The control API by curl, on real fail2bans; and on a loop that the test plays, for what a real one
//! does not do on demand. Each answer is held against `docs/openapi.json`.

#[cfg(test)]
#[expect(dead_code, reason = "each test uses its part of the shared support")]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod browser;
#[cfg(test)]
mod caller;
#[cfg(test)]
mod events;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod page;
#[cfg(test)]
mod played;
#[cfg(test)]
mod real;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod socket;
#[cfg(test)]
mod stage;
