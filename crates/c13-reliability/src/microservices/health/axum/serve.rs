//! An axum server that ends in the right order: not ready, keep serving, stop accepting, finish, return.

use crate::error::{ConfigError, ConfigValue};
use crate::microservices::health::HealthCheckService;
use crate::microservices::health::join::{Either, first};
use axum::Router;
use axum::extract::Request;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use axum::middleware::{Next, from_fn};
use std::future::{Future, IntoFuture, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long the steps of the end take. A plain value with `const` setters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainSettings {
    /// How long the server goes on accepting after it said that it is not ready: as long as the slowest load balancer
    /// takes to notice. May be zero.
    pub keep_serving: Duration,
    /// How long requests in flight may then take to finish. More than zero.
    pub finish_within: Duration,
}

impl DrainSettings {
    /// 5 s of serving on, and 20 s to finish: together below the 30 s that Kubernetes waits by default.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            keep_serving: Duration::from_secs(5),
            finish_within: Duration::from_secs(20),
        }
    }

    /// Sets how long the server goes on accepting.
    #[must_use]
    pub const fn keep_serving(mut self, keep_serving: Duration) -> Self {
        self.keep_serving = keep_serving;
        self
    }

    /// Sets how long requests in flight may take to finish.
    #[must_use]
    pub const fn finish_within(mut self, finish_within: Duration) -> Self {
        self.finish_within = finish_within;
        self
    }

    /// Checks the settings, in a constant too.
    ///
    /// # Errors
    ///
    /// No time to finish.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if self.finish_within.is_zero() {
            let value = ConfigValue::Duration(self.finish_within);
            return Err(ConfigError::new(
                "drain",
                "finish_within",
                value,
                "must be more than zero",
            ));
        }
        Ok(())
    }
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self::new()
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Shutdown {
    /// All requests were finished.
    Finished,
    /// Requests were left behind when `finish_within` was over. Their connections break when the process exits.
    TimedOut,
    /// A second signal asked for the end at once; requests may have been left behind.
    Hurried,
}

/// Serves `app` until the process gets SIGTERM or SIGINT (Ctrl-C), and then ends in the right order: `health` says that
/// it is not ready, the server goes on for `keep_serving` and asks clients to close their connections, stops accepting,
/// and waits `finish_within` for what is in flight. A second signal ends it at once.
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
    settings: DrainSettings,
) -> io::Result<Shutdown> {
    let mut signals = Signals::new()?;
    serve_until(listener, app, health, settings, move || signals.next()).await
}

/// As [`serve`], with signals of one's own: `next_signal` gives a future that is ready at the next one, and is called
/// again for the second.
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
    settings: DrainSettings,
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
    let (stopping, stopped) = oneshot::channel();
    let wait = clock.clone();
    let stop = async move {
        next_signal().await;
        health.drain();
        let mut second = Box::pin(next_signal());
        let hurried = match first(wait.sleep(settings.keep_serving), second.as_mut()).await {
            Either::Left(()) => false,
            Either::Right(()) => true,
        };
        // Nobody waits for it only if the server is being dropped.
        let _ = stopping.send((second, hurried));
    };
    let end = async move {
        let Ok((second, hurried)) = stopped.await else {
            // The server ended before the signal; it is the one to say so.
            return pending().await;
        };
        if hurried {
            return Shutdown::Hurried;
        }
        match first(clock.sleep(settings.finish_within), second).await {
            Either::Left(()) => Shutdown::TimedOut,
            Either::Right(()) => Shutdown::Hurried,
        }
    };
    let server = axum::serve(listener, app).with_graceful_shutdown(stop).into_future();
    match first(server, end).await {
        Either::Left(served) => served.map(|()| Shutdown::Finished),
        Either::Right(shutdown) => Ok(shutdown),
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
    // HTTP/2 has no such header; its connections are told by GOAWAY.
    if version <= Version::HTTP_11 && health.is_draining() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What tells a process to end.
#[cfg(unix)]
struct Signals {
    shared: Arc<tokio::sync::Mutex<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let both = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self {
            shared: Arc::new(tokio::sync::Mutex::new(both)),
        })
    }

    fn next(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let mut both = shared.lock().await;
            let (terminate, interrupt) = &mut *both;
            first(terminate.recv(), interrupt.recv()).await;
        })
    }
}

/// What tells a process to end.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    fn next(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {
            if tokio::signal::ctrl_c().await.is_err() {
                pending().await
            }
        })
    }
}
