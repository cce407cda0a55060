//! What goes over the control socket besides [`crate::status`]. Keys are only added, within the
//! same schema.

use serde::{Deserialize, Serialize};

use crate::status::{Condition, Hour, Incident, Jail, Protection, Status, Timestamp};

/// Of `GET /api/jails`: every jail that should run, or that something keeps from running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Jails {
    /// [`crate::status::SCHEMA`].
    pub schema: u32,
    /// By name.
    pub jails: Vec<Jail>,
}

/// Of `GET /api/incidents`: all incidents that are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Incidents {
    /// [`crate::status::SCHEMA`].
    pub schema: u32,
    /// The one under way.
    pub incident: Option<Incident>,
    /// Those that ended, the last one first.
    pub incidents: Vec<Incident>,
    /// Since when jailwarden keeps watch here; what was before is not known.
    pub since: Timestamp,
    /// The hours of the last 30 days in which a jail went unprotected, the last one at the end.
    pub hours: Vec<Hour>,
}

/// Of `POST` and `DELETE /api/config/jails/{name}/rollback`: how it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RollbackAnswer {
    /// The jail.
    pub jail_name: String,
    /// Whether a rollback disables it.
    pub disabled: bool,
    /// Whether fail2ban answered the last probe.
    pub fail2ban_running: bool,
    /// The jails that this probe found alive; 0 where fail2ban does not run.
    pub active_jails: usize,
    /// What was done, and what is to be done next.
    pub message: String,
}

impl RollbackAnswer {
    pub(super) fn new(jail: &str, status: &Status, message: String) -> Self {
        let is_running = status.daemon.ping.is_some();
        let is_alive = |jail: &&Jail| {
            is_running && matches!(jail.condition, Condition::Protects | Condition::Ailing)
        };
        Self {
            jail_name: jail.to_owned(),
            disabled: status
                .jails
                .iter()
                .any(|it| it.name == jail && it.rollback.is_some()),
            fail2ban_running: is_running,
            active_jails: status.jails.iter().filter(is_alive).count(),
            message,
        }
    }
}

/// For `POST /api/pause`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// For how long, such as `30m` or `2h`; without it the pause lasts until it is ended.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub span: Option<String>,
    /// Why, for the journal and for whoever finds jailwarden paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Of `POST /api/resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Resumed {
    /// Whether a pause stood.
    pub was_paused: bool,
}

/// For `POST /api/check`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The jails to look at; all where none is named.
    #[serde(default)]
    pub jails: Vec<String>,
    /// Log files that do not exist are no fault.
    #[serde(default)]
    pub allow_missing_logs: bool,
}

/// Of `GET /healthz` and `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Health {
    /// The supervisor's state.
    pub state: String,
    /// Whether the host is protected.
    pub protection: Protection,
    /// One line for a person.
    pub text: String,
}

impl From<&Status> for Health {
    fn from(status: &Status) -> Self {
        Self {
            state: status.state.clone(),
            protection: status.protection,
            text: status.text.clone(),
        }
    }
}
