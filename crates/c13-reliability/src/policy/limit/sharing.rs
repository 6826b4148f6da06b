//! A limit that all processes share.

use super::config::LimitConfig;
use super::handle::{LimitReason, LimitRefused, Passed, RequestLimit};
use super::key::RequestKey;
use crate::distributed::rate_limiter::{
    DecidedBy, KeyedSharedRateLimiter, Limit, QuotaBackend, SharedLimitConfig, SharedLimitError,
};
use crate::error::{ConfigError, ConfigValue};
use crate::keyed::KeySetConfig;
use crate::snapshot::Reading;
use crate::time::Clock;
use std::sync::Arc;
use std::time::Duration;

/// By what limits are shared, and how.
#[derive(Clone)]
pub(crate) struct LimitSharing {
    pub(crate) backend: Arc<dyn QuotaBackend>,
    pub(crate) config: SharedLimitConfig,
}

/// The limiter of a shared limit.
#[derive(Clone)]
pub(super) struct Shared(KeyedSharedRateLimiter);

impl Shared {
    pub(super) fn new(
        config: &LimitConfig,
        name: &str,
        sharing: Option<&LimitSharing>,
        clock: &Clock,
    ) -> Result<Self, ConfigError> {
        let sharing = sharing.ok_or_else(no_backend)?;
        let limit = Limit::new(name, config.rate, config.burst);
        // A header's value has at most 256 bytes, and a sign before it.
        let keys = KeySetConfig::DEFAULT.max_keys(config.max_keys).max_key_bytes(256);
        let backend = sharing.backend.clone();
        KeyedSharedRateLimiter::with_config(backend, limit, sharing.config, keys, clock.clone()).map(Self)
    }

    pub(super) fn readings(&self) -> Vec<Reading> {
        self.0.snapshot().readings()
    }
}

type SharedLimit<'l> = (&'l RequestLimit, Shared, RequestKey);

/// Asks one shared limit after the other, and adds those that let the request pass.
pub(super) async fn acquire_shared<'l>(
    limits: &[SharedLimit<'l>],
    passed: &mut Vec<Passed<'l>>,
) -> Result<(), LimitRefused> {
    let mut taken: Vec<(&KeyedSharedRateLimiter, String, DecidedBy)> = Vec::new();
    for (at, (limit, Shared(limiter), key)) in limits.iter().enumerate() {
        let key = key.to_string();
        match limiter.acquire(&key, 1).await {
            Ok(by) => {
                taken.push((limiter, key, by));
                passed.push(Passed { limit, status: None });
            }
            Err(error) => {
                for (limiter, key, by) in taken {
                    limiter.give_back(&key, 1, by);
                }
                return Err(tightest(refused(limit, &error), &limits[at + 1..]));
            }
        }
    }
    Ok(())
}

/// The refusal that ends last: this one, or one of the other limits that is remembered in memory.
fn tightest(refusal: LimitRefused, others: &[SharedLimit<'_>]) -> LimitRefused {
    let remembered = others.iter().filter_map(|(limit, Shared(limiter), key)| {
        let retry_after = limiter.refused_for(&key.to_string())?;
        Some(exceeded(limit, Some(retry_after)))
    });
    let last = remembered.max_by_key(|other| other.retry_after);
    match last {
        Some(other) if refusal.retry_after.is_some() && other.retry_after > refusal.retry_after => other,
        _ => refusal,
    }
}

fn exceeded(limit: &RequestLimit, retry_after: Option<Duration>) -> LimitRefused {
    LimitRefused {
        limit: limit.name().to_owned(),
        reason: LimitReason::Exceeded,
        retry_after,
        status: None,
    }
}

fn refused(limit: &RequestLimit, error: &SharedLimitError) -> LimitRefused {
    let (reason, retry_after) = match error {
        SharedLimitError::Exceeded { retry_after, .. } => (LimitReason::Exceeded, Some(*retry_after)),
        SharedLimitError::Unavailable { retry_after, .. } => (LimitReason::Unavailable, Some(*retry_after)),
        SharedLimitError::KeyTooLong { .. } => (LimitReason::KeyTooLong, None),
        SharedLimitError::NeverPossible | SharedLimitError::NotAsked => (LimitReason::Exceeded, None),
    };
    LimitRefused {
        reason,
        ..exceeded(limit, retry_after)
    }
}

/// The error of a shared limit without a backend.
fn no_backend() -> ConfigError {
    let rule = "must be false where the program has not said by what limits are shared";
    ConfigError::new("limit", "shared", ConfigValue::Text("true"), rule)
}
