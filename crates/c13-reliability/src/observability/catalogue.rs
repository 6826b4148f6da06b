//! Every metric there is.

#[cfg(feature = "tokio")]
use crate::distributed::{lock, rate_limiter as shared_rate_limit};
use crate::microservices::health;
use crate::patterns::{adaptive, bulkhead, cache, circuit_breaker, fallback, hedge, rate_limiter, retry, timeout};
use crate::realtime::{scheduler, supervisor};
use crate::snapshot::Metric;

/// Every metric that a part of the library reports, by name.
///
/// ```
/// let names: Vec<_> = c13_reliability::observability::catalogue().iter().map(|metric| metric.name).collect();
/// assert!(names.contains(&"reliability.circuit_breaker.state"));
/// ```
#[must_use]
pub fn catalogue() -> Vec<&'static Metric> {
    let parts = [
        adaptive::METRICS,
        bulkhead::METRICS,
        cache::METRICS,
        circuit_breaker::METRICS,
        fallback::METRICS,
        hedge::METRICS,
        rate_limiter::METRICS,
        retry::METRICS,
        timeout::METRICS,
        health::METRICS,
        scheduler::METRICS,
        supervisor::METRICS,
        #[cfg(feature = "tokio")]
        lock::METRICS,
        #[cfg(feature = "tokio")]
        shared_rate_limit::METRICS,
    ];
    let mut all: Vec<_> = parts.into_iter().flatten().copied().collect();
    all.sort_by_key(|metric| metric.name);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Kind;

    #[test]
    fn names_are_unique_lower_case_words_without_a_unit() {
        let all = catalogue();
        for pair in all.windows(2) {
            assert_ne!(pair[0].name, pair[1].name);
        }
        for metric in all {
            let name = metric.name;
            assert!(name.starts_with("reliability."), "{name}");
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c)),
                "{name}"
            );
            assert!(
                !["_total", "_seconds", "_s"].iter().any(|end| name.ends_with(end)),
                "{name}"
            );
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{name}");
            if let Kind::Histogram { boundaries, .. } = metric.kind {
                assert!(boundaries.is_sorted_by(|a, b| a < b), "{name}");
            }
        }
    }
}
