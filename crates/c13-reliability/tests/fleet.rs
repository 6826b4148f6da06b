//! What holds for a whole fleet, over half a minute: one limit for four processes while Redis dies in between, and one
//! lock for us and a client in another language.
//!
//! Needs `redis-server`, and a Python with redis-py in `C13_TEST_PYTHON`: `./test` sees to both. They have a program of
//! their own because they keep the machine busy, which other tests must not notice.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "fleet/contention.rs"]
mod contention;
#[path = "fleet/limit.rs"]
mod limit;
#[path = "fleet/referee.rs"]
mod referee;
#[expect(dead_code, reason = "other tests do more to their servers")]
#[path = "redis/server.rs"]
mod server;

use std::time::Duration;

const LASTING: Duration = Duration::from_secs(30);

/// Waits in real time: the other end is another process.
#[expect(clippy::disallowed_methods, reason = "another process knows no virtual time")]
async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}
