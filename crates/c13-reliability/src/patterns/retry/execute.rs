//! The future that makes attempts until one succeeds or the bounds are reached.

use super::handle::Judged;
use super::{RetryError, RetryExecutor, RetryState, Verdict};
use crate::time::{Deadline, Sleep};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// Written by hand, so that a call that succeeds at once costs no more than its parts.
    #[must_use = "futures do nothing unless awaited"]
    // In this order, so that what every call writes is on one cache line.
    #[repr(C)]
    pub(super) struct Execute<'a, F, Fut, C>
    where
        Fut: Future,
    {
        executor: &'a RetryExecutor,
        make: F,
        classify: C,
        #[pin]
        step: Step<Fut>,
    }

    impl<'a, F, Fut, C> PinnedDrop for Execute<'a, F, Fut, C>
    where
        Fut: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            // Only what was read is handed on, so that the call need not be in memory for it.
            let has_begun = match this.step {
                Step::New | Step::Over => return,
                Step::First { begun: None } | Step::Attempt { begun: None, .. } => false,
                _ => true,
            };
            this.executor.leave(has_begun);
        }
    }
}

pin_project! {
    // One word says it all: a call that succeeds at once writes it, and little else.
    #[project = StepProjection]
    enum Step<Fut>
    where
        Fut: Future,
    {
        // Not polled yet.
        New,
        Over,
        // The first attempt is being made. Without a state the call has not begun; so too in the very first poll.
        First { begun: Option<RetryState> },
        Attempt { #[pin] attempt: Fut, begun: Option<RetryState> },
        // With what the attempt before gave, which is the result if time is over after the wait.
        Wait { #[pin] sleep: Sleep, state: RetryState, last: Option<Fut::Output> },
        // An attempt is to be made.
        Make { state: RetryState },
    }
}

/// Counts a call that succeeded at once: after it was dropped, even if that panics, so that while it is counted there is
/// nothing left to be dropped.
struct AtOnce<'a> {
    executor: &'a RetryExecutor,
    has_begun: bool,
}

impl Drop for AtOnce<'_> {
    #[inline]
    fn drop(&mut self) {
        self.executor.at_once(self.has_begun);
    }
}

impl<'a, F, Fut: Future, C> Execute<'a, F, Fut, C> {
    #[inline]
    pub(super) fn new(executor: &'a RetryExecutor, make: F, classify: C) -> Self {
        Self {
            executor,
            make,
            classify,
            step: Step::New,
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

    // Always inlined: a result that is handed on through memory costs more than all the rest.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        let executor = *this.executor;
        let StepProjection::New = this.step.as_mut().project() else {
            return self.go_on(cx, None);
        };
        if Deadline::is_over(executor.clock()) {
            return Poll::Ready(executor.refuse_late());
        }
        // The fast path: a call that succeeds at once; all others take the slow path. It passes no reference to the whole call,
        // so that none of it needs to be in memory while the compiler sees through the attempt.
        let begun = executor.begin_unless_plain();
        this.step.set(Step::First { begun });
        let attempt = (this.make)();
        this.step.set(Step::Attempt { attempt, begun });
        let mut this = self.as_mut().project();
        let StepProjection::Attempt { attempt, begun } = this.step.as_mut().project() else {
            unreachable!("it was set above");
        };
        let polled = attempt.poll(cx).map(|result| {
            let verdict = (this.classify)(&result);
            (result, verdict)
        });
        if let Poll::Ready((Ok(value), Verdict::Final)) = polled {
            let has_begun = begun.is_some();
            // Counted before the result is written: the counts are reached by an atomic load, and a compiler that reads the result
            // after such a load no longer knows that the call is ready. Then it keeps the slow path beside the fast one.
            {
                let _counts = AtOnce { executor, has_begun };
                this.step.set(Step::Over);
            }
            return Poll::Ready(Ok(value));
        }
        match polled {
            Poll::Ready(judged) => self.go_on(cx, Some(judged)),
            Poll::Pending => {
                executor.begin_late(begun);
                Poll::Pending
            }
        }
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
            let (result, verdict, mut state) = match this.step.as_mut().project() {
                StepProjection::Attempt { attempt, begun } => {
                    let (result, verdict) = match judged.take() {
                        Some(judged) => judged,
                        None => {
                            let result = ready!(attempt.poll(cx));
                            let verdict = (this.classify)(&result);
                            (result, verdict)
                        }
                    };
                    (result, verdict, this.executor.begin_late(begun))
                }
                StepProjection::Wait { sleep, state, last } => {
                    ready!(sleep.poll(cx));
                    let (state, last) = (*state, last.take());
                    if this.executor.is_over(&state) {
                        this.step.set(Step::Over);
                        return Poll::Ready(this.executor.give_up(&state, last));
                    }
                    this.step.set(Step::Make { state });
                    continue;
                }
                StepProjection::Make { state } => {
                    let begun = Some(*state);
                    let attempt = (this.make)();
                    this.step.set(Step::Attempt { attempt, begun });
                    continue;
                }
                StepProjection::New | StepProjection::First { .. } | StepProjection::Over => {
                    panic!("a call was polled after it was over")
                }
            };
            match this.executor.judge(&mut state, result, verdict) {
                Judged::Over(result) => {
                    this.step.set(Step::Over);
                    return Poll::Ready(result);
                }
                // The attempt is dropped before the wait.
                Judged::Again(wait, _) if wait.is_zero() => this.step.set(Step::Make { state }),
                Judged::Again(wait, last) => {
                    let sleep = this.executor.clock().sleep(wait);
                    let last = Some(last);
                    this.step.set(Step::Wait { sleep, state, last });
                }
            }
        }
    }
}
