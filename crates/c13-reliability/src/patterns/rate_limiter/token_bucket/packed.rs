//! The bucket's word: who may change it, and how the plan that it is counted by changes under it.
//!
//! | bits | hold |
//! |---|---|
//! | 63 | whether somebody waits: newcomers have to queue |
//! | 62 | whether the word is held: it then changes under the lock only |
//! | 6 to 61 | the arrival time |
//! | 0 to 5 | an epoch that counts the changes of the plan |
//!
//! A decision reads the word, then the plan, then exchanges the word. Whoever changes the plan holds the word first, so
//! that every exchange fails that was computed before; the epoch keeps it from succeeding later by accident. Whoever
//! only reads looks at the epoch again at the end.

use super::super::cold_path::cold_path;
use super::super::config::RateLimiterConfig;
use super::super::error::Shortfall;
use super::gcra::{ARRIVAL, Attempt, Missing, Pace, Plan};
use super::warm_up::Warmth;
use crate::sync::Line;
use crate::sync::primitive::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::time::Tick;
use std::num::NonZeroU64;

const WAITING: u64 = 1 << 63;
const HELD: u64 = 1 << 62;
const EPOCH: u64 = !(WAITING | HELD | ARRIVAL);

/// A word and its plan.
#[derive(Debug)]
pub(super) struct PackedBucket {
    word: Line,
    plan: Cells,
    /// Held by whoever changes the plan, and by every decision while the word is held.
    held: Mutex<Held>,
}

/// What decisions need the lock for.
#[derive(Debug)]
struct Held {
    plan: Plan,
    warmth: Option<Warmth>,
    /// Since when somebody waits, or when something was last given back: all that time the bucket has held too little for
    /// the first who waits, so what was reserved may be paid as of any later time.
    since: Tick,
}

/// For whom tokens are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    /// Somebody who just came, and has to queue if others wait.
    Newcomer,
    /// The first who waits.
    Waiter,
    /// The first who waits, who gets them as of the time when they were there.
    Reservation,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken {
    /// The tokens are taken.
    Yes,
    /// They are not there, or something stands in the way: [`shortfall`](PackedBucket::shortfall) makes more of it.
    No(Untaken),
    /// Not without the lock.
    Unknown,
}

/// What was seen when tokens could not be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Untaken {
    word: u64,
    pace: Pace,
    missing: Missing,
}

/// What a look at the bucket finds.
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

/// What `n` tokens cost at `now` (in units) while it warms up, and how warm it is after them.
fn price(plan: &Plan, warmth: Warmth, arrival: u64, now: u64, n: u64) -> (u64, Warmth) {
    let rested = warmth.rested(plan.length(now.saturating_sub(arrival)));
    let (tokens, after) = rested.buy(n);
    (plan.price(tokens), after)
}

impl PackedBucket {
    /// A bucket as `config` wants it at `now`. The settings must be valid.
    pub(super) fn new(config: &RateLimiterConfig, now: Tick) -> Self {
        let plan = Plan::new(config, now);
        let warmth = config.warm_up.map(|warm_up| Warmth::new(warm_up, config.rate));
        let arrival = if config.start_empty { plan.empty() } else { 0 };
        Self {
            word: Line::new(arrival | held_bit(warmth)),
            plan: Cells::new(&plan),
            held: Mutex::new(Held {
                plan,
                warmth,
                since: now,
            }),
        }
    }

    /// Takes `n` tokens at `now`, unless something stands in the way.
    #[inline]
    pub(super) fn take(&self, now: Tick, n: u64) -> Taken {
        loop {
            if let Some(taken) = self.take_once(now, n) {
                return taken;
            }
        }
    }

    /// As [`take`](Self::take); `None` if somebody else was faster.
    #[inline]
    pub(super) fn take_once(&self, now: Tick, n: u64) -> Option<Taken> {
        // Acquire: the plan that is read next is at least as new as this word.
        let word = self.word.load(Ordering::Acquire);
        let pace = self.plan.pace();
        // A word that is held or waited for is no arrival time that anything could be taken at.
        let taken = match pace.take(word, now, n) {
            Attempt::Taken(taken) => taken,
            Attempt::Short(missing) => return Some(Taken::No(Untaken { word, pace, missing })),
            Attempt::Unknown => return Some(Taken::Unknown),
        };
        // Relaxed: the word stands for nothing but itself, and by holding the word first whoever changes the plan makes
        // this fail; after a failure it counts for nothing.
        let exchanged = self
            .word
            .compare_exchange_weak(word, taken, Ordering::Relaxed, Ordering::Relaxed);
        exchanged.is_ok().then_some(Taken::Yes)
    }

    /// What is missing where [`take`](Self::take) has just said no; `None` if it takes a longer look to know.
    #[inline]
    pub(super) fn shortfall(&self, untaken: &Untaken) -> Option<Shortfall> {
        let Untaken { word, pace, missing } = untaken;
        // Acquire: as with the rest of the plan.
        let Some(nanos_per_grain) = NonZeroU64::new(self.plan.nanos_per_grain.load(Ordering::Acquire)) else {
            cold_path();
            return None;
        };
        // Relaxed: if any part of the plan was newer than the word that was seen, the load of that part has seen that the
        // word was held, and so does this one. Nor has it been changed and changed back: the epoch tells.
        if self.word.load(Ordering::Relaxed) != *word {
            cold_path();
            return None;
        }
        Some(pace.shortfall(*missing, *word, nanos_per_grain))
    }

    /// Takes `n` tokens at `now`, if they are there and it is the `taker`'s turn. Takes the lock.
    pub(super) fn take_slowly(&self, now: Tick, n: u64, taker: Taker) -> bool {
        let mut held = self.hold(now);
        let (plan, warmth) = (held.plan, held.warmth);
        // A waiter that came before the burst was made smaller is served when the bucket is full.
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

    /// Takes all whole tokens that are there at `now`, at most `limit`, and says how many.
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

    /// Takes the whole tokens that are there at `now`, at most `limit`, and says how many. Takes the lock only where
    /// [`take`](Self::take) would need it, or where others were faster.
    pub(super) fn lend(&self, now: Tick, limit: u64) -> u64 {
        let view = self.view(now);
        let lent = view.plan.available(view.arrival, view.plan.units(now)).min(limit);
        if lent == 0 {
            return 0;
        }
        match self.take(now, lent) {
            Taken::Yes => lent,
            Taken::No(_) | Taken::Unknown => self.drain(now, limit),
        }
    }

    /// How things stand at `now`.
    pub(super) fn view(&self, now: Tick) -> View {
        loop {
            // Acquire: as in `take`.
            let word = self.word.load(Ordering::Acquire);
            let plan = self.plan.load();
            if word & HELD != 0 || plan.is_outlived(now) {
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
            // Relaxed: if any part of the plan was newer than the word, the load of that part has seen that the word
            // was held, and so does this one.
            if (self.word.load(Ordering::Relaxed) ^ word) & (EPOCH | HELD) == 0 {
                return View {
                    plan,
                    arrival: word & ARRIVAL,
                    waiting: word & WAITING != 0,
                    warmth: None,
                };
            }
        }
    }

    /// Whether somebody waits.
    pub(super) fn is_waited_for(&self) -> bool {
        // Relaxed: who queues looks again under the queue's lock.
        self.word.load(Ordering::Relaxed) & WAITING != 0
    }

    /// Notes whether somebody waits, from `now` on. Under the queue's lock.
    pub(super) fn set_waiting(&self, now: Tick, waiting: bool) {
        if waiting {
            self.held.lock().since = now;
            // Relaxed: what is given back before is in the word already, what comes later sees the bit.
            self.word.fetch_or(WAITING, Ordering::Relaxed);
        } else {
            // Relaxed: as above.
            self.word.fetch_and(!WAITING, Ordering::Relaxed);
        }
    }

    /// Goes by the settings in `config` from `now` on; tokens, debts and warmth stay. The settings must be valid.
    pub(super) fn change(&self, now: Tick, config: &RateLimiterConfig) {
        let mut held = self.held.lock();
        let warmth = config.warm_up.map(|warm_up| {
            let mut warmth = Warmth::new(warm_up, config.rate);
            if let Some(old) = &held.warmth {
                warmth.carry_over(old);
            }
            warmth
        });
        self.replace(&mut held, now, Plan::new(config, now), warmth);
    }

    /// Takes the lock, and renews a plan that is outlived.
    fn hold(&self, now: Tick) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock();
        if held.plan.is_outlived(now) {
            let (plan, warmth) = (held.plan.renewed(now), held.warmth);
            self.replace(&mut held, now, plan, warmth);
        }
        held
    }

    fn replace(&self, held: &mut Held, now: Tick, plan: Plan, warmth: Option<Warmth>) {
        // Relaxed: the plan is stored with Release, so who sees a part of it sees this. From here on only this thread
        // changes the arrival time.
        let word = self.word.fetch_or(HELD, Ordering::Relaxed);
        let arrival = plan.carry_over(&held.plan, word & ARRIVAL, now);
        self.plan.store(&plan);
        let epoch = word.wrapping_add(1) & EPOCH;
        // Release: who sees this word sees the new plan. Relaxed on failure: only a guess.
        let _ = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            Some(word & WAITING | held_bit(warmth) | epoch | arrival)
        });
        (held.plan, held.warmth) = (plan, warmth);
    }

    /// Exchanges the arrival time for what `next` makes of the word. Under the lock, so that the plan stays.
    fn exchange(&self, mut next: impl FnMut(u64) -> Option<u64>) -> bool {
        self.word
            // Relaxed: as in `take`.
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                next(word).map(|arrival| word & !ARRIVAL | arrival)
            })
            .is_ok()
    }
}

/// A limiter that warms up takes the lock for every decision.
fn held_bit(warmth: Option<Warmth>) -> u64 {
    if warmth.is_some() { HELD } else { 0 }
}

/// A plan that may be read while it changes; what was read counts only if the word says so.
#[derive(Debug)]
struct Cells {
    origin: AtomicU64,
    units_per_nano: AtomicU64,
    nanos_per_grain: AtomicU64,
    token: AtomicU64,
    depth: AtomicU64,
    burst: AtomicU64,
}

impl Cells {
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
        // Acquire: who sees a part of a new plan sees that the word was held for it.
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
