//! The signals that end a process: SIGTERM and SIGINT, or Ctrl-C on other systems.

use crate::microservices::health::join::first;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

/// What tells a process to end.
#[cfg(unix)]
pub(super) struct Signals {
    shared: Arc<tokio::sync::Mutex<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>>,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let both = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self {
            shared: Arc::new(tokio::sync::Mutex::new(both)),
        })
    }

    pub(super) fn next(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
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
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn next(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {
            if tokio::signal::ctrl_c().await.is_err() {
                pending().await
            }
        })
    }
}
