//! What most services need of this crate, in one line.
//!
//! ```
//! use c13_reliability::prelude::*;
//! # use c13_reliability::time::Executor;
//!
//! async fn charge() -> std::io::Result<&'static str> {
//!     Ok("paid")
//! }
//!
//! let payments = Policy::new(CRITICAL)?;
//! # Executor::new().block_on(async {
//! match payments.call(charge).await {
//!     Ok(receipt) => println!("{receipt}"),
//!     Err(error) if error.is_rejected() => println!("not now, again in {:?}", error.retry_after()),
//!     Err(error) => println!("{error}"),
//! }
//! # });
//! # Ok::<_, c13_reliability::ConfigError>(())
//! ```

pub use crate::error::ConfigError;
pub use crate::gate::Outcome;
pub use crate::patterns::circuit_breaker::CircuitBreaker;
pub use crate::patterns::fallback::Fallback;
pub use crate::patterns::retry::RetryExecutor;
#[cfg(feature = "tonic")]
pub use crate::policy::GrpcLayer;
#[cfg(feature = "reqwest")]
pub use crate::policy::HttpClient;
#[cfg(all(feature = "http", feature = "tower"))]
pub use crate::policy::HttpLayer;
#[cfg(feature = "axum")]
pub use crate::policy::InboundLayer;
#[cfg(feature = "tower")]
pub use crate::policy::PolicyLayer;
pub use crate::policy::{
    BATCH, CRITICAL, ClassifiedPolicy, Policy, PolicyConfig, PolicyError, Profile, STANDARD, ThroughPolicy, TypedPolicy,
};
#[cfg(feature = "toml")]
pub use crate::policy::{PolicyRegistry, file::PolicyFiles};
pub use crate::time::{Clock, Deadline};
pub use crate::verdict::{Meaning, Retryable, Verdict};
#[cfg(feature = "macros")]
pub use c13_reliability_macros::reliable;
