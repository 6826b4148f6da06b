//! Policies: all patterns in one checked order, under one name.
//!
//! A call passes, from the outside in: fallback, total timeout, cache, rate limit, bulkhead or adaptive limit, retry with
//! its budget, hedge, circuit breaker, attempt timeout. Each part is optional. [`PolicyConfig`] holds the settings,
//! [`Profile`] names three that fit most calls, [`PolicyError`] says which layer ended a call. Fallback and cache, and the
//! predicates that tell results apart, depend on types, and so belong to a [`TypedPolicy`], a view of a [`Policy`].
//! [`Policy::classify_errors`] is the view for calls whose errors know what they mean, such as those of sqlx, tonic and redis.
//!
//! | setting | default | part |
//! |---|---|---|
//! | [`total_timeout`](PolicyConfig::total_timeout) | none | the whole call |
//! | [`rate_limit`](PolicyConfig::rate_limit) | none | [`rate_limiter`](crate::patterns::rate_limiter) |
//! | [`bulkhead`](PolicyConfig::bulkhead) | none | [`bulkhead`](crate::patterns::bulkhead) |
//! | [`adaptive`](PolicyConfig::adaptive) | none | [`adaptive`](crate::patterns::adaptive), in place of the bulkhead |
//! | [`retry`](PolicyConfig::retry) | none | [`retry`](crate::patterns::retry) |
//! | [`hedge`](PolicyConfig::hedge) | none | [`hedge`](crate::patterns::hedge) |
//! | [`circuit_breaker`](PolicyConfig::circuit_breaker) | none | [`circuit_breaker`](crate::patterns::circuit_breaker) |
//! | [`attempt_timeout`](PolicyConfig::attempt_timeout) | none | each attempt |
//!
//! The order matters. Retry is outside the breaker, so that every attempt counts; an open circuit is not retried, since
//! it would only refuse again. The rate limit and the bulkhead are outside retry, so that they count calls; a rate limit
//! [per attempt](RateLimitPer::Attempt) is inside, for a quota that the dependency grants; it is asked after the bulkhead, so
//! that a call which finds no permit spends no token. A hedge is inside retry, and draws on its budget. The total timeout is
//! outside: waits, attempts and pauses share it. A hit in the cache needs neither token nor permit. The fallback is outside
//! everything, so that no layer takes its answer for the dependency's.
//!
//! How a call goes through all of that is written in `call/`.
//!
//! A policy in a [registry](crate::snapshot::Registry) reports what its parts report, and besides:
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.policy.call.duration` | histogram | s | `result`, `layer` | How long calls took, waits and retries included, by result (success, failure, timed_out, rejected) and by the layer that ended them; a call that ended at its first poll counts as one that took no time |
//! | `reliability.policy.attempt.duration` | histogram | s | `result` | How long attempts took, by result (success, failure, timed_out) |
//! | `reliability.policy.refusals` | counter | {call} | `layer`: total_timeout, rate_limit, bulkhead, circuit_breaker | Calls that a layer refused, or whose next attempt it refused, by layer |
//! | `reliability.timeout.expirations` | counter | {call} | `reason`: limit, deadline | Calls that were cut short, or attempts of a policy, by reason |
//! | `reliability.config.reloads` | counter | {reload} | `result`: ok, rejected | Contents of policy files that were read after the first, by result |
//! | `reliability.config.wrong` | gauge | | | 1 while the policy files are wrong and the last good settings stay, else 0 |

#[cfg(feature = "axum")]
mod axum;
mod cached;
mod call;
mod classified;
mod config;
mod error;
#[cfg(feature = "toml")]
pub mod file;
mod handle;
#[cfg(feature = "http")]
mod http;
mod installed;
mod keyed;
#[cfg(feature = "tower")]
mod layer;
mod limit;
mod parts;
mod profile;
#[cfg(feature = "toml")]
mod registry;
#[doc(hidden)]
#[cfg(feature = "macros")]
pub mod reliable;
mod telemetry;
#[cfg(all(test, not(c13_loom)))]
mod tests;
mod through;
#[cfg(feature = "tonic")]
mod tonic;
mod typed;

#[cfg(feature = "axum")]
pub use axum::{InboundFuture, InboundLayer, InboundService, LimitFuture, LimitLayer, LimitService};
#[cfg(feature = "toml")]
pub use c13_document as document;
pub use cached::CachedPolicy;
pub use call::CallPermit;
pub use classified::ClassifiedPolicy;
pub use config::{PolicyConfig, RateLimitPer};
pub use error::PolicyError;
pub use handle::{CallOptions, Policy};
#[cfg(all(feature = "http", any(feature = "reqwest", feature = "tower")))]
pub use http::ATTEMPT;
#[cfg(feature = "http")]
pub use http::{BodyLimits, BodyTimeout, ByCauses, ErrorMeaning, HttpConfig, PermitBody};
#[cfg(all(feature = "http", feature = "tower"))]
pub use http::{CloneBody, CopyBody, HttpFuture, HttpLayer, HttpService};
#[cfg(feature = "reqwest")]
pub use http::{HttpClient, HttpRequest};
pub use installed::{install, installed};
pub use keyed::KeyedPolicies;
#[cfg(feature = "tower")]
pub use layer::{PolicyLayer, PolicyService, ResponseFuture};
pub use limit::{KeyHeader, LimitConfig, LimitKey};
#[cfg(feature = "axum")]
pub use limit::{LimitReason, LimitRefused, RequestLimit};
pub use profile::{BATCH, CRITICAL, Profile, STANDARD};
#[cfg(feature = "toml")]
pub use registry::{PolicyRegistry, ReloadError, ReloadStatus};
pub(crate) use telemetry::PolicySnapshot;
pub use through::ThroughPolicy;
#[cfg(feature = "tonic")]
pub use tonic::{GrpcFuture, GrpcLayer, GrpcService};
pub use typed::TypedPolicy;
