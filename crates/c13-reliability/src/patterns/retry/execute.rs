//! The future that makes attempts until one succeeds or the bounds are reached.

use super::handle::Judged;
use super::{RetryError, RetryExecutor, RetryState, Verdict};
use crate::time::{Deadline, Sleep};
use pin_project_lite::pin_project;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// Written by hand, so that a call that succeeds at once costs no more than its parts.
    ///
    /// It has no `Drop` of its own, and what only a later attempt needs is boxed: what is left to drop after a call that
    /// succeeded at once is then small enough to be inlined, and the whole call can stay in registers.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct Execute<'a, F, Fut, C>
    where
        Fut: Future,
    {
        // Before the attempt, so that a call that is dropped is counted before its attempt is dropped.
        call: Call<'a, Fut::Output>,
        make: F,
        classify: C,
        #[pin]
        attempt: Option<Fut>,
    }
}

/// How far a call is. Counts the call if it is dropped before its end.
struct Call<'a, T> {
    executor: &'a RetryExecutor,
    phase: Phase,
    /// Once it has begun.
    state: RetryState,
    /// While it waits for its next attempt. `Drop` takes it out before it is dropped, so that nothing refers to the call.
    wait: ManuallyDrop<Option<Pin<Box<Wait<T>>>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Not polled yet.
    New,
    Over,
    /// The first attempt is being polled for the first time, and nothing was counted yet.
    Plain,
    Begun,
}

pin_project! {
    /// The wait before a retry.
    struct Wait<T> {
        #[pin]
        sleep: Sleep,
        // What the attempt before gave: the result, if time is over after the wait.
        last: Option<T>,
    }
}

impl<T> Call<'_, T> {
    /// Counts the beginning of a call of which nothing was counted yet.
    fn begin(&mut self) {
        if self.phase == Phase::Plain {
            self.state = self.executor.begin_late();
            self.phase = Phase::Begun;
        }
    }
}

impl<T> Drop for Call<'_, T> {
    #[inline]
    fn drop(&mut self) {
        #[cold]
        #[inline(never)]
        fn leave<T>(executor: &RetryExecutor, has_begun: bool, _wait: Option<Pin<Box<Wait<T>>>>) {
            executor.leave(has_begun);
        }
        if self.phase >= Phase::Plain {
            leave(self.executor, self.phase == Phase::Begun, self.wait.take());
        }
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
        let (phase, state) = (Phase::New, RetryState::new());
        Self {
            call: Call {
                executor,
                phase,
                state,
                wait: ManuallyDrop::new(None),
            },
            make,
            classify,
            attempt: None,
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
        let executor = this.call.executor;
        let Phase::New = this.call.phase else {
            return self.go_on(cx, None);
        };
        if Deadline::is_over(executor.clock()) {
            return Poll::Ready(executor.refuse_late());
        }
        // The fast path: a call that succeeds at once; all others take the slow path.
        let begun = executor.begin_unless_plain();
        let has_begun = begun.is_some();
        this.call.phase = if has_begun { Phase::Begun } else { Phase::Plain };
        if let Some(state) = begun {
            this.call.state = state;
        }
        this.attempt.set(Some((this.make)()));
        let attempt = this.attempt.as_mut().as_pin_mut().expect("it was set above");
        let polled = attempt.poll(cx).map(|result| {
            let verdict = (this.classify)(&result);
            (result, verdict)
        });
        match polled {
            Poll::Ready((Ok(value), Verdict::Final)) => {
                // Counted before the result is written: the counts are reached by an atomic load, and a compiler that reads the
                // result after such a load no longer knows that the call is ready. Then it keeps the slow path beside the fast one.
                {
                    let _counts = AtOnce { executor, has_begun };
                    this.call.phase = Phase::Over;
                    this.attempt.set(None);
                }
                Poll::Ready(Ok(value))
            }
            Poll::Ready(judged) => self.go_on(cx, Some(judged)),
            Poll::Pending => {
                this.call.begin();
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
        let executor = this.call.executor;
        loop {
            assert!(this.call.phase >= Phase::Plain, "a call was polled after it was over");
            this.call.begin();
            let state = &mut this.call.state;
            if let Some(wait) = &mut *this.call.wait {
                let wait = wait.as_mut().project();
                ready!(wait.sleep.poll(cx));
                let last = wait.last.take();
                this.call.wait.take();
                if executor.is_over(state) {
                    this.call.phase = Phase::Over;
                    return Poll::Ready(executor.give_up(state, last));
                }
            }
            let (result, verdict) = match judged.take() {
                Some(judged) => judged,
                None => {
                    if this.attempt.is_none() {
                        this.attempt.set(Some((this.make)()));
                    }
                    let attempt = this.attempt.as_mut().as_pin_mut().expect("it was set above");
                    let result = ready!(attempt.poll(cx));
                    let verdict = (this.classify)(&result);
                    (result, verdict)
                }
            };
            let judged = executor.judge(state, result, verdict);
            // The attempt is dropped before the wait.
            match judged {
                Judged::Over(result) => {
                    this.call.phase = Phase::Over;
                    this.attempt.set(None);
                    return Poll::Ready(result);
                }
                Judged::Again(wait, last) => {
                    this.attempt.set(None);
                    if !wait.is_zero() {
                        let sleep = executor.clock().sleep(wait);
                        let last = Some(last);
                        *this.call.wait = Some(Box::pin(Wait { sleep, last }));
                    }
                }
            }
        }
    }
}
