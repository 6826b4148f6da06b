//! What a service shows to its operators: health.

pub(crate) mod accept;
pub mod health;
