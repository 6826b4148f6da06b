//! The token bucket's arithmetic: the generic cell rate algorithm, counted in fractions of a token.
//!
//! Time is turned into units by one multiplication from the plan's origin, and a token is a whole power of two of them.
//! So nothing is ever rounded twice: however often the bucket is asked, and whatever the rate, over a long time it
//! refills exactly as much as it should. The bucket's whole state is one number, the *theoretical arrival time* (in
//! units): when it will be full again. Everything here is a pure function of that number, the time and the request.
//!
//! Algorithm: ITU-T I.371, generic cell rate algorithm, virtual scheduling.

use super::config::RateLimiterConfig;
use super::error::Shortfall;
use crate::time::Tick;
use std::time::Duration;

/// The bits of the word that hold the arrival time.
pub(super) const TIME_BITS: u32 = 56;
/// The latest arrival time that the word can hold.
pub(super) const LATEST: u64 = (1 << TIME_BITS) - 1;
/// The deepest a bucket may be, in units.
const DEEPEST: u64 = 1 << 54;
/// How long after its origin a plan is good for, in nanoseconds.
const GOOD_FOR: u64 = 1 << 54;
/// Units a nanosecond are kept with this many binary places. They are at most 2, and at least 2⁻⁹.
const PLACES: u32 = 62;
/// Nanoseconds a unit are kept with this many.
const INVERSE_PLACES: u32 = 54;
/// As many units, if they are shorter than a nanosecond, are a wait that needs no division: 52 days or more.
const SHORT: u64 = 1 << 53;

/// What the settings of a token bucket come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Where units are counted from.
    origin: Tick,
    /// Units a nanosecond, rounded up in the last of [`PLACES`].
    units_per_nano: u64,
    /// Nanoseconds a unit, to [`INVERSE_PLACES`].
    nanos_per_unit: u64,
    /// A token is two to the power of this many units.
    token_bits: u32,
    /// How far the arrival time may lie ahead of now, in units.
    depth: u64,
    /// The largest request, in tokens.
    burst: u64,
}

impl Plan {
    /// The plan for settings that were found valid, counting from `origin`.
    pub(super) fn new(config: &RateLimiterConfig, origin: Tick) -> Self {
        // As fine as a nanosecond, if the bucket's depth leaves room for that.
        let (mut token_bits, mut units_per_second) = (0, config.rate);
        while units_per_second < 1e9 {
            token_bits += 1;
            units_per_second *= 2.0;
        }
        while token_bits > 0 && config.burst > DEEPEST >> token_bits {
            token_bits -= 1;
        }
        let units_per_nano = scaled(config.rate, token_bits + PLACES);
        let nanos_per_unit = ((1_u128 << (PLACES + INVERSE_PLACES)) / u128::from(units_per_nano)) as u64;
        Self {
            origin,
            units_per_nano,
            nanos_per_unit,
            token_bits,
            depth: config.burst << token_bits,
            burst: config.burst,
        }
    }

    /// The largest request, in tokens.
    pub(super) fn burst(&self) -> u64 {
        self.burst
    }

    /// The units from the origin to `now`, rounded down.
    #[inline]
    pub(super) fn units(&self, now: Tick) -> u64 {
        let elapsed = now.as_nanos().saturating_sub(self.origin.as_nanos()).min(GOOD_FOR);
        ((u128::from(elapsed) * u128::from(self.units_per_nano)) >> PLACES) as u64
    }

    /// Takes `n` tokens, at most the burst, at `now` (in units): the new arrival time, or `None` if they are not there.
    #[inline]
    pub(super) fn take(&self, arrival: u64, now: u64, n: u64) -> Option<u64> {
        let taken = arrival.max(now) + (n << self.token_bits);
        (taken <= now + self.depth).then_some(taken)
    }

    /// Gives `n` tokens back; the bucket never holds more than its depth.
    pub(super) fn give_back(&self, arrival: u64, n: u64) -> u64 {
        arrival.saturating_sub(n.min(self.burst) << self.token_bits)
    }

    /// The whole tokens that are there.
    #[inline]
    pub(super) fn available(&self, arrival: u64, now: u64) -> u64 {
        (now + self.depth).saturating_sub(arrival.max(now)) >> self.token_bits
    }

    /// What is missing for `n` tokens, if `ahead` tokens go to others first.
    #[inline]
    pub(super) fn shortfall(&self, arrival: u64, now: Tick, ahead: u128, n: u64) -> Shortfall {
        let units = self.units(now);
        let available = if ahead == 0 { self.available(arrival, units) } else { 0 };
        // What waits is at most 2⁶⁴ callers with 2⁵⁴ tokens each, so only the shift needs a second look.
        let tokens = ahead + u128::from(n);
        if tokens > u128::from(LATEST >> self.token_bits) {
            return Shortfall::NEVER;
        }
        let due = (arrival.max(units) + ((tokens as u64) << self.token_bits)).saturating_sub(self.depth);
        Shortfall {
            available,
            wait: self.until(now, due),
        }
    }

    /// How long after `now` it is `due` units: to the nanosecond, and never too early.
    #[inline]
    fn until(&self, now: Tick, due: u64) -> Duration {
        let elapsed = u128::from(now.as_nanos().saturating_sub(self.origin.as_nanos()));
        let per_nano = u128::from(self.units_per_nano);
        let missing = (u128::from(due) << PLACES).saturating_sub(elapsed * per_nano);
        let whole = (missing >> PLACES) as u64;
        if self.units_per_nano >> PLACES == 0 || whole > SHORT {
            return Duration::from_nanos(missing.div_ceil(per_nano) as u64);
        }
        // Without a division, which would cost more than the rest of a refusal. The product is rounded down by less
        // than two nanoseconds, so the answer is one of three.
        let nanos = ((u128::from(whole) * u128::from(self.nanos_per_unit)) >> INVERSE_PLACES) as u64;
        let short = |nanos: u64| u64::from(u128::from(nanos) * per_nano < missing);
        Duration::from_nanos(nanos + short(nanos) + short(nanos + 1))
    }
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
                let mut arrival = plan.take(0, 0, burst).unwrap();
                for token in 1..=200 {
                    let early = Tick::from_nanos(token * nanos - 1);
                    let on_time = Tick::from_nanos(token * nanos);
                    assert_eq!(
                        plan.take(arrival, plan.units(early), 1),
                        None,
                        "{rate}/s, token {token}"
                    );
                    let short = plan.shortfall(arrival, early, 0, 1);
                    assert_eq!(short.wait, Duration::from_nanos(1), "{rate}/s, token {token}");
                    arrival = plan.take(arrival, plan.units(on_time), 1).unwrap();
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
            let arrival = plan.take(0, plan.units(now), 1 + random.below(burst)).unwrap();
            let n = 1 + random.below(burst);
            let short = plan.shortfall(arrival, now, 0, n);
            let case = format!("seed {seed}: {n} of {burst} at {rate}/s");
            if (now + short.wait).as_nanos() > GOOD_FOR {
                continue;
            }
            assert!(plan.take(arrival, plan.units(now + short.wait), n).is_some(), "{case}");
            if let Some(less) = short.wait.checked_sub(Duration::from_nanos(1)) {
                assert_eq!(plan.take(arrival, plan.units(now + less), n), None, "{case}");
            }
            assert_eq!(short.available >= n, short.wait.is_zero(), "{case}");
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
            let tokens = units as f64 / (1_u64 << plan.token_bits) as f64;
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
            let (rate, burst, plan) = any_plan(&random);
            let step = (4e9 / rate) as u64 + 1;
            let (mut now, mut arrival, mut taken) = (0, 0, Vec::new());
            for _ in 0..300 {
                now += random.below(step);
                let n = 1 + random.below(burst.min(5));
                if let Some(new) = plan.take(arrival, plan.units(Tick::from_nanos(now)), n) {
                    arrival = new;
                    taken.push((now, n));
                }
            }
            for first in 0..taken.len() {
                let mut sum = 0;
                for (at, n) in &taken[first..] {
                    sum += n;
                    // The time is known to a nanosecond.
                    let bound = burst as f64 + rate * ((at - taken[first].0 + 1) as f64 / 1e9);
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
        let arrival = plan.take(0, 0, 5).unwrap();
        let arrival = plan.give_back(arrival, 3);
        assert_eq!(plan.available(arrival, 0), 3);
        let arrival = plan.give_back(arrival, u64::MAX);
        assert_eq!(plan.available(arrival, 0), 5);
        assert_eq!(plan.take(arrival, 0, 6), None);
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
            let arrival = plan.take(0, 0, burst).unwrap();
            let wait = plan.shortfall(arrival, Tick::ZERO, 0, burst).wait.as_secs_f64();
            let expected = burst as f64 / rate;
            assert!((wait / expected - 1.0).abs() < 1e-6, "{burst} at {rate}/s: {wait} s");
            assert_eq!(
                plan.shortfall(arrival, Tick::MAX, u128::MAX >> 1, burst),
                Shortfall::NEVER
            );
        }
    }
}
