//! The last known good config: snapshots of the config folder, what differs from them, and putting
//! files back without losing any.
//!
//! Below the state folder, readable by root alone:
//!
//! - `history/snapshots/ID.json`: what a config folder held, name by name;
//! - `history/contents/SHA256`: the contents, each once;
//! - `rejected/TIME-N/`: what a put-back replaced, its files under their own names.
//!
//! A snapshot is on disk, contents first, before it has its name, so that a crash at any point
//! leaves whole snapshots alone. POSIX ACLs and extended attributes are not kept.

mod blobs;
mod diff;
mod digest;
mod draft;
mod error;
pub mod human;
mod jail;
pub mod json;
mod manifest;
pub mod mask;
mod plan;
mod put_back;
mod rejected;
mod root;
mod store;
mod tree;
mod walk;

pub use diff::FileDiff;
pub use digest::Digest;
pub use error::{HistoryError, Warning};
pub use plan::{Done, Left, What, WhyLeft};
pub use put_back::{Preview, Replaced, Restored, Which};
pub use rejected::Rejected;
pub use store::{Entry, Id, Listing, Since, Store};
pub use tree::{ChangeKind, FileChange, NotKept};

#[cfg(test)]
mod tests;
