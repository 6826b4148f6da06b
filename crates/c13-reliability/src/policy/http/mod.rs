//! A policy and HTTP, whatever the client: what responses and errors mean, requests that are sent again only where that does
//! no harm, and bodies that hold the permits of their call.
//!
//! - `rules`: what the end of a request means, as pure functions. One table for all clients.
//! - `errors`: what the error of a client means.
//! - `config`: the settings.
//! - `send`: a request through a policy.
//! - `body`: a response's body, which holds the permits to its end.
//! - `reqwest`, `layer`: the clients.

mod body;
mod config;
mod errors;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(any(feature = "reqwest", feature = "tower"))]
mod rules;
#[cfg(any(feature = "reqwest", feature = "tower"))]
mod send;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub use body::{BodyLimits, BodyTimeout, PermitBody};
pub use config::HttpConfig;
pub use errors::{ByCauses, ErrorMeaning};
#[cfg(feature = "tower")]
pub use layer::{CloneBody, CopyBody, HttpFuture, HttpLayer, HttpService};
#[cfg(feature = "reqwest")]
pub use reqwest::{HttpClient, HttpRequest};
#[cfg(any(feature = "reqwest", feature = "tower"))]
pub use send::ATTEMPT;
