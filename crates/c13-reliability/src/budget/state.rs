//! The decision of a budget: whether one more extra attempt fits the window.

use super::config::RetryBudgetConfig;
use crate::time::Tick;
use crate::window::RollingWindow;

/// The window is cut into this many buckets.
const BUCKETS: usize = 10;
const CALLS: usize = 0;
const EXTRA: usize = 1;
/// So many stripes need no allocation.
const FEW: usize = 4;

/// The calls and the extra attempts of the window, and how much of each stripe's count they hold.
#[derive(Debug)]
pub(super) struct BudgetState {
    window: RollingWindow<2, BUCKETS>,
    /// By the number of the stripe, for the first few, which are all that most processes ever use.
    settled: [u64; FEW],
    /// The same for the stripes after those; as long as the highest that was ever settled.
    settled_more: Vec<u64>,
}

impl BudgetState {
    /// An empty window for counters whose stripes, by their numbers, have these values now.
    pub(super) fn new(config: &RetryBudgetConfig, values: impl Iterator<Item = (usize, u64)>) -> Self {
        let mut state = Self {
            window: RollingWindow::new(config.window),
            settled: [0; FEW],
            settled_more: Vec::new(),
        };
        values.for_each(|(stripe, value)| *state.settled(stripe) = value);
        state
    }

    /// Takes what a stripe counted since it was last looked at for calls of `now`; an older reading than the last one
    /// changes nothing.
    pub(super) fn settle(&mut self, stripe: usize, value: u64, now: Tick) {
        let settled = self.settled(stripe);
        let more = value.saturating_sub(*settled);
        if more > 0 {
            *settled = value;
            self.window.add(now, CALLS, more);
        }
    }

    fn settled(&mut self, stripe: usize) -> &mut u64 {
        let Some(more) = stripe.checked_sub(FEW) else {
            return &mut self.settled[stripe];
        };
        if more >= self.settled_more.len() {
            self.settled_more.resize(more + 1, 0);
        }
        &mut self.settled_more[more]
    }

    /// Grants one more extra attempt and counts it, if it fits.
    pub(super) fn withdraw(&mut self, config: &RetryBudgetConfig, now: Tick) -> bool {
        let granted = self.balance(config, now) >= 1.0;
        if granted {
            self.window.add(now, EXTRA, 1);
        }
        granted
    }

    /// How many more extra attempts fit.
    pub(super) fn balance(&mut self, config: &RetryBudgetConfig, now: Tick) -> f64 {
        /// Far below one attempt and far above the rounding of `ratio × calls`: 0.2 × 15 is to be 3.
        const ROUNDING: f64 = 1e-6;
        let [calls, extra] = self.window.totals(now);
        (config.ratio * calls as f64 + config.floor() + ROUNDING - extra as f64).max(0.0)
    }

    /// The calls and the extra attempts of the window.
    pub(super) fn totals(&mut self, now: Tick) -> (u64, u64) {
        let [calls, extra] = self.window.totals(now);
        (calls, extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Random;
    use std::time::Duration;

    const START: Tick = Tick::ZERO;

    fn granted(state: &mut BudgetState, config: &RetryBudgetConfig, now: Tick) -> u64 {
        let mut count = 0;
        while state.withdraw(config, now) {
            count += 1;
        }
        count
    }

    // RT-46, RT-49.
    #[test]
    fn calls_raise_the_budget_by_their_share_and_the_floor_is_always_there() {
        let config = RetryBudgetConfig::new().min_per_second(0.2);
        let mut state = BudgetState::new(&config, std::iter::empty());
        assert_eq!(granted(&mut state, &config, START), 2, "the floor alone");
        state.settle(0, 20, START);
        assert_eq!(granted(&mut state, &config, START), 4, "a fifth of twenty");
    }

    // RT-47.
    #[test]
    fn a_budget_of_nothing_grants_nothing() {
        let config = RetryBudgetConfig::new().ratio(0.0).min_per_second(0.0);
        let mut state = BudgetState::new(&config, std::iter::empty());
        state.settle(0, 20, START);
        assert_eq!(granted(&mut state, &config, START), 0);
    }

    #[test]
    fn no_share_is_lost_to_rounding() {
        for calls in (5..=100_000).step_by(5) {
            let config = RetryBudgetConfig::new().min_per_second(0.0);
            let mut state = BudgetState::new(&config, std::iter::empty());
            state.settle(0, calls, START);
            let balance = state.balance(&config, START);
            assert_eq!(balance.floor() as u64, calls / 5, "{calls} calls");
        }
    }

    #[test]
    fn calls_and_attempts_leave_with_the_window() {
        let config = RetryBudgetConfig::new().min_per_second(0.0);
        let mut state = BudgetState::new(&config, std::iter::empty());
        state.settle(0, 100, START);
        assert_eq!(granted(&mut state, &config, START), 20);
        state.settle(0, 200, START + Duration::from_secs(9));
        assert_eq!(granted(&mut state, &config, START + Duration::from_secs(9)), 20);
        assert_eq!(
            granted(&mut state, &config, START + Duration::from_secs(10)),
            0,
            "the first 100 calls and their 20 attempts have left together"
        );
    }

    #[test]
    fn grants_never_exceed_the_share_of_calls_over_random_runs() {
        for seed in 0..100 {
            let random = Random::new(seed);
            let config = RetryBudgetConfig::new()
                .ratio(random.unit())
                .min_per_second(random.below(3) as f64);
            let mut state = BudgetState::new(&config, std::iter::empty());
            let (mut now, mut counts) = (START, [0_u64; 3]);
            let mut log: Vec<(u64, u64, u64)> = Vec::new();
            for step in 0..500 {
                now += Duration::from_millis(random.below(400));
                let (stripe, calls) = (random.below(3) as usize, random.below(20));
                counts[stripe] += calls;
                state.settle(stripe, counts[stripe], now);
                state.settle(stripe, counts[stripe].saturating_sub(random.below(5)), now);
                let bucket = now.as_nanos() / 1_000_000_000;
                log.push((bucket, calls, 0));
                let (calls, extra) = log
                    .iter()
                    .filter(|(at, _, _)| at + 10 > bucket)
                    .fold((0, 0), |sum, (_, calls, extra)| (sum.0 + calls, sum.1 + extra));
                let fits = config.ratio * calls as f64 + config.floor() + 1e-6 >= (extra + 1) as f64;
                assert_eq!(state.withdraw(&config, now), fits, "seed {seed}, step {step}");
                log.push((bucket, 0, u64::from(fits)));
            }
        }
    }
}
