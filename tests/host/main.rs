//! The installed unit on a throwaway host, with Debian's own fail2ban.service: every fault is a real
//! one, and what counts is whether failing log lines lead to bans.

#[cfg(test)]
#[expect(dead_code, reason = "each test uses its part of the shared support")]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod activation;
#[cfg(test)]
mod ansible;
#[cfg(test)]
mod boots;
#[cfg(test)]
mod database;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod firewall;
#[cfg(test)]
mod guarded;
#[cfg(test)]
mod instances;
#[cfg(test)]
mod itself;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod newcomer;
#[cfg(test)]
mod package;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod recovers;
#[cfg(test)]
mod respects;
#[cfg(test)]
mod returns;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod session;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod systemd;
#[cfg(test)]
mod undo;
#[cfg(test)]
mod will;
