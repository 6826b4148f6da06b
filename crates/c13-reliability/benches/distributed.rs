//! What locks and shared limits cost on a Redis of this machine: an acquisition, the hand-off of a contended lock, and the
//! traffic of one that is held. What they decide in memory is measured in the workspace `bench/`.
//!
//! `cargo bench -p c13-reliability --features redis --bench distributed`
//!
//! Starts a `redis-server` of its own; without one it says so and measures nothing.

use c13_reliability::distributed::Redis;
use c13_reliability::distributed::lock::{Lock, LockConfig, LockGuard, RedisBackend};
use c13_reliability::distributed::rate_limiter::{Limit, RedisQuota, SharedLimitConfig, SharedRateLimiter, Sharing};
use c13_reliability::time::Clock;
use std::future::Future;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const HAND_OFFS: usize = 2_000;
/// How often peers ask for a lock that somebody else holds: the shortest of their defaults.
const POLL: Duration = Duration::from_millis(50);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the system gives threads");
    let clock = Clock::system();
    let Some(server) = Server::start() else {
        println!("no redis-server here: nothing is measured");
        return;
    };
    runtime.block_on(async {
        on_redis(&server, &clock).await;
    });
}

async fn on_redis(server: &Server, clock: &Clock) {
    let lock = |name: &str, config| {
        let redis = Redis::open(&server.url()).expect("the URL is good");
        Lock::new(Arc::new(RedisBackend::new(redis)), name, config)
    };
    let config = LockConfig::new(Duration::from_secs(10));
    let alone = lock("alone", config);
    let mut taken = Vec::new();
    for _ in 0..HAND_OFFS {
        let start = clock.now();
        let guard = alone.try_acquire().await.expect("nobody else has it");
        guard.release().await.expect("Redis is there");
        taken.push(clock.now() - start);
    }
    say("acquisition and release of a free lock", &mut taken);

    // Two backends with connections of their own, as two processes have.
    let locks = [lock("shared", config), lock("shared", config)];
    let waits = |lock: Lock| async move { lock.acquire(Duration::from_secs(5)).await.ok() };
    // Long enough for the waiter to have asked and to listen.
    let after = |_| Duration::from_millis(3);
    let mut taken = hand_offs(&locks, clock, HAND_OFFS, after, waits).await;
    say("hand-off of a contended lock", &mut taken);

    // As clients do that ask again and again: the holder releases at any point of their pause.
    let polls = |lock: Lock| {
        let clock = clock.clone();
        async move {
            loop {
                match lock.try_acquire().await {
                    Ok(guard) => return Some(guard),
                    Err(_) => clock.sleep(POLL).await,
                }
            }
        }
    };
    let after = |round| Duration::from_millis(3) + POLL * (round as u32 * 7 % 10) / 10;
    let mut taken = hand_offs(&locks, clock, 50, after, polls).await;
    say("the same lock, asked for every 50 ms", &mut taken);

    let limits = vec![Limit::new("limit", 1e6, 1_000_000)];
    let quota = Arc::new(RedisQuota::new(Redis::open(&server.url()).expect("the URL is good")));
    let config = SharedLimitConfig::DEFAULT.sharing(Sharing::Exact);
    let exact = SharedRateLimiter::try_new(quota, limits, config).expect("the settings are good");
    let mut taken = Vec::new();
    for _ in 0..HAND_OFFS {
        let start = clock.now();
        exact.acquire(1).await.expect("there is room");
        taken.push(clock.now() - start);
    }
    say("an exact decision", &mut taken);

    let lease = Duration::from_secs(1);
    let kept = lock("kept", LockConfig::new(lease));
    let guard = kept.try_acquire().await.expect("nobody else has it");
    let before = server.requests();
    clock.sleep(lease * 6).await;
    let requests = server.requests() - before;
    println!("a held lock: {:.1} requests a lease", requests as f64 / 6.0);
    drop(guard);
}

/// How long each hand-off took, from the release to the next holder's knowledge; the holder releases `after` the waiter came.
async fn hand_offs<F>(
    locks: &[Lock; 2],
    clock: &Clock,
    rounds: usize,
    after: impl Fn(usize) -> Duration,
    wait: impl Fn(Lock) -> F,
) -> Vec<Duration>
where
    F: Future<Output = Option<LockGuard>> + Send + 'static,
{
    let mut taken = Vec::new();
    let mut holder = locks[0].try_acquire().await.expect("nobody else has it");
    for round in 1..=rounds {
        let (next, its_clock) = (wait(locks[round % 2].clone()), clock.clone());
        let waiter = tokio::spawn(async move { (next.await, its_clock.now()) });
        clock.sleep(after(round)).await;
        let released = clock.now();
        holder.release().await.expect("Redis is there");
        let (guard, had) = waiter.await.expect("it does not panic");
        taken.push(had - released);
        holder = guard.expect("it is released soon");
    }
    holder.release().await.expect("Redis is there");
    taken
}

fn say(what: &str, taken: &mut [Duration]) {
    taken.sort_unstable();
    let at = |share: usize| taken[(taken.len() - 1) * share / 100];
    println!("{what}: P50 {:?}, P99 {:?}, most {:?}", at(50), at(99), at(100));
}

/// A Redis that ends with the bench.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        let process = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let server = Self { process, port };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Some(server)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How many requests ran a script so far: each is one from outside.
    fn requests(&self) -> u64 {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "INFO", "commandstats"])
            .output()
            .expect("redis-cli is there, as redis-server is");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let calls = |line: &str| {
            line.strip_prefix("cmdstat_evalsha:calls=")?
                .split(',')
                .next()?
                .parse()
                .ok()
        };
        text.lines().find_map(calls).unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
