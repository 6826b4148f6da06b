//! The peers, each set up for the same work as ours. Their metrics and tracing are off.

pub(super) mod breaker;
pub(super) mod cache;
pub(super) mod http;
pub(super) mod limiter;
pub(super) mod retry;
mod seat;
pub(super) mod stack;
mod tower_call;
