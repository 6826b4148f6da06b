//! Every metric there is.

#[cfg(feature = "tokio")]
use crate::distributed::{lock::LockSnapshot, rate_limiter::SharedLimitSnapshot};
use crate::keyed::KeySetSnapshot;
use crate::microservices::health::ObservedCheck;
use crate::patterns::adaptive::AdaptiveSnapshot;
use crate::patterns::bulkhead::BulkheadSnapshot;
use crate::patterns::cache::CacheSnapshot;
use crate::patterns::circuit_breaker;
use crate::patterns::fallback::FallbackSnapshot;
use crate::patterns::hedge::HedgeSnapshot;
use crate::patterns::rate_limiter::{KeyedSnapshot, RateLimiterSnapshot};
use crate::patterns::retry::RetrySnapshot;
use crate::patterns::timeout::TimeoutSnapshot;
use crate::policy::PolicySnapshot;
#[cfg(feature = "toml")]
use crate::policy::ReloadStatus;
use crate::realtime::{scheduler::TaskSnapshot, supervisor::ChildSnapshot};
use crate::snapshot::{Described, Metric, describe};

/// Every metric that a part of the library reports, by name.
///
/// ```
/// let names: Vec<_> = c13_reliability::observability::catalogue().iter().map(|metric| metric.name).collect();
/// assert!(names.contains(&"reliability.circuit_breaker.state"));
/// ```
#[must_use]
pub fn catalogue() -> Vec<&'static Metric> {
    let mut all: Vec<_> = parts()
        .into_iter()
        .flat_map(|(_, metrics)| metrics)
        .map(|described| described.metric)
        .collect();
    all.sort_by_key(|metric| metric.name);
    // Two kinds of limiters share a metric, and so do timeouts and policies.
    all.dedup_by_key(|metric| metric.name);
    all
}

/// The metrics of each part, by the part's folder.
fn parts() -> Vec<(&'static str, Vec<Described>)> {
    vec![
        ("patterns/adaptive", describe::<AdaptiveSnapshot>()),
        ("patterns/bulkhead", describe::<BulkheadSnapshot>()),
        ("patterns/cache", describe::<CacheSnapshot>()),
        ("patterns/circuit_breaker", describe::<circuit_breaker::Snapshot>()),
        ("patterns/fallback", describe::<FallbackSnapshot>()),
        ("patterns/hedge", describe::<HedgeSnapshot>()),
        ("patterns/rate_limiter", describe::<RateLimiterSnapshot>()),
        ("patterns/rate_limiter", describe::<KeyedSnapshot>()),
        ("patterns/retry", describe::<RetrySnapshot>()),
        ("patterns/timeout", describe::<TimeoutSnapshot>()),
        ("keyed", describe::<KeySetSnapshot>()),
        ("policy", describe::<PolicySnapshot>()),
        #[cfg(feature = "toml")]
        ("policy", describe::<ReloadStatus>()),
        ("microservices/health", describe::<ObservedCheck>()),
        ("realtime/scheduler", describe::<TaskSnapshot>()),
        ("realtime/supervisor", describe::<ChildSnapshot>()),
        #[cfg(feature = "tokio")]
        ("distributed/lock", describe::<LockSnapshot>()),
        #[cfg(feature = "tokio")]
        ("distributed/rate_limiter", describe::<SharedLimitSnapshot>()),
    ]
}

#[cfg(all(test, feature = "tokio"))]
mod tables;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Kind;

    #[test]
    fn a_metric_with_a_series_for_each_value_has_a_label_for_them() {
        for (part, metrics) in parts() {
            for Described { metric, values } in metrics {
                let unique: std::collections::BTreeSet<_> = values.iter().collect();
                assert_eq!(unique.len(), values.len(), "{part}: {}", metric.name);
                assert!(
                    values.is_empty() || !metric.labels.is_empty(),
                    "{part}: {}",
                    metric.name
                );
            }
        }
    }

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
