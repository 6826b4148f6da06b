//! Many readers and one load, stale answers while it is loaded again, and an outage that readers do not notice.
//!
//! `cargo run --example cache_example`

use c13_reliability::patterns::cache::{Cache, CacheConfig, LoadError, Loaded};
use c13_reliability::time::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Unreachable;

/// A source that takes 20 ms, knows even numbers only, and may be down.
#[derive(Clone)]
struct Source {
    clock: Clock,
    down: Arc<AtomicBool>,
}

impl Source {
    async fn load(self, key: u64) -> Result<Loaded<String>, Unreachable> {
        self.clock.sleep(20 * MS).await;
        match (self.down.load(Ordering::Relaxed), key % 2) {
            (true, _) => Err(Unreachable),
            (false, 0) => Ok(Loaded::found(format!("value of {key}"))),
            (false, _) => Ok(Loaded::absent()),
        }
    }
}

#[tokio::main]
async fn main() {
    let clock = Clock::system();
    let config = CacheConfig::new()
        .ttl(200 * MS)
        .jitter(0.0)
        .stale_while_revalidate(200 * MS)
        .stale_if_error(Duration::from_secs(60))
        .negative_ttl(100 * MS);
    let cache: Cache<u64, String> = Cache::new(config);
    let source = Source {
        clock: clock.clone(),
        down: Arc::default(),
    };

    let readers: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(read(cache.clone(), source.clone(), 2)))
        .collect();
    for reader in readers {
        reader.await.expect("no reader panics").expect("the source is there");
    }
    println!("1000 readers of a missing key: {} load", cache.snapshot().loads);

    let start = clock.now();
    clock.sleep(250 * MS).await;
    let value = read(cache.clone(), source.clone(), 2).await;
    println!(
        "after {:.0?}, no longer fresh: {value:?}, at once; loaded again meanwhile",
        clock.now() - start
    );
    clock.sleep(50 * MS).await;

    source.down.store(true, Ordering::Relaxed);
    clock.sleep(500 * MS).await;
    let value = read(cache.clone(), source.clone(), 2).await;
    println!("the source is down: {value:?}, stale");
    println!(
        "a key nobody has read before: {:?}",
        read(cache.clone(), source.clone(), 4).await
    );

    source.down.store(false, Ordering::Relaxed);
    for _ in 0..3 {
        let value = read(cache.clone(), source.clone(), 3).await;
        println!("what does not exist is asked for once: {value:?}");
    }
    let snapshot = cache.snapshot();
    println!(
        "{} hits, {} stale, {} that there is nothing, {} misses ({} waited for another's load, {} rescued), {} loads",
        snapshot.hits,
        snapshot.stale_hits,
        snapshot.negative_hits,
        snapshot.misses,
        snapshot.coalesced,
        snapshot.rescued,
        snapshot.loads
    );
}

async fn read(cache: Cache<u64, String>, source: Source, key: u64) -> Result<Option<String>, LoadError<Unreachable>> {
    cache.find_or_load(&key, move || source.load(key)).await
}
