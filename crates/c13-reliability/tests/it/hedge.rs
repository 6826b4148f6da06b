//! What a user of hedges relies on, through the public names only.

use c13_reliability::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay};
use c13_reliability::time::{Executor, Tick};
use std::cell::Cell;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_slow_first_attempt_is_beaten_by_the_hedge_and_dropped() {
    let executor = Executor::new();
    let clock = executor.clock();
    let hedge =
        Hedge::with_config(HedgeConfig::new(HedgeDelay::Fixed(20 * MS)), clock.clone()).expect("the settings are good");
    let started = Cell::new(0);
    let answer = executor.block_on(hedge.execute(|| {
        started.set(started.get() + 1);
        let (number, clock) = (started.get(), clock.clone());
        async move {
            clock.sleep(if number == 1 { 500 * MS } else { 5 * MS }).await;
            Ok::<_, &str>(number)
        }
    }));
    assert_eq!((answer, executor.time().now()), (Ok(2), Tick::ZERO + 25 * MS));
    assert_eq!(executor.time().waiting(), 0, "the loser's timer is gone");
    let snapshot = hedge.snapshot();
    assert_eq!((snapshot.hedges, snapshot.hedge_wins, snapshot.abandoned), (1, 1, 1));
}

#[test]
fn a_first_attempt_that_is_fast_is_never_hedged() {
    let executor = Executor::new();
    let clock = executor.clock();
    let hedge =
        Hedge::with_config(HedgeConfig::new(HedgeDelay::Fixed(20 * MS)), clock.clone()).expect("the settings are good");
    for _ in 0..100 {
        let answer = executor.block_on(hedge.execute(|| {
            let clock = clock.clone();
            async move {
                clock.sleep(19 * MS).await;
                Ok::<_, &str>(())
            }
        }));
        assert_eq!(answer, Ok(()));
    }
    assert_eq!((hedge.snapshot().hedges, hedge.snapshot().abandoned), (0, 0));
}

#[test]
fn when_all_attempts_fail_the_first_ones_error_is_the_error() {
    let executor = Executor::new();
    let config = HedgeConfig::new(HedgeDelay::Fixed(20 * MS)).max_hedges(2);
    let hedge = Hedge::with_config(config, executor.clock()).expect("the settings are good");
    let started = Cell::new(0);
    let answer: Result<(), u32> = executor.block_on(hedge.execute(|| {
        started.set(started.get() + 1);
        let number = started.get();
        async move { Err(number) }
    }));
    assert_eq!((answer, started.get()), (Err(1), 3));
    assert_eq!(
        executor.time().now(),
        Tick::ZERO,
        "a failure brings the next attempt forward"
    );
}
