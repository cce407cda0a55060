//! `jailwarden run`.

use std::path::Path;
use std::process::ExitCode;

use super::{exit, output};
use crate::settings::Settings;
use crate::shell;

/// Supervises with the settings in `config`, or in the default file where none is named.
#[must_use]
pub fn run(config: Option<&Path>) -> ExitCode {
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(error) => {
            output::complain(error);
            return ExitCode::from(exit::FAULTY_SETTINGS);
        }
    };
    match shell::run(settings, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(error);
            ExitCode::FAILURE
        }
    }
}
