//! The cases: ours, the peers', and the machine's own floors.

mod adaptive;
mod bulkhead;
pub(crate) mod cache;
mod circuit_breaker;
mod distributed;
mod drive;
mod fallback;
mod floor;
mod growth;
mod hedge;
mod http;
#[cfg(feature = "peers")]
mod peers;
mod policy;
mod rate_limiter;
mod retry;
mod timeout;

/// What adds the cases of each group, in the order in which they are measured.
pub(crate) const GROUPS: &[fn(&mut crate::case::Cases)] = &[
    floor::add,
    circuit_breaker::add,
    rate_limiter::add,
    retry::add,
    timeout::add,
    bulkhead::add,
    adaptive::add,
    hedge::add,
    fallback::add,
    policy::add,
    http::add,
    cache::add,
    distributed::add,
    growth::add,
    #[cfg(feature = "peers")]
    peers::breaker::add,
    #[cfg(feature = "peers")]
    peers::limiter::add,
    #[cfg(feature = "peers")]
    peers::retry::add,
    #[cfg(feature = "peers")]
    peers::stack::add,
    #[cfg(feature = "peers")]
    peers::cache::add,
    #[cfg(feature = "peers")]
    peers::http::add,
];
