//! A call through a policy as a future.
//!
//! What can be done at once is done at once, on the stack: a call whose first attempt is ready when it is polled costs little
//! more than the layers themselves. If its first attempt waits, what the call holds is put aside until the next poll. What is
//! rarer, a wait for admission, a delay or a hedge, goes on in a boxed future.

use super::admission::CallStep;
use super::fast_path;
use super::kept::CallPermit;
use super::progress::Progress;
use super::rules::{Keeping, Once, Rules};
use super::slow_path::{Waiting, go_on};
use super::span::{InSpan, Slot};
use crate::gate::{Outcome, Permit as _};
use crate::policy::telemetry::{attempt_end, call_end};
use crate::policy::{CallOptions, Policy, PolicyError};
use crate::sync::primitive::Mutex;
use crate::time::{Deadline, Sleep};
use pin_project_lite::pin_project;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Makes a call through `policy`: `operation` is run once for each attempt.
#[inline]
pub(in crate::policy) fn call<F, Fut, T, E, R>(
    policy: &Policy,
    options: CallOptions,
    rules: R,
    operation: F,
) -> impl Future<Output = Result<T, PolicyError<E>>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    in_span(policy, options.deadline, (operation, rules))
}

/// Makes a call that cannot be made twice: without retry and hedge.
#[inline]
pub(in crate::policy) fn call_once<Fut, T, E, R>(
    policy: &Policy,
    rules: R,
    future: Fut,
) -> impl Future<Output = Result<T, PolicyError<E>>>
where
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    in_span(policy, None, (once(future), Once(rules)))
}

/// The call and each of its attempts, in a span each.
#[inline]
fn in_span<F, Fut, T, E, R>(
    policy: &Policy,
    deadline: Option<Deadline>,
    (mut operation, rules): (F, R),
) -> impl Future<Output = Result<T, PolicyError<E>>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let mut attempts = 0;
    let attempt = move || {
        attempts += 1;
        let number = attempts;
        InSpan::new(operation(), move || Slot::attempt(number), attempt_end)
    };
    let call = PolicyCall::new(policy, deadline, (attempt, rules), go_on);
    InSpan::new(call, || Slot::call(|| policy.name()), call_end)
}

/// The operation of a call that is made once.
pub(in crate::policy) fn once<Fut>(future: Fut) -> impl FnMut() -> Fut {
    let mut future = Some(future);
    move || future.take().expect("without retry and hedge there is one attempt")
}

/// Makes a call whose permits outlive it; they are returned with its value.
pub(in crate::policy) async fn call_keeping<F, Fut, T, E, R>(
    policy: &Policy,
    options: CallOptions,
    rules: R,
    operation: F,
) -> Result<(T, CallPermit), PolicyError<E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let kept = Mutex::default();
    let result = call(policy, options, Keeping { rules, kept: &kept }, operation).await;
    let permit = kept.lock().take();
    match result {
        Ok(value) => Ok((value, permit)),
        Err(error) => {
            // Held only if the rules call an error a success.
            permit.record(Outcome::Success);
            Err(error)
        }
    }
}

pin_project! {
    /// A call through a policy.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the attempt that runs, and then gives back what the call holds: in the order of the fields.
    #[must_use = "futures do nothing unless awaited"]
    struct PolicyCall<'p, F, Fut, R, T, E, G, S> {
        policy: &'p Policy,
        deadline: Option<Deadline>,
        // The caller's operation and rules; none once the slow path has them, or the call is over.
        given: Option<(F, R)>,
        // The first attempt, from when it is made until it is over.
        #[pin]
        first: Option<Fut>,
        // Fires at the time limit of the first attempt. It is made when that attempt is not ready at once.
        #[pin]
        timer: Option<Sleep>,
        // The call while its first attempt waits.
        waiting: Option<Waiting<'p, T, E>>,
        // `slow_path::go_on`, which makes the future `slow_path`. A type parameter stands for it, because the type of
        // that future has no name.
        go_on: G,
        // The rest of the call, once more is needed than a wait for its first attempt.
        slow_path: Option<Pin<Box<S>>>,
    }
}

impl<'p, F, Fut, R, T, E, G, S> PolicyCall<'p, F, Fut, R, T, E, G, S> {
    #[inline]
    fn new(policy: &'p Policy, deadline: Option<Deadline>, given: (F, R), go_on: G) -> Self {
        Self {
            policy,
            deadline,
            given: Some(given),
            first: None,
            timer: None,
            waiting: None,
            go_on,
            slow_path: None,
        }
    }
}

impl<'p, F, Fut, R, T, E, G, S> Future for PolicyCall<'p, F, Fut, R, T, E, G, S>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
    G: Fn(Waiting<'p, T, E>, CallStep, F, R) -> S,
    S: Future<Output = Result<T, PolicyError<E>>>,
{
    type Output = S::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some((operation, rules)) = this.given else {
            let slow_path = this.slow_path.as_mut().expect("a call was polled after it was over");
            return slow_path.as_mut().poll(cx);
        };
        let slots = (this.first, this.timer);
        let next = if let Some(waiting) = this.waiting.as_mut() {
            waiting.poll(rules, slots, cx)
        } else {
            let parts = this.policy.parts();
            let progress = Progress::start(&parts, this.deadline.as_ref(), R::REPEATS);
            let mut left = None;
            let value = fast_path::run(&parts, progress, (operation, &*rules), slots, cx, &mut left);
            if let Some(value) = value {
                *this.given = None;
                return Poll::Ready(Ok(value));
            }
            let left = left.expect("a call without a value has left the fast path");
            let (waiting, next) = Waiting::new(parts, left);
            *this.waiting = Some(waiting);
            next
        };
        match ready!(next) {
            ControlFlow::Break(result) => {
                (*this.given, *this.waiting) = (None, None);
                Poll::Ready(result)
            }
            ControlFlow::Continue(step) => {
                let waiting = this.waiting.take().expect("it was set above, or in an earlier poll");
                let (operation, rules) = this.given.take().expect("it was there at the start of this poll");
                let slow_path = (this.go_on)(waiting, step, operation, rules);
                this.slow_path.insert(Box::pin(slow_path)).as_mut().poll(cx)
            }
        }
    }
}
