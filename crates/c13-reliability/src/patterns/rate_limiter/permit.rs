//! What a limiter hands out for an admitted call.

use crate::gate::{Outcome, Permit};

/// The right to run one call. A limiter counts calls when they are admitted, so what comes of them changes nothing, and
/// an abandoned call has had its token.
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
