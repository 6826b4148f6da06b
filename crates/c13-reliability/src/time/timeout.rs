//! A time limit around a future. It registers no timer before the future has to wait.

use super::{Clock, Sleep, Tick};
use pin_project_lite::pin_project;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pin_project! {
    /// A future with a time limit; made by [`Clock::timeout`] and [`Clock::timeout_at`].
    ///
    /// A future that is ready when it is first polled costs neither a clock reading nor a timer. Where the future and
    /// the limit are ready together, the future's result counts.
    ///
    /// # Errors
    ///
    /// Resolves to [`Elapsed`] when the limit comes first.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        limit: Limit,
    }
}

pin_project! {
    /// The limit, before and after the future has first had to wait.
    #[project = LimitProjection]
    enum Limit {
        After { clock: Clock, limit: Duration },
        At { clock: Clock, deadline: Tick },
        Waiting { #[pin] sleep: Sleep },
    }
}

impl<F: Future> Timeout<F> {
    pub(super) fn after(clock: Clock, limit: Duration, future: F) -> Self {
        Self {
            future,
            limit: Limit::After { clock, limit },
        }
    }

    pub(super) fn at(clock: Clock, deadline: Tick, future: F) -> Self {
        Self {
            future,
            limit: Limit::At { clock, deadline },
        }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        loop {
            let sleep = match this.limit.as_mut().project() {
                LimitProjection::After { clock, limit } => clock.sleep(*limit),
                LimitProjection::At { clock, deadline } => clock.sleep_until(*deadline),
                LimitProjection::Waiting { sleep } => return sleep.poll(cx).map(|()| Err(Elapsed::new())),
            };
            this.limit.set(Limit::Waiting { sleep });
        }
    }
}

impl<F> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").finish_non_exhaustive()
    }
}

/// A time limit is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Elapsed;

impl Elapsed {
    const fn new() -> Self {
        Self
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit is over")
    }
}

impl Error for Elapsed {}

#[cfg(test)]
mod tests {
    use super::super::{Executor, VirtualTime};
    use super::*;
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::task::Waker;

    #[test]
    fn a_future_that_is_ready_registers_no_timer() {
        let time = VirtualTime::new();
        let mut limited = pin!(time.clock().timeout(Duration::ZERO, ready(7)));
        let polled = limited.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Ok(7)));
        assert_eq!(time.waiting(), 0);
    }

    #[test]
    fn the_limit_ends_at_its_instant_and_not_before() {
        let executor = Executor::new();
        let clock = executor.clock();
        let (result, at) = executor.block_on(async {
            (
                clock.timeout(Duration::from_nanos(1_500), pending::<()>()).await,
                clock.now(),
            )
        });
        assert_eq!(result, Err(Elapsed));
        assert_eq!(at, Tick::from_nanos(1_500));
    }

    #[test]
    fn a_result_that_comes_with_the_limit_counts() {
        let executor = Executor::new();
        let clock = executor.clock();
        let result = executor.block_on(async {
            let limit = Duration::from_millis(5);
            clock.timeout(limit, clock.sleep(limit)).await
        });
        assert_eq!(result, Ok(()));
    }

    #[test]
    fn a_dropped_timeout_gives_its_timer_back() {
        let time = VirtualTime::new();
        {
            let mut limited = pin!(time.clock().timeout(Duration::from_secs(1), pending::<()>()));
            assert!(
                limited
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            assert_eq!(time.waiting(), 1);
        }
        assert_eq!(time.waiting(), 0);
    }
}
