//! A rate limit of any type that stands behind the policy's own: one that other policies use too, or one that a fleet shares.

use crate::error::Rejected;
use crate::gate::{Gate, Outcome, Permit};
use std::future::Future;
use std::pin::Pin;

/// A gate whose permits mean only that a call was counted, whatever its type.
pub(in crate::policy) trait ExtraLimit: Send + Sync {
    /// Counts a call or its refusal, if it can decide at once.
    fn try_pass(&self) -> Result<(), Rejected>;

    /// Counts a call if it can decide at once, and says whether it did. Otherwise the caller goes on to [`pass`](Self::pass).
    fn passes(&self) -> bool;

    /// Counts a call. It may wait, or ask another process.
    fn pass(&self) -> Pin<Box<dyn Future<Output = Result<(), Rejected>> + Send + '_>>;
}

impl<G> ExtraLimit for G
where
    G: Gate,
    G::Rejection: Into<Rejected>,
{
    fn try_pass(&self) -> Result<(), Rejected> {
        let permit = self.try_admit().map_err(Into::into)?;
        permit.record(Outcome::Ignored);
        Ok(())
    }

    fn passes(&self) -> bool {
        let permit = self.try_admit_uncounted();
        permit.map(|permit| permit.record(Outcome::Ignored)).is_some()
    }

    fn pass(&self) -> Pin<Box<dyn Future<Output = Result<(), Rejected>> + Send + '_>> {
        Box::pin(async move {
            let permit = self.admit().await.map_err(Into::into)?;
            permit.record(Outcome::Ignored);
            Ok(())
        })
    }
}
