//! What all clones of an adaptive limit and its partitions share.

use super::config::AdaptiveConfig;
use super::share::Shares;
use super::state::{Ended, LimitState, Sample};
use crate::gate::places::{NoPlace, Place, Places};
use crate::sync::Random;
use crate::sync::primitive::{AtomicU64, Mutex, Ordering};
use crate::time::{Clock, Tick};
use std::ops::Deref;
use std::sync::Arc;

pub(super) struct Shared {
    pub(super) config: AdaptiveConfig,
    pub(super) places: Places,
    state: Mutex<LimitState>,
    shares: Option<Mutex<Shares>>,
    random: Random,
    dropped: AtomicU64,
}

impl Shared {
    pub(super) fn new(config: AdaptiveConfig, clock: Clock, random: Random, shares: Option<Shares>) -> Self {
        Self {
            config,
            places: Places::new(config.initial_limit, config.max_queue, config.max_wait, clock),
            state: Mutex::new(LimitState::new(&config)),
            shares: shares.map(Mutex::new),
            random,
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn now(&self) -> Tick {
        self.places.clock().now()
    }

    /// Takes in a call that ended, and moves the limit if that ended a window.
    pub(super) fn record(&self, sample: Sample) {
        if sample.ended == Ended::Ignored {
            return;
        }
        if sample.ended == Ended::Dropped {
            // Relaxed: a count orders nothing.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        let (now, unit) = (self.now(), self.random.unit());
        let limit = self.state.lock().record(&self.config, sample, now, unit);
        // Not under the lock, because it wakes those in line. Should two windows end in a moment and the later limit be
        // set first, the next window mends it.
        if let Some(limit) = limit.filter(|limit| *limit != self.places.limit()) {
            self.places.resize(limit);
        }
    }

    pub(super) fn with_state<T>(&self, look: impl FnOnce(&LimitState) -> T) -> T {
        look(&self.state.lock())
    }

    pub(super) fn with_shares<T>(&self, look: impl FnOnce(&Shares) -> T) -> Option<T> {
        self.shares.as_ref().map(|shares| look(&shares.lock()))
    }

    pub(super) fn dropped(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes a place for a call of a partition: a free one, or one that it is owed.
    pub(super) fn enter_part(&self, index: usize) -> Result<Place<&Places>, NoPlace> {
        let Some(shares) = &self.shares else {
            return self.places.try_enter();
        };
        let mut shares = shares.lock();
        let place = match Places::enter(&self.places) {
            Some(place) => place,
            None if shares.is_owed(index, self.places.limit()) => self.places.enter_beyond(),
            None => return self.places.try_enter(),
        };
        shares.enter(index);
        Ok(place)
    }

    pub(super) fn leave_part(&self, index: usize) {
        if let Some(shares) = &self.shares {
            shares.lock().leave(index);
        }
    }
}

/// Points to the places of a limit that it owns a share of.
#[derive(Clone)]
pub(super) struct PlacesOf(Arc<Shared>);

impl PlacesOf {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(shared.clone())
    }
}

impl Deref for PlacesOf {
    type Target = Places;

    fn deref(&self) -> &Places {
        &self.0.places
    }
}
