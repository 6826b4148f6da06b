//! The decisions of a shared limit as values: the rate algorithm, and a batch of tokens in one word.

use super::config::{Limit, Sharing};
use std::time::Duration;

/// What a limit says to a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) granted: u64,
    /// When the least that was asked for can be had; `None` if it was had, or never can be.
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

    /// Takes up to `want` tokens at `now` microseconds, but not fewer than `least`; then it takes none.
    pub(crate) fn take(&mut self, rate: f64, burst: f64, now: f64, want: u64, least: u64) -> Decision {
        let step = 1e6 / rate;
        let horizon = now + burst * step;
        // A clock that stepped back, or a limit that was lowered, starves nobody for longer than one full bucket.
        let full_at = self.full_at.max(now).min(horizon);
        let available = ((horizon - full_at) / step + 1e-6).floor() as u64;
        let granted = want.min(available);
        if granted < least {
            let wait = full_at + least as f64 * step - horizon;
            let reachable = least as f64 <= burst;
            return Decision {
                granted: 0,
                retry_after: reachable.then(|| Duration::from_micros(wait.max(0.0).ceil() as u64)),
            };
        }
        self.full_at = full_at + granted as f64 * step;
        Decision {
            granted,
            retry_after: None,
        }
    }
}

/// A batch of tokens and when it lapses, in one word: 40 bits of milliseconds, 24 bits of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch(pub(crate) u64);

const TOKEN_BITS: u32 = 24;
/// The most tokens that a batch holds.
pub(crate) const MOST_TOKENS: u64 = (1 << TOKEN_BITS) - 1;

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

impl BatchPlan {
    /// What is used within the horizon at the full rate of the tightest limit, at most half of its burst; one where that
    /// is less, that is where each call asks by itself.
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

    #[test]
    fn no_window_sees_more_than_burst_and_rate() {
        let (rate, burst) = (100.0, 10.0);
        let (mut cell, mut admitted) = (Cell::default(), Vec::new());
        let start = 1e15;
        for tick in 0..20_000 {
            let now = start + f64::from(tick) * 137.0;
            if cell.take(rate, burst, now, 1, 1).granted == 1 {
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
        assert_eq!(cell.take(10.0, 5.0, 1e15, 6, 6).retry_after, None);
        assert_eq!(cell.take(10.0, 5.0, 1e15, 5, 5).granted, 5);
        let refused = cell.take(10.0, 5.0, 1e15, 1, 1);
        assert_eq!(
            (refused.granted, refused.retry_after),
            (0, Some(Duration::from_millis(100)))
        );
    }

    #[test]
    fn a_clock_that_steps_back_an_hour_starves_nobody() {
        let mut cell = Cell::default();
        assert_eq!(cell.take(10.0, 5.0, 1e15, 5, 5).granted, 5);
        let refused = cell.take(10.0, 5.0, 1e15 - 3.6e9, 1, 1);
        assert!(
            refused
                .retry_after
                .is_some_and(|wait| wait <= Duration::from_millis(500))
        );
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
