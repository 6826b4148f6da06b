//! A policy and HTTP, whatever the client or the server: bodies that hold the permits of their call.

mod body;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use body::{BodyLimits, BodyTimeout, PermitBody};
