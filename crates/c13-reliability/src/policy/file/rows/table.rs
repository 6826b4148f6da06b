//! All rows together, and the parts that they make up.

use super::super::row::{Kind, Row};
use super::breaker::CIRCUIT_BREAKER;
use super::limits::{ADAPTIVE, BULKHEAD, RATE_LIMIT, TIMEOUT};
use super::repeats::{HEDGE, RETRY};

static TABLES: [&[Row]; 7] = [TIMEOUT, RATE_LIMIT, BULKHEAD, ADAPTIVE, RETRY, HEDGE, CIRCUIT_BREAKER];

/// The parts of a policy.
pub(in super::super) const PARTS: [&str; 7] = [
    "timeout",
    "rate_limit",
    "bulkhead",
    "adaptive",
    "retry",
    "hedge",
    "circuit_breaker",
];

/// Every setting: each part, and each table in it, before what it holds.
pub(in super::super) fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.into_iter().flatten()
}

/// The keys one of which switches a part of a policy on, such as `max_retries` for `retry`; none for a part that is there
/// as soon as its table is.
#[must_use]
pub fn switches(part: &str) -> Vec<&'static str> {
    let own = rows().filter(|row| row.is_switch && row.split().0 == part);
    own.map(|row| row.split().1).collect()
}

/// The path of every key of a policy, such as `retry.backoff.base`.
pub fn keys() -> impl Iterator<Item = String> {
    let calls = rows().filter(|row| matches!(row.kind, Kind::Window));
    let calls = calls.map(|row| format!("{}.calls", row.path));
    rows().map(|row| row.path.to_owned()).chain(calls)
}
