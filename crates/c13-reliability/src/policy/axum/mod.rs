//! A policy and HTTP: what its errors are as answers, and how it stands before a service of axum's or tonic's.

mod answer;
mod inbound;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use inbound::{InboundFuture, InboundLayer, InboundService};
