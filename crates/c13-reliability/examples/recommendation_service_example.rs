//! A recommendation service that reads through the cache: how many reads a second with and without it.
//!
//! `cargo run --release --example recommendation_service_example`

use bytes::Bytes;
use c13_reliability::patterns::cache::{Cache, CacheConfig, RecommendationCache};
use c13_reliability::sync::Random;
use c13_reliability::time::Clock;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const USERS: u64 = 200;
const READERS: u64 = 8;
const READS: u64 = 250;

/// What computes recommendations: a millisecond a user.
#[derive(Clone)]
struct Model {
    clock: Clock,
    computed: Arc<AtomicU64>,
}

impl Model {
    async fn recommend(self, user: u64) -> Result<Bytes, Infallible> {
        self.clock.sleep(Duration::from_millis(1)).await;
        self.computed.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from(format!(
            "items for user {user}: {:?}",
            [user % 7, user % 11, user % 13]
        )))
    }
}

#[tokio::main]
async fn main() {
    let model = Model {
        clock: Clock::precise(),
        computed: Arc::default(),
    };
    let config = CacheConfig::new()
        .ttl(Duration::from_secs(60))
        .stale_if_error(Duration::from_secs(600));
    let cache = RecommendationCache::from(Cache::new(config));

    let uncached = serve(&model, None).await;
    let computed = model.computed.swap(0, Ordering::Relaxed);
    println!("without a cache: {uncached:.0} reads/s, {computed} computed");
    let cached = serve(&model, Some(&cache)).await;
    let computed = model.computed.load(Ordering::Relaxed);
    println!(
        "through it:      {cached:.0} reads/s, {computed} computed: {:.1} times",
        cached / uncached
    );

    let snapshot = cache.snapshot();
    println!(
        "{:.0} % hits; {} waited for somebody else's load; a load took {:.1} ms at the median",
        snapshot.hit_ratio().unwrap_or_default() * 100.0,
        snapshot.coalesced,
        snapshot.load_time.quantile(0.5).unwrap_or_default() as f64 / 1e6
    );
    if let Some(items) = cache.get(17) {
        println!("{}", String::from_utf8_lossy(&items));
    }
}

/// Reads for users drawn at random, from a few tasks at once; gives reads a second.
async fn serve(model: &Model, cache: Option<&RecommendationCache>) -> f64 {
    let clock = Clock::system();
    let start = clock.now();
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (model, cache) = (model.clone(), cache.cloned());
            tokio::spawn(async move {
                let random = Random::new(reader);
                for _ in 0..READS {
                    let (model, user) = (model.clone(), random.below(USERS));
                    let items = match &cache {
                        Some(cache) => cache
                            .cache()
                            .get_or_load(&user, move || model.recommend(user))
                            .await
                            .ok(),
                        None => model.recommend(user).await.ok(),
                    };
                    assert!(items.is_some());
                }
            })
        })
        .collect();
    for reader in readers {
        reader.await.expect("no reader panics");
    }
    (READERS * READS) as f64 / (clock.now() - start).as_secs_f64()
}
