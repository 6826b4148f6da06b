//! Shared rate limits on a real Redis: every window of a merged log is checked, not only the total.

use crate::proxy::{Proxy, Weather, wait};
use crate::server::{Server, shared_url};
use crate::{SOON, ms};
use c13_reliability::distributed::Redis;
use c13_reliability::distributed::lock::Lock;
use c13_reliability::distributed::rate_limiter::{
    DecidedBy, KeyedSharedRateLimiter, Limit, OnFailure, RedisQuota, SharedLimitConfig, SharedLimitError,
    SharedRateLimiter, Sharing,
};
use c13_reliability::keyed::KeySetConfig;
use c13_reliability::patterns::rate_limiter::TokenBucketRateLimiter;
use c13_reliability::policy::{Policy, PolicyConfig};
use c13_reliability::time::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const RATE: f64 = 2_000.0;
const BURST: u64 = 400;
const HORIZON: Duration = Duration::from_millis(20);

fn limiter(url: &str, key: &str, config: SharedLimitConfig) -> SharedRateLimiter {
    let backend = Arc::new(RedisQuota::new(Redis::open(url).unwrap()));
    SharedRateLimiter::try_new(backend, vec![Limit::new(key, RATE, BURST)], config).unwrap()
}

/// Four limiters with connections of their own, each asked for far more than its share; when each call was allowed, in
/// seconds, and by whom.
async fn hammer(url: &str, key: &str, config: SharedLimitConfig, lasting: Duration) -> Vec<(f64, DecidedBy)> {
    let clock = Clock::since_boot();
    let end = clock.now() + lasting;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (limiter, clock) = (limiter(url, key, config), clock.clone());
            tokio::spawn(async move {
                let mut log = Vec::new();
                while clock.now() < end {
                    match limiter.acquire(1).await {
                        Ok(by) => log.push((clock.now().as_nanos() as f64 / 1e9, by)),
                        Err(SharedLimitError::Exceeded { retry_after, .. }) => {
                            wait(retry_after.clamp(Duration::from_micros(200), ms(2))).await;
                        }
                        Err(_) => wait(ms(1)).await,
                    }
                }
                log
            })
        })
        .collect();
    let mut log = Vec::new();
    for task in tasks {
        log.extend(task.await.unwrap());
    }
    log.sort_by(|a, b| a.0.total_cmp(&b.0));
    log
}

/// The most that any window was over `rate × its length`: with x = i - rate × t, the greatest rise of x.
fn worst_excess(log: &[(f64, DecidedBy)]) -> f64 {
    let (mut lowest, mut worst) = (f64::INFINITY, 0.0_f64);
    for (i, (at, _)) in log.iter().enumerate() {
        let x = i as f64 - RATE * at;
        lowest = lowest.min(x);
        worst = worst.max(x - lowest + 1.0);
    }
    worst
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_of_four_limiters_is_over_its_bound() {
    let lasting = Duration::from_secs(4);
    for (sharing, slack) in [
        (Sharing::Exact, 0.0),
        (Sharing::Leased { horizon: HORIZON }, RATE * HORIZON.as_secs_f64() * 2.0),
    ] {
        let config = SharedLimitConfig::DEFAULT.sharing(sharing).request_timeout(SOON);
        let log = hammer(&shared_url(), &crate::key("accuracy"), config, lasting).await;
        let used = log.len() as f64 / (BURST as f64 + RATE * lasting.as_secs_f64());
        // A machine that stands still for long has outages of its own, in which each goes by its share.
        let by_redis: Vec<_> = log.iter().copied().filter(|(_, by)| *by != DecidedBy::Local).collect();
        let worst = worst_excess(&by_redis);
        println!(
            "{sharing:?}: {} allowed, {:.1} % used, worst window {worst:.0} of {BURST}",
            log.len(),
            used * 100.0
        );
        // What is logged was decided a moment earlier, and a thread may be stopped in between: 10 ms of it.
        assert!(
            worst <= BURST as f64 + slack + RATE * 0.010 + 1.0,
            "{sharing:?}: {worst}"
        );
        // So much that the bound was tried: more cannot be said of a machine that may stand still for a second.
        assert!(used >= 0.50, "{sharing:?}: {used}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_dies_leaves_each_its_share_and_says_so() {
    let mut server = Server::start();
    let url = server.url();
    let config = SharedLimitConfig::DEFAULT.sharing(Sharing::Leased { horizon: HORIZON });
    let hammering = tokio::spawn(async move { hammer(&url, "kill", config, Duration::from_secs(4)).await });
    wait(ms(1_300)).await;
    server.kill();
    wait(ms(1_000)).await;
    server = Server::start_with(server.port, &[]);
    let log = hammering.await.unwrap();
    let local = log.iter().filter(|(_, by)| *by == DecidedBy::Local).count();
    let worst = worst_excess(&log);
    println!(
        "{} allowed, {local} of them locally, worst window {worst:.0}",
        log.len()
    );
    // Most of their four bursts, even if the machine stood still for the rest of the second.
    assert!(local > 300, "{local}");
    let by_lease_at_the_end = log
        .iter()
        .rev()
        .take(100)
        .filter(|(_, by)| *by == DecidedBy::Lease)
        .count();
    assert!(by_lease_at_the_end > 50, "it went back to Redis");
    // The bound of the module's table, and 10 ms between a decision and its entry in the log.
    let away = config.request_timeout + config.retry_backend * 3 / 2;
    let over = RATE * (HORIZON * 2 + away + ms(10)).as_secs_f64();
    assert!(worst <= BURST as f64 * 3.0 + over + 4.0, "{worst}");
    drop(server);
}

#[tokio::test]
async fn without_redis_calls_are_refused_allowed_or_shared_as_set() {
    let config = SharedLimitConfig::DEFAULT.request_timeout(ms(20));
    let nowhere = "redis://127.0.0.1:1";
    let deny = limiter(nowhere, "x", config.on_failure(OnFailure::Deny));
    assert!(matches!(
        deny.acquire(1).await,
        Err(SharedLimitError::Unavailable { .. })
    ));
    let allow = limiter(nowhere, "x", config.on_failure(OnFailure::Allow));
    assert_eq!(allow.acquire(1).await, Ok(DecidedBy::Nobody));
    let clock = Clock::system();
    let start = clock.now();
    let local = limiter(nowhere, "x", config);
    let mut had = 0;
    while local.acquire(1).await == Ok(DecidedBy::Local) {
        had += 1;
    }
    let most = (BURST as f64 + RATE * (clock.now() - start).as_secs_f64()) / 4.0 + 1.0;
    assert!(
        (100.0..=most).contains(&f64::from(had)),
        "a quarter of the burst and of the rate: {had} of {most}"
    );
}

#[tokio::test]
async fn several_limits_give_together_or_not_at_all_and_every_key_lapses() {
    let server = Server::start();
    let backend = Arc::new(RedisQuota::new(Redis::open(&server.url()).unwrap()));
    let limits = vec![Limit::new("{g}:wide", 1_000.0, 100), Limit::new("{g}:tight", 0.01, 3)];
    let config = SharedLimitConfig::DEFAULT.sharing(Sharing::Exact).request_timeout(SOON);
    let limiter = SharedRateLimiter::try_new(backend, limits, config).unwrap();
    for _ in 0..3 {
        assert_eq!(limiter.acquire(1).await, Ok(DecidedBy::Exact));
    }
    assert!(matches!(
        limiter.acquire(1).await,
        Err(SharedLimitError::Exceeded { .. })
    ));
    wait(ms(150)).await;
    assert_eq!(limiter.acquire(4).await, Err(SharedLimitError::NeverPossible));
    for key in server.ask(&["KEYS", "*"]).lines() {
        let ttl: i64 = server.ask(&["PTTL", key]).parse().unwrap();
        // -2 is one that has lapsed meanwhile.
        assert_ne!(ttl, -1, "{key} stays for ever");
    }
}

#[tokio::test]
async fn policies_go_by_a_limit_that_a_fleet_shares_or_by_one_of_their_own_process() {
    let config = SharedLimitConfig::DEFAULT.sharing(Sharing::Exact).request_timeout(SOON);
    let key = crate::key("policy");
    let shared = || {
        let backend = Arc::new(RedisQuota::new(Redis::open(&shared_url()).unwrap()));
        SharedRateLimiter::try_new(backend, vec![Limit::new(&key, 0.001, 3)], config).unwrap()
    };
    // Two stand for two processes: they have nothing in common but the key.
    let policies = [0, 1].map(|_| Policy::new(PolicyConfig::NONE).unwrap());
    policies.iter().for_each(|policy| policy.limit_by(shared()));
    let call = async |policy: &Policy| policy.call(|| async { Ok::<_, std::io::Error>(()) }).await;
    for n in 0..3 {
        call(&policies[n % 2]).await.unwrap();
    }
    for policy in &policies {
        let refused = call(policy).await.unwrap_err();
        assert!(
            refused.is_rate_limited() && refused.retry_after() > Some(Duration::from_secs(60)),
            "{refused:?}"
        );
        assert_eq!(refused.attempts(), 0);
    }
    // A limiter of this process is as good, and settings that change leave it there.
    let local = TokenBucketRateLimiter::new(1, 0.001);
    policies[0].limit_by(local.clone());
    policies[1].limit_by(local);
    policies[1]
        .reconfigure(PolicyConfig::NONE.attempt_timeout(Duration::from_secs(1)))
        .unwrap();
    call(&policies[0]).await.unwrap();
    assert!(call(&policies[1]).await.unwrap_err().is_rate_limited());
}

#[tokio::test]
async fn a_limit_that_was_one_an_hour_and_is_now_a_hundred_a_second_lets_calls_in_again() {
    let (server, config) = (Server::start(), SharedLimitConfig::DEFAULT.sharing(Sharing::Exact));
    let limited = |limits: Vec<Limit>| {
        let backend = Arc::new(RedisQuota::new(Redis::open(&server.url()).unwrap()));
        SharedRateLimiter::try_new(backend, limits, config.request_timeout(SOON)).unwrap()
    };
    let (hourly, quick) = (1.0 / 3600.0, 100.0);
    for (key, now) in [
        ("{a}", vec![Limit::new("{a}", quick, 1)]),
        ("{b}", vec![Limit::new("{b}", quick, 5)]),
        (
            "{c}",
            vec![Limit::new("{c}:other", quick, 5), Limit::new("{c}", quick, 5)],
        ),
        (
            "{d}",
            vec![Limit::new("{d}", quick, 5), Limit::new("{d}:other", quick, 5)],
        ),
    ] {
        limited(vec![Limit::new(key, hourly, 50)]).acquire(50).await.unwrap();
        let limiter = limited(now.clone());
        let clock = Clock::system();
        let end = clock.now() + SOON;
        while let Err(error) = limiter.acquire(1).await {
            assert!(matches!(error, SharedLimitError::Exceeded { .. }), "{key}: {error:?}");
            assert!(clock.now() < end, "{key}: it refuses until the hour is over");
            wait(ms(5)).await;
        }
        let lapses: i64 = server.ask(&["PTTL", &format!("{key}::c13:limit")]).parse().unwrap();
        assert!(lapses < 60_000, "{key}: {lapses} ms");
    }
}

#[tokio::test]
async fn no_lock_and_no_limit_are_of_one_key() {
    let server = Server::start();
    let config = SharedLimitConfig::DEFAULT.sharing(Sharing::Exact).request_timeout(SOON);
    for (lock, limit) in [
        ("c13:limit:mail", "mail"),
        ("mail", "mail"),
        ("{mail}", "mail"),
        ("mail", "{mail}"),
        ("{mail}:c13:limits", "mail"),
    ] {
        server.ask(&["FLUSHALL"]);
        let guard = crate::long_lock_at(&server.url(), lock).try_acquire().await.unwrap();
        let backend = Arc::new(RedisQuota::new(Redis::open(&server.url()).unwrap()));
        let limiter = SharedRateLimiter::try_new(backend, vec![Limit::new(limit, 0.001, 1)], config).unwrap();
        assert_eq!(limiter.acquire(1).await, Ok(DecidedBy::Exact), "{lock}, {limit}");
        guard.check().unwrap();
        assert_eq!(crate::owners(&server.url(), lock).await.len(), 1, "{lock}, {limit}");
        assert!(
            crate::long_lock_at(&server.url(), lock).try_acquire().await.is_err(),
            "{lock}, {limit}"
        );
    }
    let backend = crate::backend(&server.url());
    for record in [
        "{mail}:c13",
        "{mail}:c13:limit",
        "{mail}::c13:limit",
        "{mail}:c13:queue",
    ] {
        let made = Lock::try_new(Arc::new(backend.clone()), record, crate::config(crate::LEASE));
        assert!(made.is_err(), "{record} is a record beside another key");
    }
}

#[tokio::test]
async fn a_request_limit_that_is_shorter_than_the_handshake_gets_a_connection_all_the_same() {
    let server = Server::start();
    let proxy = Proxy::to(server.port).await;
    proxy.weather(Weather::SlowReplies(ms(60)));
    let config = SharedLimitConfig::DEFAULT
        .sharing(Sharing::Exact)
        .request_timeout(ms(100));
    let limiter = limiter(&format!("{}/1", proxy.url()), "slow", config);
    let clock = Clock::system();
    let end = clock.now() + SOON;
    while limiter.acquire(1).await != Ok(DecidedBy::Exact) {
        assert!(clock.now() < end, "{:?}", limiter.snapshot().last_failure);
        wait(ms(20)).await;
    }
}

/// What the keys of a keyed limiter are asked for: how many cold keys there were, and when each hot key was allowed.
struct Asked {
    cold: u64,
    hot: Vec<Vec<(f64, DecidedBy)>>,
}

const COLD_KEYS: u64 = 1_000_000;
const HOT_KEYS: usize = 4;
/// So many callers a hot key has in each process: one alone would be as slow as its round trips, and not hot.
const CALLERS: usize = 16;

/// Asks for every cold key once, as many as there is time for, and hammers the hot ones.
async fn ask_keys(limiters: &[KeyedSharedRateLimiter], lasting: Duration) -> Asked {
    let clock = Clock::since_boot();
    let end = clock.now() + lasting;
    let next = Arc::new(AtomicU64::new(0));
    let cold: Vec<_> = (0..64)
        .map(|n| {
            let (limiter, clock, next) = (limiters[n % limiters.len()].clone(), clock.clone(), next.clone());
            tokio::spawn(async move {
                while clock.now() < end {
                    let key = next.fetch_add(1, Ordering::Relaxed);
                    if key >= COLD_KEYS {
                        break;
                    }
                    let decided = limiter.acquire(&key.to_string(), 1).await;
                    // A machine that stands still for long has outages of its own, in which each goes by its share.
                    let is_new = matches!(decided, Ok(DecidedBy::Exact | DecidedBy::Local));
                    assert!(is_new, "key {key}: {decided:?}");
                }
            })
        })
        .collect();
    let hot: Vec<_> = (0..HOT_KEYS * limiters.len() * CALLERS)
        .map(|n| {
            let (limiter, clock) = (limiters[n / HOT_KEYS % limiters.len()].clone(), clock.clone());
            tokio::spawn(async move {
                let (mut log, key) = (Vec::new(), format!("hot-{}", n % HOT_KEYS));
                while clock.now() < end {
                    match limiter.acquire(&key, 1).await {
                        Ok(by) => log.push((clock.now().as_nanos() as f64 / 1e9, by)),
                        Err(SharedLimitError::Exceeded { retry_after, .. }) => {
                            wait(retry_after.clamp(Duration::from_micros(200), ms(5))).await;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                log
            })
        })
        .collect();
    let mut asked = Asked {
        cold: 0,
        hot: vec![Vec::new(); HOT_KEYS],
    };
    for (n, task) in hot.into_iter().enumerate() {
        asked.hot[n % HOT_KEYS].extend(task.await.unwrap());
    }
    for task in cold {
        task.await.unwrap();
    }
    asked.cold = next.load(Ordering::Relaxed).min(COLD_KEYS);
    asked
        .hot
        .iter_mut()
        .for_each(|log| log.sort_by(|a, b| a.0.total_cmp(&b.0)));
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_million_keys_few_are_kept_none_is_over_its_limit_and_hot_ones_are_leased() {
    const MAX_KEYS: usize = 20_000;
    let lasting = Duration::from_secs(15);
    let config = SharedLimitConfig::DEFAULT
        .sharing(Sharing::Leased { horizon: HORIZON })
        .request_timeout(SOON);
    let name = crate::key("keyed");
    let limiters: Vec<_> = (0..2)
        .map(|_| {
            let backend = Arc::new(RedisQuota::new(Redis::open(&shared_url()).unwrap()));
            let keys = KeySetConfig::DEFAULT.max_keys(MAX_KEYS).max_key_bytes(64);
            let limit = Limit::new(name.clone(), RATE, BURST);
            KeyedSharedRateLimiter::with_config(backend, limit, config, keys, Clock::since_boot()).unwrap()
        })
        .collect();
    let asked = ask_keys(&limiters, lasting).await;
    for log in &asked.hot {
        let by_redis: Vec<_> = log.iter().copied().filter(|(_, by)| *by != DecidedBy::Local).collect();
        let worst = worst_excess(&by_redis);
        let leased = log.iter().filter(|(_, by)| *by == DecidedBy::Lease).count();
        println!(
            "{} allowed, {leased} of them leased, worst window {worst:.0} of {BURST}",
            log.len()
        );
        // As for one key: what is logged was decided up to 10 ms earlier.
        let slack = RATE * (HORIZON * 2 + ms(10)).as_secs_f64();
        assert!(worst <= BURST as f64 + slack + 1.0, "{worst}");
        // A key is cold again when the machine has stood still for two horizons, and its next three calls are exact.
        assert!(leased * 2 > log.len(), "{leased} of {}", log.len());
    }
    let kept: u64 = limiters.iter().map(|limiter| limiter.snapshot().keys).sum();
    let exact: u64 = limiters.iter().map(|limiter| limiter.snapshot().exact).sum();
    println!("{} cold keys, {kept} keys kept, {exact} calls were exact", asked.cold);
    assert!(
        kept <= 2 * MAX_KEYS as u64 && asked.cold > kept,
        "{kept} of {}",
        asked.cold
    );
    let hot: usize = asked.hot.iter().map(Vec::len).sum();
    assert!(
        exact < asked.cold + hot as u64 / 2,
        "{exact} of {} and {hot}",
        asked.cold
    );
}
