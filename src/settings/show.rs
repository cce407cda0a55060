//! The settings in force, key by key, with where each comes from.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Settings, SettingsError};

/// One setting in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its key with its section, such as `probe.interval`.
    pub key: &'static str,
    /// Its value as a settings file may have it: text, a boolean, or a list of words.
    pub value: Value,
    /// The line of the settings file that sets it; none for a default.
    pub line: Option<u32>,
}

impl Settings {
    /// Every setting, as [`Settings::load`] takes it.
    ///
    /// # Errors
    /// As of [`Settings::load`].
    pub fn show(file: Option<&Path>) -> Result<Vec<Shown>, SettingsError> {
        let (settings, lines) = Self::traced(file)?;
        let values = settings.values().into_iter();
        let shown = values.map(|(key, value)| Shown {
            key,
            value,
            line: lines.get(key).copied(),
        });
        Ok(shown.collect())
    }

    /// Each of `fields::KEYS` with its value, in that order.
    pub(super) fn values(&self) -> Vec<(&'static str, Value)> {
        let Self {
            instance: _,
            config_dir,
            state_dir,
            settle,
            daemon,
            probe,
            restart,
            alerts,
            metrics_textfile,
            control,
            page_listen,
        } = self;
        vec![
            ("config_dir", path(config_dir)),
            ("state_dir", path(state_dir)),
            ("settle", span(*settle)),
            (
                "daemon.unit",
                json!(daemon.unit.as_deref().unwrap_or("none")),
            ),
            ("daemon.socket", path(&daemon.socket)),
            ("daemon.pid_file", path(&daemon.pid_file)),
            ("daemon.client", words(&daemon.client)),
            ("daemon.start_command", words(&daemon.start_command)),
            ("probe.interval", span(probe.interval)),
            ("probe.timeout", span(probe.timeout)),
            ("probe.busy_limit", span(probe.busy_limit)),
            ("probe.firewall", json!(probe.firewall)),
            ("restart.comeback", span(restart.comeback)),
            ("restart.stop_timeout", span(restart.stop_timeout)),
            ("restart.replace_files", json!(restart.replace_files)),
            (
                "alerts.command",
                alerts.command.as_deref().map_or(json!("none"), words),
            ),
            ("alerts.severity", json!(alerts.severity.name())),
            (
                "metrics.textfile",
                metrics_textfile.as_deref().map_or(json!("none"), path),
            ),
            (
                "control.socket",
                control.socket.as_deref().map_or(json!("none"), path),
            ),
            ("control.admins", json!(control.admins)),
            (
                "page.listen",
                page_listen.map_or(json!("none"), |it| json!(it.to_string())),
            ),
        ]
    }
}

fn path(path: &Path) -> Value {
    json!(path.to_string_lossy())
}

fn span(span: Duration) -> Value {
    json!(humantime::format_duration(span).to_string())
}

fn words(words: &[OsString]) -> Value {
    let words = words.iter().map(|word| word.to_string_lossy());
    json!(words.collect::<Vec<_>>())
}
