//! The settings of time limits, rate limit, bulkhead and adaptive limit.

use std::time::Duration;

use super::super::row::{Access, Datum, Field, Kind, Row, at, names, part};
use crate::gate::semaphore::MAX_PERMITS;
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::rate_limiter::{RateLimiterConfig, WarmUp};
use crate::policy::RateLimitPer;

const PERMITS: Kind = Kind::Whole(1, MAX_PERMITS as u64);
pub(super) const LARGEST_BURST: u64 = 1 << 54;

/// A table that code has no part for.
const NOTHING: Access = Access {
    get: |_| None,
    set: |_, _| Some(()),
};

#[rustfmt::skip] // two lines a setting: its path and kind, then what it is and where
pub(super) static TIMEOUT: &[Row] = &[
    Row::new("timeout", Kind::Table,
        "How long the whole call and each attempt may take.", NOTHING).off(),
    Row::new("timeout.total", Kind::TimeAboveZero,
        "The whole call: waiting, attempts and the pauses between them.", at!(; total_timeout)).off(),
    Row::new("timeout.attempt", Kind::TimeAboveZero,
        "Each attempt by itself.", at!(; attempt_timeout)).off(),
];

#[rustfmt::skip] // two lines a setting: its path and kind, then what it is and where
pub(super) static RATE_LIMIT: &[Row] = &[
    Row::new("rate_limit", Kind::Table,
        "How many calls, or attempts, may begin in a time.", part!(; rate_limit = RateLimiterConfig::new(RateLimiterConfig::FASTEST, 1))).off(),
    Row::new("rate_limit.rate", Kind::Rate,
        "So many calls over any long time.", Access {
        get: |config| Some(Datum::Rate(config.rate_limit?.rate)),
        set: |config, datum| {
            if let Datum::Rate(rate) = datum {
                config.rate_limit.as_mut()?.rate = rate;
            }
            Some(())
        },
    }).switch().needed("\"100/s\""),
    Row::new("rate_limit.per", Kind::Word(|| names(RateLimitPer::NAMES)),
        "What it counts: calls, unless told otherwise, or attempts.", Access {
        get: |config| config.rate_limit.and(config.rate_limit_per.datum()),
        ..at!(; rate_limit_per)
    }),
    Row::new("rate_limit.burst", Kind::Whole(1, LARGEST_BURST),
        "So many at once; one second of the rate unless set.", at!(rate_limit; burst)).equal(|config| Some(Datum::Whole(RateLimiterConfig::one_second(config.rate_limit?.rate)))),
    Row::new("rate_limit.max_wait", Kind::Time,
        "How long a call waits to be admitted, if it has so long; none unless set.", at!(rate_limit; max_wait)),
    Row::new("rate_limit.max_waiters", Kind::CALLS,
        "How many calls may wait at one time.", at!(rate_limit; max_waiters)),
    Row::new("rate_limit.start_empty", Kind::Flag,
        "Starts with an empty bucket.", at!(rate_limit; start_empty)),
    Row::new("rate_limit.paced", Kind::Flag,
        "Spaces calls evenly.", at!(rate_limit; paced)),
    Row::new("rate_limit.shadow", Kind::Flag,
        "Only counts what it would refuse.", at!(rate_limit; shadow)),
    Row::new("rate_limit.warm_up", Kind::Table,
        "Comes up to the rate gradually after a start or a rest.", // What stands in for a value that is not known breaks no rule.
    part!(rate_limit; warm_up = WarmUp::new(Duration::from_secs(1), 2.0))).off(),
    Row::new("rate_limit.warm_up.period", Kind::TimeAboveZero,
        "How long it takes to come up to its rate.", at!(rate_limit / warm_up; period)).needed("\"30s\""),
    Row::new("rate_limit.warm_up.cold_factor", Kind::Number("\"exclusiveMinimum\": 1, \"maximum\": 100"),
        "How many times slower it is at first.", at!(rate_limit / warm_up; cold_factor)).needed("3.0"),
];

#[rustfmt::skip] // two lines a setting: its path and kind, then what it is and where
pub(super) static BULKHEAD: &[Row] = &[
    Row::new("bulkhead", Kind::Table,
        "How many calls may run at a time, and how many may queue.", part!(; bulkhead = BulkheadConfig::new(1))).off(),
    Row::new("bulkhead.max_concurrent", PERMITS,
        "Calls that run at a time.", at!(bulkhead; max_concurrent)).switch().needed("10"),
    Row::new("bulkhead.max_queue", Kind::QUEUE,
        "Calls that may queue; none unless set.", at!(bulkhead; max_queue)),
    Row::new("bulkhead.max_wait", Kind::Time,
        "How long a call may queue.", at!(bulkhead; max_wait)),
];

const GRADIENT: &str = "gradient";
const VEGAS: &str = "vegas";
const AIMD: &str = "aimd";

/// The access to a number that belongs to one algorithm.
macro_rules! of_algorithm {
    ($name:ident :: $field:ident) => {
        Access {
            get: |config| match config.adaptive?.algorithm {
                Algorithm::$name { $field, .. } => $field.datum(),
                _ => None,
            },
            set: |config, datum| match &mut config.adaptive.as_mut()?.algorithm {
                Algorithm::$name { $field, .. } => Some($field.put(datum)),
                _ => None,
            },
        }
    };
}

#[rustfmt::skip] // two lines a setting: its path and kind, then what it is and where
pub(super) static ADAPTIVE: &[Row] = &[
    Row::new("adaptive", Kind::Table,
        "In place of a bulkhead: a bound on the calls that run at a time, which follows what the dependency can take.", part!(; adaptive = AdaptiveConfig::new(Algorithm::GRADIENT))).off(),
    Row::new("adaptive.strategy", Kind::Word(|| vec![GRADIENT, VEGAS, AIMD]),
        "How the limit follows what is measured.", Access {
        get: |config| {
            Some(Datum::Word(match config.adaptive?.algorithm {
                Algorithm::Gradient { .. } => GRADIENT,
                Algorithm::Vegas { .. } => VEGAS,
                Algorithm::Aimd { .. } => AIMD,
            }))
        },
        set: |config, datum| {
            config.adaptive.as_mut()?.algorithm = match datum {
                Datum::Word(VEGAS) => Algorithm::VEGAS,
                Datum::Word(AIMD) => Algorithm::AIMD,
                _ => Algorithm::GRADIENT,
            };
            Some(())
        },
    }),
    Row::new("adaptive.buffer", Kind::Number("\"minimum\": 0, \"maximum\": 10"),
        "How much longer than the baseline calls may take.", of_algorithm!(Gradient::buffer)).of(&[GRADIENT]),
    Row::new("adaptive.alpha", Kind::Number("\"exclusiveMinimum\": 0"),
        "Below so many queued calls the limit grows.", of_algorithm!(Vegas::alpha)).of(&[VEGAS]),
    Row::new("adaptive.beta", Kind::Number("\"exclusiveMinimum\": 0"),
        "Above so many queued calls it shrinks.", of_algorithm!(Vegas::beta)).of(&[VEGAS]),
    Row::new("adaptive.backoff", Kind::Number("\"minimum\": 0.5, \"exclusiveMaximum\": 1"),
        "What the limit is multiplied by where calls are dropped.", of_algorithm!(Aimd::backoff)).of(&[AIMD]),
    Row::new("adaptive.min_limit", PERMITS,
        "The limit is never below.", at!(adaptive; min_limit)),
    Row::new("adaptive.max_limit", PERMITS,
        "The limit is never above.", at!(adaptive; max_limit)),
    Row::new("adaptive.initial_limit", PERMITS,
        "The limit before anything was measured; 20, or the nearest that the two allow, unless set.", at!(adaptive; initial_limit)).start(|config| {
        let limit = config.adaptive?;
        let start = limit.initial_limit.max(limit.min_limit);
        Some(Datum::Whole(start.min(limit.max_limit.max(limit.min_limit)).into()))
    }),
    Row::new("adaptive.window", Kind::TimeAboveZero,
        "How often the limit is looked at.", at!(adaptive; window)),
    Row::new("adaptive.min_calls", Kind::CALLS,
        "A window goes on until it has seen as many calls.", at!(adaptive; min_calls)),
    Row::new("adaptive.timeout", Kind::TimeAboveZero,
        "A call that takes longer counts as dropped.", at!(adaptive; timeout)),
    Row::new("adaptive.drop_ratio", Kind::RatioBelowOne,
        "So large a share of dropped calls makes the limit fall.", at!(adaptive; drop_ratio)),
    Row::new("adaptive.baseline_age", Kind::TimeAboveZero,
        "An older baseline is measured anew.", at!(adaptive; baseline_age)),
    Row::new("adaptive.max_queue", Kind::QUEUE,
        "Calls that may queue; none unless set.", at!(adaptive; max_queue)),
    Row::new("adaptive.max_wait", Kind::Time,
        "How long a call may queue.", at!(adaptive; max_wait)),
];
