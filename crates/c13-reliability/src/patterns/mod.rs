//! The local patterns, one folder each; none of them imports another.

pub mod adaptive;
pub mod bulkhead;
pub mod cache;
pub mod circuit_breaker;
pub mod fallback;
pub mod hedge;
pub mod rate_limiter;
pub mod retry;
pub mod timeout;
