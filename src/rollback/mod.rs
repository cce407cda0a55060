//! Rollback files: a jail taken out of service by a file of jailwarden's own.
//!
//! `jail.d/zzz-jailwarden-<jail>.local` with `enabled = false` mends every fault of that one jail,
//! a broken filter or action or a bad interpolation included, since fail2ban reads only `enabled`,
//! `backend` and `filter` before it drops a jail (fail2ban 1.0.2 client/jailreader.py:135-141); the
//! file sets all three, for a bad `%(…)s` in the latter two would stop everything even so (seen on
//! 1.0.2, 1.1.0 and 1.1.1). Its filter is one that is not there, so that fail2ban leaves the jail out also
//! where a later file enables it all the same: with no filter at all it would run, and see nothing. It cannot
//! mend a file that fail2ban cannot parse.
//!
//! `fail2ban.d/zzz-jailwarden.local` takes the place of a database that cannot be written (`database.rs`).

mod database;
mod error;
mod file;
mod name;

pub(crate) use database::is_in_memory;
pub use database::{DBFILE, InMemory, end_in_memory, in_memory, in_memory_file, keep_in_memory};
pub use error::RollbackError;
pub(crate) use file::{NO_FILTER, file_name, is_rollback_name};
pub use file::{Standing, Why, remove, standing, write};
pub use name::{JailName, NameError};
