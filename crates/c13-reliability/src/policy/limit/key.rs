//! The key of a request.

use crate::patterns::rate_limiter::ClientAddress;
use std::fmt;

/// The key of a request, for a limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RequestKey {
    /// Its client.
    Client(ClientAddress),
    /// The value of a header.
    Header(String),
    /// The key of all requests.
    All,
    /// The key of requests in which none was found.
    None,
}

/// The key at the backend of a shared limit. A header's value that begins like one of the others is told apart from it.
impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => client.fmt(f),
            Self::Header(value) => write!(f, "={value}"),
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
        }
    }
}
