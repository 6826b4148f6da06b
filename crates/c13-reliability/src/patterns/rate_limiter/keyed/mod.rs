//! A quota for each key, with a bound on memory: see [`KeyedRateLimiter`].

#[cfg(feature = "axum")]
mod axum;
mod client_address;
mod config;
mod handle;
mod keys;
mod proxies;
mod quota;
mod snapshot;
#[cfg(all(test, not(c13_loom)))]
mod tests;
#[cfg(feature = "axum")]
mod without_key;

#[cfg(feature = "axum")]
pub(crate) use axum::add_quota_fields;
#[cfg(feature = "axum")]
pub use axum::{
    KeyedRateLimitFuture, KeyedRateLimitLayer, KeyedRateLimitService, LONGEST_HEADER_KEY, client_address,
    client_behind, header_key,
};
pub use client_address::ClientAddress;
pub use config::{KeyedConfig, Quota, WhenFull, WithoutKey};
pub use handle::KeyedRateLimiter;
pub use proxies::{Network, Networks, ProxyHeader, TrustedProxies};
pub use snapshot::{KeyedSnapshot, QuotaStatus};
#[cfg(feature = "axum")]
pub(crate) use without_key::KeylessEvents;
