//! An axum server that ends in the right order: not ready, keep serving, stop accepting, finish, return.

use super::accept::Acceptor;
use super::settings::ServeSettings;
use super::signals::Signals;
use crate::microservices::health::HealthCheckService;
use crate::microservices::health::join::{Either, first};
use axum::Router;
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use axum::middleware::{Next, from_fn};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Shutdown {
    /// All requests were finished.
    Finished,
    /// Requests were unfinished when `finish_within` was over. Their connections break when the process exits.
    TimedOut,
    /// A second signal ended the server at once, so requests may be unfinished.
    Hurried,
}

/// Serves `app` until the process gets SIGTERM or SIGINT (Ctrl-C), and then ends in the right order: `health` says that
/// it is not ready, the server goes on for `keep_serving` and asks clients to close their connections, stops accepting
/// after what clients have already opened, and waits `finish_within` for what is in flight. A second signal ends it at
/// once.
///
/// A client gets no more time than [`ServeSettings`] says: one that sends half a request, or none, is disconnected and
/// does not delay the end. Handlers find the client's address as
/// [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo). A connection that was upgraded, to a WebSocket for one, has
/// its own protocol's limits, is not counted, and is not waited for.
///
/// # Errors
///
/// Settings that make no sense, signals that cannot be watched.
///
/// # Cancel safety
///
/// Dropping it stops accepting; connections are left to the runtime.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    health: Arc<HealthCheckService>,
    settings: ServeSettings,
) -> io::Result<Shutdown> {
    let mut signals = Signals::new()?;
    serve_until(listener, app, health, settings, move || signals.next()).await
}

/// Like [`serve`], with your own signals: `next_signal` returns a future that is ready at the next signal, and is
/// called again for the second.
///
/// # Errors
///
/// Settings that make no sense.
///
/// # Cancel safety
///
/// As [`serve`].
pub async fn serve_until<N, S>(
    listener: TcpListener,
    app: Router,
    health: Arc<HealthCheckService>,
    settings: ServeSettings,
    mut next_signal: N,
) -> io::Result<Shutdown>
where
    N: FnMut() -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    settings
        .validate()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let clock = health.clock().clone();
    let draining = health.clone();
    let app = app.layer(from_fn(move |request, next| {
        close_while_draining(draining.clone(), request, next)
    }));
    // Nothing is ever sent. The channel closes when the last connection has ended.
    let (alive, mut all_ended) = mpsc::channel(1);
    let acceptor = Acceptor::new(app, settings, clock.clone(), alive);
    first(next_signal(), acceptor.accept(&listener)).await;
    health.drain();
    let mut second = pin!(next_signal());
    let goes_on = first(clock.sleep(settings.keep_serving), acceptor.accept(&listener));
    if let Either::Left(()) = first(second.as_mut(), goes_on).await {
        return Ok(Shutdown::Hurried);
    }
    let finish = async move {
        acceptor.accept_the_last(listener).await?;
        all_ended.recv().await;
        Ok(Shutdown::Finished)
    };
    match first(finish, first(second, clock.sleep(settings.finish_within))).await {
        Either::Left(finished) => finished,
        Either::Right(Either::Left(())) => Ok(Shutdown::Hurried),
        Either::Right(Either::Right(())) => Ok(Shutdown::TimedOut),
    }
}

/// Asks clients that keep connections to close them, so that none is in use when the server stops.
async fn close_while_draining(
    health: Arc<HealthCheckService>,
    request: Request,
    next: Next,
) -> axum::response::Response {
    let version = request.version();
    let mut response = next.run(request).await;
    // HTTP/2 has no such header; its connections get GOAWAY.
    if version <= Version::HTTP_11 && health.is_draining() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
