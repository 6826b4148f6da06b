//! What a service shows of itself to those who run it.

pub mod health;
