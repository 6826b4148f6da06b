//! The endpoints as an axum router, and an axum server that bounds its clients and ends in the right order.

mod accept;
mod activity;
mod answer;
mod connection;
mod router;
mod serve;
mod settings;
mod signals;

pub use serve::{Shutdown, serve, serve_until};
pub use settings::ServeSettings;
