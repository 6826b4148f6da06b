//! A token bucket that lets a burst through and then its rate, one that lets callers wait or reserve, an exact sliding
//! window, and a limit for each user.
//!
//! `cargo run -p c13-reliability --example rate_limiter_example`

use c13_reliability::patterns::rate_limiter::{
    KeyedConfig, KeyedRateLimiter, RateLimitError, RateLimiterConfig, SlidingWindowConfig, SlidingWindowRateLimiter,
    TokenBucketRateLimiter,
};
use c13_reliability::time::Clock;
use std::time::Duration;

// On paused time: it says the same on every machine, however busy.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let clock = Clock::tokio();

    println!("a bucket of 5 tokens that gets 20 a second: five calls at once, the sixth has to come back");
    let config = RateLimiterConfig::new(20.0, 5);
    let bucket = TokenBucketRateLimiter::with_config(config, clock.clone()).expect("the settings are good");
    for call in 1..=6 {
        match bucket.acquire(1).await {
            Ok(()) => println!("  call {call}: allowed, {} tokens left", bucket.available_tokens()),
            Err(RateLimitError::RateLimitExceeded { retry_after, .. }) => {
                println!(
                    "  call {call}: refused, a token is there in {} ms",
                    retry_after.as_millis()
                );
                assert!(call == 6 && retry_after <= Duration::from_millis(50));
            }
            Err(error) => println!("  call {call}: {error}"),
        }
    }
    let never = bucket.acquire(6).await.expect_err("the bucket holds five");
    println!("  six at once: {never}\n");

    println!("the same bucket, with callers that wait up to a second for their turn");
    let config = RateLimiterConfig::new(20.0, 5).max_wait(Duration::from_secs(1));
    let patient = TokenBucketRateLimiter::with_config(config, clock.clone()).expect("the settings are good");
    let start = clock.now();
    for call in 1..=9 {
        patient.acquire(1).await.expect("nobody waits longer than 200 ms");
        println!("  call {call}: at {:>3} ms", (clock.now() - start).as_millis());
    }
    let took = clock.now() - start;
    assert!(
        took >= Duration::from_millis(195),
        "four calls of nine had to wait for 50 ms each: {took:?}"
    );

    let reservation = patient.reserve(2).expect("two tokens are there within 100 ms");
    println!(
        "\ntwo tokens reserved, to be had in {} ms",
        reservation.wait().as_millis()
    );
    reservation.redeem().await;
    println!("  and here they are");

    println!("\na window of 100 ms that holds 3 calls: the fourth waits for the first to leave it");
    let config = SlidingWindowConfig::new(Duration::from_millis(100), 3);
    let window = SlidingWindowRateLimiter::with_config(config, clock.clone()).expect("the settings are good");
    for call in 1..=4 {
        match window.acquire().await {
            Ok(()) => println!("  call {call}: allowed"),
            Err(RateLimitError::RateLimitExceeded { retry_after, .. }) => {
                println!(
                    "  call {call}: refused; waiting {} ms as it says",
                    retry_after.as_millis()
                );
                clock.sleep(retry_after).await;
                window.acquire().await.expect("the first call has left the window");
                println!("  call {call}: allowed now");
            }
            Err(error) => println!("  call {call}: {error}"),
        }
    }

    println!("\ntwo a minute for each user, and three at once");
    let config = KeyedConfig::new(RateLimiterConfig::new(2.0 / 60.0, 3).into(), 100_000);
    let users = KeyedRateLimiter::<String>::with_config(config, clock).expect("the settings are good");
    for user in ["ann", "ann", "ann", "ann", "bob", "ann"] {
        let (result, quota) = users.decide(user, 1);
        let answer = if result.is_ok() { "allowed" } else { "refused" };
        println!("  {user}: {answer}, {} of {} left", quota.remaining, quota.limit);
    }
    println!("  refused most: {:?}", users.top_refused(1));
    assert_eq!(users.top_refused(1), [("ann".to_owned(), 2)]);
}
