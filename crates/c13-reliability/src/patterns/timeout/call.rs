//! A call under a time limit, as a future.

use super::{Timeout, TimeoutError};
use crate::time::{Carried, Deadline, Sleep, Within};
use pin_project_lite::pin_project;
use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

pin_project! {
    /// A call under a time limit; made by [`Timeout::call`], where `H` is a reference to the limit, and by the tower layer,
    /// where it is the limit itself.
    #[must_use = "futures do nothing unless awaited"]
    pub struct TimeoutCall<H, F>
    where
        H: Borrow<Timeout>,
    {
        timeout: H,
        #[pin]
        future: F,
        // It has begun and is not over.
        is_open: bool,
        #[pin]
        stage: Stage,
    }

    impl<H, F> PinnedDrop for TimeoutCall<H, F>
    where
        H: Borrow<Timeout>,
    {
        fn drop(this: Pin<&mut Self>) {
            if this.is_open {
                this.timeout.borrow().abandoned();
            }
        }
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage {
        New,
        /// There is no limit and no deadline.
        Free,
        Waiting { #[pin] sleep: Sleep, deadline: Deadline, late: Late },
    }
}

/// Which end came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    Elapsed,
    /// And whether the call had a fair share of the limit until then, which is half of it.
    DeadlineExceeded {
        was_fair: bool,
    },
}

impl Late {
    /// The deadline had passed before the call began.
    pub(super) const BEFORE: Self = Self::DeadlineExceeded { was_fair: false };
}

impl<H, F> TimeoutCall<H, F>
where
    H: Borrow<Timeout>,
{
    pub(super) fn new(timeout: H, future: F) -> Self {
        Self {
            timeout,
            future,
            is_open: false,
            stage: Stage::New,
        }
    }
}

impl<H, F, T, E> Future for TimeoutCall<H, F>
where
    H: Borrow<Timeout>,
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, TimeoutError<E>>;

    // Always inlined: a result that is handed on through memory costs more than all the rest.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        if let StageProjection::New = this.stage.as_mut().project() {
            let timeout: &Timeout = (*this.timeout).borrow();
            if Deadline::is_over(timeout.clock()) {
                return Poll::Ready(Err(timeout.late(Late::BEFORE)));
            }
            *this.is_open = true;
            // Only what has to wait pays for the clock and the timer.
            let within = Within::nanos(timeout.limit_nanos());
            if let Poll::Ready(result) = this.future.as_mut().poll(cx) {
                *this.is_open = false;
                timeout.completed();
                return Poll::Ready(result.map_err(TimeoutError::CallFailed));
            }
            drop(within);
            this.stage.set(Stage::waiting(timeout));
            return Self::poll_limit(timeout, this.is_open, this.stage, cx);
        }
        self.poll_again(cx)
    }
}

impl<H, F, T, E> TimeoutCall<H, F>
where
    H: Borrow<Timeout>,
    F: Future<Output = Result<T, E>>,
{
    /// All polls but the first.
    #[inline(never)]
    fn poll_again(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, TimeoutError<E>>> {
        let mut this = self.project();
        let carried = match this.stage.as_mut().project() {
            StageProjection::Waiting { deadline, .. } => Some(Carried::until(*deadline)),
            StageProjection::New | StageProjection::Free => None,
        };
        let timeout: &Timeout = (*this.timeout).borrow();
        if let Poll::Ready(result) = this.future.poll(cx) {
            *this.is_open = false;
            timeout.completed();
            return Poll::Ready(result.map_err(TimeoutError::CallFailed));
        }
        drop(carried);
        Self::poll_limit(timeout, this.is_open, this.stage, cx)
    }

    /// Whether time is up, after the future had to wait.
    #[inline(never)]
    fn poll_limit(
        timeout: &Timeout,
        is_open: &mut bool,
        stage: Pin<&mut Stage>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, TimeoutError<E>>> {
        let StageProjection::Waiting { sleep, late, .. } = stage.project() else {
            return Poll::Pending;
        };
        ready!(sleep.poll(cx));
        *is_open = false;
        Poll::Ready(Err(timeout.late(*late)))
    }
}

impl Stage {
    /// Waits for the limit from now, or for the deadline around it, whichever is earlier.
    #[inline(never)]
    fn waiting(timeout: &Timeout) -> Self {
        let (clock, limit) = (timeout.clock(), timeout.config().limit);
        let outer = Deadline::current(clock);
        let now = clock.now();
        let own = (limit < Duration::MAX).then(|| Deadline::at(clock, now + limit));
        let was_fair = |outer: Deadline| (outer.tick() - now).saturating_mul(2) >= limit;
        let (deadline, late) = match (own, outer) {
            (None, None) => return Self::Free,
            (Some(own), Some(outer)) if outer.tick() < own.tick() => {
                let was_fair = was_fair(outer);
                (outer, Late::DeadlineExceeded { was_fair })
            }
            (Some(own), _) => (own, Late::Elapsed),
            (None, Some(outer)) => (outer, Late::BEFORE),
        };
        Self::Waiting {
            sleep: clock.sleep_until(deadline.tick()),
            deadline,
            late,
        }
    }
}

impl<H, F> fmt::Debug for TimeoutCall<H, F>
where
    H: Borrow<Timeout>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutCall").finish_non_exhaustive()
    }
}
