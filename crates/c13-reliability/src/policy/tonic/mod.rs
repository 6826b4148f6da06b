//! A policy and gRPC by tonic: the layer around a channel, and the status of a call that a policy ended.

mod layer;
mod status;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use layer::{GrpcFuture, GrpcLayer, GrpcService};
