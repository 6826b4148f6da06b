//! What a service shows of itself to those who run it.

pub(crate) mod accept;
pub mod health;
