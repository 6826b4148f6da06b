//! The future that makes attempts until one is good or the bounds are reached.

use super::{Decision, GiveUp, RetryError, RetryExecutor, RetryState, Verdict};
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
        attempt: F,
        classify: C,
        state: RetryState,
        #[pin]
        step: Step<Fut>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<Fut> {
        Begin,
        Start,
        Attempt { #[pin] attempt: Fut },
        Wait { #[pin] sleep: Sleep },
    }
}

impl<'a, F, Fut, C> Execute<'a, F, Fut, C> {
    pub(super) fn new(executor: &'a RetryExecutor, attempt: F, classify: C) -> Self {
        Self {
            executor,
            attempt,
            classify,
            state: RetryState::new(),
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
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Begin => {
                    *this.state = this.executor.begin();
                    this.step.set(Step::Start);
                }
                StepProjection::Start => {
                    let attempt = (this.attempt)();
                    this.step.set(Step::Attempt { attempt });
                }
                StepProjection::Attempt { attempt } => {
                    let result = ready!(attempt.poll(cx));
                    let verdict = (this.classify)(&result);
                    let decision = match (verdict, &result) {
                        (Verdict::Final, Ok(_)) => None,
                        (Verdict::Final, Err(_)) => Some(Decision::GiveUp(GiveUp::NotRetryable)),
                        (verdict, _) => Some(this.executor.after_failure(this.state, verdict.hint())),
                    };
                    // The attempt is dropped before the wait, and so is what it gave.
                    let reason = match decision {
                        Some(Decision::Wait(wait)) if wait.is_zero() => {
                            this.step.set(Step::Start);
                            continue;
                        }
                        Some(Decision::Wait(wait)) => {
                            let sleep = this.executor.clock().sleep(wait);
                            this.step.set(Step::Wait { sleep });
                            continue;
                        }
                        Some(Decision::GiveUp(reason)) => Some(reason),
                        None => None,
                    };
                    this.executor.finish(this.state, reason);
                    let reason = reason.unwrap_or(GiveUp::NotRetryable);
                    return Poll::Ready(result.map_err(|error| RetryError::new(reason, this.state.attempts(), error)));
                }
                StepProjection::Wait { sleep } => {
                    ready!(sleep.poll(cx));
                    this.step.set(Step::Start);
                }
            }
        }
    }
}
