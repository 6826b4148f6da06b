//! One key, two of us and two of redis-py's, and a referee who never sees two inside.

use crate::referee::{Line, Referee};
use crate::server::Server;
use crate::{LASTING, wait};
use c13_reliability::distributed::Redis;
use c13_reliability::distributed::lock::{Lock, LockConfig, RedisBackend};
use c13_reliability::sync::Random;
use c13_reliability::time::Clock;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "shared-with-python";

async fn take_turns(lock: Lock, mut line: Line, seed: u64) -> u32 {
    let (clock, random) = (Clock::system(), Random::new(seed));
    let end = clock.now() + LASTING;
    let mut had = 0;
    while clock.now() < end {
        let Ok(guard) = lock.acquire(Duration::from_secs(5)).await else {
            continue;
        };
        line.say(b'+');
        line.say(b'-');
        guard.release().await.unwrap();
        had += 1;
        wait(Duration::from_micros(random.below(2_000))).await;
    }
    had
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_py_and_we_exclude_each_other_for_half_a_minute() {
    let python = std::env::var("C13_TEST_PYTHON")
        .expect("C13_TEST_PYTHON names no Python with redis-py: run ./test unit, or set it");
    let (server, referee) = (Server::start(), Referee::start());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fleet/redis_py.py");
    let theirs: Vec<_> = (0..2)
        .map(|_| {
            Command::new(&python)
                .args([script, &server.url(), KEY])
                .args([referee.port.to_string(), LASTING.as_secs().to_string()])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let ours: Vec<_> = (0..2)
        .map(|seed| {
            let backend = Arc::new(RedisBackend::new(Redis::open(&server.url()).unwrap()));
            // Nobody tells us when the others release, so we look often.
            let config = LockConfig::new(Duration::from_secs(10)).fallback_poll(Duration::from_millis(2));
            let lock = Lock::new(backend, KEY, config);
            tokio::spawn(take_turns(lock, Line::to(&referee), seed))
        })
        .collect();
    let mut had = Vec::new();
    for task in ours {
        had.push(task.await.unwrap());
    }
    for process in theirs {
        let output = tokio::task::spawn_blocking(|| process.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        assert!(output.status.success(), "redis-py: {output:?}");
        had.push(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap());
    }
    let counts = referee.counts();
    println!("had the lock, we twice and redis-py twice: {had:?}; {counts:?}");
    assert_eq!(counts.overlaps, 0);
    assert_eq!(counts.entered, had.iter().sum::<u32>());
    assert!(had.iter().all(|had| *had >= 50), "everybody gets on: {had:?}");
}
