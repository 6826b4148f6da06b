//! The sliding window, exact or approximate: [`SlidingWindowRateLimiter`].

pub(super) mod approximate;
mod config;
pub(super) mod exact;
mod handle;
pub(super) mod shared;
mod state;
pub(super) mod window;

pub use config::SlidingWindowConfig;
pub use handle::SlidingWindowRateLimiter;
