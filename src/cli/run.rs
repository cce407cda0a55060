//! `jailwarden run`.

use std::path::Path;
use std::process::ExitCode;

use super::output;
use crate::settings::Settings;
use crate::shell;

/// `EX_CONFIG` of sysexits(3), which systemd shows as `CONFIG`: the unit's
/// `RestartPreventExitStatus=` names it, since trying again does not mend a settings file.
pub(super) const FAULTY_SETTINGS: u8 = 78;

/// Supervises with the settings in `config`, or in the default file where none is named.
#[must_use]
pub fn run(config: Option<&Path>) -> ExitCode {
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(error) => {
            output::complain(error);
            return ExitCode::from(FAULTY_SETTINGS);
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
