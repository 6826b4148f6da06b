//! What a token costs while a limiter warms up, as a plain value.
//!
//! Guava's model: rest is stored as cold tokens, up to a limit, and whoever buys them pays more the more of them there
//! are. From the limit down to a threshold the price falls in a straight line from the cold factor to 1; the limit is
//! such that buying as fast as the price allows takes the warm-up's period. Below the threshold the price is 1.

use super::config::WarmUp;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Warmth {
    /// The cold tokens that are stored.
    stored: f64,
    limit: f64,
    threshold: f64,
    /// By how much the price rises a stored token above the threshold.
    slope: f64,
    /// How many cold tokens a nanosecond of rest stores.
    stored_per_nano: f64,
}

impl Warmth {
    /// Cold, for a limiter of `rate` tokens a second.
    pub(super) fn new(warm_up: WarmUp, rate: f64) -> Self {
        let tokens = rate * warm_up.period.as_secs_f64();
        let threshold = tokens / 2.0;
        let above = 2.0 * tokens / (1.0 + warm_up.cold_factor);
        let limit = threshold + above;
        Self {
            stored: limit,
            limit,
            threshold,
            slope: (warm_up.cold_factor - 1.0) / above,
            stored_per_nano: limit / warm_up.period.as_nanos() as f64,
        }
    }

    /// As warm as `old` was, under other settings.
    pub(super) fn carry_over(&mut self, old: &Self) {
        self.stored = self.limit * (old.stored / old.limit);
    }

    /// After `nanos` of rest.
    pub(super) fn rested(mut self, nanos: f64) -> Self {
        self.stored = (self.stored + nanos * self.stored_per_nano).min(self.limit);
        self
    }

    /// What `n` tokens cost now, counted in tokens at the usual price, and how warm it is after them.
    pub(super) fn buy(mut self, n: u64) -> (f64, Self) {
        let n = n as f64;
        let left = (self.stored - n).max(0.0);
        let dear = |stored: f64| (stored - self.threshold).max(0.0);
        let (from, to) = (dear(self.stored), dear(left));
        let extra = self.slope * (from + to) / 2.0 * (from - to);
        self.stored = left;
        (n + extra, self)
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn warmth(cold_factor: f64) -> Warmth {
        Warmth::new(WarmUp::new(Duration::from_secs(10), cold_factor), 10.0)
    }

    #[test]
    fn a_cold_token_costs_the_factor_and_a_warm_one_itself() {
        for factor in [1.5, 2.0, 3.0] {
            let (cold, after) = warmth(factor).buy(1);
            assert!(cold < factor && cold > 0.98 * factor, "{cold}");
            let (_, warm) = after.buy(1_000_000);
            assert_eq!(warm.buy(7).0, 7.0);
        }
    }

    #[test]
    fn warming_up_at_full_demand_takes_the_period_in_any_steps() {
        for factor in [2.0, 3.0, 10.0] {
            for step in [1, 2, 5] {
                let (mut state, mut paid) = (warmth(factor), 0.0);
                while state.stored > state.threshold {
                    let (cost, after) = state.buy(step);
                    paid += cost / 10.0;
                    state = after;
                }
                assert!((10.0..11.0).contains(&paid), "factor {factor}, by {step}: {paid} s");
            }
        }
    }

    #[test]
    fn a_rest_of_the_period_makes_it_as_cold_as_it_was() {
        let (_, warm) = warmth(3.0).buy(1_000);
        assert_eq!(warm.stored, 0.0);
        assert_eq!(warm.rested(5e9).stored, 50.0);
        assert_eq!(warm.rested(1e10), warmth(3.0));
        assert_eq!(warm.rested(1e30), warmth(3.0));
    }

    #[test]
    fn buying_at_once_costs_what_buying_one_by_one_does() {
        let (at_once, after) = warmth(3.0).buy(70);
        let (mut one_by_one, mut state) = (0.0, warmth(3.0));
        for _ in 0..70 {
            let (cost, next) = state.buy(1);
            one_by_one += cost;
            state = next;
        }
        assert!((at_once - one_by_one).abs() < 1e-9 && after == state);
    }
}
