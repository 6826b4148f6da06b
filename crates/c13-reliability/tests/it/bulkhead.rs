//! What a user of bulkheads relies on, through the public names only.

use c13_reliability::Rejected;
use c13_reliability::error::Layer;
use c13_reliability::gate::Gate;
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig, BulkheadError};
use c13_reliability::patterns::rate_limiter::RateLimiterConfig;
use c13_reliability::policy::{Policy, PolicyConfig};
use c13_reliability::time::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_calls_run_at_a_time_than_may_and_all_get_their_turn() {
    let config = BulkheadConfig::new(4).queue(1_000, Duration::from_secs(60));
    let bulkhead = Bulkhead::with_config(config, Clock::system()).expect("the settings are good");
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let calls: Vec<_> = (0..400)
        .map(|_| {
            let (bulkhead, inside, most) = (bulkhead.clone(), inside.clone(), most.clone());
            tokio::spawn(async move {
                bulkhead
                    .call(async {
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, Ordering::SeqCst);
                        Ok::<(), &str>(())
                    })
                    .await
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no call panics"), Ok(()));
    }
    assert!(most.load(Ordering::SeqCst) <= 4);
    let snapshot = bulkhead.snapshot();
    assert_eq!(
        (snapshot.calls.in_flight, snapshot.calls.queued, snapshot.calls.rejected),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_refusal_says_which_layer_it_was() {
    let bulkhead = Bulkhead::new(1);
    let held = bulkhead.admit().await.expect("it is empty");
    let refused = bulkhead.admit().await.expect_err("it is full");
    assert_eq!(Rejected::from(refused), Rejected::new(Layer::Bulkhead, None));
    let result: Result<(), BulkheadError<&str>> = bulkhead.call(async { Ok(()) }).await;
    assert_eq!(result, Err(BulkheadError::Full { max_concurrent: 1 }));
    drop(held);
    let result: Result<(), _> = bulkhead.call(async { Err("its own error") }).await;
    assert_eq!(
        result.map_err(BulkheadError::into_call_error),
        Err(Some("its own error"))
    );
}

#[tokio::test]
async fn a_wait_in_the_queue_ends_on_a_real_runtime() {
    let config = BulkheadConfig::new(1).queue(1, 5 * MS);
    let bulkhead = Bulkhead::with_config(config, Clock::system()).expect("the settings are good");
    let _held = bulkhead.try_admit();
    let result: Result<(), BulkheadError<()>> = bulkhead.call(async { Ok(()) }).await;
    assert!(matches!(result, Err(BulkheadError::WaitElapsed { waited }) if waited >= 5 * MS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policys_call_that_may_wait_is_not_refused_because_another_was_faster() {
    let minute = Duration::from_secs(60);
    let bulkhead = PolicyConfig::NONE.bulkhead(BulkheadConfig::new(1).queue(1, minute));
    let token = PolicyConfig::NONE.rate_limit(RateLimiterConfig::new(1e7, 1).max_wait(minute));
    for (config, calls) in [(bulkhead, 50_000), (token, 2_000)] {
        let policy = Policy::new(config).expect("the settings are good");
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let policy = policy.clone();
                tokio::spawn(async move {
                    for _ in 0..calls {
                        assert_eq!(policy.call(|| async { Ok::<_, ()>(()) }).await, Ok(()));
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("no call is refused");
        }
    }
}
