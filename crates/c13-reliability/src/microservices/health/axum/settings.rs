//! The limits of a server: what its clients may take, and how long the steps of its end last.

use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use std::time::Duration;

/// The limits of a server: how long clients may take, and how long the steps of its end last. A plain value with `const`
/// setters.
///
/// | setting | default |
/// |---|---|
/// | [`keep_serving`](Self::keep_serving) | 5 s |
/// | [`finish_within`](Self::finish_within) | 20 s |
/// | [`read_within`](Self::read_within) | 10 s |
/// | [`keep_idle`](Self::keep_idle) | 75 s |
/// | [`max_connections`](Self::max_connections) | 10,000 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeSettings {
    /// How long the server goes on accepting after it said that it is not ready: as long as the slowest load balancer
    /// takes to notice. May be zero.
    pub keep_serving: Duration,
    /// How long requests in flight may then take to finish. More than zero.
    pub finish_within: Duration,
    /// How long a client may take to send the head of a request, from its first byte on. Once the server has stopped
    /// accepting, it is also how long a request in flight waits for a client that neither sends the rest of its body nor
    /// takes the response. More than zero.
    pub read_within: Duration,
    /// How long a connection may stay without a request, and how long a client may take nothing of a response or send
    /// nothing of a body whose length it has announced. Longer than the load balancer keeps a connection without a
    /// request (often 60 s), so that it is not the server that closes the one that the balancer is about to use. More
    /// than zero.
    pub keep_idle: Duration,
    /// How many connections are served at a time; others wait to be accepted. More than zero.
    pub max_connections: usize,
}

impl ServeSettings {
    /// 5 s of serving on, and 20 s to finish: together below the 30 s that Kubernetes waits by default.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            keep_serving: Duration::from_secs(5),
            finish_within: Duration::from_secs(20),
            read_within: Duration::from_secs(10),
            keep_idle: Duration::from_secs(75),
            max_connections: 10_000,
        }
    }

    setters! {
        /// Sets how long the server goes on accepting.
        keep_serving: Duration,
        /// Sets how long requests in flight may take to finish.
        finish_within: Duration,
        /// Sets how long a client may take to send the head of a request.
        read_within: Duration,
        /// Sets how long a connection may stay without a request.
        keep_idle: Duration,
        /// Sets how many connections are served at a time.
        max_connections: usize,
    }

    /// Checks the settings, in a constant too.
    ///
    /// # Errors
    ///
    /// A limit of zero, except for `keep_serving`.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        const RULE: &str = "must be more than zero";
        let (setting, value) = if self.finish_within.is_zero() {
            ("finish_within", ConfigValue::Duration(self.finish_within))
        } else if self.read_within.is_zero() {
            ("read_within", ConfigValue::Duration(self.read_within))
        } else if self.keep_idle.is_zero() {
            ("keep_idle", ConfigValue::Duration(self.keep_idle))
        } else if self.max_connections == 0 {
            ("max_connections", ConfigValue::Count(0))
        } else {
            return Ok(());
        };
        Err(ConfigError::new("serve", setting, value, RULE))
    }
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self::new()
    }
}
