//! Connections to Redis that are restored by themselves: to one server, to the present master, or to a cluster.

mod connection;
mod error;
mod eviction;
mod keys;
mod script;
mod settings;
mod stream;
mod subscription;

pub use connection::Redis;
pub(crate) use eviction::NO_EVICTION;
pub(crate) use keys::Keys;
pub(crate) use script::Script;
pub use settings::RedisSettings;
pub(crate) use subscription::Subscriptions;
