//! The settings of retry, its back-off and budget, and of hedges.

use std::time::Duration;

use super::super::row::{Access, Datum, Field, Kind, Row, at, names, part};
use crate::budget::RetryBudgetConfig;
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::retry::{Jitter, RetryConfig, RetryStrategy, retry_config};
use crate::policy::PolicyConfig;

const EXPONENTIAL: &str = "exponential";
const LINEAR: &str = "linear";
const FIXED: &str = "fixed";
const FIBONACCI: &str = "fibonacci";

/// The waits of a strategy, whichever it has.
struct Waits<'s> {
    name: &'static str,
    base: Option<&'s mut Duration>,
    multiplier: Option<&'s mut f64>,
    increment: Option<&'s mut Duration>,
    max: Option<&'s mut Duration>,
}

fn waits(strategy: &mut RetryStrategy) -> Waits<'_> {
    let (name, base, multiplier, increment, max) = match strategy {
        RetryStrategy::FixedDelay(base) => (FIXED, base, None, None, None),
        RetryStrategy::ExponentialBackoff {
            initial,
            max,
            multiplier,
        } => (EXPONENTIAL, initial, Some(multiplier), None, Some(max)),
        RetryStrategy::LinearBackoff {
            initial,
            increment,
            max,
        } => (LINEAR, initial, None, Some(increment), Some(max)),
        RetryStrategy::Fibonacci { initial, max } => (FIBONACCI, initial, None, None, Some(max)),
    };
    Waits {
        name,
        base: Some(base),
        multiplier,
        increment,
        max,
    }
}

/// A strategy with its defaults.
fn strategy(name: Datum) -> RetryStrategy {
    let (initial, max) = (retry_config::INITIAL_BACKOFF, retry_config::MAX_BACKOFF);
    match name {
        Datum::Word(FIXED) => RetryStrategy::FixedDelay(initial),
        Datum::Word(FIBONACCI) => RetryStrategy::Fibonacci { initial, max },
        Datum::Word(LINEAR) => RetryStrategy::LinearBackoff {
            initial,
            increment: Duration::ZERO,
            max,
        },
        _ => retry_config::STRATEGY,
    }
}

/// The access to a wait of the strategy.
macro_rules! wait {
    ($field:ident) => {
        Access {
            get: |config| waits(&mut config.retry?.strategy).$field?.datum(),
            set: |config, datum| Some(waits(&mut config.retry.as_mut()?.strategy).$field?.put(datum)),
        }
    };
}

#[rustfmt::skip] // two lines a setting: its path and kind, then what it is and where
pub(super) static RETRY: &[Row] = &[
    Row::new("retry", Kind::Table,
        "How often an attempt that failed is repeated, after which wait, and within which budget.", part!(; retry = RetryConfig::new(0, retry_config::STRATEGY))).off(),
    Row::new("retry.max_retries", Kind::QUEUE,
        "The first call is not counted: 3 retries are 4 attempts.", at!(retry; max_retries)).switch().needed("2"),
    Row::new("retry.backoff", Kind::Table,
        "The waits between attempts.", Access {
        get: |_| None,
        set: |_, _| Some(()),
    }),
    Row::new("retry.backoff.strategy", Kind::Word(|| vec![EXPONENTIAL, LINEAR, FIXED, FIBONACCI]),
        "How the waits grow.", Access {
        get: |config| Some(Datum::Word(waits(&mut config.retry?.strategy).name)),
        set: |config, datum| {
            let retry = config.retry.as_mut()?;
            retry.strategy = strategy(datum);
            retry.jitter = RetryConfig::new(0, retry.strategy).jitter;
            Some(())
        },
    }),
    Row::new("retry.backoff.base", Kind::Time,
        "The first wait.", wait!(base)).needed_by(&[FIXED], "\"100ms\""),
    Row::new("retry.backoff.multiplier", Kind::Number("\"minimum\": 1"),
        "Each wait is so many times the one before.", wait!(multiplier)).of(&[EXPONENTIAL]),
    Row::new("retry.backoff.increment", Kind::Time,
        "Each wait is so much longer than the one before.", wait!(increment)).of(&[LINEAR]).needed_by(&[LINEAR], "\"100ms\""),
    Row::new("retry.backoff.max", Kind::Time,
        "The longest wait.", wait!(max)).of(&[EXPONENTIAL,LINEAR,FIBONACCI]),
    Row::new("retry.backoff.jitter", Kind::Word(|| names(Jitter::NAMES)),
        "How the waits are spread.", at!(retry; jitter)),
    Row::new("retry.budget", Kind::Table,
        BUDGET, Access {
        get: |config| config.retry?.budget.is_none().then_some(Datum::Off),
        ..part!(retry; budget = RetryBudgetConfig::new())
    }).off(),
    Row::new("retry.budget.ratio", Kind::Ratio,
        RATIO, at!(retry / budget; ratio)),
    Row::new("retry.budget.min_per_second", FLOOR,
        MIN_PER_SECOND, at!(retry / budget; min_per_second)),
    Row::new("retry.budget.window", Kind::TimeAboveZero,
        WINDOW, at!(retry / budget; window)),
    Row::new("retry.total_limit", Kind::TimeAboveZero,
        "No attempt begins later than this after the first.", at!(retry; total_limit)),
    Row::new("retry.max_hint", Kind::Time,
        "A server's Retry-After counts up to this.", at!(retry; max_hint)),
];

const BUDGET: &str = "What retries and hedges may add to the calls, so that they do not multiply in an outage.";
const RATIO: &str = "Retries granted per call.";
const FLOOR: Kind = Kind::Number("\"minimum\": 0");
const MIN_PER_SECOND: &str = "Retries granted at any rate.";
const WINDOW: &str = "How long calls and retries are remembered.";

/// The hedge's own settings, where it has a budget of its own: beside a retry with a budget it draws on that.
fn own_budget(config: &PolicyConfig) -> Option<HedgeConfig> {
    let shared = config.retry.and_then(|retry| retry.budget);
    config.hedge.filter(|_| shared.is_none())
}

/// The access to a field of the hedge's own budget.
macro_rules! own {
    ($field:ident) => {
        Access {
            get: |config| own_budget(config)?.budget?.$field.datum(),
            ..at!(hedge / budget; $field)
        }
    };
}

/// The access to a field of the delay that is measured.
macro_rules! measured {
    ($field:ident) => {
        Access {
            get: |config| match config.hedge?.delay {
                HedgeDelay::Percentile { $field, .. } => $field.datum(),
                _ => None,
            },
            set: |config, datum| match &mut config.hedge.as_mut()?.delay {
                HedgeDelay::Percentile { $field, .. } => Some($field.put(datum)),
                _ => None,
            },
        }
    };
}

#[rustfmt::skip] // two lines a setting: its path and kind, then what it is and where
pub(super) static HEDGE: &[Row] = &[
    Row::new("hedge", Kind::Table,
        "When another attempt starts beside one that is late; the first good result counts.", part!(; hedge = HedgeConfig::new(HedgeDelay::AfterFailure))).off(),
    Row::new("hedge.delay", Kind::Delay,
        "When another attempt starts beside one that is late; false: only after a failure.", Access {
        get: |config| match config.hedge?.delay {
            HedgeDelay::Fixed(delay) => Some(Datum::Time(delay)),
            HedgeDelay::AfterFailure => Some(Datum::Off),
            HedgeDelay::Percentile { .. } => None,
        },
        set: |config, datum| {
            config.hedge.as_mut()?.delay = match datum {
                Datum::Time(delay) => HedgeDelay::Fixed(delay),
                Datum::On => HedgeDelay::P95,
                _ => HedgeDelay::AfterFailure,
            };
            Some(())
        },
    }).off().switch().needed("\"50ms\""),
    Row::new("hedge.delay.quantile", Kind::Fraction,
        "As long as this share of recent calls took.", measured!(quantile)).needed("\"95%\""),
    Row::new("hedge.delay.min_calls", Kind::CALLS,
        "No hedge before so many calls were seen.", measured!(min_calls)),
    Row::new("hedge.delay.window", Kind::TimeAboveZero,
        "How far back is measured.", measured!(window)),
    Row::new("hedge.max_extra", Kind::Whole(1, HedgeConfig::MOST_EXTRA as u64),
        "So many attempts beside the first.", at!(hedge; max_extra)),
    Row::new("hedge.budget", Kind::Table,
        "Its own budget, where retry has none.", Access {
        get: |config| own_budget(config)?.budget.is_none().then_some(Datum::Off),
        ..part!(hedge; budget = RetryBudgetConfig::new())
    }).off(),
    Row::new("hedge.budget.ratio", Kind::Ratio,
        RATIO, own!(ratio)),
    Row::new("hedge.budget.min_per_second", FLOOR,
        MIN_PER_SECOND, own!(min_per_second)),
    Row::new("hedge.budget.window", Kind::TimeAboveZero,
        WINDOW, own!(window)),
];
