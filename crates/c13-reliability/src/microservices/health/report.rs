//! A health report: the status of each part, and of the whole.

use std::fmt;

/// The status of a part or of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum HealthStatus {
    /// It works.
    Healthy,
    /// It works, but not as it should.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl HealthStatus {
    /// The name in reports, such as `Healthy`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Unhealthy => "Unhealthy",
        }
    }

    /// The word in `application/health+json` and in metrics: `pass`, `warn` or `fail`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "pass",
            Self::Degraded => "warn",
            Self::Unhealthy => "fail",
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The health of one part, as its checker reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ComponentHealth {
    /// The name of the check.
    pub name: String,
    /// The status of the part.
    pub status: HealthStatus,
    /// Details. Only authorised clients see them, and credentials are removed.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub message: Option<String>,
}

impl ComponentHealth {
    /// A part that works.
    #[must_use]
    pub fn healthy(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status: HealthStatus::Healthy,
            message: None,
        }
    }

    /// A part that works, but not as it should.
    #[must_use]
    pub fn degraded(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status: HealthStatus::Degraded,
            message: Some(message.into()),
        }
    }

    /// A part that does not work.
    #[must_use]
    pub fn unhealthy(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status: HealthStatus::Unhealthy,
            message: Some(message.into()),
        }
    }
}

/// The health of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HealthCheck {
    /// The worst status of the critical checks; a failing optional check makes it `Degraded`.
    pub status: HealthStatus,
    /// The service's version.
    pub version: String,
    /// How long the service has been up, in whole seconds.
    pub uptime_seconds: u64,
    /// The checks, in the order in which they were added.
    pub checks: Vec<ComponentHealth>,
}

impl HealthCheck {
    /// The report without the messages, for clients that are not authorised to see them.
    #[must_use]
    pub fn without_messages(mut self) -> Self {
        for check in &mut self.checks {
            check.message = None;
        }
        self
    }
}

/// The status of the whole: the worst of the critical checks, and at most `Degraded` for the optional ones. The pairs
/// are (critical, status). Without checks it is `Healthy`.
#[must_use]
pub(super) fn overall(checks: impl IntoIterator<Item = (bool, HealthStatus)>) -> HealthStatus {
    checks
        .into_iter()
        .map(|(critical, status)| {
            if critical {
                status
            } else {
                status.min(HealthStatus::Degraded)
            }
        })
        .max()
        .unwrap_or(HealthStatus::Healthy)
}

#[cfg(test)]
mod tests {
    use super::HealthStatus::{Degraded, Healthy, Unhealthy};
    use super::*;

    #[test]
    fn the_whole_is_as_bad_as_its_worst_critical_check_and_degraded_by_an_optional_one() {
        for (checks, whole) in [
            (&[][..], Healthy),
            (&[(true, Healthy), (false, Healthy)], Healthy),
            (&[(true, Healthy), (false, Degraded)], Degraded),
            (&[(true, Healthy), (false, Unhealthy)], Degraded),
            (&[(true, Degraded), (false, Unhealthy)], Degraded),
            (&[(true, Unhealthy), (true, Healthy)], Unhealthy),
        ] {
            assert_eq!(overall(checks.iter().copied()), whole, "{checks:?}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn statuses_serialise_by_their_names() {
        let report = HealthCheck {
            status: Degraded,
            version: "1.2.3".to_owned(),
            uptime_seconds: 7,
            checks: vec![
                ComponentHealth::healthy("database"),
                ComponentHealth::unhealthy("cache", "refused"),
            ],
        };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(
            text,
            r#"{"status":"Degraded","version":"1.2.3","uptime_seconds":7,"checks":[{"name":"database","status":"Healthy"},{"name":"cache","status":"Unhealthy","message":"refused"}]}"#
        );
        assert_eq!(serde_json::from_str::<HealthCheck>(&text).unwrap(), report);
    }
}
