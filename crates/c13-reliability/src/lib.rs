//! Keeps a service's calls succeeding while the things it depends on fail.
//!
//! # First step
//!
//! A policy for each thing that the service depends on, and each call through it:
//!
//! ```
//! use c13_reliability::prelude::*;
//!
//! # async fn charge() -> std::io::Result<&'static str> { Ok("paid") }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Once, where the service starts: time limits, retries within a budget, a circuit breaker, a rate limit.
//! let payments = Policy::new(CRITICAL)?;
//!
//! // Clones share one state. The closure is run once for each attempt.
//! let receipt = payments.call(|| async { charge().await }).await?;
//! assert_eq!(receipt, "paid");
//! # Ok(())
//! # }
//! ```
//!
//! - Errors that know what they mean, such as those of sqlx, tonic and redis: [`Policy::classify_errors`](policy::Policy::classify_errors).
//! - Policies from a file that is changed while the service runs: [`policy`], with the feature `toml`.
//! - A single pattern, such as a breaker around one call: [`patterns`].
//! - What happened: [`observability`], and health for balancers and orchestrators: [`microservices`].
//!
//! # Modules
//!
//! | module | what it holds |
//! |---|---|
//! | [`time`] | [`Tick`](time::Tick), the one [`Clock`](time::Clock), sleeping and time limits; with `test-util` the virtual clock and executor |
//! | [`sync`] | the log-linear histogram, a seedable source of random numbers |
//! | [`window`] | the last N calls and the last T of time, both O(1) and truly sliding |
//! | [`budget`] | how many extra attempts all calls together may make; shared by retry and hedge |
//! | [`verdict`] | what a result means: its outcome to gates, and whether it is worth another attempt |
//! | [`patterns`] | the patterns themselves, one module each |
//! | [`policy`] | patterns put together; with `toml` the files that policies and drills are read from |
//! | [`realtime`] | periodic tasks with absolute deadlines; a supervisor that starts failed tasks again |
//! | [`distributed`] | what many processes share: locks with fencing tokens, rate limits |
//! | [`gate`] | admit, run, record: what breaker, limiter and bulkhead have in common |
//! | [`keyed`] | how many keys a keyed set keeps, and what it reports |
//! | [`snapshot`] | what the parts report of themselves, and the registry that all readers read |
//! | [`microservices`] | what a service shows of itself: health, readiness, draining |
//! | [`observability`] | metrics as Prometheus text and over OpenTelemetry |
//! | [`error`] | what every part shares: a refused setting, a refused call |
//! | [`prelude`] | what most services need, in one line |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

pub mod budget;
pub mod distributed;
pub mod error;
pub mod gate;
pub mod keyed;
pub mod microservices;
pub mod observability;
pub mod patterns;
pub mod policy;
pub mod prelude;
pub mod realtime;
mod setters;
mod single_flight;
pub mod snapshot;
pub mod sync;
pub mod time;
pub mod verdict;
pub mod window;

/// What mangles the inputs of the fuzz targets that call private readers; it names this crate as the other tests do.
#[cfg(all(test, not(c13_loom)))]
#[path = "../tests/it/fuzz/mutate.rs"]
mod mutate;
#[cfg(all(test, not(c13_loom)))]
extern crate self as c13_reliability;

/// Takes each call of an `async fn` through the policy of this name, which must be [installed](policy::install) before the
/// first call; without it the call panics.
///
/// The function returns a `Result<T, E>` where `E: From<PolicyError<E>>`: whatever the policy has to say becomes the function's own
/// error. Its body is run once for each attempt, so it borrows its arguments; clone what an attempt uses up.
///
/// | | how results are told apart |
/// |---|---|
/// | `#[reliable("payments")]` | as by [`Policy::call`](policy::Policy::call): every error is a failure, and worth another attempt |
/// | `#[reliable("payments", classified)]` | as by [`Policy::classify_errors`](policy::Policy::classify_errors), where `E` is [`Retryable`](verdict::Retryable) |
/// | `#[reliable("payments", idempotent)]` | the same, for calls that may have their effect twice |
///
/// ```
/// use c13_reliability::prelude::*;
/// use c13_reliability::policy::install;
/// use std::io;
///
/// #[derive(Debug)]
/// enum ChargeError {
///     Network(io::Error),
///     /// Refused or cut short by the policy.
///     NotNow(String),
/// }
///
/// impl From<io::Error> for ChargeError {
///     fn from(error: io::Error) -> Self {
///         Self::Network(error)
///     }
/// }
///
/// impl From<PolicyError<Self>> for ChargeError {
///     fn from(error: PolicyError<Self>) -> Self {
///         match error {
///             PolicyError::Failed { error, .. } => error,
///             refused => Self::NotNow(format!("{:?}", refused.layer())),
///         }
///     }
/// }
///
/// # async fn send(order: &str, cents: u32) -> io::Result<String> { Ok(format!("{order}: {cents}")) }
/// #[reliable("payments")]
/// async fn charge(order: &str, cents: u32) -> Result<String, ChargeError> {
///     Ok(send(order, cents).await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// install("payments", Policy::new(CRITICAL)?);
/// assert_eq!(charge("a pen", 250).await.expect("it is paid"), "a pen: 250");
/// # Ok(())
/// # }
/// ```
///
/// What does not fit does not compile: an error that no policy's error becomes,
///
/// ```compile_fail,E0277
/// #[c13_reliability::reliable("payments")]
/// async fn charge() -> Result<(), std::io::Error> {
///     Ok(())
/// }
/// ```
///
/// a function that is not `async`,
///
/// ```compile_fail
/// # struct E;
/// # impl From<c13_reliability::policy::PolicyError<E>> for E { fn from(_: c13_reliability::policy::PolicyError<E>) -> E { E } }
/// #[c13_reliability::reliable("payments")]
/// fn charge() -> Result<(), E> {
///     Ok(())
/// }
/// ```
///
/// a function without a result,
///
/// ```compile_fail
/// #[c13_reliability::reliable("payments")]
/// async fn charge() {}
/// ```
///
/// a body that uses an argument up, which a second attempt would not have,
///
/// ```compile_fail
/// # struct E;
/// # impl From<c13_reliability::policy::PolicyError<E>> for E { fn from(_: c13_reliability::policy::PolicyError<E>) -> E { E } }
/// #[c13_reliability::reliable("payments")]
/// async fn charge(order: String) -> Result<(), E> {
///     drop(order);
///     Ok(())
/// }
/// ```
///
/// and no name.
///
/// ```compile_fail
/// # struct E;
/// # impl From<c13_reliability::policy::PolicyError<E>> for E { fn from(_: c13_reliability::policy::PolicyError<E>) -> E { E } }
/// #[c13_reliability::reliable]
/// async fn charge() -> Result<(), E> {
///     Ok(())
/// }
/// ```
#[cfg(feature = "macros")]
pub use c13_reliability_macros::reliable;
pub use error::{ConfigError, Layer, Rejected};

/// The snippets of the README and the guide, run as documentation tests.
#[cfg(all(doctest, feature = "reqwest", feature = "toml", feature = "tokio"))]
mod snippets {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/policies.md")]
    struct Policies;
    #[doc = include_str!("../../../docs/http.md")]
    struct Http;
}
