//! The cases: ours, the peers', and the machine's own floors.

mod breaker;
mod bulkhead;
pub(crate) mod cache;
mod drive;
mod floor;
mod growth;
mod limiter;
#[cfg(feature = "peers")]
mod peers;
mod policy;
mod retry;
mod timeout;

/// What adds the cases of each group, in the order in which they are measured.
pub(crate) const GROUPS: &[fn(&mut crate::case::Cases)] = &[
    floor::add,
    breaker::add,
    limiter::add,
    retry::add,
    timeout::add,
    bulkhead::add,
    policy::add,
    cache::add,
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
];
