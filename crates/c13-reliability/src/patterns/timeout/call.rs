//! A call under a time limit, as a future.

use super::{Timeout, TimeoutError};
use crate::time::{Deadline, Limit, Sleep};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pin_project! {
    /// A call under a time limit; made by [`Timeout::call`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct TimeoutCall<'a, F> {
        timeout: &'a Timeout,
        #[pin]
        future: F,
        #[pin]
        stage: Stage,
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
    DeadlineExceeded,
}

impl<'a, F> TimeoutCall<'a, F> {
    pub(super) fn new(timeout: &'a Timeout, future: F) -> Self {
        Self {
            timeout,
            future,
            stage: Stage::New,
        }
    }
}

impl<F, T, E> Future for TimeoutCall<'_, F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, TimeoutError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (timeout, limit) = (*this.timeout, this.timeout.config().limit);
        if let StageProjection::New = this.stage.as_mut().project() {
            if Deadline::is_over(timeout.clock()) {
                timeout.count(Late::DeadlineExceeded);
                return Poll::Ready(Err(TimeoutError::DeadlineExceeded));
            }
            let within = (limit < Duration::MAX).then(|| Limit::within(limit));
            if let Poll::Ready(result) = this.future.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(TimeoutError::CallFailed));
            }
            drop(within);
            // The time runs from here, and only what has to wait pays for it.
            let stage = Stage::waiting(timeout, limit);
            this.stage.set(stage);
        } else {
            let _until = match this.stage.as_mut().project() {
                StageProjection::Waiting { deadline, .. } => Some(Limit::until(*deadline)),
                StageProjection::New | StageProjection::Free => None,
            };
            if let Poll::Ready(result) = this.future.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(TimeoutError::CallFailed));
            }
        }
        match this.stage.project() {
            StageProjection::Waiting { sleep, late, .. } => sleep.poll(cx).map(|()| {
                timeout.count(*late);
                Err(match late {
                    Late::Elapsed => TimeoutError::Elapsed { limit },
                    Late::DeadlineExceeded => TimeoutError::DeadlineExceeded,
                })
            }),
            StageProjection::New | StageProjection::Free => Poll::Pending,
        }
    }
}

impl Stage {
    /// Waits for the limit from now, or for the deadline around it, whichever is earlier.
    fn waiting(timeout: &Timeout, limit: Duration) -> Self {
        let clock = timeout.clock();
        let outer = Deadline::current(clock);
        let own = (limit < Duration::MAX).then(|| Deadline::after(clock, limit));
        let (deadline, late) = match (own, outer) {
            (None, None) => return Self::Free,
            (Some(own), Some(outer)) if outer.tick() < own.tick() => (outer, Late::DeadlineExceeded),
            (Some(own), _) => (own, Late::Elapsed),
            (None, Some(outer)) => (outer, Late::DeadlineExceeded),
        };
        Self::Waiting {
            sleep: clock.sleep_until(deadline.tick()),
            deadline,
            late,
        }
    }
}

impl<F> fmt::Debug for TimeoutCall<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutCall")
            .field("limit", &self.timeout.config().limit)
            .finish_non_exhaustive()
    }
}
