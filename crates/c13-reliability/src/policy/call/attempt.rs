//! One attempt of a call: polled in one place, for the fast path, for the slow path and for attempts that run at the same time.

use super::held::{Held, Suspended};
use super::limit::{AttemptLimit, TimeLeft};
use super::rules::Rules;
use crate::error::Rejected;
use crate::gate::{Cause, Outcome};
use crate::patterns::retry::Verdict;
use crate::policy::parts::Parts;
use crate::policy::telemetry::AttemptEnd;
use crate::time::{Sleep, Tick};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How an attempt ended, if not with a value that ends its call.
pub(super) enum Unsettled<T, E> {
    /// With this result, and whether it is worth another attempt.
    Gave(Result<T, E>, Verdict),
    /// A time limit came first.
    TimedOut(AttemptLimit),
    /// A layer refused it, so it was not made.
    Refused {
        rejected: Rejected,
        /// Whether no other attempt of the call runs.
        is_alone: bool,
    },
}

impl<T, E> Unsettled<T, E> {
    /// Why it did not settle the call, for events.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Gave(result, _) => Cause::of(result),
            Self::TimedOut(limit) => Cause::TimedOut(limit.length()),
            Self::Refused { .. } => Cause::Unknown,
        }
    }

    /// What the end of an attempt means for its call: a value ends the call, unless it is worth another attempt.
    pub(super) fn or_value(ended: Ended<T, E>, limit: AttemptLimit) -> Result<T, Self> {
        match ended {
            Some((Ok(value), Verdict::Final)) => Ok(value),
            Some((result, verdict)) => Err(Self::Gave(result, verdict)),
            None => Err(Self::TimedOut(limit)),
        }
    }
}

/// The result of an attempt and whether it is worth another one. None if the attempt's time was over.
pub(super) type Ended<T, E> = Option<(Result<T, E>, Verdict)>;

/// Polls an attempt, which holds the breaker's permit in `held`. When the attempt is over, its outcome is reported to the
/// breaker, and its future is dropped: before the call gives anything else back, and before anything else begins. `measured` is
/// when it began, if its duration is to be recorded.
#[inline(always)]
pub(super) fn poll_attempt<Fut, T, E, R>(
    held: &mut Held<&Parts>,
    limit: &AttemptLimit,
    (rules, measured): (&R, Option<Tick>),
    (mut attempt, timer): (Pin<&mut Option<Fut>>, Pin<&mut Option<Sleep>>),
    cx: &mut Context<'_>,
) -> Poll<Ended<T, E>>
where
    Fut: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    let parts = held.parts;
    let future = attempt
        .as_mut()
        .as_pin_mut()
        .expect("an attempt is there until it is over");
    let Poll::Ready(result) = limit.poll(parts, future, cx) else {
        return match limit.poll_time_left(parts, timer, cx) {
            TimeLeft::Some => Poll::Pending,
            TimeLeft::None(outcome) => {
                held.record(outcome, || Cause::TimedOut(limit.length()));
                attempt.set(None);
                if let Some(began) = measured {
                    ended(parts, AttemptEnd::TimedOut, began);
                }
                Poll::Ready(None)
            }
        };
    };
    let outcome = limit.outcome(parts, rules.outcome(&result));
    match rules.kept() {
        Some(kept) if outcome == Outcome::Success => held.keep_breaker(kept),
        _ => held.record(outcome, || Cause::of(&result)),
    }
    attempt.set(None);
    if let Some(began) = measured {
        ended(parts, AttemptEnd::of(outcome), began);
    }
    let verdict = rules.verdict(&result);
    Poll::Ready(Some((result, verdict)))
}

/// Records how long an attempt took that began at this time.
fn ended(parts: &Parts, end: AttemptEnd, began: Tick) {
    parts.telemetry().attempt_ended(end, parts.clock.now() - began);
}

pin_project! {
    /// An attempt of the slow path, as a future of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside, and the breaker counts the attempt as abandoned.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct AttemptFuture<'a, 'r, F, R> {
        // Dropped before `held`: the attempt runs until its future is gone, and until then no other probe may get its
        // permit.
        #[pin]
        future: Option<F>,
        #[pin]
        timer: Option<Sleep>,
        held: Suspended<&'a Parts>,
        limit: AttemptLimit,
        rules: &'r R,
        // When it began, if attempts are measured.
        measured: Option<Tick>,
    }
}

impl<'a, 'r, F, R> AttemptFuture<'a, 'r, F, R> {
    /// An attempt that begins, and holds the breaker's permit.
    pub(super) fn new(held: Suspended<&'a Parts>, limit: AttemptLimit, future: F, rules: &'r R) -> Self {
        let parts: &Parts = held.parts();
        let measured = parts
            .measures()
            .then(|| limit.began().unwrap_or_else(|| parts.clock.now()));
        Self {
            future: Some(future),
            timer: None,
            held,
            limit,
            rules,
            measured,
        }
    }
}

impl<F, R, T, E> Future for AttemptFuture<'_, '_, F, R>
where
    F: Future<Output = Result<T, E>>,
    R: Rules<T, E>,
{
    type Output = Result<T, Unsettled<T, E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut held = this.held.resume();
        let polled = poll_attempt(
            &mut held,
            this.limit,
            (*this.rules, *this.measured),
            (this.future, this.timer),
            cx,
        );
        let tickets = held.take_tickets();
        drop(held);
        this.held.suspend(tickets);
        polled.map(|ended| Unsettled::or_value(ended, *this.limit))
    }
}
