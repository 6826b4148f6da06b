//! Requests to a service behind a policy, over real connections.

#![cfg(feature = "axum")]

use axum::Router;
use axum::response::Sse;
use axum::response::sse::Event;
use axum::routing::get;
use c13_reliability::microservices::health::{HealthCheckService, ServeSettings, serve_until};
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use c13_reliability::policy::{InboundLayer, Policy, PolicyConfig};
use c13_reliability::time::Clock;
use futures_util::stream;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const CLIENTS: usize = 100;

/// How long a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for the events, and returns what has come when the first event is there, or the refusal.
async fn ask(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream
        .write_all(b"GET /events HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .expect("it reads");
    let mut answer = Vec::new();
    loop {
        assert!(
            stream.read_buf(&mut answer).await.expect("it answers") > 0,
            "it closed the connection"
        );
        let text = String::from_utf8_lossy(&answer);
        if text.contains("data: hello\n\n") || text.contains("\r\n\r\nService Unavailable") {
            return (stream, text.into_owned());
        }
    }
}

async fn holds(bulkhead: &Bulkhead, permits: usize) {
    while bulkhead.in_flight() as usize != permits {
        tokio::task::yield_now().await;
    }
}

/// One event, and then none until the service ends the stream.
fn events(ended: watch::Receiver<bool>) -> Sse<impl stream::Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold((true, ended), |(is_first, mut ended)| async move {
        if is_first {
            return Some((Ok(Event::default().data("hello")), (false, ended)));
        }
        let _over = ended.wait_for(|ended| *ended).await;
        None
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_of_a_stream_of_events_hold_a_hundred_permits_and_give_them_back() {
    let config = PolicyConfig::NONE
        .bulkhead(BulkheadConfig::new(CLIENTS as u32))
        .total_timeout(PATIENCE);
    let policy = Policy::new(config).unwrap();
    let bulkhead = policy.bulkhead().unwrap();
    let (end, ended) = watch::channel(false);
    let app = Router::new()
        .route("/events", get(move || async move { events(ended.clone()) }))
        .layer(InboundLayer::new(policy));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Arc::new(HealthCheckService::new("1".to_owned()));
    let server = serve_until(listener, app, health, ServeSettings::new(), std::future::pending);
    let server = tokio::spawn(server);

    let asked = async {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let (client, answer) = ask(address).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            clients.push(client);
        }
        assert_eq!(bulkhead.in_flight() as usize, CLIENTS);
        let (_client, refused) = ask(address).await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");

        // Half of them go, and the service ends the streams of the others.
        clients.truncate(CLIENTS / 2);
        holds(&bulkhead, CLIENTS / 2).await;
        let (another, answer) = ask(address).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "a permit is free again: {answer}");
        end.send(true).unwrap();
        holds(&bulkhead, 0).await;
        drop((clients, another));
    };
    let in_time = Clock::system().timeout(PATIENCE, asked).await;
    assert!(in_time.is_ok());
    server.abort();
}
