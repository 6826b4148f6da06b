//! What the examples share: a server for the time of an example, and a header for the time that is left.

use axum::Router;
use c13_reliability::patterns::timeout::{HTTP_TIMEOUT, http_timeout};
use c13_reliability::time::{Clock, Deadline};
use std::io;
use std::net::SocketAddr;

/// Serves `app` on a port of its own until the runtime ends, and says where.
///
/// # Errors
///
/// If no port can be had.
pub async fn serve(app: Router) -> io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // With it a limit by client finds its client.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

/// The request with the time that is left written into its header, so that the next service knows it.
#[must_use]
pub fn with_deadline(mut request: reqwest::Request) -> reqwest::Request {
    let clock = Clock::tokio();
    if let Some(deadline) = Deadline::current(&clock) {
        let left = http_timeout(deadline.remaining(&clock));
        if let Ok(value) = left.parse() {
            request.headers_mut().insert(HTTP_TIMEOUT, value);
        }
    }
    request
}
