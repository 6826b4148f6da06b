//! Locks on Redis: the backend, and the lock by the name users were promised.
//!
//! # On the wire
//!
//! The lock is the standard recipe: a string key that holds the owner's token, set with `NX` and `PX`, deleted and
//! extended only where the token is the own one. So clients in other languages that use the recipe exclude us and are
//! excluded. Beside the key, in the same hash slot of a cluster, a second one keeps the fence's high-water mark, the
//! attempts that were buried, and the signs of life of waiters; shared holders and the queue have a key each, where
//! they are used. Releases are published on the channel named like the record.

mod backend;
mod promised;

pub use backend::RedisBackend;
pub use promised::{RedisDistributedLock, with_distributed_lock};
