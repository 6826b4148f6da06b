//! A call on its way through a policy, with what it holds: on the stack while it is polled, put aside in between.

use super::PolicyError;
use super::attempt::{Attempt, Attempts, Cut, Ending, Limit, Maker, Stop, judge, poll_within};
use super::call::{Call, Open, Progress, judged};
use super::parts::{Parts, Place, PlaceTicket};
use super::rules::Rules;
use super::started::{Entrance, Halt};
use crate::gate::{Outcome, Permit as _, Suspend};
use crate::patterns::circuit_breaker::{self, CircuitBreaker};
use crate::patterns::hedge::{Hedge, HedgeError};
use crate::patterns::retry::{GiveUp, RetryState, Verdict};
use crate::time::Sleep;
use arc_swap::Guard;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A call on its way, with what it holds.
///
/// It lies on the stack while it is polled. Dropped there it gives back what it holds; the call counts as abandoned, or, if a
/// panic in it is the reason, as failed, whoever catches the panic later.
pub(super) struct Flight<'a, T, E> {
    call: Call<'a, T, E>,
    /// The permit of the attempt that runs.
    permit: Option<circuit_breaker::Permit<'a>>,
    place: Option<Place<'a>>,
    open: Open<'a>,
}

/// What a call came to, for the time being.
pub(super) enum Step<T, E> {
    /// To its end.
    Over(Result<T, PolicyError<E>>),
    /// Its attempt waits.
    Waits(Held),
    /// This is left of it.
    Rest(Held, Rest),
}

/// What is left of a call that is not over after one attempt at once.
pub(super) enum Rest {
    /// All from this wait on.
    Entrance(Entrance),
    /// The attempts.
    Attempts,
    /// A pause, and then further attempts.
    Pause(Duration),
}

/// What a call holds while it is put aside.
#[must_use = "what is held must be given back"]
pub(super) struct Held {
    place: Option<PlaceTicket>,
    permit: Option<<CircuitBreaker as Suspend>::Ticket>,
    /// The limit of the attempt that waits.
    limit: Limit,
    is_open: bool,
}

impl Held {
    const NOTHING: Self = Self {
        place: None,
        permit: None,
        limit: Limit::NONE,
        is_open: false,
    };

    /// A permit and a place, and nothing else.
    pub(super) fn of(permit: Option<<CircuitBreaker as Suspend>::Ticket>, place: Option<PlaceTicket>) -> Self {
        Self {
            place,
            permit,
            ..Self::NOTHING
        }
    }
}

impl<'a, T, E> Flight<'a, T, E> {
    /// The call with what it holds.
    pub(super) fn resumed(parts: &'a Parts, progress: &'a mut Progress<T, E>, held: Held) -> Self {
        let breaker = parts.circuit_breaker.as_ref();
        Self {
            call: Call { parts, progress },
            permit: held.permit.zip(breaker).map(|(ticket, breaker)| breaker.resume(ticket)),
            place: held.place.and_then(|place| Place::resume(parts, place)),
            open: Open::again(parts, held.is_open),
        }
    }

    /// Holds a place from now on.
    pub(super) fn stay(&mut self, place: Place<'a>) {
        self.place = Some(place);
    }

    /// Tells retry of the call, if there is retry, unless it has begun.
    pub(super) fn open(&mut self, begun: Option<RetryState>) {
        self.open = self.call.open(begun);
    }

    /// Polls the first attempt again.
    fn poll<Fut, R>(
        &mut self,
        limit: Limit,
        rules: &R,
        (mut first, timer): (Pin<&mut Option<Fut>>, Pin<&mut Option<Sleep>>),
        cx: &mut Context<'_>,
    ) -> Step<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        let parts = self.call.parts;
        let future = first
            .as_mut()
            .as_pin_mut()
            .expect("an attempt is there until it is over");
        let (outcome, ended) = match poll_within(parts, &limit, future, cx) {
            Poll::Ready(result) => (limit.outcome(parts, rules.outcome(&result)), Some(result)),
            Poll::Pending => match limit.poll_end(parts, timer, cx) {
                Ending::NotYet => return self.wait(limit),
                Ending::Over(outcome) => (outcome, None),
            },
        };
        if let Some(permit) = self.permit.take() {
            permit.record(outcome);
        }
        // What is over is dropped before its place is given back, and before anything else begins.
        first.set(None);
        let ended = match ended {
            Some(result) => judge(rules.verdict(&result), result),
            None => Err(Stop::Cut(Cut::TimedOut(limit))),
        };
        self.step(ended, rules)
    }

    /// The call was late before it began.
    pub(super) fn late(&mut self) -> Step<T, E> {
        Step::Over(Err(self.call.over()))
    }

    /// Its attempt waits, for as long as `limit` says.
    pub(super) fn wait(&mut self, limit: Limit) -> Step<T, E> {
        Step::Waits(self.suspend(limit))
    }

    /// What comes after an attempt.
    #[inline(never)]
    pub(super) fn step<R>(&mut self, ended: Result<T, Stop<T, E>>, rules: &R) -> Step<T, E>
    where
        R: Rules<T, E>,
    {
        match self.after(ended, rules) {
            ControlFlow::Break(result) => Step::Over(result),
            ControlFlow::Continue(pause) => self.rest(Rest::Pause(pause)),
        }
    }

    /// What comes after an attempt: the end of the call, or another attempt after a pause.
    fn after<R>(&mut self, ended: Result<T, Stop<T, E>>, rules: &R) -> ControlFlow<Result<T, PolicyError<E>>, Duration>
    where
        R: Rules<T, E>,
    {
        let result = match ended {
            Ok(value) => {
                self.call.finish(None);
                Ok(value)
            }
            Err(stop) => match self.call.stopped(stop) {
                ControlFlow::Break(result) => result,
                again => return again,
            },
        };
        self.open.close();
        ControlFlow::Break(self.leave(rules, result))
    }

    /// What comes of a call that does not go on at once: `rest` says what is left of it after a wait.
    pub(super) fn halt<R>(&mut self, halt: Halt, rest: fn(Entrance) -> Rest, rules: &R) -> Step<T, E>
    where
        R: Rules<T, E>,
    {
        match halt {
            Halt::Wait(entrance) => self.rest(rest(entrance)),
            Halt::Refused(layer, retry_after) => {
                let refused = self.call.rejected(layer, retry_after);
                Step::Over(self.end_between(rules, refused))
            }
        }
    }

    /// The call waits, and `rest` is left of it.
    pub(super) fn rest(&mut self, rest: Rest) -> Step<T, E> {
        Step::Rest(self.suspend(Limit::NONE), rest)
    }

    /// The end of a call that a layer refuses, or whose time is over, when no attempt is under way.
    fn end_between<R>(&mut self, rules: &R, error: PolicyError<E>) -> Result<T, PolicyError<E>>
    where
        R: Rules<T, E>,
    {
        if self.open.is_open() {
            let gave_up = match error {
                PolicyError::TimedOut { .. } => GiveUp::Deadline,
                _ => GiveUp::NotRetryable,
            };
            self.call.finish(Some(gave_up));
            self.open.close();
        }
        // A value that was worth another attempt is the result where there is none.
        let result = self.call.take_last_value().ok_or(error);
        self.leave(rules, result)
    }

    /// Gives the place back. Only the adaptive limit learns from how the call ended.
    fn leave<R>(&mut self, rules: &R, result: Result<T, PolicyError<E>>) -> Result<T, PolicyError<E>>
    where
        R: Rules<T, E>,
    {
        match self.place.take() {
            Some(Place::Adaptive(permit)) => {
                let (parts, end) = (self.call.parts, self.call.progress.started.end);
                judged(rules, permit, result, |began| end.outcome_of_failure(parts, began))
            }
            _ => result,
        }
    }

    /// Puts aside what the call holds.
    fn suspend(&mut self, limit: Limit) -> Held {
        let is_open = self.open.is_open();
        self.open.close();
        Held {
            place: self.place.take().map(Place::suspend),
            permit: self.permit.take().map(CircuitBreaker::suspend),
            limit,
            is_open,
        }
    }
}

/// A call that is put aside, with all that it needs to be taken up again. Dropped so it gives back what it holds, and is
/// counted as abandoned.
pub(super) struct Suspended<T, E> {
    parts: Guard<Arc<Parts>>,
    progress: Progress<T, E>,
    held: Held,
}

impl<T, E> Suspended<T, E> {
    /// Nothing is held.
    pub(super) fn new(parts: Guard<Arc<Parts>>, progress: Progress<T, E>) -> Self {
        Self {
            parts,
            progress,
            held: Held::NOTHING,
        }
    }

    /// Keeps what the call holds.
    pub(super) fn hold(&mut self, held: Held) {
        self.held = held;
    }

    /// The call as it was, and the limit of its attempt; nothing is held here any more.
    fn resume(&mut self) -> (Flight<'_, T, E>, Limit) {
        let held = std::mem::replace(&mut self.held, Held::NOTHING);
        let limit = held.limit;
        (Flight::resumed(&self.parts, &mut self.progress, held), limit)
    }

    /// Polls the attempt that waits.
    pub(super) fn poll<Fut, R>(
        &mut self,
        rules: &R,
        places: (Pin<&mut Option<Fut>>, Pin<&mut Option<Sleep>>),
        cx: &mut Context<'_>,
    ) -> Step<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        R: Rules<T, E>,
    {
        let (mut flight, limit) = self.resume();
        flight.poll(limit, rules, places, cx)
    }
}

impl<T, E> Drop for Suspended<T, E> {
    fn drop(&mut self) {
        let (mut flight, _) = self.resume();
        // Not left to the permit's own drop: unwinding may drop this for a panic that was not the call's.
        if let Some(permit) = &mut flight.permit {
            permit.tell(Outcome::of_dropped());
        }
    }
}

/// Takes a call to its end, with all its waits.
pub(super) async fn go_on<F, Fut, T, E, R>(
    mut suspended: Suspended<T, E>,
    rest: Rest,
    mut operation: F,
    rules: R,
) -> Result<T, PolicyError<E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let (mut flight, _) = suspended.resume();
    let mut pause = Duration::ZERO;
    match rest {
        Rest::Entrance(entrance) => {
            flight.call.wait_in(entrance, &mut flight.place).await?;
            flight.open(None);
        }
        Rest::Attempts => {}
        Rest::Pause(first) => pause = first,
    }
    loop {
        if !pause.is_zero() {
            flight.call.time_passes();
            flight.call.parts.clock.sleep(pause).await;
        }
        if let Err(refused) = flight.call.wait_for_limit_of_attempts().await {
            return flight.end_between(&rules, refused);
        }
        if let Some(late) = flight.call.ended_waiting() {
            return flight.end_between(&rules, late);
        }
        let ended = match flight.call.progress.started.hedge(flight.call.parts) {
            Some(hedge) => race(&mut flight.call, hedge, &rules, &mut operation).await,
            None => match flight.call.parts.try_permit(flight.call.progress.started.now) {
                Ok(permit) => {
                    let now = flight.call.next_attempt();
                    let limit = flight
                        .call
                        .parts
                        .limit_of_attempt(now, flight.call.progress.started.end);
                    Attempt::new(flight.call.parts, limit, permit, operation(), &rules).await
                }
                Err(rejected) => Err(Stop::Cut(Cut::refused(rejected))),
            },
        };
        match flight.after(ended, &rules) {
            ControlFlow::Break(result) => return result,
            ControlFlow::Continue(next) => pause = next,
        }
    }
}

/// Makes an attempt, and others beside it where it takes long.
async fn race<F, Fut, T, E, R>(
    call: &mut Call<'_, T, E>,
    hedge: &Hedge,
    rules: &R,
    operation: &mut F,
) -> Result<T, Stop<T, E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let Progress {
        started, last_value, ..
    } = &mut *call.progress;
    let attempts = Attempts::of(
        call.parts,
        rules,
        Maker {
            operation,
            started,
            last_value,
            is_first: true,
        },
    );
    let race = hedge.execute_with(
        || attempts.next(),
        |result| match result {
            Ok(_) => true,
            Err(Stop::Gave(_, verdict)) => *verdict == Verdict::Final,
            Err(Stop::Cut(Cut::Refused { alone, .. })) => *alone,
            Err(Stop::Cut(Cut::TimedOut(limit))) => limit.is_the_calls(),
        },
    );
    race.await.map_err(|error| match error {
        HedgeError::CallFailed(stop) => stop,
        HedgeError::DeadlinePassed => Stop::Cut(Cut::TimedOut(Limit::of_call(attempts.end()))),
    })
}
