//! The lock on Redis: what it does when requests, replies, processes and servers are late or gone.

use crate::proxy::{Proxy, Weather, wait};
use crate::server::{Server, ask, free_port, shared_url};
use crate::{LEASE, SOON, backend, config, conformance, is_free_within, key, lock_at, long_lock_at, ms, owners};
use c13_reliability::distributed::Redis;
use c13_reliability::distributed::lock::{
    AcquireError, Attempted, Backend, BackendErrorKind, Claim, Lock, LockConfig, LockError, Mode, RedisBackend,
    RedisDistributedLock, Released, with_distributed_lock,
};
use c13_reliability::sync::Random;
use c13_reliability::time::Clock;
use std::sync::Arc;
use std::time::Duration;

/// A connection that waits for longer than the half second that is the client's own limit.
async fn connection(url: &str) -> redis::aio::MultiplexedConnection {
    let settings = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(SOON))
        .set_response_timeout(Some(SOON));
    let client = redis::Client::open(url).unwrap();
    client
        .get_multiplexed_async_connection_with_config(&settings)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_backend_on_redis_keeps_what_every_backend_promises() {
    conformance::check(Arc::new(backend(&shared_url())), &key("conformance")).await;
}

#[tokio::test]
async fn the_lock_is_the_standard_recipe_on_the_wire() {
    let (url, key) = (shared_url(), key("wire"));
    let mut connection = connection(&url).await;
    let guard = long_lock_at(&url, &key).try_acquire().await.unwrap();
    let (token, ttl): (String, i64) = redis::pipe()
        .get(&key)
        .pttl(&key)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(token, owners(&url, &key).await[0]);
    assert!((50_000..=60_000).contains(&ttl), "{ttl}");
    let theirs: Option<String> = redis::cmd("SET")
        .arg(&key)
        .arg("theirs")
        .arg("NX")
        .arg("PX")
        .arg(500)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(theirs, None);
    guard.release().await.unwrap();
    let () = redis::cmd("SET")
        .arg(&key)
        .arg("theirs")
        .arg("NX")
        .arg("PX")
        .arg(2_000)
        .exec_async(&mut connection)
        .await
        .unwrap();
    assert!(long_lock_at(&url, &key).try_acquire().await.is_err());
    let guard = long_lock_at(&url, &key).acquire(SOON).await.unwrap();
    guard.check().unwrap();
}

// H12.
#[tokio::test]
async fn a_lock_that_somebody_else_has_by_now_is_not_released() {
    let (url, key) = (shared_url(), key("h12"));
    let backend = backend(&url);
    let claim = |lease| Claim::new([key.clone()].into(), Mode::Exclusive, &LockConfig::new(lease));
    let (a, b) = (claim(ms(50)), claim(LEASE * 20));
    backend.acquire(&a).await.unwrap();
    wait(ms(60)).await;
    assert!(matches!(backend.acquire(&b).await, Ok(Attempted::Granted { .. })));
    assert_eq!(backend.release(&a, false).await, Ok(Released::HeldByOther));
    assert_eq!(owners(&url, &key).await, [b.owner.to_string()]);
}

// H5.
#[tokio::test]
async fn a_slow_reply_is_taken_off_the_lease_and_one_slower_than_the_lease_is_no_grant() {
    let proxy = Proxy::to(port_of(&shared_url())).await;
    let key = key("h5");
    let lock = Lock::new(Arc::new(backend(&proxy.url())), key.clone(), config(LEASE * 4));
    drop(lock.status().await);
    proxy.weather(Weather::SlowReplies(ms(250)));
    let guard = lock.try_acquire().await.unwrap();
    assert!(guard.remaining() <= LEASE * 4 - ms(250), "{:?}", guard.remaining());
    proxy.weather(Weather::Fine);
    guard.release().await.unwrap();

    let short = LockConfig::new(ms(30)).request_timeout(ms(10));
    let lock = Lock::new(Arc::new(backend(&proxy.url())), key.clone(), short);
    drop(lock.status().await);
    proxy.weather(Weather::SlowReplies(ms(33)));
    assert!(lock.try_acquire().await.is_err());
    proxy.weather(Weather::Fine);
    assert!(is_free_within(&shared_url(), &key, SOON).await);
}

// H6.
#[tokio::test]
async fn loss_is_told_at_the_end_of_the_lease_while_the_server_stands_still() {
    let server = Server::start();
    let guard = lock_at(&server.url(), "h6").try_acquire().await.unwrap();
    let clock = Clock::since_boot();
    wait(ms(50)).await;
    server.signal("-STOP");
    let until = guard.valid_until().unwrap();
    guard.lost().await;
    // Not before, and without the server. How soon after is measured in virtual time, where no machine stands still.
    assert!(clock.now() >= until);
    server.signal("-CONT");
    assert!(guard.check().is_err());
    assert!(is_free_within(&server.url(), "h6", SOON).await);
}

// H9.
#[tokio::test]
async fn a_request_carried_out_after_its_asker_gave_up_leaves_no_lock() {
    let server = Server::start();
    let proxy = Proxy::to(server.port).await;
    let config = LockConfig::new(LEASE * 20).request_timeout(LEASE);
    let lock = Lock::new(Arc::new(backend(&proxy.url())), "h9", config);
    drop(lock.status().await);
    // The script must be known, so that one request is the whole of it.
    drop(lock.try_acquire().await.unwrap().release().await);
    proxy.take_sent();
    proxy.weather(Weather::NoReplies);
    let asked = tokio::spawn({
        let lock = lock.clone();
        async move { lock.try_acquire().await }
    });
    let mut request = Vec::new();
    while !String::from_utf8_lossy(&request).contains("EVALSHA") || server.ask(&["EXISTS", "h9"]) != "1" {
        assert!(!asked.is_finished(), "it was carried out");
        wait(ms(5)).await;
        request.extend(proxy.take_sent());
    }
    let refused = asked.await.unwrap().unwrap_err();
    assert!(matches!(refused, AcquireError::Backend(error) if error.kind == BackendErrorKind::Unanswered));
    assert!(
        is_free_within(&server.url(), "h9", SOON).await,
        "long before the lease is over"
    );
    // The network delivers the request again, half a second later.
    wait(ms(500)).await;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut raw = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    raw.write_all(&request).await.unwrap();
    let mut reply = vec![0; 1024];
    let n = raw.read(&mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply[..n]).into_owned();
    assert!(reply.starts_with("*3\r\n:-1\r\n"), "buried, not granted: {reply}");
    assert_eq!(server.ask(&["EXISTS", "h9"]), "0");
}

// H10.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_acquisitions_given_up_at_random_leave_nothing() {
    const SEED: u64 = 10;
    let (url, key) = (shared_url(), key("h10"));
    let lock = Lock::new(Arc::new(backend(&url)), key.clone(), LockConfig::DEFAULT);
    let random = Random::new(SEED);
    let clock = Clock::system();
    let mut had = 0_u32;
    for _ in 0..10_000 {
        let patience = Duration::from_micros(random.below(2_000));
        if let Ok(Ok(guard)) = clock.timeout(patience, lock.try_acquire()).await {
            had += 1;
            drop(guard);
        }
    }
    let free = is_free_within(&url, &key, SOON).await;
    assert!(free && had > 100, "seed {SEED}: free {free}, {had} had it");
    wait(ms(100)).await;
    assert!(owners(&url, &key).await.is_empty(), "and it stays free");
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks <= 10, "{tasks} tasks left");
}

// H11.
#[tokio::test]
async fn a_connection_reset_after_the_request_gives_one_grant_or_none() {
    let server = Server::start();
    let proxy = Proxy::to(server.port).await;
    for round in 0..10 {
        let lock = long_lock_at(&proxy.url(), "h11");
        drop(lock.status().await);
        proxy.weather(Weather::ResetAfterRequest);
        let refused = lock.try_acquire().await;
        proxy.weather(Weather::Fine);
        assert!(refused.is_err(), "round {round}");
        assert!(is_free_within(&server.url(), "h11", SOON).await, "round {round}");
        let guard = lock.acquire(SOON).await.unwrap();
        assert_eq!(owners(&server.url(), "h11").await.len(), 1);
        guard.release().await.unwrap();
    }
    // Asking twice in one attempt is asking once: same fence.
    let backend = backend(&server.url());
    let claim = Claim::new(["h11".to_owned()].into(), Mode::Exclusive, &LockConfig::DEFAULT);
    assert_eq!(backend.acquire(&claim).await, backend.acquire(&claim).await);
}

// H13.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_during_a_renewal_leaves_no_lock() {
    let (url, key) = (shared_url(), key("h13"));
    let config = config(LEASE * 20).renew_every(Duration::from_micros(200));
    let lock = Lock::new(Arc::new(backend(&url)), key.clone(), config);
    let random = Random::new(13);
    for round in 0..2_000 {
        let guard = lock.acquire(SOON).await.unwrap();
        wait(Duration::from_micros(random.below(600))).await;
        if round % 2 == 0 {
            assert_eq!(guard.release().await, Ok(Released::Released), "round {round}");
            assert!(owners(&url, &key).await.is_empty(), "round {round}");
        }
    }
    assert!(is_free_within(&url, &key, SOON).await);
}

// H14.
#[tokio::test]
async fn the_second_guard_of_one_lock_does_not_revive_the_first() {
    let server = Server::start();
    let lock = lock_at(&server.url(), "h14");
    let first = lock.try_acquire().await.unwrap();
    server.ask(&["DEL", "h14"]);
    let second = lock.try_acquire().await.unwrap();
    assert!(second.fence() > first.fence());
    first.lost().await;
    wait(LEASE).await;
    assert!(first.check().is_err());
    assert_eq!(first.release().await, Ok(Released::NotHeld));
    second.check().unwrap();
    assert_eq!(owners(&server.url(), "h14").await.len(), 1);
}

// H1.
#[tokio::test]
async fn a_failover_that_loses_the_lock_still_raises_the_fence_and_replicas_can_be_waited_for() {
    for durable in [false, true] {
        let mut master = Server::start();
        let proxy = Proxy::to(master.port).await;
        let replica = Server::start_with(free_port(), &["--replicaof", "127.0.0.1", &proxy.port.to_string()]);
        for _ in 0..500 {
            if replica.ask(&["INFO", "replication"]).contains("master_link_status:up") {
                break;
            }
            wait(ms(20)).await;
        }
        let mut backend = backend(&master.url());
        if durable {
            backend = backend.with_replicas(1, ms(700));
        }
        // Long enough that a request is not given up before the replicas have been waited for.
        let lock = Lock::new(Arc::new(backend), "h1", config(LEASE * 4));
        if durable {
            lock.try_acquire()
                .await
                .expect("the replica is there")
                .release()
                .await
                .unwrap();
        }
        proxy.weather(Weather::BlackHole);
        let first = lock.try_acquire().await;
        if durable {
            let refused = first.unwrap_err().to_string();
            assert!(refused.contains("0 of 1 replicas have the grant"), "{refused}");
            assert!(is_free_within(&master.url(), "h1", LEASE * 2).await);
            continue;
        }
        let first = first.unwrap();
        master.kill();
        replica.ask(&["REPLICAOF", "NO", "ONE"]);
        let second = lock_at(&replica.url(), "h1").try_acquire().await.unwrap();
        first.check().expect("the double grant that only the fence can tell");
        assert!(second.fence() > first.fence());
    }
}

// H2.
#[tokio::test]
async fn a_restart_that_forgets_everything_still_raises_the_fence() {
    let mut server = Server::start();
    let lock = lock_at(&server.url(), "h2");
    let first = lock.try_acquire().await.unwrap();
    let before = first.fence();
    server.restart();
    let second = lock.acquire(SOON).await.unwrap();
    assert!(second.fence() > before);
}

// H23.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_out_of_memory_loses_the_lock_at_the_end_of_the_lease_and_not_before() {
    let server = Server::start();
    let guard = lock_at(&server.url(), "h23").try_acquire().await.unwrap();
    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "3"]);
    // A renewal or two are refused by then.
    wait(LEASE / 2).await;
    guard.check().unwrap();
    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    wait(LEASE * 2).await;
    guard.check().expect("it recovered in time");

    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "3"]);
    let refused = lock_at(&server.url(), "h23-other").try_acquire().await.unwrap_err();
    assert!(
        matches!(&refused, AcquireError::Backend(error) if error.kind == BackendErrorKind::Unable),
        "{refused:?}"
    );
    let (until, clock) = (guard.valid_until().unwrap(), Clock::since_boot());
    guard.lost().await;
    assert!(clock.now() >= until);
}

// H24.
#[tokio::test]
async fn a_connection_that_swallows_everything_is_replaced_before_the_lease_is_over() {
    let server = Server::start();
    let proxy = Proxy::to(server.port).await;
    let config = config(LEASE * 4).renew_every(ms(1_000)).request_timeout(ms(1_000));
    let lock = Lock::new(Arc::new(backend(&proxy.url())), "h24", config);
    let guard = lock.try_acquire().await.unwrap();
    let (clock, before) = (Clock::system(), proxy.connections());
    proxy.weather(Weather::BlackHole);
    let start = clock.now();
    while proxy.connections() == before && clock.now() - start < config.lease {
        wait(ms(5)).await;
    }
    // The first renewal after a second, and two requests of a second: a quarter of the lease.
    let took = clock.now() - start;
    assert!(took <= config.lease * 4 / 5, "a new connection after {took:?}");
    // The new one gets through.
    proxy.weather(Weather::Fine);
    proxy.cut_all();
    wait(LEASE).await;
    drop(guard);
    let again = lock.acquire(SOON).await.unwrap();
    again.check().unwrap();
}

// H25.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_forgotten_a_hundred_times_a_second_cost_nobody_an_error() {
    let server = Server::start();
    let url = server.url();
    let flushing = tokio::spawn({
        let redis = Redis::open(&url).unwrap();
        async move {
            loop {
                redis.request(redis::cmd("SCRIPT").arg("FLUSH")).await.unwrap();
                wait(ms(10)).await;
            }
        }
    });
    let workers: Vec<_> = (0..8)
        .map(|n| {
            // A long lease: it is not about time, and a busy machine answers late.
            let lock = Lock::new(Arc::new(backend(&url)), format!("h25-{n}"), LockConfig::new(LEASE * 30));
            tokio::spawn(async move {
                for _ in 0..150 {
                    lock.try_acquire().await.unwrap().release().await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    flushing.abort();
}

// H28, and what `with_lock` promises.
#[tokio::test]
async fn panic_error_and_drop_under_the_lock_leave_the_key_free() {
    let (url, key) = (shared_url(), key("h28"));
    let lock = long_lock_at(&url, &key);
    let failed: Result<(), _> = lock.run(ms(0), |_| async { Err("no funds") }).await;
    assert_eq!(failed, Err(LockError::OperationFailed("no funds")));
    assert!(owners(&url, &key).await.is_empty());

    let panicking = lock.clone();
    let joined = tokio::spawn(async move {
        let _: Result<(), LockError<()>> = panicking.run(ms(0), |_| async { panic!("boom") }).await;
    });
    assert!(joined.await.unwrap_err().is_panic());
    assert!(is_free_within(&url, &key, SOON).await);

    let work = lock.run(ms(0), |_| std::future::pending::<Result<(), ()>>());
    assert!(Clock::system().timeout(ms(50), work).await.is_err());
    assert!(is_free_within(&url, &key, SOON).await);
}

#[test]
fn a_runtime_that_shuts_down_leaves_the_lock_to_its_lease() {
    let (url, key) = (shared_url(), key("shutdown"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lock = lock_at(&url, &key);
    let guard = runtime.block_on(lock.try_acquire()).unwrap();
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        assert_eq!(owners(&url, &key).await.len(), 1);
        guard.lost().await;
        assert!(is_free_within(&url, &key, SOON).await);
    });
}

#[tokio::test]
async fn an_evicting_server_is_told_apart() {
    let server = Server::start();
    backend(&server.url()).check_eviction().await.unwrap();
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    let refused = backend(&server.url()).check_eviction().await.unwrap_err();
    assert!(refused.message.contains("volatile-lru"), "{refused}");
}

#[tokio::test]
async fn a_key_of_another_type_is_refused_and_left_alone() {
    let (url, key) = (shared_url(), key("type"));
    ask(port_of(&url), &["LPUSH", &key, "x"]);
    let refused = lock_at(&url, &key).try_acquire().await.unwrap_err();
    assert!(
        matches!(&refused, AcquireError::Backend(error) if error.kind == BackendErrorKind::Refused),
        "{refused:?}"
    );
    assert_eq!(ask(port_of(&url), &["LLEN", &key]), "1");
}

#[tokio::test]
async fn the_promised_lock_acquires_renews_and_releases_by_hand() {
    let (url, key, lease) = (shared_url(), key("promised"), LEASE * 2);
    let mut one = RedisDistributedLock::new(connection(&url).await, key.clone(), lease).await;
    let mut other = RedisDistributedLock::new(connection(&url).await, key.clone(), lease).await;
    assert!(one.acquire().await.unwrap() && one.acquire().await.unwrap());
    assert!(!other.acquire().await.unwrap() && !other.renew().await.unwrap() && !other.release().await.unwrap());
    assert!(one.renew().await.unwrap() && one.fence().is_some());
    assert!(one.release().await.unwrap() && !one.release().await.unwrap());
    assert!(other.acquire().await.unwrap());
    let fence = other.fence().unwrap();
    drop(other);
    assert!(is_free_within(&url, &key, LEASE).await, "a dropped lock is given back");

    let seen: Result<u8, LockError<Box<dyn std::error::Error>>> =
        with_distributed_lock(&mut one, async { Ok(7) }).await;
    assert_eq!(seen.unwrap(), 7);
    assert!(owners(&url, &key).await.is_empty());
    let long = with_distributed_lock(&mut one, async {
        wait(LEASE * 5 / 2).await;
        Ok::<_, std::io::Error>(owners(&url, &key).await.len())
    });
    assert_eq!(long.await.unwrap(), 1, "renewed meanwhile");
    assert!(one.acquire().await.unwrap() && one.fence().unwrap() > fence);
    let busy: Result<(), _> = with_distributed_lock(&mut one, async { Ok::<_, std::io::Error>(()) }).await;
    assert!(matches!(busy, Err(LockError::LockNotAcquired)));
}

#[tokio::test]
async fn the_promised_lock_drops_the_work_when_it_is_lost() {
    let server = Server::start();
    let connection = connection(&server.url()).await;
    let mut lock = RedisDistributedLock::new(connection, "gone".into(), LEASE).await;
    let deleting = async {
        wait(ms(50)).await;
        server.ask(&["SET", "gone", "somebody else"]);
        std::future::pending::<Result<(), std::io::Error>>().await
    };
    let lost = with_distributed_lock(&mut lock, deleting).await;
    assert!(matches!(lost, Err(LockError::Lost)));
    assert_eq!(server.ask(&["GET", "gone"]), "somebody else");
}

pub(crate) fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap()
}

#[test]
fn a_backend_is_shared_between_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<RedisBackend>();
    is_shared::<Lock>();
}

#[tokio::test]
async fn whoever_tries_again_at_once_after_an_error_is_not_kept_out_by_its_own_leftover() {
    let (url, key) = (shared_url(), key("again"));
    let connection = redis::Client::open(url.as_str()).unwrap();
    let connection = connection.get_multiplexed_async_connection().await.unwrap();
    let mut lock = RedisDistributedLock::new(connection, key.clone(), LEASE * 20).await;
    for round in 0..200 {
        let failed = with_distributed_lock(&mut lock, async { Err::<(), _>("no funds") }).await;
        assert!(
            matches!(failed, Err(LockError::OperationFailed("no funds"))),
            "round {round}: {failed:?}"
        );
        assert!(crate::owners(&url, &key).await.is_empty(), "round {round}");
    }
}

#[tokio::test]
async fn a_status_tells_of_any_holder_and_of_no_more_than_a_bounded_part_of_it() {
    let server = Server::start();
    let backend = backend(&server.url());
    server.ask(&["EVAL", "redis.call('SET', 'long', string.rep('x', 1000000))", "0"]);
    assert_eq!(backend.status("long").await.unwrap().owners, ["x".repeat(256)]);
    server.ask(&["EVAL", "redis.call('SET', 'bytes', string.char(255, 0, 27))", "0"]);
    assert_eq!(backend.status("bytes").await.unwrap().owners, ["\u{fffd}\0\u{1b}"]);
    let fill = "for n = 1, 5000 do redis.call('ZADD', '{many}:c13:shared', 9e15, 'owner' .. n) end";
    server.ask(&["EVAL", fill, "0"]);
    assert_eq!(backend.status("many").await.unwrap().owners.len(), 256);
}
