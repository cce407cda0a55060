//! Errors as programs read them: RFC 9457 problem documents.

use serde::{Deserialize, Serialize};

use crate::status::Finding;

/// The media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[error("{detail}")]
pub struct Problem {
    /// Which of the problems it is; programs go by this and by `status`.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The same in words.
    pub title: Box<str>,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong here, why, and what to do.
    pub detail: String,
    /// What fail2ban would refuse of the config, if that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The jail that is to blame, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<String>,
    /// The route that disables that jail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<String>,
}

/// The problems that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Kind {
    /// The request cannot be understood.
    #[serde(rename = "urn:jailwarden:problem:bad-request")]
    BadRequest,
    /// No rollback file can be made for a jail of that name.
    #[serde(rename = "urn:jailwarden:problem:illegal-name")]
    IllegalName,
    /// Whoever asks may read only.
    #[serde(rename = "urn:jailwarden:problem:forbidden")]
    Forbidden,
    /// There is no such route.
    #[serde(rename = "urn:jailwarden:problem:no-route")]
    NoRoute,
    /// fail2ban's config has no such jail.
    #[serde(rename = "urn:jailwarden:problem:unknown-jail")]
    UnknownJail,
    /// No rollback disables that jail.
    #[serde(rename = "urn:jailwarden:problem:no-rollback")]
    NoRollback,
    /// The route does not take that method.
    #[serde(rename = "urn:jailwarden:problem:no-method")]
    NoMethod,
    /// The request did not arrive in time.
    #[serde(rename = "urn:jailwarden:problem:too-slow")]
    TooSlow,
    /// Nothing was done, or fail2ban refused: it runs as before.
    #[serde(rename = "urn:jailwarden:problem:refused")]
    Refused,
    /// The request is too large.
    #[serde(rename = "urn:jailwarden:problem:too-large")]
    TooLarge,
    /// A file could not be written or removed.
    #[serde(rename = "urn:jailwarden:problem:not-written")]
    NotWritten,
    /// fail2ban cannot be asked.
    #[serde(rename = "urn:jailwarden:problem:unreachable")]
    Unreachable,
    /// fail2ban did not come back, or is not healthy afterwards.
    #[serde(rename = "urn:jailwarden:problem:not-back")]
    NotBack,
    /// The host is not fully protected.
    #[serde(rename = "urn:jailwarden:problem:not-protected")]
    NotProtected,
    /// The supervisor gives no answer.
    #[serde(rename = "urn:jailwarden:problem:no-answer")]
    NoAnswer,
    /// Too much is being asked at once.
    #[serde(rename = "urn:jailwarden:problem:busy")]
    Busy,
    /// The dry run took too long.
    #[serde(rename = "urn:jailwarden:problem:check-too-long")]
    CheckTooLong,
    /// One of a later version.
    #[serde(other, skip_serializing)]
    Other,
}

impl Kind {
    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::IllegalName => 400,
            Self::Forbidden => 403,
            Self::NoRoute | Self::UnknownJail | Self::NoRollback => 404,
            Self::NoMethod => 405,
            Self::TooSlow => 408,
            Self::Refused => 409,
            Self::TooLarge => 413,
            Self::NotWritten | Self::Other => 500,
            Self::Unreachable => 502,
            Self::NotBack | Self::NotProtected | Self::NoAnswer | Self::Busy => 503,
            Self::CheckTooLong => 504,
        }
    }

    /// In words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "the request cannot be understood",
            Self::IllegalName => "no rollback can be made for a jail of that name",
            Self::Forbidden => "not permitted",
            Self::NoRoute => "no such route",
            Self::UnknownJail => "no such jail",
            Self::NoRollback => "no rollback disables that jail",
            Self::NoMethod => "the route does not take that method",
            Self::TooSlow => "the request did not arrive in time",
            Self::Refused => "refused; fail2ban runs as before",
            Self::TooLarge => "the request is too large",
            Self::NotWritten => "a file could not be written",
            Self::Unreachable => "fail2ban cannot be asked",
            Self::NotBack => "fail2ban is not back, or not healthy",
            Self::NotProtected => "the host is not fully protected",
            Self::NoAnswer => "the supervisor gives no answer",
            Self::Busy => "too much is being asked at once",
            Self::CheckTooLong => "the dry run took too long",
            Self::Other => "another problem",
        }
    }
}

impl Problem {
    /// A problem of this kind; `detail` says what is wrong here, why, and what to do.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title().into(),
            status: kind.status(),
            detail: detail.into(),
            findings: Vec::new(),
            suspect: None,
            rollback: None,
        }
    }
}
