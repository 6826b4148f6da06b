//! A set of keys with a bound on its memory: what keyed rate limiters and keyed breakers keep their keys in.
//!
//! - `shards`: locks for parts of the set, so that threads seldom wait for each other.
//! - `table`: the keys of one shard, with a state each; finds keys that may be evicted bit by bit.
//! - `hasher`: a fast hash with random seeds, because strangers choose keys.

mod hasher;
mod shards;
mod table;

pub(crate) use hasher::Seeds;
pub(crate) use shards::{Shard, Shards};
pub(crate) use table::{Entry, Table, Tag};
