//! Retry as a tower layer.

use super::error::RetryError;
use super::handle::{Judged, RetryExecutor};
use super::state::{GiveUp, RetryState};
use crate::time::{Deadline, Sleep};
use crate::verdict::Verdict;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// Makes calls of a service again while they fail.
///
/// The first attempt goes to the very service that was polled ready; further attempts go to the same one, polled ready
/// again after the wait, so that nothing is held meanwhile. A request is cloned before each attempt but the last that may
/// be made. Where requests cannot all be cloned, such as bodies that stream, see [`cloning`](RetryLayer::cloning).
#[derive(Clone)]
pub struct RetryLayer<C, D> {
    executor: RetryExecutor,
    classify: C,
    clone: D,
}

/// The classifier of [`RetryLayer::new`].
type ByResult<T, E> = fn(&Result<T, E>) -> Verdict;

impl<T, E, R: Clone> RetryLayer<ByResult<T, E>, fn(&R) -> Option<R>> {
    /// Every error is worth a retry, and requests are cloned.
    #[must_use]
    pub fn new(executor: RetryExecutor) -> Self {
        Self::classified(executor, Verdict::of)
    }
}

impl<C, R: Clone> RetryLayer<C, fn(&R) -> Option<R>> {
    /// `classify` says whether a result is worth a retry, and requests are cloned.
    #[must_use]
    pub fn classified<T, E>(executor: RetryExecutor, classify: C) -> Self
    where
        C: Fn(&Result<T, E>) -> Verdict + Clone,
    {
        Self::cloning(executor, classify, |request| Some(request.clone()))
    }
}

impl<C, D> RetryLayer<C, D> {
    /// `classify` says whether a result is worth a retry, and `clone` makes the request of the next attempt, or says that
    /// there will be none.
    #[must_use]
    pub fn cloning<R, T, E>(executor: RetryExecutor, classify: C, clone: D) -> Self
    where
        C: Fn(&Result<T, E>) -> Verdict + Clone,
        D: Fn(&R) -> Option<R> + Clone,
    {
        Self {
            executor,
            classify,
            clone,
        }
    }
}

impl<S, C: Clone, D: Clone> Layer<S> for RetryLayer<C, D> {
    type Service = RetryService<S, C, D>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryService {
            inner,
            executor: self.executor.clone(),
            classify: self.classify.clone(),
            clone: self.clone.clone(),
        }
    }
}

impl<C, D> fmt::Debug for RetryLayer<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

/// A service whose calls are retried; made by [`RetryLayer`].
#[derive(Clone)]
pub struct RetryService<S, C, D> {
    inner: S,
    executor: RetryExecutor,
    classify: C,
    clone: D,
}

impl<S, C, D, R> Service<R> for RetryService<S, C, D>
where
    S: Service<R> + Clone,
    C: Fn(&Result<S::Response, S::Error>) -> Verdict + Clone,
    D: Fn(&R) -> Option<R> + Clone,
{
    type Response = S::Response;
    type Error = RetryError<S::Error>;
    type Future = ResponseFuture<S, C, D, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|last_error| RetryError::NotRetryable {
                attempts: 0,
                last_error,
            })
    }

    fn call(&mut self, request: R) -> Self::Future {
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        let (state, next, step) = if Deadline::is_over(self.executor.clock()) {
            (RetryState::new(), Err(GiveUp::Deadline), Step::Late)
        } else {
            let state = self.executor.begin();
            let next = next_request(&self.executor, &state, &self.clone, &request);
            let attempt = ready.call(request);
            (state, next, Step::Attempt { attempt })
        };
        ResponseFuture {
            service: ready,
            executor: self.executor.clone(),
            classify: self.classify.clone(),
            clone: self.clone.clone(),
            state,
            next,
            last: None,
            step,
        }
    }
}

impl<S: fmt::Debug, C, D> fmt::Debug for RetryService<S, C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryService")
            .field("inner", &self.inner)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

/// The request of the attempt after the one that is about to be made, or why there is none.
fn next_request<R>(
    executor: &RetryExecutor,
    state: &RetryState,
    clone: impl Fn(&R) -> Option<R>,
    request: &R,
) -> Result<R, GiveUp> {
    if state.retries() >= executor.config().max_retries {
        return Err(GiveUp::MaxRetries);
    }
    clone(request).ok_or(GiveUp::NotRetryable)
}

pin_project! {
    /// The response of a service whose calls are retried.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the attempt under way or ends the wait, and no further attempt is made.
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<S, C, D, R>
    where
        S: Service<R>,
    {
        service: S,
        executor: RetryExecutor,
        classify: C,
        clone: D,
        state: RetryState,
        next: Result<R, GiveUp>,
        // What the last attempt gave: a response until the wait is over, an error until the next attempt.
        last: Option<Result<S::Response, S::Error>>,
        #[pin]
        step: Step<S::Future>,
    }

    impl<S, C, D, R> PinnedDrop for ResponseFuture<S, C, D, R>
    where
        S: Service<R>,
    {
        fn drop(this: Pin<&mut Self>) {
            if !matches!(this.step, Step::Over | Step::Late) {
                this.executor.abandon();
            }
        }
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        // The caller's deadline had passed, and the service was not called.
        Late,
        Attempt { #[pin] attempt: F },
        Wait { #[pin] sleep: Sleep },
        // The service is polled ready for the next attempt.
        Ready,
        Over,
    }
}

impl<S, C, D, R> Future for ResponseFuture<S, C, D, R>
where
    S: Service<R>,
    C: Fn(&Result<S::Response, S::Error>) -> Verdict,
    D: Fn(&R) -> Option<R>,
{
    type Output = Result<S::Response, RetryError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.step.as_mut().project() {
                StepProjection::Attempt { attempt } => ready!(attempt.poll(cx)),
                StepProjection::Wait { sleep } => {
                    ready!(sleep.poll(cx));
                    if this.executor.is_over(this.state) {
                        this.step.set(Step::Over);
                        return Poll::Ready(this.executor.give_up(this.state, this.last.take()));
                    }
                    // A response may hold what the service waits for, such as a permit or a connection.
                    if let Some(Ok(_)) = this.last {
                        *this.last = None;
                    }
                    this.step.set(Step::Ready);
                    continue;
                }
                StepProjection::Late => {
                    this.step.set(Step::Over);
                    return Poll::Ready(this.executor.refuse_late());
                }
                StepProjection::Over => panic!("a response was polled after it was over"),
                StepProjection::Ready => match ready!(this.service.poll_ready(cx)) {
                    Ok(()) if this.executor.is_over(this.state) => {
                        this.step.set(Step::Over);
                        return Poll::Ready(this.executor.give_up(this.state, this.last.take()));
                    }
                    Ok(()) => {
                        *this.last = None;
                        let Ok(request) = mem::replace(this.next, Err(GiveUp::NotRetryable)) else {
                            unreachable!("a retry is decided only where its request is kept");
                        };
                        *this.next = next_request(this.executor, this.state, &*this.clone, &request);
                        let attempt = this.service.call(request);
                        this.step.set(Step::Attempt { attempt });
                        continue;
                    }
                    // A service that fails to become ready is an attempt that failed; its request is still there.
                    Err(error) => Err(error),
                },
            };
            let verdict = (this.classify)(&result);
            let judged = match this.next {
                Ok(_) => this.executor.judge(this.state, result, verdict),
                // Also where the settings allow more retries by now: no request was kept for them.
                Err(GiveUp::MaxRetries) if verdict != Verdict::Final => {
                    Judged::Over(this.executor.end(this.state, result, Some(GiveUp::MaxRetries)))
                }
                Err(_) => this.executor.judge(this.state, result, Verdict::Final),
            };
            match judged {
                Judged::Over(result) => {
                    this.step.set(Step::Over);
                    return Poll::Ready(result);
                }
                Judged::Again(wait, last) => {
                    *this.last = Some(last);
                    let sleep = this.executor.clock().sleep(wait);
                    this.step.set(Step::Wait { sleep });
                }
            }
        }
    }
}

impl<S: Service<R>, C, D, R> fmt::Debug for ResponseFuture<S, C, D, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("attempts", &self.state.attempts())
            .finish_non_exhaustive()
    }
}
