//! The packed state of a token bucket: one atomic word, and the plan by which it is read.
//!
//! | bits | hold |
//! |---|---|
//! | 63 | whether there are waiters, so that new callers have to queue |
//! | 62 | whether the word is locked: it then changes under the mutex only |
//! | 6 to 61 | the arrival time |
//! | 0 to 5 | the generation of the plan: an epoch that counts its changes |
//!
//! The fast path reads the word, then the plan, then exchanges the word. A thread that changes the plan sets the locked bit
//! first, so that every exchange fails that was computed before; the epoch keeps such an exchange from succeeding later by
//! accident. A thread that only reads compares the epoch again at the end.

use super::super::cold_path::cold_path;
use super::super::error::Shortfall;
use super::config::RateLimiterConfig;
use super::gcra::{ARRIVAL, Attempt, Missing, Pace, Plan};
use super::warm_up::Warmth;
use crate::sync::CacheLine;
use crate::sync::primitive::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::time::Tick;
use std::num::NonZeroU64;

const WAITING: u64 = 1 << 63;
const LOCKED: u64 = 1 << 62;
const EPOCH: u64 = !(WAITING | LOCKED | ARRIVAL);

/// A token bucket that any number of threads may take from.
#[derive(Debug)]
pub(super) struct PackedBucket {
    word: CacheLine,
    plan: AtomicPlan,
    /// Taken for a change of the plan, and for every decision while the word has its locked bit.
    locked: Mutex<Locked>,
}

/// The part of the state that is behind the mutex.
#[derive(Debug)]
struct Locked {
    plan: Plan,
    warmth: Option<Warmth>,
    /// Since when there are waiters, or when tokens were last given back. From then on the bucket has held too little for the
    /// first waiter, so a reservation may be paid as of any later time.
    since: Tick,
}

/// Who takes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    /// A new caller, who has to queue if there are waiters.
    Newcomer,
    /// The first waiter.
    Waiter,
    /// The first waiter, which is a reservation: it gets the tokens as of the time when they were available.
    Reservation,
}

/// The outcome of the fast path.
#[derive(Clone, Copy, Debug)]
pub(super) enum FastTake {
    /// The tokens are taken.
    Taken,
    /// There are too few; [`shortfall`](PackedBucket::shortfall) tells how many.
    Short(Shortage),
    /// It cannot be decided without the mutex.
    NeedsLock,
}

/// What was read when there were too few tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortage {
    word: u64,
    pace: Pace,
    missing: Missing,
}

/// A consistent reading of the bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) plan: Plan,
    pub(super) arrival: u64,
    pub(super) waiting: bool,
    warmth: Option<Warmth>,
}

impl View {
    /// What `n` tokens would cost at `now`, in units.
    pub(super) fn cost(&self, now: Tick, n: u64) -> u64 {
        match self.warmth {
            Some(warmth) => price(&self.plan, warmth, self.arrival, self.plan.units(now), n).0,
            None => self.plan.cost(n),
        }
    }
}

/// What `n` tokens cost at `now` (in units) during a warm-up, and how warm the bucket is after them.
fn price(plan: &Plan, warmth: Warmth, arrival: u64, now: u64, n: u64) -> (u64, Warmth) {
    let rested = warmth.rested(plan.length(now.saturating_sub(arrival)));
    let (tokens, after) = rested.buy(n);
    (plan.price(tokens), after)
}

impl PackedBucket {
    /// A bucket with the settings in `config`, which must be valid, at `now`.
    pub(super) fn new(config: &RateLimiterConfig, now: Tick) -> Self {
        let plan = Plan::new(config, now);
        let warmth = config.warm_up.map(|warm_up| Warmth::new(warm_up, config.rate));
        let arrival = if config.start_empty { plan.empty() } else { 0 };
        Self {
            word: CacheLine::new(arrival | locked_bit(warmth)),
            plan: AtomicPlan::new(&plan),
            locked: Mutex::new(Locked {
                plan,
                warmth,
                since: now,
            }),
        }
    }

    /// The fast path: takes `n` tokens at `now`, if it can be decided without the mutex.
    #[inline]
    pub(super) fn take(&self, now: Tick, n: u64) -> FastTake {
        loop {
            if let Some(taken) = self.take_once(now, n) {
                return taken;
            }
        }
    }

    /// One round of [`take`](Self::take); `None` if another thread has changed the word meanwhile.
    #[inline]
    pub(super) fn take_once(&self, now: Tick, n: u64) -> Option<FastTake> {
        // Acquire: the plan that is read next is at least as new as this word.
        let word = self.word.load(Ordering::Acquire);
        let pace = self.plan.pace();
        // A word with one of the upper two bits set is no arrival time that anything could be taken at.
        let taken = match pace.take(word, now, n) {
            Attempt::Taken(taken) => taken,
            Attempt::Short(missing) => return Some(FastTake::Short(Shortage { word, pace, missing })),
            Attempt::Unknown => return Some(FastTake::NeedsLock),
        };
        // Relaxed: the word publishes nothing but itself. A change of the plan sets the locked bit first, which makes this
        // fail, and after a failure nothing that was read counts.
        let exchanged = self
            .word
            .compare_exchange_weak(word, taken, Ordering::Relaxed, Ordering::Relaxed);
        exchanged.is_ok().then_some(FastTake::Taken)
    }

    /// What is missing where [`take`](Self::take) has just found too few tokens; `None` if only the slow path can tell.
    #[inline]
    pub(super) fn shortfall(&self, shortage: &Shortage) -> Option<Shortfall> {
        let Shortage { word, pace, missing } = shortage;
        // Acquire: as with the rest of the plan.
        let Some(nanos_per_grain) = NonZeroU64::new(self.plan.nanos_per_grain.load(Ordering::Acquire)) else {
            cold_path();
            return None;
        };
        // Relaxed: if any part of the plan was newer than the word that was read, the load of that part has made the locked
        // bit visible, and so this load sees it. Nor can the word have changed and changed back: the epoch would differ.
        if self.word.load(Ordering::Relaxed) != *word {
            cold_path();
            return None;
        }
        Some(pace.shortfall(*missing, *word, nanos_per_grain))
    }

    /// The slow path: takes `n` tokens at `now` under the mutex, if they are available and it is the `taker`'s turn.
    pub(super) fn take_slowly(&self, now: Tick, n: u64, taker: Taker) -> bool {
        let mut held = self.hold(now);
        let (plan, warmth) = (held.plan, held.warmth);
        // A waiter from before the burst was made smaller is served when the bucket is full.
        if n > plan.burst && taker == Taker::Newcomer {
            return false;
        }
        let at = plan.units(now);
        let since = if taker == Taker::Reservation {
            plan.units(held.since)
        } else {
            at
        };
        let mut warmed = warmth;
        let taken = self.exchange(|word| {
            let arrival = word & ARRIVAL;
            let cost = match warmth {
                Some(warmth) => {
                    let (cost, after) = price(&plan, warmth, arrival, since, n);
                    warmed = Some(after);
                    cost
                }
                None => plan.cost(n),
            };
            if word & WAITING != 0 && taker == Taker::Newcomer {
                return None;
            }
            plan.pay_as_of(arrival, since, at, cost)
        });
        if taken {
            held.warmth = warmed;
        }
        taken
    }

    /// Gives `n` tokens back.
    pub(super) fn give_back(&self, now: Tick, n: u64) {
        let mut held = self.hold(now);
        held.since = held.since.max(now);
        let plan = held.plan;
        self.exchange(|word| Some(plan.give_back(word & ARRIVAL, n)));
    }

    /// Takes all whole tokens that are available at `now`, at most `limit`, and returns how many.
    pub(super) fn drain(&self, now: Tick, limit: u64) -> u64 {
        let held = self.hold(now);
        let (plan, at) = (held.plan, held.plan.units(now));
        let mut drained = 0;
        self.exchange(|word| {
            let arrival = word & ARRIVAL;
            drained = plan.available(arrival, at).min(limit);
            plan.pay(arrival, at, plan.cost(drained))
        });
        drained
    }

    /// Takes all whole tokens that are available at `now`, at most `limit`, and returns how many. Takes the mutex only where
    /// [`take`](Self::take) needs it, or where another thread has taken tokens meanwhile.
    pub(super) fn lend(&self, now: Tick, limit: u64) -> u64 {
        let view = self.view(now);
        let lent = view.plan.available(view.arrival, view.plan.units(now)).min(limit);
        if lent == 0 {
            return 0;
        }
        match self.take(now, lent) {
            FastTake::Taken => lent,
            FastTake::Short(_) | FastTake::NeedsLock => self.drain(now, limit),
        }
    }

    /// A consistent reading at `now`.
    pub(super) fn view(&self, now: Tick) -> View {
        loop {
            // Acquire: as in `take`.
            let word = self.word.load(Ordering::Acquire);
            let plan = self.plan.load();
            if word & LOCKED != 0 || plan.is_outlived(now) {
                let held = self.hold(now);
                // Relaxed: under the lock.
                let word = self.word.load(Ordering::Relaxed);
                return View {
                    plan: held.plan,
                    arrival: word & ARRIVAL,
                    waiting: word & WAITING != 0,
                    warmth: held.warmth,
                };
            }
            // Relaxed: if any part of the plan was newer than the word, the load of that part has made the locked bit
            // visible, and so this load sees it.
            if (self.word.load(Ordering::Relaxed) ^ word) & (EPOCH | LOCKED) == 0 {
                return View {
                    plan,
                    arrival: word & ARRIVAL,
                    waiting: word & WAITING != 0,
                    warmth: None,
                };
            }
        }
    }

    /// Whether there are waiters.
    pub(super) fn is_waited_for(&self) -> bool {
        // Relaxed: a caller that queues looks again under the queue's lock.
        self.word.load(Ordering::Relaxed) & WAITING != 0
    }

    /// Sets whether there are waiters, from `now` on. The caller holds the queue's lock.
    pub(super) fn set_waiting(&self, now: Tick, waiting: bool) {
        if waiting {
            self.locked.lock().since = now;
            // Relaxed: tokens given back before are in the word already, and a later one sees the bit.
            self.word.fetch_or(WAITING, Ordering::Relaxed);
        } else {
            // Relaxed: as above.
            self.word.fetch_and(!WAITING, Ordering::Relaxed);
        }
    }

    /// Applies the settings in `config` from `now` on; tokens, debts and warmth stay. The settings must be valid.
    pub(super) fn change(&self, now: Tick, config: &RateLimiterConfig) {
        let mut held = self.locked.lock();
        let warmth = config.warm_up.map(|warm_up| {
            let mut warmth = Warmth::new(warm_up, config.rate);
            if let Some(old) = &held.warmth {
                warmth.carry_over(old);
            }
            warmth
        });
        self.replace(&mut held, now, Plan::new(config, now), warmth);
    }

    /// Takes the mutex, and renews a plan that is outlived.
    fn hold(&self, now: Tick) -> MutexGuard<'_, Locked> {
        let mut held = self.locked.lock();
        if held.plan.is_outlived(now) {
            let (plan, warmth) = (held.plan.renewed(now), held.warmth);
            self.replace(&mut held, now, plan, warmth);
        }
        held
    }

    fn replace(&self, held: &mut Locked, now: Tick, plan: Plan, warmth: Option<Warmth>) {
        // Relaxed: the plan is stored with Release, so a thread that sees a part of it sees this bit. From here on only this
        // thread changes the arrival time.
        let word = self.word.fetch_or(LOCKED, Ordering::Relaxed);
        let arrival = plan.carry_over(&held.plan, word & ARRIVAL, now);
        self.plan.store(&plan);
        let epoch = word.wrapping_add(1) & EPOCH;
        // Release: a thread that sees this word sees the new plan. Relaxed on failure: the value is only a guess.
        let _ = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            Some(word & WAITING | locked_bit(warmth) | epoch | arrival)
        });
        (held.plan, held.warmth) = (plan, warmth);
    }

    /// Exchanges the arrival time for what `next` makes of the word. The caller holds the mutex, so the plan stays.
    fn exchange(&self, mut next: impl FnMut(u64) -> Option<u64>) -> bool {
        self.word
            // Relaxed: as in `take`.
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                next(word).map(|arrival| word & !ARRIVAL | arrival)
            })
            .is_ok()
    }
}

/// A limiter with a warm-up takes the mutex for every decision.
fn locked_bit(warmth: Option<Warmth>) -> u64 {
    if warmth.is_some() { LOCKED } else { 0 }
}

/// A plan that may be read while it changes. What was read counts only if the word has not changed.
#[derive(Debug)]
struct AtomicPlan {
    origin: AtomicU64,
    units_per_nano: AtomicU64,
    nanos_per_grain: AtomicU64,
    token: AtomicU64,
    depth: AtomicU64,
    burst: AtomicU64,
}

impl AtomicPlan {
    fn new(plan: &Plan) -> Self {
        Self {
            origin: AtomicU64::new(plan.pace.origin.as_nanos()),
            units_per_nano: AtomicU64::new(plan.pace.units_per_nano),
            nanos_per_grain: AtomicU64::new(plan.nanos_per_grain),
            token: AtomicU64::new(plan.pace.token),
            depth: AtomicU64::new(plan.pace.depth),
            burst: AtomicU64::new(plan.burst),
        }
    }

    #[inline]
    fn load(&self) -> Plan {
        Plan {
            pace: self.pace(),
            // Acquire: as below.
            nanos_per_grain: self.nanos_per_grain.load(Ordering::Acquire),
            // Acquire: as below.
            burst: self.burst.load(Ordering::Acquire),
        }
    }

    #[inline]
    fn pace(&self) -> Pace {
        // Acquire: a thread that sees a part of a new plan sees the locked bit that was set for it.
        let load = |cell: &AtomicU64| cell.load(Ordering::Acquire);
        Pace {
            origin: Tick::from_nanos(load(&self.origin)),
            units_per_nano: load(&self.units_per_nano),
            token: load(&self.token),
            depth: load(&self.depth),
        }
    }

    fn store(&self, plan: &Plan) {
        // Release: as in `load`.
        let store = |cell: &AtomicU64, value| cell.store(value, Ordering::Release);
        store(&self.origin, plan.pace.origin.as_nanos());
        store(&self.units_per_nano, plan.pace.units_per_nano);
        store(&self.nanos_per_grain, plan.nanos_per_grain);
        store(&self.token, plan.pace.token);
        store(&self.depth, plan.pace.depth);
        store(&self.burst, plan.burst);
    }
}
