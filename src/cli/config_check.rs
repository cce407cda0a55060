//! `jailwarden config check`.

use std::path::Path;
use std::process::ExitCode;

use super::{output, refuse};
use crate::settings::{DEFAULT_FILE, Settings};

/// Says whether the settings are sound, as `run` would find them.
pub(super) fn check(file: Option<&Path>) -> ExitCode {
    match Settings::load(file) {
        Ok(_) => {
            output::say(verdict(file));
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&error, 1),
    }
}

fn verdict(file: Option<&Path>) -> String {
    let default = Path::new(DEFAULT_FILE);
    if file.is_none() && !default.exists() {
        return format!("{DEFAULT_FILE}: does not exist, so the defaults hold: ok");
    }
    format!("{}: ok", file.unwrap_or(default).display())
}
