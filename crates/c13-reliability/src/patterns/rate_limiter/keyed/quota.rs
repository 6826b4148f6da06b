//! The quota of one key for each kind of limiter: what is kept for a key, and how a request is decided. Pure.

use super::super::error::{RateLimitError, Shortfall};
use super::super::sliding_window::SlidingWindowConfig;
use super::super::sliding_window::window::SlidingWindow;
use super::super::token_bucket::RateLimiterConfig;
use super::super::token_bucket::gcra::{Attempt, Plan};
use super::snapshot::QuotaStatus;
use crate::time::Tick;
use std::marker::PhantomData;
use std::time::Duration;

/// A quota, as it is applied to a key's state.
pub(super) trait KeyQuota: Clone {
    /// What is kept for a key.
    type State;

    /// Whether states hold something on the heap.
    const HAS_HEAP: bool = false;

    /// How many bytes a state holds on the heap.
    fn heap(_state: &Self::State) -> usize {
        0
    }

    /// The state of a key that was never seen.
    fn fresh(&self, now: Tick) -> Self::State;

    /// The fast path: takes `n` at `now`, or returns false and leaves it to [`decide`](Self::decide). A quota that is
    /// [outlived](Self::is_outlived) always returns false.
    #[inline]
    fn take_fast(&self, _state: &mut Self::State, _now: Tick, _n: u64) -> bool {
        false
    }

    /// Takes `n` at `now`, or returns what is missing. `n` is at most the capacity.
    fn take(&self, state: &mut Self::State, now: Tick, n: u64) -> Result<(), Shortfall>;

    /// Gives `n` back.
    fn give_back(&self, state: &mut Self::State, n: u64);

    /// What is missing for `n` at `now`.
    fn shortfall(&self, state: &Self::State, now: Tick, n: u64) -> Shortfall;

    /// How long until the key is as if it had never been seen; zero if it is.
    fn busy_for(&self, state: &Self::State, now: Tick) -> Duration;

    /// The largest request.
    fn capacity(&self) -> u64;

    /// In how much time the whole capacity comes back.
    fn window(&self) -> Duration;

    /// Whether the quota is too old to count to `now`.
    #[inline]
    fn is_outlived(&self, _now: Tick) -> bool {
        false
    }

    /// The same quota, counting from `now` on.
    fn renewed(&self, _now: Tick) -> Self {
        self.clone()
    }

    /// The state under this quota of a key that had `state` under the `old` one.
    fn carry_over(&self, old: &Self, state: &Self::State, now: Tick) -> Self::State;

    /// How the key stands at `now`.
    fn status(&self, state: &Self::State, now: Tick) -> QuotaStatus {
        QuotaStatus {
            limit: self.capacity(),
            window: self.window(),
            remaining: self.shortfall(state, now, 1).available,
            reset_after: self.busy_for(state, now),
        }
    }

    /// Takes `n` at `now`, or returns why not.
    #[inline]
    fn decide(&self, state: &mut Self::State, now: Tick, n: u64) -> Result<(), RateLimitError> {
        let capacity = self.capacity();
        if n == 0 {
            return Ok(());
        }
        if n > capacity {
            return Err(RateLimitError::ExceedsCapacity { requested: n, capacity });
        }
        self.take(state, now, n).map_err(|short| short.refuse(n))
    }
}

/// A token bucket for each key: eight bytes.
#[derive(Clone, Debug)]
pub(super) struct BucketQuota {
    plan: Plan,
    window: Duration,
}

impl BucketQuota {
    pub(super) fn new(config: &RateLimiterConfig, now: Tick) -> Self {
        Self {
            plan: Plan::new(config, now),
            window: Duration::from_secs_f64(config.burst as f64 / config.rate),
        }
    }
}

impl KeyQuota for BucketQuota {
    /// The arrival time.
    type State = u64;

    fn fresh(&self, _now: Tick) -> u64 {
        0
    }

    #[inline]
    fn take_fast(&self, arrival: &mut u64, now: Tick, n: u64) -> bool {
        let Attempt::Taken(taken) = self.plan.pace.take(*arrival, now, n) else {
            return false;
        };
        *arrival = taken;
        true
    }

    fn take(&self, arrival: &mut u64, now: Tick, n: u64) -> Result<(), Shortfall> {
        let (units, cost) = (self.plan.units(now), self.plan.cost(n));
        match self.plan.pay(*arrival, units, cost) {
            Some(paid) => {
                *arrival = paid;
                Ok(())
            }
            None => Err(self.plan.shortfall(*arrival, now, 0, cost)),
        }
    }

    fn give_back(&self, arrival: &mut u64, n: u64) {
        *arrival = self.plan.give_back(*arrival, n);
    }

    fn shortfall(&self, arrival: &u64, now: Tick, n: u64) -> Shortfall {
        self.plan.shortfall(*arrival, now, 0, self.plan.cost(n))
    }

    fn busy_for(&self, arrival: &u64, now: Tick) -> Duration {
        self.plan.full_after(*arrival, now)
    }

    fn capacity(&self) -> u64 {
        self.plan.burst
    }

    fn window(&self) -> Duration {
        self.window
    }

    #[inline]
    fn is_outlived(&self, now: Tick) -> bool {
        self.plan.is_outlived(now)
    }

    fn renewed(&self, now: Tick) -> Self {
        Self {
            plan: self.plan.renewed(now),
            window: self.window,
        }
    }

    fn carry_over(&self, old: &Self, arrival: &u64, now: Tick) -> u64 {
        self.plan.carry_over(&old.plan, *arrival, now)
    }
}

/// A sliding window of one kind for each key.
#[derive(Debug)]
pub(super) struct WindowQuota<W> {
    config: SlidingWindowConfig,
    kind: PhantomData<fn() -> W>,
}

impl<W> WindowQuota<W> {
    pub(super) const fn new(config: SlidingWindowConfig) -> Self {
        Self {
            config,
            kind: PhantomData,
        }
    }
}

impl<W> Clone for WindowQuota<W> {
    fn clone(&self) -> Self {
        Self::new(self.config)
    }
}

impl<W: SlidingWindow> KeyQuota for WindowQuota<W> {
    type State = W;

    const HAS_HEAP: bool = W::HAS_HEAP;

    fn heap(window: &W) -> usize {
        window.heap()
    }

    fn fresh(&self, now: Tick) -> W {
        W::empty(&self.config, now)
    }

    fn take(&self, window: &mut W, now: Tick, n: u64) -> Result<(), Shortfall> {
        window.admit_many(now, n).map_err(|opens_at| Shortfall {
            available: window.available(now),
            wait: opens_at - now,
        })
    }

    fn give_back(&self, window: &mut W, n: u64) {
        window.give_back(n);
    }

    fn shortfall(&self, window: &W, now: Tick, n: u64) -> Shortfall {
        Shortfall {
            available: window.available(now),
            wait: window.opens_at(now, n.saturating_sub(1)) - now,
        }
    }

    fn busy_for(&self, window: &W, now: Tick) -> Duration {
        window.empty_at() - now
    }

    fn capacity(&self) -> u64 {
        self.config.max_requests
    }

    fn window(&self) -> Duration {
        self.config.window
    }

    fn carry_over(&self, _old: &Self, window: &W, now: Tick) -> W {
        W::carry_over(&self.config, window, now)
    }
}
