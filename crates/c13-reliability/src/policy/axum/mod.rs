//! A policy and HTTP: its errors as responses, and the layer in front of a service of axum's or tonic's.

mod answer;
mod inbound;
mod limit;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use inbound::{InboundFuture, InboundLayer, InboundService};
pub use limit::{LimitFuture, LimitLayer, LimitService};
