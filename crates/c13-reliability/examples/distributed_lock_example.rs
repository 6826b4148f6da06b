//! Two workers, one lock: one works at a time, and each hands its fencing token to what it writes to.
//!
//! Runs without a server. With `REDIS_URL` set and the feature `redis`, put a `RedisBackend` in the place of the backend.

use c13_reliability::distributed::lock::{Lock, LockConfig, LockError, MemoryBackend};
use std::sync::Arc;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), LockError<std::io::Error>> {
    let backend = Arc::new(MemoryBackend::new());
    let config = LockConfig::new(Duration::from_secs(5));
    let workers: Vec<_> = ["north", "south"]
        .into_iter()
        .map(|name| {
            let lock = Lock::new(backend.clone(), "invoices", config);
            tokio::spawn(async move {
                lock.run(Duration::from_secs(10), |context| async move {
                    println!("{name} works with fence {}", context.fence());
                    tokio::task::yield_now().await;
                    println!("{name} is done");
                    Ok::<_, std::io::Error>(context.fence())
                })
                .await
            })
        })
        .collect();
    let mut fences = Vec::new();
    for worker in workers {
        fences.push(worker.await.expect("no worker panics")?);
    }
    assert_ne!(fences[0], fences[1], "each grant has a fence of its own");
    Ok(())
}
