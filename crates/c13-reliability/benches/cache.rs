//! What a cached read costs beside the bare `quick_cache`, alone and with two threads, and what a cache is worth before a
//! slow source; and what memory it takes while ten million keys pass through.
//!
//! `cargo bench -p c13-reliability --bench cache`. Compare rows of one run with each other: absolute times drift on shared
//! machines. With words behind `--` it runs only the first row and those whose names contain one of them.

use bytes::Bytes;
use c13_reliability::patterns::cache::{Cache, CacheConfig, RecommendationCache};
use c13_reliability::sync::Random;
use c13_reliability::time::Clock;
use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const KEYS: usize = 100_000;
const READS: usize = 1_000_000;
const RUNS: usize = 9;

fn main() {
    let clock = Clock::system();
    let hour = Duration::from_secs(3600);
    let bare = quick_cache::sync::Cache::<u64, Bytes>::new(2 * KEYS);
    let with = |config: CacheConfig| Cache::<u64, Bytes>::new(config.capacity(2 * KEYS as u64));
    let plain = RecommendationCache::from(with(CacheConfig::new()));
    let timed = with(CacheConfig::new().ttl(hour));
    let full = with(CacheConfig::new().ttl(2 * hour).refresh_after(hour).idle(hour));
    for key in 0..KEYS as u64 {
        bare.insert(key, value());
        plain.insert(key, value());
        timed.insert(key, value());
        full.insert(key, value());
    }

    println!(
        "{KEYS} keys by Zipf's law; ns a read, median of {RUNS} runs taken in turn, and the ratio to the first row"
    );
    println!("{:<44} {:>8} {:>6} {:>8} {:>6}", "", "1 thr.", "", "2 thr.", "");
    let cases: [(&str, &(dyn Fn(u64) + Sync)); 5] = [
        ("quick_cache, get", &|key| drop(black_box(bare.get(&key)))),
        ("RecommendationCache, get", &|key| drop(black_box(plain.get(key)))),
        ("Cache with a ttl, get", &|key| drop(black_box(timed.get(&key)))),
        ("Cache with a ttl, get_or_load", &|key| {
            drop(black_box(load(&timed, key)));
        }),
        ("Cache with ttl, refresh and idle, get", &|key| {
            drop(black_box(full.get(&key)));
        }),
    ];
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let asked = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let cases: Vec<_> = cases
        .into_iter()
        .enumerate()
        .filter(|(row, (name, _))| *row == 0 || asked(name))
        .map(|(_, case)| case)
        .collect();
    let keys = zipf();
    let mut times = vec![[Vec::new(), Vec::new()]; cases.len()];
    for _ in 0..RUNS {
        for (case, times) in cases.iter().zip(&mut times) {
            times[0].push(nanos(&clock, 1, &keys, case.1));
            times[1].push(nanos(&clock, 2, &keys, case.1));
        }
    }
    let medians: Vec<[f64; 2]> = times.into_iter().map(|times| times.map(median)).collect();
    for ((name, _), [one, two]) in cases.iter().zip(&medians) {
        let (first, second) = (one / medians[0][0], two / medians[0][1]);
        println!("{name:<44} {one:>8.1} {first:>6.2} {two:>8.1} {second:>6.2}");
    }
    if words.is_empty() {
        before_a_slow_source();
        while_keys_pass_through();
    }
}

fn value() -> Bytes {
    Bytes::from_static(&[7; 100])
}

/// One read that finds its key, polled once.
fn load(cache: &Cache<u64, Bytes>, key: u64) -> Option<Bytes> {
    let read = pin!(cache.get_or_load(&key, || async { Ok::<_, Infallible>(value()) }));
    match read.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value.ok(),
        Poll::Pending => None,
    }
}

/// Keys of which the n-th is asked for in proportion to 1/n.
fn zipf() -> Vec<u64> {
    let mut total = 0.0;
    let share = |rank: usize| {
        total += 1.0 / rank as f64;
        total
    };
    let sums: Vec<f64> = (1..=KEYS).map(share).collect();
    let random = Random::new(1);
    let draw = |_| {
        let at = random.unit() * sums[KEYS - 1];
        sums.partition_point(|sum| *sum < at) as u64
    };
    // Neighbours in rank are no neighbours in memory.
    (0..READS).map(draw).map(|rank| rank * 7_919 % KEYS as u64).collect()
}

fn nanos(clock: &Clock, threads: usize, keys: &[u64], read: &(dyn Fn(u64) + Sync)) -> f64 {
    let barrier = Barrier::new(threads);
    let run = |thread: usize| {
        barrier.wait();
        let start = clock.now();
        keys.iter()
            .cycle()
            .skip(thread * READS / 2)
            .take(READS)
            .for_each(|key| read(*key));
        (clock.now() - start).as_nanos() as f64 / READS as f64
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        let times = handles.into_iter().map(|handle| handle.join().expect("no read panics"));
        times.sum::<f64>() / threads as f64
    })
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Reads one after the other with a source that takes 1 ms (as waited for by the precise clock) and nine hits in ten.
fn before_a_slow_source() {
    const COUNT: u64 = 2_000;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime can be made");
    let clock = Clock::precise();
    let source = |clock: Clock| async move {
        clock.sleep(Duration::from_millis(1)).await;
        Ok::<_, Infallible>(value())
    };
    let cache: Cache<u64, Bytes> = Cache::new(CacheConfig::new());
    let rate = |cached: bool| {
        let start = clock.now();
        runtime.block_on(async {
            for read in 0..COUNT {
                let timer = clock.clone();
                let value = if cached {
                    // Each key is read ten times in all.
                    cache.get_or_load(&(read / 10), move || source(timer)).await.ok()
                } else {
                    source(timer).await.ok()
                };
                black_box(value);
            }
        });
        COUNT as f64 / (clock.now() - start).as_secs_f64()
    };
    let (uncached, cached) = (rate(false), rate(true));
    let ratio = cache.snapshot().hit_ratio().unwrap_or_default();
    println!(
        "source of 1 ms: {uncached:.0} reads/s uncached, {cached:.0} cached with {:.0} % hits: {:.1} times",
        ratio * 100.0,
        cached / uncached
    );
}

/// What the process holds in memory once the cache is full, and at most while many times as many keys pass through.
fn while_keys_pass_through() {
    const PASSING: u64 = 10_000_000;
    let start = resident();
    let cache = RecommendationCache::new();
    let fill = |keys: std::ops::Range<u64>| keys.for_each(|key| cache.insert(key, value()));
    fill(0..2 * KEYS as u64);
    let full = resident();
    let mut most = full;
    for part in 1..=100 {
        fill(part * PASSING..part * PASSING + PASSING / 100);
        most = most.max(resident());
    }
    let snapshot = cache.snapshot();
    println!(
        "memory: {:.1} MB for {} entries; {:.1} MB more at most while {PASSING} keys passed through ({} evicted)",
        full.saturating_sub(start) as f64 / 1e6,
        snapshot.entries,
        (most - full) as f64 / 1e6,
        snapshot.evicted
    );
}

/// What the process holds in memory, in bytes; 0 where that is not known.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
