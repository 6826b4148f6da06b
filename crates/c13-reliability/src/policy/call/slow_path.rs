//! The slow path: a call that waits for admission, for its attempt, or for a delay between two attempts.

use super::admission::{
    Blocked, CallStep, acquire_breaker, admit_call, take_attempt_token, wait_for_concurrency, wait_for_extra_limit,
    wait_for_token,
};
use super::attempt::{AttemptFuture, Unsettled, poll_attempt};
use super::fast_path::Left;
use super::hedge::{Maker, race};
use super::held::{Held, Suspended};
use super::limit::AttemptLimit;
use super::outcome::{Next, PolledCall, Unfinished};
use super::rules::Rules;
use crate::patterns::retry::RetryState;
use crate::policy::PolicyError;
use crate::policy::parts::LoadedParts;
use crate::time::Sleep;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A call that left the fast path, between two polls. Dropped then, it gives back what it holds and counts as abandoned.
pub(super) struct Waiting<'p, T, E> {
    state: Unfinished<T, E>,
    /// The limit of the first attempt.
    limit: AttemptLimit,
    held: Suspended<LoadedParts<'p>>,
}

impl<'p, T, E> Waiting<'p, T, E> {
    /// The call, and what is next; pending while its first attempt waits.
    pub(super) fn new(parts: LoadedParts<'p>, left: Left<T, E>) -> (Self, Poll<Next<T, E>>) {
        let waiting = Self {
            state: left.state,
            limit: left.limit,
            held: Suspended::new(parts, left.tickets),
        };
        (waiting, left.next)
    }

    /// Polls the first attempt, and says what follows.
    pub(super) fn poll<Fut, R>(
        &mut self,
        rules: &R,
        slots: (Pin<&mut Option<Fut>>, Pin<&mut Option<Sleep>>),
        cx: &mut Context<'_>,
    ) -> Poll<Next<T, E>>
    where
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        let mut call = PolledCall {
            state: &mut self.state,
            held: self.held.resume(),
        };
        // The first attempt begins with its call, unless its limit says when.
        let measured = call.state.began().map(|began| self.limit.began().unwrap_or(began));
        let ended = poll_attempt(&mut call.held, &self.limit, (rules, measured), slots, cx);
        let next = ended.map(|ended| call.after(Unsettled::or_value(ended, self.limit), rules));
        let tickets = call.held.take_tickets();
        drop(call);
        self.held.suspend(tickets);
        next
    }
}

/// Takes a call to its end from `step` on, with all its waits.
pub(super) async fn go_on<F, Fut, T, E, R>(
    mut waiting: Waiting<'_, T, E>,
    mut step: CallStep,
    mut operation: F,
    rules: R,
) -> Result<T, PolicyError<E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let mut call = PolledCall {
        state: &mut waiting.state,
        held: waiting.held.resume(),
    };
    loop {
        let next = match step {
            CallStep::Attempt(delay) => call.attempt(delay, &mut operation, &rules).await,
            step => match call.wait_for_admission(step).await {
                Ok(step) => ControlFlow::Continue(step),
                // Nothing is held yet, and retry has not begun, so there is nothing to end.
                Err(blocked) => {
                    let parts = call.held.parts;
                    let refused = Err(call.state.blocked(parts, blocked));
                    call.state.ended(parts, &refused);
                    ControlFlow::Break(refused)
                }
            },
        };
        match next {
            ControlFlow::Continue(next) => step = next,
            ControlFlow::Break(result) => return result,
        }
    }
}

impl<T, E> PolledCall<'_, T, E> {
    /// Waits at a step of the admission, and then takes the call as far as it gets without another wait. Returns the
    /// next step.
    async fn wait_for_admission(&mut self, step: CallStep) -> Result<CallStep, Blocked> {
        self.state.progress.time_passes();
        let (parts, progress) = (self.held.parts, &self.state.progress);
        let admitted = match step {
            CallStep::RateLimit => {
                wait_for_token(parts, progress).await?;
                admit_call(&mut self.held, progress, CallStep::ExtraLimit, Some)
            }
            CallStep::ExtraLimit => {
                wait_for_extra_limit(parts, progress).await?;
                admit_call(&mut self.held, progress, CallStep::Concurrency, Some)
            }
            CallStep::Concurrency | CallStep::Attempt(_) => {
                wait_for_concurrency(&mut self.held, progress).await?;
                Ok(())
            }
        };
        match admitted {
            Ok(()) => {
                self.begin_retry(None);
                Ok(CallStep::ATTEMPT)
            }
            Err(blocked) => blocked.or_wait(),
        }
    }

    /// Begins the call for retry, if there is retry, which must count its end from then on. `begun` is retry's state,
    /// if the fast path has begun the call for it.
    pub(super) fn begin_retry(&mut self, begun: Option<RetryState>) {
        let Some(retry) = self.state.progress.retry(self.held.parts) else {
            return;
        };
        self.state.retry = begun.unwrap_or_else(|| retry.begin());
        self.state.retry.stop_at(self.state.progress.limit.at);
        self.held.hold_begun_retry();
    }

    /// Makes an attempt after a delay, and others beside it if there is a hedge.
    async fn attempt<F, Fut, R>(&mut self, delay: Duration, operation: &mut F, rules: &R) -> Next<T, E>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        if let Err(blocked) = self.wait_for_attempt(delay).await {
            return ControlFlow::Break(self.end_blocked(blocked, rules));
        }
        let parts = self.held.parts;
        let ended = if let Some(hedge) = self.state.progress.hedge(parts) {
            let maker = Maker {
                operation,
                progress: &mut self.state.progress,
                last_value: &mut self.state.last_value,
            };
            race(parts, hedge, rules, maker).await
        } else {
            let mut held = Held::nothing(parts);
            if let Err(rejected) = acquire_breaker(&mut held, &self.state.progress) {
                return ControlFlow::Break(self.end_blocked(Blocked::Refused(rejected), rules));
            }
            // The value of the attempt before is not the value of the call any more.
            self.state.last_value = None;
            let limit = self.state.progress.next_attempt(parts);
            let future = operation();
            AttemptFuture::new(Suspended::new(parts, held.take_tickets()), limit, future, rules).await
        };
        self.after(ended, rules)
    }

    /// Waits until an attempt may begin: for a delay, and for a token if the rate limit counts attempts.
    async fn wait_for_attempt(&mut self, delay: Duration) -> Result<(), Blocked> {
        let parts = self.held.parts;
        if !delay.is_zero() {
            self.state.progress.time_passes();
            parts.clock.sleep(delay).await;
        }
        if let Err(blocked) = take_attempt_token(parts, &self.state.progress, Some) {
            blocked.or_wait()?;
            self.state.progress.time_passes();
            wait_for_token(parts, &self.state.progress).await?;
        }
        if self.state.progress.is_late_after_wait(parts) {
            return Err(Blocked::Late);
        }
        Ok(())
    }
}
