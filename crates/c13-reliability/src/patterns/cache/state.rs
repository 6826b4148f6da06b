//! How fresh an entry is, and what a read does with it. Pure.

use super::config::CacheConfig;
use crate::time::Tick;
use std::time::Duration;

/// The times of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamps {
    fresh_until: Tick,
    /// Before this it is not loaded again: it is too fresh, or the last try failed.
    reload_at: Tick,
}

/// What a read does with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Serve it.
    Fresh,
    /// Serve it, and load it again in the background.
    Reload { stale: bool },
    /// Load it first; serve it if that fails.
    Fallback,
    /// Serve it although it is stale: loading it has just failed.
    Paused,
    /// It has expired.
    Expired,
}

/// How long an entry is to be kept fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keep {
    /// As the settings say.
    #[default]
    AsSet,
    /// This long, without jitter.
    For(Duration),
    /// Not at all.
    Not,
}

impl Stamps {
    /// The stamps of an entry that is always fresh.
    pub(super) const FOREVER: Self = Self::until(Tick::MAX);

    /// The stamps of an entry written `now`, or `None` if it is not to be kept. `absent` is for a negative entry; `random`, from
    /// 0 to 1, is the random sample for the jitter.
    pub(super) fn new(config: &CacheConfig, keep: Keep, absent: bool, now: Tick, random: f64) -> Option<Self> {
        let ttl = match (keep, absent) {
            (Keep::Not, _) => return None,
            (Keep::For(ttl), _) => Some(ttl),
            (Keep::AsSet, true) => Some(config.negative_ttl?),
            (Keep::AsSet, false) => config.ttl,
        };
        let share = match keep {
            Keep::AsSet => config.jitter * random,
            _ => 0.0,
        };
        let fresh_until = ttl.map_or(Tick::MAX, |ttl| now + shortened(ttl, share));
        let refresh = config.refresh_after.filter(|_| !absent && keep == Keep::AsSet);
        Some(Self {
            fresh_until,
            reload_at: refresh.map_or(fresh_until, |age| now + shortened(age, share)),
        })
    }

    /// The stamps of an entry that is fresh until then and not to be loaded again before.
    #[inline]
    pub(super) const fn until(fresh_until: Tick) -> Self {
        Self {
            fresh_until,
            reload_at: fresh_until,
        }
    }

    /// Whether a read at `now` only serves it.
    #[inline]
    pub(super) fn is_fresh(&self, now: Tick) -> bool {
        now < self.fresh_until.min(self.reload_at)
    }

    #[inline]
    pub(super) const fn fresh_until(&self) -> Tick {
        self.fresh_until
    }

    /// What a read at `now` does with it.
    pub(super) fn judge(&self, config: &CacheConfig, absent: bool, now: Tick) -> Freshness {
        let early = now < self.reload_at;
        if now < self.fresh_until {
            return if early {
                Freshness::Fresh
            } else {
                Freshness::Reload { stale: false }
            };
        }
        let (revalidate, on_error) = (config.stale_while_revalidate, config.stale_if_error);
        if absent || now >= self.fresh_until + revalidate.max(on_error) {
            Freshness::Expired
        } else if early {
            Freshness::Paused
        } else if now < self.fresh_until + revalidate {
            Freshness::Reload { stale: true }
        } else {
            Freshness::Fallback
        }
    }

    /// The same entry after a load for it failed at `now`.
    pub(super) fn paused(self, config: &CacheConfig, now: Tick) -> Self {
        Self {
            reload_at: now + config.pause_after_error,
            ..self
        }
    }
}

/// After how long without a read an entry expires; `random`, from 0 to 1, is the random sample for the jitter.
pub(super) fn idle_limit(config: &CacheConfig, random: f64) -> Option<Duration> {
    config.idle.map(|idle| shortened(idle, config.jitter * random))
}

/// `time` less this share of it.
fn shortened(time: Duration, share: f64) -> Duration {
    // Only the shortening is computed in floating point, and it is at most the time.
    time.saturating_sub(Duration::try_from_secs_f64(time.as_secs_f64() * share).unwrap_or(time))
}
