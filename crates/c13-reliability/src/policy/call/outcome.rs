//! What follows an attempt: another one after a delay, or the end of the call.

use super::admission::{Blocked, CallStep};
use super::attempt::Unsettled;
use super::events;
use super::held::Held;
use super::limit::AttemptLimit;
use super::progress::Progress;
use super::rules::Rules;
use crate::error::{Layer, Rejected};
use crate::gate::{Outcome, Permit as _};
use crate::patterns::adaptive;
use crate::patterns::circuit_breaker::CircuitBreaker;
use crate::patterns::retry::{Decision, GiveUp, RetryState, Verdict};
use crate::policy::PolicyError;
use crate::policy::parts::Parts;
use crate::policy::telemetry::AttemptEnd;
use crate::time::Tick;
use std::ops::ControlFlow;
use std::time::Duration;

/// The end of a call, or the step that is next.
pub(super) type Next<T, E> = ControlFlow<Result<T, PolicyError<E>>, CallStep>;

/// A call that did not end on the fast path, without what it holds.
pub(super) struct Unfinished<T, E> {
    pub(super) progress: Progress,
    pub(super) retry: RetryState,
    /// When the call began, if calls are measured.
    began: Option<Tick>,
    /// Whether the value that ends the call counts as a failure.
    failed: bool,
    last_error: Option<E>,
    /// The value of the last attempt, if it is worth another one. It is the call's result if no other attempt is made.
    pub(super) last_value: Option<T>,
}

/// A call that did not end on the fast path, with what it holds: while its first attempt is polled, or all along the
/// slow path.
pub(super) struct PolledCall<'a, T, E> {
    pub(super) state: &'a mut Unfinished<T, E>,
    pub(super) held: Held<&'a Parts>,
}

impl<T, E> Unfinished<T, E> {
    pub(super) fn new(progress: Progress, parts: &Parts) -> Self {
        Self {
            progress,
            began: parts.measures().then(|| progress.began(parts)),
            failed: false,
            retry: RetryState::new(),
            last_error: None,
            last_value: None,
        }
    }

    /// When the call began, if calls are measured.
    pub(super) fn began(&self) -> Option<Tick> {
        self.began
    }

    /// Records the end of the call.
    pub(super) fn ended(&self, parts: &Parts, result: &Result<T, PolicyError<E>>) {
        if let Some(began) = self.began {
            parts
                .telemetry()
                .call_ended(result, self.failed, parts.clock.now() - began);
        }
    }

    /// Records the end of a call that is a function, and of its one attempt.
    pub(super) fn ended_once(&mut self, parts: &Parts, result: &Result<T, PolicyError<E>>, outcome: Outcome) {
        if let Some(began) = self.began {
            self.failed = matches!(outcome, Outcome::Failure { .. });
            let took = parts.clock.now() - began;
            parts.telemetry().attempt_ended(AttemptEnd::of(outcome), took);
            parts.telemetry().call_ended(result, self.failed, took);
        }
    }

    /// The error of a call that does not go on.
    #[cold]
    pub(super) fn blocked(&mut self, parts: &Parts, blocked: Blocked) -> PolicyError<E> {
        match blocked {
            Blocked::Late => {
                let limit = AttemptLimit::of_call(self.progress.limit);
                events::timed_out(parts, &limit, self.progress.attempts);
                self.timed_out(parts, limit)
            }
            Blocked::Refused(rejected) => self.rejected(parts, rejected),
        }
    }

    fn rejected(&mut self, parts: &Parts, rejected: Rejected) -> PolicyError<E> {
        let breaker = parts.circuit_breaker.as_ref();
        let opening = breaker
            .filter(|_| rejected.layer == Layer::CircuitBreaker)
            .and_then(CircuitBreaker::opening);
        events::refused(parts, &rejected, self.progress.attempts, opening.as_deref());
        PolicyError::Rejected {
            policy: parts.name.clone(),
            layer: rejected.layer,
            retry_after: rejected.retry_after,
            opening,
            attempts: self.progress.attempts,
            last_error: self.last_error.take(),
        }
    }

    fn timed_out(&mut self, parts: &Parts, limit: AttemptLimit) -> PolicyError<E> {
        PolicyError::TimedOut {
            policy: parts.name.clone(),
            layer: limit.layer(),
            limit: limit.length(),
            attempts: self.progress.attempts,
            last_error: self.last_error.take(),
        }
    }
}

impl<T, E> PolledCall<'_, T, E> {
    /// What follows an attempt.
    pub(super) fn after<R>(&mut self, ended: Result<T, Unsettled<T, E>>, rules: &R) -> Next<T, E>
    where
        R: Rules<T, E>,
    {
        let unsettled = match ended {
            Ok(value) => {
                let value = Ok(value);
                self.state.failed =
                    self.state.began.is_some() && matches!(rules.outcome(&value), Outcome::Failure { .. });
                return ControlFlow::Break(self.end(retyped(value), None, rules));
            }
            Err(unsettled) => unsettled,
        };
        if let Unsettled::TimedOut(limit) = &unsettled {
            events::timed_out(self.held.parts, limit, self.state.progress.attempts);
        }
        match self.decide(&unsettled) {
            Ok(delay) => {
                events::retries(self.held.parts, self.state.progress.attempts, delay, unsettled.cause());
                match unsettled {
                    Unsettled::Gave(Err(error), _) => self.state.last_error = Some(error),
                    Unsettled::Gave(Ok(value), _) => self.state.last_value = Some(value),
                    Unsettled::TimedOut(_) | Unsettled::Refused { .. } => {}
                }
                ControlFlow::Continue(CallStep::Attempt(delay))
            }
            Err(gave_up) => {
                let result = self.result(unsettled, gave_up);
                ControlFlow::Break(self.end(result, gave_up, rules))
            }
        }
    }

    /// The delay before another attempt, or why there is none: `None` if there is no retry.
    fn decide(&mut self, unsettled: &Unsettled<T, E>) -> Result<Duration, Option<GiveUp>> {
        let Some(retry) = self.state.progress.retry(self.held.parts) else {
            return Err(None);
        };
        let hint = match unsettled {
            Unsettled::Refused { .. } | Unsettled::Gave(_, Verdict::Final) => return Err(Some(GiveUp::NotRetryable)),
            Unsettled::TimedOut(limit) if limit.is_of_call() => return Err(Some(GiveUp::Deadline)),
            Unsettled::TimedOut(_) if !self.state.progress.repeats_late_attempts() => {
                return Err(Some(GiveUp::NotRetryable));
            }
            Unsettled::TimedOut(_) => None,
            Unsettled::Gave(_, verdict) => verdict.hint(),
        };
        match retry.after_failure(&mut self.state.retry, hint) {
            Decision::Wait(delay) => Ok(delay),
            Decision::GiveUp(reason) => Err(Some(reason)),
        }
    }

    /// The result of a call after its last attempt.
    fn result(&mut self, last: Unsettled<T, E>, gave_up: Option<GiveUp>) -> Result<T, PolicyError<E>> {
        match last {
            // A value that would have been worth another attempt is still a value.
            Unsettled::Gave(Ok(value), _) => {
                self.state.failed = true;
                Ok(value)
            }
            Unsettled::Gave(Err(error), _) => Err(PolicyError::Failed {
                policy: self.held.parts.name.clone(),
                error,
                attempts: self.state.progress.attempts,
                gave_up,
            }),
            Unsettled::Refused { rejected, .. } => {
                let value = self.state.last_value.take();
                value.ok_or_else(|| self.state.rejected(self.held.parts, rejected))
            }
            Unsettled::TimedOut(limit) => Err(self.state.timed_out(self.held.parts, limit)),
        }
    }

    /// Ends a call that does not go on while none of its attempts runs.
    pub(super) fn end_blocked<R>(&mut self, blocked: Blocked, rules: &R) -> Result<T, PolicyError<E>>
    where
        R: Rules<T, E>,
    {
        let gave_up = match blocked {
            Blocked::Late => GiveUp::Deadline,
            Blocked::Refused(_) => GiveUp::NotRetryable,
        };
        // A value that was worth another attempt is the result if that attempt is not made.
        let value = self.state.last_value.take();
        let result = value.ok_or_else(|| self.state.blocked(self.held.parts, blocked));
        self.end(result, Some(gave_up), rules)
    }

    /// Ends the call: retry counts it, and the bulkhead or the adaptive limit gets its permit back. Only the adaptive limit
    /// learns from the result.
    fn end<R>(
        &mut self,
        result: Result<T, PolicyError<E>>,
        gave_up: Option<GiveUp>,
        rules: &R,
    ) -> Result<T, PolicyError<E>>
    where
        R: Rules<T, E>,
    {
        if self.held.take_retry()
            && let Some(retry) = &self.held.parts.retry
        {
            retry.finish(&self.state.retry, gave_up);
        }
        self.state.ended(self.held.parts, &result);
        let result = match (result, rules.kept()) {
            (Ok(value), Some(kept)) => {
                let value = Ok(value);
                self.held.keep_bulkhead(kept);
                if rules.outcome(&value) == Outcome::Success {
                    self.held.keep_adaptive(kept);
                }
                retyped(value)
            }
            (result, _) => result,
        };
        self.held.release_bulkhead();
        match self.held.take_adaptive() {
            None => result,
            Some(permit) => self.teach(permit, result, rules),
        }
    }

    /// Reports to the adaptive limit what the end of the call says about the load. A timeout says that it was too much.
    fn teach<R>(
        &self,
        permit: adaptive::Permit<'_>,
        result: Result<T, PolicyError<E>>,
        rules: &R,
    ) -> Result<T, PolicyError<E>>
    where
        R: Rules<T, E>,
    {
        let (limit, parts, began) = (self.state.progress.limit, self.held.parts, permit.began());
        let record = |outcome| match outcome {
            Outcome::FAILURE => permit.record(limit.outcome_of_failure(parts, began)),
            outcome => permit.record(outcome),
        };
        match result {
            Ok(value) => {
                let value = Ok(value);
                record(rules.outcome(&value));
                retyped(value)
            }
            Err(PolicyError::Failed {
                policy,
                error,
                attempts,
                gave_up,
            }) => {
                let failed = Err(error);
                record(rules.outcome(&failed));
                failed.map_err(|error| PolicyError::Failed {
                    policy,
                    error,
                    attempts,
                    gave_up,
                })
            }
            Err(error) => {
                record(if error.is_timeout() {
                    Outcome::FAILURE
                } else {
                    Outcome::Ignored
                });
                Err(error)
            }
        }
    }
}

/// A value as the result of a call. Only the type changes.
fn retyped<T, E>(value: Result<T, E>) -> Result<T, PolicyError<E>> {
    value.map_err(|error| PolicyError::Failed {
        policy: None,
        error,
        attempts: 0,
        gave_up: None,
    })
}
