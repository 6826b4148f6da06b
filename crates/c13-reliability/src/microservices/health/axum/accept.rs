//! Accepts connections: a bounded number at a time, and at the end all that clients have already opened.

use super::connection::attend;
use super::settings::ServeSettings;
#[cfg(feature = "tracing")]
use crate::microservices::health::check::TARGET;
use crate::microservices::health::join::first;
use crate::time::Clock;
use axum::Router;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// How long to pause after an error that does not concern one connection. Most often the process has no file descriptor
/// left, and gets one when a connection ends.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// How long connections that clients have begun to open are still accepted after new ones are refused: more than a
/// round trip.
const LAST_HANDSHAKES: Duration = Duration::from_millis(50);

/// Accepts connections and serves each in its own task.
pub(super) struct Acceptor {
    app: Router,
    settings: ServeSettings,
    clock: Clock,
    permits: Arc<Semaphore>,
    /// Becomes true when the last connection is accepted.
    stopped: watch::Sender<bool>,
    /// Kept by each connection until it ends.
    alive: mpsc::Sender<()>,
}

impl Acceptor {
    pub(super) fn new(app: Router, settings: ServeSettings, clock: Clock, alive: mpsc::Sender<()>) -> Self {
        Self {
            app,
            settings,
            clock,
            permits: Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS))),
            stopped: watch::Sender::new(false),
            alive,
        }
    }

    /// Accepts connections forever.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no connection: every accepted connection is served.
    pub(super) async fn accept(&self, listener: &TcpListener) {
        // The semaphore is never closed.
        while let Ok(permit) = self.permits.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, remote)) => self.serve(stream, remote, Some(permit)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    report(&error);
                    self.clock.sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    /// Accepts the connections that clients have opened or begun to open, closes the listener, and notifies the
    /// connections.
    ///
    /// When a listener is closed, the kernel resets the connections that wait to be accepted. So new connections are
    /// refused first, if the system can do that.
    pub(super) async fn accept_the_last(self, listener: TcpListener) -> io::Result<()> {
        if turn_away_new(&listener).is_ok() {
            first(self.clock.sleep(LAST_HANDSHAKES), self.accept_all(&listener)).await;
        }
        let listener = listener.into_std()?;
        loop {
            match listener.accept() {
                Ok((stream, remote)) => {
                    stream.set_nonblocking(true)?;
                    self.serve(TcpStream::from_std(stream)?, remote, None);
                }
                Err(error) if is_of_one_connection(&error) => {}
                // The listener does not block, so no connection waits any more.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    report(&error);
                    break;
                }
            }
        }
        drop(listener);
        let _nobody_left = self.stopped.send(true);
        Ok(())
    }

    /// Accepts without a bound on the number of connections: the kernel's queue has its own.
    async fn accept_all(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => self.serve(stream, remote, None),
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn serve(&self, stream: TcpStream, remote: SocketAddr, permit: Option<OwnedSemaphorePermit>) {
        let (app, settings, clock) = (self.app.clone(), self.settings, self.clock.clone());
        let (stopped, alive) = (self.stopped.subscribe(), self.alive.clone());
        tokio::spawn(async move {
            attend(stream, remote, app, settings, clock, stopped).await;
            drop((alive, permit));
        });
    }
}

/// Whether an error concerns only the connection that was about to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

fn report(error: &io::Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, %error, "cannot accept connections");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

/// Makes the kernel drop requests for new connections, while connections that are being opened are completed.
#[cfg(target_os = "linux")]
fn turn_away_new(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    // A classic BPF program over the TCP header: its 14th byte holds the flags, of which 2 is SYN.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let drop_syn = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_SET, 0, 1, 2),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&drop_syn)
}

#[cfg(not(target_os = "linux"))]
fn turn_away_new(_listener: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
