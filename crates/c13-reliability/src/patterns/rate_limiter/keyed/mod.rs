//! A quota for each key, with a bound on memory: see [`KeyedRateLimiter`].

mod config;
mod handle;
mod hasher;
mod keys;
mod rules;
mod status;
mod table;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use config::{KeyedConfig, Quota, WhenFull};
pub use handle::KeyedRateLimiter;
pub use status::{KeyedSnapshot, QuotaStatus};
