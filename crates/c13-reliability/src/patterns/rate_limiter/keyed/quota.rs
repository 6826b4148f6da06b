//! What is kept for one key, and how it is decided, for each kind of limiter: pure, and as small as can be.

use super::super::config::{RateLimiterConfig, SlidingWindowConfig};
use super::super::error::{RateLimitError, Shortfall};
use super::super::sliding_window::approximate::ApproximateWindow;
use super::super::sliding_window::exact::ExactWindow;
use super::super::token_bucket::gcra::{Attempt, Plan};
use super::snapshot::QuotaStatus;
use crate::time::Tick;
use std::time::Duration;

/// A quota, as it is applied to a key's state.
pub(super) trait Rules: Clone {
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

    /// Takes `n` at `now` where that is quickly done; otherwise [`decide`](Self::decide) does it, or says why not. Rules
    /// that are [outlived](Self::is_outlived) do nothing quickly.
    #[inline]
    fn take_quickly(&self, _state: &mut Self::State, _now: Tick, _n: u64) -> bool {
        false
    }

    /// Takes `n` at `now`, or says what is missing. `n` is at most the capacity.
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

    /// Whether the rules cannot count to `now` any more.
    #[inline]
    fn is_outlived(&self, _now: Tick) -> bool {
        false
    }

    /// The same rules, counting from `now` on.
    fn renewed(&self, _now: Tick) -> Self {
        self.clone()
    }

    /// The state under these rules of a key that had `state` under `old` ones.
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

    /// Takes `n` at `now`, or says why not.
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
pub(super) struct BucketRules {
    plan: Plan,
    window: Duration,
}

impl BucketRules {
    pub(super) fn new(config: &RateLimiterConfig, now: Tick) -> Self {
        Self {
            plan: Plan::new(config, now),
            window: Duration::from_secs_f64(config.burst as f64 / config.rate),
        }
    }
}

impl Rules for BucketRules {
    /// The arrival time.
    type State = u64;

    fn fresh(&self, _now: Tick) -> u64 {
        0
    }

    #[inline]
    fn take_quickly(&self, arrival: &mut u64, now: Tick, n: u64) -> bool {
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

/// An exact sliding window for each key: eight bytes a request, and some more.
#[derive(Clone, Debug)]
pub(super) struct RingRules(SlidingWindowConfig);

impl RingRules {
    pub(super) const fn new(config: SlidingWindowConfig) -> Self {
        Self(config)
    }
}

impl Rules for RingRules {
    type State = ExactWindow;

    const HAS_HEAP: bool = true;

    fn heap(ring: &ExactWindow) -> usize {
        ring.heap()
    }

    fn fresh(&self, _now: Tick) -> ExactWindow {
        ExactWindow::new(self.0.max_requests as usize, self.0.window)
    }

    fn take(&self, ring: &mut ExactWindow, now: Tick, n: u64) -> Result<(), Shortfall> {
        ring.admit_many(now, n as usize).map_err(|opens_at| Shortfall {
            available: ring.available(now),
            wait: opens_at - now,
        })
    }

    fn give_back(&self, ring: &mut ExactWindow, n: u64) {
        ring.forget(n as usize);
    }

    fn shortfall(&self, ring: &ExactWindow, now: Tick, n: u64) -> Shortfall {
        Shortfall {
            available: ring.available(now),
            wait: ring.opens_at(now, n.saturating_sub(1)) - now,
        }
    }

    fn busy_for(&self, ring: &ExactWindow, now: Tick) -> Duration {
        ring.empty_at() - now
    }

    fn capacity(&self) -> u64 {
        self.0.max_requests
    }

    fn window(&self) -> Duration {
        self.0.window
    }

    fn carry_over(&self, _old: &Self, ring: &ExactWindow, now: Tick) -> ExactWindow {
        let mut carried = self.fresh(now);
        carried.take_over(ring);
        carried
    }
}

/// An approximate sliding window for each key: four words.
#[derive(Clone, Debug)]
pub(super) struct CounterRules(SlidingWindowConfig);

impl CounterRules {
    pub(super) const fn new(config: SlidingWindowConfig) -> Self {
        Self(config)
    }
}

impl Rules for CounterRules {
    type State = ApproximateWindow;

    fn fresh(&self, now: Tick) -> ApproximateWindow {
        ApproximateWindow::new(self.0.max_requests, self.0.window, now)
    }

    fn take(&self, counter: &mut ApproximateWindow, now: Tick, n: u64) -> Result<(), Shortfall> {
        counter.admit_many(now, n).map_err(|opens_at| Shortfall {
            available: counter.available(now),
            wait: opens_at - now,
        })
    }

    fn give_back(&self, counter: &mut ApproximateWindow, n: u64) {
        counter.give_back(n);
    }

    fn shortfall(&self, counter: &ApproximateWindow, now: Tick, n: u64) -> Shortfall {
        Shortfall {
            available: counter.available(now),
            wait: counter.opens_at(now, n.saturating_sub(1)) - now,
        }
    }

    fn busy_for(&self, counter: &ApproximateWindow, now: Tick) -> Duration {
        counter.empty_at() - now
    }

    fn capacity(&self) -> u64 {
        self.0.max_requests
    }

    fn window(&self) -> Duration {
        self.0.window
    }

    fn carry_over(&self, _old: &Self, counter: &ApproximateWindow, now: Tick) -> ApproximateWindow {
        let mut carried = self.fresh(now);
        carried.hold(counter.held(now));
        carried
    }
}
