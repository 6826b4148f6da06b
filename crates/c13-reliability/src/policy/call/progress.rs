//! How far a call has come, in a few numbers that fit into registers.

use super::limit::{AttemptLimit, CallLimit};
use super::rules::Repeats;
use crate::patterns::hedge::Hedge;
use crate::patterns::retry::RetryExecutor;
use crate::policy::parts::Parts;
use crate::time::{Deadline, Tick};

/// How far a call has come.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub(super) limit: CallLimit,
    /// The current time, if the clock was read and nothing has taken time since.
    now: Option<Tick>,
    pub(super) attempts: u32,
    /// How often retry and hedge may make the call.
    repeats: Repeats,
}

impl Progress {
    /// A call that starts now. The clock is read once for all layers, and only if one of them needs the time.
    #[inline(always)]
    pub(super) fn start(parts: &Parts, deadline: Option<&Deadline>, repeats: Repeats) -> Self {
        let (now, limit) = CallLimit::from_now(parts, deadline);
        Self {
            limit,
            now,
            attempts: 0,
            repeats,
        }
    }

    /// The time if it was read and nothing has taken time since.
    #[inline(always)]
    pub(super) fn known_time(&self) -> Option<Tick> {
        self.now
    }

    /// The time. The clock is read only if the time is not known.
    #[inline(always)]
    pub(super) fn time(&self, parts: &Parts) -> Tick {
        self.now.unwrap_or_else(|| parts.clock.now())
    }

    /// When the call began, as far as that is known: now, if no layer needed the time then.
    pub(super) fn began(&self, parts: &Parts) -> Tick {
        if parts.is_timed || self.limit.is_some() {
            self.limit.since()
        } else {
            parts.clock.now()
        }
    }

    /// Something takes time from here on: the time that was read is not the current time any more.
    pub(super) fn time_passes(&mut self) {
        self.now = None;
    }

    /// Whether a wait has used up the time of the call. Without a wait it has not, and the clock is not read.
    pub(super) fn is_late_after_wait(&mut self, parts: &Parts) -> bool {
        if !self.limit.is_some() || self.now.is_some() {
            return false;
        }
        let now = parts.clock.now();
        self.now = Some(now);
        now >= self.limit.at
    }

    /// Retry, if there is one and the call may be made more than once.
    #[inline(always)]
    pub(super) fn retry<'a>(&self, parts: &'a Parts) -> Option<&'a RetryExecutor> {
        parts.retry.as_ref().filter(|_| self.repeats != Repeats::Never)
    }

    /// The hedge, if there is one and the call may be made again while an attempt runs.
    #[inline(always)]
    pub(super) fn hedge<'a>(&self, parts: &'a Parts) -> Option<&'a Hedge> {
        parts.hedge.as_ref().filter(|_| self.repeats == Repeats::Freely)
    }

    /// Whether another attempt may follow one that ran into its time limit.
    pub(super) fn repeats_late_attempts(&self) -> bool {
        self.repeats == Repeats::Freely
    }

    /// Counts an attempt that begins now, and returns its time limit.
    #[inline(always)]
    pub(super) fn next_attempt(&mut self, parts: &Parts) -> AttemptLimit {
        self.attempts += 1;
        AttemptLimit::from_now(parts, self.now.take(), self.limit)
    }
}
