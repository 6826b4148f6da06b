//! Policies: the patterns put together, in one checked order, under one name.
//!
//! A [`Policy`] takes a call through, from the outside in: total timeout, rate limit, bulkhead, retry with its budget,
//! circuit breaker, attempt timeout. Each part is optional. [`PolicyConfig`] holds the settings, [`Profile`] names three
//! that fit most calls, and [`PolicyError`] says which layer ended a call.
//!
//! | setting | default | part |
//! |---|---|---|
//! | [`total_timeout`](PolicyConfig::total_timeout) | none | the whole call |
//! | [`rate_limit`](PolicyConfig::rate_limit) | none | [`rate_limiter`](crate::patterns::rate_limiter) |
//! | [`bulkhead`](PolicyConfig::bulkhead) | none | [`bulkhead`](crate::patterns::bulkhead) |
//! | [`retry`](PolicyConfig::retry) | none | [`retry`](crate::patterns::retry) |
//! | [`circuit_breaker`](PolicyConfig::circuit_breaker) | none | [`circuit_breaker`](crate::patterns::circuit_breaker) |
//! | [`attempt_timeout`](PolicyConfig::attempt_timeout) | none | each attempt |
//!
//! The order matters. Retry is outside the breaker, so that every attempt counts; an open circuit is not retried, since
//! it would only refuse again. The rate limit and the bulkhead are outside retry, so that they count calls. The total
//! timeout is outside everything: waiting, attempts and pauses share it.

mod call;
mod config;
#[cfg(feature = "toml")]
pub mod document;
mod error;
#[cfg(feature = "toml")]
pub mod file;
mod handle;
mod parts;
mod profile;
#[cfg(feature = "toml")]
mod registry;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use config::PolicyConfig;
pub use error::PolicyError;
pub use handle::Policy;
pub use profile::{BATCH, CRITICAL, Profile, STANDARD};
#[cfg(feature = "toml")]
pub use registry::{PolicyRegistry, ReloadError, ReloadStatus};
