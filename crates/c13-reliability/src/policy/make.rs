//! A call through a policy as a future.
//!
//! What can be done at once is done at once, on the stack: a call whose first attempt is ready when it is polled costs
//! little more than what the layers themselves do. Where it has to wait for its dependency, what it holds is put aside
//! until it is polled again. What is rarer, a wait for a turn, a pause, a hedge, comes in a box.

use super::flight::{Held, Rest, Step, Suspended, go_on};
use super::rules::{Once, Rules};
use super::start::start;
use super::started::Started;
use super::{CallOptions, Policy, PolicyError};
use crate::time::{Deadline, Sleep};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Makes a call through `policy`: `operation` is run once an attempt.
#[inline]
pub(super) fn make<F, Fut, T, E, R>(
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
    Made::new(policy, options.deadline, (operation, rules), go_on)
}

/// Makes a call that cannot be made twice: without retry and hedge.
#[inline]
pub(super) fn make_once<Fut, T, E, R>(
    policy: &Policy,
    rules: R,
    future: Fut,
) -> impl Future<Output = Result<T, PolicyError<E>>>
where
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let mut future = Some(future);
    let operation = move || future.take().expect("without retry and hedge there is one attempt");
    Made::new(policy, None, (operation, Once(rules)), go_on)
}

pin_project! {
    /// A call through a policy.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the attempt that runs, and then gives back what the call holds.
    #[must_use = "futures do nothing unless awaited"]
    struct Made<'p, F, Fut, R, T, E, G, S> {
        policy: &'p Policy,
        deadline: Option<Deadline>,
        // What the caller gave; none once somebody else goes on with the call, or it is over.
        given: Option<(F, R)>,
        // The first attempt, once it was made and until it is over.
        #[pin]
        first: Option<Fut>,
        #[pin]
        timer: Option<Sleep>,
        // The call while its first attempt waits.
        under_way: Option<Suspended<T, E>>,
        // Goes on with a call, as `rest`.
        go_on: G,
        rest: Option<Pin<Box<S>>>,
    }
}

impl<'p, F, Fut, R, T, E, G, S> Made<'p, F, Fut, R, T, E, G, S> {
    #[inline]
    fn new(policy: &'p Policy, deadline: Option<Deadline>, given: (F, R), go_on: G) -> Self {
        Self {
            policy,
            deadline,
            given: Some(given),
            first: None,
            timer: None,
            under_way: None,
            go_on,
            rest: None,
        }
    }
}

impl<F, Fut, R, T, E, G, S> Future for Made<'_, F, Fut, R, T, E, G, S>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
    G: Fn(Suspended<T, E>, Rest, F, R) -> S,
    S: Future<Output = Result<T, PolicyError<E>>>,
{
    type Output = S::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some((operation, rules)) = this.given else {
            let rest = this.rest.as_mut().expect("a call was polled after it was over");
            return rest.as_mut().poll(cx);
        };
        let places = (this.first, this.timer);
        let step = if let Some(suspended) = this.under_way.as_mut() {
            suspended.poll(rules, places, cx)
        } else {
            let parts = this.policy.parts();
            let started = Started::now(&parts, this.deadline.as_ref(), R::REPEATS);
            let mut left = None;
            if let Some(value) = start(&parts, started, (operation, &*rules), places, cx, &mut left) {
                *this.given = None;
                return Poll::Ready(Ok(value));
            }
            let left = left.expect("without a value the call has left");
            *this.under_way = Some(Suspended::new(parts, left.progress));
            left.step
        };
        match step {
            Step::Over(result) => {
                (*this.given, *this.under_way) = (None, None);
                Poll::Ready(result)
            }
            Step::Waits(held) => {
                put_aside(this.under_way, held);
                Poll::Pending
            }
            Step::Rest(held, rest) => {
                put_aside(this.under_way, held);
                let suspended = this.under_way.take().expect("what waits was put aside");
                let (operation, rules) = this.given.take().expect("it was there at the start of this poll");
                let rest = (this.go_on)(suspended, rest, operation, rules);
                this.rest.insert(Box::pin(rest)).as_mut().poll(cx)
            }
        }
    }
}

/// Lets a call that was put aside keep what it holds.
fn put_aside<T, E>(under_way: &mut Option<Suspended<T, E>>, held: Held) {
    under_way.as_mut().expect("what waits was put aside").hold(held);
}
