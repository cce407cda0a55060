//! shell

use std::path::Path;

use crate::settings::Settings;

/// Why supervision could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// This build has no supervisor yet.
    #[error("this build of jailwarden cannot supervise yet: install a later one")]
    NotBuilt,
}

/// Supervises fail2ban until a signal ends it. `config` is the settings file that a SIGHUP reads
/// again; [`None`] stands for the default one.
///
/// # Errors
/// Supervision could not begin, or had to end.
pub fn run(_settings: Settings, _config: Option<&Path>) -> Result<(), RunError> {
    Err(RunError::NotBuilt)
}
