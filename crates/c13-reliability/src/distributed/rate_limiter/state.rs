//! The decisions of a shared limit: the rate algorithm, and a batch of tokens in one word. Pure.

use super::config::{Limit, MOST_TOKENS, Sharing, TOKEN_BITS};
use std::time::Duration;

/// The decision about a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) granted: u64,
    /// After how long the least that was asked for will be available; `None` if it was granted, or never will be.
    pub(crate) retry_after: Option<Duration>,
}

/// One limit's state: the microsecond at which it is full again. The generic cell rate algorithm (ITU-T I.371), the same
/// as in `take.lua`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    full_at: f64,
}

impl Cell {
    /// A limit that is full at this microsecond.
    pub(crate) const fn full_from(full_at: f64) -> Self {
        Self { full_at }
    }

    /// The microsecond at which it is full.
    pub(crate) const fn full_at(self) -> f64 {
        self.full_at
    }

    /// Whether it is full at `now` microseconds, as a new limit is.
    pub(crate) fn is_full(self, now: f64) -> bool {
        self.full_at <= now
    }

    /// Takes up to `want` tokens at `now` microseconds, but not fewer than `least`; then it takes none.
    ///
    /// Either way it forgets excess debt, so the cell must be stored after a refusal too.
    pub(crate) fn take(&mut self, rate: Rate, now: f64, want: u64, least: u64) -> Decision {
        self.forget_excess(rate, now);
        let horizon = now + rate.burst * rate.step();
        let full_at = self.full_at.max(now);
        let available = ((horizon - full_at) / rate.step() + 1e-6).floor() as u64;
        let granted = want.min(available);
        if granted < least {
            let wait = full_at + least as f64 * rate.step() - horizon;
            let reachable = least as f64 <= rate.burst;
            return Decision {
                granted: 0,
                retry_after: reachable.then(|| Duration::from_micros(wait.max(0.0).ceil() as u64)),
            };
        }
        self.full_at = full_at + granted as f64 * rate.step();
        Decision {
            granted,
            retry_after: None,
        }
    }

    /// Forgets debt beyond one empty bucket, which a lower rate, a larger burst or a clock that was ahead has left.
    fn forget_excess(&mut self, rate: Rate, now: f64) {
        self.full_at = self.full_at.min(now + rate.burst * rate.step());
    }
}

/// Takes up to `want` tokens of every one of `limits`, whose cells come with them, but not fewer than `least`; then it
/// takes none of any. The cells must be stored either way.
pub(crate) fn take_all(limits: &mut [(Rate, Cell)], now: f64, want: u64, least: u64) -> Decision {
    let mut granted = want;
    let mut wait = Some(Duration::ZERO);
    for (rate, cell) in limits.iter() {
        // On a copy: all limits grant, or none does.
        let decision = { *cell }.take(*rate, now, want, least);
        granted = granted.min(decision.granted);
        if decision.granted == 0 {
            wait = wait.zip(decision.retry_after).map(|(a, b)| a.max(b));
        }
    }
    for (rate, cell) in limits {
        if granted > 0 {
            cell.take(*rate, now, granted, granted);
        } else {
            cell.forget_excess(*rate, now);
        }
    }
    Decision {
        granted,
        retry_after: if granted > 0 { None } else { wait },
    }
}

/// How fast one limit fills, and how much it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    rate: f64,
    burst: f64,
}

impl Rate {
    pub(crate) const fn of(limit: &Limit) -> Self {
        Self {
            rate: limit.rate,
            burst: limit.burst as f64,
        }
    }

    /// One of `processes` equal shares.
    pub(crate) fn share(limit: &Limit, processes: f64) -> Self {
        Self {
            rate: limit.rate / processes,
            // At least one call at once, or a small share would never allow any.
            burst: (limit.burst as f64 / processes).max(1.0),
        }
    }

    /// The microseconds of one token.
    fn step(self) -> f64 {
        1e6 / self.rate
    }
}

/// A batch of tokens and when it lapses, in one word: 40 bits of milliseconds, 24 bits of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch(pub(crate) u64);

impl Batch {
    pub(crate) const EMPTY: Self = Self(0);

    /// So many tokens until `lapses_ms`.
    pub(crate) const fn new(tokens: u64, lapses_ms: u64) -> Self {
        let tokens = if tokens > MOST_TOKENS { MOST_TOKENS } else { tokens };
        Self(lapses_ms << TOKEN_BITS | tokens)
    }

    pub(crate) const fn tokens(self) -> u64 {
        self.0 & MOST_TOKENS
    }

    const fn lapses_ms(self) -> u64 {
        self.0 >> TOKEN_BITS
    }

    /// The batch with `tokens` more, if it has not lapsed at `now_ms`.
    pub(crate) const fn give_back(self, now_ms: u64, tokens: u64) -> Option<Self> {
        if now_ms >= self.lapses_ms() {
            return None;
        }
        Some(Self::new(self.tokens().saturating_add(tokens), self.lapses_ms()))
    }

    /// The batch after `cost` was taken from it at `now_ms`; `None` if it has lapsed or has too few.
    pub(crate) const fn take(self, now_ms: u64, cost: u64) -> Option<Self> {
        if now_ms >= self.lapses_ms() || self.tokens() < cost {
            return None;
        }
        Some(Self(self.0 - cost))
    }
}

/// How many tokens are asked for at once, and how long they may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchPlan {
    pub(crate) tokens: u64,
    pub(crate) lasts: Duration,
}

/// Subtracted from each batch's time, because the coarse clock lags by up to 10 ms.
const COARSE: Duration = Duration::from_millis(10);

impl BatchPlan {
    /// How long a batch may be used from when it was asked for, by the coarse clock.
    pub(crate) fn usable(&self) -> Duration {
        self.lasts.saturating_sub(COARSE.min(self.lasts / 4))
    }

    /// The tokens of one horizon at the full rate of the tightest limit, at most half of its burst, and at least one; with one
    /// each call asks by itself.
    pub(crate) fn of(limits: &[Limit], sharing: Sharing) -> Option<Self> {
        let Sharing::Leased { horizon } = sharing else {
            return None;
        };
        let sizes = limits.iter().map(|limit| {
            let used = (limit.rate * horizon.as_secs_f64()) as u64;
            used.min(limit.burst / 2)
        });
        let tokens = sizes.min().unwrap_or(0).max(1);
        Some(Self {
            tokens,
            lasts: horizon * 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Rate = Rate { rate: 10.0, burst: 5.0 };

    #[test]
    fn no_window_sees_more_than_burst_and_rate() {
        let (rate, burst) = (100.0, 10.0);
        let limit = Rate { rate, burst };
        let (mut cell, mut admitted) = (Cell::default(), Vec::new());
        let start = 1e15;
        for tick in 0..20_000 {
            let now = start + f64::from(tick) * 137.0;
            if cell.take(limit, now, 1, 1).granted == 1 {
                admitted.push(now);
            }
        }
        for (i, from) in admitted.iter().enumerate() {
            for (j, to) in admitted.iter().enumerate().skip(i) {
                let most = burst + rate * (to - from) / 1e6 + 1.0;
                assert!((j - i + 1) as f64 <= most);
            }
        }
        let expected = burst + rate * 20_000.0 * 137.0 / 1e6;
        assert!(
            (admitted.len() as f64 - expected).abs() <= 2.0,
            "and nothing is lost: {}",
            admitted.len()
        );
    }

    #[test]
    fn what_can_never_be_had_has_no_time_to_try_again() {
        let mut cell = Cell::default();
        assert_eq!(cell.take(SLOW, 1e15, 6, 6).retry_after, None);
        assert_eq!(cell.take(SLOW, 1e15, 5, 5).granted, 5);
        let refused = cell.take(SLOW, 1e15, 1, 1);
        assert_eq!(
            (refused.granted, refused.retry_after),
            (0, Some(Duration::from_millis(100)))
        );
    }

    /// Refusals by `limits` at `now`, one a microsecond, until one is let in; how long that took.
    fn starved(limits: &mut [(Rate, Cell)], now: f64, least: u64, longest: Duration) -> Option<Duration> {
        let steps = 1_000;
        (0..=steps).map(|step| longest * step / steps).find(|waited| {
            let decision = take_all(limits, now + waited.as_micros() as f64, least, least);
            decision.granted == least
        })
    }

    #[test]
    fn debt_of_another_setting_or_another_clock_is_forgotten_by_the_refusal_that_sees_it() {
        const NOW: f64 = 1e15;
        const HOUR: f64 = 3.6e9;
        const YEAR: f64 = 365.0 * 24.0 * HOUR;
        let rate = |rate, burst| Rate { rate, burst };
        // What the cell was emptied under and when, what is asked of it now, and how long that may take to be let in.
        let second = Duration::from_secs(1);
        for (before, emptied, after, least, most) in [
            (rate(1.0 / 3600.0, 1.0), NOW, rate(100.0, 1.0), 1, second / 100),
            (rate(1.0 / 3600.0, 1.0), NOW, rate(100.0, 50.0), 1, second / 100),
            (rate(1.0 / 3600.0, 100.0), NOW, rate(10.0, 5.0), 5, second / 2),
            (rate(10.0, 5.0), NOW + HOUR, rate(10.0, 5.0), 1, second / 10),
            (rate(10.0, 5.0), NOW + YEAR, rate(10.0, 5.0), 1, second / 10),
            (rate(10.0, 5_000.0), NOW, rate(10.0, 5.0), 1, second / 10),
        ] {
            let mut cell = Cell::default();
            assert_eq!(
                cell.take(before, emptied, before.burst as u64, 1).granted,
                before.burst as u64
            );
            let case = format!("{before:?} at {emptied}, then {after:?}");
            // Alone, beside one that has room, and beside one that is asked for more than it ever has.
            let mut alone = [(after, cell)];
            assert_eq!(take_all(&mut alone, NOW, least, least).granted, 0, "{case}");
            let waited = starved(&mut alone, NOW, least, most * 2);
            assert!(
                waited.is_some_and(|waited| waited <= most + most / 500),
                "{case}: {waited:?}"
            );
            let mut both = [(rate(1e6, 1e6), Cell::default()), (after, cell)];
            assert_eq!(take_all(&mut both, NOW, least, least).granted, 0, "{case}");
            assert_eq!(
                both[0].1,
                Cell::default(),
                "{case}: a limit that has room gives nothing, and keeps nothing"
            );
            let waited = starved(&mut both, NOW, least, most * 2);
            assert!(
                waited.is_some_and(|waited| waited <= most + most / 500),
                "{case}: {waited:?}"
            );
            let mut never = [(after, cell)];
            let least = after.burst as u64 + 1;
            assert_eq!(take_all(&mut never, NOW, least, least).retry_after, None, "{case}");
            assert!(never[0].1.full_at() <= NOW + after.burst * after.step(), "{case}");
        }
    }

    #[test]
    fn a_refusal_that_sees_no_excess_changes_nothing() {
        let mut cell = Cell::default();
        assert_eq!(cell.take(SLOW, 1e15, 5, 5).granted, 5);
        for (limits, least) in [(vec![(SLOW, cell)], 1), (vec![(SLOW, Cell::default())], 6)] {
            let mut after = limits.clone();
            assert_eq!(take_all(&mut after, 1e15, least, least).granted, 0);
            assert!(limits.iter().zip(&after).all(|(before, after)| before.1 == after.1));
        }
    }

    #[test]
    fn of_several_limits_the_last_to_give_says_when_to_come_again() {
        let (fast, slow) = (Rate { rate: 10.0, burst: 1.0 }, Rate { rate: 1.0, burst: 1.0 });
        for order in [[fast, slow], [slow, fast]] {
            let mut limits = order.map(|rate| (rate, Cell::default()));
            assert_eq!(take_all(&mut limits, 1e15, 1, 1).granted, 1);
            let refused = take_all(&mut limits, 1e15, 1, 1);
            assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
        }
    }

    #[test]
    fn a_batch_lapses_and_runs_out() {
        let batch = Batch::new(3, 100);
        let batch = batch.take(99, 2).unwrap();
        assert_eq!(batch.tokens(), 1);
        assert_eq!(batch.take(99, 2), None);
        assert_eq!(batch.take(100, 1), None);
        assert_eq!(Batch::EMPTY.take(0, 0), None);
    }

    #[test]
    fn a_low_rate_is_not_leased_in_advance() {
        let plan = |rate, burst| {
            BatchPlan::of(
                &[Limit::new("k", rate, burst)],
                super::super::SharedLimitConfig::DEFAULT.sharing,
            )
        };
        assert_eq!(plan(5.0, 100).unwrap().tokens, 1);
        assert_eq!(plan(10_000.0, 100).unwrap().tokens, 50);
        assert_eq!(plan(2_000.0, 1_000).unwrap().tokens, 100);
    }
}
