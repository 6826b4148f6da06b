//! The permit of an admitted call.

use crate::gate::{Outcome, Permit};

/// The right to run one call. A limiter counts calls when it admits them, so their outcome changes nothing, and an abandoned
/// call has used its token.
#[derive(Debug)]
pub struct RateLimitPermit(());

impl RateLimitPermit {
    pub(super) const fn new() -> Self {
        Self(())
    }
}

impl Permit for RateLimitPermit {
    fn record(self, _outcome: Outcome) {}
}
