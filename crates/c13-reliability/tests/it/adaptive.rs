//! What a user of adaptive limits relies on, through the public names only.

use c13_reliability::Rejected;
use c13_reliability::error::Layer;
use c13_reliability::gate::{Gate, Outcome, Refusal, call};
use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit, AdaptiveRejected, Algorithm};
use c13_reliability::time::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_calls_run_at_a_time_than_the_limit_says_and_all_get_their_turn() {
    let config = AdaptiveConfig::new(Algorithm::GRADIENT)
        .limits(4, 1, 4)
        .queue(1_000, Duration::from_secs(60));
    let limit = AdaptiveLimit::with_config(config, Clock::system()).expect("good");
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let calls: Vec<_> = (0..400)
        .map(|_| {
            let (limit, inside, most) = (limit.clone(), inside.clone(), most.clone());
            tokio::spawn(async move {
                let work = async {
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    Ok::<(), &str>(())
                };
                limit.call(work).await
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no call panics"), Ok(()));
    }
    assert!(most.load(Ordering::SeqCst) <= 4);
    let snapshot = limit.snapshot();
    assert_eq!(
        (snapshot.calls.in_flight, snapshot.calls.queued, snapshot.calls.rejected),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_refusal_says_how_many_may_run_and_which_layer_it_was() {
    let config = AdaptiveConfig::new(Algorithm::AIMD).limits(1, 1, 1);
    let limit = AdaptiveLimit::with_config(config, Clock::system()).expect("good");
    let held = limit.try_admit().expect("it is empty");
    let refused = limit.call(async { Ok::<(), &str>(()) }).await;
    let full = AdaptiveRejected::Full { limit: 1 };
    assert_eq!(refused, Err(Refusal::Rejected(full)));
    assert_eq!(full.to_string(), "the adaptive limit of 1 is reached");
    assert_eq!(Rejected::from(full), Rejected::new(Layer::Bulkhead, None));
    drop(held);
    let failed = limit.call(async { Err::<(), _>("its own error") }).await;
    assert_eq!(failed, Err(Refusal::Failed("its own error")));
}

#[tokio::test]
async fn partitions_are_gates_like_any_other() {
    let shares = [("interactive", 0.8), ("batch", 0.2)];
    let limit = AdaptiveLimit::partitioned(AdaptiveConfig::default(), Clock::system(), &shares).expect("good");
    let batch = limit.partition("batch").expect("it was named");
    let result = call(&batch, async { Ok::<_, &str>(batch.in_flight()) }, Outcome::of).await;
    assert_eq!((result, batch.in_flight(), batch.guaranteed()), (Ok(1), 0, 4));
}

#[tokio::test]
async fn drops_shrink_the_limit_on_a_real_clock() {
    let config = AdaptiveConfig::new(Algorithm::AIMD).window(MS, 1);
    let limit = AdaptiveLimit::with_config(config, Clock::system()).expect("good");
    for _ in 0..5 {
        let overloaded = limit.call_classified(async { Ok::<_, ()>("overloaded") }, |_| Outcome::FAILURE);
        assert_eq!(overloaded.await, Ok("overloaded"));
        Clock::system().sleep(2 * MS).await;
    }
    assert!(limit.limit() < 20, "{}", limit.limit());
}
