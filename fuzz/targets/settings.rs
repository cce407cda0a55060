//! Any settings file: it is taken whole within the bounds, or each mistake is named with its place.

#![no_main]

use std::path::Path;
use std::time::Duration;

use jailwarden::settings::{Settings, SettingsError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Settings::parse(text, Path::new("/etc/jailwarden/jailwarden.yaml")) {
        Ok(settings) => {
            assert!(settings.config_dir.is_absolute() && settings.state_dir.is_absolute());
            assert!(!settings.state_dir.starts_with(&settings.config_dir));
            assert!(
                !settings.daemon.client.is_empty() && !settings.daemon.start_command.is_empty()
            );
            assert!(settings.settle >= Duration::from_millis(50));
            assert!(settings.probe.interval >= Duration::from_secs(1));
            assert!(settings.probe.busy_limit >= settings.probe.timeout);
            assert!(
                settings
                    .control
                    .socket
                    .is_none_or(|socket| socket.is_absolute())
            );
            assert!(
                settings
                    .page_listen
                    .is_none_or(|address| address.ip().is_loopback())
            );
        }
        Err(SettingsError::Faulty { mistakes }) => {
            assert!(!mistakes.is_empty());
            let lines = text
                .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
                .count();
            for mistake in mistakes {
                assert!(
                    (1..=lines + 1).contains(&(mistake.line as usize)),
                    "{mistake}"
                );
                assert!(
                    !mistake.to_string().contains(char::is_control),
                    "{mistake:?}"
                );
            }
        }
        Err(other) => panic!("{other}"),
    }
});
