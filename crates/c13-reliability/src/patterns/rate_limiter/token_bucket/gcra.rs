//! The token bucket's arithmetic: the generic cell rate algorithm, counted in fractions of a token.
//!
//! Time is turned into units by one multiplication from the plan's origin, and a token is a whole power of two of them.
//! So nothing is ever rounded twice: however often the bucket is asked, and whatever the rate, over a long time it
//! refills exactly as much as it should. The bucket's whole state is one number, the *theoretical arrival time* (in
//! units): when it will be full again. Everything here is a pure function of that number, the time and the request.
//!
//! Units come in grains of 64: every time, cost and depth is a whole number of grains. So the lowest bits of an arrival time
//! are free for its owner, and [`Plan::pay`] keeps them as they are.
//!
//! Algorithm: ITU-T I.371, generic cell rate algorithm, virtual scheduling.

use super::super::cold_path::cold_path;
use super::super::error::Shortfall;
use super::config::RateLimiterConfig;
use crate::time::Tick;
use std::num::NonZeroU64;
use std::time::Duration;

/// A grain is two to the power of this many units.
pub(crate) const GRAIN_BITS: u32 = 6;
/// The units below a grain.
const BELOW_GRAIN: u64 = (1 << GRAIN_BITS) - 1;
/// The bits of an arrival time.
pub(crate) const ARRIVAL: u64 = ((1 << 62) - 1) & !BELOW_GRAIN;
/// The largest depth of a bucket, and the largest cost of a request, in units.
const DEEPEST: u64 = 1 << 60;
/// For how long after its origin a plan is valid, in nanoseconds: 208 days. Then it is [renewed](Plan::renewed).
const GOOD_FOR: u64 = 1 << 54;
/// Units a nanosecond are kept with this many binary places. They are below 2⁷, and above 2⁻³.
const PLACES: u32 = 56;
/// The other factor of a product with [`PLACES`] is shifted left by this much first, so that the result is just the
/// upper half of the product: to shift both halves together would cost as much as the multiplication.
const TO_UPPER: u32 = 64 - PLACES;
/// Nanoseconds a grain are kept with this many, where they are at most 1.
const INVERSE_PLACES: u32 = 63;
/// How many binary places the upper half of a product has, of such a factor and a number of units.
const INVERSE_TO_UPPER: u32 = INVERSE_PLACES + GRAIN_BITS - 64;

/// The settings of a token bucket, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    /// Nanoseconds a grain, to [`INVERSE_PLACES`], rounded up; 0 where a grain is longer than a nanosecond, and in shadow
    /// mode, where the fast path refuses nothing.
    pub(crate) nanos_per_grain: u64,
    /// The largest request, in tokens.
    pub(crate) burst: u64,
}

/// The part of a plan that it takes to admit a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Where units are counted from.
    pub(crate) origin: Tick,
    /// Units a nanosecond, to [`PLACES`], rounded up.
    pub(crate) units_per_nano: u64,
    /// How many units a token is: a power of two.
    pub(crate) token: u64,
    /// How far the arrival time may lie ahead of now, in units.
    pub(crate) depth: u64,
}

impl Plan {
    /// The plan for valid settings, counting from `origin`.
    pub(crate) fn new(config: &RateLimiterConfig, origin: Tick) -> Self {
        // A grain is as fine as a nanosecond, if the largest cost leaves room for that.
        let (mut token_bits, mut grains_per_second) = (GRAIN_BITS, config.rate);
        while grains_per_second < 1e9 {
            token_bits += 1;
            grains_per_second *= 2.0;
        }
        let dearest = config.warm_up.map_or(1.0, |warm_up| warm_up.cold_factor) * config.burst as f64;
        while token_bits > GRAIN_BITS && dearest > (DEEPEST >> token_bits) as f64 {
            token_bits -= 1;
        }
        let units_per_nano = scaled(config.rate, token_bits + PLACES);
        let inverse = (1_u128 << (PLACES + GRAIN_BITS + INVERSE_PLACES)).div_ceil(u128::from(units_per_nano));
        Self {
            pace: Pace {
                origin,
                units_per_nano,
                token: 1 << token_bits,
                depth: if config.paced { 1 } else { config.burst } << token_bits,
            },
            nanos_per_grain: if inverse <= 1 << INVERSE_PLACES && !config.shadow {
                inverse as u64
            } else {
                0
            },
            burst: config.burst,
        }
    }

    /// Whether the plan is too old to count to `now`.
    pub(crate) fn is_outlived(&self, now: Tick) -> bool {
        self.elapsed(now) > GOOD_FOR
    }

    /// The same plan, counting from `origin`.
    pub(crate) fn renewed(self, origin: Tick) -> Self {
        let pace = Pace { origin, ..self.pace };
        Self { pace, ..self }
    }

    /// The arrival time of a bucket that is empty at the origin of the plan.
    pub(crate) fn empty(&self) -> u64 {
        self.pace.depth
    }

    /// The units from the origin to `now`, rounded down to grains. The plan must not be outlived.
    #[inline]
    pub(crate) fn units(&self, now: Tick) -> u64 {
        self.pace.units(self.elapsed(now)) & !BELOW_GRAIN
    }

    /// The time in which so many units refill, in nanoseconds.
    pub(crate) fn length(&self, units: u64) -> f64 {
        units as f64 / (self.pace.units_per_nano as f64 / (1_u64 << PLACES) as f64)
    }

    /// The cost of `n` tokens, in units; no request costs more than the deepest bucket holds.
    #[inline]
    pub(crate) fn cost(&self, n: u64) -> u64 {
        n.saturating_mul(self.pace.token).min(DEEPEST)
    }

    /// The cost of a number of tokens that need not be whole, rounded up.
    pub(crate) fn price(&self, tokens: f64) -> u64 {
        // Far too many tokens are as many as fit.
        ((tokens * self.pace.token as f64).ceil() as u64)
            .min(DEEPEST)
            .next_multiple_of(1 << GRAIN_BITS)
    }

    /// Pays `cost` at `now` (in units): the new arrival time, or `None` if the bucket holds too little. A request that costs
    /// more than a full bucket holds is admitted when the bucket is full, and the rest is paid off afterwards.
    pub(crate) fn pay(&self, arrival: u64, now: u64, cost: u64) -> Option<u64> {
        self.pay_as_of(arrival, now, now, cost)
    }

    /// Pays `cost` as of the moment between `since` and `now` at which the bucket first held as much. What has been
    /// refilled after that moment stays in the bucket.
    pub(crate) fn pay_as_of(&self, arrival: u64, since: u64, now: u64, cost: u64) -> Option<u64> {
        let base = arrival.max(since);
        (base + cost.min(self.pace.depth) <= now + self.pace.depth).then_some(base + cost)
    }

    /// Gives `n` tokens back; the bucket never holds more than its depth.
    pub(crate) fn give_back(&self, arrival: u64, n: u64) -> u64 {
        arrival.saturating_sub(self.cost(n.min(self.burst)))
    }

    /// How many whole tokens are available.
    #[inline]
    pub(crate) fn available(&self, arrival: u64, now: u64) -> u64 {
        (now + self.pace.depth).saturating_sub(arrival.max(now)) >> self.pace.token.trailing_zeros()
    }

    /// How long after `now` the bucket is full; zero if it is.
    pub(crate) fn full_after(&self, arrival: u64, now: Tick) -> Duration {
        if arrival <= self.units(now) {
            Duration::ZERO
        } else {
            self.until(now, arrival)
        }
    }

    /// What is missing for `cost` at `now`, if `ahead` tokens go to other waiters first.
    pub(crate) fn shortfall(&self, arrival: u64, now: Tick, ahead: u128, cost: u64) -> Shortfall {
        let units = self.units(now);
        if ahead > u128::from(ARRIVAL / self.pace.token) {
            return Shortfall::NEVER;
        }
        let due = arrival.max(units) + (ahead as u64) * self.pace.token + cost.min(self.pace.depth);
        Shortfall {
            available: if ahead == 0 { self.available(arrival, units) } else { 0 },
            wait: self.until(now, due.saturating_sub(self.pace.depth)),
        }
    }

    /// The arrival time at `now`, when this plan begins, for a bucket that was at `arrival` under the plan `old`: it
    /// holds as many tokens, as far as it can, and owes as many.
    pub(crate) fn carry_over(&self, old: &Self, arrival: u64, now: Tick) -> u64 {
        let elapsed = u128::from(old.elapsed(now)) * u128::from(old.pace.units_per_nano);
        // Below 2⁷¹, so that nothing here can overflow.
        let units = (elapsed >> PLACES) as i128;
        let balance = units + i128::from(old.pace.depth) - units.max(i128::from(arrival));
        // Rounded down to grains, so that a change of the plan never adds to the bucket.
        let balance =
            (balance * i128::from(self.pace.token)).div_euclid(i128::from(old.pace.token)) & !i128::from(BELOW_GRAIN);
        let depth = i128::from(self.pace.depth);
        (depth - balance.min(depth)).clamp(0, i128::from(ARRIVAL >> 1)) as u64 & ARRIVAL
    }

    #[inline]
    fn elapsed(&self, now: Tick) -> u64 {
        now.as_nanos().saturating_sub(self.pace.origin.as_nanos())
    }

    /// How long after `now` it is `due` units: to the nanosecond, and never too early.
    fn until(&self, now: Tick, due: u64) -> Duration {
        let nanos = if self.nanos_per_grain == 0 {
            (u128::from(due) << PLACES).div_ceil(self.pace.units_per_nano.into()) as u64
        } else {
            self.pace.nanos(due, self.nanos_per_grain)
        };
        Duration::from_nanos(nanos.saturating_sub(self.elapsed(now)))
    }
}

/// The outcome of an attempt to take tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attempt {
    /// The new arrival time.
    Taken(u64),
    /// There are too few now; a full bucket holds enough.
    Short(Missing),
    /// Undecided: the plan is too old, what was given is no arrival time, the request is for more than a full bucket holds,
    /// or it is for nothing.
    Unknown,
}

/// What is known of a request for which there were too few tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing {
    n: u64,
    /// The arrival time that it would have led to, within a grain.
    after: u64,
    /// The time of the request, in nanoseconds after the origin.
    elapsed: u64,
    /// The arrival time of an empty bucket at that time, within a grain.
    empty: u64,
}

impl Pace {
    /// Takes `n` tokens at `now`. The bits of `arrival` below a grain stay, and if its highest two bits are not zero, nothing
    /// is taken.
    ///
    /// The fields may be of two plans, if they were read during a change. Then the result means nothing, except that nothing
    /// is taken if those bits are not zero.
    #[inline]
    pub(crate) fn take(&self, arrival: u64, now: Tick, n: u64) -> Attempt {
        let elapsed = now.as_nanos().wrapping_sub(self.origin.as_nanos());
        let Some(cost) = n.checked_mul(self.token) else {
            return Attempt::Unknown;
        };
        if elapsed > GOOD_FOR || arrival > ARRIVAL | BELOW_GRAIN {
            cold_path();
            return Attempt::Unknown;
        }
        // A full bucket holds at least one token.
        if n != 1 && (n == 0 || cost > self.depth) {
            cold_path();
            return Attempt::Unknown;
        }
        let units = self.units(elapsed);
        // All but the lowest bits are whole grains, so no arrival time is above this, whatever its lowest bits are.
        let empty = (units | BELOW_GRAIN) + self.depth;
        // Neither is above 2⁶²: a token is no more than the deepest bucket holds.
        let after = arrival + cost;
        if after > empty {
            return Attempt::Short(Missing {
                n,
                after,
                elapsed,
                empty,
            });
        }
        let now = units & !BELOW_GRAIN | arrival & BELOW_GRAIN;
        Attempt::Taken(arrival.max(now).wrapping_add(cost))
    }

    /// What is missing where [`take`](Self::take) has just found too few tokens at `arrival`; takes
    /// [`Plan::nanos_per_grain`].
    ///
    /// When the tokens will be available does not depend on now, so the processor computes that while it still waits for the
    /// clock.
    #[inline]
    pub(crate) fn shortfall(&self, missing: Missing, arrival: u64, nanos_per_grain: NonZeroU64) -> Shortfall {
        // It lies ahead of now, or the tokens would have been available: neither difference is below zero.
        let due = (missing.after - self.depth) & !BELOW_GRAIN;
        let wait = self.nanos(due, nanos_per_grain.get()) - missing.elapsed;
        // Fewer tokens are available than were asked for.
        let available = if missing.n == 1 {
            0
        } else {
            missing.empty.saturating_sub(arrival) >> self.token.trailing_zeros()
        };
        Shortfall {
            available,
            wait: Duration::from_nanos(wait),
        }
    }

    /// The units of so many nanoseconds, below 2⁵⁶.
    #[inline]
    const fn units(&self, nanos: u64) -> u64 {
        upper(nanos << TO_UPPER, self.units_per_nano)
    }

    /// How many nanoseconds after the origin `due` units are reached, rounded up. Without a division, which would cost more
    /// than the rest of a refusal; so the length of a grain must be known.
    #[inline]
    fn nanos(&self, due: u64, nanos_per_grain: u64) -> u64 {
        // The factor was rounded up, which makes the product too large by less than 2⁻⁷ of a nanosecond. The product has 2⁵
        // parts of a nanosecond, so only where all of these are zero can it be wrong.
        let product = upper(due, nanos_per_grain);
        let nanos = product >> INVERSE_TO_UPPER;
        if !product.is_multiple_of(1 << INVERSE_TO_UPPER) {
            return nanos + 1;
        }
        // Below 2⁵⁶, because a grain is at most a nanosecond.
        nanos + u64::from(self.units(nanos) < due)
    }
}

/// The upper half of a product.
#[inline]
const fn upper(a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128) >> 64) as u64
}

/// `rate · 2^bits / 10⁹`, rounded up; exact in all bits of `rate`.
fn scaled(rate: f64, bits: u32) -> u64 {
    const MANTISSA: u32 = f64::MANTISSA_DIGITS - 1;
    let mantissa = rate.to_bits() & ((1 << MANTISSA) - 1) | 1 << MANTISSA;
    let exponent = (rate.to_bits() >> MANTISSA) as i32 - 1023 - MANTISSA as i32 + bits as i32;
    // Of the rates that are allowed, none brings the exponent below zero or the product above 2⁹³.
    (u128::from(mantissa) << exponent).div_ceil(1_000_000_000) as u64
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::Random;

    fn plan(rate: f64, burst: u64) -> Plan {
        let config = RateLimiterConfig::new(rate, burst);
        config.validate().expect("the test's settings make sense");
        Plan::new(&config, Tick::ZERO)
    }

    fn taken(attempt: Attempt) -> Option<u64> {
        match attempt {
            Attempt::Taken(arrival) => Some(arrival),
            Attempt::Short(_) | Attempt::Unknown => None,
        }
    }

    /// Takes `n` tokens at `now` from a plan that is renewed if it is too old.
    fn take(plan: &Plan, arrival: u64, now: Tick, n: u64) -> Option<u64> {
        if plan.is_outlived(now) {
            let renewed = plan.renewed(now);
            let arrival = renewed.carry_over(plan, arrival, now);
            return taken(renewed.pace.take(arrival, now, n));
        }
        taken(plan.pace.take(arrival, now, n))
    }

    fn shortfall(plan: &Plan, arrival: u64, now: Tick, n: u64) -> Shortfall {
        plan.shortfall(arrival, now, 0, plan.cost(n))
    }

    /// A rate and a burst of any size, log-uniform.
    fn any_plan(random: &Random) -> (f64, u64, Plan) {
        loop {
            let rate = 10_f64.powf(-4.936 + random.unit() * 13.936);
            let burst = 1 + random.below(1 << random.below(20));
            if RateLimiterConfig::new(rate, burst).validate().is_ok() {
                return (rate, burst, plan(rate, burst));
            }
        }
    }

    #[test]
    fn a_burst_and_then_a_token_at_the_very_nanosecond() {
        for (rate, nanos) in [
            (1.0, 1_000_000_000),
            (10.0, 100_000_000),
            (1_000.0, 1_000_000),
            (8.0, 125_000_000),
            (1e9, 1),
            (5e8, 2),
            (1.0 / 65_536.0, 65_536_000_000_000),
        ] {
            for burst in [1, 2, 50] {
                let plan = plan(rate, burst);
                let mut arrival = take(&plan, 0, Tick::ZERO, burst).unwrap();
                for token in 1..=200 {
                    let early = Tick::from_nanos(token * nanos - 1);
                    let on_time = Tick::from_nanos(token * nanos);
                    assert_eq!(take(&plan, arrival, early, 1), None, "{rate}/s, token {token}");
                    let short = shortfall(&plan, arrival, early, 1);
                    assert_eq!(short.wait, Duration::from_nanos(1), "{rate}/s, token {token}");
                    arrival = take(&plan, arrival, on_time, 1).unwrap();
                }
            }
        }
    }

    #[test]
    fn the_wait_it_names_is_the_shortest_that_suffices() {
        for seed in 0..2_000 {
            let random = Random::new(seed);
            let (rate, burst, plan) = any_plan(&random);
            let now = Tick::from_nanos(random.below(1 << random.below(50)));
            let arrival = take(&plan, 0, now, 1 + random.below(burst)).unwrap();
            let n = 1 + random.below(burst);
            let short = shortfall(&plan, arrival, now, n);
            let case = format!("seed {seed}: {n} of {burst} at {rate}/s");
            assert!(take(&plan, arrival, now + short.wait, n).is_some(), "{case}");
            if let Some(less) = short.wait.checked_sub(Duration::from_nanos(1)) {
                assert_eq!(take(&plan, arrival, now + less, n), None, "{case}");
            }
            assert_eq!(short.available >= n, short.wait.is_zero(), "{case}");
            if let Attempt::Short(missing) = plan.pace.take(arrival, now, n)
                && let Some(nanos_per_grain) = NonZeroU64::new(plan.nanos_per_grain)
            {
                let missing = plan.pace.shortfall(missing, arrival, nanos_per_grain);
                assert_eq!(missing, short, "{case}");
            }
        }
    }

    #[test]
    fn every_rate_is_kept_to_a_thousandth_of_a_thousandth() {
        for seed in 0..500 {
            let random = Random::new(seed);
            let (rate, burst, plan) = any_plan(&random);
            // As long as it is good for, a year at most.
            let time = (1e7 / rate).min(1e7);
            let units = plan.units(Tick::ZERO + Duration::from_secs_f64(time));
            let tokens = units as f64 / plan.pace.token as f64;
            let error = (tokens / (rate * time) - 1.0).abs();
            assert!(
                error < 1e-6,
                "seed {seed}: {rate}/s, burst {burst}: {tokens} in {time} s"
            );
        }
    }

    #[test]
    fn any_history_stays_under_its_bound_and_loses_no_refill() {
        for seed in 0..400 {
            let random = Random::new(seed);
            let (rate, burst, mut plan) = any_plan(&random);
            let step = (4e9 / rate) as u64 + 1;
            let (mut now, mut arrival, mut admitted) = (0, 0, Vec::new());
            for _ in 0..300 {
                now += random.below(step);
                let n = 1 + random.below(burst.min(5));
                let at = Tick::from_nanos(now);
                if plan.is_outlived(at) {
                    let renewed = plan.renewed(at);
                    arrival = renewed.carry_over(&plan, arrival, at);
                    plan = renewed;
                }
                if let Some(new) = taken(plan.pace.take(arrival, at, n)) {
                    arrival = new;
                    admitted.push((now, n));
                }
            }
            for first in 0..admitted.len() {
                let mut sum = 0;
                for (at, n) in &admitted[first..] {
                    sum += n;
                    // The time is known to a nanosecond.
                    let bound = burst as f64 + rate * ((at - admitted[first].0 + 1) as f64 / 1e9);
                    assert!(
                        sum as f64 <= bound * (1.0 + 1e-12),
                        "seed {seed}: {sum} > {bound} at {rate}/s"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_never_overfills() {
        let plan = plan(10.0, 5);
        let arrival = take(&plan, 0, Tick::ZERO, 5).unwrap();
        let arrival = plan.give_back(arrival, 3);
        assert_eq!(plan.available(arrival, 0), 3);
        let arrival = plan.give_back(arrival, u64::MAX);
        assert_eq!(plan.available(arrival, 0), 5);
        let arrival = take(&plan, arrival, Tick::ZERO, 5).unwrap();
        assert_eq!(take(&plan, arrival, Tick::ZERO, 1), None);
    }

    #[test]
    fn extreme_settings_fit() {
        for (rate, burst) in [
            (1e9, 1),
            (1e9, 1 << 54),
            (999_999_999.9, 1 << 54),
            (1.0 / 86_400.0, 1),
            (1.0 / 86_400.0, 36_500),
            (5_713_000.0, 1 << 54),
        ] {
            let plan = plan(rate, burst);
            assert_eq!(plan.available(0, 0), burst);
            let arrival = take(&plan, 0, Tick::ZERO, burst).unwrap();
            let wait = shortfall(&plan, arrival, Tick::ZERO, burst).wait.as_secs_f64();
            let expected = burst as f64 / rate;
            assert!((wait / expected - 1.0).abs() < 1e-6, "{burst} at {rate}/s: {wait} s");
            assert_eq!(plan.shortfall(arrival, Tick::ZERO, u128::MAX >> 1, 0), Shortfall::NEVER);
        }
    }
}
