//! Drops a call that goes through all drivers, at every await and at every moment: nothing may be left behind.

use c13_reliability::budget::{RetryBudget, RetryBudgetConfig};
use c13_reliability::gate::Refusal;
use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit, AdaptiveRejected, Algorithm};
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig, BulkheadError};
use c13_reliability::patterns::fallback::{Fallback, FallbackError};
use c13_reliability::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay, HedgeError};
use c13_reliability::patterns::retry::{RetryConfig, RetryError, RetryExecutor, RetryStrategy};
use c13_reliability::patterns::timeout::{Timeout, TimeoutConfig, TimeoutError};
use c13_reliability::time::{Clock, Deadline, Executor};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

type WorkError = BulkheadError<Refusal<AdaptiveRejected, &'static str>>;
type CallError = TimeoutError<RetryError<HedgeError<WorkError>>>;

/// Fallback, time limit, retry, hedge, bulkhead, adaptive limit, and work that fails twice and then succeeds.
struct Stack {
    clock: Clock,
    fallback: Fallback<u32, CallError>,
    timeout: Timeout,
    retry: RetryExecutor,
    hedge: Hedge,
    bulkhead: Bulkhead,
    adaptive: AdaptiveLimit,
    budget: RetryBudget,
    running: Cell<u32>,
    attempts: Cell<u32>,
}

/// Counts work as long as it lives.
struct Running<'a>(&'a Cell<u32>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Stack {
    fn new(clock: Clock) -> Self {
        let good = "the settings are good";
        let retry = RetryConfig::new(3, RetryStrategy::FixedDelay(10 * MS));
        let retry = RetryExecutor::with_config(retry, clock.clone()).expect(good);
        let hedge = HedgeConfig::new(HedgeDelay::Fixed(3 * MS));
        let hedge = Hedge::with_config(hedge, clock.clone()).expect(good);
        let budget = RetryBudgetConfig::new().ratio(1.0).min_per_second(1_000.0);
        let budget = RetryBudget::with_config(budget, clock.clone()).expect(good);
        let bulkhead = BulkheadConfig::new(1).queue(4, Duration::from_secs(1));
        let adaptive = AdaptiveConfig::new(Algorithm::AIMD)
            .limits(1, 1, 1)
            .queue(4, Duration::from_secs(1));
        Self {
            fallback: Fallback::last_good(Duration::MAX).with_env(clock.clone()),
            timeout: Timeout::with_config(TimeoutConfig::new(Duration::from_secs(1)), clock.clone()).expect(good),
            retry: retry.budget(budget.clone()),
            hedge: hedge.draws_on(budget.clone()),
            budget,
            bulkhead: Bulkhead::with_config(bulkhead, clock.clone()).expect(good),
            adaptive: AdaptiveLimit::with_config(adaptive, clock.clone()).expect(good),
            running: Cell::new(0),
            attempts: Cell::new(0),
            clock,
        }
    }

    async fn call(&self) -> Result<u32, FallbackError<CallError>> {
        self.attempts.set(0);
        let attempt = || self.bulkhead.call(self.adaptive.call(self.work()));
        let retried = self.retry.execute(|| self.hedge.execute(attempt));
        self.fallback.call(self.timeout.call(retried)).await
    }

    async fn work(&self) -> Result<u32, &'static str> {
        self.running.set(self.running.get() + 1);
        let _running = Running(&self.running);
        self.attempts.set(self.attempts.get() + 1);
        let attempt = self.attempts.get();
        self.clock.sleep(5 * MS).await;
        if attempt <= 4 { Err("down") } else { Ok(attempt) }
    }

    fn assert_nothing_is_left(&self, executor: &Executor, when: &str) {
        let (bulkhead, adaptive) = (self.bulkhead.snapshot(), self.adaptive.snapshot());
        assert_eq!((bulkhead.calls.in_flight, bulkhead.calls.queued), (0, 0), "{when}");
        assert_eq!((adaptive.calls.in_flight, adaptive.calls.queued), (0, 0), "{when}");
        assert_eq!((self.running.get(), executor.time().waiting()), (0, 0), "{when}");
        assert_eq!(executor.tasks(), 0, "{when}");
        assert_eq!(Deadline::current(&self.clock), None, "{when}");
        // What the budget granted became a retry or a hedge; nothing was taken and then lost.
        let extra = self.retry.snapshot().retries + self.hedge.snapshot().hedges;
        assert_eq!(
            (self.budget.snapshot().granted, self.budget.snapshot().refused),
            (extra, 0),
            "{when}"
        );
    }
}

#[test]
fn a_call_dropped_after_any_number_of_polls_leaves_nothing_behind() {
    let executor = Executor::new();
    let stack = Stack::new(executor.clock());
    let mut polls = 0;
    let ended = loop {
        let result = executor.block_on(async {
            let mut call = pin!(stack.call());
            let mut left = polls;
            // Ends with the call, or after so many polls of it.
            poll_fn(|cx| {
                if left == 0 {
                    return Poll::Ready(None);
                }
                left -= 1;
                call.as_mut().poll(cx).map(Some)
            })
            .await
        });
        stack.assert_nothing_is_left(&executor, &format!("dropped after {polls} polls"));
        if let Some(result) = result {
            break result;
        }
        polls += 1;
    };
    assert_eq!(ended, Ok(5));
    assert!(polls > 10, "the call was dropped at {polls} places");
}

#[test]
fn a_call_dropped_at_any_moment_leaves_nothing_behind() {
    let executor = Executor::new();
    let stack = Stack::new(executor.clock());
    let mut moment = Duration::ZERO;
    while executor.block_on(stack.clock.timeout(moment, stack.call())).is_err() {
        stack.assert_nothing_is_left(&executor, &format!("dropped after {moment:?}"));
        moment += MS / 2;
    }
    assert!(moment > 30 * MS, "{moment:?}");
    stack.assert_nothing_is_left(&executor, "ended");
}

#[test]
fn a_panic_at_any_attempt_leaves_nothing_behind() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    for at in 1..=5 {
        let executor = Executor::new();
        let stack = Stack::new(executor.clock());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let attempt = || {
                stack.bulkhead.call(stack.adaptive.call(async {
                    let result = stack.work().await;
                    assert!(stack.attempts.get() != at, "boom");
                    result
                }))
            };
            executor.block_on(stack.timeout.call(stack.retry.execute(|| stack.hedge.execute(attempt))))
        }));
        assert!(caught.is_err());
        stack.assert_nothing_is_left(&executor, &format!("a panic in attempt {at}"));
    }
}
