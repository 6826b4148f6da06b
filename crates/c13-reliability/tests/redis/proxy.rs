//! A TCP proxy that stands between a test and its server and does what networks do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Weather {
    Fine,
    /// Requests arrive, replies take this long.
    SlowReplies(Duration),
    /// Requests arrive, replies never do.
    NoReplies,
    /// Nothing gets through, and nobody is told.
    BlackHole,
    /// Requests arrive, and then the connection is reset.
    ResetAfterRequest,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

struct State {
    upstream: u16,
    weather: Mutex<Weather>,
    /// What clients have sent.
    sent: Mutex<Vec<u8>>,
    connections: AtomicUsize,
    /// Counts up to cut all connections.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) async fn to(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            upstream,
            weather: Mutex::new(Weather::Fine),
            sent: Mutex::default(),
            connections: AtomicUsize::new(0),
            cuts: watch::Sender::new(0),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(shared.clone(), client));
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn weather(&self, weather: Weather) {
        *self.state.weather.lock().unwrap() = weather;
    }

    pub(crate) fn cut_all(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// What was sent since the last call.
    pub(crate) fn take_sent(&self) -> Vec<u8> {
        std::mem::take(&mut self.state.sent.lock().unwrap())
    }
}

async fn serve(state: Arc<State>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", state.upstream)).await else {
        return;
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let mut cuts = state.cuts.subscribe();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        let mut buffer = vec![0; 65_536];
        loop {
            let Ok(n @ 1..) = from_client.read(&mut buffer).await else {
                return;
            };
            let weather = *state.weather.lock().unwrap();
            if weather == Weather::BlackHole {
                continue;
            }
            state.sent.lock().unwrap().extend_from_slice(&buffer[..n]);
            if to_server.write_all(&buffer[..n]).await.is_err() || weather == Weather::ResetAfterRequest {
                // Long enough for the server to have read it.
                wait(Duration::from_millis(20)).await;
                return;
            }
        }
    };
    let replies = async {
        let mut buffer = vec![0; 65_536];
        loop {
            let Ok(n @ 1..) = from_server.read(&mut buffer).await else {
                return;
            };
            let weather = *state.weather.lock().unwrap();
            match weather {
                Weather::NoReplies | Weather::BlackHole | Weather::ResetAfterRequest => continue,
                Weather::SlowReplies(delay) => wait(delay).await,
                Weather::Fine => {}
            }
            if to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = replies => {}
        _ = cuts.changed() => {}
    }
}

/// Waits in real time: the other end is another process.
#[expect(clippy::disallowed_methods, reason = "another process knows no virtual time")]
pub(crate) async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}
