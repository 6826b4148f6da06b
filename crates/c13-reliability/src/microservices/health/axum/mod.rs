//! The endpoints as an axum router, and the end of an axum server in the right order.

mod answer;
mod router;
mod serve;

pub use serve::{DrainSettings, Shutdown, serve, serve_until};
