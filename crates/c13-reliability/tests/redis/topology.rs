//! Locks and limits on what is more than one server: a master that Sentinels name, and a cluster.

use crate::proxy::wait;
use crate::server::{Server, ask, free_port};
use crate::{LEASE, SOON, config, ms};
use c13_reliability::distributed::lock::{Backend, Lock, RedisBackend};
use c13_reliability::distributed::rate_limiter::{DecidedBy, Limit, RedisQuota, SharedLimitConfig, SharedRateLimiter};
use c13_reliability::distributed::{Redis, RedisSettings};
use c13_reliability::time::Clock;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

async fn comes_true(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        wait(ms(20)).await;
    }
    panic!("it does not come true that {what}");
}

/// A Sentinel of a test's own.
struct Sentinel {
    process: Child,
    file: std::path::PathBuf,
    port: u16,
}

impl Sentinel {
    /// How long a master is silent before it is replaced, counted from its last answer: it is asked once a second.
    const DOWN_AFTER: Duration = Duration::from_secs(5);

    fn start(master: u16) -> Self {
        let port = free_port();
        let file = std::env::temp_dir().join(format!("c13-sentinel-{}-{port}.conf", std::process::id()));
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor group 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds group {}\nsentinel failover-timeout group 3000\n",
            Self::DOWN_AFTER.as_millis()
        );
        std::fs::write(&file, settings).unwrap();
        let process = Command::new("redis-sentinel")
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-sentinel is not installed (Debian: redis-sentinel)");
        Self { process, file, port }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_file(&self.file));
    }
}

// H1 with Sentinels: the connection goes to whoever is master now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_goes_on_at_the_master_that_sentinels_have_made() {
    let mut master = Server::start();
    let replica = Server::start_with(free_port(), &["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let sentinel = Sentinel::start(master.port);
    comes_true("the Sentinel knows the replica", || {
        let known = ask(sentinel.port, &["SENTINEL", "REPLICAS", "group"]);
        known.contains(&replica.port.to_string())
            && replica.ask(&["INFO", "replication"]).contains("master_link_status:up")
    })
    .await;
    let url = format!("redis://127.0.0.1:{}", sentinel.port);
    let redis = Redis::sentinel(&[&url], "group", RedisSettings::DEFAULT).unwrap();
    let backend = Arc::new(RedisBackend::new(redis));
    let lock = Lock::new(backend.clone(), "sentinel", config(LEASE));
    // One is over before the Sentinel can have found out, the other long after.
    let short = lock.try_acquire().await.unwrap();
    let long = Lock::new(backend, "long", config(LEASE * 20).renew_every(ms(200)));
    let long = long.try_acquire().await.unwrap();
    comes_true("the replica has both", || {
        replica.ask(&["EXISTS", "sentinel", "long"]) == "2"
    })
    .await;
    let fence = short.fence();
    master.kill();
    let lost = Clock::system().timeout(SOON, short.lost()).await;
    lost.expect("nobody renews it");
    drop(short);
    let second = lock
        .acquire(Duration::from_secs(20))
        .await
        .expect("the replica is master now");
    assert!(second.fence() > fence);
    assert_eq!(replica.ask(&["EXISTS", "sentinel"]), "1");
    let seen = long.valid_until().unwrap();
    comes_true("what the replica had is renewed there", || {
        long.valid_until().unwrap() > seen
    })
    .await;
    // The new one is renewed there as well, and handed on by messages from there.
    let waiter = tokio::spawn({
        let lock = lock.clone();
        async move { lock.acquire(Duration::from_secs(10)).await.map(|guard| guard.fence()) }
    });
    wait(LEASE * 2).await;
    second.check().unwrap();
    let fence = second.fence();
    second.release().await.unwrap();
    assert!(waiter.await.unwrap().unwrap() > fence);
}

async fn cluster() -> (Vec<Server>, Redis) {
    let nodes: Vec<Server> = (0..3)
        .map(|_| {
            let bus = free_port().to_string();
            let arguments = [
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "5000",
                "--cluster-port",
                &bus,
            ];
            Server::start_with(free_port(), &arguments)
        })
        .collect();
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.push("--cluster-yes");
    let said = ask(nodes[0].port, &create);
    assert!(said.contains("All 16384 slots covered"), "{said}");
    comes_true("all nodes see the cluster", || {
        nodes
            .iter()
            .all(|node| node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
    })
    .await;
    let urls: Vec<String> = nodes.iter().map(Server::url).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let redis = Redis::cluster(&urls, RedisSettings::DEFAULT).unwrap();
    (nodes, redis)
}

/// A name whose keys are on this node.
fn name_on(node: &Server, nodes: &[Server]) -> String {
    (0..10_000)
        .map(|n| format!("on-{n}"))
        .find(|name| {
            let slot: u32 = nodes[0].ask(&["CLUSTER", "KEYSLOT", name]).parse().unwrap();
            let shards = node.ask(&["CLUSTER", "NODES"]);
            let own = shards.lines().find(|line| line.contains("myself")).unwrap();
            own.split_whitespace().skip(8).any(|range| {
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                (from.parse().unwrap()..=to.parse::<u32>().unwrap()).contains(&slot)
            })
        })
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_locks_and_limits_of_every_slot_and_hands_locks_on() {
    let (nodes, redis) = cluster().await;
    let backend = Arc::new(RedisBackend::new(redis.clone()));
    let config = config(LEASE).fallback_poll(Duration::from_secs(30));
    for node in &nodes {
        let lock = Lock::new(backend.clone(), name_on(node, &nodes), config);
        let holder = lock.try_acquire().await.unwrap();
        assert!(lock.try_acquire().await.is_err());
        let waiter = tokio::spawn({
            let lock = Lock::new(
                Arc::new(RedisBackend::new(redis.another_connection())),
                lock.names()[0].clone(),
                config,
            );
            async move { lock.acquire(Duration::from_secs(10)).await.map(|guard| guard.fence()) }
        });
        wait(ms(200)).await;
        let fence = holder.fence();
        holder.release().await.unwrap();
        assert!(waiter.await.unwrap().unwrap() > fence, "a message, not the poll");
    }
    let both = Lock::try_of_all(backend.clone(), ["{one}:a", "{one}:b"], config).unwrap();
    both.try_acquire().await.unwrap().release().await.unwrap();
    let apart = Lock::try_of_all(backend, ["a", "b"], config).unwrap();
    assert!(
        apart.try_acquire().await.is_err(),
        "of two slots they cannot be had together"
    );
    let limit = vec![Limit::new("limit", 100.0, 10)];
    let limiter = SharedRateLimiter::try_new(
        Arc::new(RedisQuota::new(redis)),
        limit,
        SharedLimitConfig::DEFAULT.request_timeout(SOON),
    )
    .unwrap();
    assert_eq!(limiter.acquire(1).await, Ok(DecidedBy::Lease));
}

// H25 in a cluster, and H11: nothing is asked of a node that a request is not for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_holds_up_nobody_whose_locks_are_elsewhere() {
    let (nodes, redis) = cluster().await;
    let backend = Arc::new(RedisBackend::new(redis));
    let lock = Lock::new(backend.clone(), name_on(&nodes[0], &nodes), config(LEASE));
    lock.try_acquire().await.unwrap().release().await.unwrap();
    nodes[2].signal("-STOP");
    // The others have forgotten the scripts, and are told them again without a word to the one that stands still.
    nodes[0].ask(&["SCRIPT", "FLUSH"]);
    let clock = Clock::system();
    for _ in 0..20 {
        let asked = clock.timeout(LEASE, lock.try_acquire()).await;
        let guard = asked.expect("no longer than a lease").unwrap();
        guard.release().await.unwrap();
    }
    nodes[2].signal("-CONT");
    assert!(backend.status(&lock.names()[0]).await.unwrap().owners.is_empty());
}
