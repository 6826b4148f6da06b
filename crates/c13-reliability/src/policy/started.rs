//! How a call starts: when, by when it must end, and what it passes on its way in that is there at once.

use super::config::RateLimitPer;
use super::parts::Parts;
use crate::error::Layer;
use crate::gate::{Outcome, cut_short};
use crate::patterns::hedge::Hedge;
use crate::patterns::retry::RetryExecutor;
use crate::time::{Deadline, Tick};
use std::time::Duration;

/// What a call knows of itself that is but a few numbers.
#[derive(Clone, Copy)]
pub(super) struct Started {
    pub(super) end: End,
    /// When it started, if that was read, and until something takes time.
    pub(super) now: Option<Tick>,
    pub(super) attempts: u32,
    /// Whether it can be made more than once, by retry and hedge.
    repeats: bool,
}

/// When a call started, and when it must end.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) at: Tick,
    pub(super) since: Tick,
}

/// What a call waits for on its way in, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entrance {
    RateLimit,
    /// The limit beside the policy's own.
    Limit,
    Place,
}

impl Entrance {
    pub(super) const FIRST: Self = Self::RateLimit;
}

/// Why a call does not go on at once.
pub(super) enum Halt {
    /// It has to wait here, and may.
    Wait(Entrance),
    /// A layer turned it away, and says when to come back.
    Refused(Layer, Option<Duration>),
}

impl End {
    /// No end; the time of the start does not matter then.
    const NONE: Self = Self {
        at: Tick::MAX,
        since: Tick::ZERO,
    };

    /// The end of a call that starts now: its own limit, or the deadline it is given or inherits, whichever is first. And
    /// the time, where anything asks for it.
    #[inline(always)]
    pub(super) fn from_now(parts: &Parts, given: Option<&Deadline>) -> (Option<Tick>, Self) {
        let mut callers = Deadline::current(&parts.clock).map_or(Tick::MAX, Deadline::tick);
        if let Some(given) = given.and_then(|deadline| deadline.on(&parts.clock)) {
            callers = callers.min(given.tick());
        }
        if !parts.is_timed && callers == Tick::MAX {
            return (None, Self::NONE);
        }
        let now = parts.clock.now();
        let at = parts.total_limit.after(now).min(callers);
        (Some(now), Self { at, since: now })
    }

    /// Whether there is an end.
    #[inline(always)]
    pub(super) fn is_some(self) -> bool {
        self.at < Tick::MAX
    }

    /// What is to be said of a dependency that did not answer from `began` to this end: that it failed, if that was a fair
    /// share of the policy's own limit; else nothing.
    #[cold]
    pub(super) fn blames(self, parts: &Parts, began: Tick) -> Outcome {
        if parts.is_fair_share(self.at - began) {
            return Outcome::FAILURE;
        }
        if self.at < parts.total_limit.after(self.since) {
            cut_short::report();
        }
        Outcome::Abandoned
    }

    /// What a failure says of a dependency that was at work since `began`: as [`blames`](Self::blames), if it came when
    /// this end had come.
    #[cold]
    pub(super) fn outcome_of_failure(self, parts: &Parts, began: Tick) -> Outcome {
        if parts.clock.now() < self.at {
            return Outcome::FAILURE;
        }
        self.blames(parts, began)
    }

    /// How long the call has from its start.
    pub(super) fn limit(self) -> Duration {
        self.at - self.since
    }
}

impl Started {
    /// A call that begins: looks at the clock once for all layers, if any of them needs the time. Only one that `repeats`
    /// has retry and hedge.
    #[inline(always)]
    pub(super) fn now(parts: &Parts, deadline: Option<&Deadline>, repeats: bool) -> Self {
        let (now, end) = End::from_now(parts, deadline);
        Self {
            end,
            now,
            attempts: 0,
            repeats,
        }
    }

    /// Whether its time was over before it began.
    #[inline(always)]
    pub(super) fn is_late(&self) -> bool {
        self.end.at <= self.end.since
    }

    /// Passes what stands before the places, from `entrance` on, as far as it comes at once.
    #[inline(always)]
    pub(super) fn come_in(&self, parts: &Parts, entrance: Entrance) -> Result<(), Halt> {
        if entrance == Entrance::RateLimit && parts.config.rate_limit_per == RateLimitPer::Call {
            self.pass_rate_limit(parts)?;
        }
        if entrance <= Entrance::Limit
            && let Some(limit) = &parts.limit
            && !limit.passes()
        {
            return Err(Halt::Wait(Entrance::Limit));
        }
        Ok(())
    }

    /// Passes the rate limit, where it counts attempts, at once.
    #[inline(always)]
    pub(super) fn pass_limit_of_attempts(&self, parts: &Parts) -> Result<(), Halt> {
        if parts.config.rate_limit_per == RateLimitPer::Call {
            return Ok(());
        }
        self.pass_rate_limit(parts)
    }

    /// The time: the one that was read for all layers as long as nothing has taken any.
    #[inline(always)]
    pub(super) fn time(&self, parts: &Parts) -> Tick {
        self.now.unwrap_or_else(|| parts.clock.now())
    }

    /// Passes the rate limit at once, if there is one.
    #[inline(always)]
    fn pass_rate_limit(&self, parts: &Parts) -> Result<(), Halt> {
        let Some(limiter) = &parts.rate_limit else {
            return Ok(());
        };
        if parts.rate_limit_waits {
            let taken = limiter.take_or_wait_at(self.time(parts));
            return taken.then_some(()).ok_or(Halt::Wait(Entrance::RateLimit));
        }
        match limiter.try_acquire_at(self.time(parts), 1) {
            Ok(()) => Ok(()),
            Err(refused) => Err(Halt::Refused(Layer::RateLimit, refused.retry_after())),
        }
    }

    /// Retry, if there is one and the call can be made twice.
    #[inline(always)]
    pub(super) fn retry<'a>(&self, parts: &'a Parts) -> Option<&'a RetryExecutor> {
        parts.retry.as_ref().filter(|_| self.repeats)
    }

    /// The hedge, if there is one and the call can be made twice.
    #[inline(always)]
    pub(super) fn hedge<'a>(&self, parts: &'a Parts) -> Option<&'a Hedge> {
        parts.hedge.as_ref().filter(|_| self.repeats)
    }

    /// Counts the next attempt, which takes time; returns the time until then, if it was read.
    #[inline(always)]
    pub(super) fn next_attempt(&mut self) -> Option<Tick> {
        self.attempts += 1;
        self.now.take()
    }
}
