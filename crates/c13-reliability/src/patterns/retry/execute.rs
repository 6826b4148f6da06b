//! The future that makes attempts until one is good or the bounds are reached.

use super::handle::Judged;
use super::{RetryError, RetryExecutor, RetryState, Verdict};
use crate::time::Sleep;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// Written by hand, so that a call that succeeds at once costs no more than its parts.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct Execute<'a, F, Fut, C> {
        executor: &'a RetryExecutor,
        make: F,
        classify: C,
        state: RetryState,
        // It has begun and is not over.
        is_open: bool,
        #[pin]
        step: Step<Fut>,
    }

    impl<'a, F, Fut, C> PinnedDrop for Execute<'a, F, Fut, C> {
        fn drop(this: Pin<&mut Self>) {
            if this.is_open {
                this.executor.abandon();
            }
        }
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<Fut> {
        Begin,
        Attempt { #[pin] attempt: Fut },
        Wait { #[pin] sleep: Sleep },
        // The wait is over.
        Again,
    }
}

impl<'a, F, Fut, C> Execute<'a, F, Fut, C> {
    pub(super) fn new(executor: &'a RetryExecutor, make: F, classify: C) -> Self {
        Self {
            executor,
            make,
            classify,
            state: RetryState::new(),
            is_open: false,
            step: Step::Begin,
        }
    }
}

impl<F, Fut, C, T, E> Future for Execute<'_, F, Fut, C>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: FnMut(&Result<T, E>) -> Verdict,
{
    type Output = Result<T, RetryError<E>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        if let StepProjection::Begin = this.step.as_mut().project() {
            this.executor.begin_at(this.state);
            *this.is_open = true;
            let attempt = (this.make)();
            this.step.set(Step::Attempt { attempt });
            let StepProjection::Attempt { attempt } = this.step.project() else {
                unreachable!("it was set above");
            };
            // The way of a call that succeeds at once; all others take the long one.
            let result = ready!(attempt.poll(cx));
            let verdict = (this.classify)(&result);
            return match result {
                Ok(value) if verdict == Verdict::Final => {
                    *this.is_open = false;
                    this.executor.first_try();
                    Poll::Ready(Ok(value))
                }
                result => self.go_on(cx, Some((result, verdict))),
            };
        }
        self.go_on(cx, None)
    }
}

impl<F, Fut, C, T, E> Execute<'_, F, Fut, C>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: FnMut(&Result<T, E>) -> Verdict,
{
    /// Goes on from where the call is: after an attempt whose result is given, in an attempt, or in a wait.
    #[inline(never)]
    fn go_on(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut judged: Option<(Result<T, E>, Verdict)>,
    ) -> Poll<Result<T, RetryError<E>>> {
        let mut this = self.project();
        loop {
            let (result, verdict) = match (judged.take(), this.step.as_mut().project()) {
                (Some(judged), _) => judged,
                (None, StepProjection::Attempt { attempt }) => {
                    let result = ready!(attempt.poll(cx));
                    let verdict = (this.classify)(&result);
                    (result, verdict)
                }
                (None, step) => {
                    if let StepProjection::Wait { sleep } = step {
                        ready!(sleep.poll(cx));
                    }
                    let attempt = (this.make)();
                    this.step.set(Step::Attempt { attempt });
                    continue;
                }
            };
            match this.executor.judge(this.state, result, verdict) {
                Judged::Over(result) => {
                    *this.is_open = false;
                    return Poll::Ready(result);
                }
                // The attempt is dropped before the wait.
                Judged::Again(wait) if wait.is_zero() => this.step.set(Step::Again),
                Judged::Again(wait) => {
                    let sleep = this.executor.clock().sleep(wait);
                    this.step.set(Step::Wait { sleep });
                }
            }
        }
    }
}
