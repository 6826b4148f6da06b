//! Which errors of a Redis end a wait at once and which are waited for, and that each says its cause.

use crate::proxy::wait;
use crate::server::{Server, free_port};
use crate::{SOON, config, key, ms};
use c13_reliability::distributed::Redis;
use c13_reliability::distributed::lock::{
    AcquireError, BackendError, BackendErrorKind, Lock, LockConfig, RedisBackend, Waiting,
};
use c13_reliability::distributed::rate_limiter::{
    Limit, OnFailure, RedisQuota, SharedLimitConfig, SharedLimitError, SharedRateLimiter, Sharing,
};
use c13_reliability::time::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longer than any wait that ends by itself.
const LONG: Duration = Duration::from_secs(300);
/// A lease whose requests may take long, on a machine that may stand still.
const PATIENT: Duration = Duration::from_secs(60);

fn lock(url: &str, key: &str, config: LockConfig) -> Lock {
    Lock::new(Arc::new(RedisBackend::new(Redis::open(url).unwrap())), key, config)
}

fn backend_error(error: AcquireError) -> BackendError {
    match error {
        AcquireError::Backend(error) => error,
        other => panic!("{other}"),
    }
}

/// Something that answers whoever connects with `text`.
async fn stranger(text: &'static str) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut buffer = [0; 1024];
            drop(client.read(&mut buffer).await);
            drop(client.write_all(text.as_bytes()).await);
        }
    });
    port
}

/// What a server could send on one connection until it was closed, at most `most` bytes of one endless answer.
async fn flood(most: usize) -> (u16, tokio::sync::mpsc::UnboundedReceiver<usize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, sent) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                drop(client.read(&mut buffer).await);
                drop(client.write_all(b"$400000000\r\n").await);
                let (piece, mut sent) = (vec![b'x'; 64 * 1024], 0);
                while sent < most && client.write_all(&piece).await.is_ok() {
                    sent += piece.len();
                }
                told.send(sent).unwrap_or_default();
            });
        }
    });
    (port, sent)
}

#[tokio::test]
async fn a_server_that_never_stops_answering_is_given_up_before_it_fills_the_memory() {
    const MIB: usize = 1024 * 1024;
    let (port, mut sent) = flood(200 * MIB).await;
    let redis = Redis::open(&format!("redis://127.0.0.1:{port}")).unwrap();
    let error = redis.failure(redis.request(&redis::cmd("PING")).await.unwrap_err());
    assert!(error.message.contains("sent more than 4194304 bytes"), "{error}");
    assert_eq!(error.kind, BackendErrorKind::Refused);
    // With what lies in the system's own buffers.
    let sent = sent.recv().await.unwrap();
    assert!(sent < 32 * MIB, "{sent} bytes");
}

#[tokio::test]
async fn what_waiting_cannot_mend_ends_every_wait_at_once_with_its_cause() {
    let open = Server::start();
    let closed = Server::start();
    closed.ask(&["CONFIG", "SET", "requirepass", "right"]);
    open.ask(&[
        "ACL", "SETUSER", "limited", "on", ">pw", "~*", "-@all", "+ping", "+client",
    ]);
    open.ask(&["LPUSH", "a-list", "1"]);
    open.ask(&["LPUSH", "{a-limit}:c13:limit", "1"]);
    let web = stranger("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    for (url, key, cause) in [
        (closed.url(), "x", "NOAUTH"),
        (format!("redis://:wrong@127.0.0.1:{}", closed.port), "x", "WRONGPASS"),
        (
            format!("redis://:any@127.0.0.1:{}", open.port),
            "x",
            "without any password",
        ),
        (
            format!("redis://limited:pw@127.0.0.1:{}", open.port),
            "x",
            "no permissions",
        ),
        (format!("{}/99", open.url()), "x", "out of range"),
        (open.url(), "a-list", "WRONGTYPE"),
        (format!("redis://127.0.0.1:{web}"), "x", "no Redis"),
    ] {
        let lock = lock(&url, key, config(PATIENT));
        let ended = Clock::system().timeout(SOON, lock.acquire(LONG)).await;
        let refused = ended.unwrap_or_else(|_| panic!("{cause}: it is waited for"));
        let error = backend_error(refused.unwrap_err());
        assert_eq!(error.kind, BackendErrorKind::Refused, "{error}");
        assert!(
            error.message.contains(cause) && error.message.contains("127.0.0.1:"),
            "{cause}: {error}"
        );
    }
    for (url, key, cause) in [(closed.url(), "x", "NOAUTH"), (open.url(), "a-limit", "WRONGTYPE")] {
        let quota = Arc::new(RedisQuota::new(Redis::open(&url).unwrap()));
        let config = SharedLimitConfig::DEFAULT
            .sharing(Sharing::Exact)
            .on_failure(OnFailure::Deny);
        let limits = vec![Limit::new(key, 1.0, 1)];
        let limiter = SharedRateLimiter::try_new(quota, limits, config.request_timeout(SOON)).unwrap();
        match limiter.acquire(1).await {
            Err(SharedLimitError::Unavailable { cause: error, .. }) => {
                assert_eq!(error.kind, BackendErrorKind::Refused);
                assert!(error.message.contains(cause), "{error}");
            }
            other => panic!("{cause}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_may_pass_is_waited_for_within_the_bound_and_had_as_soon_as_it_has_passed() {
    let lonely = Server::start();
    lonely.ask(&["CONFIG", "SET", "min-replicas-to-write", "3"]);
    let broken = Server::start();
    broken.ask(&["CONFIG", "SET", "save", "3600 1"]);
    broken.ask(&["SET", "a", "1"]);
    broken.ask(&["CONFIG", "SET", "dbfilename", "gone.rdb"]);
    broken.remove_folder();
    broken.ask(&["BGSAVE"]);
    while !broken
        .ask(&["INFO", "persistence"])
        .contains("rdb_last_bgsave_status:err")
    {
        wait(ms(10)).await;
    }
    let crowded = Server::start();
    crowded.ask(&["CONFIG", "SET", "requirepass", "right"]);
    let url = format!("redis://:right@127.0.0.1:{}", crowded.port);
    let sitting = std::net::TcpStream::connect(("127.0.0.1", crowded.port)).unwrap();
    crowded.ask(&["-a", "right", "CONFIG", "SET", "maxclients", "1"]);
    let nowhere = format!("redis://127.0.0.1:{}", free_port());
    for (url, causes) in [
        (lonely.url(), ["NOREPLICAS"].as_slice()),
        (broken.url(), &["MISCONF"]),
        // Whether the server's words arrive before its reset is the network's to say.
        (url.clone(), &["max number of clients", "no connection"]),
        (nowhere, &["refused"]),
    ] {
        let says = |error: &BackendError| causes.iter().any(|cause| error.message.contains(cause));
        let mut reports = Vec::new();
        let lock = lock(&url, &key("passing"), config(PATIENT).backend_wait(ms(1_500)));
        let refused = lock.acquire_observed(LONG, |waiting| reports.push(waiting)).await;
        let error = backend_error(refused.expect_err(causes[0]));
        assert_ne!(error.kind, BackendErrorKind::Refused, "{error}");
        assert!(says(&error), "{causes:?}: {error}");
        assert!(
            matches!(reports.first(), Some(Waiting::ForBackend { cause: first }) if says(first)),
            "{causes:?}: {reports:?}"
        );
    }
    let waiter = tokio::spawn(async move { lock(&url, "x", config(PATIENT)).acquire(LONG).await.map(drop) });
    wait(ms(300)).await;
    drop(sitting);
    waiter.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_evicts_is_known_from_the_first_connection_on() {
    let server = Server::start();
    let redis = Redis::open(&server.url()).unwrap();
    assert_eq!(redis.evicts(), None, "not asked yet");
    let holder = Lock::new(Arc::new(RedisBackend::new(redis.clone())), "x", config(PATIENT));
    drop(holder.try_acquire().await.unwrap());
    assert_eq!(redis.evicts(), None);
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    drop(holder.acquire(LONG).await.unwrap());
    assert_eq!(
        redis.evicts().as_deref(),
        Some("volatile-lru"),
        "each new connection asks"
    );
    // Who may not ask is served all the same.
    server.ask(&[
        "ACL", "SETUSER", "plain", "on", ">pw", "~*", "&*", "+@all", "-info", "-config",
    ]);
    let plain = Redis::open(&format!("redis://plain:pw@127.0.0.1:{}", server.port)).unwrap();
    let lock = Lock::new(Arc::new(RedisBackend::new(plain.clone())), "y", config(PATIENT));
    drop(lock.try_acquire().await.unwrap());
    assert_eq!(plain.evicts(), None);
}
