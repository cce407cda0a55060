//! All but the scenarios of `host`, `host_smoke` and `recovery`, in one program: each program more would
//! take a compilation of the shared support and seconds to link.

#[cfg(test)]
#[expect(dead_code, reason = "each program uses its part of the shared support")]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod blame;
#[cfg(test)]
mod cause;
#[cfg(test)]
mod census;
#[cfg(test)]
mod check;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod comparison;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod guide;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod layout;
#[cfg(test)]
mod mission;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod rehearsal;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod signs;
#[cfg(test)]
mod watch;
