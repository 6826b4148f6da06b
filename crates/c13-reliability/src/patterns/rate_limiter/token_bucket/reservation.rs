//! Tokens that are set aside for a later request.

use super::super::error::RateLimitError;
use super::super::waiting::{self, Wait, Waitable};
use super::shared::SharedBucket;
use crate::sync::wait_queue::{Kind, Owner, Waiter};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// Tokens set aside by [`reserve`](super::TokenBucketRateLimiter::reserve).
///
/// It has a place in the limiter's queue: its time comes earlier if waiters before it leave the queue, or if the rate is
/// raised. From its time on it owns the tokens, whether anybody looks at that time or not, so that a late owner does not delay
/// other waiters. They are used when it is [redeemed](Self::redeem), and given back when it is dropped.
#[must_use = "a reservation that is dropped is cancelled"]
pub struct Reservation {
    bucket: Arc<SharedBucket>,
    n: u64,
    state: ReservationState,
}

enum ReservationState {
    /// It owns the tokens.
    Held,
    /// Its time has not come, or nobody has looked since.
    Queued(Waiter<Arc<SharedBucket>>),
    /// The tokens are used.
    Spent,
}

impl Reservation {
    pub(super) fn new(bucket: Arc<SharedBucket>, n: u64) -> Result<Self, RateLimitError> {
        let now = bucket.clock().now();
        let mut result = bucket.take(now, n).map(|()| ReservationState::Held);
        if let Err(RateLimitError::RateLimitExceeded { .. }) = result
            && bucket.lets_callers_wait()
        {
            let max_wait = bucket.wait_limits().max_wait();
            result = waiting::join(bucket.clone(), now, n, Kind::Reserved, max_wait).map(ReservationState::Queued);
        }
        match result {
            Ok(state) => Ok(Self { bucket, n, state }),
            // In shadow mode it is admitted, and owns no tokens that could be given back.
            Err(error) => bucket.counts().settle(Err(error)).map(|()| Self {
                bucket: bucket.clone(),
                n: 0,
                state: ReservationState::Held,
            }),
        }
    }

    /// How many tokens are reserved.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.n
    }

    /// How long until its time comes; zero once it has. It may become less than it was, and, if the limiter's rate is
    /// lowered, more.
    #[must_use]
    pub fn wait(&self) -> Duration {
        let ReservationState::Queued(place) = &self.state else {
            return Duration::ZERO;
        };
        place.settle();
        match place.ahead() {
            None => Duration::ZERO,
            Some(ahead) => {
                let now = self.bucket.clock().now();
                self.bucket.shortfall(now, ahead, self.n).wait
            }
        }
    }

    /// Uses the tokens, as soon as their time comes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the reservation.
    pub async fn redeem(mut self) {
        match std::mem::replace(&mut self.state, ReservationState::Held) {
            ReservationState::Queued(place) => {
                // While it waits the place alone is responsible for the tokens.
                self.state = ReservationState::Spent;
                let result = Wait::in_place(self.bucket.clone(), place, self.n).await;
                debug_assert_eq!(result, Ok(()), "it waits as long as it takes");
            }
            ReservationState::Held | ReservationState::Spent => self.state = ReservationState::Spent,
        }
        self.bucket.counts().admit();
    }

    /// Uses the tokens if their time has come.
    ///
    /// # Errors
    ///
    /// The reservation, if it has not.
    pub fn try_redeem(mut self) -> Result<(), Self> {
        if let ReservationState::Queued(place) = &mut self.state {
            place.settle();
            if place.ahead().is_some() {
                return Err(self);
            }
            place.poll(&Context::from_waker(Waker::noop()));
        }
        self.state = ReservationState::Spent;
        self.bucket.counts().admit();
        Ok(())
    }

    /// Gives the tokens back, as dropping it does.
    pub fn cancel(self) {}
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // A place in the queue leaves the queue by itself.
        if matches!(self.state, ReservationState::Held) {
            self.bucket.refund(self.bucket.clock().now(), self.n);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("tokens", &self.n)
            .field("waiting", &self.bucket.queue().ahead().waiting)
            .finish_non_exhaustive()
    }
}
