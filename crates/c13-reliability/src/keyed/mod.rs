//! Keys in bounded memory: what keyed limiters keep their keys in, and how many keys a keyed set has.
//!
//! [`KeyedBreakers`](crate::patterns::circuit_breaker::KeyedBreakers),
//! [`KeyedBulkhead`](crate::patterns::bulkhead::KeyedBulkhead) and [`KeyedPolicies`](crate::policy::KeyedPolicies) are sets
//! of parts by key. Each reports as one part, however many keys there are: the sums of what its parts report (not of states
//! and shares, which do not add up), and what it knows of its keys.
//!
//! # Metrics
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.keyed.keys` | gauge | {key} | | Keys that a keyed set keeps |
//! | `reliability.keyed.open` | gauge | {key} | | Keys whose circuit refuses calls |
//! | `reliability.keyed.evictions` | counter | {key} | | Keys that a keyed set forgot |
//! | `reliability.keyed.shared` | counter | {request} | `reason`: too_long, full | Requests for keys that share one part, by reason; full: no room for a new key |
//!
//! # In here
//!
//! - `shards`: locks for parts of the set, so that threads seldom wait for each other.
//! - `table`: the keys of one shard, with a state each; finds keys that may be evicted bit by bit.
//! - `set`: a part for each key, and which of them may be evicted.
//! - `hasher`: a fast hash with random seeds, because strangers choose keys.

mod config;
mod hasher;
mod set;
mod shards;
mod snapshot;
mod table;

pub use config::KeySetConfig;
pub(crate) use hasher::Seeds;
pub(crate) use set::{KeySet, KeyedPart};
pub(crate) use shards::{Shard, Shards};
pub use snapshot::KeySetSnapshot;
pub(crate) use table::{Entry, Table, Tag};
