//! Limits of requests by key: in this process or shared by all, one or several at once.
//!
//! - `config`: what can be set, in code as in a file.
//! - `key`: what requests are told apart by.
//! - `handle`: the limit, and how several of them take a request's part together or not at all.
//! - `sharing`: a limit that all processes share.

mod config;
#[cfg(feature = "axum")]
mod handle;
#[cfg(feature = "axum")]
mod key;
#[cfg(feature = "axum")]
mod sharing;
#[cfg(all(test, feature = "axum", not(c13_loom)))]
mod tests;

pub use config::{KeyHeader, LimitConfig, LimitKey};
#[cfg(feature = "axum")]
pub(crate) use handle::acquire_all;
#[cfg(feature = "axum")]
pub use handle::{LimitReason, LimitRefused, RequestLimit};
#[cfg(feature = "axum")]
pub(crate) use key::RequestKey;
#[cfg(all(feature = "axum", feature = "toml"))]
pub(crate) use sharing::LimitSharing;
