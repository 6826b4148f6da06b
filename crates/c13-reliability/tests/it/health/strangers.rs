//! What clients that send half a request, or none, or read nothing, can do to a server and to its end.

use super::{exchange, ms, service};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::routing::{get, post};
use c13_reliability::microservices::health::{HealthCheckService, ServeSettings, Shutdown, serve_until};
use c13_reliability::time::Clock;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// So long a busy machine may take for what is otherwise immediate.
const PATIENCE: Duration = Duration::from_secs(20);
const REQUEST: &str = "GET /work HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server that ends when the test says so.
struct Server {
    address: SocketAddr,
    health: Arc<HealthCheckService>,
    signal: Arc<Notify>,
    running: JoinHandle<io::Result<Shutdown>>,
    /// Told by handlers that have begun.
    begun: Arc<Notify>,
}

impl Server {
    async fn start(settings: ServeSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, signal, begun) = (service(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (next, upload, download) = (signal.clone(), begun.clone(), begun.clone());
        let app = Router::new()
            .route(
                "/work",
                get(|ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.to_string() }),
            )
            .route(
                "/upload",
                post(async move |request: Request| {
                    upload.notify_one();
                    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
                    body.map_or_else(|error| error.to_string(), |body| body.len().to_string())
                }),
            )
            .route(
                "/download",
                get(async move || {
                    download.notify_one();
                    Body::from(vec![b'x'; 64 << 20])
                }),
            );
        let running = tokio::spawn(serve_until(listener, app, health.clone(), settings, move || {
            let next = next.clone();
            async move { next.notified().await }
        }));
        Self {
            address,
            health,
            signal,
            running,
            begun,
        }
    }

    async fn sends(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn answers(&self) -> u16 {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        exchange(&mut stream, REQUEST).await.unwrap().status
    }
}

/// Waits for the end of a stream, whatever comes before it.
async fn closes(mut stream: TcpStream) {
    let mut part = [0; 4096];
    let closed = async { while matches!(stream.read(&mut part).await, Ok(1..)) {} };
    let within = Clock::system().timeout(PATIENCE, closed).await;
    assert!(within.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn connections_without_a_whole_head_are_closed_at_the_limit() {
    let settings = ServeSettings::new().read_within(ms(300)).keep_idle(ms(300));
    let server = Server::start(settings).await;
    let half = [
        "",
        "G",
        "GET /work HTTP/1.1\r\nHost: a\r\nX-Half: ",
        "GET /work HTTP/1.1\r\nHost: a\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
        "\r\n",
    ];
    let mut open = Vec::new();
    for n in 0..500 {
        open.push(server.sends(half[n % half.len()]).await);
    }
    // One that was answered and then says nothing more, or half of something more.
    for more in ["", "GET "] {
        let mut kept = server.sends("").await;
        assert_eq!(exchange(&mut kept, REQUEST).await.unwrap().status, 200);
        kept.write_all(more.as_bytes()).await.unwrap();
        open.push(kept);
    }
    assert_eq!(server.answers().await, 200);
    for stream in open {
        closes(stream).await;
    }
    assert_eq!(server.answers().await, 200);
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_all_the_same() {
    let server = Server::start(ServeSettings::new().read_within(ms(300))).await;
    let stream = server.sends("GET /work HTTP/1.1\r\nX-Long: ").await;
    let (mut reads, mut writes) = stream.into_split();
    let clock = Clock::system();
    let trickle = async {
        while writes.write_all(b"x").await.is_ok() {
            clock.sleep(ms(20)).await;
        }
    };
    let mut part = [0; 64];
    let cut = async {
        tokio::select! {
            () = trickle => {}
            read = reads.read(&mut part) => assert!(!matches!(read, Ok(1..)), "nothing was asked"),
        }
    };
    assert!(clock.timeout(PATIENCE, cut).await.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn strangers_who_do_not_go_on_do_not_hold_up_the_end() {
    let upload = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf";
    let chunked = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for (stranger, runs) in [
        ("", false),
        ("GET /work HTTP/1.1\r\nHost:", false),
        (upload, true),
        (chunked, true),
        ("GET /download HTTP/1.1\r\nHost: a\r\n\r\n", true),
    ] {
        let settings = ServeSettings::new()
            .keep_serving(Duration::ZERO)
            .read_within(ms(1_000))
            .finish_within(Duration::from_secs(3_600));
        let server = Server::start(settings).await;
        let stream = server.sends(stranger).await;
        if runs {
            server.begun.notified().await;
        }
        assert_eq!(server.answers().await, 200);
        server.signal.notify_one();
        let end = Clock::system().timeout(PATIENCE, server.running).await;
        let end = end.unwrap_or_else(|_| panic!("the end waits for a stranger: {stranger:?}"));
        assert_eq!(end.unwrap().unwrap(), Shutdown::Finished, "{stranger:?}");
        drop(stream);
    }
}

#[tokio::test]
async fn an_upload_that_goes_on_is_finished_in_the_drain() {
    let settings = ServeSettings::new().keep_serving(Duration::ZERO).read_within(ms(1_000));
    let server = Server::start(settings).await;
    let mut stream = server
        .sends("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n")
        .await;
    server.begun.notified().await;
    server.signal.notify_one();
    let clock = Clock::system();
    while !server.health.is_draining() {
        clock.sleep(ms(1)).await;
    }
    for _ in 0..20 {
        stream.write_all(&[b'x'; 1_999]).await.unwrap();
        clock.sleep(ms(75)).await;
    }
    let answer = exchange(&mut stream, &"x".repeat(20)).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "40000"));
    assert_eq!(server.running.await.unwrap().unwrap(), Shutdown::Finished);
}

/// A client that asks again and again, keeps its connection, and connects anew when it is told to close. It goes away
/// once nobody listens, which is no fault; everything else is.
async fn keeps_asking(address: SocketAddr, answered: Arc<AtomicU64>, faults: Arc<Mutex<Vec<String>>>) {
    loop {
        let mut stream = match TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
            Err(error) => return faults.lock().unwrap().push(format!("connect: {error}")),
        };
        loop {
            match exchange(&mut stream, REQUEST).await {
                Ok(answer) if answer.status == 200 => {
                    answered.fetch_add(1, Ordering::SeqCst);
                    if answer.headers.get("connection").is_some_and(|value| value == "close") {
                        break;
                    }
                }
                Ok(answer) => return faults.lock().unwrap().push(format!("answered {}", answer.status)),
                Err(error) => return faults.lock().unwrap().push(format!("request: {error}")),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alive_clients_see_no_reset_when_the_server_stops_accepting() {
    let clock = Clock::system();
    for round in 0..8 {
        let settings = ServeSettings::new().keep_serving(ms(20));
        let server = Server::start(settings).await;
        let (answered, faults) = (Arc::new(AtomicU64::new(0)), Arc::default());
        let clients: Vec<_> = (0..10)
            .map(|_| tokio::spawn(keeps_asking(server.address, answered.clone(), Arc::clone(&faults))))
            .collect();
        while answered.load(Ordering::SeqCst) < 100 {
            clock.sleep(ms(1)).await;
        }
        server.signal.notify_one();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(server.running.await.unwrap().unwrap(), Shutdown::Finished);
        let faults: &Mutex<Vec<String>> = &faults;
        assert_eq!(*faults.lock().unwrap(), Vec::<String>::new(), "round {round}");
    }
}

#[tokio::test]
async fn a_request_on_a_connection_that_waited_for_accept_is_answered() {
    // One thread: the server cannot accept while the test does not wait.
    let settings = ServeSettings::new().keep_serving(Duration::ZERO);
    let server = Server::start(settings).await;
    assert_eq!(server.answers().await, 200);
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        io::Write::write_all(&mut stream, REQUEST.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        waiting.push(TcpStream::from_std(stream).unwrap());
    }
    server.signal.notify_one();
    for (n, mut stream) in waiting.into_iter().enumerate() {
        let answer = exchange(&mut stream, "")
            .await
            .unwrap_or_else(|error| panic!("client {n}: {error}"));
        assert_eq!((answer.status, answer.headers["connection"].as_str()), (200, "close"));
    }
    assert_eq!(server.running.await.unwrap().unwrap(), Shutdown::Finished);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_until_one_ends() {
    let server = Server::start(ServeSettings::new().max_connections(2)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = server.sends("").await;
        assert_eq!(exchange(&mut stream, REQUEST).await.unwrap().status, 200);
        held.push(stream);
    }
    let answered = Arc::new(AtomicBool::new(false));
    let (address, says) = (server.address, answered.clone());
    let third = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = exchange(&mut stream, REQUEST).await.unwrap();
        says.store(true, Ordering::SeqCst);
        answer.status
    });
    Clock::system().sleep(ms(100)).await;
    assert!(!answered.load(Ordering::SeqCst), "a third connection was served");
    drop(held.pop());
    assert_eq!(third.await.unwrap(), 200);
}
